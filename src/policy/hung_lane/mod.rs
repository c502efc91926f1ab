//! `hung_lane`: end runs that are alive and make no progress (#71127, #92270).
//!
//! A run whose provider never answers, or whose recovery only claims success, holds its lane for
//! hours: everything that is sent to it waits. What it takes to call a run hung is in
//! [`super::run`], what is done about it in [`super::ladder`].

#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;

use crate::model::{ActReason, Decision, Evidence, HoldReason, Looks, Mode, Policy, Verdict};

use super::Context;
use super::ground::reach;
use super::held_lock::Owners;
use super::ladder::{self, Climb, Plea, Step};
use super::run::{self, Lanes, Run};
use super::settings::{HungLane, Policies};

/// Judges every lane that anybody calls running, by key. Of a lane that nothing shows alive, while the
/// gateway cannot be asked or says that nothing runs in it, there is nothing to say here: it is
/// `stale_lane`'s.
pub(super) fn evaluate(
    context: Context<'_>,
    policies: &Policies,
    lanes: &Lanes<'_>,
    owners: &Owners<'_>,
) -> Vec<Verdict> {
    let judge = |run: Run<'_>| {
        let rule = policies.hung_lane_for(run.key);
        (rule.mode != Mode::Off).then(|| verdict(context, &rule, &run, owners))
    };
    let told = context.snapshot.rpc.answers().is_some();
    let reach = reach(context).ok();
    let is_idle =
        |run: &Run<'_>| reach.as_ref().is_some_and(|reach| run.is_said_idle(&reach.facts));
    lanes
        .running()
        .filter(|run| (told && !is_idle(run)) || run::alive(context, run).is_some())
        .filter_map(judge)
        .filter(|verdict| context.wants(verdict))
        .collect()
}

fn verdict(context: Context<'_>, rule: &HungLane, run: &Run<'_>, owners: &Owners<'_>) -> Verdict {
    let subject = ladder::lane_subject(run.key);
    let name = run.name();
    let (policy, repair) = (Policy::HungLane, rule.repair.as_slice());
    let climb = Climb { policy, subject: &subject, name: &name, repair, run, is_dead: false };
    let (decision, step) = match judge(context, rule, &climb, owners) {
        Ok((decision, step)) => (decision, Some(step)),
        Err(why) => (Decision::Hold(why), None),
    };
    let suspect = match decision {
        Decision::Act(..) | Decision::Observe(..) => true,
        // It has its line there.
        Decision::Hold(HoldReason::JudgedElsewhere { .. }) => false,
        Decision::Hold(_) => run::looks_hung(context, run, rule.after),
    };
    let evidence = if suspect || context.explains_healthy {
        ladder::explain(run::evidence(context, run, rule.after), step.as_ref(), &decision)
    } else {
        Evidence::new()
    };
    let incarnation = ladder::incarnation(&name, step.as_ref());
    Verdict { policy, subject, incarnation, suspect, looks: Looks::Confirmed, decision, evidence }
}

fn judge(
    context: Context<'_>,
    rule: &HungLane,
    climb: &Climb<'_>,
    owners: &Owners<'_>,
) -> Result<(Decision, Step), HoldReason> {
    if owners.go_first(climb.run.key, rule.mode) {
        return Err(HoldReason::JudgedElsewhere { by: Policy::HeldLock });
    }
    let reach = reach(context)?;
    let quiet = run::hung(context, &reach, climb.run, rule.after)?;
    let plea = Plea {
        mode: rule.mode,
        reason: ActReason::NoProgress { quiet },
        tell: rule.tell.then_some(quiet),
    };
    Ok(ladder::decide(context, &reach, climb, plea))
}
