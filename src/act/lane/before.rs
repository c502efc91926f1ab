//! Whether a lane is still the one that was judged.

use std::path::PathBuf;

use super::archive;
use crate::act::Actuator;
use crate::gateway::Speak;
use crate::model::{
    Capabilities, Effect, LaneCall, LaneSight, LaneStatus, LiveLane, RunId, Rung, Transcript,
    UnixMillis, Version, other_lane_of,
};

/// A lane that is what was judged, right before it is repaired.
pub(super) struct Before {
    /// As the gateway tells it.
    pub(super) live: LiveLane,
    /// As it is on disk.
    pub(super) sight: LaneSight,
    /// The run that may be ended, where it is known.
    pub(super) run: Option<RunId>,
    /// The newest archive of an earlier conversation of the same transcript.
    pub(super) archive: Option<PathBuf>,
}

/// What was found in the place of the judged lane.
pub(super) enum Found {
    /// The very same.
    Standing(Box<Before>),
    /// Its run is over without us.
    Gone(String),
    /// Something else, or something that cannot be seen.
    Changed(String),
}

/// Looks at the lane through the gateway and on disk.
pub(super) fn look(actuator: &Actuator<'_>, speak: &dyn Speak, call: &LaneCall) -> Found {
    if !(actuator.is_alive)(call.gateway) {
        return Found::Changed(GATEWAY_GONE.to_owned());
    }
    let lanes = match speak.lanes(call.gateway, actuator.hurry) {
        Ok(lanes) => lanes,
        Err(failure) => {
            return Found::Changed(format!("the gateway could not be asked again: {failure}"));
        }
    };
    let Some(live) = lanes.iter().find(|lane| lane.key == call.key).cloned() else {
        return Found::Gone("the gateway does not list the lane any more".to_owned());
    };
    if let Err(found) = compare(&live, call) {
        return found;
    }
    let judged = actuator.lanes.judged(call);
    // An answer that streams is written nowhere before its end.
    if call.rung != Rung::Recover && live.last_step_at.is_some_and(|step| step >= judged.at) {
        return Found::Changed("its run has made a step".to_owned());
    }
    let sight = match still(actuator, call, &judged) {
        Ok(sight) => sight,
        Err(found) => return found,
    };
    match actuator.lanes.newcomer(call) {
        Err(why) => return Found::Changed(why),
        Ok(Some(id)) => {
            return Found::Changed(format!("{id} was started below the gateway meanwhile"));
        }
        Ok(None) => {}
    }
    let run = call.run.clone().or_else(|| sight.run.clone()).or_else(|| only(&live.runs));
    // A run is ended by its id, in whatever lane it is (2026.4.15, 2026.7.1).
    if run.as_ref().is_some_and(|run| other_lane_of(&lanes, run, &call.key).is_some()) {
        return Found::Changed("another lane names the same run".to_owned());
    }
    if let Err(why) = keeps_waiting(call, run.as_ref(), &sight, &live) {
        return Found::Changed(why);
    }
    let archive = sight.file.as_deref().and_then(archive::newest);
    Found::Standing(Box::new(Before { live, sight, run, archive }))
}

/// Whether the messages that wait behind the run outlast the call.
fn keeps_waiting(
    call: &LaneCall,
    run: Option<&RunId>,
    sight: &LaneSight,
    live: &LiveLane,
) -> Result<(), String> {
    if call.rung != Rung::Abort {
        return Ok(());
    }
    let waiting = sight.waiting.map(|waiting| waiting.queued).or(live.queued);
    let effect = Capabilities::of(call.version).effect(call.rung, &call.key);
    match waiting.or(call.queued) {
        _ if effect == Effect::LosesWaiting && waiting != Some(0) => {
            Err("messages may wait, and on this version an abort would drop them".to_owned())
        }
        Some(count @ 1..) if run.is_none() && call.version > KEEPS_WAITING => Err(format!(
            "{count} messages wait, and an abort that cannot name its run would drop them"
        )),
        _ => Ok(()),
    }
}

/// Up to here a message that waits runs next, also after an abort that names no run (measured on
/// 2026.4.15). On 2026.9.6 such an abort cancels it; the versions between were not tried.
const KEEPS_WAITING: Version = Version::new(2026, 4, 15);

pub(super) const GATEWAY_GONE: &str = "the gateway has ended or restarted";

fn only(runs: &[RunId]) -> Option<RunId> {
    match runs {
        [run] => Some(run.clone()),
        _ => None,
    }
}

/// Compares the gateway's word with the judgement.
fn compare(live: &LiveLane, call: &LaneCall) -> Result<(), Found> {
    let changed = |what: &str| Err(Found::Changed(what.to_owned()));
    let gone = |what: &str| Err(Found::Gone(what.to_owned()));
    if live.session_id != call.session_id {
        return changed("the lane has another session id now");
    }
    if live.started_at != call.started_at {
        return changed("another run has begun");
    }
    if call.rung == Rung::Recover {
        return if live.is_tombstoned { Ok(()) } else { changed("the session is not given up") };
    }
    let is_active = live.has_active_run;
    if live.status == LaneStatus::Ended && is_active != Some(true) {
        return gone("its run has ended");
    }
    match &call.run {
        // Without a start, which run it is hangs on its session and on its being active.
        None if call.started_at.is_none() && is_active != Some(true) => gone("its run has ended"),
        Some(_) if is_active == Some(false) => gone("its run has ended"),
        Some(run) if !live.runs.is_empty() && !live.runs.contains(run) => {
            changed("another run is active")
        }
        _ => Ok(()),
    }
}

/// Compares what is on disk, and whether the gateway is alive, with the judgement.
pub(super) fn still(
    actuator: &Actuator<'_>,
    call: &LaneCall,
    judged: &LaneSight,
) -> Result<LaneSight, Found> {
    if !(actuator.is_alive)(call.gateway) {
        return Err(Found::Changed(GATEWAY_GONE.to_owned()));
    }
    let now = actuator.lanes.now(call).map_err(Found::Changed)?;
    if let Some(lock) = call.lock.as_ref().filter(|lock| !now.locks.contains_key(*lock)) {
        let name = lock.file_name().unwrap_or_default().to_string_lossy();
        return Err(Found::Gone(format!("its lock {name} is gone")));
    }
    let changed = |what: &str| Err(Found::Changed(what.to_owned()));
    if now.locks != judged.locks {
        return changed("its lock was taken anew, or another one is there");
    }
    if has_moved(judged.transcript, now.transcript, judged.at) {
        return changed("the transcript has been written");
    }
    if has_moved(judged.trajectory, now.trajectory, judged.at) {
        return changed("the trajectory has been written");
    }
    if let (Some(run), Some(active)) = (&call.run, &now.run)
        && run != active
    {
        return changed("another run is active");
    }
    Ok(now)
}

/// Whether a file was written, or may have been, since it was `judged` at `at`.
fn has_moved(judged: Option<Transcript>, now: Option<Transcript>, at: UnixMillis) -> bool {
    match (judged, now) {
        (Some(judged), Some(now)) => judged != now,
        (Some(_), None) => true,
        (None, Some(now)) => now.modified_at().is_some_and(|written| written >= at),
        (None, None) => false,
    }
}
