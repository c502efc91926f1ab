//! The kept table: the listing walked along what is known.

use std::cell::OnceCell;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::Process;
use super::files::{Directory, Failure, Listed};
use super::namespace::nested_pid;
use super::reading::{self, Reading};
use super::rota::{Need, Rota};
use super::stat::Stat;

/// All that is known of the listed processes, by pid.
#[derive(Debug, Default)]
pub(in super::super) struct Scan {
    entries: Vec<Entry>,
    unreadable: Vec<i32>,
    /// The last pid whose turn it was; the next refresh goes on behind it.
    turn: i32,
    /// Whether the next refresh reads everything.
    is_distrusted: bool,
    /// Whether the last one did.
    was_full: bool,
    /// Pids under which a process was found to have ended, in this refresh.
    ended: Vec<i32>,
    /// Scratch space, kept so that a refresh allocates nothing for what it knows.
    new: Vec<i32>,
    listed: Vec<Listed>,
    buffer: Vec<u8>,
}

impl Scan {
    pub(in super::super) fn refresh(
        &mut self,
        root: &Path,
        is_live: bool,
        uptime: Option<Duration>,
    ) -> io::Result<()> {
        let table = Directory::open(root)?;
        table.list(&mut self.listed, &mut self.buffer)?;
        if is_live && !lists_ourselves(&self.listed) {
            // `/proc` is not mounted, or another pid namespace's: all would seem gone.
            return Err(io::Error::other("the process table does not list this process"));
        }
        self.renew(&table, uptime);
        self.add_new(&table);
        self.follow_the_ended(&table);
        Ok(())
    }

    pub(in super::super) fn distrust(&mut self) {
        self.is_distrusted = true;
    }

    /// Returns true if the last refresh read everything.
    pub(in super::super) fn was_full(&self) -> bool {
        self.was_full
    }

    /// Returns true if some listed process is in a nested pid namespace and is `pid` there, or may
    /// be: one that has ended since is none, and one that cannot be read may be anything.
    pub(in super::super) fn has_inner_pid(&self, root: &Path, pid: i32) -> bool {
        self.entries
            .iter()
            .filter(|entry| entry.is_listed())
            .any(|entry| entry.is_inner_pid(root, pid))
    }

    pub(in super::super) fn unreadable(&self) -> &[i32] {
        &self.unreadable
    }

    pub(in super::super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.entries.iter().filter(|entry| entry.is_listed()).map(|entry| &entry.reading.process)
    }

    pub(in super::super) fn get(&self, pid: i32) -> Option<&Process> {
        let index = self.entries.binary_search_by_key(&pid, Entry::pid).ok()?;
        let entry = &self.entries[index];
        entry.is_listed().then_some(&entry.reading.process)
    }

    /// Returns how many zombies are children of `pid`.
    pub(in super::super) fn unreaped(&self, pid: i32) -> usize {
        let ended = self.entries.iter().filter(|entry| !entry.is_listed());
        ended.filter(|entry| entry.reading.process.parent == pid).count()
    }

    /// Walks the known along the listing; both are in the order of the pids.
    fn renew(&mut self, table: &Directory, uptime: Option<Duration>) {
        let Scan { entries, unreadable, ended, listed, new, buffer, .. } = self;
        let uptime = uptime.filter(|_| !std::mem::take(&mut self.is_distrusted));
        self.was_full = uptime.is_none() || entries.is_empty();
        let had_their_turn = entries.partition_point(|entry| entry.pid() <= self.turn);
        let mut rota = Rota::new(had_their_turn, entries.len(), uptime);
        self.turn = entries.get(rota.last_turn()).map_or(0, Entry::pid);

        unreadable.clear();
        new.clear();
        let mut listed = listed.iter().peekable();
        entries.retain_mut(|entry| {
            while let Some(other) = listed.next_if(|listed| listed.pid < entry.pid()) {
                new.push(other.pid);
            }
            let Some(found) = listed.next_if(|listed| listed.pid == entry.pid()) else {
                rota.skip();
                ended.push(entry.pid());
                return false;
            };
            let need = rota.need(entry, found.inode);
            let renewed = entry.renew(table, need, buffer, ended);
            if matches!(renewed, Err(Failure::Unreadable)) {
                unreadable.push(found.pid);
            }
            renewed.is_ok()
        });
        new.extend(listed.map(|listed| listed.pid));
    }

