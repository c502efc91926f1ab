//! | what is taken out | what fails |
//! |---|---|
//! | `life` | `whatever_may_be_at_work_leaves_a_task_alone` |
//! | gaps of `stands` | `a_gap_in_what_the_judgement_depends_on_holds` |
//! | `is_spawned` in `outlived` | `a_message_that_may_wait_for_its_turn_is_left_alone` |
//! | `ended_at >= began_at` | `a_session_that_ended_before_its_task_began_proves_nothing` |

use super::*;
use crate::model::sample::{self, GATEWAY, NOW, ago, gap};
use crate::model::{
    Answers, ChildRow, Delivery, Era, Field, History, LaneStatus, LiveLane, Mode, ProcessId, Rpc,
    RunId, SessionKey, Sighting, SubagentRun, Task, TaskId, TaskRuntime, TaskStatus, Transcript,
    Version,
};

const CHILD: &str = "agent:claude:acp:1";
const RULE: ZombieTask = ZombieTask { mode: Mode::Observe, after: Duration::from_secs(1_800) };

fn task(id: &str, runtime: TaskRuntime, status: TaskStatus, s_ago: u64) -> Task {
    let ended_at = matches!(status, TaskStatus::Ended(_)).then(|| ago(s_ago));
    let delivery = match &runtime {
        TaskRuntime::Cli | TaskRuntime::Cron | TaskRuntime::Other(_) => Delivery::Settled,
        _ if ended_at.is_none() => Delivery::Unsettled,
        _ => Delivery::Settled,
    };
    Task {
        id: TaskId(id.to_owned()),
        database: "/s/tasks/runs.sqlite".into(),
        runtime,
        run: Some(RunId("r".to_owned())),
        owner: Some("agent:main:main".into()),
        requester: None,
        child: Some(CHILD.into()),
        agent: None,
        flow: Some(format!("flow-{id}")),
        parent: None,
        label: Some("demo".to_owned()),
        status,
        delivery,
        created_at: Some(ago(s_ago)),
        started_at: Some(ago(s_ago)),
        ended_at,
        last_event_at: None,
        owner_pid: None,
    }
}

fn row(status: LaneStatus, ended_s_ago: u64) -> ChildRow {
    let ended_at = match status {
        LaneStatus::Ended => Field::Value(ago(ended_s_ago)),
        _ => Field::Absent,
    };
    ChildRow {
        key: CHILD.into(),
        store: "/s/agents/claude/sessions/sessions.json".into(),
        session_id: Some("s1".into()),
        status,
        started_at: Field::Value(ago(ended_s_ago + 100)),
        ended_at,
        transcript: Transcript::Missing,
    }
}

/// What 2026.4.15 is left with after its gateway was killed in an ACP run and started again, an
/// hour ago.
fn killed() -> Snapshot {
    let mut snapshot = sample::snapshot();
    snapshot.tasks = Some(vec![
        task("1", TaskRuntime::Cli, TaskStatus::Running, 4_000),
        task("2", TaskRuntime::Acp, TaskStatus::Running, 4_000),
        task("3", TaskRuntime::Subagent, TaskStatus::Ended("failed"), 3_900),
        task("4", TaskRuntime::Acp, TaskStatus::Running, 3_999),
    ]);
    snapshot.task_children = vec![row(LaneStatus::Ended, 3_900)];
    snapshot.subagents = Some(Vec::new());
    snapshot
}

fn judge(snapshot: &Snapshot) -> Vec<Verdict> {
    judge_after(snapshot, &sample::history())
}

fn judge_after(snapshot: &Snapshot, history: &History) -> Vec<Verdict> {
    let context = Context { snapshot, history, explains_healthy: true, start_grace: sample::GRACE };
    evaluate(context, RULE)
}

/// `want`: code, and `!` before it if it looks wrong; one for each family.
#[track_caller]
fn check(snapshot: &Snapshot, want: &[&str]) {
    let got: Vec<_> = judge(snapshot)
        .iter()
        .map(|verdict| {
            let proof = match &verdict.decision {
                Decision::Hold(HoldReason::TaskByHand { proof, .. }) => proof.code(),
                decision => decision.code(),
            };
            format!("{}{proof}", if verdict.suspect { "!" } else { "" })
        })
        .collect();
    assert_eq!(got, want);
}

