//! Lanes whose rows only the gateway may read and change (2026.8.1 and later).

use std::time::Duration;

use crate::model::{
    ActReason, Decision, Evidence, HoldReason, LaneStatus, LiveLane, Policy, Rung, Source,
    UnixMillis, Verdict,
};

use super::StaleLane;
use super::ask::{Judged, climb, rungs};
use crate::policy::Context;
use crate::policy::ground::{Reach, reach};
use crate::policy::ladder;
use crate::policy::run::{Lanes, Run};

/// Judges one lane, if the gateway calls it running, or its recovery has given it up.
pub(super) fn verdict(
    context: Context<'_>,
    rule: &StaleLane,
    lanes: &Lanes<'_>,
    run: &Run<'_>,
) -> Option<Verdict> {
    let live = run.live?;
    if live.status != LaneStatus::Running && !live.is_tombstoned {
        return None;
    }
    let name = run.name();
    let judged = judge(context, rule, lanes, run, &name).unwrap_or_else(Judged::held);
    let suspect = suspect(context, rule, run, live, &judged.decision);
    let evidence = if suspect || context.explains_healthy {
        ladder::explain(evidence(context, run, live), judged.step.as_ref(), &judged.decision)
    } else {
        Evidence::new()
    };
    Some(Verdict {
        policy: Policy::StaleLane,
        subject: ladder::lane_subject(run.key),
        incarnation: ladder::incarnation(&name, judged.step.as_ref()),
        suspect,
        looks: judged.looks,
        decision: judged.decision,
        evidence,
    })
}

fn judge(
    context: Context<'_>,
    rule: &StaleLane,
    lanes: &Lanes<'_>,
    run: &Run<'_>,
    name: &str,
) -> Result<Judged, HoldReason> {
    let snapshot = context.snapshot;
    for source in [Source::Config, Source::Sessions, Source::Tasks, Source::Subagents] {
        if let Some(gap) = snapshot.gap(source) {
            return Err(HoldReason::Gap { source: source.name(), reason: gap.reason.clone() });
        }
    }
    let reach = reach(context)?;
    let live = run.single()?;
    let reason = match live.is_tombstoned {
        true => given_up(context, rule, &reach, run)?,
        false => idle(context, rule, &reach, lanes, run)?,
    };
    if rule.repair.is_empty() {
        return Err(HoldReason::NoRepair);
    }
    // Settling is for rows in files.
    if rungs(rule).is_empty() {
        return Err(HoldReason::EraReadOnly);
    }
    Ok(climb(context, rule, &reach, run, name, rule.mode, reason))
}

/// A session that restart recovery has given up: `/new` is refused, although the refusal says to use
/// it (measured on 2026.9.6).
fn given_up(
    context: Context<'_>,
    rule: &StaleLane,
    reach: &Reach<'_>,
    run: &Run<'_>,
) -> Result<ActReason, HoldReason> {
    let live = run.single()?;
    old_enough(context, rule, live.started_at.or(live.updated_at))?;
    still(context, rule, reach, run)?;
    if run.session_id().is_none() {
        return Err(HoldReason::Malformed { field: "sessionId" });
    }
    if !rungs(rule).contains(&Rung::Recover) {
        let cure = "sessions.recover continues it under a new key: add recover to \
                    policies.stale_lane.repair, or call it by hand";
        return Err(HoldReason::GivenUp { cure });
    }
    Ok(ActReason::Tombstoned)
}

/// A row that says running, without a run.
fn idle(
    context: Context<'_>,
    rule: &StaleLane,
    reach: &Reach<'_>,
    lanes: &Lanes<'_>,
    run: &Run<'_>,
) -> Result<ActReason, HoldReason> {
    if run.is_said_active() {
        return Err(HoldReason::RunActive);
    }
    let started_at = run.started_at(context.snapshot.taken_at)?;
    let is_idle = run.is_said_idle(&reach.facts);
    // What waits for its recovery is marked as aborted, too: that it starves is the cause.
    if let Some(by) = holder_of_recovery(reach, lanes, run, started_at).filter(|_| is_idle) {
        return Err(HoldReason::Starved { by: by.key.clone() });
    }
    if run.single()?.aborted_last_run {
        return Err(HoldReason::AbortedLastRun);
    }
    old_enough(context, rule, Some(started_at))?;
    still(context, rule, reach, run)?;
    if is_idle { Ok(ActReason::NoActiveRun) } else { Err(HoldReason::NoProof) }
}

