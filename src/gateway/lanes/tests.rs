//! What events tell of lanes, over what the last list told.

use serde_json::{Value, json};

use super::super::list;
use super::*;

const NOW: UnixMillis = UnixMillis(1_000);

fn lanes(rows: &Value) -> Lanes {
    let mut lanes = Lanes::default();
    lanes.relist(listed(rows), UnixMillis(0));
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
    lanes.known().0.into_vec().into_iter().find(|lane| lane.key.0 == key).unwrap()
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
fn starts_whose_ends_were_lost_do_not_pile_up() {
    let mut lanes = lanes(&row("running", true));
    for number in 0..100 {
        let begun = json!({"runId":format!("r{number}"),"stream":"lifecycle","sessionKey":"k",
            "data":{"phase":"start"}});
        hear(&mut lanes, "agent", &begun);
    }
    let runs = lane(&lanes, "k").runs;
    assert_eq!((runs.len(), runs.last()), (RUNS_MAX, Some(&RunId("r99".to_owned()))));
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
fn an_event_of_an_unknown_run_may_be_of_any_lane_whose_silence_begins_anew() {
    let rows = json!([{"key":"a","status":"running"},
        {"key":"k","status":"running","activeRunIds":["r"]}]);
    let check = |name: &str, payload: Value, begins_anew: bool| {
        let mut lanes = lanes(&rows);
        lanes.subscribed(UnixMillis(0));
        hear(&mut lanes, name, &payload);
        let since = if begins_anew { NOW } else { UnixMillis(0) };
        for key in ["a", "k"] {
            assert_eq!(lane(&lanes, key).heard_since, Some(since), "{name} {payload} {key}");
        }
    };
    check("agent", json!({"runId":"unknown","stream":"tool"}), true);
    check("agent", json!({"stream":"tool"}), true);
    check("chat", json!({"runId":"unknown"}), true);
    check("session.tool", json!({"runId":"unknown"}), true);
    check("agent", json!({"runId":"r","stream":"tool"}), false);
    check("chat", json!({"runId":"inject-1"}), false);
    check("agent", json!({"runId":"unknown","sessionKey":"k"}), false);
    check("health", json!({"runId":"unknown"}), false);
}

#[test]
fn where_nobody_listened_an_unknown_event_begins_no_listening() {
    let mut lanes = lanes(&row("running", true));
    hear(&mut lanes, "agent", &json!({"runId":"unknown","stream":"tool"}));
    assert_eq!(lane(&lanes, "k").heard_since, None);
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
fn a_run_that_was_aborted_is_named_no_more_though_its_end_is_never_told() {
    let mut lanes = lanes(&json!([{"key":"k","status":"running"}]));
    for run in ["r", "other"] {
        let begin = json!({"runId":run,"sessionKey":"k","stream":"lifecycle",
            "data":{"phase":"start"}});
        hear(&mut lanes, "agent", &begin);
    }
    let told = |state: &str| json!({"runId":"r","sessionKey":"k","seq":3,"state":state});
    for state in ["delta", "final", "error"] {
        assert_eq!(hear(&mut lanes, "chat", &told(state)), Effect::None);
        assert_eq!(lane(&lanes, "k").runs.len(), 2, "{state}");
    }
    assert_eq!(hear(&mut lanes, "chat", &told("aborted")), Effect::Changed);
    assert_eq!(lane(&lanes, "k").runs, [RunId("other".to_owned())]);
    // Its row says so for ever.
    lanes.relist(listed(&json!([{"key":"k","status":"running"}])), NOW);
    assert_eq!(lane(&lanes, "k").runs, [RunId("other".to_owned())]);
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
    assert_eq!(lanes.lost(), Lost { times: 2, last: Some(NOW) });
}

#[test]
fn a_list_keeps_what_was_heard_and_the_run_only_while_it_is_the_same() {
    let mut lanes = lanes(&row("running", true));
    hear(
        &mut lanes,
        "agent",
        &json!({"runId":"r","stream":"lifecycle","sessionKey":"k","data":{"phase":"start"}}),
    );
    lanes.relist(listed(&row("running", true)), NOW);
    assert_eq!(lane(&lanes, "k").last_event_at, Some(NOW));
    assert_eq!(lane(&lanes, "k").runs.len(), 1);
    let later = json!([{"key":"k","sessionId":"s","status":"running","startedAt":6}]);
    lanes.relist(listed(&later), NOW);
    assert_eq!(lane(&lanes, "k").last_event_at, Some(NOW));
    assert_eq!(lane(&lanes, "k").runs.len(), 0);
}

#[test]
fn a_lane_that_moved_to_a_page_that_was_read_is_kept_and_listed_again() {
    let rows = json!([{"key":"k","sessionId":"s","status":"running"},{"key":"old"}]);
    let mut lanes = lanes(&rows);
    let step = json!({"runId":"r","stream":"tool","sessionKey":"k"});
    hear(&mut lanes, "agent", &step);
    assert!(!lanes.relist(listed(&json!([])), UnixMillis(NOW.0 + 1)), "it is gone");
    assert_eq!(lanes.known().0.len(), 0);
    hear(&mut lanes, "agent", &step);
    assert!(lanes.relist(listed(&json!([{"key":"a"},{"key":"z"}])), NOW));
    let keys: Vec<_> = lanes.known().0.iter().map(|lane| lane.key.0.clone()).collect();
    assert_eq!(keys, ["a", "k", "z"]);
    assert!(!lanes.relist(listed(&rows), NOW));
}

#[test]
fn room_is_made_of_what_a_list_tells_and_of_nothing_that_was_heard() {
    let rows = json!([
        {"key":"heard","sessionId":"s","status":"running"},
        {"key":"named","sessionId":"s","status":"running","activeRunIds":["r"]},
        {"key":"rests","sessionId":"s","status":"done"},
    ]);
    let mut lanes = lanes(&rows);
    hear(&mut lanes, "agent", &json!({"runId":"r9","stream":"tool","sessionKey":"heard"}));
    let (before, _) = lanes.known();
    lanes.make_room();
    let keys: Vec<_> = lanes.known().0.iter().map(|lane| lane.key.0.clone()).collect();
    assert_eq!(keys, ["heard", "named"]);
    let unnamed = json!([
        {"key":"heard","sessionId":"s","status":"running"},
        {"key":"named","sessionId":"s","status":"running"},
        {"key":"rests","sessionId":"s","status":"done"},
    ]);
    lanes.relist(listed(&unnamed), UnixMillis(NOW.0 + 1));
    assert_eq!(lanes.known().0, before, "as if nothing had been forgotten");
}

#[test]
fn of_a_lane_listed_twice_the_younger_row_is_kept() {
    for (first, second) in [(1, 2), (2, 1)] {
        let row = |at| json!({"key":"k","sessionId":format!("s{at}"),"updatedAt":at});
        let lanes = lanes(&json!([row(first), row(second)]));
        assert_eq!(lanes.known().0.len(), 1);
        assert_eq!(lane(&lanes, "k").session_id, Some("s2".into()));
    }
}

#[test]
fn what_a_pass_was_given_stays_as_it_was_and_costs_no_copy() {
    let mut lanes = lanes(&row("running", true));
    lanes.subscribed(UnixMillis(1));
    let (given, _) = lanes.known();
    assert!(std::ptr::eq(given.as_ptr(), lanes.known().0.as_ptr()));
    hear(&mut lanes, "agent", &json!({"runId":"r","stream":"tool","sessionKey":"k"}));
    assert_eq!(given[0].last_event_at, None);
    assert_eq!(lane(&lanes, "k").last_event_at, Some(NOW));
}

#[test]
fn every_lane_says_since_when_it_was_listened_to() {
    let mut lanes = lanes(&row("done", false));
    let since = |lanes: &Lanes| {
        let known = lanes.known().0.into_vec();
        known.into_iter().map(|lane| lane.heard_since).collect::<Vec<_>>()
    };
    assert_eq!(since(&lanes), [None]);
    lanes.subscribed(UnixMillis(1));
    assert_eq!(since(&lanes), [Some(UnixMillis(1))]);
    let told = json!({"sessionKey":"k","session":{"key":"k","status":"running"}});
    hear(&mut lanes, "sessions.changed", &told);
    hear(&mut lanes, "agent", &json!({"runId":"r","stream":"tool","sessionKey":"new"}));
    assert_eq!(since(&lanes), [Some(UnixMillis(1)); 2]);
    lanes.relist(listed(&row("running", true)), UnixMillis(2_000));
    assert_eq!(since(&lanes), [Some(UnixMillis(1))]);
    let tick = |seq| Heard { name: "tick", seq: Some(seq), payload: None };
    lanes.hear(&tick(1), NOW);
    assert_eq!(lanes.hear(&tick(3), NOW), Effect::Lost);
    assert_eq!(since(&lanes), [Some(NOW)]);
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
