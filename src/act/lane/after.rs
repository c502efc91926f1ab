//! Looks for the effect of a call, through the gateway and on disk.

use std::time::Duration;

use crate::act::{Actuator, Performed};
use crate::gateway::{CallError, Reply, Speak};
use crate::model::{
    LaneCall, LaneSight, LaneStatus, LiveLane, Outcome, Rung, SessionKey, Version, span,
};

use super::before::{Before, GATEWAY_GONE};
use super::kept::{kept, session_on_disk};
use super::over::{Over, over};
use super::patience::Patience;
use super::{archive, gone, said};

/// The least time an effect is given: a run that is aborted takes up to 15 s to settle, on every
/// version that was run.
const SETTLES_WITHIN: Duration = Duration::from_secs(15);

/// How long a lane is looked at of which the gateway says that nothing runs in it: the end of a run
/// that was just over shows within a moment.
const NOTHING_RAN: Duration = Duration::from_secs(3);

/// How long after a reset the run that it ended may still write the old session id back (measured on
/// 2026.3.24, 2026.4.15 and 2026.5.7: as long as it takes to settle).
const WRITES_BACK_WITHIN: Duration = Duration::from_secs(15);

/// What one look says about the effect.
enum Effect {
    /// It is there, and how that shows.
    Seen(String),
    /// It is not there yet, and what is missing.
    Missing(String),
    /// The run is over, and the conversation is not what it was. No later look makes that good.
    Lost(String),
}

/// Looks until the effect shows, or its time is over.
pub(super) fn verify(
    actuator: &Actuator<'_>,
    speak: &dyn Speak,
    call: &LaneCall,
    before: &Before,
    answer: &Result<Reply, CallError>,
) -> Performed {
    let nothing_ran = is_no_run(answer);
    let mut patience = Patience::new(actuator, within(call, nothing_ran));
    let settled_after = settled_after(call);
    loop {
        let missing = match look(actuator, speak, call, before, answer) {
            Effect::Lost(what) => return unverified(format!("{}, BUT {what}", said(answer))),
            Effect::Seen(how) if patience.elapsed() >= settled_after => {
                let took = span(patience.elapsed());
                return if nothing_ran {
                    gone(format!("it ended by itself: {how}"))
                } else {
                    done(format!("{how}, {took} after the call; {}", said(answer)))
                };
            }
            Effect::Seen(how) => format!("{how}, but it was not watched long enough"),
            Effect::Missing(what) => what,
        };
        if !(actuator.is_alive)(call.gateway) {
            return unverified(format!("{}; then {GATEWAY_GONE}", said(answer)));
        }
        if !patience.wait() {
            let after = span(patience.elapsed());
            return unverified(format!("{}; {missing} after {after}", said(answer)));
        }
    }
}

fn done(note: String) -> Performed {
    Performed { outcome: Outcome::Done, note: Some(note) }
}

fn unverified(note: String) -> Performed {
    Performed { outcome: Outcome::Unverified, note: Some(note) }
}

/// `no-active-run` proves nothing about the run, but it says that nothing was done to it.
fn is_no_run(answer: &Result<Reply, CallError>) -> bool {
    let status = answer.as_ref().ok().and_then(|reply| reply.status.as_deref());
    status == Some("no-active-run")
}

fn within(call: &LaneCall, nothing_ran: bool) -> Duration {
    if nothing_ran {
        return NOTHING_RAN;
    }
    // One look must come after the time in which a reset can be undone.
    call.settle_within.max(SETTLES_WITHIN).max(settled_after(call) + Duration::from_secs(1))
}

/// How long a lane is looked at before its effect is believed.
fn settled_after(call: &LaneCall) -> Duration {
    let begins_anew = !call.rung.keeps_conversation();
    if begins_anew && call.version < Version::RESETS_CLEANLY {
        return WRITES_BACK_WITHIN;
    }
    Duration::ZERO
}

