//! Real processes, the real process table, and what a test makes of it.

use std::cell::{Cell, RefCell};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::act::end_tree::pinned::{Pin, pin};
use crate::act::end_tree::stat::Stat;
use crate::act::end_tree::untouchable;
use crate::act::testing::alive;
use crate::act::{ActError, Actuator, Census, Performed, Quarantine, Reach, Step};
use crate::clock::Clock;
use crate::model::{
    Action, ActionId, EndCause, Guard, Member, ProcessId, RecordClose, TreeEnd, UnixMillis,
};

pub(super) const ID: ActionId = ActionId(7);

/// Polls until it is so. A busy machine needs longer, so the deadline is generous.
#[track_caller]
pub(super) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Everything in the real process table that lives.
fn table() -> Vec<(i32, Stat)> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    let stats = pids.filter_map(|pid| Some((pid, Stat::of(pid).ok()??)));
    stats.filter(|(_, stat)| !matches!(stat.state, 'Z' | 'X')).collect()
}

/// Those of `known` that live and everything below, parents first.
pub(super) fn tree(known: &[ProcessId]) -> Vec<(Member, char)> {
    let table = table();
    let mut found: Vec<(Member, char)> = Vec::new();
    let add = |pid: i32, stat: &Stat, found: &mut Vec<(Member, char)>| {
        let id = ProcessId { pid, start_ticks: stat.start_ticks };
        if found.iter().all(|(member, _)| member.id != id) {
            let what = String::new();
            let guards = Vec::new();
            let member = Member { id, parent: stat.parent, what, guards, resident: None };
            found.push((member, stat.state));
        }
    };
    for id in known {
        let it =
            table.iter().find(|(pid, stat)| (*pid, stat.start_ticks) == (id.pid, id.start_ticks));
        if let Some((pid, stat)) = it {
            add(*pid, stat, &mut found);
        }
    }
    let mut next = 0;
    while next < found.len() {
        let parent = found[next].0.id.pid;
        for (pid, stat) in table.iter().filter(|(_, stat)| stat.parent == parent) {
            add(*pid, stat, &mut found);
        }
        next += 1;
    }
    found
}

/// The real process table, as a test bends it.
pub(super) struct Bent<'a> {
    /// Called with the number of the look, from 1 on, and what is seen.
    pub bend: &'a dyn Fn(usize, &mut Vec<Member>),
    /// Called with the number of the judgement, from 1 on.
    pub judge: &'a dyn Fn(usize) -> Result<(), String>,
    /// What a process holds.
    pub memory: Option<u64>,
    pub looks: Cell<usize>,
    pub judgements: Cell<usize>,
}

impl Default for Bent<'_> {
    fn default() -> Self {
        Bent {
            bend: &|_, _| {},
            judge: &|_| Ok(()),
            memory: Some(5 << 20),
            looks: Cell::new(0),
            judgements: Cell::new(0),
        }
    }
}

impl Census for Bent<'_> {
    fn judge(&self, _end: &TreeEnd, _held: &[ProcessId]) -> Result<(), String> {
        self.judgements.set(self.judgements.get() + 1);
        (self.judge)(self.judgements.get())
    }

    fn tree(&self, known: &[ProcessId], held: &[ProcessId]) -> Result<Vec<Member>, String> {
        self.looks.set(self.looks.get() + 1);
        let mut found = Vec::new();
        for (mut member, state) in tree(known) {
            if state == 'T' && !held.contains(&member.id) {
                member.guards.push(Guard::Stopped);
            }
            found.push(member);
        }
        (self.bend)(self.looks.get(), &mut found);
        Ok(found)
    }

    fn memory(&self, _id: ProcessId) -> Option<u64> {
        self.memory
    }
}

/// A tree of real processes. Nothing of it outlives the test.
pub(super) struct Grove {
    pub root: ProcessId,
    child: RefCell<Child>,
    /// Everything that was ever seen of it.
    seen: RefCell<Vec<ProcessId>>,
    pub folder: TempDir,
}

/// One that sleeps below a shell below a shell.
pub(super) const THREE: &str = "sh -c 'sleep 600 & wait' & wait";

/// Notes every signal that a process can be told of, and beats.
pub(super) const SENTINEL: &str = r#"
    trap 'echo >> "$DIR/hit"' HUP INT QUIT USR1 TERM CONT
    while :; do sleep 0.05; echo >> "$DIR/beats"; done"#;

impl Grove {
    /// Runs a script of the shell, with `$DIR` for files, until it has made `size` processes, or
    /// more: on a busy machine a tree that keeps forking has outgrown every size at the first look.
    pub(super) fn grow(script: &str, size: usize) -> Grove {
        Grove::grow_in(tempfile::tempdir().unwrap(), script, size)
    }

    pub(super) fn grow_in(folder: TempDir, script: &str, size: usize) -> Grove {
        let mut command = Command::new("sh");
        command.args(["-c", script]).env("DIR", folder.path());
        Grove::of(command, folder, size)
    }

