//! What is ended, what is left alone, and why.

use std::time::Duration;

use super::*;
use crate::model::sample::{GRACE, NOW, ago, gap, lock};
use crate::model::{
    Action, Configured, Era, Field, History, LaneCall, LaneStatus, ProcessId, Residue, Rpc,
    RpcFailure, RpcFault, Rung, Sighting, Snapshot, Source, Status, Transcript, UnixMillis,
    Version,
};
use crate::policy::run::sample::{
    BEGAN, KEY, answer, child, held, history, hung, hung_in_sqlite, live, on, says,
};
use crate::policy::settings::sample as settings;

const AFTER: u64 = 1_800;

pub(super) fn rule() -> HungLane {
    let repair = Rung::ALL.to_vec();
    HungLane { mode: Mode::Enforce, after: Duration::from_secs(AFTER), repair, tell: false }
}

pub(super) fn judge_all(world: &Snapshot, history: &History, policies: &Policies) -> Vec<Verdict> {
    let context = Context { snapshot: world, history, explains_healthy: true, start_grace: GRACE };
    let verdicts = crate::policy::evaluate(context, policies);
    verdicts.into_iter().filter(|verdict| verdict.policy == Policy::HungLane).collect()
}

fn judge_with(world: &Snapshot, rule: HungLane) -> Verdict {
    let mut policies = Policies { hung_lane: rule, ..settings() };
    policies.held_lock.mode = Mode::Off;
    let verdicts = judge_all(world, &history(), &policies);
    verdicts.into_iter().find(|verdict| verdict.subject.id == KEY).expect("a verdict")
}

fn line(verdict: &Verdict) -> String {
    let suspect = if verdict.suspect { "" } else { "healthy " };
    format!("{suspect}{} {}", verdict.decision.name(), verdict.decision.code())
}

#[track_caller]
fn check(change: impl FnOnce(&mut Snapshot), want: &str) {
    let mut world = hung();
    change(&mut world);
    assert_eq!(line(&judge_with(&world, rule())), want);
}

#[track_caller]
fn check_sqlite(change: impl FnOnce(&mut Snapshot), want: &str) {
    let mut world = hung_in_sqlite();
    change(&mut world);
    assert_eq!(line(&judge_with(&world, rule())), want);
}

fn call(verdict: &Verdict) -> &LaneCall {
    match &verdict.decision {
        Decision::Act(Action::CallLane(call), _) => call,
        other => panic!("a call, not {other:?}"),
    }
}

fn transcript(world: &mut Snapshot, seconds: u64) {
    world.lanes[0].transcript = Transcript::Present { bytes: 1, modified_at: ago(seconds) };
}

#[test]
fn a_run_that_is_alive_and_still_is_ended() {
    check(|_| {}, "act no_progress");
    check_sqlite(|_| {}, "act no_progress");
    let verdict = judge_with(&hung(), rule());
    let call = call(&verdict);
    assert_eq!((call.rung, call.run.as_ref().unwrap().0.as_str()), (Rung::Abort, "r1"));
    assert_eq!(call.started_at, Some(ago(BEGAN)));
    assert_eq!(verdict.looks, Looks::Confirmed);
}

#[test]
fn the_run_must_be_old_enough() {
    let began = |seconds| {
        move |world: &mut Snapshot| {
            world.lanes[0].row.started_at = Field::Value(ago(seconds));
            says(world, |lane| lane.started_at = Some(ago(seconds)));
        }
    };
    check(began(AFTER - 1), "healthy hold too_young");
    check(began(AFTER), "act no_progress");
    check(began(1), "healthy hold too_young");
}

#[test]
fn any_sign_of_life_within_that_time_is_progress() {
    check(|world| transcript(world, AFTER - 1), "healthy hold silent_so_far");
    check(|world| transcript(world, AFTER), "act no_progress");
    let trajectory = |world: &mut Snapshot| {
        world.lanes[0].trajectory = Transcript::Present { bytes: 1, modified_at: ago(AFTER - 1) };
    };
    check(trajectory, "healthy hold silent_so_far");
    let event = |seconds| {
        move |world: &mut Snapshot| says(world, |lane| lane.last_event_at = Some(ago(seconds)))
    };
    check(event(AFTER - 1), "healthy hold silent_so_far");
    check(event(AFTER), "act no_progress");
    let taken =
        |seconds| move |world: &mut Snapshot| world.locks = vec![held("s1.jsonl.lock", seconds)];
    check(taken(AFTER - 1), "healthy hold silent_so_far");
    check(taken(AFTER), "act no_progress");
    let future = |world: &mut Snapshot| {
        says(world, |lane| lane.last_event_at = Some(NOW.plus(Duration::from_secs(60))));
    };
    check(future, "healthy hold silent_so_far");
}

