use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::model::sample::{NOW, snapshot};
use crate::model::{
    AcpMetadata, AcpSession, AcpxRecord, Field, FileStamp, History, LaneStatus, RecordMode,
    Tombstones,
};

const KEY: &str = "agent:claude:acp:1";
const PARENT: &str = "agent:main:parent";

fn session(key: &str, ids: &[&str]) -> AcpSession {
    AcpSession {
        key: key.into(),
        agent: "claude".into(),
        store: "/s/agents/claude/sessions/sessions.json".into(),
        session_id: Some("s1".into()),
        status: LaneStatus::Ended,
        started_at: Field::Absent,
        ended_at: Field::Absent,
        updated_at: Field::Absent,
        spawned_by: Some(PARENT.into()),
        parent: None,
        metadata: Some(AcpMetadata {
            family: "claude".to_owned(),
            mode: RecordMode::Oneshot,
            state: "idle".to_owned(),
            cwd: Some("/w".into()),
            backing_ids: ids.iter().map(|id| BackingId::from(*id)).collect(),
            record_id: None,
            is_resolved: true,
            is_current: true,
            updated_at: None,
        }),
    }
}

fn bare(key: &str) -> AcpSession {
    AcpSession { metadata: None, ..session(key, &[]) }
}

fn stale(key: &str, ids: &[&str]) -> AcpSession {
    let mut session = session(key, ids);
    session.metadata.as_mut().unwrap().is_current = false;
    session
}

fn record(key: &str, id: &str) -> AcpxRecord {
    AcpxRecord {
        path: "/s/workspace/state/sessions/r.json".into(),
        stamp: FileStamp { dev: 1, ino: 2, bytes: 3, mtime_s: 4, mtime_ns: 5 },
        uid: 1000,
        folder_uid: 1000,
        record_id: "r".to_owned(),
        session_key: key.into(),
        backing_id: Some(id.into()),
        mode: RecordMode::Oneshot,
        command: "claude-agent-acp".to_owned(),
        cwd: "/w".into(),
        pid: None,
        agent_started_at: None,
        is_closed: false,
        closed_at: None,
    }
}

/// Passes over one state directory, one after the other.
#[derive(Default)]
struct Story {
    sessions: Vec<AcpSession>,
    records: Vec<AcpxRecord>,
    gap: Option<Source>,
    known: Tombstones,
}

impl Story {
    fn verdicts(&self, mode: Mode) -> Vec<Verdict> {
        self.asked(mode, false)
    }

    fn asked(&self, mode: Mode, explains_healthy: bool) -> Vec<Verdict> {
        let mut snapshot = snapshot();
        snapshot.acp = Some(self.sessions.iter().cloned().map(Arc::new).collect());
        snapshot.records = Some(self.records.iter().cloned().map(Arc::new).collect());
        let reason = "torn".to_owned();
        let gap = |source| Gap { source, path: "/s".into(), reason: reason.clone() };
        snapshot.gaps = self.gap.map(gap).into_iter().collect();
        let history = History { tombstones: Arc::new(self.known.clone()), ..History::default() };
        let context = Context {
            snapshot: &snapshot,
            history: &history,
            explains_healthy,
            start_grace: Duration::from_secs(360),
        };
        evaluate(context, mode)
    }

    /// One pass; what it writes down is known in the next. Says each session with what happened.
    fn pass(&mut self) -> String {
        let verdicts = self.verdicts(Mode::Enforce);
        let mut said = Vec::new();
        for verdict in &verdicts {
            match &verdict.decision {
                Decision::Act(Action::Record(events), _) => {
                    let kinds: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
                    events.iter().for_each(|event| self.known.apply(event));
                    let state = self.known.0[&BackingId(verdict.subject.id.clone())].state;
                    said.push(format!("{} {}: {state}", verdict.subject.id, kinds.join(" ")));
                }
                other => said.push(format!("{} {}", verdict.subject.id, other.code())),
            }
        }
        said.join("; ")
    }

