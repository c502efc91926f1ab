//! One process, held by a descriptor that can never mean another one.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::stat::Stat;
use crate::act::error::ActError;
use crate::model::ProcessId;

/// How long a process may take until it stands still. It takes microseconds; only one that sleeps
/// uninterruptibly takes longer.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// How often a process that is being stopped is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// A process that is the one we mean.
#[derive(Debug)]
pub(super) struct Pinned {
    pub id: ProcessId,
    fd: OwnedFd,
}

/// What lives under a pid.
#[derive(Debug)]
pub(super) enum Pin {
    /// The process that is meant, and its state letter.
    Held(Pinned, char),
    /// It has ended, reaped or not.
    Gone,
    /// Another process.
    Another,
    /// A process that `/proc` does not list.
    Unseen,
}

/// What became of a process that was told to stop.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// All of its threads stand still.
    Stopped,
    /// It has ended.
    Ended,
    /// A thread of it goes on, in that state.
    GoesOn(char),
}

/// Takes hold of a process.
///
/// The order is the point. Once the descriptor is open it can only ever mean one process; if that
/// one has the right start *afterwards*, so it had when the descriptor was opened.
pub(super) fn pin(id: ProcessId) -> Result<Pin, ActError> {
    let Some(pid) = Some(id.pid).filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
        return Ok(Pin::Another);
    };
    let fd = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(fd) => fd,
        Err(Errno::SRCH) => return Ok(Pin::Gone),
        // The number is that of a thread.
        Err(Errno::NOENT | Errno::INVAL) => return Ok(Pin::Another),
        Err(error) => return Err(ActError::Hold { id, source: error.into() }),
    };
    let pinned = Pinned { id, fd };
    let stat = Stat::of(id.pid).map_err(|source| ActError::Hold { id, source })?;
    // Asked last: what is alive now was so when its stat was read. A zombie takes every signal
    // without an error and without effect.
    if pinned.has_ended()? {
        return Ok(Pin::Gone);
    }
    Ok(match stat {
        Some(stat) if stat.start_ticks == id.start_ticks => Pin::Held(pinned, stat.state),
        Some(_) => Pin::Another,
        None => Pin::Unseen,
    })
}

impl Pinned {
    /// Sends a signal; false if the process is gone.
    pub(super) fn signal(&self, signal: Signal) -> Result<bool, ActError> {
        match pidfd_send_signal(&self.fd, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(error) => Err(ActError::Signal { id: self.id, source: error.into() }),
        }
    }

    /// Waits until a process that was told to stop stands still.
    pub(super) fn wait_until_still(&self) -> Result<Stop, ActError> {
        let begun = Instant::now();
        loop {
            let runs = self.running_thread()?;
            if self.has_ended()? {
                return Ok(Stop::Ended);
            }
            match runs {
                None => return Ok(Stop::Stopped),
                Some(state) if begun.elapsed() > STOP_WITHIN => return Ok(Stop::GoesOn(state)),
                Some(_) => wait_for_one(&[self], LOOK_EVERY)?,
            };
        }
    }

    /// The state of a thread that does not stand still. The first thread stands still before the
    /// others do, and one of those may be in the middle of a fork.
    pub(super) fn running_thread(&self) -> Result<Option<char>, ActError> {
        let threads = Stat::of_threads(self.id.pid);
        let threads = threads.map_err(|source| ActError::Hold { id: self.id, source })?;
        let mut states = threads.iter().map(|thread| thread.state);
        // A thread that has ended may be listed for as long as the others run.
        let runs = states.find(|state| !matches!(state, 'T' | 'Z' | 'X'));
        Ok(if threads.is_empty() { Some('?') } else { runs })
    }

    /// Returns true if it has ended, reaped or not.
    pub(super) fn has_ended(&self) -> Result<bool, ActError> {
        wait_for_one(&[self], Duration::ZERO)
    }
}

/// Waits until one of `processes` has ended, for so long at most, and returns whether one has.
pub(super) fn wait_for_one(processes: &[&Pinned], at_most: Duration) -> Result<bool, ActError> {
    let mut ends: Vec<_> =
        processes.iter().map(|process| PollFd::new(&process.fd, PollFlags::IN)).collect();
    let timeout = Timespec {
        tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(at_most.subsec_nanos()),
    };
    match poll(&mut ends, Some(&timeout)) {
        Ok(ended) => Ok(ended > 0),
        // A signal: whoever waits looks again.
        Err(Errno::INTR) => Ok(false),
        Err(error) => {
            let id = processes.first().map_or(NOBODY, |process| process.id);
            Err(ActError::Wait { id, source: error.into() })
        }
    }
}

const NOBODY: ProcessId = ProcessId { pid: 0, start_ticks: 0 };
