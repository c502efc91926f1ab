//! The kept table.
//!
//! What the kernel says of a process costs one call each and is asked of all in each refresh, so
//! every refresh identifies every process. Arguments cost far more and are kept, and read again:
//!
//! - in each refresh for processes younger than a minute (exec keeps pid and start, titles are set
//!   late) and for OpenClaw's own;
//! - when the name shows another image;
//! - in turn for one process in 128 and at least 16 per refresh.

use std::io;
use std::time::Duration;

use super::super::Process;
use super::arguments::Arguments;
use super::kinfo::Kinfo;
use super::{Kernel, Presence};

/// Until this age the arguments are read in every refresh.
const YOUNG: Duration = Duration::from_secs(60);

/// One in so many is read in its turn, and at least so many.
const SHARE: usize = 128;
const LEAST: usize = 16;

/// More processes than any Mac allows (`kern.maxproc` is a few thousand).
const PIDS_MAX: usize = 100_000;

/// All that is known of the listed processes, by pid.
#[derive(Debug, Default)]
pub(in super::super) struct Scan {
    entries: Vec<Entry>,
    unreadable: Vec<i32>,
    /// The last pid whose turn it was.
    turn: i32,
    is_distrusted: bool,
    was_full: bool,
}

#[derive(Debug)]
struct Entry {
    process: Process,
    /// The name of its image; empty if captured.
    image: [u8; 17],
}

impl Scan {
    /// Reads the table again, `now` after 1970; without a time all is read anew. The table must
    /// list `ourselves`.
    pub(in super::super) fn ask(
        &mut self,
        kernel: &impl Kernel,
        ourselves: i32,
        now: Option<Duration>,
    ) -> io::Result<()> {
        let pids = list(kernel, ourselves)?;
        let now = now.filter(|_| !std::mem::take(&mut self.is_distrusted));
        self.was_full = now.is_none() || self.entries.is_empty();
        self.unreadable.clear();
        let turns = self.turns();

        let mut found = Vec::with_capacity(pids.len());
        let mut wanted = Vec::new();
        for pid in pids {
            match self.identify(kernel, pid) {
                Seen::Process(entry, is_known) => {
                    let is_due = turns.contains(&pid) || needs_reading(&entry.process, now);
                    if !is_known || is_due {
                        wanted.push(pid);
                    }
                    found.push(entry);
                }
                Seen::Nothing => {}
                Seen::Unreadable => self.unreadable.push(pid),
            }
        }
        self.entries = found;
        let arguments = kernel.arguments(&wanted);
        let our_uid = self.get(ourselves).map(|process| process.uid);
        let is_silent = |pid: &i32| !arguments.iter().any(|(read, _)| read == pid);
        let is_ours = |pid: &i32| self.get(*pid).map(|process| process.uid) == our_uid;
        let silent: Vec<i32> = wanted.into_iter().filter(is_silent).filter(is_ours).collect();
        self.take(kernel, arguments, silent);
        Ok(())
    }

    /// Takes over a captured table.
    pub(in super::super) fn replace(&mut self, mut processes: Vec<Process>, unreadable: Vec<i32>) {
        processes.sort_by_key(|process| process.id.pid);
        let entry = |process| Entry { process, image: [0; 17] };
        self.entries = processes.into_iter().map(entry).collect();
        self.unreadable = unreadable;
        self.was_full = true;
    }

    pub(in super::super) fn distrust(&mut self) {
        self.is_distrusted = true;
    }

    pub(in super::super) fn was_full(&self) -> bool {
        self.was_full
    }

    pub(in super::super) fn unreadable(&self) -> &[i32] {
        &self.unreadable
    }

    pub(in super::super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.entries.iter().map(|entry| &entry.process)
    }

    pub(in super::super) fn get(&self, pid: i32) -> Option<&Process> {
        self.entry(pid).map(|entry| &entry.process)
    }

    /// Returns zero: what has ended is not kept.
    #[cfg_attr(not(target_os = "macos"), expect(dead_code, reason = "asked on macOS only"))]
    pub(in super::super) fn unreaped(&self, _pid: i32) -> usize {
        0
    }

