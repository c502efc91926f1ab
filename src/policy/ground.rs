//! What must hold before anything on a state directory is repaired.

use std::time::Duration;

use crate::model::{
    Answers, Capabilities, Era, GatewayProcess, HoldReason, Rpc, Snapshot, Source, Status,
    UnixMillis, Version,
};

use super::Context;

/// Returns the gateway process under which repairs may be judged, or why there are none.
///
/// With the gateway down nothing is repaired, on any version: the restart recovery of 2026.5.2
/// to 2026.6.7 finds interrupted sessions only through their dead locks, and every later one
/// reads the rows as they are.
pub(super) fn ground(context: Context<'_>) -> Result<GatewayProcess, HoldReason> {
    files_may_change(&context.snapshot.gateway.era)?;
    whatever_repairs(context)
}

/// What a repair over RPC stands on.
#[derive(Clone, Debug)]
pub(super) struct Reach<'a> {
    /// The gateway process under which it is judged.
    pub(super) process: GatewayProcess,
    /// What it answered.
    pub(super) answers: &'a Answers,
    /// Its version, by its own word.
    pub(super) version: Version,
    /// What holds for that version.
    pub(super) facts: Capabilities,
}

/// Returns what a repair over RPC may stand on, or why there is none. In every era that is
/// understood: the gateway changes its own state itself.
pub(super) fn reach(context: Context<'_>) -> Result<Reach<'_>, HoldReason> {
    let snapshot = context.snapshot;
    understood(&snapshot.gateway.era)?;
    let process = whatever_repairs(context)?;
    let answers = match &snapshot.rpc {
        Rpc::NotAsked(why) => return Err(HoldReason::RpcNotAsked { why: why.clone() }),
        Rpc::Failed(failure) => {
            let text = failure.text.clone();
            return Err(HoldReason::RpcUnavailable { fault: failure.fault, text });
        }
        Rpc::Answered(answers) => answers.as_ref(),
    };
    if !answers.is_complete {
        let reason = "the gateway's list of lanes was cut".to_owned();
        return Err(HoldReason::Gap { source: "rpc", reason });
    }
    let version = version(answers, snapshot)?;
    let facts = Capabilities::of(version);
    if !facts.is_tested {
        return Err(HoldReason::VersionUntested { version });
    }
    Ok(Reach { process, answers, version, facts })
}

/// The gateway's own word counts, and nothing else that is known may contradict it.
fn version(answers: &Answers, snapshot: &Snapshot) -> Result<Version, HoldReason> {
    let said = answers.version.ok_or(HoldReason::VersionUnknown)?;
    match snapshot.gateway.version {
        Some(seen) if seen != said => Err(HoldReason::RpcDisagrees { about: "the version" }),
        _ => Ok(said),
    }
}

/// Returns the gateway process under which anything may be judged, in whatever era.
pub(super) fn whatever_repairs(context: Context<'_>) -> Result<GatewayProcess, HoldReason> {
    let snapshot = context.snapshot;
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

fn files_may_change(era: &Era) -> Result<(), HoldReason> {
    match era {
        Era::Sqlite => Err(HoldReason::EraReadOnly),
        _ => understood(era),
    }
}

/// Refuses an era that is not understood.
pub(super) fn understood(era: &Era) -> Result<(), HoldReason> {
    match era {
        Era::Files | Era::Hybrid | Era::Sqlite => Ok(()),
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
