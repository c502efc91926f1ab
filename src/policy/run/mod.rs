//! A run as disk and gateway tell it together, and what it takes to call it hung.
//!
//! What `hung_lane` and `held_lock` share. Nothing here is a verdict.

mod begin;
mod evidence;
mod judge;
mod progress;
#[cfg(test)]
pub(super) mod sample;
mod waits;

use std::collections::BTreeMap;

use crate::model::{
    Capabilities, Child, Field, HoldReason, Lane, LaneStatus, LiveLane, Lock, Payload, ProcessId,
    RunId, SessionId, SessionKey, Snapshot, UnixMillis,
};

use super::clock::STEP;
use super::{Context, Holder, holder};

pub(super) use evidence::evidence;
pub(super) use judge::{hung, looks_hung};
pub(super) use progress::taken_at;

/// How far a time may lie in the future before it is called wrong: writer and reader round
/// differently.
const FUTURE_SLACK: std::time::Duration = std::time::Duration::from_secs(5);

/// Every lane that disk or gateway knows, by its key.
pub(super) struct Lanes<'a>(BTreeMap<&'a SessionKey, Found<'a>>);

#[derive(Default)]
struct Found<'a> {
    disk: Vec<&'a Lane>,
    live: Vec<&'a LiveLane>,
}

impl<'a> Lanes<'a> {
    /// Joins what disk and gateway tell.
    pub(super) fn of(snapshot: &'a Snapshot) -> Lanes<'a> {
        let mut lanes: BTreeMap<_, Found<'_>> = BTreeMap::new();
        for lane in &snapshot.lanes {
            lanes.entry(&lane.key).or_default().disk.push(lane);
        }
        for lane in snapshot.rpc.answers().iter().flat_map(|answers| answers.lanes.iter()) {
            lanes.entry(&lane.key).or_default().live.push(lane);
        }
        Lanes(lanes)
    }

    /// Returns the lanes that anybody calls running, in the order of their keys.
    pub(super) fn running(&self) -> impl Iterator<Item = Run<'a>> {
        self.0.iter().map(|(key, found)| run(key, found)).filter(Run::is_called_running)
    }

    /// Returns the lanes that the gateway tells of, in the order of their keys.
    pub(super) fn told(&self) -> impl Iterator<Item = Run<'a>> {
        self.0.iter().map(|(key, found)| run(key, found)).filter(|run| run.live.is_some())
    }

    /// Returns the lane with this key.
    pub(super) fn get(&self, key: &SessionKey) -> Option<Run<'a>> {
        self.0.get_key_value(key).map(|(key, found)| run(key, found))
    }
}

fn run<'a>(key: &'a SessionKey, found: &Found<'a>) -> Run<'a> {
    let lanes = found.disk.len().max(found.live.len());
    Run { key, disk: found.disk.first().copied(), live: found.live.first().copied(), lanes }
}

/// The run of one lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    /// The session key.
    pub(super) key: &'a SessionKey,
    /// Its row, where stores are files.
    pub(super) disk: Option<&'a Lane>,
    /// What the gateway says of it.
    pub(super) live: Option<&'a LiveLane>,
    /// How many rows of one source have this key.
    lanes: usize,
}

impl<'a> Run<'a> {
    /// Returns true if disk or gateway calls it running.
    pub(super) fn is_called_running(&self) -> bool {
        self.disk.is_some_and(|lane| lane.row.status == LaneStatus::Running)
            || self.live.is_some_and(is_running)
    }

