//! A real tree of processes, of which the test's own child plays the gateway.

#![expect(clippy::disallowed_methods, reason = "waits for its own processes, with a bound")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

const NOW: UnixMillis = UnixMillis(1_795_159_292_734);

/// Prints its process and one below it, and ends, leaving that alone, when it reads a line.
const MIDDLE: &str = r#"sleep 600 >/dev/null 2>&1 & echo $$ $!; read x"#;

/// A shell that stays, another below it, and a sleeper below that.
struct Tree {
    gateway: Child,
    middle: ProcessId,
    leaf: ProcessId,
}

impl Tree {
    fn new() -> Tree {
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"sh -c "$0"; read y"#, MIDDLE]);
        let mut gateway = shell.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(gateway.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let mut pids = line.split_whitespace().map(|pid| identity(pid.parse().unwrap()).unwrap());
        Tree { gateway, middle: pids.next().unwrap(), leaf: pids.next().unwrap() }
    }

    fn gateway(&self) -> ProcessId {
        identity(i32::try_from(self.gateway.id()).unwrap()).unwrap()
    }

    fn end_the_middle(&mut self) {
        self.gateway.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Ends the leaf, if that is what still has its number.
    fn end_the_leaf(&self) {
        use nix::sys::signal::{Signal, kill};
        if identity(self.leaf.pid) == Some(self.leaf) {
            let _ = kill(nix::unistd::Pid::from_raw(self.leaf.pid), Signal::SIGKILL);
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        self.end_the_leaf();
        let _ = self.gateway.kill();
        let _ = self.gateway.wait();
    }
}

fn identity(pid: i32) -> Option<ProcessId> {
    match Table::new(Path::new("/proc")).sight(pid) {
        Sighting::Present { id, .. } => Some(id),
        Sighting::Absent | Sighting::Hidden => None,
    }
}

/// Looks again until the kernel, in its own time, has done what is waited for.
#[track_caller]
fn look_until(
    ledger: &mut Ledger,
    table: &mut Table,
    gateway: ProcessId,
    done: impl Fn(&Ledger, &Table) -> bool,
) {
    let end = Instant::now() + Duration::from_secs(20);
    let boot = BootId("b".to_owned());
    while !done(ledger, table) {
        assert!(Instant::now() < end, "never became true");
        table.refresh(UnixMillis(0)).unwrap();
        let gateway = Some(gateway);
        renew(ledger, &Look { table, is_fresh: true, gateway, boot: &boot, now: NOW });
        std::thread::yield_now();
    }
}

#[test]
fn what_lost_its_parent_stays_with_it_until_it_ends() {
    let mut tree = Tree::new();
    let (gateway, middle, leaf) = (tree.gateway(), tree.middle, tree.leaf);
    let mut table = Table::new(Path::new("/proc"));
    let mut ledger = Ledger::default();
    look_until(&mut ledger, &mut table, gateway, |ledger, _| ledger.descents.contains_key(&leaf));
    assert_eq!(ledger.descents.keys().copied().collect::<Vec<_>>(), sorted([middle, leaf]));
    let first = ledger.descents[&leaf].clone();
    assert_eq!((first.gateway, first.parent), (gateway, middle));

    tree.end_the_middle();
    look_until(&mut ledger, &mut table, gateway, |_, table| {
        let leaf = table.get(leaf.pid);
        table.get(middle.pid).is_none() && leaf.is_some_and(|leaf| leaf.parent != middle.pid)
    });
    assert!(table.descendants(gateway).is_empty(), "reparented out of the tree");
    assert_eq!(ledger.descents, [(leaf, first)].into());
    let recycled = ProcessId { start_ticks: leaf.start_ticks + 1, ..leaf };
    assert!(!ledger.descents.contains_key(&recycled), "another life under the same pid");

    tree.end_the_leaf();
    look_until(&mut ledger, &mut table, gateway, |ledger, _| ledger.descents.is_empty());
    assert!(ledger.gateways.contains_key(&gateway));
}

#[test]
fn a_process_that_merely_looks_the_same_never_enters() {
    let (ours, other) = (Tree::new(), Tree::new());
    let mut table = Table::new(Path::new("/proc"));
    let mut ledger = Ledger::default();
    look_until(&mut ledger, &mut table, ours.gateway(), |ledger, _| ledger.descents.len() == 2);
    assert!(table.get(other.leaf.pid).is_some());
    for id in [other.gateway(), other.middle, other.leaf] {
        assert!(!ledger.descents.contains_key(&id), "{id}");
    }
}

fn sorted(mut ids: [ProcessId; 2]) -> Vec<ProcessId> {
    ids.sort();
    ids.to_vec()
}
