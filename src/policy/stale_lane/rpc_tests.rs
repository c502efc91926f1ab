//! What the gateway's own word proves, and what it may be asked for.

use std::time::Duration;

use super::*;
use crate::model::sample::{GRACE, ago, gap};
use crate::model::{
    Field, History, LaneCall, LiveLane, Looks, Rpc, RpcFailure, RpcFault, Rung, SessionKey, Source,
};
use crate::policy::run::sample::{
    BEGAN, KEY, answer, child, history, hung, hung_in_sqlite, live, on, says,
};
use crate::policy::settings::sample as settings;

const AFTER: u64 = 1_200;

fn rule(repair: &[LaneRepair]) -> StaleLane {
    StaleLane {
        mode: Mode::Enforce,
        after: Duration::from_secs(AFTER),
        repair: repair.to_vec(),
        silence: Mode::Observe,
    }
}

fn every() -> Vec<LaneRepair> {
    let rungs = [Rung::Abort, Rung::Recover, Rung::Reset, Rung::New];
    [LaneRepair::Settle].into_iter().chain(rungs.map(LaneRepair::Ask)).collect()
}

fn judge_with(world: &Snapshot, rule: StaleLane, history: &History) -> Vec<Verdict> {
    let mut policies = Policies { stale_lane: rule, ..settings() };
    policies.held_lock.mode = Mode::Off;
    policies.hung_lane.mode = Mode::Off;
    let context = Context { snapshot: world, history, explains_healthy: true, start_grace: GRACE };
    let mut verdicts = crate::policy::evaluate(context, &policies);
    verdicts.retain(|verdict| verdict.policy == Policy::StaleLane);
    verdicts
}

fn verdict(world: &Snapshot, repair: &[LaneRepair]) -> Verdict {
    let verdicts = judge_with(world, rule(repair), &history());
    verdicts.into_iter().find(|verdict| verdict.subject.id == KEY).expect("a verdict")
}

fn line(verdict: &Verdict) -> String {
    let suspect = if verdict.suspect { "" } else { "healthy " };
    format!("{suspect}{} {}", verdict.decision.name(), verdict.decision.code())
}

fn call(verdict: &Verdict) -> &LaneCall {
    match &verdict.decision {
        Decision::Act(Action::CallLane(call), _) => call,
        other => panic!("a call, not {other:?}"),
    }
}

fn is_idle(lane: &mut LiveLane) {
    lane.has_active_run = Some(false);
    lane.runs.clear();
}

/// A row that says running on 2026.9.6, begun under this gateway and long without a run.
fn idle() -> Snapshot {
    let mut world = hung_in_sqlite();
    says(&mut world, is_idle);
    world
}

#[track_caller]
fn check(change: impl FnOnce(&mut Snapshot), want: &str) {
    let mut world = idle();
    change(&mut world);
    assert_eq!(line(&verdict(&world, &every())), want);
}

fn renamed(world: &mut Snapshot, key: &str) -> SessionKey {
    for lane in &mut world.lanes {
        lane.key = key.into();
    }
    says(world, |lane| lane.key = key.into());
    key.into()
}

#[test]
fn what_the_gateway_knows_of_no_run_is_reset_where_the_user_wants_that() {
    let found = verdict(&idle(), &every());
    assert_eq!(line(&found), "act no_active_run");
    assert_eq!(found.looks, Looks::AtLeast(2));
    let call = call(&found);
    assert_eq!((call.rung, &call.run), (Rung::Reset, &None));
    assert!(found.incarnation.ends_with("#reset"), "{}", found.incarnation);
    assert_eq!(line(&verdict(&idle(), &[LaneRepair::Settle])), "hold era_read_only");
    assert_eq!(line(&verdict(&idle(), &[])), "hold no_repair");
    let abort = [LaneRepair::Ask(Rung::Abort)];
    assert_eq!(line(&verdict(&idle(), &abort)), "hold ladder_done");
    let observe = StaleLane { mode: Mode::Observe, ..rule(&every()) };
    assert_eq!(line(&judge_with(&idle(), observe, &history())[0]), "observe no_active_run");
}

#[test]
fn a_run_of_which_the_gateway_knows_is_left_alone() {
    check(|world| says(world, |lane| lane.has_active_run = Some(true)), "healthy hold run_active");
    let named = |world: &mut Snapshot| {
        says(world, |lane| lane.runs = vec![crate::model::RunId("r".to_owned())]);
    };
    check(named, "healthy hold run_active");
    check(|world| says(world, |lane| lane.has_active_run = None), "hold no_proof");
}

