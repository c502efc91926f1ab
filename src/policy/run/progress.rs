//! When a run last made a sign of life.

use std::time::Duration;

use crate::model::{Lock, Transcript, UnixMillis};

use super::Run;
use crate::policy::Context;

/// The last sign of life of a run, and what it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::policy) struct Sign {
    /// When.
    pub(in crate::policy) at: UnixMillis,
    /// What.
    pub(in crate::policy) what: &'static str,
}

/// Returns the last sign of life that the run left anywhere; its children are not asked. A time in
/// the future counts as now.
///
/// Where there is no transcript to look at, events are all that is left, and what came before
/// anybody listened is not known: then listening itself begins the silence.
///
/// `updatedAt` is refreshed by every message that comes in, also on a hung lane. It is left out
/// only where both a transcript and events of the whole time say more.
///
/// That the same run was begun again is none, and neither is the row or the lock that was written
/// with it; see [`super::begin`].
pub(in crate::policy) fn last_sign(context: Context<'_>, run: &Run<'_>, after: Duration) -> Sign {
    let now = context.snapshot.taken_at;
    let on_disk = |pick: fn(&crate::model::Lane) -> Transcript| run.disk.map(pick);
    let transcript = on_disk(|lane| lane.transcript);
    let has_transcript = matches!(transcript, Some(Transcript::Present { .. }));
    let heard_since = run.live.and_then(|lane| lane.heard_since);
    let heard_all = heard_since.is_some_and(|since| now.since(since) >= after);
    let needs_events = !has_transcript || run.began().is_none();
    let written = |sign: Option<Transcript>| sign.and_then(Transcript::modified_at);
    let row = [
        run.disk.and_then(|lane| lane.row.updated_at.value()),
        run.live.and_then(|lane| lane.updated_at),
    ];
    let row = row.into_iter().flatten().max().filter(|_| needs_events || !heard_all);
    let lock = run.locks(context.snapshot).map(taken_at).max();
    let event = match run.quiet_since() {
        Some(since) => Some(since),
        None => run.live.and_then(|lane| lane.last_event_at),
    };
    let anew = |at: &UnixMillis| !run.is_of_begin(*at);
    let signs = [
        (run.began().filter(anew), "its start"),
        (written(transcript), "its transcript"),
        (written(on_disk(|lane| lane.trajectory)), "its trajectory"),
        (event, "an event"),
        (row.filter(anew), "its row"),
        (lock.filter(anew), "its lock"),
        (heard_since.filter(|_| needs_events), "nobody listened before"),
    ];
    let signs = signs.into_iter().filter_map(|(at, what)| Some(Sign { at: at?, what }));
    signs.max_by_key(|sign| sign.at).unwrap_or(Sign { at: now, what: "nothing is known of it" })
}

/// Returns for how long the run has left no sign of life.
pub(in crate::policy) fn quiet(context: Context<'_>, run: &Run<'_>, after: Duration) -> Duration {
    context.snapshot.taken_at.since(last_sign(context, run, after).at)
}

/// A lock whose file is younger than its claim, or the other way round, is as young as the younger.
pub(in crate::policy) fn taken_at(lock: &Lock) -> UnixMillis {
    match lock.payload {
        crate::model::Payload::Claim(claim, _) => claim.created_at.max(lock.modified_at),
        crate::model::Payload::Incomplete => lock.modified_at,
    }
}