    fn add_new(&mut self, table: &Directory) {
        for &pid in &self.new {
            match reading::read(table, pid, &mut self.buffer) {
                Ok(reading) => self.entries.push(Entry::from(reading)),
                Err(Failure::Gone) => {}
                Err(Failure::Unreadable) => self.unreadable.push(pid),
            }
        }
        if !self.new.is_empty() {
            self.entries.sort_by_key(Entry::pid);
        }
    }

    /// Reads the children of the ended again: this is what changes a parent.
    fn follow_the_ended(&mut self, table: &Directory) {
        while !self.ended.is_empty() {
            let mut parents = std::mem::take(&mut self.ended);
            parents.sort_unstable();
            let (buffer, ended) = (&mut self.buffer, &mut self.ended);
            self.entries.retain_mut(|entry| {
                let parent = entry.reading.process.parent;
                !entry.is_listed()
                    || parents.binary_search(&parent).is_err()
                    || entry.renew(table, Need::Turn, buffer, ended).is_ok()
            });
        }
    }
}

fn lists_ourselves(listed: &[Listed]) -> bool {
    let ourselves = i32::try_from(std::process::id()).unwrap_or(0);
    listed.binary_search_by_key(&ourselves, |listed| listed.pid).is_ok()
}

/// A process under one inode. A zombie is kept, though not listed: it never lives again, so it
/// need not be read again.
#[derive(Debug)]
pub(super) struct Entry {
    reading: Reading,
    pub(super) is_openclaw: bool,
    /// Its number in a nested pid namespace, once that was asked for.
    nested: OnceCell<Option<i32>>,
}

impl Entry {
    pub(super) fn inode(&self) -> u64 {
        self.reading.inode
    }

    pub(super) fn start_ticks(&self) -> u64 {
        self.reading.stat.start_ticks
    }

    pub(super) fn is_listed(&self) -> bool {
        !self.reading.stat.has_ended()
    }

    fn pid(&self) -> i32 {
        self.reading.process.id.pid
    }

    fn is_inner_pid(&self, root: &Path, pid: i32) -> bool {
        if let Some(nested) = self.nested.get() {
            return *nested == Some(pid);
        }
        match nested_pid(root, self.pid()) {
            Ok(nested) => *self.nested.get_or_init(|| nested) == Some(pid),
            Err(Failure::Gone) => false,
            Err(Failure::Unreadable) => true,
        }
    }

    /// Reads what is needed again, and notes if the process that was known has ended. What
    /// cannot be read any more, but is still the same process, stays as it was.
    fn renew(
        &mut self,
        table: &Directory,
        need: Need,
        buffer: &mut Vec<u8>,
        ended: &mut Vec<i32>,
    ) -> Result<(), Failure> {
        let before = (self.is_listed(), self.start_ticks(), self.inode());
        let renewed = match need {
            Need::Nothing => return Ok(()),
            Need::Turn => self.renew_stat(table, buffer),
            Need::All | Need::Identity => self.renew_all(table, buffer),
        };
        let renewed = match renewed {
            Err(Failure::Unreadable) if need != Need::Identity => Ok(()),
            other => other,
        };
        let after = (self.is_listed(), self.start_ticks(), self.inode());
        if renewed.is_err() || before != after {
            ended.push(self.pid());
        }
        renewed
    }

    fn renew_all(&mut self, table: &Directory, buffer: &mut Vec<u8>) -> Result<(), Failure> {
        *self = Entry::from(reading::read(table, self.pid(), buffer)?);
        Ok(())
    }

    fn renew_stat(&mut self, table: &Directory, buffer: &mut Vec<u8>) -> Result<(), Failure> {
        let stat = reading::read_stat(table, self.pid(), buffer)?;
        if self.accept(stat) { Ok(()) } else { self.renew_all(table, buffer) }
    }

