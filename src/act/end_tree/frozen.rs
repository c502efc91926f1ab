//! A tree of processes that is stopped, all of it or part of it.

use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal as NixSignal};
use rustix::process::Signal;

use super::notes::{Note, Notes};
use super::pinned::{Pin, Pinned, Stop, pin, wait_for_one};
use super::{Halt, untouchable};
use crate::act::{ActError, Actuator, Step};
use crate::model::{Guard, Member, ProcessId};

/// A tree that still grows after so many looks makes processes faster than they can be stopped.
const ROUNDS_MAX: usize = 16;

/// Most processes of one tree. Real ones have fewer than ten.
pub(super) const MEMBERS_MAX: usize = 512;

/// How often it is asked whether there is a hurry.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// A tree of processes, held. Whatever becomes of this, also in a panic: none of them stands still
/// because of us afterwards.
///
/// Parents are stopped before their children, and run, or end, after them. When one ends that
/// was all that bound its process group to the session, the kernel sends SIGHUP to the whole group
/// if anything in it stands still at that moment; and such a group may hold others than ours.
pub(super) struct Frozen<'a> {
    actuator: &'a Actuator<'a>,
    notes: Notes,
    members: Vec<Held>,
    /// Everything that was ever seen in the tree.
    known: Vec<ProcessId>,
    /// SIGTERM was sent.
    is_ending: bool,
    deaf: Option<Deaf>,
}

/// One process of the tree.
pub(super) struct Held {
    /// The process.
    pub process: Pinned,
    /// What it held before the first signal, in bytes.
    pub memory: Option<u64>,
    /// It has ended.
    pub has_ended: bool,
    /// SIGKILL was sent.
    pub was_killed: bool,
    /// It stands still because of us.
    is_stopped: bool,
}

/// Why a wait is over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waited {
    /// All have ended.
    AllEnded,
    /// So much for that.
    TimeOver,
    /// Somebody waits for us.
    Hurried,
}

impl<'a> Frozen<'a> {
    /// Holds nothing yet. `known` is the tree as it was judged.
    pub(super) fn new(actuator: &'a Actuator<'a>, notes: Notes, known: Vec<ProcessId>) -> Self {
        Frozen { actuator, notes, members: Vec::new(), known, is_ending: false, deaf: None }
    }

    /// Every process that was held, in the order in which they were found.
    pub(super) fn members(&self) -> &[Held] {
        &self.members
    }

    /// Everything that was ever seen in the tree.
    pub(super) fn known(&self) -> &[ProcessId] {
        &self.known
    }

    /// Returns true if SIGTERM was sent: what was begun is not taken back.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }

    /// Stops everything, until a look at all of it finds nothing that runs and nothing that must
    /// not be signalled.
    pub(super) fn freeze(&mut self) -> Result<(), Halt> {
        self.deaf.get_or_insert_with(Deaf::new);
        for _ in 0..ROUNDS_MAX {
            if (self.actuator.hurry)() {
                return Err(Halt::changed("asked to stop"));
            }
            let running = self.running()?;
            if running.is_empty() {
                return Ok(());
            }
            let found = self.hold(&running)?;
            self.stop(&found)?;
        }
        Err(Halt::changed("it keeps starting processes"))
    }

    /// Returns the processes that we have stopped.
    pub(super) fn stopped(&self) -> Vec<ProcessId> {
        let stopped = self.members.iter().filter(|member| member.is_stopped);
        stopped.map(|member| member.process.id).collect()
    }

    /// Looks at the whole tree and returns what of it runs.
    fn running(&mut self) -> Result<Vec<ProcessId>, Halt> {
        let stopped = self.stopped();
        let tree = look(self.actuator, &self.known, &stopped, |guard| {
            // SIGKILL waits for what sleeps uninterruptibly, and SIGTERM has been sent to it.
            !(self.is_ending && *guard == Guard::Uninterruptible)
        })?;
        let new = tree.iter().map(|member| member.id).filter(|id| !self.known.contains(id));
        let new: Vec<_> = new.collect();
        self.known.extend(new);
        Ok(tree.iter().map(|member| member.id).filter(|id| !stopped.contains(id)).collect())
    }

    /// Takes hold of processes, and returns which members they are. One that was held before is
    /// held by the same descriptor.
    fn hold(&mut self, running: &[ProcessId]) -> Result<Vec<usize>, Halt> {
        let never = untouchable::pids(self.actuator.own);
        let never = never.map_err(|error| {
            Halt::Changed(format!("what is above clawarden cannot be told: {error}"))
        })?;
        let mut found = Vec::new();
        for &id in running {
            if never.contains(&id.pid) {
                return Err(Halt::guard(id, &Guard::Ourselves));
            }
            let known = self.members.iter().position(|member| member.process.id == id);
            if let Some(place) = known {
                found.push(place);
            } else if let Some(process) = take(id)? {
                if self.members.len() == MEMBERS_MAX {
                    return Err(too_many());
                }
                let memory = self.actuator.census.memory(id);
                found.push(self.members.len());
                self.members.push(Held {
                    process,
                    memory,
                    has_ended: false,
                    was_killed: false,
                    is_stopped: false,
                });
            }
        }
        Ok(found)
    }

