use std::sync::Arc;

use super::*;
use crate::model::sample::{NOW, snapshot};
use crate::model::{
    AcpMetadata, AcpSession, AcpxRecord, BackingFacts, Field, FileStamp, Gap, TombstoneEvent,
    TombstoneEventKind, TombstoneState, Tombstones,
};

const ID: &str = "f2580191-0775-4aeb-ac5e-2de5074b7c6c";
const WRAPPER: &str = "agent:claude:acp:1";
const OWNER: &str = "agent:main:telegram:1";

fn tombstone(claims: &[Option<&str>]) -> Tombstone {
    let mut all = Tombstones::default();
    for (at, requester) in (1..).zip(claims) {
        all.apply(&TombstoneEvent {
            backing_id: ID.into(),
            at: crate::model::UnixMillis(at),
            kind: TombstoneEventKind::Recorded,
            state: TombstoneState::Stripped,
            facts: BackingFacts {
                requester: requester.map(SessionKey::from),
                wrapper: Some(WRAPPER.into()),
                cwd: Some("/w".into()),
                ..BackingFacts::default()
            },
        });
    }
    all.0.remove(&ID.into()).unwrap()
}

#[test]
fn only_the_requester_on_record_may_have_it_and_else_only_by_the_owners_word() {
    let known = tombstone(&[Some(OWNER)]);
    assert_eq!(authorise(&known, &OWNER.into(), false), Ok(Authority::Recorded));
    assert_eq!(authorise(&known, &OWNER.into(), true), Ok(Authority::Recorded));
    for other in ["", "agent:main:telegram:10", "agent:main:telegram:", "AGENT:main:telegram:1"] {
        let why = authorise(&known, &other.into(), false).unwrap_err();
        assert!(!why.contains(OWNER) || other.contains(OWNER), "{why}");
        assert_eq!(authorise(&known, &other.into(), true), Ok(Authority::Forced), "{other}");
    }
    assert!(authorise(&tombstone(&[None]), &OWNER.into(), false).is_err());
    let disputed = tombstone(&[Some(OWNER), Some("agent:main:other")]);
    let why = authorise(&disputed, &OWNER.into(), false).unwrap_err();
    assert_eq!(why, "somebody else claims it, too");
    assert_eq!(authorise(&disputed, &OWNER.into(), true), Ok(Authority::Forced));
}

#[test]
fn a_version_has_a_way_only_where_it_was_looked_at() {
    let at = |month, patch| way(Some(Version::new(2026, month, patch)));
    assert_eq!([at(3, 24), at(4, 5), at(4, 15)], [Way::Spawn; 3]);
    assert_eq!([at(5, 7), at(5, 28)], [Way::OwnRow; 2]);
    assert_eq!([at(6, 1), at(6, 11), at(7, 1), at(9, 6), at(12, 1)], [Way::Database; 5]);
    assert_eq!([at(3, 23), at(4, 16), at(5, 6), at(5, 29), way(None)], [Way::Unknown; 5]);
}

fn session(change: impl FnOnce(&mut AcpSession, &mut AcpMetadata)) -> AcpSession {
    let mut metadata = AcpMetadata {
        family: "claude".to_owned(),
        mode: RecordMode::Oneshot,
        state: "idle".to_owned(),
        cwd: Some("/w".into()),
        backing_ids: vec![ID.into()],
        record_id: None,
        is_resolved: true,
        is_current: true,
        updated_at: None,
    };
    let mut session = AcpSession {
        key: WRAPPER.into(),
        agent: "claude".into(),
        store: "/s/sessions.json".into(),
        session_id: None,
        status: LaneStatus::Ended,
        started_at: Field::Absent,
        ended_at: Field::Absent,
        updated_at: Field::Absent,
        spawned_by: Some(OWNER.into()),
        parent: None,
        metadata: None,
    };
    change(&mut session, &mut metadata);
    session.metadata = Some(metadata);
    session
}

