//! Leaks, runaways, and looking again before the end.

use std::time::Duration;

use super::super::sample::{leak, orphan, record, world};
use super::{end_of, judge_with, lines, with};
use crate::model::sample::{self as model_sample, GATEWAY, GRACE, ago};
use crate::model::{
    Agent, Bond, EndCause, Guard, Mode, Ownership, Recent, RecordMode, TreeEnd, UnixMillis,
};
use crate::policy::settings::sample;
use crate::policy::{Context, still_to_end};

#[test]
fn a_leak_is_reported_and_not_ended_by_default() {
    let verdicts = judge_with(&world(leak()), &sample());
    let want = ["orphan_process healthy hold contact_kept", "leaked_process observe record_closed"];
    assert_eq!(lines(&verdicts), want);
    assert_eq!(end_of(&verdicts[1]).cause, EndCause::Leak);
}

#[track_caller]
fn check_leak(change: impl FnOnce(&mut Agent), want: Option<&str>) {
    let mut policies = sample();
    policies.leaked_process.mode = Mode::Enforce;
    let mut agent = leak();
    let idle = Recent { used: Duration::ZERO, over: Duration::from_secs(10) };
    agent.cpu.recent = Some(idle);
    change(&mut agent);
    let verdicts = judge_with(&world(agent), &policies);
    assert_eq!(lines(&verdicts).get(1).map(String::as_str), want);
}

#[test]
fn a_leak_is_ended_only_where_it_is_ours_idle_and_long_closed() {
    check_leak(|_| {}, Some("leaked_process act record_closed"));
    check_leak(|agent| agent.cpu.recent = None, Some("leaked_process hold not_idle"));
    let busy = Recent { used: Duration::from_millis(101), over: Duration::from_secs(10) };
    check_leak(|agent| agent.cpu.recent = Some(busy), Some("leaked_process hold not_idle"));
    let closed =
        |at| move |agent: &mut Agent| agent.record = Some(record(RecordMode::Persistent, at));
    check_leak(closed(Some(ago(599))), Some("leaked_process hold closed_recently"));
    check_leak(closed(Some(UnixMillis(ago(0).0 + 1))), Some("leaked_process hold in_future"));
    check_leak(closed(None), None);
    let others = Bond::Attached { to: GATEWAY, role: "gateway", is_ours: false };
    check_leak(|agent| agent.bond = others, None);
    check_leak(
        |agent| agent.tree[1].guards.push(Guard::ToolShell),
        Some("leaked_process hold tool_running"),
    );
}

#[track_caller]
fn check_runaway(change: impl FnOnce(&mut Agent), want: Option<&str>) {
    let mut agent = leak();
    agent.record = None;
    change(&mut agent);
    let verdicts = judge_with(&world(agent), &sample());
    assert_eq!(lines(&verdicts).get(1).map(String::as_str), want);
}

#[test]
fn too_much_memory_processor_time_or_age_is_reported() {
    check_runaway(|_| {}, None);
    let memory = |bytes| move |agent: &mut Agent| agent.tree[1].resident = Some(bytes);
    let limit = (2 << 30) - (100 << 20);
    check_runaway(memory(limit), None);
    check_runaway(memory(limit + 1), Some("runaway_agent observe uses_memory"));
    let used = |seconds, over| {
        move |agent: &mut Agent| {
            let (used, over) = (Duration::from_secs(seconds), Duration::from_secs(over));
            agent.cpu.recent = Some(Recent { used, over });
        }
    };
    check_runaway(used(809, 900), None);
    check_runaway(used(810, 900), Some("runaway_agent observe uses_processor"));
    check_runaway(used(600, 600), None);
    let mut policies = sample();
    policies.runaway_agent.age = Some(Duration::from_secs(3_599));
    let verdicts = judge_with(&world(leak()), &policies);
    assert!(lines(&verdicts).contains(&"runaway_agent observe runs_long".to_owned()));
    policies.runaway_agent.age = Some(Duration::from_secs(3_600));
    assert_eq!(judge_with(&world(leak()), &policies).len(), 2, "not older than that");
    let total = |agent: &mut Agent| agent.cpu.total = Duration::from_secs(3_300);
    check_runaway(total, Some("runaway_agent observe uses_processor"));
    check_runaway(
        |agent| {
            total(agent);
            agent.ownership = Ownership::default();
        },
        None,
    );
}

#[test]
fn what_is_to_end_is_judged_again_by_the_same_rule() {
    let history = model_sample::history();
    let again = |agent: Agent, cause| {
        let verdicts = judge_with(&world(orphan()), &sample());
        let end = TreeEnd { cause, ..end_of(&verdicts[0]).clone() };
        let world = world(agent);
        let context = Context {
            snapshot: &world,
            history: &history,
            explains_healthy: false,
            start_grace: GRACE,
        };
        still_to_end(context, &sample(), &end)
    };
    assert_eq!(again(orphan(), EndCause::Orphan), Ok(()));
    assert!(again(leak(), EndCause::Orphan).is_err(), "somebody talks to it again");
    assert!(again(orphan(), EndCause::Leak).is_err(), "another rule");
    let recycled = with(|agent| agent.id.start_ticks += 1);
    assert!(again(recycled, EndCause::Orphan).is_err(), "another process");
    assert!(again(leak(), EndCause::Leak).is_err(), "only observed");
}