    fn entry(&self, pid: i32) -> Option<&Entry> {
        let index = self.entries.binary_search_by_key(&pid, |entry| entry.process.id.pid).ok()?;
        self.entries.get(index)
    }

    /// Returns the pids whose turn it is, and remembers the last of them.
    fn turns(&mut self) -> Vec<i32> {
        let pid = |entry: &Entry| entry.process.id.pid;
        let first = self.entries.partition_point(|entry| pid(entry) <= self.turn);
        let most = (self.entries.len() / SHARE).max(LEAST);
        let turns: Vec<i32> = self.entries[first..].iter().take(most).map(pid).collect();
        self.turn = if turns.len() < most { 0 } else { turns.last().copied().unwrap_or(0) };
        turns
    }

    /// Asks who bears the pid now, with the arguments that are known of it.
    fn identify(&self, kernel: &impl Kernel, pid: i32) -> Seen {
        let Some(kinfo) = kernel.kinfo(pid).filter(|kinfo| kinfo.pid == pid) else {
            return match kernel.presence(pid) {
                Presence::Absent => Seen::Nothing,
                Presence::There | Presence::Unknown => Seen::Unreadable,
            };
        };
        if kinfo.has_ended() {
            return Seen::Nothing;
        }
        let known = self.entry(pid).filter(|known| is_same(known, &kinfo));
        let cmdline = known.map_or_else(Vec::new, |known| known.process.cmdline.clone());
        // It ended since, if it has none: what is not known is nobody's session.
        let session = kernel.session(pid).unwrap_or(0);
        match kinfo.process(session, cmdline) {
            Some(mut process) => {
                process.program =
                    known.map_or_else(Vec::new, |known| known.process.program.clone());
                Seen::Process(Entry { process, image: kinfo.name }, known.is_some())
            }
            None => Seen::Unreadable,
        }
    }

    /// Takes over what was read, and identifies the processes again: a pid may have passed to
    /// another one meanwhile. Those of our own user that told nothing are `lost`, too.
    fn take(&mut self, kernel: &impl Kernel, arguments: Vec<(i32, Arguments)>, mut lost: Vec<i32>) {
        for (pid, arguments) in arguments {
            let place = self.entries.binary_search_by_key(&pid, |entry| entry.process.id.pid);
            let Some(entry) = place.ok().and_then(|place| self.entries.get_mut(place)) else {
                continue;
            };
            match kernel.kinfo(pid) {
                Some(kinfo) if is_same(entry, &kinfo) => {
                    entry.process.cmdline = arguments.cmdline;
                    entry.process.program = arguments.program;
                }
                _ => lost.push(pid),
            }
        }
        // Whoever it is now is new and will be read in the next refresh.
        let is_lost = |pid: i32| lost.contains(&pid);
        self.entries.retain(|entry| !is_lost(entry.process.id.pid));
        let there = lost.iter().copied().filter(|pid| !has_ended(kernel, *pid));
        self.unreadable.extend(there);
    }
}

/// What was found under a listed pid.
enum Seen {
    /// A process, and whether it is the one that was known.
    Process(Entry, bool),
    /// It has ended.
    Nothing,
    Unreadable,
}

fn list(kernel: &impl Kernel, ourselves: i32) -> io::Result<Vec<i32>> {
    let mut pids = kernel.pids()?;
    // Zero is the kernel itself.
    pids.retain(|pid| *pid > 0);
    pids.sort_unstable();
    pids.dedup();
    if pids.len() > PIDS_MAX {
        return Err(io::Error::other("the process table is longer than any that is possible"));
    }
    if pids.binary_search(&ourselves).is_err() {
        return Err(io::Error::other("the process table does not list this process"));
    }
    Ok(pids)
}

/// Returns true if both are of one process and image.
fn is_same(known: &Entry, kinfo: &Kinfo) -> bool {
    kinfo.id() == Some(known.process.id) && kinfo.name == known.image && !kinfo.has_ended()
}

fn has_ended(kernel: &impl Kernel, pid: i32) -> bool {
    kernel.presence(pid) == Presence::Absent
        || kernel.kinfo(pid).is_some_and(|kinfo| kinfo.has_ended())
}

fn needs_reading(process: &Process, now: Option<Duration>) -> bool {
    let Some(now) = now else { return true };
    let started = Duration::from_micros(process.id.start_ticks);
    process.is_openclaw() || now.saturating_sub(started) < YOUNG
}

