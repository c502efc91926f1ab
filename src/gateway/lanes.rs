//! The lanes of a gateway, as its list and its events tell them.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::conversation::Heard;
use super::list::{LANES_MAX, Listed, Row, name, read_lane};
use crate::format::Loose;
use crate::model::{LaneStatus, LiveLane, RunId, SessionKey, UnixMillis};

/// What an event means to those who wait for one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Effect {
    /// Nothing began or ended.
    None,
    /// A run began or ended, or a lane came or went.
    Changed,
    /// An event was lost: what is known may be out of date.
    Lost,
    /// The gateway is about to stop.
    Stopping,
}

/// Lanes by key, in order.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: Vec<LiveLane>,
    is_complete: bool,
    last_seq: Option<i64>,
    heard_since: Option<UnixMillis>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    #[serde(borrow, default)]
    session_key: Loose<'a>,
    #[serde(borrow, default)]
    run_id: Loose<'a>,
    #[serde(borrow, default)]
    phase: Loose<'a>,
    #[serde(borrow, default)]
    reason: Loose<'a>,
    #[serde(borrow, default)]
    stream: Loose<'a>,
    /// Holds text of a message in every stream but `lifecycle`: not looked at then.
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    session: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Lifecycle<'a> {
    #[serde(borrow, default)]
    phase: Loose<'a>,
}

impl Lanes {
    /// Events are heard from `now` on.
    pub(super) fn subscribed(&mut self, now: UnixMillis) {
        self.heard_since = Some(now);
    }

    /// Takes over a list. What events told of a run that still goes on is kept.
    pub(super) fn relist(&mut self, listed: Listed) {
        let before = std::mem::take(&mut self.lanes);
        self.is_complete = listed.is_complete;
        self.lanes = listed.lanes;
        self.lanes.sort_by(|a, b| a.key.cmp(&b.key));
        self.lanes.dedup_by(|a, b| a.key == b.key);
        self.lanes.shrink_to_fit();
        for lane in &mut self.lanes {
            let Ok(at) = before.binary_search_by(|old| old.key.cmp(&lane.key)) else { continue };
            let old = &before[at];
            // One of an earlier run makes no later one older than it is.
            lane.last_event_at = old.last_event_at;
            let is_same = lane.session_id == old.session_id && lane.started_at == old.started_at;
            if is_same {
                (lane.last_step_at, lane.begun_again_at) = (old.last_step_at, old.begun_again_at);
            } else if lane.started_at.is_none() {
                // Nothing else says how young its run is.
                lane.last_step_at = old.last_step_at;
            }
            if is_same && lane.runs.is_empty() && lane.status == LaneStatus::Running {
                lane.runs.clone_from(&old.runs);
            }
        }
    }

    /// Takes in one event, heard at `now`.
    pub(super) fn hear(&mut self, event: &Heard<'_>, now: UnixMillis) -> Effect {
        if self.is_gap(event.seq) {
            self.heard_since = self.heard_since.map(|_| now);
            self.take(event, now);
            return Effect::Lost;
        }
        self.take(event, now)
    }

    /// Returns the lanes as they are known now, and whether these are all.
    pub(super) fn known(&self) -> (Vec<LiveLane>, bool) {
        let heard = |lane: &LiveLane| LiveLane { heard_since: self.heard_since, ..lane.clone() };
        (self.lanes.iter().map(heard).collect(), self.is_complete)
    }

    /// Events that go to everyone are numbered; one that goes to us alone is not.
    fn is_gap(&mut self, seq: Option<i64>) -> bool {
        let Some(seq) = seq else { return false };
        let is_gap = self.last_seq.is_some_and(|last| seq != last.wrapping_add(1));
        self.last_seq = Some(seq);
        is_gap
    }

