//! Processes as these tests see them themselves, without the code under test.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Signal, pidfd_getfd, pidfd_open, pidfd_send_signal,
};

use crate::wait::until;

/// One life of one process.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    ticks: u64,
}

/// What `/proc/PID/stat` says, as far as it is used here.
#[derive(Debug)]
pub(crate) struct Stat {
    pub(crate) comm: String,
    pub(crate) state: char,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    pub(crate) session: i32,
    terminal: i32,
    ticks: u64,
}

/// Who has the other end of a descriptor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// Somebody, or nobody yet.
    Open,
    /// Nobody, for ever.
    Closed,
    /// It has a name and can be opened again, or is a terminal.
    Named,
}

impl Process {
    /// The process that lives under `pid` now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let stat = Stat::of(pid).filter(Stat::is_alive)?;
        Some(Self { pid, ticks: stat.ticks })
    }

    /// Its id in reports.
    pub(crate) fn subject(&self) -> String {
        format!("{}@{}", self.pid, self.ticks)
    }

    pub(crate) fn stat(&self) -> Option<Stat> {
        Stat::of(self.pid).filter(|stat| stat.ticks == self.ticks && stat.is_alive())
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.stat().is_some()
    }

    /// Its parent's pid; 0 if it has ended.
    pub(crate) fn parent(&self) -> i32 {
        self.stat().map_or(0, |stat| stat.parent)
    }

    pub(crate) fn has_terminal(&self) -> bool {
        self.stat().is_some_and(|stat| stat.terminal != 0)
    }

    pub(crate) fn is_traced(&self) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        tracer.is_some_and(|pid| pid.trim() != "0")
    }

    /// How long it has been there.
    pub(crate) fn age(&self) -> Duration {
        let up = fs::read_to_string("/proc/uptime").unwrap();
        let up: f64 = up.split(' ').next().unwrap().parse().unwrap();
        // Start ticks are hundredths of a second on every Linux that is in use.
        Duration::from_secs_f64((up - self.ticks as f64 / 100.0).max(0.0))
    }

    /// Its arguments; what is padding of a title is left out.
    pub(crate) fn argv(&self) -> Vec<String> {
        let text = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
    }

    /// One variable of the environment it was started with.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let environ = fs::read(format!("/proc/{}/environ", self.pid)).ok()?;
        let environ = String::from_utf8_lossy(&environ).into_owned();
        let prefix = format!("{name}=");
        environ.split('\0').find_map(|variable| variable.strip_prefix(&prefix).map(str::to_owned))
    }

    pub(crate) fn cwd(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/{}/cwd", self.pid)).ok()
    }

    /// It and everything below it.
    pub(crate) fn with_descendants(&self) -> Vec<Process> {
        let mut found = vec![*self];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            found.extend(all().into_iter().filter(|child| {
                child.parent() == parent.pid && child.ticks >= parent.ticks && *child != parent
            }));
            next += 1;
        }
        found
    }

    /// What it is in a tree of an agent.
    pub(crate) fn role(&self) -> &'static str {
        let comm = self.stat().map(|stat| stat.comm).unwrap_or_default();
        let argv = self.argv();
        let is_adapter = |argument: &String| {
            argument.ends_with("claude-agent-acp/dist/index.js")
                || argument.ends_with(".bin/claude-agent-acp")
        };
        match (comm.as_str(), argv.first().map_or("", |program| program)) {
            ("claude", _) => "claude",
            ("openclaw-gatewa", _) => "gateway",
            (_, program) if program.starts_with("npm exec") => "npm",
            _ if argv.iter().any(|argument| argument.ends_with("-acp-wrapper.mjs")) => "wrapper",
            _ if argv.iter().any(|argument| argument == "__queue-owner") => "queue owner",
            _ if argv.iter().any(|argument| argument.ends_with("lab/mcp.py")) => "server",
            _ if argv.get(1).is_some_and(is_adapter) => "adapter",
            ("sh" | "bash", _) => "shell",
            ("sleep", _) => "tool",
            _ => "other",
        }
    }

    /// The other ends of its standard input and output, unless it has ended: asked by a poll of
    /// copies, where the code under test asks the kernel's socket tables.
    pub(crate) fn peers(&self) -> Option<[Peer; 2]> {
        Some([self.peer(0).ok()?, self.peer(1).ok()?])
    }

    fn peer(&self, fd: i32) -> io::Result<Peer> {
        let link = fs::read_link(format!("/proc/{}/fd/{fd}", self.pid))?;
        let link = link.to_string_lossy();
        if !link.starts_with("socket:") && !link.starts_with("pipe:") {
            return Ok(Peer::Named);
        }
        let copy = pidfd_getfd(self.open()?, fd, PidfdGetfdFlags::empty())?;
        let mut polled = [PollFd::from_borrowed_fd(copy.as_fd(), PollFlags::empty())];
        poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        let gone = polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR);
        Ok(if gone { Peer::Closed } else { Peer::Open })
    }

    /// Whether nobody can talk to it, nor hear it.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.peers() == Some([Peer::Closed; 2])
    }

    /// Sends `signal` to this process, or to none.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Ok(process) = self.open() {
            // It may end between the look and the signal, which is then lost.
            let _ = pidfd_send_signal(&process, signal);
        }
    }

    /// SIGKILL; returns once it is gone.
    #[track_caller]
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        self.wait_for_end(Duration::from_secs(20));
    }

    #[track_caller]
    pub(crate) fn wait_for_end(&self, limit: Duration) {
        until("a process ends", limit, || (!self.is_alive()).then_some(()));
    }

    /// The descriptor first, its identity after: what is held then is this process.
    fn open(&self) -> io::Result<OwnedFd> {
        let pid = Pid::from_raw(self.pid).ok_or(io::ErrorKind::InvalidInput)?;
        let process = pidfd_open(pid, PidfdFlags::empty())?;
        if self.is_alive() { Ok(process) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(stat) = self.stat() else { return write!(f, "{} has ended", self.subject()) };
        let (role, subject) = (self.role(), self.subject());
        let Stat { comm, state, parent, group, session, .. } = stat;
        write!(f, "{role} {subject} ({comm}) {state} parent {parent} group {group} sid {session}")
    }
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let (head, tail) = text.rsplit_once(')')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        Some(Self {
            comm: head.split_once('(')?.1.to_owned(),
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            terminal: fields.get(4)?.parse().ok()?,
            ticks: fields.get(19)?.parse().ok()?,
        })
    }

    fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X')
    }
}

/// Every process of this host.
pub(crate) fn all() -> Vec<Process> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Process::of).collect()
}

/// Those of `processes` that are of `role`.
pub(crate) fn of_role(processes: &[Process], role: &str) -> Vec<Process> {
    processes.iter().copied().filter(|process| process.role() == role).collect()
}

/// How many processes there are of each role, for messages.
pub(crate) fn roles(processes: &[Process]) -> BTreeMap<&'static str, usize> {
    let mut counted = BTreeMap::new();
    for process in processes {
        *counted.entry(process.role()).or_default() += 1;
    }
    counted
}

/// `processes` that are not among `others`.
pub(crate) fn without(processes: Vec<Process>, others: &[Process]) -> Vec<Process> {
    processes.into_iter().filter(|process| !others.contains(process)).collect()
}
