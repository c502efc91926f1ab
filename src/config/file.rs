//! What the files say, as one document, and the checked configuration that follows from it.

use std::time::Duration;

use serde::Deserialize;
use serde_yaml::{Error, Mapping, Value};

use super::access::GatewaySection;
use super::keys::{ANY, KEYS, NAMED};
use super::policies::{OverrideItem, PoliciesSection};
use super::written::Written;
use super::{Config, value};
use crate::plan::settings::{Confirm, Limits};

/// Times are written with their unit.
type Time = Written<Duration>;

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
    for key in KEYS.iter().filter(|key| !key.is_single()) {
        if let Some(default) = key.default {
            fill(&mut whole, key.path, &serde_yaml::from_str(default)?);
        }
    }
    let config = serde_yaml::from_value::<File>(whole)?.checked(home);
    Ok(config)
}

fn defaults() -> Result<Value, Error> {
    let mut whole = Value::Mapping(Mapping::new());
    let single = KEYS.iter().filter(|key| key.is_single());
    let single = single.filter_map(|key| Some((key.path, key.default?)));
    for (path, default) in single.chain(NAMED.iter().copied()) {
        let value = serde_yaml::from_str(default)?;
        let nested = path.rsplit('.').fold(value, |inner, name| {
            Value::Mapping(std::iter::once((Value::from(name), inner)).collect())
        });
        lay_over(&mut whole, nested);
    }
    Ok(whole)
}

/// Gives every item and every section under a name what holds where it says nothing.
fn fill(under: &mut Value, path: &str, default: &Value) {
    let Some((name, rest)) = path.split_once('.') else {
        if let Value::Mapping(section) = under {
            section.entry(path.into()).or_insert_with(|| default.clone());
        }
        return;
    };
    match (under, name.strip_suffix("[]")) {
        (Value::Mapping(sections), None) if name == ANY => {
            sections.values_mut().for_each(|section| fill(section, rest, default));
        }
        (Value::Mapping(section), Some(list)) => {
            let items = section.get_mut(list).and_then(Value::as_sequence_mut);
            items.into_iter().flatten().for_each(|item| fill(item, rest, default));
        }
        (Value::Mapping(section), None) => {
            section.get_mut(name).into_iter().for_each(|section| fill(section, rest, default));
        }
        _ => {}
    }
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
    interval: Time,
    confirm: ConfirmSection,
    start_grace: Time,
    allow_short: bool,
    limits: LimitsSection,
    journal: JournalSection,
    policies: PoliciesSection,
    overrides: Vec<OverrideItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfirmSection {
    looks: u32,
    gap: Time,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsSection {
    actions_per_pass: u32,
    actions_per_hour: u32,
    cooldown: Time,
    give_up_after: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalSection {
    keep: Time,
}

impl File {
    fn checked(self, home: Option<&str>) -> Config {
        Config {
            gateway: self.gateway.given(home),
            state_dir: self.gateway.state_dir.map(|path| value::expand(&path, home)),
            interval: self.interval.0,
            confirm: Confirm { looks: self.confirm.looks, gap: self.confirm.gap.0 },
            start_grace: self.start_grace.0,
            allow_short: self.allow_short,
            limits: self.limits.checked(),
            policies: self.policies.checked(self.overrides),
            retention: self.journal.keep.0,
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Mode;
    use crate::policy::settings::LaneRepair;

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