    #[track_caller]
    fn then(&mut self, sessions: &[AcpSession], want: &str) -> &mut Story {
        self.sessions = sessions.to_vec();
        assert_eq!(self.pass(), want);
        assert_eq!(self.pass(), "", "what is on record is not recorded again");
        self
    }
}

fn live() -> Story {
    let mut story = Story::default();
    story.then(&[session(KEY, &["b"])], "b recorded: live");
    story
}

#[test]
fn a_backing_session_is_recorded_for_whoever_asked_for_it() {
    let story = live();
    let facts = &story.known.0[&"b".into()].facts;
    assert_eq!(facts.requester, Some(PARENT.into()));
    assert_eq!(facts.owner, Some(PARENT.into()));
    assert_eq!(facts.wrapper, Some(KEY.into()));
    assert_eq!((facts.mode, facts.cwd.clone()), (Some(RecordMode::Oneshot), Some("/w".into())));
    assert_eq!(story.known.0[&"b".into()].first_seen, NOW);
}

#[test]
fn owner_and_requester_keep_both_links_and_what_nobody_spawned_is_its_own() {
    for (spawned_by, parent, want) in [
        (Some("p"), Some("q"), ("q", "p")),
        (None, Some("q"), ("q", "q")),
        (Some("p"), None, ("p", "p")),
        (None, None, (KEY, KEY)),
    ] {
        let mut story = Story::default();
        let mut of = session(KEY, &["b"]);
        of.spawned_by = spawned_by.map(Into::into);
        of.parent = parent.map(Into::into);
        story.then(&[of], "b recorded: live");
        let facts = &story.known.0[&"b".into()].facts;
        assert_eq!(facts.owner, Some(want.0.into()));
        assert_eq!(facts.requester, Some(want.1.into()));
    }
}

#[test]
fn it_is_recorded_at_once_whatever_the_gateway_does() {
    let story = Story { sessions: vec![session(KEY, &["b"])], ..Story::default() };
    let verdicts = story.verdicts(Mode::Enforce);
    assert_eq!((verdicts.len(), verdicts[0].looks), (1, Looks::One));
    assert!(verdicts[0].is_record());
    let observed = story.verdicts(Mode::Observe);
    assert!(matches!(observed[0].decision, Decision::Observe(..)));
}

#[test]
fn one_wrapper_may_have_several_and_one_may_have_several_wrappers() {
    let mut story = Story::default();
    story.then(&[session(KEY, &["a", "b"])], "a recorded: live; b recorded: live");
    let other = session("agent:claude:acp:2", &["b"]);
    story.then(&[session(KEY, &["a", "b"]), other], "b wrapped: live");
    assert_eq!(story.known.0[&"b".into()].wrappers.len(), 2);
}

#[test]
fn what_becomes_of_it_is_written_down() {
    live().then(&[bare(KEY)], "b stripped: stripped");
    live().then(&[], "b metadata_lost: stripped");
    live().then(&[stale(KEY, &["b"])], "b reset: stripped");
    live().then(&[session(KEY, &["c"])], "c recorded: live; b replaced: superseded");
    live().then(&[session(KEY, &[])], "b reset: stripped");
    let again = AcpSession { session_id: Some("s2".into()), ..session(KEY, &["b"]) };
    live().then(&[again], "b reset: live");
    let changed = Story { sessions: vec![bare(KEY)], ..live() };
    assert_eq!(changed.verdicts(Mode::Enforce)[0].decision.code(), "backing_changed");
}

#[test]
fn what_comes_back_is_found_again_and_what_is_gone_stays_on_record() {
    let mut story = live();
    story.then(&[bare(KEY)], "b stripped: stripped");
    story.then(&[], "");
    story.then(&[session(KEY, &["b"])], "b found_again: live");
    assert_eq!(story.known.0[&"b".into()].events.len(), 3);
}