#[test]
fn a_lane_of_sqlite_must_be_old_and_still() {
    let began = |seconds| {
        move |world: &mut Snapshot| says(world, |lane| lane.started_at = Some(ago(seconds)))
    };
    check(began(AFTER - 1), "healthy hold too_young");
    check(began(AFTER), "act no_active_run");
    let written = |seconds| {
        move |world: &mut Snapshot| says(world, |lane| lane.updated_at = Some(ago(seconds)))
    };
    check(written(AFTER - 1), "hold row_touched");
    check(written(AFTER), "act no_active_run");
    let heard = |seconds| {
        move |world: &mut Snapshot| says(world, |lane| lane.last_event_at = Some(ago(seconds)))
    };
    check(heard(AFTER - 1), "hold silent_so_far");
    check(heard(AFTER), "act no_active_run");
    check(|world| world.children = vec![child(50, 80_000)], "hold child_active");
    check(|world| says(world, |lane| lane.aborted_last_run = true), "hold aborted_last_run");
    check(|world| says(world, |lane| lane.started_at = None), "hold malformed");
    let future = |world: &mut Snapshot| {
        says(world, |lane| lane.started_at = Some(UnixMillis(i64::MAX)));
    };
    check(future, "healthy hold in_future");
}

#[test]
fn a_lane_of_sqlite_needs_an_answer_and_a_version_that_was_run() {
    check(|world| on(world, Version::new(2026, 9, 7)), "hold version_untested");
    check(|world| answer(world, |answers| answers.is_complete = false), "hold gap");
    for source in [Source::Config, Source::Host, Source::Sessions, Source::Tasks] {
        check(|world| world.gaps.push(gap(source, "/s")), "hold gap");
    }
    let twice = |world: &mut Snapshot| answer(world, |all| all.lanes.push(live(KEY, "s1")));
    check(twice, "hold lane_unknown");
    let mut world = idle();
    let failure = RpcFailure { fault: RpcFault::Refused, text: "no".to_owned() };
    world.rpc = Rpc::Failed(failure);
    assert!(judge_with(&world, rule(&every()), &history()).is_empty(), "nothing is known of any");
}

#[test]
fn what_waits_for_the_place_of_another_is_not_reset_but_told_of_it() {
    let before = ago(86_500);
    let starved = |key: &'static str, began: UnixMillis, active: Option<bool>| {
        move |world: &mut Snapshot| {
            says(world, |lane| (lane.started_at, lane.updated_at) = (Some(before), Some(before)));
            let mut other = live(key, "s2");
            (other.started_at, other.has_active_run) = (Some(began), active);
            answer(world, |answers| answers.lanes.push(other));
        }
    };
    check(starved("agent:main:n2", before, Some(true)), "hold starved");
    // Resumed runs may have a new start: recovery ends 5 minutes after that of the gateway.
    check(starved("agent:main:n2", ago(86_100), Some(true)), "hold starved");
    check(starved("agent:main:n2", ago(86_099), Some(true)), "act no_active_run");
    check(starved("agent:main:n2", before, Some(false)), "act no_active_run");
    check(starved("agent:claude:acp:x", before, Some(true)), "act no_active_run");
    let begun_later = |world: &mut Snapshot| {
        starved("agent:main:n2", before, Some(true))(world);
        says(world, |lane| lane.started_at = Some(ago(BEGAN)));
    };
    check(begun_later, "act no_active_run");
    // As it is found: marked as aborted, and the one before it likewise.
    let marked = |world: &mut Snapshot| {
        starved("agent:main:n2", before, Some(true))(world);
        says(world, |lane| lane.aborted_last_run = true);
        let mut third = live("agent:main:a3", "s3");
        (third.started_at, third.has_active_run) = (Some(before), Some(false));
        third.aborted_last_run = true;
        answer(world, |answers| answers.lanes.push(third));
    };
    check(marked, "hold starved");
    let alone = |world: &mut Snapshot| {
        marked(world);
        answer(world, |answers| answers.lanes[1].has_active_run = Some(false));
    };
    check(alone, "hold aborted_last_run");
    let mut world = idle();
    starved("agent:main:n2", before, Some(true))(&mut world);
    assert!(verdict(&world, &every()).decision.text().contains("agent:main:n2"));
}

#[test]
fn what_recovery_has_given_up_is_continued_where_the_user_wants_that() {
    let given_up = |world: &mut Snapshot| {
        says(world, |lane| (lane.is_tombstoned, lane.status) = (true, LaneStatus::Ended));
    };
    check(given_up, "act tombstoned");
    let mut world = idle();
    given_up(&mut world);
    assert_eq!(call(&verdict(&world, &every())).rung, Rung::Recover);
    let found = verdict(&world, &[LaneRepair::Ask(Rung::Reset)]);
    assert_eq!(line(&found), "hold given_up");
    assert!(found.decision.text().contains("recover"), "{}", found.decision.text());
    let active = |world: &mut Snapshot| {
        given_up(world);
        says(world, |lane| lane.has_active_run = Some(true));
    };
    check(active, "hold run_active");
    let young = |world: &mut Snapshot| {
        given_up(world);
        says(world, |lane| lane.started_at = Some(ago(AFTER - 1)));
    };
    check(young, "hold too_young");
    let nameless = |world: &mut Snapshot| {
        given_up(world);
        says(world, |lane| lane.session_id = None);
    };
    check(nameless, "hold malformed");
}

