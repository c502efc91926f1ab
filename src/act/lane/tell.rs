//! Says into a chat what was stopped, and why.

use crate::act::Actuator;
use crate::gateway::{Call, Speak};
use crate::model::{LaneCall, LaneStatus, LiveLane};

/// Says the line the user wants said, and returns what became of that; `None`: nothing was wanted.
///
/// Nobody reads the lane of a cron job, a subagent or an ACP session: their owner hears of the end
/// of the run through the gateway. And a line that is written into a transcript while the next run
/// works on it could end that one (`EmbeddedAttemptSessionTakeoverError`, 2026.5.28 and later).
/// Whatever happens here, the repair stands.
pub(super) fn tell(actuator: &Actuator<'_>, speak: &dyn Speak, call: &LaneCall) -> Option<String> {
    let text = call.tell.clone()?;
    let not = |why: String| Some(format!("the chat was not told: {why}"));
    let key = &call.key;
    if key.is_cron() || key.is_subagent() || key.is_acp() {
        return not("nobody reads this lane".to_owned());
    }
    if !(actuator.is_alive)(call.gateway) {
        return not(super::before::GATEWAY_GONE.to_owned());
    }
    match is_quiet(actuator, speak, call) {
        Ok(true) => {}
        Ok(false) => return not("its next run has begun, or is about to".to_owned()),
        Err(why) => return not(why),
    }
    let line = Call::Tell { key: key.clone(), text };
    match speak.call(call.gateway, &line, actuator.hurry) {
        Ok(_) => Some("the chat was told".to_owned()),
        Err(error) => not(error.to_string()),
    }
}

/// Whether no run works on the transcript of the lane.
fn is_quiet(actuator: &Actuator<'_>, speak: &dyn Speak, call: &LaneCall) -> Result<bool, String> {
    let lanes = speak.lanes(call.gateway, actuator.hurry).map_err(|failure| failure.to_string())?;
    let lane = lanes.iter().find(|lane| lane.key == call.key).ok_or("the lane is gone")?;
    let sight = actuator.lanes.now(call)?;
    let waits = sight.waiting.is_some_and(|waiting| waiting.queued > 0);
    Ok(sight.locks.is_empty() && !waits && !may_run(lane, call))
}

/// A row that stays `running` is the aborted run's own as long as it says when that one began.
fn may_run(lane: &LiveLane, call: &LaneCall) -> bool {
    lane.has_active_run == Some(true)
        || !lane.runs.is_empty()
        || (lane.status == LaneStatus::Running && lane.started_at != call.started_at)
}
