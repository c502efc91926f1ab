//! What of the world the configuration needs.

use crate::config::Config;
use crate::model::Mode;
use crate::observe::Sought;
use crate::observe::files::TasksKept;

/// Returns what has to be looked at for the policies that are on.
pub(super) fn sought(config: &Config) -> Sought {
    let policies = &config.policies;
    Sought {
        // The records of acpx name the children of tasks, too.
        acp: [policies.tombstone.mode, policies.zombie_task.mode]
            .iter()
            .any(|mode| *mode != Mode::Off),
        children: [policies.hung_lane.mode, policies.held_lock.mode]
            .iter()
            .any(|mode| *mode != Mode::Off),
        start_grace: config.start_grace,
        families: policies.orphan_process.families.iter().map(|rule| rule.family.clone()).collect(),
        window: policies.runaway_agent.cpu.map(|limit| limit.over).unwrap_or_default(),
        vitals: policies.gateway_health.mode != Mode::Off,
        tasks: (policies.zombie_task.mode != Mode::Off).then_some(TasksKept::Notable),
    }
}
