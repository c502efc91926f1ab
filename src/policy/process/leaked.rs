//! `leaked_process`: agents whose session is closed and that still hang on the live gateway.
//!
//! On 2026.4.15 `ensureSession(persistent)` and `close()` without discard leave the record closed
//! and the pair a child of the gateway, with live input and output (measured). Ending the adapter
//! did not harm the gateway. Reported; ended only where the user says so.

use std::time::Duration;

use crate::model::{
    ActReason, Agent, Bond, Cpu, EndCause, HoldReason, Looks, Mode, Policy, Source, Verdict,
};
use crate::policy::Context;
use crate::policy::settings::Policies;

use super::ground::ground;
use super::{Judged, old_enough, tree_end, unguarded};

/// Judges one process; `None` if it is nothing that could be leaked.
pub(super) fn evaluate(
    context: Context<'_>,
    policies: &Policies,
    agent: &Agent,
) -> Option<Verdict> {
    let mode = policies.leaked_process.mode;
    let is_ours = matches!(agent.bond, Bond::Attached { is_ours: true, .. });
    let record = agent.record.as_ref().filter(|record| record.is_closed)?;
    if mode == Mode::Off || agent.kind.is_none() || agent.top.is_some() || !is_ours {
        return None;
    }
    let judged = match record.closed_at {
        None => Judged::held(HoldReason::Malformed { field: "closed_at" }),
        Some(closed_at) if closed_at > context.snapshot.taken_at => {
            Judged::held(HoldReason::InFuture { at: closed_at })
        }
        Some(closed_at) => {
            let ago = context.snapshot.taken_at.since(closed_at);
            judge(context, policies, agent, ago).unwrap_or_else(Judged::held)
        }
    };
    Some(super::verdict(context, Policy::LeakedProcess, agent, judged))
}

fn judge(
    context: Context<'_>,
    policies: &Policies,
    agent: &Agent,
    ago: Duration,
) -> Result<Judged, HoldReason> {
    let rule = policies.leaked_process;
    let kind = agent.kind.as_ref().ok_or(HoldReason::NotAnAgent)?;
    let family = policies.orphan_process.family(&kind.family).ok_or(HoldReason::NotAnAgent)?;
    if ago < rule.after {
        return Err(HoldReason::ClosedRecently { ago, after: rule.after });
    }
    if !agent.ownership.is_proven() {
        return Err(HoldReason::NotOwned);
    }
    if let Some(gap) = context.snapshot.gap(Source::Records) {
        return Err(HoldReason::Gap { source: gap.source.name(), reason: gap.reason.clone() });
    }
    unguarded(agent)?;
    ground(context)?;
    old_enough(context, agent, family.min_age)?;
    if rule.mode == Mode::Enforce && !is_idle(agent.cpu) {
        return Err(HoldReason::NotIdle);
    }
    let end = tree_end(context, agent, EndCause::Leak, family, None);
    Ok(Judged::proven(end, ActReason::RecordClosed { ago }, rule.mode, Looks::Confirmed))
}

/// Less than a hundredth of a processor since the last look, which must have been.
fn is_idle(cpu: Cpu) -> bool {
    cpu.recent.is_some_and(|recent| recent.used * 100 <= recent.over)
}