    /// Returns what the gateway says of it, if the key stands for one lane.
    pub(super) fn single(&self) -> Result<&'a LiveLane, HoldReason> {
        match (self.lanes, self.live) {
            (1, Some(live)) => Ok(live),
            (1, None) => Err(HoldReason::RpcDisagrees { about: "the lane: it is not listed" }),
            (lanes, _) => Err(HoldReason::LaneUnknown { lanes }),
        }
    }

    /// Returns the id of its transcript.
    pub(super) fn session_id(&self) -> Option<&'a SessionId> {
        let on_disk = self.disk.and_then(|lane| lane.row.session_id.as_ref());
        on_disk.or_else(|| self.live.and_then(|lane| lane.session_id.as_ref()))
    }

    /// Returns when it began, as far as anybody tells.
    pub(super) fn began(&self) -> Option<UnixMillis> {
        let on_disk = self.disk.and_then(|lane| lane.row.started_at.value());
        on_disk.or_else(|| self.live.and_then(|lane| lane.started_at)).filter(|at| at.0 > 0)
    }

    /// Returns when it began, if disk and gateway mean the same run and its times make sense.
    pub(super) fn started_at(&self, now: UnixMillis) -> Result<UnixMillis, HoldReason> {
        self.agrees()?;
        self.sensible_start(now)
    }

    fn sensible_start(&self, now: UnixMillis) -> Result<UnixMillis, HoldReason> {
        let started_at = self.began().ok_or(HoldReason::Malformed { field: "startedAt" })?;
        if started_at > now.plus(FUTURE_SLACK) {
            return Err(HoldReason::InFuture { at: started_at });
        }
        if self.session_id().is_none() {
            return Err(HoldReason::Malformed { field: "sessionId" });
        }
        Ok(started_at)
    }

    /// The two are looked at one after the other: a run that ended in between must not be taken
    /// for the one that began then.
    fn agrees(&self) -> Result<(), HoldReason> {
        let live = self.single()?;
        let disagree = |about| Err(HoldReason::RpcDisagrees { about });
        if live.status == LaneStatus::Ended || live.ended_at.is_some() {
            return disagree("whether it runs");
        }
        let Some(lane) = self.disk else { return Ok(()) };
        let row = &lane.row;
        if row.started_at == Field::Malformed {
            return Err(HoldReason::Malformed { field: "startedAt" });
        }
        if row.status != LaneStatus::Running || row.ended_at.is_present() {
            return disagree("whether it runs");
        }
        if !self.is_same_session() {
            return disagree("its session");
        }
        if !self.is_same_start(row.started_at.value(), live.started_at) {
            return disagree("when its run began");
        }
        Ok(())
    }

    /// Of a run over ACP, 2026.4.15 lists when it was asked for, 0.2 s before its row (measured).
    fn is_same_start(&self, on_disk: Option<UnixMillis>, told: Option<UnixMillis>) -> bool {
        match (on_disk, told) {
            (Some(a), Some(b)) if self.key.is_acp() => a.plus(STEP) >= b && b.plus(STEP) >= a,
            _ => !differ(on_disk, told),
        }
    }

    /// Returns true unless disk and gateway name different sessions.
    pub(super) fn is_same_session(&self) -> bool {
        let on_disk = self.disk.and_then(|lane| lane.row.session_id.as_ref());
        !differ(on_disk, self.live.and_then(|lane| lane.session_id.as_ref()))
    }

    /// Returns true if the gateway says that a run of it is active. That it does not proves nothing.
    pub(super) fn is_said_active(&self) -> bool {
        self.live.is_some_and(|lane| lane.has_active_run == Some(true))
    }

    /// Returns true if the gateway says that no run of the lane is active, and its version knows of all
    /// that the lane may have: 2026.7.1 but for cron, 2026.8.1 and later.
    pub(super) fn is_said_idle(&self, facts: &Capabilities) -> bool {
        let Ok(live) = self.single() else { return false };
        live.has_active_run == Some(false)
            && live.runs.is_empty()
            && self.is_same_session()
            && facts.proves_idle(self.key)
    }

    /// Returns the locks of its transcript.
    pub(super) fn locks(&self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Lock> {
        let lane = self.disk;
        snapshot.locks.iter().filter(move |lock| lane.is_some_and(|lane| lock.guards(lane)))
    }

    /// Returns its run, where exactly one is named.
    pub(super) fn named(&self) -> Option<&'a RunId> {
        match self.live.map(|lane| lane.runs.as_slice()) {
            Some([run]) => Some(run),
            _ => None,
        }
    }

    /// Returns which run it is: its session, and when it began, or, where the same run has been begun
    /// again, its id. The same text for as long as it is the same run.
    pub(super) fn name(&self) -> String {
        let session = self.session_id().map_or("", |id| id.0.as_str());
        match (self.begun_again(), self.named()) {
            (Some(_), Some(run)) => format!("{session}@{}", run.0),
            _ => format!("{session}@{}", self.began().unwrap_or_default().0),
        }
    }
}

