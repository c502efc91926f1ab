//! Whether the run that was to end has ended.

use crate::model::{LaneSight, LaneStatus, LiveLane};

use super::before::Before;

/// What the gateway and the disk say about the run of a lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Over {
    /// It is over, and how that shows.
    Yes(&'static str),
    /// A run is under way that began later: the next one, or the same one anew. 2026.4.15 tries a run
    /// whose model stays silent for 120 s once more, with a new start and a new lock.
    Next,
    /// It is not, or that cannot be told, and why.
    No(&'static str),
}

/// Judges by both. The gateway's word counts only where it changed: `hasActiveRun: false` that was
/// there before says nothing up to 2026.6.11, and `running` that stays says nothing up to 2026.4.15,
/// where nothing ever corrects the row of an aborted run.
pub(super) fn over(before: &Before, live: &LiveLane, sight: &LaneSight) -> Over {
    let locks = locks(before, sight);
    if locks == Locks::Held {
        return Over::No("its lock is still there");
    }
    match (told(before, live), locks) {
        (Told::Active, _) => Over::No("the gateway still names it active"),
        (Told::Another, _) => Over::Yes("the next run has begun"),
        (Told::Later, _) | (Told::Nothing, Locks::Anew) => Over::Next,
        (Told::Ended, Locks::Free) => {
            Over::Yes("the gateway says that it ended, and its lock is gone")
        }
        (Told::Ended, _) => Over::Yes("the gateway says that it ended"),
        (Told::Nothing, Locks::Free) => Over::Yes("its lock is gone"),
        (Told::Nothing, Locks::Silent | Locks::Held) => Over::No("its row still says running"),
    }
}

/// What the gateway says.
enum Told {
    /// It runs.
    Active,
    /// It ended.
    Ended,
    /// Another one runs.
    Another,
    /// One runs that began later.
    Later,
    /// Nothing that counts.
    Nothing,
}

fn told(before: &Before, live: &LiveLane) -> Told {
    let was = &before.live;
    if let Some(run) = &before.run
        && !live.runs.is_empty()
    {
        return if live.runs.contains(run) { Told::Active } else { Told::Another };
    }
    match live.has_active_run {
        Some(false) | None if live.status == LaneStatus::Ended => Told::Ended,
        _ if live.started_at > was.started_at => Told::Later,
        Some(true) => Told::Active,
        Some(false) if was.has_active_run == Some(true) => Told::Ended,
        Some(false) | None => Told::Nothing,
    }
}

/// What became of the locks that were there before.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Locks {
    /// There was none, so that nothing can be told by it.
    Silent,
    /// At least one is there, the very same.
    Held,
    /// All of them are gone.
    Free,
    /// They are gone, and at least one was taken anew.
    Anew,
}

fn locks(before: &Before, sight: &LaneSight) -> Locks {
    let earlier = &before.sight.locks;
    if earlier.is_empty() {
        return Locks::Silent;
    }
    let same = earlier.iter().any(|(path, stamp)| sight.locks.get(path) == Some(stamp));
    match same {
        true => Locks::Held,
        false if sight.locks.is_empty() => Locks::Free,
        false => Locks::Anew,
    }
}