#[test]
fn messages_that_come_in_are_no_progress_where_events_say_more() {
    let touched = |world: &mut Snapshot| {
        world.lanes[0].row.updated_at = Field::Value(ago(1));
        says(world, |lane| lane.updated_at = Some(ago(1)));
    };
    check(touched, "act no_progress");
    let unheard = |since: Option<UnixMillis>| {
        move |world: &mut Snapshot| {
            touched(world);
            says(world, |lane| lane.heard_since = since);
        }
    };
    check(unheard(None), "healthy hold unheard");
    check(unheard(Some(ago(AFTER - 1))), "healthy hold silent_so_far");
    check(unheard(Some(ago(AFTER))), "act no_progress");
    let touched = |world: &mut Snapshot| says(world, |lane| lane.updated_at = Some(ago(1)));
    check_sqlite(touched, "healthy hold silent_so_far");
}

#[test]
fn silence_is_only_as_long_as_somebody_listened() {
    let heard = |since: Option<UnixMillis>| {
        move |world: &mut Snapshot| says(world, |lane| lane.heard_since = since)
    };
    check_sqlite(heard(None), "hold unheard");
    check_sqlite(heard(Some(ago(AFTER - 1))), "healthy hold silent_so_far");
    check_sqlite(heard(Some(ago(AFTER))), "act no_progress");
    // A daemon that has just connected, or connected again, and one pass alone.
    check(heard(None), "hold unheard");
    check(heard(Some(ago(0))), "hold silent_so_far");
    check(heard(Some(ago(AFTER - 1))), "hold silent_so_far");
    check(heard(Some(ago(AFTER))), "act no_progress");
    let missing = |since: Option<UnixMillis>| {
        move |world: &mut Snapshot| {
            world.lanes[0].transcript = Transcript::Missing;
            says(world, |lane| lane.heard_since = since);
        }
    };
    check(missing(None), "hold unheard");
    check(missing(Some(ago(AFTER - 1))), "healthy hold silent_so_far");
    check(missing(Some(ago(AFTER))), "act no_progress");
}

#[test]
fn a_run_must_be_proven_alive() {
    let active =
        |is: Option<bool>| move |world: &mut Snapshot| says(world, |lane| lane.has_active_run = is);
    check(active(Some(false)), "healthy hold not_alive");
    check(active(None), "act no_progress");
    let unnamed = |world: &mut Snapshot| {
        says(world, |lane| {
            lane.has_active_run = None;
            lane.runs.clear();
        });
    };
    check(unnamed, "healthy hold not_alive");
    let named_once = |world: &mut Snapshot| {
        says(world, |lane| {
            lane.has_active_run = None;
            lane.heard_since = None;
        });
    };
    check(named_once, "healthy hold not_alive");
}

#[test]
fn a_lock_of_the_live_gateway_proves_life_where_it_is_that_very_lanes() {
    let with = |name: &'static str| {
        move |world: &mut Snapshot| {
            world.locks = vec![held(name, BEGAN)];
            says(world, |lane| {
                lane.has_active_run = None;
                lane.runs.clear();
            });
        }
    };
    check(with("s1.jsonl.lock"), "act no_progress");
    check(with("s1-topic-x.jsonl.lock"), "act no_progress");
    // Of a session whose id only begins the same.
    check(with("s12.jsonl.lock"), "healthy hold not_alive");
    check(with("s2.jsonl.lock"), "healthy hold not_alive");
    let elsewhere = |world: &mut Snapshot| {
        with("s1.jsonl.lock")(world);
        world.locks[0].agent = "other".into();
    };
    check(elsewhere, "healthy hold not_alive");
}

#[test]
fn a_lock_of_anybody_else_means_that_somebody_else_may_run_it() {
    let other = ProcessId { pid: 7, start_ticks: 99 };
    for seen in [
        Sighting::Present { id: other, started_at: ago(90_000), is_openclaw: true },
        Sighting::Hidden,
        Sighting::Absent,
    ] {
        let theirs = |world: &mut Snapshot| world.locks = vec![lock("s1.jsonl.lock", seen, BEGAN)];
        check(theirs, "hold lane_locked");
    }
}

#[test]
fn a_tool_at_work_is_left_alone_however_silent() {
    let tool = |lane: Option<&'static str>, started: u64| {
        move |world: &mut Snapshot| {
            let mut tool = child(50, started);
            (tool.is_agent, tool.lane) = (false, lane.map(Into::into));
            world.children = vec![tool];
        }
    };
    check(tool(Some(KEY), BEGAN), "hold tool_running");
    check(tool(Some(KEY), 80_000), "hold tool_running");
    check(tool(None, BEGAN), "hold tool_running");
    check(tool(None, BEGAN + 2), "hold tool_running");
    // Older than the run by more than two clocks may differ, or at work for another lane.
    check(tool(None, BEGAN + 3), "act no_progress");
    check(tool(Some("agent:main:other"), 10), "act no_progress");
    check_sqlite(tool(Some(KEY), BEGAN), "hold tool_running");
}

