//! No snapshot with a gap acts, and nothing that guards a lane is overlooked.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use clawarden::model::{
    Action, BootId, Claim, Configured, Decision, Era, Field, Gap, Gateway, GatewayProcess, History,
    Host, HostRecord, Lane, LaneStatus, Lock, LockStamp, Payload, ProcessId, Residue, Row, Rpc,
    Sighting, Snapshot, Source, Status, Store, StoreFacts, Transcript, UnixMillis, Verdict,
    Version, Vitals,
};
use clawarden::policy::{self, Context};
use proptest::prelude::*;

const NOW: UnixMillis = UnixMillis(1_795_200_000_000);
const EUID: u32 = 1000;
const GATEWAY: ProcessId = ProcessId { pid: 4711, start_ticks: 100_000 };
const SOURCES: [Source; 8] = [
    Source::Config,
    Source::Host,
    Source::Processes,
    Source::Gateway,
    Source::Sessions,
    Source::Locks,
    Source::Tasks,
    Source::Subagents,
];

fn ago(seconds: u64) -> UnixMillis {
    NOW.minus(Duration::from_secs(seconds))
}

fn host() -> Host {
    Host { boot_id: BootId("b".to_owned()), booted_at: ago(100_000), slept: None, euid: EUID }
}

/// A gateway that has been up for a day, and nothing else.
fn world(lanes: Vec<Lane>, locks: Vec<Lock>) -> Snapshot {
    let process = GatewayProcess {
        id: GATEWAY,
        started_at: ago(86_400),
        locked_at: Some(ago(86_398)),
        shares_pid_namespace: true,
    };
    Snapshot {
        taken_at: NOW,
        host: host(),
        gateway: Gateway {
            state_dir: "/s".into(),
            era: Era::Files,
            version: Some(Version::new(2026, 4, 15)),
            status: Status::Up,
            why: String::new(),
            process: Some(process),
            port: None,
            configured: Configured::default(),
        },
        lanes_total: lanes.len(),
        lanes,
        locks,
        gateway_children: Vec::new(),
        other_runners: Vec::new(),
        maintenance: None,
        open_subagents: BTreeSet::new(),
        task_lanes: Some(BTreeSet::new()),
        agents: Vec::new(),
        rpc: Rpc::NotAsked("a test".to_owned()),
        children: Vec::new(),
        ended_tools: Vec::new(),
        vitals: Vitals::default(),
        log: Vec::new(),
        acp: None,
        records: None,
        tasks: None,
        task_children: Vec::new(),
        subagents: None,
        gaps: Vec::new(),
    }
}

fn folder(agent: u8) -> String {
    format!("/s/agents/a{agent}/sessions")
}

fn lane(agent: u8, number: u8, started_s_ago: u64) -> Lane {
    let facts = StoreFacts {
        bytes: 1_000,
        modified_at: ago(3_600),
        uid: EUID,
        folder_uid: EUID,
        is_symlink: false,
    };
    let path = format!("{}/sessions.json", folder(agent)).into();
    Lane {
        key: format!("agent:a{agent}:{number}").as_str().into(),
        store: Arc::new(Store { path, agent: format!("a{agent}").as_str().into(), facts }),
        row: Row {
            session_id: Some(format!("s{number}").as_str().into()),
            status: LaneStatus::Running,
            started_at: Field::Value(ago(started_s_ago)),
            ..Row::default()
        },
        transcript: Transcript::Missing,
        trajectory: Transcript::Missing,
    }
}

fn lock(agent: u8, number: u8, seen: Sighting) -> Lock {
    let claim = Claim { pid: 7, created_at: ago(5_000), start_ticks: Some(9), max_hold_ms: None };
    Lock {
        path: format!("{}/s{number}.jsonl.lock", folder(agent)).into(),
        agent: format!("a{agent}").as_str().into(),
        stamp: LockStamp { dev: 1, ino: u64::from(number), bytes: Vec::new() },
        modified_at: ago(5_000),
        uid: EUID,
        folder_uid: EUID,
        payload: Payload::Claim(claim, seen),
    }
}

fn judge(snapshot: &Snapshot) -> Vec<Verdict> {
    let host = host();
    let record = HostRecord {
        boot_id: host.boot_id,
        booted_at: host.booted_at,
        slept: None,
        steady_since: ago(99_999),
        resumed_at: None,
        stepped_at: None,
    };
    let history = History { host: Some(record), ..History::default() };
    let config = clawarden::config::load(None, &|_| None).unwrap().config;
    let start_grace = config.start_grace;
    let context = Context { snapshot, history: &history, explains_healthy: true, start_grace };
    policy::evaluate(context, &config.policies)
}

/// What would be done, or would be if the policy were enforced.
fn actions(verdicts: &[Verdict]) -> Vec<&Action> {
    let action = |verdict: &'_ Verdict| match &verdict.decision {
        Decision::Act(..) | Decision::Observe(..) => true,
        Decision::Hold(_) => false,
    };
    let acting = verdicts.iter().filter(|verdict| action(verdict));
    acting
        .map(|verdict| match &verdict.decision {
            Decision::Act(action, _) | Decision::Observe(action, _) => action,
            Decision::Hold(_) => unreachable!("filtered"),
        })
        .collect()
}