    /// Takes over a later stat, if it is of the same process and image.
    fn accept(&mut self, stat: Stat) -> bool {
        let Reading { process, stat: known, .. } = &mut self.reading;
        if stat.start_ticks != known.start_ticks || stat.image != known.image {
            return false;
        }
        process.parent = stat.parent;
        process.group = stat.group;
        process.session = stat.session;
        process.tty = stat.tty;
        process.state = stat.state;
        *known = stat;
        true
    }
}

impl From<Reading> for Entry {
    fn from(reading: Reading) -> Entry {
        let is_openclaw = reading.process.is_openclaw();
        Entry { reading, is_openclaw, nested: OnceCell::new() }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::UnixMillis;
    use crate::observe::process::Table;
    use crate::observe::process::captured::Captured;

    use super::*;

    /// All captured processes below begin in the first seconds after the boot.
    const LATER: Option<Duration> = Some(Duration::from_secs(3600));

    fn refresh(table: &mut Table, uptime: Option<Duration>) {
        table.refresh_at(UnixMillis(0), uptime).unwrap();
    }

    fn first_look(captured: &Captured) -> Table {
        let mut table = Table::new(captured.root());
        refresh(&mut table, LATER);
        table
    }

    fn pids(table: &Table) -> Vec<i32> {
        table.iter().map(|process| process.id.pid).collect()
    }

    /// A host that is too large to be read in one turn, with pids from 1000 on.
    fn crowd(size: i32) -> Captured {
        let captured = Captured::new();
        for pid in 1000..1000 + size {
            captured.process(pid, 1, 100, b"before");
        }
        captured
    }

    fn cmdline(table: &Table, pid: i32) -> &[u8] {
        &table.get(pid).unwrap().cmdline
    }

    #[test]
    fn processes_come_and_go_in_the_order_of_their_pids() {
        let captured = Captured::new();
        captured.process(30, 1, 3, b"c").process(4, 1, 1, b"a").process(100, 1, 9, b"d");
        captured.file("stat", b"btime 7\n").file("self/stat", b"").file("12/task/12/stat", b"");
        let mut table = first_look(&captured);
        assert_eq!(pids(&table), [4, 30, 100]);
        captured.without(30).without(100).process(5, 4, 20, b"e");
        refresh(&mut table, LATER);
        assert_eq!(pids(&table), [4, 5]);
        assert_eq!(table.get(30), None);
        assert_eq!(cmdline(&table, 5), b"e");
    }

    #[test]
    fn the_dead_are_not_listed() {
        let captured = Captured::new();
        captured.process(4, 1, 1, b"a").process(5, 1, 1, b"").process(6, 1, 1, b"");
        captured.state(5, 'Z', 1, 1).state(6, 'X', 1, 1);
        let mut table = first_look(&captured);
        assert_eq!(pids(&table), [4]);
        refresh(&mut table, LATER);
        assert_eq!((pids(&table), table.get(5)), (vec![4], None));
    }

    #[test]
    fn one_unreadable_process_is_told_apart_from_none() {
        let captured = Captured::new();
        captured.process(4, 1, 1, b"a").process(5, 1, 1, b"b").file("5/stat", b"torn (");
        let mut table = first_look(&captured);
        assert_eq!((pids(&table), table.unreadable()), (vec![4], &[5][..]));
        captured.process(5, 1, 1, b"b");
        refresh(&mut table, LATER);
        assert_eq!((pids(&table), table.unreadable()), (vec![4, 5], &[][..]));
    }

    #[test]
    fn a_table_that_cannot_be_listed_is_an_error_and_keeps_the_old_one() {
        let captured = Captured::new();
        captured.process(4, 1, 1, b"a");
        let mut table = first_look(&captured);
        table.root.push("4/stat");
        assert!(table.refresh(UnixMillis(0)).is_err());
        assert_eq!(pids(&table), [4]);
    }

    #[test]
    fn a_recycled_pid_is_another_process() {
        let captured = crowd(40);
        let mut table = first_look(&captured);
        let old = table.get(1030).unwrap().id;
        // Made while the old directory is there, the new one has another inode, as in /proc.
        captured.process(9999, 1, 200, b"after").without(1030).renumber(9999, 1030);
        refresh(&mut table, LATER);
        let new = table.get(1030).unwrap();
        assert_ne!(new.id, old);
        assert_eq!(new.cmdline, b"after");
    }

    #[test]
    fn everybody_gets_a_turn_and_a_changed_start_or_image_is_seen() {
        let captured = crowd(40);
        let mut table = first_look(&captured);
        captured.process(1010, 1, 101, b"after").process(1039, 1, 101, b"after");
        refresh(&mut table, LATER);
        assert_eq!(cmdline(&table, 1010), b"after", "of the first 16");
        assert_eq!(cmdline(&table, 1039), b"before", "not its turn yet");
        for _ in 0..2 {
            refresh(&mut table, LATER);
        }
        assert_eq!(cmdline(&table, 1039), b"after");
        captured.process(1010, 1, 102, b"again");
        refresh(&mut table, LATER);
        assert_eq!(cmdline(&table, 1010), b"again", "the turns begin anew");
    }

    #[test]
    fn the_young_are_read_whole_each_time() {
        let captured = crowd(40);
        let mut table = first_look(&captured);
        captured.file("1039/cmdline", b"openclaw-gateway\0\0");
        let begun = super::super::after_boot(100);
        refresh(&mut table, Some(begun + Duration::from_secs(61)));
        assert_eq!(cmdline(&table, 1039), b"before", "a minute old");
        refresh(&mut table, Some(begun + Duration::from_secs(60)));
        assert!(table.get(1039).unwrap().has_gateway_title());
    }

    #[test]
    fn openclaws_own_are_read_whole_each_time() {
        let captured = crowd(40);
        captured.process(1039, 1, 100, b"node\0/x/openclaw.mjs\0gateway\0");
        let mut table = first_look(&captured);
        captured.process(1039, 1000, 100, b"openclaw-gateway\0");
        refresh(&mut table, LATER);
        let gateway = table.get(1039).unwrap();
        assert!(gateway.has_gateway_title());
        assert_eq!(gateway.parent, 1000);
    }

    #[test]
    fn orphans_and_their_orphans_have_their_new_parent_at_once() {
        let captured = crowd(40);
        captured.process(1031, 1038, 100, b"x").process(1039, 1031, 100, b"x");
        let mut table = first_look(&captured);
        captured.without(1038).state(1031, 'Z', 1, 100).state(1039, 'S', 1, 100);
        refresh(&mut table, LATER);
        assert_eq!(table.get(1031), None);
        assert_eq!(table.get(1039).unwrap().parent, 1);
    }

    #[test]
    fn distrust_and_a_missing_uptime_read_everything() {
        let captured = crowd(40);
        let mut table = first_look(&captured);
        captured.file("1039/cmdline", b"one");
        table.distrust();
        refresh(&mut table, LATER);
        assert_eq!(cmdline(&table, 1039), b"one");
        captured.file("1039/cmdline", b"two");
        refresh(&mut table, LATER);
        assert_eq!(cmdline(&table, 1039), b"one", "distrust is for one refresh");
        refresh(&mut table, None);
        assert_eq!(cmdline(&table, 1039), b"two");
    }

    #[test]
    fn a_hostile_command_line_is_bounded_and_kept_as_bytes() {
        let captured = Captured::new();
        captured.process(4, 1, 1, &vec![b'x'; 1 << 20]).process(5, 1, 1, b"\xff\xfe\0\x1b[2J");
        let table = first_look(&captured);
        assert_eq!(cmdline(&table, 4).len(), 64 * 1024);
        assert_eq!(
            table.get(5).unwrap().argv().collect::<Vec<_>>(),
            [&b"\xff\xfe"[..], b"\x1b[2J"]
        );
    }
}
