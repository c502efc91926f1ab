//! What events tell of lanes, over what the last list told.

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
    let begun = json!({"runId":"r","stream":"lifecycle","sessionKey":"k","data":{"phase":"start"}});
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
    lanes.relist(listed(&json!([{"key":"k","sessionId":"s","status":"running","startedAt":6}])));
    assert_eq!(lane(&lanes, "k").last_event_at, Some(NOW));
    assert_eq!(lane(&lanes, "k").runs.len(), 0);
}

#[test]
fn lanes_come_and_go() {
    let mut lanes = lanes(&row("done", false));
    let new = json!({"sessionKey":"a","reason":"create","session":{"key":"a","sessionId":"s9"}});
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

mod again;