#[test]
fn a_run_whose_tool_has_just_ended_is_given_time_to_go_on() {
    let ended = |gone: u64, change: fn(&mut crate::model::Child)| {
        move |world: &mut Snapshot| {
            let mut tool = child(50, BEGAN);
            (tool.is_agent, tool.lane) = (false, None);
            change(&mut tool);
            world.ended_tools = vec![crate::model::EndedTool { tool, gone_at: ago(gone) }];
        }
    };
    check(ended(0, |_| {}), "hold tool_ended");
    check(ended(59, |_| {}), "hold tool_ended");
    check(ended(60, |_| {}), "act no_progress");
    check_sqlite(ended(59, |tool| tool.lane = Some(KEY.into())), "hold tool_ended");
    check(ended(0, |tool| tool.lane = Some("agent:main:other".into())), "act no_progress");
    // Older than the run; and begun when it had long been silent.
    check(ended(0, |tool| tool.started_at = ago(BEGAN + 3)), "act no_progress");
    check(ended(0, |tool| tool.started_at = ago(BEGAN - 60)), "hold tool_ended");
    check(ended(0, |tool| tool.started_at = ago(BEGAN - 61)), "act no_progress");
    let two = |world: &mut Snapshot| {
        ended(200, |_| {})(world);
        let older = world.ended_tools.clone();
        ended(1, |_| {})(world);
        world.ended_tools.splice(0..0, older);
    };
    check(two, "hold tool_ended");
}

#[test]
fn a_service_of_the_gateway_works_for_no_run_but_what_it_starts_may() {
    let service = || {
        let mut service = child(50, 10);
        (service.is_service, service.lane, service.idle) = (true, None, Some(Duration::ZERO));
        service
    };
    check_sqlite(|world| world.children = vec![service()], "act no_progress");
    let other = |world: &mut Snapshot| {
        world.children = vec![crate::model::Child { is_service: false, ..service() }];
    };
    check_sqlite(other, "hold child_active");
    let tool = |world: &mut Snapshot| {
        let tool = crate::model::Child { id: ProcessId { pid: 51, start_ticks: 9 }, ..service() };
        let tool = crate::model::Child { is_service: false, is_agent: false, ..tool };
        world.children = vec![service(), tool];
    };
    check_sqlite(tool, "hold tool_running");
}

#[test]
fn an_agent_at_work_is_progress_and_so_is_one_that_is_not_known_to_idle() {
    let agent = |idle: Option<u64>| {
        move |world: &mut Snapshot| {
            let mut agent = child(50, 80_000);
            agent.idle = idle.map(Duration::from_secs);
            world.children = vec![agent];
        }
    };
    check(agent(Some(AFTER - 1)), "hold child_active");
    check(agent(Some(AFTER)), "act no_progress");
    check(agent(None), "hold child_active");
    let unseen = |seconds| {
        move |world: &mut Snapshot| {
            world.gateway_children = vec![(ProcessId { pid: 9, start_ticks: 9 }, ago(seconds))];
        }
    };
    check(unseen(BEGAN), "hold child_younger");
    check(unseen(BEGAN + 3), "act no_progress");
}

#[test]
fn a_run_may_wait_for_a_lane_that_it_spawned() {
    let spawned = |key: &'static str, change: fn(&mut crate::model::LiveLane)| {
        move |world: &mut Snapshot| {
            let mut lane = live(key, "s2");
            change(&mut lane);
            answer(world, |answers| answers.lanes.push(lane));
        }
    };
    let ours = |lane: &mut crate::model::LiveLane| lane.parent = Some(KEY.into());
    check(spawned("agent:main:subagent:x", ours), "hold waits_for_child");
    check(spawned("agent:main:other", ours), "hold waits_for_child");
    check(spawned("agent:claude:acp:x", |_| {}), "hold waits_for_child");
    check(spawned("agent:main:other", |_| {}), "act no_progress");
    let older = |lane: &mut crate::model::LiveLane| lane.started_at = Some(ago(BEGAN + 3));
    check(spawned("agent:claude:acp:x", older), "act no_progress");
    let theirs = |lane: &mut crate::model::LiveLane| lane.parent = Some("agent:main:z".into());
    check(spawned("agent:claude:acp:x", theirs), "act no_progress");
    let ended = |lane: &mut crate::model::LiveLane| {
        lane.parent = Some(KEY.into());
        (lane.status, lane.has_active_run) = (LaneStatus::Ended, Some(false));
    };
    check(spawned("agent:main:subagent:x", ended), "act no_progress");
    let idle = |lane: &mut crate::model::LiveLane| {
        (lane.parent, lane.has_active_run) = (Some(KEY.into()), Some(false));
    };
    // Only where the field knows of every run.
    check_sqlite(spawned("agent:main:subagent:x", idle), "act no_progress");
    check(spawned("agent:main:other", idle), "hold waits_for_child");
}

