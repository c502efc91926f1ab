//! What could be written instead.

use super::keys::{self, KEYS, Key, Kind};
use super::nearest::nearest;
use super::value::{meant, one_of, quoted};
use super::written::OFF;

/// Returns the message for a key that a section does not have.
pub(super) fn unknown(section: &str, name: &str) -> String {
    let known = keys::within(section).map(Key::name);
    let elsewhere = || KEYS.iter().find(|key| key.name() == name);
    let near = nearest(name, known.clone()).map(str::to_owned);
    let near = near.or_else(|| elsewhere().map(|key| key.path.replace(keys::ANY, "NAME")));
    format!("unknown key {}, expected {}{}", quoted(name), one_of(known), meant(near))
}

/// Returns something that could be written under that name instead of nothing.
pub(super) fn example(key: &Key, name: &str) -> String {
    let value = match (key.default, key.kind) {
        (Some(default), _) => default.to_owned(),
        (None, Kind::Section) => format!("{{ {} }}", example_within(key, name)),
        (None, Kind::Processes) => "[{ exe: my-agent }]".to_owned(),
        (None, Kind::Programs) => "my-agent".to_owned(),
        (None, Kind::Ending) => "my-agent/dist/index.js".to_owned(),
        (None, Kind::Variable) => "MY_AGENT_KEY".to_owned(),
        (None, Kind::Cpu) => "90% for 15m".to_owned(),
        (None, Kind::Memory(_)) => "2GiB".to_owned(),
        (None, Kind::Limit(_)) => OFF.to_owned(),
        (None, Kind::Folder) => "~/.openclaw".to_owned(),
        (None, Kind::File) => "~/.config/clawarden/token".to_owned(),
        (None, Kind::Url) => "ws://127.0.0.1:18789".to_owned(),
        (None, Kind::Name) => "OPENCLAW_GATEWAY_TOKEN".to_owned(),
        (None, Kind::Lanes) => "\"agent:*:cron:*\"".to_owned(),
        (None, Kind::Duration(_)) => "2h".to_owned(),
        (None, Kind::Choice(words) | Kind::Choices(words)) => words.join(" or "),
        (None, Kind::Count(_)) => "1".to_owned(),
        (None, Kind::Flag) => "false".to_owned(),
        (None, Kind::Overrides) => "[]".to_owned(),
    };
    format!("{name}: {value}")
}

/// Returns what a section could have: what it needs, else its first key.
fn example_within(section: &Key, name: &str) -> String {
    let needs_nothing = section.is_any() && keys::names(section.parent()).any(|n| n == name);
    let mut keys = keys::within(section.path);
    let first = keys.clone().next();
    let needed = keys.find(|key| key.is_required && !needs_nothing);
    needed.or(first).map_or_else(String::new, |key| {
        let known = key.is_any().then(|| keys::names(section.path).next()).flatten();
        example(key, known.unwrap_or(key.name()))
    })
}