    /// Stops members, each of them noted before.
    fn stop(&mut self, members: &[usize]) -> Result<(), Halt> {
        let notes = members.iter().map(|place| Note::Stop(self.members[*place].process.id));
        self.notes.add(&notes.collect::<Vec<_>>())?;
        for &place in members {
            let member = &mut self.members[place];
            (self.actuator.before)(Step::Stop);
            // One that we may not stop might let us continue it: it is not to notice anything.
            member.is_stopped = member.process.signal(Signal::STOP)?;
            match member.process.wait_until_still()? {
                Stop::Stopped => {}
                Stop::Ended => member.has_ended = true,
                Stop::GoesOn('D') if self.is_ending => {}
                Stop::GoesOn(state) => {
                    let pid = member.process.id.pid;
                    return Err(Halt::Changed(format!("pid {pid} does not stop (state {state})")));
                }
            }
        }
        Ok(())
    }

    /// Sends SIGTERM to all, and only then lets them run: none of them runs on meanwhile and starts
    /// another one. (One with several threads may, for the microseconds until one of these takes the
    /// signal. What it starts then is an orphan of its own, and judged as such.)
    pub(super) fn terminate(&mut self) -> Result<(), ActError> {
        self.notes.add(&[Note::Terminate])?;
        self.is_ending = true;
        for member in self.members.iter().rev().filter(|member| !member.has_ended) {
            (self.actuator.before)(Step::Terminate);
            member.process.signal(Signal::TERM)?;
        }
        self.thaw(self.actuator.before)
    }

    /// Sends SIGKILL to what is left. It ends also what stands still.
    pub(super) fn kill(&mut self) -> Result<(), ActError> {
        for member in self.members.iter_mut().rev().filter(|member| !member.has_ended) {
            (self.actuator.before)(Step::Kill);
            member.was_killed = true;
            member.process.signal(Signal::KILL)?;
        }
        Ok(())
    }

    /// Waits until all have ended, for so long at most.
    pub(super) fn wait(&mut self, at_most: Duration) -> Result<Waited, ActError> {
        let begun = Instant::now();
        loop {
            for member in self.members.iter_mut().filter(|member| !member.has_ended) {
                member.has_ended = member.process.has_ended()?;
            }
            let left: Vec<_> = self.members.iter().filter(|member| !member.has_ended).collect();
            if left.is_empty() {
                return Ok(Waited::AllEnded);
            }
            let remaining = at_most.saturating_sub(begun.elapsed());
            if remaining.is_zero() {
                return Ok(Waited::TimeOver);
            }
            if (self.actuator.hurry)() {
                return Ok(Waited::Hurried);
            }
            let left: Vec<_> = left.iter().map(|member| &member.process).collect();
            wait_for_one(&left, remaining.min(ASK_EVERY))?;
        }
    }

    /// Lets everything run that still stands still.
    pub(super) fn release(mut self) -> Result<(), ActError> {
        self.thaw(self.actuator.before)
    }

    /// Lets everything run that we stopped, also when one of them cannot be signalled.
    fn thaw(&mut self, before: &dyn Fn(Step)) -> Result<(), ActError> {
        let mut result = Ok(());
        let mut any = false;
        for member in
            self.members.iter_mut().rev().filter(|member| member.is_stopped && !member.has_ended)
        {
            before(Step::Continue);
            let sent = member.process.signal(Signal::CONT);
            member.is_stopped = false;
            any = true;
            result = result.and(sent.map(|_| ()));
        }
        if any {
            // Without the note, a start after a crash continues what runs already.
            let _ = self.notes.add(&[Note::Continued]);
        }
        self.deaf = None;
        result
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // Whatever went wrong is told by whoever noticed it first.
        let _ = self.thaw(&|_| {});
    }
}

/// Takes hold of one process; `None` if it has ended.
fn take(id: ProcessId) -> Result<Option<Pinned>, Halt> {
    let pid = id.pid;
    match pin(id)? {
        Pin::Gone => Ok(None),
        Pin::Held(_, 'T') => Err(Halt::guard(id, &Guard::Stopped)),
        Pin::Held(_, 't') => Err(Halt::Changed(format!("pid {pid} is held by a tracer"))),
        Pin::Held(process, _) => Ok(Some(process)),
        Pin::Another => Err(Halt::Changed(format!("pid {pid} is another process now"))),
        Pin::Unseen => Err(Halt::Changed(format!("pid {pid} is not listed"))),
    }
}

/// Looks at those of `known` that live and everything below. One of them with a guard that
/// `matters` stops everything.
pub(super) fn look(
    actuator: &Actuator<'_>,
    known: &[ProcessId],
    stopped: &[ProcessId],
    matters: impl Fn(&Guard) -> bool,
) -> Result<Vec<Member>, Halt> {
    let tree = actuator.census.tree(known, stopped).map_err(Halt::Changed)?;
    if tree.len() > MEMBERS_MAX {
        return Err(too_many());
    }
    for member in &tree {
        if let Some(guard) = member.guards.iter().find(|guard| matters(guard)) {
            return Err(Halt::guard(member.id, guard));
        }
    }
    Ok(tree)
}

fn too_many() -> Halt {
    Halt::Changed(format!("it has more than {MEMBERS_MAX} processes"))
}

/// As long as this lives, the signals by which a person, a service manager or a limit ends or stops
/// us wait. A run that is interrupted here would leave processes that stand still until the next.
struct Deaf {
    before: Option<SigSet>,
}

impl Deaf {
    fn new() -> Deaf {
        let mut set = SigSet::all();
        // What the kernel raises for a fault of ours ends us, blocked or not.
        for fault in [NixSignal::SIGSEGV, NixSignal::SIGBUS, NixSignal::SIGILL, NixSignal::SIGFPE] {
            set.remove(fault);
        }
        Deaf { before: set.thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK).ok() }
    }
}

impl Drop for Deaf {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // It was this thread's mask a moment ago, so it is a valid one.
            let _ = before.thread_set_mask();
        }
    }
}