fn sightings() -> impl Strategy<Value = Sighting> {
    let present = |start_ticks| Sighting::Present {
        id: ProcessId { pid: 7, start_ticks },
        started_at: ago(6_000),
        is_openclaw: true,
    };
    prop_oneof![Just(Sighting::Absent), Just(Sighting::Hidden), Just(present(9)), Just(present(8))]
}

fn lanes() -> impl Strategy<Value = Vec<Lane>> {
    let residue = prop::option::weighted(
        0.2,
        prop::sample::select(vec![
            Residue::AbortedLastRun,
            Residue::RestartRecovery,
            Residue::PendingFinalDelivery,
            Residue::QuotaSuspension,
        ]),
    );
    let one = (0..2u8, 0..4u8, 0..200_000u64, residue).prop_map(|(agent, number, age, residue)| {
        let mut lane = lane(agent, number, age);
        lane.row.residue.extend(residue);
        lane
    });
    prop::collection::vec(one, 0..6)
}

fn locks() -> impl Strategy<Value = Vec<Lock>> {
    let one =
        (0..2u8, 0..8u8, sightings()).prop_map(|(agent, number, seen)| lock(agent, number, seen));
    prop::collection::vec(one, 0..6)
}

fn gaps() -> impl Strategy<Value = Vec<Gap>> {
    let paths = [
        "/s",
        "/s/agents/a0/sessions",
        "/s/agents/a1/sessions/sessions.json",
        "/s/agents/a0/sessions/s1.jsonl.lock",
        "/elsewhere",
    ];
    let one = (prop::sample::select(SOURCES.to_vec()), prop::sample::select(paths.to_vec()));
    let one =
        one.prop_map(|(source, path)| Gap { source, path: path.into(), reason: "r".to_owned() });
    prop::collection::vec(one, 0..3)
}

fn statuses() -> impl Strategy<Value = (Status, Era)> {
    let status = prop_oneof![
        4 => Just(Status::Up),
        1 => Just(Status::Down),
        1 => Just(Status::Starting),
        1 => Just(Status::Unknown),
    ];
    let era = prop_oneof![
        4 => Just(Era::Files),
        2 => Just(Era::Hybrid),
        1 => Just(Era::Sqlite),
        1 => Just(Era::Unknown { why: String::new() }),
    ];
    (status, era)
}

#[test]
fn without_a_gap_both_policies_act() {
    let snapshot = world(vec![lane(0, 1, 90_000)], vec![lock(0, 2, Sighting::Absent)]);
    assert_eq!(actions(&judge(&snapshot)).len(), 2);
}

#[test]
fn a_gap_in_what_all_rests_on_stops_all() {
    for source in [Source::Host, Source::Processes, Source::Gateway] {
        let mut snapshot = world(vec![lane(0, 1, 90_000)], vec![lock(0, 2, Sighting::Absent)]);
        snapshot.gaps.push(Gap { source, path: "/x".into(), reason: String::new() });
        assert_eq!(actions(&judge(&snapshot)), Vec::<&Action>::new(), "{source:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    #[test]
    fn no_snapshot_with_a_gap_acts(
        lanes in lanes(),
        locks in locks(),
        gaps in gaps(),
        (status, era) in statuses(),
    ) {
        let mut snapshot = world(lanes, locks);
        snapshot.gaps = gaps;
        (snapshot.gateway.status, snapshot.gateway.era) = (status, era);
        let verdicts = judge(&snapshot);
        let stopped = status != Status::Up
            || !matches!(snapshot.gateway.era, Era::Files | Era::Hybrid)
            || [Source::Host, Source::Processes, Source::Gateway]
                .iter()
                .any(|source| snapshot.gap(*source).is_some());
        for action in actions(&verdicts) {
            prop_assert!(!stopped, "{action:?}");
            match action {
                Action::Settle(edit) => {
                    let folder = edit.store.parent().unwrap();
                    prop_assert!(snapshot.gap_at(Source::Sessions, &edit.store).is_none());
                    prop_assert!(snapshot.gap_at(Source::Locks, folder).is_none());
                    prop_assert!(snapshot.gap(Source::Config).is_none());
                    prop_assert!(edit.expected.residue.is_empty());
                    let guarded = snapshot.locks.iter().any(|lock| {
                        lock.path.parent() == Some(folder)
                            && edit.expected.is_guarded_by(lock.path.file_name().unwrap())
                    });
                    prop_assert!(!guarded, "{action:?}");
                }
                // Written into our own state, whatever could not be read.
                Action::Record(_) => {}
                Action::EndTree(_) | Action::CallLane(_) | Action::PurgeTask(_) => {
                    prop_assert!(false, "{action:?}");
                }
                Action::ReleaseLock { path, .. } => {
                    prop_assert!(snapshot.gap_at(Source::Locks, path).is_none());
                    let of_path = |lock: &&Lock| lock.path == *path;
                    let alive = |lock: &Lock| lock.live_holder() == Some(ProcessId { pid: 7, start_ticks: 9 });
                    prop_assert!(!snapshot.locks.iter().filter(of_path).all(alive));
                }
            }
        }
    }
}