/// Returns true if the lock is that very lane's: whatever else only might be its is none.
///
/// [`Lock::guards`] errs towards true, because there a lock is a reason to leave a lane alone. Here
/// it proves a run alive.
pub(super) fn is_own(lock: &Lock, lane: &Lane) -> bool {
    if lane.row.lock_beside_transcript().as_ref() == Some(&lock.path) {
        return true;
    }
    let name = lock.path.file_name().and_then(|name| name.to_str());
    let (Some(name), Some(id)) = (name, &lane.row.session_id) else { return false };
    let Some(rest) = name.strip_prefix(id.0.as_str()).filter(|_| !id.0.is_empty()) else {
        return false;
    };
    let is_its =
        rest == ".jsonl.lock" || (rest.starts_with("-topic-") && rest.ends_with(".jsonl.lock"));
    is_its && lock.agent == lane.store.agent
}

/// Returns true if the gateway calls the lane running, or knows of a run in it.
pub(super) fn is_running(lane: &LiveLane) -> bool {
    lane.status == LaneStatus::Running || lane.has_active_run == Some(true)
}

fn differ<T: PartialEq>(a: Option<T>, b: Option<T>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a != b)
}

/// Returns true if the lock is held by that very process.
pub(super) fn is_held_by(context: Context<'_>, lock: &Lock, gateway: ProcessId) -> bool {
    let Payload::Claim(claim, seen) = lock.payload else { return false };
    let booted_at = context.snapshot.host.booted_at;
    let steady_since =
        context.history.host.as_ref().map_or(UnixMillis(i64::MAX), |host| host.steady_since);
    holder(&claim, &seen, booted_at, steady_since) == Holder::Alive(gateway)
}

/// What proves that a run is alive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Alive<'a> {
    /// The gateway says so.
    Said,
    /// It named the run, and was listened to since.
    Named,
    /// It holds a lock of the run's session.
    Locked(&'a Lock),
    /// An agent that can only be its own lives below the gateway.
    Agent,
}

impl Alive<'_> {
    /// Returns the name used in evidence.
    pub(super) fn name(self) -> &'static str {
        match self {
            Alive::Said => "the gateway says that it is active",
            Alive::Named => "the gateway named it, and not its end",
            Alive::Locked(_) => "the gateway holds a lock of its session",
            Alive::Agent => "its agent lives below the gateway",
        }
    }
}

/// Returns what proves the run alive. That no proof is there proves nothing.
pub(super) fn alive<'a>(context: Context<'a>, run: &Run<'a>) -> Option<Alive<'a>> {
    let gateway = context.snapshot.gateway.process?.id;
    if let Some(live) = run.live {
        if live.has_active_run == Some(true) {
            return Some(Alive::Said);
        }
        if live.has_active_run.is_none() && !live.runs.is_empty() && live.heard_since.is_some() {
            return Some(Alive::Named);
        }
    }
    let lane = run.disk?;
    let mut locks = run.locks(context.snapshot).filter(|lock| is_own(lock, lane));
    let lock = locks.find(|lock| is_held_by(context, lock, gateway)).map(Alive::Locked);
    lock.or_else(|| agents(context, run).next().map(|_| Alive::Agent))
}

/// Returns the agents that may be at work for a run over ACP, on versions that say nothing of such
/// runs. One whose lane is not known counts if it is not older than the run.
pub(super) fn agents<'a>(
    context: Context<'a>,
    run: &Run<'a>,
) -> impl Iterator<Item = &'a Child> + use<'a> {
    let (key, began) = (run.key, run.began());
    let is_told = run.live.is_none_or(|live| live.has_active_run.is_some());
    let is_its = move |child: &&Child| match &child.lane {
        Some(lane) => lane == key,
        None => began.is_some_and(|at| child.started_at.plus(STEP) >= at),
    };
    let children = context.snapshot.children.iter();
    let children = children.filter(|child| child.is_agent && !child.is_service);
    children.filter(is_its).filter(move |_| key.is_acp() && !is_told)
}
