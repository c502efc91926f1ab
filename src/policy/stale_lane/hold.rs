//! What stands against settling a row, whatever proves its run dead.

use std::time::Duration;

use crate::model::{
    Field, Gap, GatewayProcess, HoldReason, Lane, Residue, Snapshot, Source, Transcript,
    UnixMillis, Version, WriteProtocol,
};

use crate::policy::ground::STILL;

/// Largest store that is rewritten beside a live gateway. Its own lock must be held for less
/// than a second (up to 2026.4.x a waiter gives up after 10 s), and a slow disk writes 64 MiB
/// in about that time.
const STORE_BYTES_MAX: u64 = 64 << 20;

/// How long a store without a lock must have been left alone. The gateway writes in bursts, and
/// within one its cache of the store is ahead of the file.
const QUIET: Duration = Duration::from_secs(2);

/// How far a time may lie in the future before it is called wrong: writer and reader round
/// differently.
const FUTURE_SLACK: Duration = Duration::from_secs(5);

/// How much older than a row a process may be by our clock and still have started its run:
/// boot time has whole seconds.
const CLOCK_SLACK: Duration = Duration::from_secs(2);

/// A gap in what the judgement rests on.
pub(super) fn unreadable(snapshot: &Snapshot, lane: &Lane) -> Result<(), HoldReason> {
    let folder = lane.store.folder();
    let gap = snapshot
        .gap_at(Source::Sessions, &lane.store.path)
        .or_else(|| snapshot.gap_at(Source::Locks, folder))
        .or_else(|| snapshot.gap_at(Source::Locks, &lane.row.lock_beside_transcript()?))
        .or_else(|| snapshot.gap(Source::Config));
    gap.map_or(Ok(()), |gap| Err(from(gap)))
}

fn from(gap: &Gap) -> HoldReason {
    HoldReason::Gap { source: gap.source.name(), reason: gap.reason.clone() }
}

/// The start of the run, if the row's times make sense.
pub(super) fn started_at(snapshot: &Snapshot, lane: &Lane) -> Result<UnixMillis, HoldReason> {
    let row = &lane.row;
    if row.session_id.is_none() {
        return Err(HoldReason::Malformed { field: "sessionId" });
    }
    let Field::Value(started_at) = row.started_at else {
        return Err(HoldReason::Malformed { field: "startedAt" });
    };
    if started_at.0 <= 0 {
        return Err(HoldReason::Malformed { field: "startedAt" });
    }
    if row.ended_at == Field::Malformed {
        return Err(HoldReason::Malformed { field: "endedAt" });
    }
    let latest = snapshot.taken_at.plus(FUTURE_SLACK);
    let future =
        [Some(started_at), row.ended_at.value()].into_iter().flatten().find(|at| *at > latest);
    future.map_or(Ok(started_at), |at| Err(HoldReason::InFuture { at }))
}

/// A row that the gateway wrote since it started, on a version that resumes interrupted runs.
///
/// Restart recovery of 2026.5.2 and later takes a row up with its old `startedAt`, clears
/// `abortedLastRun`, and only then takes the lock of the transcript (measured on 2026.5.28: 0.8 s
/// later). In between only `updatedAt` shows that the run lives. It proves nothing else: every
/// message refreshes it.
pub(super) fn resumed(
    snapshot: &Snapshot,
    lane: &Lane,
    gateway: &GatewayProcess,
    after: Duration,
) -> Result<(), HoldReason> {
    if snapshot.gateway.version.is_some_and(|version| version < Version::RECOVERS_RUNS) {
        return Ok(());
    }
    let updated_at = match lane.row.updated_at {
        Field::Absent => return Ok(()),
        Field::Malformed => return Err(HoldReason::Malformed { field: "updatedAt" }),
        Field::Value(at) => at,
    };
    let ago = snapshot.taken_at.since(updated_at);
    if updated_at >= gateway.started_at && ago < after {
        return Err(HoldReason::RowTouched { ago });
    }
    Ok(())
}

/// Something the gateway itself still means to do with the row.
pub(super) fn residue(lane: &Lane) -> Result<(), HoldReason> {
    match lane.row.residue.iter().min() {
        None => Ok(()),
        Some(Residue::AbortedLastRun) => Err(HoldReason::AbortedLastRun),
        Some(Residue::RestartRecovery | Residue::RecoveryDelivery) => {
            Err(HoldReason::RestartRecovery)
        }
        Some(Residue::PendingFinalDelivery) => Err(HoldReason::PendingDelivery),
        Some(Residue::QuotaSuspension) => Err(HoldReason::QuotaSuspended),
    }
}

/// A sign that something may be running the lane.
///
/// Any lock of the lane counts, also one whose holder looks dead: that one is `dead_lock`'s to
/// release first, and a run that is alive holds one for its whole length (2026.3.24 to 2026.5.7,
/// 2026.6.11, 2026.7.1; 2026.5.28 around everything but the model call).
pub(super) fn alive(
    snapshot: &Snapshot,
    lane: &Lane,
    started_at: UnixMillis,
    after: Duration,
) -> Result<(), HoldReason> {
    if let Some(lock) = snapshot.locks.iter().find(|lock| lock.guards(lane)) {
        return Err(HoldReason::LaneLocked { path: lock.path.to_string_lossy().into_owned() });
    }
    if lane.key.is_subagent() {
        if let Some(gap) = snapshot.gap(Source::Subagents) {
            return Err(from(gap));
        }
        if snapshot.open_subagents.contains(&lane.key) {
            return Err(HoldReason::SubagentOpen);
        }
    }
    // `openclaw agent --local` runs turns in a process of its own; it must be older than the run.
    let runner = snapshot
        .other_runners
        .iter()
        .find(|(_, process_started)| *process_started <= started_at.plus(CLOCK_SLACK));
    if let Some((id, _)) = runner {
        return Err(HoldReason::OtherRunner { id: *id });
    }
    still(snapshot, lane, after.min(STILL))
}

fn still(snapshot: &Snapshot, lane: &Lane, at_least: Duration) -> Result<(), HoldReason> {
    for transcript in [lane.transcript, lane.trajectory] {
        if transcript == Transcript::Unreadable {
            let reason = "its transcript cannot be looked at".to_owned();
            return Err(HoldReason::Gap { source: Source::Sessions.name(), reason });
        }
        if let Some(modified_at) = transcript.modified_at() {
            let ago = snapshot.taken_at.since(modified_at);
            if ago < at_least {
                return Err(HoldReason::TranscriptMoving { ago });
            }
        }
    }
    Ok(())
}

/// A store that is not ours to write, or not to be written beside a gateway.
pub(super) fn unwritable(
    snapshot: &Snapshot,
    lane: &Lane,
    protocol: WriteProtocol,
) -> Result<(), HoldReason> {
    let facts = lane.store.facts;
    if facts.is_symlink {
        return Err(HoldReason::StoreSymlink);
    }
    for uid in [facts.uid, facts.folder_uid] {
        if uid != snapshot.host.euid {
            return Err(HoldReason::NotOwner { uid });
        }
    }
    if facts.bytes > STORE_BYTES_MAX {
        return Err(HoldReason::StoreTooLarge { bytes: facts.bytes });
    }
    let ago = snapshot.taken_at.since(facts.modified_at);
    if protocol.needs_quiet() && ago < QUIET {
        return Err(HoldReason::StoreBusy { ago });
    }
    Ok(())
}