#[test]
fn a_task_that_names_a_lane_of_which_nothing_is_known_holds() {
    let tasks = |keys: &'static [&'static str]| {
        move |world: &mut Snapshot| {
            world.task_lanes = Some(keys.iter().map(|key| (*key).into()).collect());
        }
    };
    check(tasks(&[KEY]), "act no_progress");
    check(tasks(&[KEY, "agent:claude:acp:x"]), "hold task_active");
    check(tasks(&["agent:claude:acp:x"]), "act no_progress");
    check(|world| world.task_lanes = None, "hold gap");
    check_sqlite(|world| world.gaps.push(gap(Source::Tasks, "/s/state")), "hold gap");
}

#[test]
fn the_gateway_has_its_own_time_first_whatever_is_configured() {
    let short = HungLane { after: Duration::from_secs(60), ..rule() };
    let still_for = |world: &mut Snapshot, seconds: u64| {
        transcript(world, seconds);
    };
    let check = |version: (u8, u16), seconds: u64, want: &str| {
        let mut world = hung();
        on(&mut world, Version::new(2026, version.0, version.1));
        still_for(&mut world, seconds);
        assert_eq!(line(&judge_with(&world, short.clone())), want, "{version:?} {seconds}");
    };
    // 2026.3.24 never ends a run; a compaction may take 15 minutes and 2 of grace.
    check((3, 24), 1_019, "hold may_compact");
    check((3, 24), 1_020, "act no_progress");
    check((4, 15), 254, "hold gateway_recovers");
    check((4, 15), 255, "hold may_compact");
    check((4, 15), 1_020, "act no_progress");
    // 10 minutes, and what it needs to carry it out.
    check((5, 7), 644, "hold gateway_recovers");
    check((5, 7), 645, "hold may_compact");
    check((5, 28), 1_020, "act no_progress");
    // 6 minutes.
    check((6, 11), 404, "hold gateway_recovers");
    check((6, 11), 405, "act no_progress");
    let check = |seconds: u64, want: &str| {
        let mut world = hung_in_sqlite();
        says(&mut world, |lane| lane.last_event_at = Some(ago(seconds)));
        assert_eq!(line(&judge_with(&world, short.clone())), want, "{seconds}");
    };
    // 6 minutes for a model, 15 for an agent; one that waits for a tool is not ended at all.
    check(404, "hold gateway_recovers");
    check(405, "act no_progress");
    let check = |seconds: u64, want: &str| {
        let mut world = hung_in_sqlite();
        world.children = vec![child(50, BEGAN)];
        says(&mut world, |lane| lane.last_event_at = Some(ago(seconds)));
        assert_eq!(line(&judge_with(&world, short.clone())), want, "{seconds}");
    };
    check(944, "hold gateway_recovers");
    check(945, "act no_progress");
}

#[test]
fn a_short_compaction_leaves_the_silent_model_its_time() {
    let short = HungLane { after: Duration::from_secs(60), ..rule() };
    for (limit, seconds, want) in [
        (60, 254, "hold gateway_recovers"),
        (60, 255, "act no_progress"),
        (300, 419, "hold may_compact"),
        (300, 420, "act no_progress"),
    ] {
        let mut world = hung();
        on(&mut world, Version::new(2026, 4, 15));
        transcript(&mut world, seconds);
        let compaction = Some(Duration::from_secs(limit));
        world.gateway.configured = Configured { compaction, ..Configured::default() };
        assert_eq!(line(&judge_with(&world, short.clone())), want, "{limit} {seconds}");
    }
}

const JOB: &str = "agent:main:cron:j1";

/// A cron run of 2026.9.6, whose row has no start.
fn startless(change: impl FnOnce(&mut Snapshot)) -> Option<Verdict> {
    let mut world = hung_in_sqlite();
    says(&mut world, |lane| {
        lane.key = JOB.into();
        (lane.started_at, lane.last_event_at, lane.updated_at) = (None, None, None);
        lane.runs.clear();
    });
    change(&mut world);
    let mut policies = Policies { hung_lane: rule(), ..settings() };
    policies.held_lock.mode = Mode::Off;
    judge_all(&world, &history(), &policies).into_iter().find(|one| one.subject.id == JOB)
}

