//! What proves that the run of a row is dead.
//!
//! `no-active-run` answers of the gateway are no proof: up to 2026.7.1 a healthy channel or cron
//! run answers the same.

use std::time::Duration;

use crate::model::{
    ActReason, GatewayProcess, HoldReason, Lane, Mode, Policy, Source, Subject, SubjectKind,
    Transcript, UnixMillis,
};
use crate::policy::Context;
use crate::policy::clock::STEP;
use crate::policy::ground::reach;
use crate::policy::run::Run;
use crate::policy::settings::StaleLane;

/// Returns what proves the run dead, strongest first, or why nothing does.
pub(super) fn proof(
    context: Context<'_>,
    rule: &StaleLane,
    lane: &Lane,
    run: Option<&Run<'_>>,
    started_at: UnixMillis,
    gateway: &GatewayProcess,
) -> Result<ActReason, HoldReason> {
    if lane.row.ended_at.value().is_some() {
        return Ok(ActReason::EndedButRunning);
    }
    if predates(started_at, gateway) {
        return clock_holds(context, gateway).map(|()| ActReason::OlderThanGateway);
    }
    if reach(context).is_ok_and(|reach| run.is_some_and(|run| run.is_said_idle(&reach.facts))) {
        return without_task(context, lane).map(|()| ActReason::NoActiveRun);
    }
    silent(context, rule, lane, started_at)
}

/// Returns true if the run began before the process that should be running it, as far as the
/// snapshot knows that process.
pub(super) fn predates_gateway(context: Context<'_>, lane: &Lane) -> bool {
    let process = context.snapshot.gateway.process.as_ref();
    match (process, lane.row.started_at.value()) {
        (Some(process), Some(started_at)) => predates(started_at, process),
        _ => false,
    }
}

/// Needs no slack: boot time is cut to whole seconds and ticks to hundredths, so that the computed
/// start lies up to a second before the real one, and no gateway runs a turn in its first second.
pub(in crate::policy) fn predates(started_at: UnixMillis, gateway: &GatewayProcess) -> bool {
    started_at < gateway.locked_at.map_or(gateway.started_at, |at| at.min(gateway.started_at))
}

/// The start of a process is computed from the clock of *now*, the row was written by the clock
/// of *then*. They can be compared only if the clock was not set in between.
///
/// A process cannot start after it took its own lock: a lock that seems older than its process
/// was written before a step forward. Without a lock, only our own watch over the clock since
/// before the gateway's start will do.
pub(in crate::policy) fn clock_holds(
    context: Context<'_>,
    gateway: &GatewayProcess,
) -> Result<(), HoldReason> {
    let host = context.history.host.as_ref().ok_or(HoldReason::ClockUnproven)?;
    let stepped = host.stepped_at.is_some_and(|at| at.plus(STEP) >= gateway.started_at);
    let proven = match gateway.locked_at {
        Some(locked_at) => gateway.started_at <= locked_at.plus(STEP),
        None => host.steady_since <= gateway.started_at,
    };
    if proven && !stepped { Ok(()) } else { Err(HoldReason::ClockUnproven) }
}

/// Up to 2026.7.1 a run that ended without its end being written leaves no other trace than that
/// nothing of it moves. ACP runs are left out: their work happens in a process of its own, and
/// may be silent for hours.
fn silent(
    context: Context<'_>,
    rule: &StaleLane,
    lane: &Lane,
    started_at: UnixMillis,
) -> Result<ActReason, HoldReason> {
    if lane.key.is_acp() || rule.silence == Mode::Off {
        return Err(HoldReason::NoProof);
    }
    let snapshot = context.snapshot;
    if let Some((id, _)) = snapshot.other_runners.first() {
        return Err(HoldReason::OtherRunner { id: *id });
    }
    let younger = snapshot.gateway_children.iter().find(|(_, at)| at.plus(STEP) >= started_at);
    if let Some((id, _)) = younger {
        return Err(HoldReason::ChildYounger { id: *id });
    }
    without_task(context, lane)?;
    lasting(context, rule, lane)
}

fn without_task(context: Context<'_>, lane: &Lane) -> Result<(), HoldReason> {
    let snapshot = context.snapshot;
    match &snapshot.task_lanes {
        Some(lanes) if lanes.contains(&lane.key) => Err(HoldReason::TaskActive),
        Some(_) => Ok(()),
        None => {
            let reason = snapshot.gap(Source::Tasks).map_or("not read", |gap| gap.reason.as_str());
            let source = Source::Tasks.name();
            Err(HoldReason::Gap { source, reason: reason.to_owned() })
        }
    }
}

/// Silence counts from the first look at this very state; any growth starts it anew.
fn lasting(context: Context<'_>, rule: &StaleLane, lane: &Lane) -> Result<ActReason, HoldReason> {
    let subject = Subject { kind: SubjectKind::Lane, id: lane.key.0.clone() };
    let seen = context.history.subjects.get(&(Policy::StaleLane, subject));
    let seen = seen.filter(|seen| seen.incarnation == incarnation(lane));
    let quiet =
        seen.map_or(Duration::ZERO, |seen| context.snapshot.taken_at.since(seen.first_seen));
    if quiet >= rule.after {
        return Ok(ActReason::Silent { quiet });
    }
    Err(HoldReason::SilentSoFar { quiet, after: rule.after })
}

/// Everything a lane's judgement rests on: another run, or any growth, is another incarnation.
pub(super) fn incarnation(lane: &Lane) -> String {
    let sign = |transcript| match transcript {
        Transcript::Present { bytes, modified_at } => format!("{bytes}@{}", modified_at.0),
        Transcript::Missing => "-".to_owned(),
        Transcript::Unreadable => "?".to_owned(),
    };
    let row = &lane.row;
    let session = row.session_id.as_ref().map_or("", |id| id.0.as_str());
    let started_at = row.started_at.value().unwrap_or_default().0;
    format!("{session}@{started_at}/{}/{}", sign(lane.transcript), sign(lane.trajectory))
}
