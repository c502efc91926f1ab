//! The lanes of a gateway, as its list and its events tell them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::conversation::Heard;
use super::list::{LANES_MAX, Listed, RUNS_MAX, Row, name, read_lane};
use crate::format::Loose;
use crate::model::{LaneStatus, LiveLane, LiveLanes, Lost, RunId, SessionKey, UnixMillis};

/// Two events tell of one begin, in either order (2026.4.15, 2026.9.6). A run is begun again after 120
/// s of silence at the earliest.
const ONE_BEGIN: Duration = Duration::from_secs(10);

/// How often the silence of all lanes begins anew at the most: thousands of them are gone through.
const ONE_SILENCE: Duration = Duration::from_secs(1);

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

/// Lanes by key, in order. A pass that looks at them shares them.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    lanes: LiveLanes,
    is_complete: bool,
    last_seq: Option<i64>,
    heard_since: Option<UnixMillis>,
    lost: Lost,
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
    #[serde(borrow, default)]
    state: Loose<'a>,
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
        self.listen_since(Some(now));
    }

    fn listen_since(&mut self, since: Option<UnixMillis>) {
        self.heard_since = since;
        self.lanes.iter_mut().for_each(|lane| lane.heard_since = since);
    }

    /// Forgets, before a list is asked for, what it will tell anew: all but what only events told.
    /// Else there would be two of every lane for a while, and an allocator gives little back.
    pub(super) fn make_room(&mut self) {
        let is_heard = |lane: &&LiveLane| lane.last_event_at.is_some() || !lane.runs.is_empty();
        let heard: Vec<LiveLane> = self.lanes.iter().filter(is_heard).cloned().collect();
        self.lanes = heard.into();
    }

    /// Takes over a list that was asked for at `asked_at`. What events told of a run that still goes
    /// on is kept, and so is a lane of which one was heard since: it may have moved to a page that
    /// had been read. Returns true if there is one: another list must tell the rest of it.
    pub(super) fn relist(&mut self, listed: Listed, asked_at: UnixMillis) -> bool {
        let before = std::mem::take(&mut self.lanes);
        self.is_complete = listed.is_complete;
        let mut lanes = listed.lanes;
        // In place: a stable sort needs room for half of them beside. Of two the younger one stays.
        lanes.sort_unstable_by(|a, b| a.key.cmp(&b.key).then(b.updated_at.cmp(&a.updated_at)));
        lanes.dedup_by(|a, b| a.key == b.key);
        for lane in &mut lanes {
            lane.heard_since = self.heard_since;
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
        let is_listed =
            |lane: &LiveLane| lanes.binary_search_by(|of| of.key.cmp(&lane.key)).is_ok();
        let is_heard = |lane: &&LiveLane| lane.last_event_at.is_some_and(|at| at >= asked_at);
        let moved = before.iter().filter(is_heard).filter(|lane| !is_listed(lane));
        let moved: Vec<LiveLane> = moved.cloned().collect();
        let has_moved = !moved.is_empty();
        if has_moved {
            lanes.extend(moved);
            lanes.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        }
        lanes.shrink_to_fit();
        self.lanes = lanes.into();
        has_moved
    }

    /// Takes in one event, heard at `now`.
    pub(super) fn hear(&mut self, event: &Heard<'_>, now: UnixMillis) -> Effect {
        if self.is_gap(event.seq) {
            self.listen_since(self.heard_since.map(|_| now));
            self.lost = Lost { times: self.lost.times.saturating_add(1), last: Some(now) };
            self.take(event, now);
            return Effect::Lost;
        }
        self.take(event, now)
    }

    /// Returns the lanes as they are known now, and whether these are all.
    pub(super) fn known(&self) -> (LiveLanes, bool) {
        (self.lanes.clone(), self.is_complete)
    }

    /// Returns how often events were lost on the way here.
    pub(super) fn lost(&self) -> Lost {
        self.lost
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
            _ => self.sign_of_life(told, now),
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
        let Some(lane) = self.of_event(name(told.session_key), run.as_ref(), now) else {
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
        match row {
            Some(row) if step != Step::Begin && is_behind(lane, &row) => {
                lane.updated_at = lane.updated_at.max(row.updated_at);
            }
            Some(row) => overlay(lane, row),
            None => {}
        }
        if is_step {
            step.note(lane, run.as_ref(), now);
        }
        step.apply(lane, run)
    }

    fn sign_of_life(&mut self, told: Event<'_>, now: UnixMillis) -> Effect {
        let is_aborted = told.state == Loose::Text("aborted".into());
        let run = name(told.run_id).map(RunId);
        // What `chat.inject` writes, ours too, is no step of any run.
        if run.as_ref().is_none_or(|run| run.0.starts_with("inject-")) {
            return Effect::None;
        }
        let Some(lane) = self.of_event(name(told.session_key), run.as_ref(), now) else {
            return Effect::None;
        };
        (lane.last_event_at, lane.last_step_at) = (Some(now), Some(now));
        if !is_aborted {
            return Effect::None;
        }
        // The last word about such a run up to 2026.4.15, which never tells its end (measured).
        // Whether it has let go is told by its lock.
        lane.runs.retain(|of| Some(of) != run.as_ref());
        Effect::Changed
    }

    /// The lane that an event is about: by its key, else by its run. One that tells of neither is a
    /// sign of life of any lane, so the silence of all begins anew.
    fn of_event(
        &mut self,
        key: Option<String>,
        run: Option<&RunId>,
        now: UnixMillis,
    ) -> Option<&mut LiveLane> {
        if let Some(key) = key {
            return self.entry(SessionKey(key));
        }
        let at = run.and_then(|run| self.lanes.iter().position(|lane| lane.runs.contains(run)));
        if at.is_none() && self.heard_since.is_some_and(|since| now.since(since) >= ONE_SILENCE) {
            self.listen_since(Some(now));
        }
        self.lanes.get_mut(at?)
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
                let heard_since = self.heard_since;
                self.lanes.insert(at, LiveLane { key, heard_since, ..LiveLane::default() });
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
        let before = lane.last_event_at.replace(now);
        let was_silent = before.is_some_and(|at| now.since(at) > ONE_BEGIN);
        match (self, run) {
            (Step::Begin, Some(run)) if lane.runs.contains(run) => {
                if was_silent {
                    lane.begun_again_at = Some(now);
                }
            }
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
                    // Only starts whose ends were lost pile up.
                    let surplus = lane.runs.len().saturating_sub(RUNS_MAX);
                    lane.runs.drain(..surplus);
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

/// Whether a row tells of an earlier run than the one that is known: right after the start of a run,
/// 2026.4.15 says of its first message the row of the run before, with that one's end (measured).
/// Taken for the truth, a run that hangs would be over.
fn is_behind(lane: &LiveLane, row: &LiveLane) -> bool {
    let is_same = lane.session_id.is_none() || lane.session_id == row.session_id;
    let is_older = match (row.started_at, lane.started_at) {
        (Some(told), Some(known)) => told < known,
        (None, Some(_)) => row.status == LaneStatus::Absent && row.ended_at.is_none(),
        (_, None) => false,
    };
    is_same && is_older
}

/// What an event says of a lane, over what was known.
fn overlay(lane: &mut LiveLane, row: LiveLane) {
    let is_same = lane.session_id.is_none() || lane.session_id == row.session_id;
    let runs = std::mem::take(&mut lane.runs);
    let keeps_runs = is_same && row.runs.is_empty() && row.has_active_run != Some(false);
    // Kept whatever else changed: 2026.9.6 tells another `startedAt` once a run has ended.
    let last_event_at = lane.last_event_at;
    let (last_step_at, begun_again_at) = (lane.last_step_at, lane.begun_again_at);
    let heard_since = lane.heard_since;
    let queued = row.queued.or(lane.queued);
    let parent = row.parent.clone().or_else(|| lane.parent.take());
    *lane = LiveLane {
        runs: if keeps_runs { runs } else { row.runs.clone() },
        last_event_at,
        last_step_at,
        begun_again_at,
        heard_since,
        queued,
        parent,
        ..row
    };
}

#[cfg(test)]
mod tests;
