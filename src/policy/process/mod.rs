//! What the rules about processes share: when they may judge at all, and what they tell.

mod evidence;
mod ground;
mod leaked;
mod orphan;
mod runaway;
#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::model::{
    ActReason, Action, Agent, Decision, EndCause, Guard, Guarded, HoldReason, Looks, Mode, Policy,
    RecordClose, RecordMode, Subject, SubjectKind, TreeEnd, Verdict,
};

use super::Context;
use super::settings::{FamilySettings, Policies};

/// Judges every process that is known, by every rule about processes that is on.
pub(super) fn evaluate(context: Context<'_>, policies: &Policies) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for agent in &context.snapshot.agents {
        verdicts.extend(orphan::evaluate(context, &policies.orphan_process, agent));
        verdicts.extend(leaked::evaluate(context, policies, agent));
        verdicts.extend(runaway::evaluate(context, policies, agent));
    }
    verdicts.retain(|verdict| context.wants(verdict));
    verdicts
}

/// Judges a tree once more, by the rule that decided its end, with what is seen of it now.
///
/// # Errors
///
/// Returns why the judgement does not hold any more, for people.
pub fn still_to_end(
    context: Context<'_>,
    policies: &Policies,
    end: &TreeEnd,
) -> Result<(), String> {
    let gone = || format!("{} is not seen any more", end.root);
    let agent = context.snapshot.agents.iter().find(|agent| agent.id == end.root);
    let agent = agent.ok_or_else(gone)?;
    let verdict = match end.cause {
        EndCause::Orphan => orphan::evaluate(context, &policies.orphan_process, agent),
        EndCause::Leak => leaked::evaluate(context, policies, agent),
        EndCause::Runaway => runaway::evaluate(context, policies, agent),
    };
    match verdict.map(|verdict| verdict.decision) {
        Some(Decision::Act(..)) => Ok(()),
        Some(Decision::Hold(why)) => Err(format!("looked at again: {why}")),
        Some(Decision::Observe(..)) | None => Err("looked at again: no longer found".to_owned()),
    }
}

/// A judgement of one process before it becomes a verdict.
struct Judged {
    suspect: bool,
    looks: Looks,
    decision: Decision,
}

impl Judged {
    fn healthy(why: HoldReason) -> Judged {
        Judged { suspect: false, looks: Looks::One, decision: Decision::Hold(why) }
    }

    fn held(why: HoldReason) -> Judged {
        Judged { suspect: true, looks: Looks::One, decision: Decision::Hold(why) }
    }

    fn proven(action: TreeEnd, reason: ActReason, mode: Mode, looks: Looks) -> Judged {
        let action = Action::EndTree(Box::new(action));
        let decision = match mode {
            Mode::Enforce => Decision::Act(action, reason),
            Mode::Observe | Mode::Off => Decision::Observe(action, reason),
        };
        Judged { suspect: true, looks, decision }
    }
}

fn verdict(context: Context<'_>, policy: Policy, agent: &Agent, judged: Judged) -> Verdict {
    let evidence = if judged.suspect || context.explains_healthy {
        evidence::evidence(context.snapshot.taken_at, agent)
    } else {
        crate::model::Evidence::new()
    };
    Verdict {
        policy,
        subject: Subject { kind: SubjectKind::Process, id: agent.subject_id() },
        incarnation: evidence::incarnation(agent),
        suspect: judged.suspect,
        looks: judged.looks,
        decision: judged.decision,
        evidence,
    }
}

/// What forbids to end the tree of `agent`: a tool that runs is said last, as it ends by itself.
fn unguarded(agent: &Agent) -> Result<(), HoldReason> {
    let guards = agent.tree.iter().flat_map(|member| {
        member.guards.iter().map(|guard| Guarded { id: member.id, guard: guard.clone() })
    });
    let mut tool = None;
    for by in guards {
        if by.guard != Guard::ToolShell {
            return Err(HoldReason::Guarded { by });
        }
        tool.get_or_insert(by.id);
    }
    match tool {
        Some(id) => Err(HoldReason::ToolRunning { id }),
        None => Ok(()),
    }
}

fn old_enough(
    context: Context<'_>,
    agent: &Agent,
    after: Duration,
) -> Result<Duration, HoldReason> {
    let now = context.snapshot.taken_at;
    if agent.started_at > now {
        return Err(HoldReason::InFuture { at: agent.started_at });
    }
    let age = now.since(agent.started_at);
    if age < after { Err(HoldReason::TooYoung { age, after }) } else { Ok(age) }
}

/// The record that must be closed so that nothing starts the agent again: an open one of a oneshot
/// session. Others are never changed; their next prompt goes on with their context.
///
/// A record that cannot be seen is reported and holds nothing: one link that leads nowhere would
/// else keep every orphan alive for ever.
fn record_to_close(context: Context<'_>, agent: &Agent) -> Result<Option<RecordClose>, HoldReason> {
    let open = agent.record.as_ref().filter(|record| !record.is_closed);
    let Some(record) = open.filter(|record| record.mode == RecordMode::Oneshot) else {
        return Ok(None);
    };
    for uid in [record.uid, record.folder_uid] {
        if uid != context.snapshot.host.euid {
            return Err(HoldReason::NotOwner { uid });
        }
    }
    Ok(Some(RecordClose {
        path: record.path.clone(),
        expected: record.stamp,
        record_id: record.record_id.clone(),
        closed_at: context.snapshot.taken_at,
    }))
}

fn tree_end(
    context: Context<'_>,
    agent: &Agent,
    cause: EndCause,
    family: FamilySettings,
    record: Option<RecordClose>,
) -> TreeEnd {
    TreeEnd {
        boot: context.snapshot.host.boot_id.clone(),
        root: agent.id,
        members: agent.tree.iter().map(|member| member.id).collect(),
        cause,
        term_wait: family.term_wait,
        record,
    }
}
