//! What is ended, what is left alone, and which of several goes first.

use super::*;
use crate::model::sample::{GATEWAY, GRACE, ago, gap};
use crate::model::{
    Action, Configured, History, LaneCall, ProcessId, Rpc, RpcFailure, RpcFault, Rung, Sighting,
    Snapshot, Source, Transcript,
};
use crate::policy::run::sample::{
    BEGAN, KEY, answer, child, disk, held, history, hung, live, on, says,
};
use crate::policy::settings::{HungLane, Policies, sample as settings};

/// `maxHoldMs` of a lock that does not say it, and a minute.
const LIMIT: u64 = 1_200;

fn rule() -> HeldLock {
    HeldLock {
        mode: Mode::Enforce,
        after: Duration::from_secs(1_200),
        repair: Rung::ALL.to_vec(),
        tell: false,
    }
}

fn policies(rule: HeldLock) -> Policies {
    let mut policies = Policies { held_lock: rule, ..settings() };
    policies.hung_lane.mode = Mode::Off;
    policies
}

fn judge_all(world: &Snapshot, history: &History, policies: &Policies) -> Vec<Verdict> {
    let context = Context { snapshot: world, history, explains_healthy: true, start_grace: GRACE };
    let verdicts = crate::policy::evaluate(context, policies);
    let about_runs = [Policy::HeldLock, Policy::HungLane];
    verdicts.into_iter().filter(|verdict| about_runs.contains(&verdict.policy)).collect()
}

fn line(verdict: &Verdict) -> String {
    let suspect = if verdict.suspect { "" } else { "healthy " };
    format!("{suspect}{} {}", verdict.decision.name(), verdict.decision.code())
}

fn world() -> Snapshot {
    let mut world = hung();
    world.locks = vec![held("s1.jsonl.lock", BEGAN)];
    world
}

#[track_caller]
fn check(change: impl FnOnce(&mut Snapshot), want: &str) {
    let mut world = world();
    change(&mut world);
    let verdicts = judge_all(&world, &history(), &policies(rule()));
    assert_eq!(verdicts.iter().map(line).collect::<Vec<_>>(), [want]);
}

fn claim(world: &mut Snapshot, change: impl FnOnce(&mut Claim)) {
    if let Payload::Claim(claim, _) = &mut world.locks[0].payload {
        change(claim);
    }
}

fn call(verdict: &Verdict) -> &LaneCall {
    match &verdict.decision {
        Decision::Act(Action::CallLane(call), _) => call,
        other => panic!("a call, not {other:?}"),
    }
}

#[test]
fn the_run_for_which_a_lock_is_held_too_long_is_ended() {
    let verdicts = judge_all(&world(), &history(), &policies(rule()));
    assert_eq!(verdicts.iter().map(line).collect::<Vec<_>>(), ["act held_too_long"]);
    assert_eq!(verdicts[0].subject.kind, SubjectKind::Lock);
    let call = call(&verdicts[0]);
    assert_eq!((call.key.0.as_str(), call.rung), (KEY, Rung::Abort));
    assert_eq!(call.lock.as_deref(), Some(world().locks[0].path.as_path()));
    assert_eq!(verdicts[0].looks, Looks::Confirmed);
}

#[test]
fn a_lock_has_the_time_that_it_says_itself_and_a_minute() {
    let aged = |age: u64, max: Option<u64>| {
        move |world: &mut Snapshot| {
            world.locks = vec![held("s1.jsonl.lock", age)];
            claim(world, |claim| claim.max_hold_ms = max);
        }
    };
    check(aged(LIMIT - 1, None), "healthy hold too_young");
    check(aged(LIMIT, None), "act held_too_long");
    check(aged(LIMIT, Some(1_140_000)), "act held_too_long");
    check(aged(LIMIT, Some(1_140_001)), "healthy hold too_young");
    check(aged(BEGAN, Some(u64::MAX)), "healthy hold too_young");
    let short = HeldLock { after: Duration::from_secs(60), ..rule() };
    for (age, want) in [(1_079, "healthy hold too_young"), (1_080, "act held_too_long")] {
        let mut world = world();
        world.locks = vec![held("s1.jsonl.lock", age)];
        let verdicts = judge_all(&world, &history(), &policies(short.clone()));
        assert_eq!(line(&verdicts[0]), want);
    }
    let touched = |world: &mut Snapshot| world.locks[0].modified_at = ago(10);
    check(touched, "healthy hold too_young");
    let future = |world: &mut Snapshot| claim(world, |claim| claim.created_at = ago(0));
    check(future, "healthy hold too_young");
}

