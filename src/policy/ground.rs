//! What must hold before anything on a state directory is repaired.

use std::time::Duration;

use crate::model::{Era, GatewayProcess, HoldReason, Snapshot, Source, Status, UnixMillis};

use super::Context;

/// Returns the gateway process under which repairs may be judged, or why there are none.
///
/// With the gateway down nothing is repaired, on any version: the restart recovery of 2026.5.2
/// to 2026.6.7 finds interrupted sessions only through their dead locks, and every later one
/// reads the rows as they are.
pub(super) fn ground(context: Context<'_>) -> Result<GatewayProcess, HoldReason> {
    let snapshot = context.snapshot;
    era(&snapshot.gateway.era)?;
    for source in [Source::Host, Source::Processes, Source::Gateway] {
        if let Some(gap) = snapshot.gap(source) {
            return Err(HoldReason::Gap { source: source.name(), reason: gap.reason.clone() });
        }
    }
    if let Some(id) = snapshot.maintenance {
        return Err(HoldReason::MaintenanceRunning { id });
    }
    let process = gateway(snapshot)?;
    gateway_grace(context, &process)?;
    host_grace(context)?;
    Ok(process)
}

fn era(era: &Era) -> Result<(), HoldReason> {
    match era {
        Era::Files | Era::Hybrid => Ok(()),
        Era::Sqlite => Err(HoldReason::EraReadOnly),
        Era::Newer { .. } => Err(HoldReason::EraNewer),
        Era::Unknown { .. } => Err(HoldReason::EraUnknown),
    }
}

fn gateway(snapshot: &Snapshot) -> Result<GatewayProcess, HoldReason> {
    match (snapshot.gateway.status, snapshot.gateway.process) {
        (Status::Up, Some(process)) if !process.shares_pid_namespace => {
            Err(HoldReason::ForeignNamespace)
        }
        (Status::Up, Some(process)) => Ok(process),
        (Status::Down, _) => Err(HoldReason::GatewayDown),
        (Status::Starting, _) => Err(HoldReason::GatewayStarting),
        (Status::Unknown | Status::Up, _) => Err(HoldReason::GatewayUnknown),
    }
}

/// Counts from the latest of three: the start of the process, its lock (an in-process restart
/// keeps the pid and takes the lock anew), and the last time it was seen not to be up yet.
pub(super) fn gateway_grace(
    context: Context<'_>,
    process: &GatewayProcess,
) -> Result<(), HoldReason> {
    let not_up = context.history.not_up.filter(|(id, _)| *id == process.id).map(|(_, at)| at);
    let signs = [Some(process.started_at), process.locked_at, not_up];
    let started_at = signs.into_iter().flatten().max().unwrap_or(process.started_at);
    match left(context, started_at) {
        Some(left) => Err(HoldReason::StartGrace { left }),
        None => Ok(()),
    }
}

/// After the host slept or its clock was set, ages and silence mean little.
pub(super) fn host_grace(context: Context<'_>) -> Result<(), HoldReason> {
    let Some(host) = &context.history.host else { return Ok(()) };
    if let Some(left) = host.resumed_at.and_then(|at| left(context, at)) {
        return Err(HoldReason::ResumeGrace { left });
    }
    if let Some(left) = host.stepped_at.and_then(|at| left(context, at)) {
        return Err(HoldReason::ClockGrace { left });
    }
    Ok(())
}

fn left(context: Context<'_>, since: UnixMillis) -> Option<Duration> {
    let left = context.start_grace.saturating_sub(context.snapshot.taken_at.since(since));
    Some(left).filter(|left| !left.is_zero())
}

/// How old a transcript must be at least before its lane counts as still.
pub(super) const STILL: Duration = Duration::from_secs(60);