/// The same row in a file of 2026.7.1.
fn in_files(version: Version) -> Snapshot {
    let mut world = hung();
    world.gateway.era = Era::Hybrid;
    on(&mut world, version);
    says(&mut world, is_idle);
    world
}

#[test]
fn in_files_the_gateways_word_settles_from_2026_7_1_on_and_never_a_cron_lane() {
    let said = |version: (u8, u16), key: &str, repair: &[LaneRepair]| {
        let mut world = in_files(Version::new(2026, version.0, version.1));
        let key = renamed(&mut world, key);
        let verdicts = judge_with(&world, rule(repair), &history());
        let found = verdicts.into_iter().find(|verdict| verdict.subject.id == key.0).unwrap();
        (line(&found), found.looks)
    };
    let settle = [LaneRepair::Settle];
    let idle = ("act no_active_run".to_owned(), Looks::AtLeast(2));
    assert_eq!(said((7, 1), KEY, &settle), idle);
    assert_eq!(said((7, 1), "agent:main:cron:1", &settle).0, "hold silent_so_far");
    // A healthy channel run is not known to these; on 2026.5.7 subagents all are, and it is no matter.
    for version in [(3, 24), (4, 15), (5, 7), (5, 28), (6, 11)] {
        for key in [KEY, "agent:main:cron:1", "agent:main:subagent:x"] {
            assert_eq!(said(version, key, &settle).0, "hold silent_so_far", "{version:?} {key}");
        }
    }
    assert_eq!(said((7, 1), KEY, &[LaneRepair::Ask(Rung::Reset)]), idle);
}

#[test]
fn in_files_the_gateways_word_is_no_proof_beside_a_task_or_another_session() {
    let check = |change: &dyn Fn(&mut Snapshot), want: &str| {
        let mut world = in_files(Version::new(2026, 7, 1));
        change(&mut world);
        assert_eq!(line(&verdict(&world, &[LaneRepair::Settle])), want);
    };
    check(&|world| world.task_lanes = Some([KEY.into()].into()), "hold task_active");
    check(&|world| world.task_lanes = None, "hold gap");
    check(&|world| says(world, |lane| lane.session_id = Some("s2".into())), "hold silent_so_far");
    check(&|world| says(world, |lane| lane.has_active_run = None), "hold silent_so_far");
    let untested = |world: &mut Snapshot| on(world, Version::new(2026, 7, 3));
    check(&untested, "hold silent_so_far");
    let younger = |world: &mut Snapshot| {
        world.lanes[0].row.started_at = Field::Value(ago(AFTER - 1));
    };
    check(&younger, "healthy hold too_young");
}

#[test]
fn a_run_that_the_gateway_calls_active_is_never_settled_whatever_the_files_say() {
    let mut world = in_files(Version::new(2026, 7, 1));
    says(&mut world, |lane| lane.has_active_run = Some(true));
    world.lanes[0].row.started_at = Field::Value(ago(90_000));
    assert_eq!(line(&verdict(&world, &[LaneRepair::Settle])), "hold run_active");
    says(&mut world, is_idle);
    assert_eq!(line(&verdict(&world, &[LaneRepair::Settle])), "act older_than_gateway");
    world.lanes[0].row.started_at = Field::Value(ago(BEGAN));
    world.lanes[0].row.ended_at = Field::Value(ago(BEGAN - 9));
    says(&mut world, |lane| lane.has_active_run = Some(true));
    assert_eq!(line(&verdict(&world, &[LaneRepair::Settle])), "hold run_active");
}

#[test]
fn in_files_the_gateway_is_asked_only_where_settling_is_not_wanted() {
    let mut world = in_files(Version::new(2026, 4, 15));
    world.gateway.era = Era::Files;
    world.lanes[0].row.started_at = Field::Value(ago(90_000));
    let settles = verdict(&world, &every());
    assert!(matches!(settles.decision, Decision::Act(Action::Settle(_), _)));
    assert_eq!(settles.incarnation, proof::incarnation(&world.lanes[0]));
    let reset = [LaneRepair::Ask(Rung::Reset)];
    let asked = verdict(&world, &reset);
    assert_eq!((line(&asked).as_str(), call(&asked).rung), ("act older_than_gateway", Rung::Reset));
    world.rpc = Rpc::NotAsked("captured".to_owned());
    assert_eq!(line(&verdict(&world, &reset)), "hold rpc_not_asked");
    assert_eq!(line(&verdict(&world, &every())), "act older_than_gateway");
}