    fn take(&mut self, event: &Heard<'_>, now: UnixMillis) -> Effect {
        match event.name {
            "shutdown" => return Effect::Stopping,
            "agent" | "chat" | "session.tool" | "sessions.changed" => {}
            _ => return Effect::None,
        }
        let Some(payload) = event.payload else { return Effect::None };
        let Ok(told) = serde_json::from_str::<Event<'_>>(payload.get()) else {
            return Effect::None;
        };
        self.of_cron_job(&told, now);
        match event.name {
            "agent" => self.agent(told, now),
            "sessions.changed" => self.changed(told, payload, now),
            _ => {
                self.sign_of_life(told, now);
                Effect::None
            }
        }
    }

    /// A step of a run, of which only the first and the last are told apart.
    fn agent(&mut self, told: Event<'_>, now: UnixMillis) -> Effect {
        let is_lifecycle = told.stream == Loose::Text("lifecycle".into());
        let lifecycle = told.data.filter(|_| is_lifecycle);
        let lifecycle =
            lifecycle.and_then(|data| serde_json::from_str::<Lifecycle<'_>>(data.get()).ok());
        let step = lifecycle.map_or(Step::Other, |lifecycle| Step::of(&lifecycle.phase));
        let run = name(told.run_id).map(RunId);
        let Some(lane) = self.of_event(name(told.session_key), run.as_ref()) else {
            return Effect::None;
        };
        step.note(lane, run.as_ref(), now);
        step.apply(lane, run)
    }

    /// Whatever is told of one run of a cron job is a sign of life of the job's own lane.
    fn of_cron_job(&mut self, told: &Event<'_>, now: UnixMillis) {
        let Loose::Text(key) = &told.session_key else { return };
        if !key.contains(":run:") {
            return;
        }
        let job = name(Loose::Text(key.clone())).and_then(|key| SessionKey(key).cron_job());
        if let Some(lane) = job.and_then(|job| self.entry(job)) {
            (lane.last_event_at, lane.last_step_at) = (Some(now), Some(now));
        }
    }

    /// A change of a lane, with the lane as it is now.
    fn changed(&mut self, told: Event<'_>, payload: &RawValue, now: UnixMillis) -> Effect {
        let Some(key) = name(told.session_key).map(SessionKey) else { return Effect::None };
        if told.reason == Loose::Text("delete".into()) {
            self.lanes.retain(|lane| lane.key != key);
            return Effect::Changed;
        }
        let is_step = told.phase != Loose::Null;
        let step = Step::of(&told.phase);
        let run = name(told.run_id).map(RunId);
        let row = told.session.and_then(read_lane).filter(|row| row.key == key);
        let row = row.or_else(|| Row::of_event(payload, &key));
        let Some(lane) = self.entry(key) else { return Effect::Lost };
        if let Some(row) = row {
            overlay(lane, row);
        }
        if is_step {
            step.note(lane, run.as_ref(), now);
        }
        step.apply(lane, run)
    }

    fn sign_of_life(&mut self, told: Event<'_>, now: UnixMillis) {
        let run = name(told.run_id).map(RunId);
        // What `chat.inject` writes, ours too, is no step of any run.
        if run.as_ref().is_none_or(|run| run.0.starts_with("inject-")) {
            return;
        }
        if let Some(lane) = self.of_event(name(told.session_key), run.as_ref()) {
            (lane.last_event_at, lane.last_step_at) = (Some(now), Some(now));
        }
    }

    /// The lane that an event is about: by its key, else by its run.
    fn of_event(&mut self, key: Option<String>, run: Option<&RunId>) -> Option<&mut LiveLane> {
        match (key, run) {
            (Some(key), _) => self.entry(SessionKey(key)),
            (None, Some(run)) => self.lanes.iter_mut().find(|lane| lane.runs.contains(run)),
            (None, None) => None,
        }
    }

    /// The lane with this key, made if there is none; `None` if there are too many.
    fn entry(&mut self, key: SessionKey) -> Option<&mut LiveLane> {
        let at = match self.lanes.binary_search_by(|lane| lane.key.cmp(&key)) {
            Ok(at) => at,
            Err(_) if self.lanes.len() >= LANES_MAX => {
                self.is_complete = false;
                return None;
            }
            Err(at) => {
                self.lanes.insert(at, LiveLane { key, ..LiveLane::default() });
                at
            }
        };
        self.lanes.get_mut(at)
    }
}

/// Where a run is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Begin,
    End,
    Other,
}

impl Step {
    fn of(phase: &Loose<'_>) -> Step {
        match phase {
            Loose::Text(text) => match &**text {
                "start" => Step::Begin,
                "end" | "error" => Step::End,
                _ => Step::Other,
            },
            _ => Step::Other,
        }
    }

    /// Notes when it came. Must come before `apply`, which makes the run known.
    fn note(self, lane: &mut LiveLane, run: Option<&RunId>, now: UnixMillis) {
        lane.last_event_at = Some(now);
        match (self, run) {
            (Step::Begin, Some(run)) if lane.runs.contains(run) => lane.begun_again_at = Some(now),
            // Which run has begun is told by another event.
            (Step::Begin, None) => {}
            _ => lane.last_step_at = Some(now),
        }
    }

    fn apply(self, lane: &mut LiveLane, run: Option<RunId>) -> Effect {
        match self {
            Step::Begin => {
                lane.status = LaneStatus::Running;
                // What a list said before this run began says nothing of it.
                lane.has_active_run = lane.has_active_run.filter(|is_active| *is_active);
                if let Some(run) = run.filter(|run| !lane.runs.contains(run)) {
                    lane.runs.push(run);
                }
            }
            Step::End => {
                lane.has_active_run = lane.has_active_run.filter(|is_active| !*is_active);
                lane.runs.retain(|of| Some(of) != run.as_ref());
            }
            Step::Other => return Effect::None,
        }
        Effect::Changed
    }
}

/// What an event says of a lane, over what was known.
fn overlay(lane: &mut LiveLane, row: LiveLane) {
    let is_same = lane.session_id.is_none() || lane.session_id == row.session_id;
    let runs = std::mem::take(&mut lane.runs);
    let keeps_runs = is_same && row.runs.is_empty() && row.has_active_run != Some(false);
    // Kept whatever else changed: 2026.9.6 tells another `startedAt` once a run has ended.
    let last_event_at = lane.last_event_at;
    let (last_step_at, begun_again_at) = (lane.last_step_at, lane.begun_again_at);
    let queued = row.queued.or(lane.queued);
    let parent = row.parent.clone().or_else(|| lane.parent.take());
    *lane = LiveLane {
        runs: if keeps_runs { runs } else { row.runs.clone() },
        last_event_at,
        last_step_at,
        begun_again_at,
        queued,
        parent,
        ..row
    };
}

#[cfg(test)]
mod tests;
