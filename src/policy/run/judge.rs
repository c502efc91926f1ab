//! What it takes to call a run hung.

use std::time::Duration;

use crate::model::{
    Configured, Gap, HoldReason, Lane, LiveLane, Residue, Snapshot, Source, Transcript, Work,
};

use super::progress::quiet;
use super::{Run, alive, is_held_by, waits};
use crate::policy::Context;
use crate::policy::ground::Reach;

/// Returns for how long the run has been without progress, if it is proven to be alive, to have made
/// none for `after`, and to wait for nobody; else what stands against it.
///
/// First what makes any judgement void, then whether there is a run, then whether it moves, then
/// what it may wait for, last what the gateway itself still means to do.
pub(in crate::policy) fn hung(
    context: Context<'_>,
    reach: &Reach<'_>,
    run: &Run<'_>,
    after: Duration,
) -> Result<Duration, HoldReason> {
    let snapshot = context.snapshot;
    readable(snapshot, run)?;
    let live = run.single()?;
    let begin = run.begin(&reach.facts, snapshot.taken_at)?;
    let age = snapshot.taken_at.since(begin.latest);
    if age < after {
        return Err(HoldReason::TooYoung { age, after });
    }
    alive(context, run).ok_or(HoldReason::NotAlive)?;
    held_by_others(context, reach, run)?;
    residue(run.disk, live)?;
    let quiet = silent(context, run, after)?;
    waits::on_process(context, run, begin.earliest, after)?;
    waits::on_ended_tool(snapshot, run, begin.earliest, quiet)?;
    waits::on_lane(context, reach, run, begin.earliest)?;
    waits::on_task(context, reach, run)?;
    // A tool is not ended at all; an agent counts as one.
    let work = match waits::has_child(snapshot, run, begin.earliest) {
        true => Work::Tool,
        false => Work::Model,
    };
    defers(reach, work, snapshot.gateway.configured, quiet)?;
    Ok(quiet)
}

/// Returns true if the run is alive and old, and left no sign of life for `after`: worth a line,
/// whatever stands against doing anything.
pub(in crate::policy) fn looks_hung(context: Context<'_>, run: &Run<'_>, after: Duration) -> bool {
    let since = run.quiet_since().or(run.began());
    let old = since.is_none_or(|at| context.snapshot.taken_at.since(at) >= after);
    old && alive(context, run).is_some() && quiet(context, run, after) >= after
}

/// A gap in what the judgement rests on.
fn readable(snapshot: &Snapshot, run: &Run<'_>) -> Result<(), HoldReason> {
    let everywhere = [Source::Config, Source::Subagents];
    let gap = everywhere.into_iter().find_map(|source| snapshot.gap(source));
    let gap = gap.or_else(|| match run.disk {
        Some(lane) => of_lane(snapshot, lane),
        None => [Source::Sessions, Source::Locks].into_iter().find_map(|of| snapshot.gap(of)),
    });
    match gap {
        Some(gap) => Err(HoldReason::Gap { source: gap.source.name(), reason: gap.reason.clone() }),
        None => Ok(()),
    }
}

fn of_lane<'a>(snapshot: &'a Snapshot, lane: &Lane) -> Option<&'a Gap> {
    let beside = lane.row.lock_beside_transcript();
    snapshot
        .gap_at(Source::Sessions, &lane.store.path)
        .or_else(|| snapshot.gap_at(Source::Locks, lane.store.folder()))
        .or_else(|| beside.and_then(|path| snapshot.gap_at(Source::Locks, &path)))
}

/// A lock of the lane that is not the gateway's: another process may be running it.
fn held_by_others(
    context: Context<'_>,
    reach: &Reach<'_>,
    run: &Run<'_>,
) -> Result<(), HoldReason> {
    let mut locks = run.locks(context.snapshot);
    match locks.find(|lock| !is_held_by(context, lock, reach.process.id)) {
        Some(lock) => {
            Err(HoldReason::LaneLocked { path: lock.path.to_string_lossy().into_owned() })
        }
        None => Ok(()),
    }
}

/// Something that the gateway itself still means to do with the lane.
fn residue(disk: Option<&Lane>, live: &LiveLane) -> Result<(), HoldReason> {
    // Where to answer is noted of every run that is on.
    let is_kept = |residue: &&Residue| **residue != Residue::RecoveryDelivery;
    match disk.and_then(|lane| lane.row.residue.iter().filter(is_kept).min()) {
        Some(Residue::AbortedLastRun) => return Err(HoldReason::AbortedLastRun),
        Some(Residue::RestartRecovery) => return Err(HoldReason::RestartRecovery),
        Some(Residue::PendingFinalDelivery) => return Err(HoldReason::PendingDelivery),
        Some(Residue::QuotaSuspension) => return Err(HoldReason::QuotaSuspended),
        Some(Residue::RecoveryDelivery) | None => {}
    }
    match live {
        LiveLane { aborted_last_run: true, .. } => Err(HoldReason::AbortedLastRun),
        LiveLane { is_tombstoned: true, .. } => Err(HoldReason::RestartRecovery),
        _ => Ok(()),
    }
}

fn silent(context: Context<'_>, run: &Run<'_>, after: Duration) -> Result<Duration, HoldReason> {
    for transcript in run.disk.iter().flat_map(|lane| [lane.transcript, lane.trajectory]) {
        if transcript == Transcript::Unreadable {
            let reason = "its transcript cannot be looked at".to_owned();
            return Err(HoldReason::Gap { source: Source::Sessions.name(), reason });
        }
    }
    // A model may stream one answer for an hour, and nothing but events tells of it: the transcript is
    // written at its end.
    let heard_since = run.live.and_then(|live| live.heard_since).ok_or(HoldReason::Unheard)?;
    let quiet = quiet(context, run, after).min(context.snapshot.taken_at.since(heard_since));
    if quiet < after { Err(HoldReason::SilentSoFar { quiet, after }) } else { Ok(quiet) }
}

/// The gateway's own deadlines stand, whatever is configured here: those of its recovery, of a
/// model that says nothing, and of a compaction.
fn defers(
    reach: &Reach<'_>,
    work: Work,
    configured: Configured,
    quiet: Duration,
) -> Result<(), HoldReason> {
    let facts = &reach.facts;
    let left = facts.defers(work, configured).saturating_sub(quiet);
    if !left.is_zero() {
        return Err(HoldReason::GatewayRecovers { left });
    }
    let left = facts.compacts_within(configured).saturating_sub(quiet);
    if left.is_zero() { Ok(()) } else { Err(HoldReason::MayCompact { left }) }
}