#[cfg(test)]
mod tests {
    use super::super::scripted::{Scripted, kinfo};
    use super::*;

    const US: i32 = 2;
    const LATER: Option<Duration> = Some(Duration::from_secs(1_795_003_600));

    fn crowd(size: i32) -> Scripted {
        let kernel = Scripted::default().runs(kinfo(US), &["clawarden"]);
        (1000..1000 + size).fold(kernel, |kernel, pid| kernel.runs(kinfo(pid), &["before"]))
    }

    fn refresh(kept: &mut Scan, kernel: &Scripted, now: Option<Duration>) {
        kernel.read.borrow_mut().clear();
        kept.ask(kernel, US, now).unwrap();
    }

    fn first_look(kernel: &Scripted) -> Scan {
        let mut kept = Scan::default();
        refresh(&mut kept, kernel, LATER);
        assert!(kept.was_full());
        kept
    }

    fn pids(kept: &Scan) -> Vec<i32> {
        kept.iter().map(|process| process.id.pid).collect()
    }

    fn cmdline(kept: &Scan, pid: i32) -> &str {
        std::str::from_utf8(&kept.get(pid).unwrap().cmdline).unwrap()
    }

    #[test]
    fn processes_come_and_go_in_the_order_of_their_pids() {
        let mut kernel = crowd(2).runs(kinfo(5), &["a", "b"]);
        let mut kept = first_look(&kernel);
        assert_eq!((pids(&kept), cmdline(&kept, 5)), (vec![2, 5, 1000, 1001], "a\0b"));
        kernel.end(1000);
        kernel.set(0, kinfo(7), &["new"]);
        refresh(&mut kept, &kernel, LATER);
        assert_eq!((pids(&kept), cmdline(&kept, 7)), (vec![2, 5, 7, 1001], "new"));
        assert_eq!(kept.get(1000), None);
        assert!(!kept.was_full());
    }

    #[test]
    fn zombies_and_the_kernel_itself_are_not_listed() {
        let kernel = crowd(0).runs(Kinfo { status: 5, ..kinfo(7) }, &[]).runs(kinfo(0), &[]);
        assert_eq!(pids(&first_look(&kernel)), [US]);
    }

    #[test]
    fn what_is_there_but_cannot_be_read_is_said() {
        let mut kernel = crowd(0).runs(kinfo(7), &["x"]).runs(kinfo(8), &["x"]);
        kernel.hide(7);
        kernel.refuse(9);
        kernel = kernel.runs(Kinfo { start: (0, 0), ..kinfo(9) }, &["x"]);
        let kept = first_look(&kernel);
        assert_eq!((pids(&kept), kept.unreadable()), (vec![US, 8], &[7, 9][..]));
    }

    #[test]
    fn a_table_without_ourselves_is_an_error_and_keeps_the_old_one() {
        let mut kernel = crowd(1);
        let mut kept = first_look(&kernel);
        kernel.end(US);
        assert!(kept.ask(&kernel, US, LATER).is_err());
        assert_eq!(pids(&kept), [US, 1000]);
    }

    #[test]
    fn a_recycled_pid_and_another_image_are_read_anew() {
        let mut kernel = crowd(40);
        let mut kept = first_look(&kernel);
        let old = kept.get(1030).unwrap().id;
        kernel.set(0, Kinfo { start: (1_795_000_100, 0), ..kinfo(1030) }, &["other"]);
        kernel.set(0, Kinfo { name: [b'x'; 17], ..kinfo(1031) }, &["image"]);
        refresh(&mut kept, &kernel, LATER);
        assert_ne!(kept.get(1030).unwrap().id, old);
        assert_eq!((cmdline(&kept, 1030), cmdline(&kept, 1031)), ("other", "image"));
    }

