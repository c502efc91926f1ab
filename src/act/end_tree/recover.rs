//! Looks after a tree whose end was interrupted by a crash.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::notes::{self, Noted};
use super::pinned::{Pin, Pinned, pin, wait_for_one};
use super::stat::Stat;
use super::{processes, untouchable, unverified};
use crate::act::error::ActError;
use crate::act::quarantine::TreeManifest;
use crate::act::{Actuator, Performed, Reach, Step, record};
use crate::model::{ActionId, Outcome, ProcessId};

/// How long those that have SIGTERM pending are given to end before it is said that they did not.
const END_WAIT: Duration = Duration::from_secs(2);

/// Lets everything run that the action stopped, finishes or reverts what it did to the record, and
/// says what has become of the tree. Ends nothing.
pub(in crate::act) fn recover(
    actuator: &Actuator<'_>,
    id: ActionId,
    manifest: &TreeManifest,
) -> Result<Performed, ActError> {
    if actuator.reach == Reach::DryRun {
        return Ok(Performed::of(Outcome::WouldDo));
    }
    let noted = notes::read(&actuator.quarantine, id)?;
    let is_here = untouchable::here().is_ok_and(|here| here == manifest.realm);
    // First of all: what stands still is somebody's work that stands still.
    let continued = if is_here { let_run(actuator, &noted)? } else { 0 };
    if let Some(record) = &manifest.record {
        record::recover(actuator, id, record, noted.terminated)?;
    }
    if !noted.terminated {
        let note = match continued {
            0 => "interrupted before any process was ended".to_owned(),
            count => format!(
                "interrupted before any process was ended; {} that stood still run on",
                processes(count)
            ),
        };
        return Ok(Performed::changed(note));
    }
    if !is_here {
        let note = "interrupted after SIGTERM, and the host has been started anew since";
        return Ok(Performed { outcome: Outcome::Done, note: Some(note.to_owned()) });
    }
    ended(&noted, manifest.root)
}

/// Continues those that stand still, children before their parents, and returns how many. One that
/// cannot be signalled does not keep the others.
fn let_run(actuator: &Actuator<'_>, noted: &Noted) -> Result<usize, ActError> {
    let mut continued = 0;
    let mut result = Ok(());
    for &id in noted.held.iter().rev() {
        match continue_one(actuator, id) {
            Ok(was_still) => continued += usize::from(was_still),
            Err(error) => result = result.and(Err(error)),
        }
    }
    result.map(|()| continued)
}

fn continue_one(actuator: &Actuator<'_>, id: ProcessId) -> Result<bool, ActError> {
    let Some(process) = held(id)? else { return Ok(false) };
    let threads = Stat::of_threads(id.pid).map_err(|source| ActError::Hold { id, source })?;
    // One that sleeps uninterruptibly stands still as soon as it wakes.
    if !threads.iter().any(|thread| matches!(thread.state, 'T' | 'D')) {
        return Ok(false);
    }
    (actuator.before)(Step::Continue);
    process.signal(Signal::CONT)
}

/// The process, if it is still the one that was noted.
fn held(id: ProcessId) -> Result<Option<Pinned>, ActError> {
    Ok(match pin(id)? {
        Pin::Held(process, _) => Some(process),
        Pin::Gone | Pin::Another | Pin::Unseen => None,
    })
}

/// Waits for what has been told to end, and says what has not.
fn ended(noted: &Noted, root: ProcessId) -> Result<Performed, ActError> {
    let all: BTreeSet<_> = noted.stopped.iter().copied().chain([root]).collect();
    let mut left = Vec::new();
    for &id in &all {
        left.extend(held(id)?);
    }
    let begun = Instant::now();
    loop {
        let mut running = Vec::new();
        for process in left {
            if !process.has_ended()? {
                running.push(process);
            }
        }
        left = running;
        let remaining = END_WAIT.saturating_sub(begun.elapsed());
        if left.is_empty() || remaining.is_zero() {
            break;
        }
        wait_for_one(&left.iter().collect::<Vec<_>>(), remaining)?;
    }
    let all = processes(all.len());
    Ok(match left.first() {
        None => {
            let note = format!("interrupted after SIGTERM; {all} ended");
            Performed { outcome: Outcome::Done, note: Some(note) }
        }
        Some(process) => unverified(format!(
            "interrupted after SIGTERM; {} of {all} still run, among them pid {}",
            left.len(),
            process.id.pid
        )),
    })
}
