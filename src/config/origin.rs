//! Where each effective value comes from.

use std::fmt;

use super::keys::{KEYS, Kind};
use super::layer::{Layer, effective};
use super::walk::Setting;

/// Where one effective value comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// The key path, such as `policies.stale_lane.after` or `overrides[0].match.lane`.
    pub key: String,
    /// The value as it was written.
    pub value: String,
    /// `FILE:LINE`, or `built-in default`.
    pub from: String,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}  # {}", self.key, self.value, self.from)
    }
}

/// Returns every effective value: the keys of the table in its order, then all overrides.
pub(super) fn origins(layers: &[(usize, Layer)]) -> Vec<Origin> {
    let from = |layer: &Layer, setting: &Setting| Origin {
        key: setting.path.clone(),
        value: setting.text.clone(),
        from: format!("{}:{}", layer.source.path.display(), setting.mark.line),
    };
    let is_value = |kind| !matches!(kind, Kind::Section);
    let mut origins = Vec::new();
    for key in KEYS.iter().filter(|key| is_value(key.kind) && !key.path.contains("[]")) {
        origins.push(match effective(layers, key.path) {
            Some(((_, layer), setting)) => from(layer, setting),
            None => Origin {
                key: key.path.to_owned(),
                value: key.default.unwrap_or("as the gateway finds it").to_owned(),
                from: "built-in default".to_owned(),
            },
        });
    }
    let items = layers.iter().flat_map(|(_, layer)| {
        let items = layer.settings.iter().filter(|setting| setting.path.starts_with("overrides["));
        items.map(move |setting| from(layer, setting))
    });
    let items: Vec<_> = items.collect();
    if !items.is_empty() {
        origins.retain(|origin| origin.key != "overrides");
    }
    origins.extend(items);
    origins
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::layer::compile;
    use super::super::source::Source;

    #[test]
    fn every_value_knows_where_it_comes_from() {
        let texts = [
            "gateway: {state_dir: ~/x}\npolicies:\n  stale_lane: {after: 1h}\n",
            "policies:\n\n  stale_lane: {after: 2h}\noverrides:\n- match: {lane: a}\n  stale_lane: {after: 3h}\n",
            "overrides:\n- match: {lane: b}\n  stale_lane: {after: 4h}\n",
        ];
        let sources = texts.iter().enumerate().map(|(number, text)| {
            Source::new(Path::new(&format!("{number}.yaml")), text.as_bytes().to_vec())
        });
        let loaded = compile(sources.collect(), Some("/h"));
        let origins: Vec<_> = loaded.unwrap().origins.iter().map(ToString::to_string).collect();
        assert_eq!(
            origins.join("\n"),
            "gateway.state_dir: ~/x  # 0.yaml:1
interval: 30s  # built-in default
confirm.looks: 2  # built-in default
confirm.gap: 10s  # built-in default
start_grace: 6m  # built-in default
allow_short: false  # built-in default
limits.actions_per_pass: 5  # built-in default
limits.actions_per_hour: 30  # built-in default
limits.cooldown: 15m  # built-in default
limits.give_up_after: 3  # built-in default
journal.keep: 90d  # built-in default
policies.stale_lane.mode: enforce  # built-in default
policies.stale_lane.after: 2h  # 1.yaml:3
policies.stale_lane.repair: [settle]  # built-in default
policies.stale_lane.silence: observe  # built-in default
policies.dead_lock.mode: enforce  # built-in default
policies.dead_lock.min_age: 30s  # built-in default
overrides[0].match.lane: a  # 1.yaml:5
overrides[0].stale_lane.after: 3h  # 1.yaml:6
overrides[1].match.lane: b  # 2.yaml:2
overrides[1].stale_lane.after: 4h  # 2.yaml:3"
        );
    }
}
