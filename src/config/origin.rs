//! Where each effective value comes from.

use std::fmt;

use super::effective::{Effective, Said};
use super::keys::{self, KEYS, Key, Kind};
use super::layer::Layer;

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
    let effective = Effective::new(layers);
    let mut origins = Vec::new();
    for key in KEYS.iter().filter(|key| key.is_single()) {
        match key.kind {
            Kind::Section => origins.extend(named(&effective, key)),
            Kind::Overrides => origins.extend(overrides(layers, &effective, key)),
            _ => origins.extend(value(&effective, key.path).or(Some(Origin {
                key: key.path.to_owned(),
                value: "as the gateway finds it".to_owned(),
                from: BUILT_IN.to_owned(),
            }))),
        }
    }
    origins
}

/// Returns what holds in the sections under a name that this one may have.
fn named(effective: &Effective, section: &Key) -> Vec<Origin> {
    let mut origins = Vec::new();
    for any in keys::within(section.path).filter(|key| key.is_any()) {
        for name in effective.names(section.path) {
            for key in keys::within(any.path) {
                let path = format!("{}.{name}.{}", section.path, key.name());
                match key.kind {
                    Kind::Processes => {
                        origins.extend(effective.list(&path).into_iter().map(origin))
                    }
                    _ => origins.extend(value(effective, &path)),
                }
            }
        }
    }
    origins
}

fn overrides(layers: &[(usize, Layer)], effective: &Effective, key: &Key) -> Vec<Origin> {
    let items = layers.iter().flat_map(|(number, layer)| {
        let items = layer.settings.iter().filter(|setting| setting.path.starts_with("overrides["));
        items.map(|setting| origin(Said { number: *number, layer, setting }))
    });
    let items: Vec<_> = items.collect();
    if items.is_empty() { value(effective, key.path).into_iter().collect() } else { items }
}

/// Returns what holds at a path; `None` if nothing was said and nothing holds by default.
fn value(effective: &Effective, path: &str) -> Option<Origin> {
    if let Some(said) = effective.said(path) {
        return Some(origin(said));
    }
    let value = keys::default(path)?.to_owned();
    Some(Origin { key: path.to_owned(), value, from: BUILT_IN.to_owned() })
}

fn origin(said: Said) -> Origin {
    let Said { layer, setting, .. } = said;
    let from = format!("{}:{}", layer.source.path.display(), setting.mark.line);
    Origin { key: setting.path.clone(), value: setting.text.clone(), from }
}

const BUILT_IN: &str = "built-in default";

#[cfg(test)]
mod tests {
    use super::super::tests::compile;

    #[test]
    fn every_value_knows_where_it_comes_from() {
        let texts = [
            "gateway: {state_dir: ~/x}\npolicies:\n  stale_lane: {after: 1h}\n",
            "policies:\n\n  stale_lane: {after: 2h}\noverrides:\n- match: {lane: a}\n  stale_lane: {after: 3h}\n",
            "overrides:\n- match: {lane: b}\n  stale_lane: {after: 4h}\n",
        ];
        let loaded = compile(&texts);
        let origins: Vec<_> = loaded.unwrap().origins.iter().map(ToString::to_string).collect();
        assert_eq!(
            origins.join("\n"),
            "gateway.state_dir: ~/x  # 0.yaml:1
gateway.url: as the gateway finds it  # built-in default
gateway.token_file: as the gateway finds it  # built-in default
gateway.token_env: as the gateway finds it  # built-in default
gateway.password_file: as the gateway finds it  # built-in default
gateway.password_env: as the gateway finds it  # built-in default
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
policies.hung_lane.mode: observe  # built-in default
policies.hung_lane.after: 30m  # built-in default
policies.hung_lane.repair: [abort]  # built-in default
policies.hung_lane.tell: false  # built-in default
policies.dead_lock.mode: enforce  # built-in default
policies.dead_lock.min_age: 30s  # built-in default
policies.held_lock.mode: observe  # built-in default
policies.held_lock.after: 20m  # built-in default
policies.held_lock.repair: [abort]  # built-in default
policies.held_lock.tell: false  # built-in default
policies.orphan_process.mode: enforce  # built-in default
policies.orphan_process.min_age: 2m  # built-in default
policies.orphan_process.term_wait: 10s  # built-in default
policies.orphan_process.families.claude.mode: enforce  # built-in default
policies.orphan_process.families.codex.mode: observe  # built-in default
policies.orphan_process.families.gemini.mode: observe  # built-in default
policies.orphan_process.families.opencode.mode: observe  # built-in default
policies.leaked_process.mode: observe  # built-in default
policies.leaked_process.after: 10m  # built-in default
policies.runaway_agent.mode: observe  # built-in default
policies.runaway_agent.cpu: 90% for 15m  # built-in default
policies.runaway_agent.memory: 2GiB  # built-in default
policies.runaway_agent.age: off  # built-in default
policies.zombie_task.mode: observe  # built-in default
policies.zombie_task.after: 30m  # built-in default
policies.gateway_health.mode: observe  # built-in default
policies.gateway_health.after: 2m  # built-in default
policies.gateway_health.starts: 3  # built-in default
policies.gateway_health.zombies: 50  # built-in default
policies.tombstone.mode: enforce  # built-in default
overrides[0].match.lane: a  # 1.yaml:5
overrides[0].stale_lane.after: 3h  # 1.yaml:6
overrides[1].match.lane: b  # 2.yaml:2
overrides[1].stale_lane.after: 4h  # 2.yaml:3"
        );
    }

    #[test]
    fn every_family_is_there_and_a_list_is_of_one_file() {
        let families = |text: &str| format!("policies: {{orphan_process: {{families: {text}}}}}");
        let texts = [
            families("{zed: {processes: [{exe: [za, zb]}, {exe: zc}]}, codex: {confirm: 3}}"),
            families("{zed: {mode: enforce, processes: [{exe: zd, environment: A=b}]}}"),
            families("{claude: {mode: off}, alone: {processes: [{exe: my-alone}]}}"),
        ];
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let origins = compile(&texts).unwrap().origins.into_iter();
        let before = "policies.orphan_process.families.";
        let origins = origins.filter_map(|o| o.to_string().strip_prefix(before).map(str::to_owned));
        assert_eq!(
            origins.collect::<Vec<_>>().join("\n"),
            "claude.mode: off  # 2.yaml:1
codex.mode: observe  # built-in default
codex.confirm: 3  # 0.yaml:1
gemini.mode: observe  # built-in default
opencode.mode: observe  # built-in default
alone.mode: observe  # built-in default
alone.processes[0].exe: my-alone  # 2.yaml:1
zed.mode: enforce  # 1.yaml:1
zed.processes[0].exe: zd  # 1.yaml:1
zed.processes[0].environment: A=b  # 1.yaml:1"
        );
    }
}