fn with(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut snapshot = killed();
    change(&mut snapshot);
    snapshot
}

fn tasks(snapshot: &mut Snapshot) -> &mut Vec<Task> {
    snapshot.tasks.as_mut().unwrap()
}

#[test]
fn one_verdict_names_every_row_and_how_they_disagree() {
    let mut snapshot = killed();
    let registered = SubagentRun {
        run: RunId("r".to_owned()),
        registry: "/s/subagents/runs.json".into(),
        child: CHILD.into(),
        requester: None,
        started_at: None,
        ended_at: Some(ago(3_900)),
        announced_at: None,
    };
    snapshot.subagents = Some(vec![registered]);
    let [verdict] = judge(&snapshot).try_into().unwrap();
    assert_eq!((verdict.subject.kind, &*verdict.subject.id), (SubjectKind::Task, "1"));
    assert_eq!(
        verdict.evidence.0["disagreement"],
        "cli task running, acp task running, acp task running, subagent task failed, session ended, \
         registered run ended"
    );
    let places = verdict.evidence.0["places"].as_array().unwrap();
    let places: Vec<_> = places.iter().map(|place| place.as_str().unwrap()).collect();
    assert!(places.contains(&"/s/tasks/runs.sqlite task_runs 4"), "{places:?}");
    assert!(places.contains(&"/s/flows/registry.sqlite flow_runs flow-4"), "{places:?}");
    assert!(places.contains(&"/s/agents/claude/sessions/sessions.json agent:claude:acp:1"));
    assert!(places.contains(&"/s/subagents/runs.json r"));
    assert_eq!(verdict.evidence.0["tasks"].as_array().unwrap().len(), 4);
}

#[test]
fn nothing_is_judged_where_nothing_was_read() {
    check(&sample::snapshot(), &[]);
    check(&with(|s| s.tasks = None), &[]);
    check(&with(|s| s.tasks = Some(Vec::new())), &[]);
}

#[test]
fn a_task_whose_session_has_ended_or_is_gone_is_a_zombie() {
    check(&killed(), &["!child_ended"]);
    check(&with(|s| s.task_children.clear()), &["!child_gone"]);
}

#[test]
fn a_task_of_a_live_session_is_none_however_old() {
    let live = |s: &mut Snapshot| s.task_children = vec![row(LaneStatus::Running, 0)];
    check(&with(live), &["no_proof"]);
    // Its record's process is dead all the while: acpx has started another one (2026.4.15).
    let live = with(|s| {
        live(s);
        s.records = Some(Vec::new());
        s.gateway.process.as_mut().unwrap().started_at = ago(80_000);
    });
    check(&live, &["no_proof"]);
}

#[test]
fn a_session_that_ended_before_its_task_began_proves_nothing() {
    check(&with(|s| s.task_children = vec![row(LaneStatus::Ended, 4_100)]), &["no_proof"]);
    let torn = ChildRow { ended_at: Field::Malformed, ..row(LaneStatus::Ended, 3_900) };
    check(&with(|s| s.task_children = vec![torn]), &["no_proof"]);
}

#[test]
fn a_run_that_began_before_its_gateway_is_over() {
    let restarted = |s: &mut Snapshot| {
        let process = s.gateway.process.as_mut().unwrap();
        (process.started_at, process.locked_at) = (ago(3_600), Some(ago(3_599)));
        s.task_children = vec![row(LaneStatus::Running, 0)];
    };
    check(&with(restarted), &["!older_than_gateway"]);
    // A call of `agent` has no session of its own.
    check(
        &with(|s| {
            restarted(s);
            tasks(s).truncate(1);
        }),
        &["!older_than_gateway"],
    );
    // From 2026.5.2 on a start may have resumed it.
    let resumes = with(|s| {
        restarted(s);
        s.gateway.version = Some(Version::new(2026, 5, 28));
    });
    check(&resumes, &["no_proof"]);
    let mut stepped = sample::history();
    stepped.host.as_mut().unwrap().stepped_at = Some(ago(3_000));
    let [verdict] = judge_after(&with(restarted), &stepped).try_into().unwrap();
    assert_eq!(verdict.decision.code(), "clock_unproven");
}

