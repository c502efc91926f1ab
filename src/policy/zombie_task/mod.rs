//! `zombie_task`: background tasks that nothing works on any more, or that are told again and again
//! (#62997).
//!
//! One spawn of an agent leaves rows in four places: the session store, the task database (three or
//! four rows, and as many flows), the registry of subagents, and the record of acpx. When its gateway
//! is killed they come to disagree, and up to 2026.5.28 nothing settles that: the parent is told again
//! and again of a task that is long over, restarts wait for it. All rows of one run are judged as one.

mod family;
mod places;
mod proof;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::model::{
    ActReason, Decision, Evidence, HoldReason, Looks, Policy, Snapshot, Source, Status, Subject,
    SubjectKind, UnixMillis, Verdict,
};

use super::Context;
use super::ground::{understood, whatever_repairs};
use super::settings::ZombieTask;
use family::{Family, families, told_again};
use proof::{life, proof};

/// Judges every family of tasks that is not over, or not told, or told again and again.
pub(super) fn evaluate(context: Context<'_>, rule: ZombieTask) -> Vec<Verdict> {
    let Some(tasks) = &context.snapshot.tasks else { return Vec::new() };
    let families = families(context.snapshot, tasks);
    let again = told_again(context.snapshot, &families);
    let judged = families.iter().filter_map(|family| {
        let (suspect, decision) = match family.is_active() {
            true => judge(context, rule, family),
            false => over(context, rule, family, again.get(family.id()).copied())?,
        };
        Some(verdict(context, family, suspect, decision))
    });
    judged.filter(|verdict| context.wants(verdict)).collect()
}

/// A family of which a task is queued or running, and whether it looks wrong.
fn judge(context: Context<'_>, rule: ZombieTask, family: &Family<'_>) -> (bool, Decision) {
    let held = |suspect, why| (suspect, Decision::Hold(why));
    if context.snapshot.gateway.status == Status::Down {
        // Its next start reads them, and settles some of them.
        let why = aged(context, rule, family).err();
        return held(true, why.unwrap_or(HoldReason::GatewayDown));
    }
    if let Err(why) = life(context, rule, family) {
        return held(false, why);
    }
    let proof = match proof(context, family) {
        Ok(proof) => proof,
        Err(why) => return held(false, why),
    };
    if let Err(why) = stands(context, rule, family) {
        return held(true, why);
    }
    held(true, HoldReason::TaskByHand { proof, next: by_hand(context.snapshot, family) })
}

/// What must hold whatever the proof.
fn stands(context: Context<'_>, rule: ZombieTask, family: &Family<'_>) -> Result<(), HoldReason> {
    let snapshot = context.snapshot;
    let sources =
        [Source::Config, Source::Tasks, Source::Subagents, Source::Sessions, Source::Locks];
    for source in sources {
        if let Some(gap) = snapshot.gap(source) {
            return Err(HoldReason::Gap { source: source.name(), reason: gap.reason.clone() });
        }
    }
    understood(&snapshot.gateway.era)?;
    whatever_repairs(context)?;
    aged(context, rule, family)
}

/// Whether the last sign of it is old enough.
fn aged(context: Context<'_>, rule: ZombieTask, family: &Family<'_>) -> Result<(), HoldReason> {
    let since = family.last_sign().ok_or(HoldReason::Malformed { field: "created_at" })?;
    old_enough(context.snapshot.taken_at, since, rule.after)
}

fn old_enough(now: UnixMillis, since: UnixMillis, after: Duration) -> Result<(), HoldReason> {
    if since > now.plus(FUTURE_SLACK) {
        return Err(HoldReason::InFuture { at: since });
    }
    let age = now.since(since);
    if age < after { Err(HoldReason::TooYoung { age, after }) } else { Ok(()) }
}

/// How far a time may lie in the future before it is called wrong: writer and reader round
/// differently.
const FUTURE_SLACK: Duration = Duration::from_secs(5);

/// A family that is over: told again and again, or not told at all. Only reported.
fn over(
    context: Context<'_>,
    rule: ZombieTask,
    family: &Family<'_>,
    again: Option<usize>,
) -> Option<(bool, Decision)> {
    let snapshot = context.snapshot;
    let why = match (again, family.untold_since()) {
        (Some(runs), _) => HoldReason::AnnouncedAgain { runs },
        (None, Some(since)) => {
            if let Err(why) = old_enough(snapshot.taken_at, since, rule.after) {
                return Some((false, Decision::Hold(why)));
            }
            HoldReason::DeliveryUnsettled { ago: snapshot.taken_at.since(since) }
        }
        (None, None) if context.explains_healthy => {
            return Some((false, Decision::Hold(HoldReason::TaskOver)));
        }
        (None, None) => return None,
    };
    let ground = understood(&snapshot.gateway.era).and_then(|()| whatever_repairs(context));
    Some((true, Decision::Hold(ground.err().unwrap_or(why))))
}

/// What a person can do about it.
fn by_hand(snapshot: &Snapshot, family: &Family<'_>) -> String {
    use crate::model::Era;
    match snapshot.gateway.era {
        Era::Files | Era::Hybrid => format!(
            "nothing repairs it while the gateway runs: stop the gateway, then clawarden tasks purge {}",
            family.id()
        ),
        _ if family.is_subagent() => "no call repairs a subagent's task; until it is gone every \
                                      stop of the gateway waits for it, up to 315 s"
            .to_owned(),
        _ => format!(
            "openclaw tasks cancel {} ends it; until then every stop of the gateway waits for it, \
             up to 315 s",
            family.id()
        ),
    }
}

fn verdict(
    context: Context<'_>,
    family: &Family<'_>,
    suspect: bool,
    decision: Decision,
) -> Verdict {
    let evidence = match suspect || context.explains_healthy {
        true => places::evidence(context.snapshot, family),
        false => Evidence::new(),
    };
    Verdict {
        policy: Policy::ZombieTask,
        subject: Subject { kind: SubjectKind::Task, id: family.id().0.clone() },
        incarnation: places::disagreement(context.snapshot, family),
        suspect,
        looks: Looks::One,
        decision,
        evidence,
    }
}

/// What proves that nothing works on a task.
type Proof = ActReason;