#[test]
fn a_cron_run_without_a_start_is_judged_by_what_was_heard_of_it() {
    let check = |change: &dyn Fn(&mut Snapshot), want: &str| {
        assert_eq!(startless(|world| change(world)).as_ref().map_or("none".to_owned(), line), want);
    };
    check(&|_| {}, "act no_progress");
    assert_eq!(call(&startless(|_| {}).unwrap()).started_at, None);
    let heard = |since: Option<UnixMillis>| {
        move |world: &mut Snapshot| says(world, |lane| lane.heard_since = since)
    };
    check(&heard(None), "healthy hold unheard");
    check(&heard(Some(ago(AFTER - 1))), "healthy hold too_young");
    check(&heard(Some(ago(AFTER))), "act no_progress");
    let event = |at: UnixMillis| {
        move |world: &mut Snapshot| says(world, |lane| lane.last_event_at = Some(at))
    };
    check(&event(ago(AFTER - 1)), "healthy hold too_young");
    check(&event(NOW.plus(Duration::from_secs(9))), "healthy hold too_young");
    check(&event(ago(AFTER)), "act no_progress");
    check(
        &|world| says(world, |lane| lane.updated_at = Some(ago(AFTER - 1))),
        "healthy hold silent_so_far",
    );
    // It may be older than any child.
    let tool = |world: &mut Snapshot| {
        world.children = vec![child(50, 85_000)];
        (world.children[0].is_agent, world.children[0].lane) = (false, None);
    };
    check(&tool, "hold tool_running");
    let unknown = |world: &mut Snapshot| {
        world.gateway_children = vec![(ProcessId { pid: 9, start_ticks: 9 }, ago(85_000))];
    };
    check(&unknown, "hold child_younger");
    let own_tool = |world: &mut Snapshot| {
        world.children = vec![child(50, 10)];
        world.children[0].is_agent = false;
        world.children[0].lane = Some("agent:main:cron:j1:run:s1".into());
    };
    check(&own_tool, "hold tool_running");
    let spawned = |world: &mut Snapshot| {
        let mut lane = live("agent:main:subagent:x", "s2");
        lane.parent = Some("agent:main:cron:j1:run:s1".into());
        answer(world, |answers| answers.lanes.push(lane));
    };
    check(&spawned, "hold waits_for_child");
}

#[test]
fn without_a_start_nothing_else_is_judged() {
    let check = |change: &dyn Fn(&mut Snapshot), want: &str| {
        assert_eq!(startless(|world| change(world)).as_ref().map_or("none".to_owned(), line), want);
    };
    // That nothing runs in it is for `stale_lane` to say.
    check(&|world| says(world, |lane| lane.has_active_run = Some(false)), "none");
    check(&|world| says(world, |lane| lane.has_active_run = None), "healthy hold malformed");
    check(&|world| says(world, |lane| lane.session_id = None), "hold malformed");
    check(&|world| says(world, |lane| lane.started_at = Some(UnixMillis(0))), "hold malformed");
    check(&|world| on(world, Version::new(2026, 7, 1)), "hold malformed");
    check(&|world| on(world, Version::new(2026, 9, 7)), "hold version_untested");
}

/// The same run, begun again a moment ago: row and lock are of then.
fn again(world: &mut Snapshot, seconds: u64, step: Option<u64>) {
    for lane in &mut world.lanes {
        lane.row.started_at = Field::Value(ago(seconds));
        lane.row.updated_at = Field::Value(ago(seconds));
    }
    says(world, |lane| {
        (lane.started_at, lane.updated_at) = (Some(ago(seconds)), Some(ago(seconds)));
        (lane.last_event_at, lane.begun_again_at) = (Some(ago(seconds)), Some(ago(seconds)));
        lane.last_step_at = step.map(ago);
    });
}

#[test]
fn a_silent_model_that_is_asked_again_is_no_progress() {
    check_sqlite(|world| again(world, 5, Some(AFTER)), "act no_progress");
    check_sqlite(|world| again(world, 5, Some(AFTER - 1)), "healthy hold too_young");
    check_sqlite(|world| again(world, 5, None), "act no_progress");
    let locked = |world: &mut Snapshot| {
        again(world, 60, Some(AFTER));
        on(world, Version::new(2026, 4, 15));
        world.locks = vec![held("s1.jsonl.lock", 60)];
    };
    check(locked, "act no_progress");
    let mut world = hung_in_sqlite();
    again(&mut world, 5, Some(BEGAN));
    let first = judge_with(&world, rule());
    assert_eq!(call(&first).started_at, Some(ago(5)), "what is compared right before the call");
    let mut later = world.clone();
    again(&mut later, 4, Some(BEGAN));
    assert_eq!(judge_with(&later, rule()).incarnation, first.incarnation, "the looks go on");
}