fn told(snapshot: &mut Snapshot, active: Option<bool>) {
    let version = Version::new(2026, 9, 6);
    snapshot.gateway.era = Era::Sqlite;
    snapshot.gateway.version = Some(version);
    let lane = LiveLane { key: CHILD.into(), has_active_run: active, ..LiveLane::default() };
    snapshot.rpc = Rpc::Answered(Box::new(Answers {
        lost: Default::default(),
        version: Some(version),
        protocol: 4,
        boot_id: None,
        state_dir: None,
        lanes: vec![lane].into(),
        is_complete: true,
        took: Duration::ZERO,
        event_loop: None,
    }));
}

#[test]
fn the_gateways_own_word_counts_where_it_knows_of_all_runs() {
    let live = |s: &mut Snapshot| s.task_children = vec![row(LaneStatus::Running, 0)];
    let with_word = |active| {
        with(|s| {
            live(s);
            told(s, active);
        })
    };
    check(&with_word(Some(false)), &["!no_active_run"]);
    check(&with_word(Some(true)), &["run_active"]);
    check(&with_word(None), &["no_proof"]);
    let old = with(|s| {
        live(s);
        told(s, Some(false));
        s.gateway.version = Some(Version::new(2026, 6, 11));
    });
    check(&old, &["no_proof"]);
    check(
        &with(|s| {
            s.task_children.clear();
            told(s, Some(false));
        }),
        &["rpc_disagrees"],
    );
}

#[test]
fn a_message_that_may_wait_for_its_turn_is_left_alone() {
    let waits = with(|s| {
        tasks(s).truncate(1);
        tasks(s)[0].status = TaskStatus::Queued;
        told(s, Some(false));
    });
    check(&waits, &["no_proof"]);
}

#[test]
fn whatever_may_be_at_work_leaves_a_task_alone() {
    check(&with(|s| told(s, Some(true))), &["run_active"]);
    let lock = sample::lock("s1.jsonl.lock", Sighting::Absent, 10);
    check(&with(|s| s.locks = vec![lock.clone()]), &["lane_locked"]);
    let other = sample::lock("s2.jsonl.lock", Sighting::Absent, 10);
    check(&with(|s| s.locks = vec![other]), &["!child_ended"]);
    let written = |s_ago| {
        let mut row = row(LaneStatus::Ended, 3_900);
        row.transcript = Transcript::Present { bytes: 1, modified_at: ago(s_ago) };
        with(|s| s.task_children = vec![row])
    };
    check(&written(1_799), &["transcript_moving"]);
    check(&written(1_800), &["!child_ended"]);
    let mut agent = crate::policy::process::sample::orphan();
    (agent.session_key, agent.started_at) = (Some(SessionKey::from(CHILD)), ago(3_990));
    check(&with(|s| s.agents = vec![agent.clone()]), &["agent_alive"]);
    // What an earlier gateway left behind works for nobody.
    agent.started_at = ago(90_000);
    check(&with(|s| s.agents = vec![agent]), &["!child_ended"]);
}

#[test]
fn nothing_is_said_of_a_task_before_its_time() {
    let heard = |s_ago| with(|s| tasks(s)[1].last_event_at = Some(ago(s_ago)));
    check(&heard(1_799), &["!too_young"]);
    check(&heard(1_800), &["!child_ended"]);
    let future = NOW.plus(Duration::from_secs(60));
    check(&with(|s| tasks(s)[1].last_event_at = Some(future)), &["!in_future"]);
    check(
        &with(|s| {
            tasks(s)[1].created_at = None;
            tasks(s)[1].started_at = None;
        }),
        &["!malformed"],
    );
    check(&with(|s| tasks(s)[1].status = TaskStatus::Other("hovering".to_owned())), &["malformed"]);
}

