//! New processes below a known one, noticed without a look at all others.
//!
//! The kernel tells the children of each thread (`CONFIG_PROC_CHILDREN`) and which pid it gave out
//! last (`CONFIG_CHECKPOINT_RESTORE`; without it the children are read every time). Measured on
//! 6.18 with 11 threads and 30 children: 6 us while nothing has begun on the host, 170 us when
//! something has.

use std::collections::BTreeSet;
use std::path::Path;

use super::super::lineage::Lineage;
use super::files::Directory;
use crate::model::ProcessId;

/// Most processes whose children are read at once, besides the root; the others have their turn
/// in the next calls.
const PARENTS_MAX: usize = 128;

/// Gateways have 11 to 19 threads (2026.4.15 and 2026.9.6).
const THREADS_MAX: usize = 64;

/// Room for about 2,000 children of one process. Further ones, which are the youngest, are left
/// to the passes.
const CHILDREN_BYTES_MAX: usize = 16 * 1024;

/// A number and a newline.
const LAST_PID_BYTES_MAX: usize = 32;

/// Everything below one process, as far as it is known.
///
/// What is noticed is a hint. Not noticed are a process whose parent has ended before the look, a
/// pid that passes from one process to another between two looks, and, below the root, children of
/// threads other than the first: npm, the adapters and `claude` start everything from that one, as
/// the spawn broker of 2026.9.6 does (measured).
#[derive(Debug)]
pub struct Offspring {
    table: Directory,
    root: Option<ProcessId>,
    /// Whose children may be new, besides the root's.
    parents: Vec<i32>,
    /// How many of them had their turn in this round.
    turn: usize,
    /// What the last pass knew, or was told since.
    known: BTreeSet<i32>,
    /// What was seen in this round.
    present: BTreeSet<i32>,
    /// What the kernel called its last pid when this round began.
    last_pid: Vec<u8>,
    buffer: Vec<u8>,
}

impl Offspring {
    /// Looks into the process table at `root`. Returns nothing where the kernel does not tell
    /// children.
    #[must_use]
    pub fn open(root: &Path) -> Option<Offspring> {
        let table = Directory::open(root).ok()?;
        let mut buffer = Vec::new();
        table.read("thread-self/children", CHILDREN_BYTES_MAX, &mut buffer).ok()?;
        Some(Offspring {
            table,
            root: None,
            parents: Vec::new(),
            turn: 0,
            known: BTreeSet::new(),
            present: BTreeSet::new(),
            last_pid: Vec::new(),
            buffer,
        })
    }

    /// Takes in what a pass saw; nothing is new to `None`.
    pub fn retarget(&mut self, lineage: Option<&Lineage>) {
        let root = lineage.map(|lineage| lineage.root);
        if self.root != root {
            self.known.clear();
        }
        self.root = root;
        let descendants = lineage.map_or(&[][..], |lineage| &lineage.descendants);
        self.parents = descendants.iter().map(|id| id.pid).collect();
        // What was told stays known though the pass did not see it: it may be a zombie.
        self.known.extend(&self.parents);
        self.begin_round();
    }

    /// Returns a process below the root that neither the last pass knew nor an earlier call
    /// returned; `None` if there is none. Others that are new are folded into it.
    pub fn newcomer(&mut self) -> Option<i32> {
        let root = self.root?.pid;
        if self.turn == 0 && !self.has_any_begun() {
            return None;
        }
        let before = self.parents.len();
        for thread in self.threads(root) {
            self.look_at(root, thread);
        }
        let last = self.turn + PARENTS_MAX;
        // A newcomer is a parent too, and may have children by now.
        while self.turn < self.parents.len().min(last) {
            let parent = self.parents[self.turn];
            self.look_at(parent, parent);
            self.turn += 1;
        }
        let first = self.parents.get(before).copied();
        if self.turn == self.parents.len() {
            self.known.retain(|pid| self.present.contains(pid));
            self.parents.retain(|pid| self.present.contains(pid));
            self.begin_round();
        }
        first
    }

