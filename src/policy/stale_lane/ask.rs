//! Repairs of a dead lane that the gateway itself makes, each only where the user asks for it.

use crate::model::{ActReason, Decision, HoldReason, Lane, Looks, Mode, Policy, Rung};

use super::{StaleLane, mode, proof};
use crate::policy::Context;
use crate::policy::ground::reach;
use crate::policy::ladder::{self, Climb, Plea, Step};
use crate::policy::run::Run;
use crate::policy::settings::LaneRepair;

/// What is decided of a lane.
pub(super) struct Judged {
    /// What to do.
    pub(super) decision: Decision,
    /// How many looks must agree.
    pub(super) looks: Looks,
    /// The rung that is due, where the gateway is asked.
    pub(super) step: Option<Step>,
}

impl Judged {
    pub(super) fn held(why: HoldReason) -> Judged {
        Judged { decision: Decision::Hold(why), looks: Looks::One, step: None }
    }
}

/// Returns how often it must have been seen. What the gateway says may be said between the end of
/// one run and the begin of the next; what a file says for good needs no second look.
pub(super) fn looks(reason: &ActReason) -> Looks {
    match reason {
        ActReason::NoActiveRun | ActReason::Tombstoned => Looks::AtLeast(2),
        _ => Looks::One,
    }
}

/// Returns what the gateway may be asked for, in the user's order.
pub(super) fn rungs(rule: &StaleLane) -> Vec<Rung> {
    let rung = |repair: &LaneRepair| match repair {
        LaneRepair::Settle => None,
        LaneRepair::Ask(rung) => Some(*rung),
    };
    rule.repair.iter().filter_map(rung).collect()
}

/// The repair of a row in a file that is not to be settled.
pub(super) fn instead_of_settling(
    context: Context<'_>,
    rule: &StaleLane,
    lane: &Lane,
    run: Option<&Run<'_>>,
    reason: ActReason,
) -> Result<Judged, HoldReason> {
    if rule.repair.is_empty() {
        return Err(HoldReason::NoRepair);
    }
    let reach = reach(context)?;
    let run = run.ok_or(HoldReason::RpcDisagrees { about: "the lane: it is not listed" })?;
    run.single()?;
    if !run.is_same_session() {
        return Err(HoldReason::RpcDisagrees { about: "its session" });
    }
    let mode = mode(rule, &reason);
    Ok(climb(context, rule, &reach, run, &proof::incarnation(lane), mode, reason))
}

/// Returns the rung that is due for a lane whose run is proven dead.
pub(super) fn climb(
    context: Context<'_>,
    rule: &StaleLane,
    reach: &crate::policy::ground::Reach<'_>,
    run: &Run<'_>,
    name: &str,
    mode: Mode,
    reason: ActReason,
) -> Judged {
    let looks = looks(&reason);
    let (policy, subject) = (Policy::StaleLane, ladder::lane_subject(run.key));
    let rungs = rungs(rule);
    let climb = Climb { policy, subject: &subject, name, repair: &rungs, run, is_dead: true };
    let plea = Plea { mode, reason, tell: None };
    let (decision, step) = ladder::decide(context, reach, &climb, plea);
    Judged { decision, looks, step: Some(step) }
}
