//! The rules. Each judges every subject of its kind in one snapshot, and says why.
//!
//! Pure: a snapshot and what is remembered of earlier ones go in, verdicts come out.

mod clock;
mod dead_lock;
pub mod families;
mod gateway_health;
mod ground;
mod held_lock;
mod holder;
mod hung_lane;
mod ladder;
mod pattern;
mod process;
mod restore;
mod run;
pub mod settings;
mod stale_lane;
mod tombstone;
mod zombie_task;

pub use clock::host_record;
pub use gateway_health::next_step;
pub use holder::{Holder, holder};
pub use pattern::LanePattern;
pub use process::still_to_end;
pub use restore::{Way, authorise, obstacle, way};
pub use settings::Policies;
pub use tombstone::backing_ids;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{
    Action, Decision, History, HoldReason, Mode, Policy, SessionKey, Snapshot, Verdict,
};

use run::Lanes;

/// What every rule is given.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The world.
    pub snapshot: &'a Snapshot,
    /// What earlier passes saw and did, with the host record of this one.
    pub history: &'a History,
    /// Whether healthy subjects are wanted, too, with their evidence. A daemon has thousands of
    /// them, and nobody who reads it.
    pub explains_healthy: bool,
    /// How long after a gateway start, a resume or a clock step nothing is judged.
    pub start_grace: Duration,
}

impl Context<'_> {
    fn wants(&self, verdict: &Verdict) -> bool {
        verdict.suspect || self.explains_healthy
    }
}

/// Judges everything in the snapshot. Rules that are off are not asked.
#[must_use]
pub fn evaluate(context: Context<'_>, policies: &Policies) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if policies.dead_lock.mode != Mode::Off {
        verdicts.extend(dead_lock::evaluate(context, &policies.dead_lock));
    }
    let lanes = Lanes::of(context.snapshot);
    if policies.stale_lane.mode != Mode::Off || !policies.overrides.is_empty() {
        verdicts.extend(stale_lane::evaluate(context, policies, &lanes));
    }
    verdicts.extend(runs(context, policies, &lanes));
    verdicts.extend(process::evaluate(context, policies));
    if policies.zombie_task.mode != Mode::Off {
        verdicts.extend(zombie_task::evaluate(context, policies.zombie_task));
    }
    if policies.gateway_health.mode != Mode::Off {
        verdicts.extend(gateway_health::evaluate(context, policies.gateway_health));
    }
    if policies.tombstone.mode != Mode::Off {
        verdicts.extend(tombstone::evaluate(context, policies.tombstone.mode));
    }
    one_repair_per_lane(&mut verdicts);
    one_line_per_lane(context, &mut verdicts);
    verdicts
}

/// Runs that are alive: by their locks, and by their lanes.
fn runs(context: Context<'_>, policies: &Policies, lanes: &Lanes<'_>) -> Vec<Verdict> {
    let rule = &policies.held_lock;
    let held = match rule.mode {
        Mode::Off => Vec::new(),
        Mode::Observe | Mode::Enforce => held_lock::held(context, rule, lanes),
    };
    let mut verdicts = held_lock::evaluate(context, policies, &held);
    if policies.hung_lane.mode != Mode::Off || !policies.overrides.is_empty() {
        let owners = held_lock::Owners::of(rule, &held);
        verdicts.extend(hung_lane::evaluate(context, policies, lanes, &owners));
    }
    verdicts
}

/// Of a lane whose run is told to hang, or to hold its lock for too long, it says nothing new that its row
/// is left alone because of that run. While the gateway does not tell, files are all there is to say.
fn one_line_per_lane(context: Context<'_>, verdicts: &mut Vec<Verdict>) {
    let told = |by: Policy| {
        let of = verdicts.iter().filter(move |verdict| verdict.policy == by && verdict.suspect);
        let heard = of.filter(|verdict| {
            !matches!(
                verdict.decision,
                Decision::Hold(HoldReason::RpcNotAsked { .. } | HoldReason::RpcUnavailable { .. })
            )
        });
        heard.map(|verdict| verdict.subject.id.clone()).collect::<BTreeSet<_>>()
    };
    let (hung, held) = (told(Policy::HungLane), told(Policy::HeldLock));
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.policy == Policy::StaleLane) {
        let by = match &verdict.decision {
            Decision::Hold(HoldReason::LaneLocked { path }) if held.contains(path) => {
                Policy::HeldLock
            }
            Decision::Hold(HoldReason::LaneLocked { .. } | HoldReason::RunActive)
                if hung.contains(&verdict.subject.id) =>
            {
                Policy::HungLane
            }
            Decision::Hold(_) | Decision::Act(..) | Decision::Observe(..) => continue,
        };
        verdict.decision = Decision::Hold(HoldReason::JudgedElsewhere { by });
        verdict.suspect = false;
    }
    verdicts.retain(|verdict| context.wants(verdict));
}

/// Whatever the rules say, no lane is repaired twice in one pass: the first keeps its repair.
fn one_repair_per_lane(verdicts: &mut [Verdict]) {
    let mut repaired: BTreeMap<SessionKey, Policy> = BTreeMap::new();
    for verdict in verdicts {
        let Decision::Act(action, _) = &verdict.decision else { continue };
        let key = match action {
            Action::Settle(edit) => &edit.key,
            Action::CallLane(call) => &call.key,
            Action::ReleaseLock { .. }
            | Action::EndTree(_)
            | Action::PurgeTask(_)
            | Action::Record(_) => continue,
        };
        match repaired.get(key) {
            Some(by) => verdict.decision = Decision::Hold(HoldReason::JudgedElsewhere { by: *by }),
            None => {
                repaired.insert(key.clone(), verdict.policy);
            }
        }
    }
}
