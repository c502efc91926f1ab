//! No world makes a target of a run that may be healthy.

use std::time::Duration;

use proptest::prelude::*;

use super::tests::{judge_all, rule};
use crate::model::sample::{ago, gap};
use crate::model::{
    Action, Decision, Field, HoldReason, Mode, ProcessId, Rpc, RpcFailure, RpcFault, RunId, Rung,
    Snapshot, Source, Transcript, Version,
};
use crate::policy::run::sample::{BEGAN, KEY, answer, child, held, history, hung, live, on, says};
use crate::policy::settings::{Policies, sample as settings};

const AFTER: u64 = 1_800;

/// What differs from a lane that is hung in every respect.
#[derive(Clone, Debug)]
struct Twist {
    began: u64,
    transcript: u64,
    trajectory: u64,
    event: u64,
    active: Option<bool>,
    lock: Option<(bool, u64)>,
    tool: Option<(bool, u64)>,
    agent: Option<Option<u64>>,
    service: bool,
    spawned: Option<bool>,
    blind: Option<Source>,
    rpc: u8,
    version: Version,
}

/// Seconds on either side of the threshold, most of them beyond it.
fn seconds() -> impl Strategy<Value = u64> {
    prop_oneof![1 => 0..AFTER, 6 => AFTER..=BEGAN]
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        6 => Just(Version::new(2026, 5, 7)),
        2 => Just(Version::new(2026, 4, 15)),
        1 => Just(Version::new(2026, 5, 9)),
    ]
}

fn source() -> impl Strategy<Value = Source> {
    prop_oneof![
        Just(Source::Sessions),
        Just(Source::Locks),
        Just(Source::Processes),
        Just(Source::Tasks),
        Just(Source::Subagents),
    ]
}

prop_compose! {
    fn any_twist()(
        (began, transcript, trajectory, event) in (seconds(), seconds(), seconds(), seconds()),
        active in prop_oneof![1 => Just(Some(false)), 1 => Just(None), 6 => Just(Some(true))],
        lock in prop::option::weighted(0.3, (prop::bool::weighted(0.8), seconds())),
        tool in prop::option::weighted(0.2, (any::<bool>(), 0..80_000_u64)),
        agent in prop::option::weighted(0.3, prop::option::weighted(0.8, seconds())),
        service in any::<bool>(),
        spawned in prop::option::weighted(0.2, any::<bool>()),
        blind in prop::option::weighted(0.1, source()),
        rpc in 0..12_u8,
        version in version(),
    ) -> Twist {
        Twist {
            began, transcript, trajectory, event, active, lock, tool, agent, service, spawned, blind,
            rpc, version,
        }
    }
}

fn world(twist: &Twist) -> Snapshot {
    let mut world = hung();
    on(&mut world, twist.version);
    let written = |seconds| Transcript::Present { bytes: 1, modified_at: ago(seconds) };
    let lane = &mut world.lanes[0];
    lane.row.started_at = Field::Value(ago(twist.began));
    lane.transcript = written(twist.transcript);
    lane.trajectory = written(twist.trajectory);
    says(&mut world, |lane| {
        lane.started_at = Some(ago(twist.began));
        lane.last_event_at = Some(ago(twist.event));
        lane.has_active_run = twist.active;
        lane.runs.clear();
    });
    world.locks.extend(twist.lock.map(|(ours, age)| {
        let mut lock = held("s1.jsonl.lock", age);
        if !ours {
            lock.payload = crate::model::Payload::Incomplete;
        }
        lock
    }));
    world.children.extend(twist.tool.map(|(known, started)| {
        let mut tool = child(50, started);
        (tool.is_agent, tool.lane) = (false, known.then(|| KEY.into()));
        tool
    }));
    world.children.extend(twist.agent.map(|idle| {
        let mut agent = child(51, 80_000);
        agent.idle = idle.map(Duration::from_secs);
        agent
    }));
    if twist.service {
        let service =
            crate::model::Child { is_service: true, lane: None, idle: None, ..child(52, 0) };
        world.children.push(service);
    }
    if let Some(is_running) = twist.spawned {
        let mut lane = live("agent:main:subagent:x", "s2");
        lane.parent = Some(KEY.into());
        if !is_running {
            lane.status = crate::model::LaneStatus::Ended;
            lane.has_active_run = Some(false);
        }
        answer(&mut world, |answers| answers.lanes.push(lane));
    }
    match twist.rpc {
        0 => world.rpc = Rpc::NotAsked(String::new()),
        1 => {
            let failure = RpcFailure { fault: RpcFault::Deaf, text: String::new() };
            world.rpc = Rpc::Failed(failure);
        }
        2 => answer(&mut world, |answers| answers.is_complete = false),
        _ => {}
    }
    world.gaps.extend(twist.blind.map(|source| gap(source, "/s/agents/main/sessions")));
    world.task_lanes = world.task_lanes.filter(|_| twist.blind != Some(Source::Tasks));
    world
}

