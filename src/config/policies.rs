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
    CpuLimit, DeadLock, GatewayHealth, HeldLock, HungLane, HungLaneOverride, LaneRepair,
    LeakedProcess, OrphanProcess, Override, Policies, RunawayAgent, StaleLane, StaleLaneOverride,
    Tombstone, ZombieTask,
};

/// Times are written with their unit.
type Time = Written<Duration>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PoliciesSection {
    stale_lane: StaleLaneSection,
    hung_lane: HungLaneSection,
    dead_lock: DeadLockSection,
    held_lock: HeldLockSection,
    orphan_process: OrphanProcessSection,
    leaked_process: LeakedProcessSection,
    runaway_agent: RunawayAgentSection,
    zombie_task: ZombieTaskSection,
    gateway_health: GatewayHealthSection,
    tombstone: TombstoneSection,
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
    Abort,
    Recover,
    Reset,
    New,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HungLaneSection {
    mode: Mode,
    after: Time,
    repair: Vec<Rung>,
    tell: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeldLockSection {
    mode: Mode,
    after: Time,
    repair: Vec<Rung>,
    tell: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewayHealthSection {
    mode: Mode,
    after: Time,
    starts: u32,
    zombies: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TombstoneSection {
    mode: Mode,
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
struct ZombieTaskSection {
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
    hung_lane: Option<HungLaneChanges>,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HungLaneChanges {
    mode: Option<Mode>,
    after: Option<Time>,
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
            hung_lane: self.hung_lane.checked(),
            held_lock: self.held_lock.checked(),
            zombie_task: ZombieTask {
                mode: self.zombie_task.mode,
                after: self.zombie_task.after.0,
            },
            gateway_health: self.gateway_health.checked(),
            tombstone: Tombstone { mode: self.tombstone.mode },
            overrides: overrides.into_iter().map(OverrideItem::checked).collect(),
        }
    }
}

impl StaleLaneSection {
    fn checked(self) -> StaleLane {
        let repair = self.repair.into_iter().map(Repair::checked).collect();
        StaleLane { mode: self.mode, after: self.after.0, repair, silence: self.silence }
    }
}

impl Repair {
    fn checked(self) -> LaneRepair {
        match self {
            Repair::Settle => LaneRepair::Settle,
            Repair::Abort => LaneRepair::Ask(Rung::Abort),
            Repair::Recover => LaneRepair::Ask(Rung::Recover),
            Repair::Reset => LaneRepair::Ask(Rung::Reset),
            Repair::New => LaneRepair::Ask(Rung::New),
        }
    }
}

impl HungLaneSection {
    fn checked(self) -> HungLane {
        let (after, repair) = (self.after.0, self.repair);
        HungLane { mode: self.mode, after, repair, tell: self.tell }
    }
}

impl HeldLockSection {
    fn checked(self) -> HeldLock {
        let (after, repair) = (self.after.0, self.repair);
        HeldLock { mode: self.mode, after, repair, tell: self.tell }
    }
}

impl GatewayHealthSection {
    fn checked(self) -> GatewayHealth {
        let (starts, zombies) = (self.starts, self.zombies);
        GatewayHealth { mode: self.mode, after: self.after.0, starts, zombies }
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
        let hung_lane = self.hung_lane.map(|changes| HungLaneOverride {
            mode: changes.mode,
            after: changes.after.map(|after| after.0),
        });
        Override { lane: LanePattern::new(&self.r#match.lane), stale_lane, hung_lane }
    }
}