    pub(super) fn of(mut command: Command, folder: TempDir, size: usize) -> Grove {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let child = command.spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let start_ticks = Stat::of(pid).unwrap().unwrap().start_ticks;
        let root = ProcessId { pid, start_ticks };
        let grove =
            Grove { root, child: RefCell::new(child), seen: RefCell::new(vec![root]), folder };
        until("the tree has grown", || tree(&[root]).len() >= size);
        grove.look();
        grove
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What lives of it, and the state letters.
    pub(super) fn look(&self) -> Vec<(ProcessId, char)> {
        let mut seen = self.seen.borrow_mut();
        let found: Vec<_> =
            tree(&seen).into_iter().map(|(member, state)| (member.id, state)).collect();
        for (id, _) in &found {
            if !seen.contains(id) {
                seen.push(*id);
            }
        }
        found
    }

    pub(super) fn ids(&self) -> Vec<ProcessId> {
        self.look().into_iter().map(|(id, _)| id).collect()
    }

    /// Nothing stands still. A state is read again, as somebody may just be falling asleep.
    #[track_caller]
    pub(super) fn check_nothing_stands_still(&self) {
        let still: Vec<_> = self.look().into_iter().filter(|(_, state)| *state == 'T').collect();
        assert!(still.is_empty(), "{still:?}");
    }

    /// Everything that was seen of it lives and runs.
    #[track_caller]
    pub(super) fn check_unharmed(&self) {
        let before = self.seen.borrow().len();
        assert_eq!(self.look().len(), before, "somebody has ended");
        self.check_nothing_stands_still();
    }

    /// A sentinel in this folder lives and was told nothing.
    #[track_caller]
    pub(super) fn check_unnoticed(&self) {
        // A shell runs its handlers between two commands.
        let beats = || fs::read(self.path("beats")).map_or(0, |beats| beats.len());
        let before = beats();
        until("two beats later", || beats() > before + 2);
        assert!(!self.path("hit").exists());
    }

    #[track_caller]
    pub(super) fn check_gone(&self) {
        assert_eq!(self.look(), []);
    }

    pub(super) fn tree_end(&self) -> TreeEnd {
        TreeEnd {
            boot: untouchable::here().unwrap().boot,
            root: self.root,
            members: self.ids(),
            cause: EndCause::Orphan,
            term_wait: Duration::from_secs(30),
            record: None,
        }
    }
}

impl Drop for Grove {
    fn drop(&mut self) {
        // A tree that keeps forking needs several rounds.
        for _ in 0..100 {
            let left = self.ids();
            if left.is_empty() {
                break;
            }
            for id in left {
                signal(id, Signal::KILL);
            }
        }
        let mut root = self.child.borrow_mut();
        let _ = root.kill();
        let _ = root.wait();
    }
}

/// Signals a process of a test, if it is still that one.
pub(super) fn signal(id: ProcessId, signal: Signal) {
    if let Ok(Pin::Held(process, _)) = pin(id) {
        process.signal(signal).unwrap();
    }
}

/// A quarantine, and everything an actuator is made of.
pub(super) struct Stage {
    pub quarantine: TempDir,
}

impl Stage {
    pub(super) fn new() -> Stage {
        Stage { quarantine: tempfile::tempdir().unwrap() }
    }

    pub(super) fn actuator<'a>(
        &self,
        census: &'a dyn Census,
        before: &'a dyn Fn(Step),
    ) -> Actuator<'a> {
        actuator(self.quarantine.path(), census, before)
    }

    /// Ends `end` with a census that is not bent.
    pub(super) fn end(&self, end: &TreeEnd) -> Result<Performed, ActError> {
        self.end_with(end, &Bent::default(), &|_| {})
    }

    pub(super) fn end_with(
        &self,
        end: &TreeEnd,
        census: &dyn Census,
        before: &dyn Fn(Step),
    ) -> Result<Performed, ActError> {
        self.actuator(census, before).perform(ID, &action(end))
    }
}

pub(super) fn actuator<'a>(
    quarantine: &std::path::Path,
    census: &'a dyn Census,
    before: &'a dyn Fn(Step),
) -> Actuator<'a> {
    Actuator {
        reach: Reach::Live,
        quarantine: Quarantine::new(quarantine.to_owned()),
        clock: Clock::Wall,
        own: None,
        is_alive: &alive,
        census,
        speak: None,
        stopped: &|| Ok(()),
        lanes: &crate::act::NoLaneCensus,
        hurry: &|| false,
        wait: &|_| {},
        before,
    }
}

pub(super) fn action(end: &TreeEnd) -> Action {
    Action::EndTree(Box::new(end.clone()))
}

/// An open record, as acpx writes one, and how it is to be closed.
pub(super) fn record(folder: &std::path::Path) -> RecordClose {
    let path = folder.join("agent%3Aclaude%3Aacp%3Ax%3Aoneshot%3Ay.json");
    fs::write(&path, RECORD).unwrap();
    RecordClose {
        expected: crate::act::file::stamp(&path).unwrap(),
        path,
        record_id: "agent:claude:acp:x:oneshot:y".to_owned(),
        closed_at: UnixMillis(1_795_159_292_734),
    }
}

pub(super) const RECORD: &str = r#"{
  "schema": "acpx.session.v1",
  "acpx_record_id": "agent:claude:acp:x:oneshot:y",
  "closed": false,
  "pid": 14518,
  "messages": [],
  "acpx": {}
}"#;

pub(super) const CLOSED: &str = r#"{
  "schema": "acpx.session.v1",
  "acpx_record_id": "agent:claude:acp:x:oneshot:y",
  "closed": true,
  "closed_at": "2026-11-20T07:21:32.734Z",
  "pid": 14518,
  "messages": [],
  "acpx": {
    "reset_on_next_ensure": true
  }
}"#;
