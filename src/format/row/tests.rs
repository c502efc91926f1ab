use super::*;

#[track_caller]
fn row(json: &str) -> Row {
    read_row(json.as_bytes()).unwrap_or_else(|| panic!("no row: {json}"))
}

#[test]
fn reads_a_row_of_2026_4_15() {
    let json = r#"{"sessionId": "26699f40-6bfd-4761-90ee-714c026735f2",
        "updatedAt": 1795159438750, "skillsSnapshot": {"skills": [{"name": "a"}]},
        "sessionFile": "/home/user/.openclaw/agents/main/sessions/26699f40.jsonl",
        "status": "running", "startedAt": 1795159303423, "abortedLastRun": false,
        "model": "fake-1", "estimatedCostUsd": 0, "endedAt": 1795159424275, "runtimeMs": 12}"#;
    let want = Row {
        session_id: Some("26699f40-6bfd-4761-90ee-714c026735f2".into()),
        status: LaneStatus::Running,
        started_at: Field::Value(UnixMillis(1_795_159_303_423)),
        ended_at: Field::Value(UnixMillis(1_795_159_424_275)),
        updated_at: Field::Value(UnixMillis(1_795_159_438_750)),
        session_file: Some("/home/user/.openclaw/agents/main/sessions/26699f40.jsonl".into()),
        residue: vec![],
    };
    assert_eq!(row(json), want);
}

#[test]
fn reads_the_recovery_mark_of_2026_6_11() {
    let json = r#"{"restartRecoveryDeliveryRunId": "69dfd275-b020-48aa-a2c1-5aed73d5db81",
        "abortedLastRun": false, "status": "running", "startedAt": 1795159778039}"#;
    assert_eq!(row(json).residue, [Residue::RestartRecovery]);
}

#[test]
fn a_status_of_another_shape_is_unknown_and_a_missing_one_is_absent() {
    for (json, want) in [
        ("{}", LaneStatus::Absent),
        (r#"{"status":null}"#, LaneStatus::Absent),
        (r#"{"status":"running"}"#, LaneStatus::Running),
        (r#"{"status":"done"}"#, LaneStatus::Ended),
        (r#"{"status":"failed"}"#, LaneStatus::Ended),
        (r#"{"status":"killed"}"#, LaneStatus::Ended),
        (r#"{"status":"timeout"}"#, LaneStatus::Ended),
        (r#"{"status":"RUNNING"}"#, LaneStatus::Unknown),
        (r#"{"status":""}"#, LaneStatus::Unknown),
        (r#"{"status":1}"#, LaneStatus::Unknown),
        (r#"{"status":["running"]}"#, LaneStatus::Unknown),
    ] {
        assert_eq!(row(json).status, want, "{json}");
    }
}

#[test]
fn a_time_of_another_shape_is_malformed_not_absent() {
    for (json, want) in [
        (r#"{"startedAt":null}"#, Field::Absent),
        (r#"{"startedAt":-5}"#, Field::Value(UnixMillis(-5))),
        (r#"{"startedAt":5.0}"#, Field::Value(UnixMillis(5))),
        (r#"{"startedAt":5.5}"#, Field::Malformed),
        (r#"{"startedAt":"2026-04-15T10:00:00Z"}"#, Field::Malformed),
        (r#"{"startedAt":18446744073709551615}"#, Field::Malformed),
        (r#"{"startedAt":{"ms":[5]}}"#, Field::Malformed),
        (r#"{"startedAt":true}"#, Field::Malformed),
    ] {
        assert_eq!(row(json).started_at, want, "{json}");
    }
}

#[test]
fn residue_is_whatever_the_gateway_may_still_act_on() {
    for (json, want) in [
        (r#"{"abortedLastRun":true}"#, &[Residue::AbortedLastRun][..]),
        (r#"{"abortedLastRun":false}"#, &[]),
        (r#"{"abortedLastRun":"yes"}"#, &[Residue::AbortedLastRun]),
        (r#"{"restartRecoveryRuns":[{"runId":"a"}]}"#, &[Residue::RestartRecovery]),
        (r#"{"restartRecoveryRuns":[]}"#, &[]),
        (r#"{"restartRecoveryX":null,"restartRecoveryY":false}"#, &[]),
        (r#"{"mainRestartRecovery":{"cycleId":"a"}}"#, &[Residue::RestartRecovery]),
        (r#"{"mainRestartRecovery":{}}"#, &[]),
        (r#"{"mainRestartRecoveryNote":1}"#, &[]),
        (r#"{"restartRecoveryA":1,"restartRecoveryB":null}"#, &[Residue::RestartRecovery]),
        (r#"{"pendingFinalDelivery":true}"#, &[Residue::PendingFinalDelivery]),
        (r#"{"pendingFinalDelivery":false,"pendingFinalDeliveryText":null}"#, &[]),
        (r#"{"pendingFinalDeliveryText":"cut \ud83d"}"#, &[Residue::PendingFinalDelivery]),
        (r#"{"quotaSuspension":{"until":5}}"#, &[Residue::QuotaSuspension]),
        (r#"{"quotaSuspension":null}"#, &[]),
    ] {
        assert_eq!(row(json).residue, want, "{json}");
    }
}

#[test]
fn of_a_repeated_field_the_last_counts() {
    let json = r#"{"status":"running","startedAt":1,"sessionId":"a",
        "status":"done","startedAt":null,"sessionId":7}"#;
    assert_eq!(row(json), Row { status: LaneStatus::Ended, ..Row::default() });
}

#[test]
fn names_that_are_empty_or_endless_name_nothing() {
    let long = "a".repeat(5000);
    let json = format!(r#"{{"sessionId":"{long}","sessionFile":"","status":"{long}"}}"#);
    assert_eq!(row(&json), Row { status: LaneStatus::Unknown, ..Row::default() });
}

#[test]
fn what_is_no_object_is_no_row() {
    for json in ["", "null", "7", "-7", "7.5", "\"a\"", "[{}]", "true", "{", "{}x"] {
        assert_eq!(read_row(json.as_bytes()), None, "{json}");
    }
}

#[test]
fn half_an_emoji_in_a_field_or_a_name_that_is_ignored_is_no_error() {
    assert_eq!(row(r#"{"label":"cut \ud83d","\udc00":1}"#), Row::default());
}