    fn begin_round(&mut self) {
        self.turn = 0;
        self.present.clear();
    }

    /// Returns false if no process or thread of this host began since the last round did.
    fn has_any_begun(&mut self) -> bool {
        let read = self.table.read("sys/kernel/ns_last_pid", LAST_PID_BYTES_MAX, &mut self.buffer);
        let is_same = read.is_ok() && self.buffer == self.last_pid;
        self.last_pid.clone_from(&self.buffer);
        !is_same
    }

    /// The threads of the root: any of them may start something.
    fn threads(&mut self, root: i32) -> Vec<i32> {
        let mut found = Vec::new();
        let task = self.table.process(root).and_then(|process| process.directory("task"));
        if task.is_ok_and(|task| task.list(&mut found, &mut self.buffer).is_ok()) {
            return found.into_iter().take(THREADS_MAX).map(|thread| thread.pid).collect();
        }
        Vec::new()
    }

    /// Takes in the children that one thread of a process has.
    fn look_at(&mut self, pid: i32, thread: i32) {
        let file = format!("task/{thread}/children");
        if self.table.read_of(pid, &file, CHILDREN_BYTES_MAX, &mut self.buffer).is_err() {
            return;
        }
        for child in children(&self.buffer) {
            self.present.insert(child);
            if self.known.insert(child) {
                self.parents.push(child);
            }
        }
    }
}