    #[test]
    fn everybody_gets_a_turn() {
        let mut kernel = crowd(40);
        let mut kept = first_look(&kernel);
        for pid in [1001, 1039] {
            kernel.set(0, kinfo(pid), &["after"]);
        }
        refresh(&mut kept, &kernel, LATER);
        assert_eq!((cmdline(&kept, 1001), cmdline(&kept, 1039)), ("after", "before"));
        assert_eq!(kernel.read.borrow().len(), LEAST);
        for _ in 0..2 {
            refresh(&mut kept, &kernel, LATER);
        }
        assert_eq!(cmdline(&kept, 1039), "after");
        kernel.set(0, kinfo(1001), &["again"]);
        refresh(&mut kept, &kernel, LATER);
        assert_eq!(cmdline(&kept, 1001), "again", "the turns begin anew");
    }

    #[test]
    fn the_young_and_openclaws_own_are_read_each_time() {
        let mut kernel = crowd(40);
        kernel.set(0, kinfo(1038), &["openclaw-gateway"]);
        let mut kept = first_look(&kernel);
        let at = |seconds: u64| Some(Duration::from_secs(1_795_000_000 + seconds));
        for pid in [1038, 1039] {
            kernel.set(0, kinfo(pid), &["after"]);
        }
        refresh(&mut kept, &kernel, at(61));
        assert_eq!((cmdline(&kept, 1038), cmdline(&kept, 1039)), ("after", "before"));
        kept.turn = 0;
        refresh(&mut kept, &kernel, at(60));
        assert_eq!(cmdline(&kept, 1039), "after");
    }

    #[test]
    fn distrust_reads_everything_once() {
        let mut kernel = crowd(40);
        let mut kept = first_look(&kernel);
        kernel.set(0, kinfo(1039), &["after"]);
        kept.distrust();
        refresh(&mut kept, &kernel, LATER);
        assert!(kept.was_full());
        assert_eq!((cmdline(&kept, 1039), kernel.read.borrow().len()), ("after", 41));
        refresh(&mut kept, &kernel, LATER);
        assert!(!kept.was_full());
    }

    #[test]
    fn arguments_of_another_process_are_never_taken() {
        let later = Kinfo { start: (1_795_000_001, 0), ..kinfo(7) };
        let kernel = crowd(0).runs(kinfo(7), &["claude"]).becomes(1, later, &["vim"]);
        let mut kept = first_look(&kernel);
        assert_eq!((kept.get(7), kept.unreadable()), (None, &[7][..]));
        refresh(&mut kept, &kernel, LATER);
        assert_eq!((cmdline(&kept, 7), kept.unreadable()), ("vim", &[][..]));
    }

    #[test]
    fn of_our_own_user_silence_is_said_and_of_others_it_is_usual() {
        let mut kernel = crowd(0).runs(kinfo(7), &["x"]);
        kernel = kernel.runs(Kinfo { uid: 0, ..kinfo(8) }, &["root's"]);
        kernel.silence(7);
        kernel.silence(8);
        let kept = first_look(&kernel);
        assert_eq!((pids(&kept), kept.unreadable()), (vec![US, 8], &[7][..]));
        assert_eq!(cmdline(&kept, 8), "");
    }

    #[test]
    fn what_ends_while_it_is_read_is_gone() {
        let zombie = Kinfo { status: 5, ..kinfo(7) };
        let kernel = crowd(0).runs(kinfo(7), &["claude"]).becomes(1, zombie, &[]);
        let kept = first_look(&kernel);
        assert_eq!((pids(&kept), kept.unreadable()), (vec![US], &[][..]));
    }

    #[test]
    fn parent_group_and_state_are_of_now() {
        let mut kernel = crowd(40);
        let mut kept = first_look(&kernel);
        kernel.set(0, Kinfo { parent: 9, group: 8, status: 4, ..kinfo(1039) }, &["x"]);
        refresh(&mut kept, &kernel, LATER);
        let process = kept.get(1039).unwrap();
        assert_eq!((process.parent, process.group, process.state), (9, 8, 'T'));
        assert_eq!((process.session, process.tty, process.uid), (8, 0, 501));
    }

    #[test]
    fn a_captured_table_is_taken_as_it_is() {
        let mut kept = Scan::default();
        let process = |pid| kinfo(pid).process(1, b"x".to_vec()).unwrap();
        kept.replace(vec![process(9), process(3)], vec![7]);
        assert_eq!((pids(&kept), kept.unreadable()), (vec![3, 9], &[7][..]));
        assert!(kept.was_full() && kept.get(9).is_some());
    }
}