#[test]
fn a_gateway_that_is_down_or_just_up_settles_some_of_it_itself() {
    let down = |s: &mut Snapshot| {
        s.gateway.status = Status::Down;
        s.gateway.process = None;
    };
    check(&with(down), &["!gateway_down"]);
    let young = |s: &mut Snapshot| {
        down(s);
        tasks(s)[1].last_event_at = Some(ago(60));
    };
    check(&with(young), &["!too_young"]);
    check(
        &with(|s| {
            s.gateway.process.as_mut().unwrap().started_at = ago(100);
            s.gateway.process.as_mut().unwrap().locked_at = Some(ago(99));
        }),
        &["!start_grace"],
    );
    check(&with(|s| s.gateway.status = Status::Unknown), &["!gateway_unknown"]);
    let id = ProcessId { pid: 9, ..GATEWAY };
    check(&with(|s| s.maintenance = Some(id)), &["!maintenance_running"]);
}

#[test]
fn a_gap_in_what_the_judgement_depends_on_holds() {
    for source in [
        Source::Config,
        Source::Host,
        Source::Processes,
        Source::Gateway,
        Source::Sessions,
        Source::Tasks,
        Source::Subagents,
        Source::Locks,
    ] {
        check(&with(|s| s.gaps = vec![gap(source, "/s/x")]), &["!gap"]);
    }
}

fn ended(run: &str, child: &str, delivery: Delivery) -> Task {
    let mut task = task(run, TaskRuntime::Acp, TaskStatus::Ended("succeeded"), 5_000);
    task.run = Some(RunId(run.to_owned()));
    task.child = Some(child.into());
    task.delivery = delivery;
    task
}

#[test]
fn an_end_that_is_told_again_and_again_is_said_once() {
    let three = |delivery| {
        with(|s| s.tasks = Some(["a", "b", "c"].map(|run| ended(run, CHILD, delivery)).into()))
    };
    let mut told = three(Delivery::Settled);
    check(&told, &["!announced_again", "task_over", "task_over"]);
    tasks(&mut told).pop();
    check(&told, &["task_over", "task_over"]);
    // Without the registry nobody knows what was spawned.
    let mut unknown = three(Delivery::Settled);
    unknown.subagents = None;
    check(&unknown, &["task_over"; 3]);
    // Each of another session: somebody spawns the same thing each day.
    let daily = ["a", "b", "c"].map(|run| ended(run, &format!("{CHILD}{run}"), Delivery::Settled));
    check(&with(|s| s.tasks = Some(daily.into())), &["task_over"; 3]);
}

#[test]
fn an_end_that_was_never_told_is_said_after_a_while() {
    let untold = |s_ago| {
        let mut task = ended("a", CHILD, Delivery::Unsettled);
        task.ended_at = Some(ago(s_ago));
        with(|s| s.tasks = Some(vec![task]))
    };
    check(&untold(1_799), &["too_young"]);
    check(&untold(1_800), &["!delivery_unsettled"]);
    check(&with(|s| s.tasks = Some(vec![ended("a", CHILD, Delivery::Settled)])), &["task_over"]);
    check(&with(|s| s.tasks = Some(vec![ended("a", CHILD, Delivery::Unknown)])), &["task_over"]);
}

#[test]
fn the_order_of_rows_changes_nothing_and_a_cycle_of_parents_is_none_of_its_business() {
    let mut snapshot = killed();
    for (a, b) in [(0, 1), (1, 0)] {
        let id = tasks(&mut snapshot)[b].id.clone();
        tasks(&mut snapshot)[a].parent = Some(id);
    }
    let first = judge(&snapshot);
    tasks(&mut snapshot).reverse();
    assert_eq!(judge(&snapshot), first);
}

#[test]
fn a_run_of_another_session_that_chose_the_same_id_is_judged_by_itself() {
    let snapshot = with(|snapshot| {
        let other = task("5", TaskRuntime::Cli, TaskStatus::Ended("succeeded"), 90);
        tasks(snapshot).push(Task { child: Some("agent:main:main".into()), ..other });
    });
    let found = judge(&snapshot);
    let ids: Vec<_> = found.iter().map(|verdict| &*verdict.subject.id).collect();
    assert_eq!(ids, ["1", "5"]);
}