fn record(mode: RecordMode, is_closed: bool) -> AcpxRecord {
    AcpxRecord {
        path: "/s/r.json".into(),
        stamp: FileStamp { dev: 1, ino: 2, bytes: 3, mtime_s: 4, mtime_ns: 5 },
        uid: 1000,
        folder_uid: 1000,
        record_id: "r".to_owned(),
        session_key: WRAPPER.into(),
        backing_id: Some(ID.into()),
        mode,
        command: "claude-agent-acp".to_owned(),
        cwd: "/w".into(),
        pid: None,
        agent_started_at: None,
        is_closed,
        closed_at: None,
    }
}

/// What speaks against it in a world with these; "" if nothing does.
#[track_caller]
fn check(change: impl FnOnce(&mut Snapshot), want: &str) {
    let mut snapshot = snapshot();
    snapshot.taken_at = NOW;
    (snapshot.acp, snapshot.records) = (Some(Vec::new()), Some(Vec::new()));
    snapshot.gaps.clear();
    change(&mut snapshot);
    let found = obstacle(&ID.into(), &tombstone(&[Some(OWNER)]), &snapshot).unwrap_or_default();
    assert!(found.contains(want) && found.is_empty() == want.is_empty(), "{found}");
}

fn acp(session: AcpSession) -> impl FnOnce(&mut Snapshot) {
    |snapshot| snapshot.acp = Some(vec![Arc::new(session)])
}

fn acpx(record: AcpxRecord) -> impl FnOnce(&mut Snapshot) {
    |snapshot| snapshot.records = Some(vec![Arc::new(record)])
}

fn agent(change: impl FnOnce(&mut Agent)) -> impl FnOnce(&mut Snapshot) {
    let mut agent = crate::policy::process::sample::orphan();
    agent.cwd = Some("/w".into());
    (agent.session_key, agent.record) = (Some("agent:claude:acp:other".into()), None);
    change(&mut agent);
    |snapshot| snapshot.agents = vec![agent]
}

#[test]
fn what_nobody_works_on_may_be_given_back() {
    check(|_| {}, "");
    check(acp(session(|_, _| {})), "");
    check(acp(session(|row, of| (row.status, of.is_current) = (LaneStatus::Running, false))), "");
    check(acpx(record(RecordMode::Oneshot, false)), "");
    check(acpx(record(RecordMode::Persistent, true)), "");
    check(agent(|_| {}), "");
    check(agent(|of| (of.session_key, of.cwd) = (None, Some("/elsewhere".into()))), "");
    check(agent(|of| (of.session_key, of.kind) = (None, None)), "");
}

#[test]
fn what_a_session_works_on_or_has_is_left_to_it() {
    check(acp(session(|row, _| row.status = LaneStatus::Running)), "works on it now");
    check(acp(session(|_, of| of.state = "running".to_owned())), "works on it now");
    check(acp(session(|_, of| of.mode = RecordMode::Persistent)), "go on there");
    check(acpx(record(RecordMode::Persistent, false)), "by its open record /s/r.json");
}

#[test]
fn what_a_process_works_on_or_may_work_on_is_left_to_it() {
    check(agent(|of| of.command = format!("claude --resume {ID}")), "works on it");
    check(agent(|of| of.session_key = Some(WRAPPER.into())), "works on it");
    check(agent(|of| of.record = Some(record(RecordMode::Oneshot, false))), "works on it");
    check(agent(|of| of.session_key = None), "may work on it");
    check(agent(|of| (of.session_key, of.cwd) = (None, None)), "may work on it");
}

#[test]
fn what_cannot_be_seen_speaks_against_it() {
    for source in [Source::Processes, Source::Sessions, Source::Records, Source::Acp] {
        let gap = Gap { source, path: "/s/x".into(), reason: "torn".to_owned() };
        check(|snapshot| snapshot.gaps.push(gap), "/s/x could not be read: torn");
    }
    check(|snapshot| snapshot.acp = None, "not looked at");
    check(|snapshot| snapshot.records = None, "not looked at");
}