/// Each number is followed by a space; the last one may be cut off.
fn children(text: &[u8]) -> impl Iterator<Item = i32> {
    let whole = text.iter().rposition(|&byte| byte == b' ').unwrap_or(0);
    let numbers = text[..whole].split(|&byte| byte == b' ');
    numbers
        .filter_map(|number| std::str::from_utf8(number).ok()?.parse().ok())
        .filter(|&pid| pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::process::captured::Captured;
    use crate::observe::process::family::Family;

    const ROOT: i32 = 100;

    fn lineage(root: i32, descendants: impl IntoIterator<Item = i32>) -> Lineage {
        let id = |pid| ProcessId { pid, start_ticks: 1 };
        Lineage { root: id(root), descendants: descendants.into_iter().map(id).collect() }
    }

    /// A captured table, and what a pass saw in it.
    struct Bed {
        captured: Captured,
        offspring: Offspring,
    }

    impl Bed {
        fn new(descendants: impl IntoIterator<Item = i32>) -> Bed {
            let captured = Captured::new();
            captured.file("thread-self/children", b"");
            let mut offspring = Offspring::open(captured.root()).unwrap();
            offspring.retarget(Some(&lineage(ROOT, descendants)));
            Bed { captured, offspring }
        }

        fn children(&mut self, pid: i32, children: &[u8]) -> &mut Bed {
            self.captured.file(&format!("{pid}/task/{pid}/children"), children);
            self
        }

        #[track_caller]
        fn check(&mut self, want: Option<i32>) {
            assert_eq!(self.offspring.newcomer(), want);
        }
    }

    #[test]
    fn a_new_child_is_told_once_and_one_that_the_pass_saw_never() {
        let mut bed = Bed::new([7]);
        bed.children(ROOT, b"7 ").check(None);
        bed.children(ROOT, b"7 8 ").check(Some(8));
        bed.check(None);
    }

    #[test]
    fn children_of_every_thread_of_the_gateway_are_told() {
        let mut bed = Bed::new([7]);
        bed.children(ROOT, b"7 ");
        bed.captured.file("100/task/105/children", b"8 ");
        bed.check(Some(8));
        bed.check(None);
    }

    #[test]
    fn children_of_old_descendants_are_told_too() {
        let mut bed = Bed::new([7, 8]);
        bed.children(ROOT, b"7 ").children(7, b"8 ").children(8, b"").check(None);
        bed.children(8, b"9 ").check(Some(9));
        bed.check(None);
    }

    #[test]
    fn many_that_are_new_at_once_are_told_as_one() {
        let mut bed = Bed::new([]);
        bed.children(ROOT, b"7 8 ").children(7, b"9 ").children(9, b"10 ").check(Some(7));
        bed.check(None);
        bed.children(10, b"11 ").check(Some(11));
    }

    #[test]
    fn one_that_passes_never_list_is_told_once() {
        let mut bed = Bed::new([7]);
        bed.children(ROOT, b"7 8 ").check(Some(8));
        for seen in [vec![7], vec![7, 8], vec![7], vec![]] {
            bed.offspring.retarget(Some(&lineage(ROOT, seen)));
            bed.check(None);
        }
    }

    #[test]
    fn a_pid_that_is_used_again_is_told_again() {
        let mut bed = Bed::new([7]);
        bed.children(ROOT, b"7 ").check(None);
        bed.children(ROOT, b"").check(None);
        bed.children(ROOT, b"7 ").check(Some(7));
    }

    #[test]
    fn another_gateway_has_nothing_to_do_with_the_last_one() {
        let mut bed = Bed::new([7]);
        bed.children(ROOT, b"7 ").children(200, b"7 ").check(None);
        bed.offspring.retarget(Some(&lineage(200, [])));
        bed.check(Some(7));
        bed.offspring.retarget(None);
        bed.children(200, b"7 9 ").children(7, b"8 ").check(None);
    }

    #[test]
    fn nothing_is_read_while_the_kernel_gave_out_no_pid() {
        let mut bed = Bed::new([]);
        bed.captured.file("sys/kernel/ns_last_pid", b"7\n");
        bed.children(ROOT, b"7 ").check(Some(7));
        bed.children(ROOT, b"7 8 ").check(None);
        bed.captured.file("sys/kernel/ns_last_pid", b"8\n");
        bed.check(Some(8));
    }

    #[test]
    fn everybody_gets_a_turn_below_a_gateway_with_very_many() {
        let mut bed = Bed::new(1001..=1300);
        let all: String = (1001..=1300).map(|pid| format!("{pid} ")).collect();
        bed.children(ROOT, all.as_bytes());
        bed.captured.file("sys/kernel/ns_last_pid", b"7\n");
        bed.children(1300, b"7 ");
        bed.check(None);
        bed.check(None);
        bed.check(Some(7));
        bed.check(None);
        bed.captured.file("sys/kernel/ns_last_pid", b"8\n");
        bed.children(ROOT, format!("{all}8 ").as_bytes()).check(Some(8));
    }

    #[test]
    fn what_makes_no_sense_is_skipped() {
        let mut bed = Bed::new([]);
        bed.children(ROOT, b"-1 0 x 99999999999 \xff  7 12").children(7, b"100 7 ");
        bed.check(Some(7));
        bed.children(7, &[b'9'; CHILDREN_BYTES_MAX * 2]).check(None);
        let long = "12 ".repeat(CHILDREN_BYTES_MAX);
        bed.children(7, long.as_bytes()).check(Some(12));
    }

    #[test]
    fn a_kernel_that_does_not_tell_children_is_not_asked() {
        assert!(Offspring::open(Captured::new().root()).is_none());
        assert!(Offspring::open(Path::new("/nowhere")).is_none());
    }

    /// The kernel tells children as soon as they are forked.
    #[test]
    fn real_children_and_their_children_are_told() {
        let mut family = Family::new();
        let Some(mut offspring) = Offspring::open(Path::new("/proc")) else {
            println!("skipped: this kernel does not tell children");
            return;
        };
        let old = family.child();
        offspring.retarget(Some(&family.lineage(&[old])));
        assert_eq!(offspring.newcomer(), None);
        let new = family.child();
        assert_eq!(offspring.newcomer(), Some(new));
        let (child, grandchild) = family.child_with_child();
        assert_eq!(offspring.newcomer(), Some(child));
        assert!(offspring.known.contains(&grandchild), "noticed in the same look");
        assert_eq!(offspring.newcomer(), None);
    }
}
