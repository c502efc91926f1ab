//! A lane that is hung in every respect, for tests to spare.

use std::sync::Arc;
use std::time::Duration;

use crate::model::sample::{self, GATEWAY, ago};
use crate::model::{
    Answers, Child, Claim, Era, Field, History, Lane, LaneStatus, LiveLane, Lock, Lost, Payload,
    ProcessId, Rpc, RunId, Sighting, Snapshot, Transcript, Version,
};

/// How long ago its run began, and its last sign of life was.
pub(in crate::policy) const BEGAN: u64 = 40_000;
pub(in crate::policy) const KEY: &str = "agent:main:main";

/// Row, transcript and the gateway's word: alive, and still for as long as it runs.
pub(in crate::policy) fn disk(key: &str, session: &str) -> Lane {
    let mut lane = sample::lane(key, BEGAN);
    lane.row.session_id = Some(session.into());
    lane.row.updated_at = Field::Value(ago(BEGAN));
    lane.trajectory = Transcript::Present { bytes: 1, modified_at: ago(BEGAN) };
    lane.store = Arc::clone(&lane.store);
    lane
}

pub(in crate::policy) fn live(key: &str, session: &str) -> LiveLane {
    LiveLane {
        key: key.into(),
        session_id: Some(session.into()),
        status: LaneStatus::Running,
        started_at: Some(ago(BEGAN)),
        updated_at: Some(ago(BEGAN)),
        has_active_run: Some(true),
        runs: vec![RunId(if session == "s1" { "r1".to_owned() } else { format!("r-{session}") })],
        last_event_at: Some(ago(BEGAN)),
        heard_since: Some(ago(80_000)),
        queued: Some(0),
        ..LiveLane::default()
    }
}

/// A lock that the live gateway holds.
pub(in crate::policy) fn held(name: &str, age_s: u64) -> Lock {
    let seen = Sighting::Present { id: GATEWAY, started_at: ago(86_400), is_openclaw: true };
    let claim = Claim {
        pid: GATEWAY.pid,
        created_at: ago(age_s),
        start_ticks: Some(GATEWAY.start_ticks),
        max_hold_ms: None,
    };
    Lock { payload: Payload::Claim(claim, seen), ..sample::lock(name, seen, age_s) }
}

pub(in crate::policy) fn answers(version: Version, lanes: Vec<LiveLane>) -> Answers {
    Answers {
        version: Some(version),
        protocol: 3,
        boot_id: None,
        state_dir: None,
        lanes: lanes.into(),
        is_complete: true,
        took: Duration::ZERO,
        event_loop: None,
        lost: Lost::default(),
    }
}

/// One hung lane on 2026.5.7, the first version whose `hasActiveRun` tells of it.
pub(in crate::policy) fn hung() -> Snapshot {
    let version = Version::new(2026, 5, 7);
    let mut world = sample::snapshot();
    world.gateway.version = Some(version);
    world.lanes = vec![disk(KEY, "s1")];
    world.lanes_total = 1;
    world.rpc = Rpc::Answered(Box::new(answers(version, vec![live(KEY, "s1")])));
    world
}

/// The same on 2026.9.6, whose lanes are in SQLite.
pub(in crate::policy) fn hung_in_sqlite() -> Snapshot {
    let version = Version::new(2026, 9, 6);
    let mut world = sample::snapshot();
    world.gateway.version = Some(version);
    world.gateway.era = Era::Sqlite;
    world.task_lanes = None;
    world.rpc = Rpc::Answered(Box::new(answers(version, vec![live(KEY, "s1")])));
    world
}

/// Changes what the gateway answered.
pub(in crate::policy) fn answer(world: &mut Snapshot, change: impl FnOnce(&mut Answers)) {
    match &mut world.rpc {
        Rpc::Answered(answers) => change(answers),
        other => panic!("no answer: {other:?}"),
    }
}

/// Changes what the gateway says of its first lane.
pub(in crate::policy) fn says(world: &mut Snapshot, change: impl FnOnce(&mut LiveLane)) {
    answer(world, |answers| change(&mut answers.lanes[0]));
}

/// Another version, by disk and gateway alike.
pub(in crate::policy) fn on(world: &mut Snapshot, version: Version) {
    world.gateway.version = Some(version);
    answer(world, |answers| answers.version = Some(version));
}

pub(in crate::policy) fn child(pid: i32, started_s_ago: u64) -> Child {
    Child {
        id: ProcessId { pid, start_ticks: 9 },
        started_at: ago(started_s_ago),
        what: "claude".to_owned(),
        lane: Some(KEY.into()),
        is_agent: true,
        is_service: false,
        idle: Some(Duration::from_secs(started_s_ago)),
    }
}

pub(in crate::policy) fn history() -> History {
    sample::history()
}