fn old_enough(
    context: Context<'_>,
    rule: &StaleLane,
    since: Option<UnixMillis>,
) -> Result<(), HoldReason> {
    let since = since.ok_or(HoldReason::Malformed { field: "startedAt" })?;
    let age = context.snapshot.taken_at.since(since);
    if age < rule.after { Err(HoldReason::TooYoung { age, after: rule.after }) } else { Ok(()) }
}

/// Nothing is active, nothing works for it, and nothing of it moved for `after`.
fn still(
    context: Context<'_>,
    rule: &StaleLane,
    reach: &Reach<'_>,
    run: &Run<'_>,
) -> Result<(), HoldReason> {
    let (now, live) = (context.snapshot.taken_at, run.single()?);
    if run.is_said_active() || !live.runs.is_empty() {
        return Err(HoldReason::RunActive);
    }
    let its = context.snapshot.children.iter().filter(|child| child.lane.as_ref() == Some(run.key));
    if let Some(child) = its.min_by_key(|child| child.id) {
        return Err(HoldReason::ChildActive { id: child.id });
    }
    let within = |at: UnixMillis| Some(now.since(at)).filter(|ago| *ago < rule.after);
    if let Some(quiet) = live.last_event_at.and_then(within) {
        return Err(HoldReason::SilentSoFar { quiet, after: rule.after });
    }
    // What was written before the gateway's start is no work of this gateway.
    let written = live.updated_at.filter(|at| *at >= reach.process.started_at).and_then(within);
    written.map_or(Ok(()), |ago: Duration| Err(HoldReason::RowTouched { ago }))
}

/// The lane whose resumed run keeps this one from being resumed: recovery has one place, and whoever
/// hangs there starves the rest (measured on 2026.9.6). Only what was interrupted by the restart
/// waits for it, and only sessions of the main kind.
fn holder_of_recovery<'a>(
    reach: &Reach<'_>,
    lanes: &Lanes<'a>,
    run: &Run<'_>,
    started_at: UnixMillis,
) -> Option<&'a LiveLane> {
    let (facts, process) = (&reach.facts, &reach.process);
    let waits = facts.resumes_one_by_one && is_resumed(run) && started_at < process.started_at;
    let resumes_until = process.started_at.plus(facts.resumes_within.unwrap_or_default());
    let holds = |lane: &&LiveLane| {
        lane.has_active_run == Some(true) && lane.started_at.is_some_and(|at| at <= resumes_until)
    };
    let others = lanes.told().filter(|other| other.key != run.key && is_resumed(other));
    others
        .filter_map(|other| other.live)
        .filter(holds)
        .min_by_key(|lane| lane.started_at)
        .filter(|_| waits)
}

fn is_resumed(run: &Run<'_>) -> bool {
    !(run.key.is_acp() || run.key.is_subagent() || run.key.is_cron())
}

fn suspect(
    context: Context<'_>,
    rule: &StaleLane,
    run: &Run<'_>,
    live: &LiveLane,
    decision: &Decision,
) -> bool {
    let old = run.began().is_none_or(|at| context.snapshot.taken_at.since(at) >= rule.after);
    !matches!(decision, Decision::Hold(_))
        || live.is_tombstoned
        || (old && !run.is_said_active() && live.runs.is_empty())
}

fn evidence(context: Context<'_>, run: &Run<'_>, live: &LiveLane) -> Evidence {
    let now = context.snapshot.taken_at;
    let process = context.snapshot.gateway.process;
    Evidence::new()
        .maybe("session_id", run.session_id().map(|id| id.0.clone()))
        .with("status", if live.is_tombstoned { "given up by restart recovery" } else { "running" })
        .maybe("started_at", run.began().map(|at| at.to_string()))
        .maybe("age_s", run.began().map(|at| now.since(at).as_secs()))
        .maybe("updated_s", live.updated_at.map(|at| now.since(at).as_secs()))
        .maybe("has_active_run", live.has_active_run)
        .maybe("queued", live.queued)
        .maybe("gateway_started_at", process.map(|process| process.started_at.to_string()))
}
