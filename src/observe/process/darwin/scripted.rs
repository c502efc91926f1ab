//! A made-up Darwin kernel for tests.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use super::arguments::Arguments;
use super::kinfo::Kinfo;
use super::{Kernel, Presence, Usage};

/// A process asleep in the sense of Darwin, that began `pid` microseconds after a full second.
pub(super) fn kinfo(pid: i32) -> Kinfo {
    Kinfo {
        pid,
        start: (1_795_000_000, pid),
        flags: 0x4004,
        status: 2,
        name: *b"node\0\0\0\0\0\0\0\0\0\0\0\0\0",
        parent: 1,
        group: pid,
        terminal: -1,
        uid: 501,
    }
}

/// What every process uses.
pub(super) const USAGE: Usage = Usage { cpu: Duration::from_millis(30), resident: 4096 };

/// Says what it is told to.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    lives: BTreeMap<i32, Vec<Life>>,
    hidden: BTreeSet<i32>,
    refused: BTreeSet<i32>,
    silent: BTreeSet<i32>,
    asked: RefCell<BTreeMap<i32, usize>>,
    /// Of how many pids the arguments were read.
    pub(super) read: RefCell<Vec<i32>>,
}

#[derive(Debug)]
struct Life {
    /// After so many questions for the facts.
    after: usize,
    kinfo: Kinfo,
    arguments: Arguments,
}

impl Scripted {
    pub(super) fn runs(self, kinfo: Kinfo, arguments: &[&str]) -> Scripted {
        self.becomes(0, kinfo, arguments)
    }

    /// Answers otherwise once it was asked so often.
    pub(super) fn becomes(mut self, after: usize, kinfo: Kinfo, arguments: &[&str]) -> Scripted {
        self.set(after, kinfo, arguments);
        self
    }

    pub(super) fn set(&mut self, after: usize, kinfo: Kinfo, arguments: &[&str]) {
        let strings = arguments.iter().map(|argument| argument.as_bytes());
        let life = Life { after, kinfo, arguments: Arguments::new(strings, []) };
        self.lives.entry(kinfo.pid).or_default().push(life);
    }

    pub(super) fn end(&mut self, pid: i32) {
        self.lives.remove(&pid);
    }

    /// Tells nothing of `pid` but that it is there.
    pub(super) fn hide(&mut self, pid: i32) {
        self.hidden.insert(pid);
    }

    /// Fails for another reason than ESRCH and EPERM.
    pub(super) fn refuse(&mut self, pid: i32) {
        self.refused.insert(pid);
    }

    /// Tells neither arguments nor usage of `pid`.
    pub(super) fn silence(&mut self, pid: i32) {
        self.silent.insert(pid);
    }

    fn life(&self, pid: i32) -> Option<&Life> {
        let asked = self.asked.borrow().get(&pid).copied().unwrap_or(0);
        self.lives.get(&pid)?.iter().rfind(|life| life.after <= asked)
    }
}

impl Kernel for Scripted {
    fn pids(&self) -> io::Result<Vec<i32>> {
        Ok(self.lives.keys().rev().copied().collect())
    }

    fn kinfo(&self, pid: i32) -> Option<Kinfo> {
        let kinfo = self.life(pid)?.kinfo;
        *self.asked.borrow_mut().entry(pid).or_default() += 1;
        (!self.hidden.contains(&pid)).then_some(kinfo)
    }

    fn presence(&self, pid: i32) -> Presence {
        match self.life(pid) {
            _ if self.refused.contains(&pid) => Presence::Unknown,
            Some(_) => Presence::There,
            None => Presence::Absent,
        }
    }

    fn session(&self, pid: i32) -> Option<i32> {
        self.life(pid).map(|life| life.kinfo.group)
    }

    fn arguments(&self, pids: &[i32]) -> Vec<(i32, Arguments)> {
        self.read.borrow_mut().extend(pids);
        let told = pids.iter().filter(|pid| !self.silent.contains(pid));
        told.filter_map(|&pid| Some((pid, self.life(pid)?.arguments.clone()))).collect()
    }

    fn usage(&self, pid: i32) -> Option<Usage> {
        (!self.silent.contains(&pid) && self.life(pid).is_some()).then_some(USAGE)
    }
}