#[test]
fn only_what_was_heard_to_be_the_same_run_counts_as_one() {
    let but = |change: fn(&mut crate::model::LiveLane), want: &str| {
        let twist = |world: &mut Snapshot| {
            again(world, 60, Some(BEGAN));
            says(world, change);
        };
        check_sqlite(twist, want);
    };
    but(|_| {}, "act no_progress");
    but(|lane| lane.begun_again_at = None, "healthy hold too_young");
    // Its start is that of another begin, which was not heard.
    but(|lane| lane.started_at = Some(ago(49)), "healthy hold too_young");
    but(|lane| lane.runs.clear(), "healthy hold too_young");
    but(|lane| lane.runs.push(crate::model::RunId("r2".to_owned())), "healthy hold too_young");
    but(|lane| lane.heard_since = Some(ago(AFTER - 1)), "healthy hold too_young");
    but(|lane| lane.heard_since = None, "healthy hold too_young");
    // A row that was written since, by a message or by progress.
    but(|lane| lane.updated_at = Some(ago(49)), "healthy hold silent_so_far");
    let written = |world: &mut Snapshot| {
        again(world, 60, Some(BEGAN));
        transcript(world, 60);
    };
    check(written, "healthy hold silent_so_far");
    let retaken = |world: &mut Snapshot| {
        again(world, 60, Some(BEGAN));
        world.locks = vec![held("s1.jsonl.lock", 49)];
    };
    check(retaken, "healthy hold silent_so_far");
    let older_child = |world: &mut Snapshot| {
        again(world, 60, Some(BEGAN));
        world.children = vec![child(50, 85_000)];
        (world.children[0].is_agent, world.children[0].lane) = (false, None);
    };
    check_sqlite(older_child, "hold tool_running");
}

#[test]
fn the_run_that_holds_the_place_of_recovery_is_judged_though_its_start_is_that_of_the_dead_one() {
    let resumed = |event: u64| {
        move |world: &mut Snapshot| {
            says(world, |lane| {
                (lane.started_at, lane.updated_at) = (Some(ago(90_000)), Some(ago(86_000)));
                (lane.last_event_at, lane.runs) = (Some(ago(event)), Vec::new());
            });
            let mut starving = live("agent:main:n2", "s2");
            (starving.started_at, starving.has_active_run) = (Some(ago(90_000)), Some(false));
            (starving.aborted_last_run, starving.runs) = (true, Vec::new());
            answer(world, |answers| answers.lanes.push(starving));
        }
    };
    check_sqlite(resumed(AFTER), "act no_progress");
    check_sqlite(resumed(AFTER - 1), "healthy hold silent_so_far");
    let mut world = hung_in_sqlite();
    resumed(AFTER)(&mut world);
    let policies = Policies { hung_lane: rule(), ..settings() };
    let judged = judge_all(&world, &history(), &policies);
    let lanes: Vec<_> = judged.iter().map(|verdict| verdict.subject.id.as_str()).collect();
    assert_eq!(lanes, [KEY], "of what starves `stale_lane` speaks");
}

#[test]
fn limits_that_the_user_gave_the_gateway_count() {
    let limited = |version: (u8, u16), limits: Configured, want: &str| {
        let mut world = hung();
        on(&mut world, Version::new(2026, version.0, version.1));
        world.gateway.configured = limits;
        assert_eq!(line(&judge_with(&world, rule())), want, "{version:?}");
    };
    let long = Some(Duration::from_secs(BEGAN));
    limited((5, 28), Configured { abort: long, ..Configured::default() }, "hold gateway_recovers");
    limited((4, 15), Configured { compaction: long, ..Configured::default() }, "hold may_compact");
    limited(
        (5, 28),
        Configured { is_off: true, abort: long, ..Configured::default() },
        "act no_progress",
    );
}

#[test]
fn a_version_that_was_not_run_is_never_acted_on() {
    check(|world| on(world, Version::new(2026, 5, 8)), "hold version_untested");
    check(|world| on(world, Version::new(2026, 3, 23)), "hold version_untested");
    check_sqlite(|world| on(world, Version::new(2026, 9, 7)), "hold version_untested");
    check(|world| answer(world, |answers| answers.version = None), "hold version_unknown");
    let other = |world: &mut Snapshot| world.gateway.version = Some(Version::new(2026, 5, 28));
    check(other, "hold rpc_disagrees");
    check(|world| world.gateway.version = None, "act no_progress");
}

