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
        lane.last_event_at = Some(now);
        step.apply(lane, run)
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
            lane.last_event_at = Some(now);
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
            lane.last_event_at = Some(now);
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
    let queued = row.queued.or(lane.queued);
    let parent = row.parent.clone().or_else(|| lane.parent.take());
    *lane = LiveLane {
        runs: if keeps_runs { runs } else { row.runs.clone() },
        last_event_at,
        queued,
        parent,
        ..row
    };
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::list;
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn lanes(rows: &Value) -> Lanes {
        let mut lanes = Lanes::default();
        lanes.relist(listed(rows));
        lanes
    }

    fn listed(rows: &Value) -> Listed {
        let payload = serde_json::value::to_raw_value(&json!({"sessions": rows})).unwrap();
        list::read(&payload).unwrap()
    }

    fn hear(lanes: &mut Lanes, name: &str, payload: &Value) -> Effect {
        let raw = serde_json::value::to_raw_value(payload).unwrap();
        lanes.hear(&Heard { name, seq: None, payload: Some(&raw) }, NOW)
    }

    fn lane(lanes: &Lanes, key: &str) -> LiveLane {
        lanes.known().0.into_iter().find(|lane| lane.key.0 == key).unwrap()
    }

    fn row(status: &str, active: bool) -> Value {
        json!([{"key":"k","sessionId":"s","status":status,"startedAt":5,"hasActiveRun":active}])
    }

    #[test]
    fn a_run_that_began_since_the_list_is_not_taken_for_dead() {
        let mut lanes = lanes(&row("done", false));
        let begun =
            json!({"runId":"r","stream":"lifecycle","sessionKey":"k","data":{"phase":"start"}});
        assert_eq!(hear(&mut lanes, "agent", &begun), Effect::Changed);
        let lane = lane(&lanes, "k");
        assert_eq!((lane.status, lane.has_active_run), (LaneStatus::Running, None));
        assert_eq!(lane.runs, [RunId("r".to_owned())]);
        assert_eq!(lane.last_event_at, Some(NOW));
    }

    #[test]
    fn every_step_of_a_run_is_a_sign_of_life_and_an_injected_line_is_none() {
        for (name, payload, is_sign) in [
            (
                "agent",
                json!({"runId":"r","stream":"assistant","sessionKey":"k","data":{"text":"x"}}),
                true,
            ),
            ("agent", json!({"runId":"r","stream":"tool","sessionKey":"k","data":[]}), true),
            ("chat", json!({"runId":"r","sessionKey":"k","state":"delta","message":{}}), true),
            ("session.tool", json!({"runId":"r","sessionKey":"k"}), true),
            ("sessions.changed", json!({"sessionKey":"k","phase":"message"}), true),
            ("sessions.changed", json!({"sessionKey":"k","reason":"send"}), false),
            ("chat", json!({"runId":"inject-1","sessionKey":"k"}), false),
            ("chat", json!({"sessionKey":"k"}), false),
            ("session.message", json!({"sessionKey":"k","message":{}}), false),
            ("agent", json!({"runId":"r","stream":"assistant","sessionKey":"other"}), false),
            ("health", json!({"sessionKey":"k"}), false),
        ] {
            let mut lanes = lanes(&row("running", true));
            assert_eq!(hear(&mut lanes, name, &payload), Effect::None, "{payload}");
            let heard = lane(&lanes, "k").last_event_at;
            assert_eq!(heard.is_some(), is_sign, "{name} {payload}");
        }
    }

    #[test]
    fn an_event_without_a_key_is_found_by_its_run() {
        let rows = json!([{"key":"a"},{"key":"k","status":"running","activeRunIds":["r"]}]);
        let mut lanes = lanes(&rows);
        hear(&mut lanes, "agent", &json!({"runId":"r","stream":"tool"}));
        assert_eq!(lane(&lanes, "k").last_event_at, Some(NOW));
        assert_eq!(lane(&lanes, "a").last_event_at, None);
        hear(&mut lanes, "agent", &json!({"runId":"unknown","stream":"tool"}));
        assert_eq!(lanes.known().0.len(), 2);
    }

    #[test]
    fn the_end_of_a_run_is_noted_and_that_of_another_leaves_it() {
        let rows = json!([{"key":"k","status":"running","hasActiveRun":true,"activeRunIds":["r"]}]);
        let mut lanes = lanes(&rows);
        let end = |run: &str| {
            json!({"sessionKey":"k","phase":"end","runId":run,"ts":1,
            "session":{"key":"k","status":"done","endedAt":9}})
        };
        assert_eq!(hear(&mut lanes, "sessions.changed", &end("r")), Effect::Changed);
        let lane = lane(&lanes, "k");
        assert_eq!((lane.status, lane.ended_at), (LaneStatus::Ended, Some(UnixMillis(9))));
        assert_eq!((lane.runs.len(), lane.has_active_run), (0, None));
    }

    #[test]
    fn a_gap_in_the_numbers_is_a_loss_and_events_for_us_alone_have_none() {
        let mut lanes = lanes(&json!([]));
        lanes.subscribed(UnixMillis(1));
        let mut hear = |seq| lanes.hear(&Heard { name: "tick", seq, payload: None }, NOW);
        assert_eq!(hear(Some(7)), Effect::None, "the first may have any number");
        assert_eq!((hear(None), hear(Some(8))), (Effect::None, Effect::None));
        assert_eq!(hear(Some(10)), Effect::Lost);
        assert_eq!(hear(Some(11)), Effect::None);
        assert_eq!(hear(Some(11)), Effect::Lost, "told twice, or out of order");
        assert_eq!(lanes.heard_since, Some(NOW));
    }

    #[test]
    fn a_list_keeps_what_was_heard_and_the_run_only_while_it_is_the_same() {
        let mut lanes = lanes(&row("running", true));
        hear(
            &mut lanes,
            "agent",
            &json!({"runId":"r","stream":"lifecycle","sessionKey":"k","data":{"phase":"start"}}),
        );
        lanes.relist(listed(&row("running", true)));
        assert_eq!(lane(&lanes, "k").last_event_at, Some(NOW));
        assert_eq!(lane(&lanes, "k").runs.len(), 1);
        lanes
            .relist(listed(&json!([{"key":"k","sessionId":"s","status":"running","startedAt":6}])));
        assert_eq!(lane(&lanes, "k").last_event_at, Some(NOW));
        assert_eq!(lane(&lanes, "k").runs.len(), 0);
    }

    #[test]
    fn lanes_come_and_go() {
        let mut lanes = lanes(&row("done", false));
        let new =
            json!({"sessionKey":"a","reason":"create","session":{"key":"a","sessionId":"s9"}});
        hear(&mut lanes, "sessions.changed", &new);
        assert_eq!(lane(&lanes, "a").session_id, Some("s9".into()));
        let gone = json!({"sessionKey":"k","reason":"delete"});
        assert_eq!(hear(&mut lanes, "sessions.changed", &gone), Effect::Changed);
        assert_eq!(lanes.known().0.len(), 1);
    }

    #[test]
    fn an_event_of_no_known_shape_changes_nothing() {
        let mut lanes = lanes(&row("running", true));
        let before = lanes.known();
        for payload in [json!(7), json!([]), json!({"sessionKey":{}}), json!({"sessionKey":""})] {
            for name in ["agent", "chat", "sessions.changed", "nothing.known"] {
                assert_eq!(hear(&mut lanes, name, &payload), Effect::None);
            }
        }
        assert_eq!(lanes.known(), before);
    }
}
