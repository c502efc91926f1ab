//! What proves that nothing works on a task, and what shows that something may.

use crate::model::{
    ActReason, Agent, Bond, ChildRow, Field, HoldReason, LaneStatus, Snapshot, UnixMillis, Version,
};
use crate::policy::Context;
use crate::policy::ground::reach;
use crate::policy::settings::ZombieTask;
use crate::policy::stale_lane::{clock_holds, predates};

use super::Proof;
use super::family::Family;

/// Anything that may be at work on it.
pub(super) fn life(
    context: Context<'_>,
    rule: ZombieTask,
    family: &Family<'_>,
) -> Result<(), HoldReason> {
    let snapshot = context.snapshot;
    let Some(child) = family.child() else { return Ok(()) };
    let mut agents = snapshot.agents.iter();
    let works =
        |agent: &&Agent| agent.session_key.as_ref() == Some(child) && may_work(snapshot, agent);
    if let Some(agent) = agents.find(works) {
        return Err(HoldReason::AgentAlive { id: agent.id });
    }
    let live = snapshot.rpc.answers().and_then(|answers| answers.lane(child));
    if live.is_some_and(|lane| lane.has_active_run == Some(true)) {
        return Err(HoldReason::RunActive);
    }
    let Some(row) = family.row else { return Ok(()) };
    if let Some(path) = lock(snapshot, row) {
        return Err(HoldReason::LaneLocked { path });
    }
    match row.transcript.modified_at().map(|at| snapshot.taken_at.since(at)) {
        Some(ago) if ago < rule.after => Err(HoldReason::TranscriptMoving { ago }),
        _ => Ok(()),
    }
}

/// What an earlier gateway left behind works for nobody; `orphan_process` judges it.
fn may_work(snapshot: &Snapshot, agent: &Agent) -> bool {
    let gateway = snapshot.gateway.process;
    let is_left = gateway.is_some_and(|gateway| predates(agent.started_at, &gateway));
    matches!(agent.bond, Bond::Attached { .. }) || !is_left
}

/// Any lock of the child's conversation: whose it is, `dead_lock` judges.
fn lock(snapshot: &Snapshot, row: &ChildRow) -> Option<String> {
    let session = row.session_id.as_ref()?;
    let guards = |name: &str| name.starts_with(&session.0) && name.ends_with(".jsonl.lock");
    let mut names = snapshot.locks.iter().map(|lock| &lock.path);
    let path =
        names.find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(guards));
    path.map(|path| path.to_string_lossy().into_owned())
}

/// Returns what proves that nothing works on it, or why nothing does.
///
/// That its process is gone never does: acpx starts another one for each prompt, and the record
/// names the first (measured on 2026.4.15).
pub(super) fn proof(context: Context<'_>, family: &Family<'_>) -> Result<Proof, HoldReason> {
    if family.odd_status() {
        return Err(HoldReason::Malformed { field: "status" });
    }
    let began_at = family.began_at().ok_or(HoldReason::Malformed { field: "created_at" })?;
    if family.is_spawned()
        && let Some(proof) = by_child(context, family, began_at)?
    {
        return Ok(proof);
    }
    outlived(context, family, began_at)
}

/// A session that was spawned for this very task has ended, or is gone. One that somebody talks to
/// ends and begins with each message, and says nothing of a task that still waits in the gateway.
fn by_child(
    context: Context<'_>,
    family: &Family<'_>,
    began_at: UnixMillis,
) -> Result<Option<Proof>, HoldReason> {
    let Some(child) = family.child().filter(|key| key.is_acp() || key.is_subagent()) else {
        return Ok(None);
    };
    let Some(row) = family.row else {
        let answers = context.snapshot.rpc.answers();
        return match answers.and_then(|answers| answers.lane(child)) {
            Some(_) => Err(HoldReason::RpcDisagrees { about: "whether the session is there" }),
            None => Ok(Some(ActReason::ChildGone)),
        };
    };
    match (&row.status, row.ended_at) {
        (LaneStatus::Ended, Field::Value(ended_at)) if ended_at >= began_at => {
            let ago = context.snapshot.taken_at.since(ended_at);
            Ok(Some(ActReason::ChildEnded { ago }))
        }
        _ => Ok(None),
    }
}

/// It began before the gateway that would have to be running it.
fn outlived(
    context: Context<'_>,
    family: &Family<'_>,
    began_at: UnixMillis,
) -> Result<Proof, HoldReason> {
    let snapshot = context.snapshot;
    let process = snapshot.gateway.process.ok_or(HoldReason::NoProof)?;
    let child = family.child();
    let idle = || {
        let reach = reach(context).ok()?;
        let lane = reach.answers.lane(child?)?;
        (lane.has_active_run == Some(false) && reach.facts.proves_idle(child?)).then_some(())
    };
    if !predates(began_at, &process) {
        // What was spawned runs, or it does not; anything else may be waiting for its turn.
        let is_over = family.is_spawned() && idle().is_some();
        return if is_over { Ok(ActReason::NoActiveRun) } else { Err(HoldReason::NoProof) };
    }
    clock_holds(context, &process)?;
    // From 2026.5.2 on a start resumes what was interrupted.
    let resumes = snapshot.gateway.version.is_some_and(|version| version >= Version::RECOVERS_RUNS);
    if resumes && idle().is_none() {
        return Err(HoldReason::NoProof);
    }
    Ok(ActReason::OlderThanGateway)
}