#[test]
fn nothing_is_judged_without_an_answer() {
    let not_asked = |world: &mut Snapshot| {
        world.rpc = Rpc::NotAsked("captured".to_owned());
        world.locks = vec![held("s1.jsonl.lock", BEGAN)];
    };
    check(not_asked, "hold rpc_not_asked");
    let mut world = hung();
    world.rpc = Rpc::NotAsked("captured".to_owned());
    let verdicts = judge_all(&world, &history(), &settings());
    assert!(verdicts.is_empty(), "nothing shows it alive");
    for fault in RpcFault::ALL {
        let failed = |world: &mut Snapshot| {
            world.rpc = Rpc::Failed(RpcFailure { fault, text: "no".to_owned() });
            world.locks = vec![held("s1.jsonl.lock", BEGAN)];
        };
        check(failed, "hold rpc_unavailable");
    }
    check(|world| answer(world, |answers| answers.is_complete = false), "hold gap");
    check(|world| answer(world, |answers| answers.lanes.clear()), "healthy hold rpc_disagrees");
}

#[test]
fn disk_and_gateway_must_mean_the_same_run() {
    let session = |world: &mut Snapshot| says(world, |lane| lane.session_id = Some("s2".into()));
    check(session, "hold rpc_disagrees");
    let start = |world: &mut Snapshot| says(world, |lane| lane.started_at = Some(ago(BEGAN - 1)));
    check(start, "hold rpc_disagrees");
    check(|world| says(world, |lane| lane.status = LaneStatus::Ended), "hold rpc_disagrees");
    check(|world| says(world, |lane| lane.ended_at = Some(ago(9))), "hold rpc_disagrees");
    let ended = |world: &mut Snapshot| world.lanes[0].row.ended_at = Field::Value(ago(9));
    check(ended, "hold rpc_disagrees");
    let two = |world: &mut Snapshot| {
        let lane = world.lanes[0].clone();
        world.lanes.push(lane);
    };
    check(two, "hold lane_unknown");
    let twice = |world: &mut Snapshot| answer(world, |all| all.lanes.push(live(KEY, "s1")));
    check_sqlite(twice, "hold lane_unknown");
}

#[test]
fn times_that_make_no_sense_are_left_alone() {
    let start = |world: &mut Snapshot, at: Option<UnixMillis>| {
        says(world, |lane| lane.started_at = at);
    };
    check_sqlite(|world| start(world, None), "hold malformed");
    check_sqlite(|world| start(world, Some(UnixMillis(0))), "hold malformed");
    check_sqlite(|world| start(world, Some(UnixMillis(-5))), "hold malformed");
    check_sqlite(|world| start(world, Some(UnixMillis(i64::MAX))), "healthy hold in_future");
    let nameless = |world: &mut Snapshot| says(world, |lane| lane.session_id = None);
    check_sqlite(nameless, "hold malformed");
    let odd = |world: &mut Snapshot| world.lanes[0].row.started_at = Field::Malformed;
    check(odd, "hold malformed");
}

#[test]
fn a_gap_in_what_it_rests_on_holds() {
    for source in [
        Source::Host,
        Source::Processes,
        Source::Gateway,
        Source::Config,
        Source::Subagents,
        Source::Sessions,
        Source::Locks,
    ] {
        check(|world| world.gaps.push(gap(source, "/s/agents/main/sessions")), "hold gap");
        check_sqlite(|world| world.gaps.push(gap(source, "/s/agents/main/sessions")), "hold gap");
    }
    let elsewhere = |world: &mut Snapshot| {
        world.gaps.push(gap(Source::Sessions, "/s/agents/other/sessions"));
    };
    check(elsewhere, "act no_progress");
    check(|world| world.lanes[0].transcript = Transcript::Unreadable, "hold gap");
    check(|world| world.lanes[0].trajectory = Transcript::Unreadable, "hold gap");
}

#[test]
fn what_the_gateway_still_means_to_do_is_left_to_it() {
    for (residue, want) in [
        (Residue::AbortedLastRun, "hold aborted_last_run"),
        (Residue::RestartRecovery, "hold restart_recovery"),
        (Residue::RecoveryDelivery, "act no_progress"),
        (Residue::PendingFinalDelivery, "hold pending_delivery"),
        (Residue::QuotaSuspension, "hold quota_suspended"),
    ] {
        check(|world| world.lanes[0].row.residue.push(residue), want);
    }
    let both = |world: &mut Snapshot| {
        world.lanes[0].row.residue = vec![Residue::RecoveryDelivery, Residue::PendingFinalDelivery];
    };
    check(both, "hold pending_delivery");
    let aborted = |world: &mut Snapshot| says(world, |lane| lane.aborted_last_run = true);
    check_sqlite(aborted, "hold aborted_last_run");
    check_sqlite(|world| says(world, |lane| lane.is_tombstoned = true), "hold restart_recovery");
}

