use std::path::PathBuf;

use super::*;
use crate::format::row::row_fields;

/// As 2026.4.15 writes it, with another home.
const ROW: &str = r#"{"sessionId":"ab33","spawnedBy":"agent:main:parent","acp":{
    "backend":"acpx","agent":"claude","runtimeSessionName":"NAME","lastError":"cut \ud83d",
    "identity":{"state":"pending","acpxRecordId":"R","acpxSessionId":"S1","source":"ensure",
        "lastUpdatedAt":5},
    "mode":"oneshot","runtimeOptions":{"cwd":"/w"},"cwd":"/w","state":"idle","lastActivityAt":9}}"#;

/// `{"name":"k","agent":"claude","cwd":"/w","mode":"oneshot","acpxRecordId":"R",
/// "backendSessionId":"S2"}`
const NAME: &str = "acpx:v2:eyJuYW1lIjoiayIsImFnZW50IjoiY2xhdWRlIiwiY3dkIjoiL3ciLCJtb2RlIjoib25lc2hvdCIsImFjcHhSZWNvcmRJZCI6IlIiLCJiYWNrZW5kU2Vzc2lvbklkIjoiUzIifQ";

#[track_caller]
fn session(json: &str) -> crate::model::AcpSession {
    let mut fields = row_fields(json.as_bytes()).unwrap_or_else(|| panic!("no row: {json}"));
    fields.take_session("agent:claude:acp:1".into(), "claude".into(), PathBuf::from("/s"))
}

#[track_caller]
fn metadata(acp: &str) -> Option<AcpMetadata> {
    session(&format!(r#"{{"acp":{acp}}}"#)).metadata
}

fn ids(metadata: &AcpMetadata) -> Vec<&str> {
    metadata.backing_ids.iter().map(|id| id.0.as_str()).collect()
}

#[test]
fn reads_what_2026_4_15_writes() {
    let session = session(&ROW.replace("NAME", NAME));
    assert_eq!(session.requester(), Some(&"agent:main:parent".into()));
    let metadata = session.metadata.unwrap();
    assert_eq!(ids(&metadata), ["S1", "S2"]);
    let want = AcpMetadata {
        family: "claude".to_owned(),
        mode: RecordMode::Oneshot,
        state: "idle".to_owned(),
        cwd: Some("/w".into()),
        backing_ids: metadata.backing_ids.clone(),
        record_id: Some("R".to_owned()),
        is_resolved: false,
        is_current: true,
        updated_at: Some(UnixMillis(5)),
    };
    assert_eq!(metadata, want);
}

#[test]
fn the_name_alone_gives_the_backing_id_back() {
    let found = metadata(&format!(r#"{{"runtimeSessionName":"{NAME}"}}"#)).unwrap();
    assert_eq!(ids(&found), ["S2"]);
    assert_eq!((found.family.as_str(), found.mode), ("claude", RecordMode::Oneshot));
    assert_eq!((found.cwd, found.record_id), (Some("/w".into()), Some("R".to_owned())));
}

#[test]
fn the_id_of_the_agent_itself_comes_first_and_each_once() {
    let identity = r#"{"identity":{"agentSessionId":"A","acpxSessionId":"A"}}"#;
    assert_eq!(ids(&metadata(identity).unwrap()), ["A"]);
    let both = r#"{"identity":{"acpxSessionId":"S","agentSessionId":"A","state":"resolved"}}"#;
    let both = metadata(both).unwrap();
    assert_eq!((ids(&both), both.is_resolved), (vec!["A", "S"], true));
}

#[test]
fn what_is_of_another_shape_names_nothing() {
    for acp in ["null", "7", "[]", "\"acp\"", "true", "-1", "1.5"] {
        assert_eq!(metadata(acp), None, "{acp}");
    }
    let long = "x".repeat(5000);
    for acp in [
        "{}".to_owned(),
        r#"{"identity":[{"acpxSessionId":"S"}]}"#.to_owned(),
        r#"{"identity":{"acpxSessionId":7,"agentSessionId":"","x":{"acpxSessionId":"S"}}}"#
            .to_owned(),
        r#"{"identity":{"acpxSessionId":null},"acpxSessionId":"S"}"#.to_owned(),
        format!(r#"{{"identity":{{"acpxSessionId":"{long}"}}}}"#),
        r#"{"runtimeSessionName":"acpx:v2:!!"}"#.to_owned(),
        r#"{"runtimeSessionName":"acpx:v2:e30"}"#.to_owned(),
        r#"{"runtimeSessionName":"acpx:v2:W10"}"#.to_owned(),
        r#"{"runtimeSessionName":"agent:claude:acp:1"}"#.to_owned(),
    ] {
        assert_eq!(metadata(&acp).unwrap().backing_ids, [], "{acp}");
    }
}

#[test]
fn depth_and_control_characters_are_as_in_any_other_row() {
    let (open, close) = ("[".repeat(50_000), "]".repeat(50_000));
    assert!(metadata(&format!(r#"{{"identity":{{"x":{open}{close}}}}}"#)).is_some());
    let torn = "{\"acp\":{\"a\nb\":1}}";
    assert!(row_fields(torn.as_bytes()).is_none());
}

#[test]
fn columns_say_the_same_as_a_block() {
    let columns = AcpColumns {
        agent: Some("claude"),
        runtime_session_name: Some(NAME),
        mode: Some("persistent"),
        state: Some("running"),
        cwd: None,
        last_activity_at: Some(9),
        identity: Some(r#"{"state":"resolved","agentSessionId":"A"}"#),
    };
    let found = columns.metadata();
    assert_eq!((ids(&found), found.mode), (vec!["A", "S2"], RecordMode::Persistent));
    assert_eq!((found.updated_at, found.is_resolved), (Some(UnixMillis(9)), true));
    for identity in ["torn", "{\"agentSessionId\":\"A\"", "[]", ""] {
        let found = AcpColumns { identity: Some(identity), ..AcpColumns::default() }.metadata();
        assert_eq!(found.backing_ids, [], "{identity}");
    }
}

#[test]
fn a_key_is_read_in_all_three_spellings() {
    let key = "agent:main:acp:1";
    for (text, agent) in [
        (key, None),
        ("@agent:main:agent:main:acp:1", Some("main")),
        ("@acp:v1:WyJtYWluIiwiYWdlbnQ6bWFpbjphY3A6MSJd", Some("main")),
        ("@acp:v1:W251bGwsImFnZW50Om1haW46YWNwOjEiXQ", None),
    ] {
        assert_eq!(acp_session_key(text), (agent.map(str::to_owned), key.into()), "{text}");
    }
    for odd in ["@acp:v1:", "@acp:v1:???", "@acp:v1:W10", "@agent:main", "", "@acp:v2:x"] {
        assert_eq!(acp_session_key(odd), (None, odd.into()));
    }
}
