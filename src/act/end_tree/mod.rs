//! Ends a tree of processes, and nothing beside it.
//!
//! All of it is stopped first, until a look finds nothing that runs, and every process of it is
//! held by a descriptor that can never mean another one. Only then it is judged once more, told to
//! end by SIGTERM, and, where that does not help, by SIGKILL. Whatever speaks against it on the
//! way lets everything run on as if nothing had been.
//!
//! Never signalled: a process group or session (a live gateway shares its own with its orphans), a
//! bare pid, init, ourselves and what is above us.

mod frozen;
mod notes;
mod pinned;
mod recover;
mod stat;
mod untouchable;

use std::time::Duration;

use super::error::ActError;
use super::exchange::{BUSY, Exchanged};
use super::quarantine::{Manifest, TreeManifest};
use super::record::{self, Found};
use super::{Actuator, Performed, Reach, Step};
use crate::model::{ActionId, Guard, Member, Outcome, ProcessId, TreeEnd};
use frozen::{Frozen, Held, Waited, look};
use notes::Notes;
use stat::Stat;

pub(super) use recover::recover;

/// How long a process may take to end after SIGKILL. It takes milliseconds; only one that sleeps
/// uninterruptibly takes longer.
const KILL_WAIT: Duration = Duration::from_secs(5);

/// How long a parent may take to reap its child before it is said that it did not.
const REAP_WAIT: Duration = Duration::from_millis(100);

/// Why nothing more is done.
#[derive(Debug)]
enum Halt {
    /// It is no longer what was judged.
    Changed(String),
    /// The attempt failed.
    Failed(ActError),
}

impl Halt {
    fn changed(why: &str) -> Halt {
        Halt::Changed(why.to_owned())
    }

    fn guard(id: ProcessId, guard: &Guard) -> Halt {
        Halt::Changed(format!("pid {} {guard}", id.pid))
    }
}

impl From<ActError> for Halt {
    fn from(error: ActError) -> Halt {
        Halt::Failed(error)
    }
}

/// Ends the tree if everything that was judged still holds, for every process of it.
pub(super) fn end(
    actuator: &Actuator<'_>,
    id: ActionId,
    end: &TreeEnd,
) -> Result<Performed, ActError> {
    match attempt(actuator, id, end) {
        Ok(performed) => Ok(performed),
        Err(Halt::Changed(why)) => Ok(Performed::changed(why)),
        Err(Halt::Failed(error)) => Err(error),
    }
}

fn attempt(actuator: &Actuator<'_>, id: ActionId, end: &TreeEnd) -> Result<Performed, Halt> {
    let mut known = vec![end.root];
    known.extend(end.members.iter().filter(|member| **member != end.root));
    let tree = look(actuator, &known, &[], |_| true)?;
    if !tree.iter().any(|member| member.id == end.root) {
        return Ok(Performed::of(Outcome::AlreadyGone));
    }
    actuator.census.judge(end, &[]).map_err(Halt::Changed)?;
    let opened = match end.record.as_ref().map(record::look).transpose()? {
        None | Some(Found::Settled) => None,
        Some(Found::Changed(why)) => return Err(Halt::Changed(why)),
        Some(Found::Open(opened)) => Some(opened),
    };
    if actuator.reach == Reach::DryRun {
        return Ok(Performed { outcome: Outcome::WouldDo, note: Some(size(actuator, &tree)) });
    }

    // Whatever else said otherwise: no number of another boot, as that of a captured table is, is
    // ever taken for a process of this one.
    let realm = untouchable::here()
        .map_err(|error| Halt::Changed(format!("the boot cannot be told: {error}")))?;
    if realm.boot != end.boot {
        return Err(Halt::changed("the host has been started anew"));
    }
    (actuator.before)(Step::Begin);
    let record = opened.as_ref().map(|opened| opened.manifest.clone());
    let manifest = TreeManifest { realm, root: end.root, record };
    actuator.quarantine.begin(id, &Manifest::EndTree(Box::new(manifest)))?;
    let notes = Notes::create(&actuator.quarantine, id)?;
    let record = match opened.map(|opened| opened.exchange(actuator, id)).transpose()? {
        Some(None) => return Err(Halt::changed(BUSY)),
        record => record.flatten(),
    };

    let mut tree = Frozen::new(actuator, notes, known);
    let performed = end_all(actuator, end, &mut tree, record.as_ref());
    let stands = tree.is_ending();
    // Whatever has become of it, everything runs before anything else is done.
    let released = tree.release();
    match record {
        Some(record) if stands => record.keep()?,
        Some(record) => drop(record.revert()?),
        None => {}
    }
    let performed = performed?;
    released.map(|()| performed).map_err(Halt::Failed)
}

