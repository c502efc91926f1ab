//! What the files say about the policies, and the checked settings that follow from it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::families::{FamilySection, rules};
use super::limit::Bytes;
use super::written::{Limit, Written};
use crate::model::{Mode, Rung};
use crate::policy::LanePattern;
use crate::policy::settings::{
    CpuLimit, DeadLock, GatewayHealth, HeldLock, HungLane, LaneRepair, LeakedProcess,
    OrphanProcess, Override, Policies, RunawayAgent, StaleLane, StaleLaneOverride,
};

/// Times are written with their unit.
type Time = Written<Duration>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoliciesSection {
    stale_lane: StaleLaneSection,
    dead_lock: DeadLockSection,
    orphan_process: OrphanProcessSection,
    leaked_process: LeakedProcessSection,
    runaway_agent: RunawayAgentSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StaleLaneSection {
    mode: Mode,
    after: Time,
    repair: Vec<Repair>,
    silence: Mode,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Repair {
    Settle,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeadLockSection {
    mode: Mode,
    min_age: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OrphanProcessSection {
    mode: Mode,
    min_age: Time,
    term_wait: Time,
    families: BTreeMap<String, FamilySection>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeakedProcessSection {
    mode: Mode,
    after: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunawayAgentSection {
    mode: Mode,
    cpu: Written<Limit<CpuLimit>>,
    memory: Written<Limit<Bytes>>,
    age: Written<Limit<Duration>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OverrideItem {
    r#match: MatchSection,
    stale_lane: Option<StaleLaneChanges>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MatchSection {
    lane: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StaleLaneChanges {
    mode: Option<Mode>,
    after: Option<Time>,
    silence: Option<Mode>,
}

impl PoliciesSection {
    /// Returns the settings, the overrides in the order in which they apply.
    pub(super) fn checked(self, overrides: Vec<OverrideItem>) -> Policies {
        Policies {
            stale_lane: self.stale_lane.checked(),
            dead_lock: self.dead_lock.checked(),
            orphan_process: self.orphan_process.checked(),
            leaked_process: self.leaked_process.checked(),
            runaway_agent: self.runaway_agent.checked(),
            hung_lane: HungLane {
                mode: Mode::Observe,
                after: Duration::from_mins(30),
                repair: vec![Rung::Abort],
                tell: false,
            },
            held_lock: HeldLock {
                mode: Mode::Observe,
                after: Duration::from_mins(20),
                repair: vec![Rung::Abort],
                tell: false,
            },
            gateway_health: GatewayHealth { mode: Mode::Observe },
            overrides: overrides.into_iter().map(OverrideItem::checked).collect(),
        }
    }
}

impl StaleLaneSection {
    fn checked(self) -> StaleLane {
        let repair = self.repair.into_iter().map(|Repair::Settle| LaneRepair::Settle).collect();
        StaleLane { mode: self.mode, after: self.after.0, repair, silence: self.silence }
    }
}

impl DeadLockSection {
    fn checked(self) -> DeadLock {
        DeadLock { mode: self.mode, min_age: self.min_age.0 }
    }
}

impl OrphanProcessSection {
    fn checked(self) -> OrphanProcess {
        OrphanProcess {
            mode: self.mode,
            min_age: self.min_age.0,
            term_wait: self.term_wait.0,
            families: rules(self.families),
        }
    }
}

impl LeakedProcessSection {
    fn checked(self) -> LeakedProcess {
        LeakedProcess { mode: self.mode, after: self.after.0 }
    }
}

impl RunawayAgentSection {
    fn checked(self) -> RunawayAgent {
        let (Limit(cpu), Limit(memory), Limit(age)) = (self.cpu.0, self.memory.0, self.age.0);
        RunawayAgent { mode: self.mode, cpu, memory: memory.map(|Bytes(bytes)| bytes), age }
    }
}

impl OverrideItem {
    fn checked(self) -> Override {
        let stale_lane = self.stale_lane.map(|changes| StaleLaneOverride {
            mode: changes.mode,
            after: changes.after.map(|after| after.0),
            silence: changes.silence,
        });
        Override { lane: LanePattern::new(&self.r#match.lane), stale_lane }
    }
}