#[test]
fn a_gateway_that_compacts_for_less_or_more_holds_its_locks_as_much() {
    let verdict = |limit: u64, age: u64| {
        let mut world = world();
        // Whose own deadlines are shorter.
        on(&mut world, Version::new(2026, 4, 15));
        let compaction = Some(Duration::from_secs(limit));
        world.gateway.configured = Configured { compaction, ..Configured::default() };
        world.locks = vec![held("s1.jsonl.lock", age)];
        let short = HeldLock { after: Duration::from_secs(60), ..rule() };
        line(&judge_all(&world, &history(), &policies(short))[0])
    };
    let [young, old] = ["healthy hold too_young", "act held_too_long"];
    assert_eq!([verdict(300, 479), verdict(300, 480)], [young, old]);
    // No lock is meant to be held for less than five minutes.
    assert_eq!([verdict(30, 359), verdict(30, 360)], [young, old]);
    assert_eq!([verdict(3_600, 3_779), verdict(3_600, 3_780)], [young, old]);
}

#[test]
fn only_locks_of_the_live_gateway_itself_are_judged() {
    let none = |payload: Payload| {
        let mut world = world();
        world.locks[0].payload = payload;
        assert!(judge_all(&world, &history(), &policies(rule())).is_empty(), "{payload:?}");
    };
    let Payload::Claim(claim, _) = held("x", BEGAN).payload else { panic!("a claim") };
    let other = ProcessId { pid: 9, start_ticks: 1 };
    let seen = |id| Sighting::Present { id, started_at: ago(86_400), is_openclaw: true };
    none(Payload::Claim(claim, Sighting::Absent));
    none(Payload::Claim(claim, Sighting::Hidden));
    none(Payload::Claim(claim, seen(other)));
    // The pid of the gateway, and the ticks of the one before it.
    let recycled = Claim { start_ticks: Some(GATEWAY.start_ticks - 1), ..claim };
    none(Payload::Claim(recycled, seen(GATEWAY)));
    none(Payload::Incomplete);
}

#[test]
fn a_run_that_moves_or_works_is_left_alone_however_old_its_lock() {
    let written = |seconds| {
        move |world: &mut Snapshot| {
            world.lanes[0].transcript = Transcript::Present { bytes: 1, modified_at: ago(seconds) };
        }
    };
    check(written(LIMIT - 1), "healthy hold silent_so_far");
    check(written(LIMIT), "act held_too_long");
    let tool = |world: &mut Snapshot| {
        let mut tool = child(50, BEGAN);
        tool.is_agent = false;
        world.children = vec![tool];
    };
    check(tool, "hold tool_running");
    let agent = |world: &mut Snapshot| {
        let mut agent = child(50, BEGAN);
        agent.idle = None;
        world.children = vec![agent];
    };
    check(agent, "hold child_active");
}

#[test]
fn a_gateway_that_does_not_answer_is_left_to_its_own_policy() {
    let deaf = |world: &mut Snapshot| {
        world.rpc = Rpc::Failed(RpcFailure { fault: RpcFault::Deaf, text: "silent".to_owned() });
    };
    check(deaf, "hold rpc_unavailable");
    check(|world| world.rpc = Rpc::NotAsked("captured".to_owned()), "hold rpc_not_asked");
    check(|world| world.gaps.push(gap(Source::Locks, "/s/agents/main/sessions")), "hold gap");
}

#[test]
fn a_lock_of_no_one_lane_touches_none() {
    check(|world| world.lanes.clear(), "hold lane_unknown");
    let two = |world: &mut Snapshot| world.lanes.push(disk("agent:main:other", "s1"));
    check(two, "hold lane_unknown");
    // A session whose id only begins the same.
    let prefix = |world: &mut Snapshot| world.lanes[0].row.session_id = Some("s".into());
    check(prefix, "hold lane_unknown");
}

#[test]
fn the_row_of_a_cron_job_and_that_of_its_run_are_one_lane() {
    let rows = |other: &'static str, status: crate::model::LaneStatus| {
        move |world: &mut Snapshot| {
            crate::policy::run::sample::on(world, crate::model::Version::new(2026, 4, 15));
            world.lanes[0].key = "agent:main:cron:j".into();
            says(world, |lane| lane.key = "agent:main:cron:j".into());
            let mut row = disk(other, "s1");
            row.row.status = status;
            world.lanes.push(row);
        }
    };
    use crate::model::LaneStatus::{Absent, Ended, Running};
    let run = "agent:main:cron:j:run:s1";
    for status in [Absent, Ended] {
        // An abort does not reach it there.
        let mut world = world();
        rows(run, status)(&mut world);
        let verdicts = judge_all(&world, &history(), &policies(rule()));
        assert_eq!(verdicts.iter().map(line).collect::<Vec<_>>(), ["act held_too_long"]);
        assert_eq!(call(&verdicts[0]).key.0, "agent:main:cron:j");
        assert_eq!(call(&verdicts[0]).rung, Rung::Steer);
    }
    check(rows(run, Running), "hold lane_unknown");
    check(rows("agent:main:cron:k:run:s1", Absent), "hold lane_unknown");
    check(rows("agent:main:main", Absent), "hold lane_unknown");
}

