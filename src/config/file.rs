//! What the files say, as one document, and the checked configuration that follows from it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_yaml::{Error, Mapping, Value};

use super::duration::Written;
use super::keys::KEYS;
use super::{Config, value};
use crate::model::{Family, Mode};
use crate::plan::settings::{Confirm, Limits};
use crate::policy::LanePattern;
use crate::policy::settings::{
    CpuLimit, DeadLock, FamilyRule, LaneRepair, LeakedProcess, OrphanProcess, Override, Policies,
    RunawayAgent, StaleLane, StaleLaneOverride,
};

/// Lays each document over the ones before it, the first over the built-in default. A later
/// value replaces an earlier one, lists as a whole; overrides are appended.
///
/// # Errors
///
/// Returns what does not fit. The walk over each file has refused it before, with its place.
pub(super) fn config(documents: Vec<Value>, home: Option<&str>) -> Result<Config, Error> {
    let mut whole = defaults()?;
    for document in documents {
        lay_over(&mut whole, document);
    }
    let mut config = serde_yaml::from_value::<File>(whole)?.checked();
    config.state_dir = config.state_dir.map(|path| value::expand(&path, home));
    Ok(config)
}

fn defaults() -> Result<Value, Error> {
    let mut whole = Value::Mapping(Mapping::new());
    for key in KEYS {
        let Some(default) = key.default else { continue };
        let value = serde_yaml::from_str(default)?;
        let nested = key.path.rsplit('.').fold(value, |inner, name| {
            Value::Mapping(std::iter::once((Value::from(name), inner)).collect())
        });
        lay_over(&mut whole, nested);
    }
    Ok(whole)
}

fn lay_over(under: &mut Value, over: Value) {
    let (Value::Mapping(under), Value::Mapping(over)) = (&mut *under, over) else { return };
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Sequence(items)), Value::Sequence(more)) if key == "overrides" => {
                items.extend(more);
            }
            (Some(section @ Value::Mapping(_)), value @ Value::Mapping(_)) => {
                lay_over(section, value);
            }
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    gateway: GatewaySection,
    interval: Written,
    confirm: ConfirmSection,
    start_grace: Written,
    allow_short: bool,
    limits: LimitsSection,
    journal: JournalSection,
    policies: PoliciesSection,
    overrides: Vec<OverrideItem>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GatewaySection {
    state_dir: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfirmSection {
    looks: u32,
    gap: Written,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsSection {
    actions_per_pass: u32,
    actions_per_hour: u32,
    cooldown: Written,
    give_up_after: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalSection {
    keep: Written,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PoliciesSection {
    stale_lane: StaleLaneSection,
    dead_lock: DeadLockSection,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StaleLaneSection {
    mode: Mode,
    after: Written,
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
    min_age: Written,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OverrideItem {
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
    after: Option<Written>,
    silence: Option<Mode>,
}

impl File {
    fn checked(self) -> Config {
        Config {
            state_dir: self.gateway.state_dir,
            interval: self.interval.0,
            confirm: Confirm { looks: self.confirm.looks, gap: self.confirm.gap.0 },
            start_grace: self.start_grace.0,
            allow_short: self.allow_short,
            limits: self.limits.checked(),
            policies: Policies {
                stale_lane: self.policies.stale_lane.checked(),
                dead_lock: self.policies.dead_lock.checked(),
                orphan_process: orphan_process(),
                leaked_process: LeakedProcess {
                    mode: Mode::Observe,
                    after: Duration::from_secs(600),
                },
                runaway_agent: RunawayAgent {
                    mode: Mode::Observe,
                    cpu: Some(CpuLimit { percent: 90, over: Duration::from_secs(900) }),
                    memory: Some(2 << 30),
                    age: None,
                },
                overrides: self.overrides.into_iter().map(OverrideItem::checked).collect(),
            },
            retention: self.journal.keep.0,
        }
    }
}

fn orphan_process() -> OrphanProcess {
    let rule = |family: Family| {
        let mode = if family.name == "claude" { Mode::Enforce } else { Mode::Observe };
        FamilyRule { family, mode, min_age: None, term_wait: None, looks: None }
    };
    OrphanProcess {
        mode: Mode::Enforce,
        min_age: Duration::from_secs(120),
        term_wait: Duration::from_secs(10),
        families: crate::policy::families::built_in().into_iter().map(rule).collect(),
    }
}

impl LimitsSection {
    fn checked(self) -> Limits {
        Limits {
            actions_per_pass: self.actions_per_pass,
            actions_per_hour: self.actions_per_hour,
            cooldown: self.cooldown.0,
            give_up_after: self.give_up_after,
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn without_a_document_the_defaults_hold() {
        let config = config(Vec::new(), None).unwrap();
        assert_eq!(config.interval, Duration::from_secs(30));
        assert_eq!(config.policies.stale_lane.repair, [LaneRepair::Settle]);
        assert_eq!(config.policies.stale_lane.silence, Mode::Observe);
        assert_eq!((config.state_dir, config.retention), (None, Duration::from_hours(90 * 24)));
    }

    #[test]
    fn later_values_win_lists_are_replaced_and_overrides_appended() {
        let item = |lane| format!("overrides: [{{match: {{lane: {lane}}}}}]");
        let config = config(
            vec![
                yaml(&format!("policies: {{stale_lane: {{after: 1h}}}}\n{}", item("a"))),
                yaml(&format!("policies: {{stale_lane: {{repair: []}}}}\n{}", item("b"))),
                yaml("gateway: {state_dir: ~/x}"),
            ],
            Some("/h"),
        );
        let config = config.unwrap();
        let stale_lane = &config.policies.stale_lane;
        assert_eq!((stale_lane.after, stale_lane.mode), (Duration::from_hours(1), Mode::Enforce));
        assert_eq!(stale_lane.repair, []);
        let lanes: Vec<_> = config.policies.overrides.iter().map(|o| o.lane.to_string()).collect();
        assert_eq!(lanes, ["a", "b"]);
        assert_eq!(config.state_dir, Some("/h/x".into()));
    }

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }
}
