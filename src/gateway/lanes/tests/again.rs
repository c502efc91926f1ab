//! Runs that begin again, rows of the run before, and runs of cron jobs.

use super::super::*;
use crate::model::SessionId;

/// What a lane is after these events, given as `(phase, row)`.
fn after(events: &[(&str, &str)]) -> LiveLane {
    let mut lanes = Lanes::default();
    for (phase, row) in events {
        let comma = if row.is_empty() { "" } else { "," };
        let text = format!(
            r#"{{"sessionKey":"a","phase":"{phase}","runId":"r","session":{{"key":"a","sessionId":"s"{comma}{row}}}}}"#
        );
        let payload: &RawValue = serde_json::from_str(&text).unwrap();
        let event = Heard { name: "sessions.changed", seq: None, payload: Some(payload) };
        lanes.hear(&event, UnixMillis(9_000));
    }
    lanes.lanes.remove(0)
}

/// As 2026.4.15 says it of the second run of a lane.
const BEFORE: &str = r#""status":"done","startedAt":1000,"endedAt":1100"#;
const NOW: &str = r#""status":"running","startedAt":2000"#;

#[test]
fn a_row_of_the_run_before_does_not_end_the_run_that_has_begun() {
    let lane = after(&[("start", NOW), ("message", BEFORE)]);
    assert_eq!((lane.status, lane.ended_at), (LaneStatus::Running, None));
    assert_eq!(lane.started_at, Some(UnixMillis(2_000)));
    let lane = after(&[("start", NOW), ("message", "")]);
    assert_eq!((lane.status, lane.started_at), (LaneStatus::Running, Some(UnixMillis(2_000))));
}

#[test]
fn a_run_ends_and_the_next_one_begins_even_if_the_clock_was_set_back() {
    let end = r#""status":"done","startedAt":2000,"endedAt":2100"#;
    assert_eq!(after(&[("start", NOW), ("end", end)]).status, LaneStatus::Ended);
    let back = r#""status":"running","startedAt":500"#;
    let lane = after(&[("start", NOW), ("end", end), ("start", back)]);
    assert_eq!((lane.status, lane.ended_at), (LaneStatus::Running, None));
    assert_eq!(lane.started_at, Some(UnixMillis(500)));
}

const JOB: &str = "agent:main:cron:j";

fn at(seconds: i64) -> UnixMillis {
    UnixMillis(seconds * 1_000)
}

fn hear(lanes: &mut Lanes, name: &str, payload: &str, now: UnixMillis) {
    let payload = RawValue::from_string(payload.to_owned()).unwrap();
    lanes.hear(&Heard { name, seq: None, payload: Some(&payload) }, now);
}

fn begins(lanes: &mut Lanes, key: &str, run: &str, now: UnixMillis) {
    let payload = format!(
        r#"{{"sessionKey":"{key}","runId":"{run}","stream":"lifecycle","data":{{"phase":"start"}}}}"#
    );
    hear(lanes, "agent", &payload, now);
}

fn lane(lanes: &Lanes, key: &str) -> LiveLane {
    lanes.known().0.into_vec().into_iter().find(|lane| lane.key.0 == key).unwrap()
}

fn listed(session: &str) -> Listed {
    let lane = LiveLane {
        key: JOB.into(),
        session_id: Some(SessionId(session.to_owned())),
        status: LaneStatus::Running,
        ..LiveLane::default()
    };
    Listed { lanes: vec![lane], is_complete: true, next_offset: None }
}

#[test]
fn what_is_told_of_one_run_of_a_cron_job_is_a_sign_of_life_of_the_job() {
    let mut lanes = Lanes::default();
    lanes.subscribed(at(1));
    // Its row may be listed later than the first event comes, and has no start (2026.9.6).
    begins(&mut lanes, "agent:main:cron:j:run:s1", "r1", at(5));
    lanes.relist(listed("s1"), at(6));
    assert_eq!(lane(&lanes, JOB).last_event_at, Some(at(5)));
    assert_eq!(lane(&lanes, JOB).runs, [], "the id of a run stays where it was named");
    let tool = r#"{"sessionKey":"agent:main:cron:j:run:s1","runId":"r1"}"#;
    hear(&mut lanes, "session.tool", tool, at(9));
    let row = r#"{"sessionKey":"agent:main:cron:j","session":{"key":"agent:main:cron:j",
                  "sessionId":"s1","status":"running"}}"#;
    hear(&mut lanes, "sessions.changed", row, at(10));
    lanes.relist(listed("s2"), at(11));
    let job = lane(&lanes, JOB);
    assert_eq!((job.last_event_at, job.last_step_at), (Some(at(9)), Some(at(9))));
    begins(&mut lanes, "agent:main:x:run:s1", "r1", at(20));
    assert_eq!(lanes.known().0.len(), 2, "no other key is taken apart");
}

#[test]
fn one_begin_that_two_events_tell_of_is_no_second_begin() {
    let mut lanes = Lanes::default();
    lanes.subscribed(at(1));
    let key = "agent:main:main";
    begins(&mut lanes, key, "r1", at(5));
    let row = r#"{"sessionKey":"agent:main:main","phase":"start","runId":"r1","session":
                   {"key":"agent:main:main","status":"running","startedAt":5000}}"#;
    hear(&mut lanes, "sessions.changed", row, at(5));
    assert_eq!(lane(&lanes, key).begun_again_at, None);
    assert_eq!(lane(&lanes, key).last_step_at, Some(at(5)));
}

#[test]
fn a_run_that_begins_again_makes_no_step() {
    let mut lanes = Lanes::default();
    lanes.subscribed(at(1));
    let key = "agent:main:main";
    begins(&mut lanes, key, "r1", at(5));
    begins(&mut lanes, key, "r1", at(125));
    let row = r#"{"sessionKey":"agent:main:main","phase":"start","session":
                  {"key":"agent:main:main","status":"running","startedAt":125000}}"#;
    hear(&mut lanes, "sessions.changed", row, at(126));
    let again = lane(&lanes, key);
    assert_eq!((again.last_step_at, again.begun_again_at), (Some(at(5)), Some(at(125))));
    assert_eq!(again.started_at, Some(at(125)));
    hear(&mut lanes, "chat", r#"{"sessionKey":"agent:main:main","runId":"r1"}"#, at(130));
    assert_eq!(lane(&lanes, key).last_step_at, Some(at(130)));
    begins(&mut lanes, key, "r2", at(140));
    let other = lane(&lanes, key);
    assert_eq!((other.last_step_at, other.begun_again_at), (Some(at(140)), Some(at(125))));
    assert_eq!(other.runs.len(), 2, "which of them runs is not known");
}