#[test]
fn a_lane_whose_hung_runs_are_left_alone_keeps_its_lock() {
    let lines = |mode: Mode| {
        let mut policies = policies(rule());
        policies.overrides = vec![crate::policy::settings::Override {
            lane: crate::policy::LanePattern::new("agent:main:m*"),
            stale_lane: None,
            hung_lane: Some(crate::policy::settings::HungLaneOverride {
                mode: Some(mode),
                after: None,
            }),
        }];
        let verdicts = judge_all(&world(), &history(), &policies);
        let held = verdicts.iter().filter(|verdict| verdict.policy == Policy::HeldLock);
        held.map(line).collect::<Vec<_>>()
    };
    assert_eq!(lines(Mode::Off), ["hold no_repair"]);
    assert_eq!(lines(Mode::Observe), ["observe held_too_long"]);
    assert_eq!(lines(Mode::Enforce), ["act held_too_long"]);
}

#[test]
fn observe_never_acts() {
    let observe = HeldLock { mode: Mode::Observe, ..rule() };
    let verdicts = judge_all(&world(), &history(), &policies(observe));
    assert_eq!(line(&verdicts[0]), "observe held_too_long");
}

/// Three lanes behind three locks of the gateway, the second of which is the oldest.
fn cascade() -> Snapshot {
    let mut world = hung();
    world.lanes.clear();
    for (n, age) in [(1, 30_000), (2, BEGAN), (3, 20_000)] {
        let (key, session) = (format!("agent:main:n{n}"), format!("s{n}"));
        world.lanes.push(disk(&key, &session));
        world.locks.push(held(&format!("s{n}.jsonl.lock"), age));
        answer(&mut world, |answers| answers.lanes.push(live(&key, &session)));
    }
    answer(&mut world, |answers| drop(answers.lanes.remove(0)));
    world
}

#[test]
fn of_several_locks_the_oldest_is_the_root_cause_and_goes_first() {
    let verdicts = judge_all(&cascade(), &history(), &policies(rule()));
    let lines: Vec<_> = verdicts.iter().map(line).collect();
    assert_eq!(lines, ["act held_too_long", "hold behind_older_lock", "hold behind_older_lock"]);
    assert_eq!(call(&verdicts[0]).key.0, "agent:main:n2");
    assert!(verdicts[0].decision.text().ends_with("the oldest of 3 such locks"));
    for verdict in &verdicts {
        assert_eq!(verdict.evidence.0["root_cause"], verdicts[0].subject.id);
        assert_eq!(verdict.evidence.0["overdue_locks"], 3);
    }
    let named = verdicts[0].evidence.0["cascade"].as_array().unwrap();
    let blocked: Vec<_> = named.iter().map(|lock| lock["blocks"].as_str().unwrap()).collect();
    assert_eq!(blocked, ["agent:main:n2", "agent:main:n1", "agent:main:n3"]);
    assert!(!verdicts[1].evidence.0.contains_key("cascade"), "with thousands, n times n names");
}

#[test]
fn a_lock_that_is_held_for_good_reason_does_not_keep_the_next_from_its_turn() {
    let mut world = cascade();
    let mut tool = child(50, BEGAN);
    (tool.is_agent, tool.lane) = (false, Some("agent:main:n2".into()));
    world.children = vec![tool];
    let verdicts = judge_all(&world, &history(), &policies(rule()));
    let lines: Vec<_> = verdicts.iter().map(line).collect();
    assert_eq!(lines, ["hold tool_running", "act held_too_long", "hold behind_older_lock"]);
    assert!(verdicts[1].decision.text().ends_with("the oldest of 2 such locks"));
    assert_eq!(verdicts[2].evidence.0["root_cause"], verdicts[1].subject.id);
    assert!(verdicts[2].decision.text().contains("s1.jsonl.lock"), "{:?}", verdicts[2].decision);
}

#[test]
fn the_order_of_locks_and_lanes_changes_nothing() {
    let world = cascade();
    let mut turned = world.clone();
    turned.locks.rotate_left(1);
    turned.lanes.reverse();
    answer(&mut turned, |answers| answers.lanes.reverse());
    let judge = |world: &Snapshot| judge_all(world, &history(), &policies(rule()));
    assert_eq!(judge(&world), judge(&turned));
}