fn look(
    actuator: &Actuator<'_>,
    speak: &dyn Speak,
    call: &LaneCall,
    before: &Before,
    answer: &Result<Reply, CallError>,
) -> Effect {
    let lanes = match speak.lanes(call.gateway, actuator.hurry) {
        Ok(lanes) => lanes,
        Err(failure) => return Effect::Missing(format!("the gateway cannot be asked: {failure}")),
    };
    let sight = match actuator.lanes.now(call) {
        Ok(sight) => sight,
        Err(why) => return Effect::Missing(why),
    };
    if call.rung == Rung::Recover {
        return recovered(&lanes, answer);
    }
    let Some(live) = lanes.iter().find(|lane| lane.key == call.key) else {
        return Effect::Missing("the gateway does not list the lane".to_owned());
    };
    let how = match over(before, live, &sight) {
        Over::Yes(how) => how,
        Over::Next if says_ended(call, answer) => "the next run has begun",
        Over::Next => return Effect::Missing("it runs, perhaps as the same run anew".to_owned()),
        Over::No(what) => return Effect::Missing(what.to_owned()),
    };
    if !call.rung.keeps_conversation() {
        return anew(before, live, &sight, how);
    }
    match kept(before, live, &sight) {
        Ok(()) => {
            Effect::Seen(format!("{how}; the conversation is kept{}", queue(before, live, &sight)))
        }
        Err(what) => Effect::Lost(what),
    }
}

/// Whether the gateway says that it ended a run, so that what runs now is another.
fn says_ended(call: &LaneCall, answer: &Result<Reply, CallError>) -> bool {
    let Ok(reply) = answer else { return false };
    call.rung != Rung::Abort || reply.status.as_deref() == Some("aborted")
}

/// How many messages wait, before and now.
fn queue(before: &Before, live: &LiveLane, sight: &LaneSight) -> String {
    let on_disk = |sight: &LaneSight| sight.waiting.map(|waiting| waiting.queued);
    let had = on_disk(&before.sight).or(before.live.queued);
    match (had, on_disk(sight).or(live.queued)) {
        (Some(had), Some(has)) => format!(", {had} messages waited before and {has} now"),
        _ => String::new(),
    }
}

/// The effect of a recovery is its successor: what was given up stays as it is (2026.9.6).
fn recovered(lanes: &[LiveLane], answer: &Result<Reply, CallError>) -> Effect {
    let successor: Option<&SessionKey> =
        answer.as_ref().ok().and_then(|reply| reply.successor.as_ref());
    match successor {
        Some(key) if lanes.iter().any(|lane| lane.key == *key) => {
            Effect::Seen(format!("the conversation goes on as `{key}`"))
        }
        Some(key) => Effect::Missing(format!("its successor `{key}` is not listed")),
        None => Effect::Missing("no successor was named".to_owned()),
    }
}

/// A conversation has begun anew if its session id is another one, or, where the id stays (2026.9.6),
/// if nothing runs under the judged start any more.
fn anew(before: &Before, live: &LiveLane, sight: &LaneSight, how: &str) -> Effect {
    let was = &before.live;
    let on_disk = session_on_disk(before, sight);
    let differs = live.session_id != was.session_id;
    if differs && on_disk.is_some_and(|id| id == was.session_id.as_ref()) {
        return Effect::Missing("its row on disk still names the old session".to_owned());
    }
    let is_cleared = live.status != LaneStatus::Running || live.started_at != was.started_at;
    let transcript = before.sight.file.as_deref();
    let place = archive::place(transcript);
    let archived = transcript.and_then(archive::newest);
    if !differs && archived != before.archive {
        return Effect::Missing(format!(
            "the run that was ended has written the old session id back, so that its conversation \
             is empty; {place}"
        ));
    }
    if differs || is_cleared {
        return Effect::Seen(format!("the conversation has begun anew ({how}); {place}"));
    }
    Effect::Missing("its session is still the old one".to_owned())
}