fn end_all(
    actuator: &Actuator<'_>,
    end: &TreeEnd,
    tree: &mut Frozen<'_>,
    record: Option<&Exchanged<'_>>,
) -> Result<Performed, Halt> {
    tree.freeze()?;
    if tree.members().iter().all(|member| member.has_ended) {
        return Ok(Performed::of(Outcome::AlreadyGone));
    }
    // While it was being stopped, somebody may have taken it up again. Now nothing of it moves.
    actuator.census.judge(end, &tree.stopped()).map_err(Halt::Changed)?;
    if record.is_some_and(|record| !record.is_in_place()) {
        return Err(Halt::changed("the gateway has written its session record since"));
    }
    tree.terminate()?;
    let mut waited = tree.wait(end.term_wait)?;
    if waited == Waited::TimeOver {
        // What a handler of SIGTERM has started is below one of those that are left.
        match tree.freeze() {
            Ok(()) => {}
            Err(Halt::Changed(why)) => {
                let note = format!("{}; {why}, so the rest was left alone", counted(tree));
                return Ok(unverified(note));
            }
            Err(failed) => return Err(failed),
        }
        tree.kill()?;
        waited = tree.wait(KILL_WAIT)?;
    }
    (actuator.before)(Step::Verify);
    if waited == Waited::Hurried {
        let note = format!("asked to stop while they were ending; {}", counted(tree));
        return Ok(unverified(note));
    }
    Ok(verify(actuator, tree, record.is_some()))
}

/// Says what is left, by descriptor and by another look at the whole tree.
fn verify(actuator: &Actuator<'_>, tree: &Frozen<'_>, is_closed: bool) -> Performed {
    let left = tree.members().iter().find(|member| !member.has_ended);
    if let Some(member) = left {
        let pid = member.process.id.pid;
        let state = Stat::of(pid).ok().flatten().map(|stat| stat.state);
        let how = if state == Some('D') { "sleeps uninterruptibly" } else { "still runs" };
        return unverified(format!("pid {pid} {how}; SIGKILL is pending; {}", counted(tree)));
    }
    match actuator.census.tree(tree.known(), &[]) {
        Err(why) => return unverified(format!("{}, but {why}", counted(tree))),
        Ok(left) => {
            if let Some(member) = left.first() {
                let pid = member.id.pid;
                return unverified(format!("{}, but pid {pid} still runs", counted(tree)));
            }
        }
    }
    let mut note = counted(tree);
    if is_closed {
        note.push_str("; its session record is closed");
    }
    note.push_str(&zombies(actuator, tree.members()));
    Performed { outcome: Outcome::Done, note: Some(note) }
}

/// Such as `2 processes ended, 312 MiB freed; 1 had to be killed`.
fn counted(tree: &Frozen<'_>) -> String {
    let ended = || tree.members().iter().filter(|member| member.has_ended);
    let all = tree.members().len();
    let mut text = match ended().count() {
        count if count < all => format!("{count} of {} ended", processes(all)),
        count => format!("{} ended", processes(count)),
    };
    if let Some(bytes) = sum(ended().map(|member| member.memory)) {
        text.push_str(&format!(", {} MiB freed", mib(bytes)));
    }
    match ended().filter(|member| member.was_killed).count() {
        0 => {}
        killed => text.push_str(&format!("; {killed} had to be killed")),
    }
    text
}

/// A zombie holds nothing but its pid, and only its parent can end that.
fn zombies(actuator: &Actuator<'_>, members: &[Held]) -> String {
    let left = || {
        let ids = members.iter().map(|member| member.process.id);
        ids.filter_map(|id| Some((id, Stat::of(id.pid).ok()??)))
            .find(|(id, stat)| stat.state == 'Z' && stat.start_ticks == id.start_ticks)
    };
    if left().is_some() {
        (actuator.wait)(REAP_WAIT);
    }
    left().map_or_else(String::new, |(id, stat)| {
        format!("; pid {} is a zombie of pid {}, which does not reap it", id.pid, stat.parent)
    })
}

/// Such as `2 processes to end, 312 MiB to free`.
fn size(actuator: &Actuator<'_>, tree: &[Member]) -> String {
    let memory = sum(tree.iter().map(|member| actuator.census.memory(member.id)));
    let memory = memory.map(|bytes| format!(", {} MiB to free", mib(bytes))).unwrap_or_default();
    format!("{} to end{memory}", processes(tree.len()))
}

fn processes(count: usize) -> String {
    if count == 1 { "1 process".to_owned() } else { format!("{count} processes") }
}

/// The sum of what is known; `None` if nothing is.
fn sum(bytes: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    bytes.flatten().reduce(u64::saturating_add)
}

fn mib(bytes: u64) -> u64 {
    bytes >> 20
}

fn unverified(note: String) -> Performed {
    Performed { outcome: Outcome::Unverified, note: Some(note) }
}

#[cfg(test)]
mod tests;