#[test]
fn one_lane_is_one_line_unless_its_row_says_something_new() {
    let lines = |world: &Snapshot, policies: &Policies, explains_healthy: bool| {
        let history = history();
        let context =
            Context { snapshot: world, history: &history, explains_healthy, start_grace: GRACE };
        let verdicts = crate::policy::evaluate(context, policies);
        let of = |verdict: &Verdict| format!("{}: {}", verdict.policy, line(verdict));
        verdicts.iter().filter(|verdict| verdict.policy != Policy::DeadLock).map(of).collect()
    };
    let mut hung_only = policies(HeldLock { mode: Mode::Off, ..rule() });
    hung_only.hung_lane = HungLane {
        mode: Mode::Observe,
        after: Duration::from_secs(1_800),
        repair: vec![Rung::Abort],
        tell: false,
    };
    let got: Vec<String> = lines(&world(), &hung_only, false);
    assert_eq!(got, ["hung_lane: observe no_progress"]);
    let got: Vec<String> = lines(&world(), &hung_only, true);
    let quiet = "stale_lane: healthy hold judged_elsewhere";
    assert_eq!(got, [quiet, "hung_lane: observe no_progress"]);
    let got: Vec<String> = lines(&world(), &policies(rule()), false);
    assert_eq!(got, ["held_lock: act held_too_long"]);

    let mut resumed = world();
    resumed.lanes[0].row.residue = [crate::model::Residue::RestartRecovery].into();
    let got: Vec<String> = lines(&resumed, &hung_only, false);
    assert_eq!(got, ["stale_lane: hold restart_recovery", "hung_lane: hold restart_recovery"]);
    let mut unheard = world();
    unheard.rpc = Rpc::NotAsked("it is a captured state".to_owned());
    let got: Vec<String> = lines(&unheard, &policies(rule()), false);
    assert_eq!(got, ["stale_lane: hold lane_locked", "held_lock: hold rpc_not_asked"]);
    let off = policies(HeldLock { mode: Mode::Off, ..rule() });
    let got: Vec<String> = lines(&world(), &off, false);
    assert_eq!(got, ["stale_lane: hold lane_locked"], "nobody else says it");
}

#[test]
fn no_lane_is_repaired_twice_in_one_pass() {
    let hung_lane = |mode| HungLane {
        mode,
        after: Duration::from_secs(1_800),
        repair: vec![Rung::Abort],
        tell: false,
    };
    let lines = |held: Mode, hung: Mode| {
        let policies = Policies {
            held_lock: HeldLock { mode: held, ..rule() },
            hung_lane: hung_lane(hung),
            ..settings()
        };
        judge_all(&world(), &history(), &policies).iter().map(line).collect::<Vec<_>>()
    };
    let (enforce, observe) = (Mode::Enforce, Mode::Observe);
    assert_eq!(lines(enforce, enforce), ["act held_too_long", "healthy hold judged_elsewhere"]);
    assert_eq!(lines(observe, observe), ["observe held_too_long", "healthy hold judged_elsewhere"]);
    assert_eq!(lines(observe, enforce), ["observe held_too_long", "act no_progress"]);
    assert_eq!(lines(Mode::Off, enforce), ["act no_progress"]);
}

#[test]
fn the_ladder_of_a_lock_is_climbed_by_the_same_run_only() {
    let due = |world: &Snapshot, history: &History| {
        let verdicts = judge_all(world, history, &policies(rule()));
        let verdict = &verdicts[0];
        (verdict.decision.code().to_owned(), verdict.incarnation.clone())
    };
    let world = {
        let mut world = world();
        crate::policy::run::sample::on(&mut world, crate::model::Version::new(2026, 4, 15));
        world
    };
    let (_, first) = due(&world, &history());
    assert!(first.ends_with("#abort"), "{first}");
    let subject =
        Subject { kind: SubjectKind::Lock, id: world.locks[0].path.display().to_string() };
    let seen = crate::model::SubjectHistory {
        incarnation: first.clone(),
        first_seen: ago(60),
        last_seen: ago(30),
        looks: 2,
        last_look: ago(30),
        last_acted: Some(ago(1_000)),
        acted_incarnation: Some(first.clone()),
        ineffective: 2,
    };
    let mut tried = history();
    tried.subjects.insert((Policy::HeldLock, subject.clone()), seen);
    assert!(due(&world, &tried).1.ends_with("#steer"));
    let key = (Policy::HeldLock, subject);
    tried.subjects.get_mut(&key).unwrap().acted_incarnation =
        Some(first.replace("#abort", "#steer"));
    assert_eq!(due(&world, &tried).0, "lock_beside_reset");
    let mut rerun = world;
    let began = ago(BEGAN - 9);
    rerun.lanes[0].row.started_at = crate::model::Field::Value(began);
    says(&mut rerun, |lane| lane.started_at = Some(began));
    assert!(due(&rerun, &tried).1.ends_with("#abort"));
}