#[test]
fn a_gap_never_makes_anything_stripped() {
    for source in [Source::Config, Source::Sessions, Source::Acp] {
        let mut story = live();
        story.gap = Some(source);
        story.then(&[], "").then(&[bare(KEY)], "").then(&[stale(KEY, &["b"])], "");
        story.then(&[stale(KEY, &["c"])], "c recorded: live");
        assert_eq!(story.known.0[&"b".into()].state, TombstoneState::Live);
    }
    let mut story = live();
    story.gap = Some(Source::Processes);
    story.then(&[], "b metadata_lost: stripped");
}

#[test]
fn where_sessions_were_not_looked_for_nothing_is_judged() {
    let story = live();
    let mut snapshot = snapshot();
    snapshot.acp = None;
    let history = History { tombstones: Arc::new(story.known), ..History::default() };
    let context = Context {
        snapshot: &snapshot,
        history: &history,
        explains_healthy: true,
        start_grace: Duration::ZERO,
    };
    assert_eq!(evaluate(context, Mode::Enforce), []);
}

#[test]
fn a_record_alone_names_no_requester_until_a_session_does() {
    let mut story = Story { records: vec![record(KEY, "b")], ..Story::default() };
    story.then(&[], "b recorded: stripped");
    assert_eq!(story.known.0[&"b".into()].facts.requester, None);
    story.then(&[bare(KEY)], "b claimed: stripped");
    assert_eq!(story.known.0[&"b".into()].facts.requester, Some(PARENT.into()));
    story.then(&[session(KEY, &["b"])], "b found_again: live");
}

#[test]
fn an_open_record_names_its_session_for_as_long_as_the_gateway_knows_of_an_agent() {
    let mut story = Story { records: vec![record(KEY, "r")], ..Story::default() };
    story.then(&[session(KEY, &["b"])], "b recorded: live; r recorded: live");
    story.records[0].is_closed = true;
    story.then(&[session(KEY, &["b"])], "r replaced: superseded");
    story.records[0].is_closed = false;
    story.then(&[bare(KEY)], "b stripped: stripped");
    let mut story = Story { records: vec![record(KEY, "r")], ..Story::default() };
    story.records[0].is_closed = true;
    story.then(&[session(KEY, &["b"])], "b recorded: live; r recorded: superseded");
}

#[test]
fn another_claim_is_said_once_and_changes_nothing() {
    let mut story = live();
    let thief = AcpSession { spawned_by: Some("thief".into()), ..session("agent:x:acp:9", &["b"]) };
    story.then(&[session(KEY, &["b"]), thief], "b wrapped: live");
    let found = &story.known.0[&"b".into()];
    assert_eq!(found.facts.requester, Some(PARENT.into()));
    assert_eq!(found.disputed_by, ["thief".into()]);
    let taken = AcpSession { spawned_by: Some("other".into()), ..session(KEY, &["b"]) };
    story.then(&[taken], "b claimed: live");
    assert_eq!(story.known.0[&"b".into()].disputed_by.len(), 2);
}

#[test]
fn a_copy_of_a_session_without_it_does_not_hide_the_session() {
    let alone = AcpSession { session_id: None, spawned_by: None, ..stale(KEY, &["b"]) };
    let mut story = Story::default();
    story.then(&[alone.clone(), session(KEY, &["b"])], "b recorded: live");
    assert_eq!(story.known.0[&"b".into()].facts.requester, Some(PARENT.into()));
    let mut story = Story::default();
    story.then(&[alone], "b recorded: stripped");
    assert_eq!(story.known.0[&"b".into()].facts.requester, None);
}

#[test]
fn what_is_on_record_is_said_on_request() {
    let mut story = live();
    let said = |story: &Story| {
        let verdicts = story.asked(Mode::Enforce, true);
        let lines = verdicts.iter().map(|of| format!("{} {}", of.decision.code(), of.suspect));
        lines.collect::<Vec<_>>().join("; ")
    };
    assert_eq!(said(&story), "on_record false");
    story.gap = Some(Source::Sessions);
    story.sessions.clear();
    assert_eq!(said(&story), "gap false");
    story.gap = None;
    story.then(&[bare(KEY)], "b stripped: stripped");
    assert_eq!(said(&story), "on_record false");
}