#[test]
fn nothing_is_ended_without_a_gateway_that_is_up_and_understood() {
    check(|world| world.gateway.status = Status::Down, "hold gateway_down");
    check(|world| world.gateway.status = Status::Starting, "hold gateway_starting");
    let newer = Era::Newer { what: String::new() };
    check(|world| world.gateway.era = newer, "hold era_newer");
    let young = |world: &mut Snapshot| {
        world.gateway.process.as_mut().unwrap().locked_at = Some(ago(359));
    };
    check(young, "hold start_grace");
    let doctor = |world: &mut Snapshot| {
        world.maintenance = Some(ProcessId { pid: 9, start_ticks: 9 });
    };
    check(doctor, "hold maintenance_running");
}

#[test]
fn lanes_that_nobody_calls_running_are_not_judged() {
    let mut world = hung();
    world.lanes[0].row.status = LaneStatus::Ended;
    says(&mut world, |lane| {
        (lane.status, lane.has_active_run) = (LaneStatus::Ended, Some(false));
    });
    assert!(judge_all(&world, &history(), &settings()).is_empty());
    world.rpc = Rpc::NotAsked(String::new());
    assert!(judge_all(&world, &history(), &settings()).is_empty());
}

#[test]
fn a_mode_that_observes_never_acts_and_an_override_is_heard() {
    let observe = HungLane { mode: Mode::Observe, ..rule() };
    assert_eq!(line(&judge_with(&hung(), observe)), "observe no_progress");
    let none = HungLane { repair: Vec::new(), ..rule() };
    assert_eq!(line(&judge_with(&hung(), none)), "hold no_repair");
    let mut policies = Policies { hung_lane: rule(), ..settings() };
    policies.overrides = vec![crate::policy::settings::Override {
        lane: crate::policy::LanePattern::new("agent:main:*"),
        stale_lane: None,
        hung_lane: Some(crate::policy::settings::HungLaneOverride {
            mode: None,
            after: Some(Duration::from_secs(BEGAN + 1)),
        }),
    }];
    let verdicts = judge_all(&hung(), &history(), &policies);
    assert_eq!(line(&verdicts[0]), "healthy hold too_young");
    policies.overrides[0].hung_lane.as_mut().unwrap().mode = Some(Mode::Off);
    assert!(judge_all(&hung(), &history(), &policies).is_empty());
}

#[test]
fn the_chat_is_told_only_if_the_user_wants_that_and_nothing_of_its_own() {
    assert_eq!(call(&judge_with(&hung(), rule())).tell, None);
    let told = HungLane { tell: true, ..rule() };
    let verdict = judge_with(&hung(), told);
    let text = call(&verdict).tell.clone().unwrap();
    assert!(text.contains("11h 6m") && !text.contains("agent"), "{text}");
}

/// An ACP agent that took a prompt on 2026.4.15 and says nothing: no lock, and no word of a run.
fn silent_agent() -> (Snapshot, &'static str) {
    let key = "agent:opencode:acp:1";
    let mut world = hung();
    on(&mut world, Version::new(2026, 4, 15));
    world.lanes = vec![crate::policy::run::sample::disk(key, "s1")];
    world.children = vec![crate::model::Child { lane: None, ..child(77, BEGAN) }];
    let lane = crate::model::LiveLane { has_active_run: None, runs: Vec::new(), ..live(key, "s1") };
    answer(&mut world, |answers| answers.lanes = vec![lane].into());
    (world, key)
}

#[track_caller]
fn check_agent(change: impl FnOnce(&mut Snapshot), want: &str) {
    let (mut world, key) = silent_agent();
    change(&mut world);
    let policies = Policies { hung_lane: rule(), ..settings() };
    let verdicts = judge_all(&world, &history(), &policies);
    let verdict = verdicts.iter().find(|verdict| verdict.subject.id == key).expect("a verdict");
    assert_eq!(line(verdict), want);
}

#[test]
fn an_agent_that_never_answers_is_reported_and_never_asked_about_over_rpc() {
    check_agent(|_| {}, "hold ladder_done");
    check_agent(|world| world.children[0].idle = Some(Duration::ZERO), "hold child_active");
    check_agent(|world| world.children[0].is_agent = false, "healthy hold not_alive");
    check_agent(|world| world.children.clear(), "healthy hold not_alive");
    // It is older than the run: another lane's.
    check_agent(|world| world.children[0].started_at = ago(BEGAN + 60), "healthy hold not_alive");
    // The gateway knows of such runs, and of none here.
    check_agent(
        |world| says(world, |lane| lane.has_active_run = Some(false)),
        "healthy hold not_alive",
    );
}
