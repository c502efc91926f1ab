//! `runaway_agent`: agents of this gateway that use more than they should.
//!
//! Reported; ended only where the user says so, because what looks like too much may be work.

use std::time::Duration;

use crate::model::{
    ActReason, Agent, EndCause, HoldReason, Looks, Mode, Place, Policy, Seen, Verdict,
};
use crate::policy::Context;
use crate::policy::settings::{CpuLimit, Policies, RunawayAgent};

use super::ground::ground;
use super::{Judged, old_enough, tree_end, unguarded};

const MIB: u64 = 1 << 20;

/// Judges one process; `None` if it is within its limits, or none of this gateway's agents.
pub(super) fn evaluate(
    context: Context<'_>,
    policies: &Policies,
    agent: &Agent,
) -> Option<Verdict> {
    let rule = policies.runaway_agent;
    let is_ours = agent.ownership.is_proven() && agent.place_is_not_other();
    if rule.mode == Mode::Off || agent.kind.is_none() || !is_ours {
        return None;
    }
    let reason = excess(context, rule, agent)?;
    let judged = judge(context, policies, agent, reason).unwrap_or_else(Judged::held);
    Some(super::verdict(context, Policy::RunawayAgent, agent, judged))
}

/// Memory and age are those of a tree, processor time is that of one process.
fn excess(context: Context<'_>, rule: RunawayAgent, agent: &Agent) -> Option<ActReason> {
    let age = context.snapshot.taken_at.since(agent.started_at);
    if let Some(reason) = rule.cpu.and_then(|limit| processor(limit, agent, age)) {
        return Some(reason);
    }
    if agent.top.is_some() {
        return None;
    }
    let resident = agent.resident();
    if let Some(limit) = rule.memory.filter(|limit| resident > *limit) {
        return Some(ActReason::UsesMemory { mib: resident / MIB, limit: limit / MIB });
    }
    let limit = rule.age.filter(|limit| age > *limit)?;
    Some(ActReason::RunsLong { age, limit })
}

/// Since the look that lies far enough back; without one, since the start of the process.
fn processor(limit: CpuLimit, agent: &Agent, age: Duration) -> Option<ActReason> {
    let (used, over) = match agent.cpu.recent {
        Some(recent) if recent.over >= limit.over => (recent.used, recent.over),
        _ if age >= limit.over => (agent.cpu.total, age),
        _ => return None,
    };
    let percent = used.as_millis() * 100 / over.as_millis().max(1);
    let percent = u32::try_from(percent).unwrap_or(u32::MAX);
    (percent >= limit.percent).then_some(ActReason::UsesProcessor { percent, over })
}

fn judge(
    context: Context<'_>,
    policies: &Policies,
    agent: &Agent,
    reason: ActReason,
) -> Result<Judged, HoldReason> {
    let mode = policies.runaway_agent.mode;
    let kind = agent.kind.as_ref().ok_or(HoldReason::NotAnAgent)?;
    let family = policies.orphan_process.family(&kind.family).ok_or(HoldReason::NotAnAgent)?;
    if mode == Mode::Enforce {
        endable(context, agent, family.min_age)?;
    }
    let end = tree_end(context, agent, EndCause::Runaway, family, None);
    Ok(Judged::proven(end, reason, mode, Looks::Confirmed))
}

fn endable(context: Context<'_>, agent: &Agent, min_age: Duration) -> Result<(), HoldReason> {
    match (&agent.mark, &agent.place) {
        (Seen::Present(_), Place::Ours) => {}
        (Seen::Present(_), Place::Other(_) | Place::Unknown(_)) => {
            return Err(HoldReason::NotOwned);
        }
        (Seen::Absent | Seen::Differs(_), _) => return Err(HoldReason::NotMarked),
        (Seen::Unreadable(why), _) => {
            return Err(HoldReason::Gap { source: "environment", reason: why.clone() });
        }
    }
    unguarded(agent)?;
    ground(context)?;
    old_enough(context, agent, min_age).map(|_| ())
}
