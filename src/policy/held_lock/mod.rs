//! `held_lock`: end the run for which the live gateway holds a lock too long (#68823).
//!
//! A provider that never answers, or an agent that hangs, keeps a run and its transcript lock for
//! hours, and one after the other more lanes pile up behind locks of the same gateway. The lock of
//! a live holder is never removed: its lane stays queued in the gateway's memory all the same
//! (measured on 2026.4.15), and from 2026.5.28 on the reply is lost (#86845). What is ended is the
//! run, and of several the oldest first.

mod cascade;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::{
    ActReason, Capabilities, Claim, Decision, Evidence, HoldReason, Lock, Looks, Mode, Payload,
    Policy, SessionKey, Subject, SubjectKind, Verdict, Version,
};

use super::Context;
use super::ground::reach;
use super::ladder::{self, Climb, Plea, Step};
use super::run::{self, Lanes, Run, is_held_by, is_own, taken_at};
use super::settings::{HeldLock, Policies};

/// How late the gateway's own watch over its locks may be.
const LATE: Duration = Duration::from_secs(60);

/// A lock that the live gateway holds.
pub(super) struct Held<'a> {
    lock: &'a Lock,
    claim: Claim,
    age: Duration,
    /// From what age on it is judged.
    limit: Duration,
    /// The lanes that it may be of. Looked for once it is old enough.
    lanes: Vec<Run<'a>>,
}

/// Returns the locks that the live gateway holds too long, oldest first; with the others, where healthy
/// ones are wanted.
pub(super) fn held<'a>(context: Context<'a>, rule: &HeldLock, lanes: &Lanes<'a>) -> Vec<Held<'a>> {
    let snapshot = context.snapshot;
    let Some(gateway) = snapshot.gateway.process else { return Vec::new() };
    let mine = snapshot.locks.iter().filter(|lock| is_held_by(context, lock, gateway.id));
    let looked = mine.filter_map(|lock| look(context, rule, lanes, lock));
    let is_wanted = |held: &Held<'_>| held.is_overdue() || context.explains_healthy;
    let mut held: Vec<_> = looked.filter(is_wanted).collect();
    held.sort_by(|a, b| b.age.cmp(&a.age).then_with(|| a.lock.path.cmp(&b.lock.path)));
    held
}

fn look<'a>(
    context: Context<'a>,
    rule: &HeldLock,
    lanes: &Lanes<'a>,
    lock: &'a Lock,
) -> Option<Held<'a>> {
    let Payload::Claim(claim, _) = lock.payload else { return None };
    let age = context.snapshot.taken_at.since(taken_at(lock));
    let limit = allowed(context, &claim).saturating_add(LATE).max(rule.after);
    let rows = || context.snapshot.lanes.iter().filter(|lane| lock.guards(lane));
    let lanes = match age >= limit {
        true => one_per_job(rows().filter_map(|lane| lanes.get(&lane.key)).collect()),
        false => Vec::new(),
    };
    Some(Held { lock, claim, age, limit, lanes })
}

/// Returns how long the gateway means to hold such a lock. Where its version is not known, nothing is
/// done, and the facts of the oldest are shown.
fn allowed(context: Context<'_>, claim: &Claim) -> Duration {
    let gateway = &context.snapshot.gateway;
    let told = context.snapshot.rpc.answers().and_then(|answers| answers.version);
    let facts = Capabilities::of(told.or(gateway.version).unwrap_or(Version::OLDEST_TESTED));
    let unsaid = || facts.holds_within(gateway.configured);
    claim.max_hold_ms.map_or_else(unsaid, Duration::from_millis)
}

/// Leaves out the row of one run of a cron job that does not say running where the row of the job
/// does: both have the session id of that run (measured on 2026.4.15).
fn one_per_job(lanes: Vec<Run<'_>>) -> Vec<Run<'_>> {
    let running: BTreeSet<_> =
        lanes.iter().filter(|run| run.is_called_running()).map(|run| run.key.clone()).collect();
    let is_told_by_job = |run: &Run<'_>| {
        !running.contains(run.key) && run.key.cron_job().is_some_and(|job| running.contains(&job))
    };
    lanes.into_iter().filter(|run| !is_told_by_job(run)).collect()
}

impl<'a> Held<'a> {
    /// Returns the one lane that it is of.
    fn owner(&self) -> Result<Run<'a>, HoldReason> {
        match self.lanes.as_slice() {
            [run] if run.disk.is_some_and(|lane| is_own(self.lock, lane)) => Ok(*run),
            [_] => Err(HoldReason::LaneUnknown { lanes: 0 }),
            lanes => Err(HoldReason::LaneUnknown { lanes: lanes.len() }),
        }
    }

    fn is_overdue(&self) -> bool {
        self.age >= self.limit
    }

    fn path(&self) -> String {
        self.lock.path.to_string_lossy().into_owned()
    }
}