/// Whether the twisted world still proves that the run is hung.
fn is_proven(twist: &Twist) -> bool {
    let ours = matches!(twist.lock, Some((true, _)));
    let alive = twist.active == Some(true) || ours;
    let untouched = !matches!(twist.lock, Some((false, _)));
    let lock_age = twist.lock.map_or(BEGAN, |(_, age)| age);
    let signs = [twist.began, twist.transcript, twist.trajectory, twist.event, lock_age];
    let no_progress = signs.into_iter().all(|sign| sign >= AFTER);
    let no_tool = twist.tool.is_none_or(|(known, started)| !known && started > twist.began + 2);
    let no_work = twist.agent.is_none_or(|idle| idle.is_some_and(|idle| idle >= AFTER));
    let answered = twist.rpc > 2;
    alive
        && untouched
        && no_progress
        && no_tool
        && no_work
        && twist.spawned != Some(true)
        && twist.blind.is_none()
        && answered
        && twist.version != Version::new(2026, 5, 9)
}

fn policies() -> Policies {
    let mut policies = Policies { hung_lane: rule(), ..settings() };
    policies.held_lock.mode = Mode::Off;
    policies
}

proptest! {
    #[test]
    fn nothing_is_ended_unless_everything_proves_it_alive_and_hung(twist in any_twist()) {
        let world = world(&twist);
        let verdicts = judge_all(&world, &history(), &policies());
        let ours = verdicts.iter().find(|verdict| verdict.subject.id == KEY);
        let acts = ours.is_some_and(|verdict| matches!(verdict.decision, Decision::Act(..)));
        prop_assert_eq!(acts, is_proven(&twist), "{:?}", ours.map(|verdict| &verdict.decision));
    }

    #[test]
    fn the_order_of_what_is_seen_changes_nothing(
        twist in any_twist(), lanes in 1..6_usize, turn in 0..6_usize
    ) {
        let mut world = world(&twist);
        for n in 0..lanes {
            let (key, session) = (format!("agent:main:n{n}"), format!("t{n}"));
            let mut row = crate::policy::run::sample::disk(&key, &session);
            row.row.session_id = Some(session.as_str().into());
            world.lanes.push(row);
            world.locks.push(held(&format!("{session}.jsonl.lock"), BEGAN));
            if let Rpc::Answered(answers) = &mut world.rpc {
                answers.lanes.push(live(&key, &session));
            }
            let id = ProcessId { pid: 100 + i32::try_from(n).unwrap(), start_ticks: 1 };
            world.gateway_children.push((id, ago(80_000)));
        }
        let mut turned = world.clone();
        let by = turn % turned.lanes.len();
        turned.lanes.rotate_left(by);
        turned.locks.reverse();
        turned.children.reverse();
        if let Rpc::Answered(answers) = &mut turned.rpc {
            answers.lanes.reverse();
        }
        prop_assert_eq!(
            judge_all(&world, &history(), &policies()),
            judge_all(&turned, &history(), &policies())
        );
    }
}

proptest! {
    #[test]
    fn no_call_names_a_run_of_another_lane(
        runs in prop::collection::vec(prop::collection::vec(0..6_u8, 0..3), 1..6),
        version in version(),
    ) {
        let mut world = hung();
        world.lanes.clear();
        answer(&mut world, |answers| answers.lanes.clear());
        on(&mut world, version);
        for (n, runs) in runs.iter().enumerate() {
            let (key, session) = (format!("agent:main:n{n}"), format!("t{n}"));
            world.lanes.push(crate::policy::run::sample::disk(&key, &session));
            let mut lane = live(&key, &session);
            lane.runs = runs.iter().map(|id| RunId(format!("r{id}"))).collect();
            answer(&mut world, |answers| answers.lanes.push(lane));
        }
        let told = world.rpc.answers().unwrap().lanes.clone();
        for verdict in judge_all(&world, &history(), &policies()) {
            let Decision::Act(Action::CallLane(call), _) = &verdict.decision else { continue };
            prop_assert_eq!(&call.key.0, &verdict.subject.id);
            let Some(run) = &call.run else { continue };
            let of: Vec<_> = told.iter().filter(|lane| lane.runs.contains(run)).collect();
            if call.rung == Rung::Abort {
                prop_assert_eq!(of.len(), 1);
            }
            prop_assert!(of.iter().any(|lane| lane.key == call.key));
        }
    }
}

#[test]
fn both_sides_of_the_property_are_met() {
    let hung = Twist {
        began: AFTER,
        transcript: AFTER,
        trajectory: AFTER,
        event: AFTER,
        active: Some(true),
        lock: None,
        tool: None,
        agent: None,
        service: true,
        spawned: None,
        blind: None,
        rpc: 9,
        version: Version::new(2026, 5, 7),
    };
    assert!(is_proven(&hung));
    let busy = Twist { event: AFTER - 1, ..hung };
    let verdicts = judge_all(&world(&busy), &history(), &policies());
    assert!(matches!(verdicts[0].decision, Decision::Hold(HoldReason::SilentSoFar { .. })));
}