/// The lanes that this policy sees to.
pub(super) struct Owners<'a> {
    mode: Mode,
    lanes: BTreeSet<&'a SessionKey>,
}

impl<'a> Owners<'a> {
    /// Returns the lanes whose locks are held too long.
    pub(super) fn of(rule: &HeldLock, held: &[Held<'a>]) -> Owners<'a> {
        let overdue = held.iter().filter(|held| held.is_overdue());
        let lanes = overdue.filter_map(|held| held.owner().ok()).map(|run| run.key);
        Owners { mode: rule.mode, lanes: lanes.collect() }
    }

    /// Returns true if a policy with that mode leaves the lane to this one.
    pub(super) fn go_first(&self, key: &SessionKey, mode: Mode) -> bool {
        let may = match (self.mode, mode) {
            (Mode::Off, _) | (Mode::Observe, Mode::Enforce) => false,
            (Mode::Observe | Mode::Enforce, _) => true,
        };
        may && self.lanes.contains(key)
    }
}

/// Judges every lock that the live gateway holds. Of several that are to be repaired, only the
/// oldest is.
pub(super) fn evaluate(
    context: Context<'_>,
    policies: &Policies,
    held: &[Held<'_>],
) -> Vec<Verdict> {
    let rule = |held: &Held<'_>| match held.owner() {
        Ok(run) => policies.held_lock_for(run.key),
        Err(_) => policies.held_lock.clone(),
    };
    let mut verdicts: Vec<_> =
        held.iter().map(|held| verdict(context, &rule(held), held)).collect();
    cascade::name_the_root(held, &mut verdicts);
    verdicts.retain(|verdict| context.wants(verdict));
    verdicts
}

fn verdict(context: Context<'_>, rule: &HeldLock, held: &Held<'_>) -> Verdict {
    let policy = Policy::HeldLock;
    let subject = Subject { kind: SubjectKind::Lock, id: held.path() };
    let owner = held.owner();
    let name = name(held, owner.as_ref().ok());
    let judged = match &owner {
        _ if !held.is_overdue() => Err(HoldReason::TooYoung { age: held.age, after: held.limit }),
        Err(why) => Err(why.clone()),
        Ok(run) => {
            let repair = rule.repair.as_slice();
            let climb =
                Climb { policy, subject: &subject, name: &name, repair, run, is_dead: false };
            judge(context, rule, held, &climb)
        }
    };
    let (decision, step) = match judged {
        Ok((decision, step)) => (decision, Some(step)),
        Err(why) => (Decision::Hold(why), None),
    };
    let suspect = !matches!(decision, Decision::Hold(_)) || suspect(context, held);
    let evidence = if suspect || context.explains_healthy {
        ladder::explain(evidence(context, held), step.as_ref(), &decision)
    } else {
        Evidence::new()
    };
    let incarnation = ladder::incarnation(&name, step.as_ref());
    Verdict { policy, subject, incarnation, suspect, looks: Looks::Confirmed, decision, evidence }
}

fn judge(
    context: Context<'_>,
    rule: &HeldLock,
    held: &Held<'_>,
    climb: &Climb<'_>,
) -> Result<(Decision, Step), HoldReason> {
    let reach = reach(context)?;
    let quiet = run::hung(context, &reach, climb.run, held.limit)?;
    let plea = Plea {
        mode: rule.mode,
        reason: ActReason::HeldTooLong { age: held.age, limit: held.limit, of: 1 },
        tell: rule.tell.then_some(quiet),
    };
    Ok(ladder::decide(context, &reach, climb, plea))
}

/// A long run that moves is healthy, whatever its lock allows.
fn suspect(context: Context<'_>, held: &Held<'_>) -> bool {
    held.is_overdue() && held.owner().map_or(true, |run| run::looks_hung(context, &run, held.limit))
}

fn name(held: &Held<'_>, run: Option<&Run<'_>>) -> String {
    let stamp = &held.lock.stamp;
    let run = run.map_or_else(String::new, Run::name);
    format!("{}:{}:{}|{run}", stamp.dev, stamp.ino, held.claim.created_at.0)
}

fn evidence(context: Context<'_>, held: &Held<'_>) -> Evidence {
    let of_run = held.owner().ok().map(|run| run::evidence(context, &run, held.limit));
    let of_run = of_run.unwrap_or_default();
    let lane = held.owner().ok().map(|run| run.key.0.clone());
    let mut evidence = Evidence::new()
        .with("holder_pid", held.claim.pid)
        .with("created_at", held.claim.created_at.to_string())
        .with("held_s", held.age.as_secs())
        .with("limit_s", held.limit.as_secs())
        .maybe("max_hold_ms", held.claim.max_hold_ms)
        .maybe("lane", lane);
    evidence.0.extend(of_run.0);
    evidence
}
