//! The table of every key: the one place that says what may stand in a configuration.
//!
//! The walk over a file, the built-in default and the schema for editors all come from here.

use std::time::Duration;

use super::bounds::{
    Bounds, COOLDOWN, GAP, GIVE_UP, INTERVAL, KEEP, LOCK_AGE, LOOKS, PER_HOUR, PER_PASS,
    STALE_AFTER, START_GRACE,
};

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its path. An item of a list is `[]`.
    pub(super) path: &'static str,
    /// What may stand there.
    pub(super) kind: Kind,
    /// What holds without it, as one would write it. `None`: nothing, or found out at run time.
    pub(super) default: Option<&'static str>,
    /// True if its section makes no sense without it.
    pub(super) is_required: bool,
    /// What it means, in one line.
    pub(super) doc: &'static str,
}

impl Key {
    /// Returns the last part of the path.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    fn parent(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }
}

/// What may stand under a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Fixed keys.
    Section,
    /// A list of sections.
    Sections,
    /// A duration with a unit.
    Duration(Bounds<Duration>),
    /// A whole number.
    Count(Bounds<u32>),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words, each at most once.
    Choices(&'static [&'static str]),
    /// An absolute folder, or one below the home directory.
    Folder,
    /// A glob over session keys.
    Lanes,
}

/// Returns the key of that path; items of lists are written `[]`.
#[cfg(test)]
pub(super) fn named(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Returns the keys of one section, in their order. The file itself is the section "".
pub(super) fn within(section: &str) -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().filter(move |key| key.parent() == section)
}

const MODES: &[&str] = &["off", "observe", "enforce"];
const MODE_DOC: &str = "How far it may go: off, observe (report only) or enforce (repair).";

/// Every key, in the order of the documented file.
pub(super) const KEYS: &[Key] = &[
    section("gateway", "The gateway to watch."),
    key(
        "gateway.state_dir",
        Kind::Folder,
        None,
        "Its state directory; by default found the way the gateway finds it.",
    ),
    key(
        "interval",
        Kind::Duration(INTERVAL),
        Some("30s"),
        "How often to look when no event says so.",
    ),
    section("confirm", "How sure one must be where one look proves too little."),
    key("confirm.looks", Kind::Count(LOOKS), Some("2"), "How many looks must agree."),
    key("confirm.gap", Kind::Duration(GAP), Some("10s"), "Least time between two of these looks."),
    key(
        "start_grace",
        Kind::Duration(START_GRACE),
        Some("6m"),
        "After a gateway start, a resume from sleep or a clock step: look, do not act.",
    ),
    key(
        "allow_short",
        Kind::Flag,
        Some("false"),
        "For tests only: allows times below their floors.",
    ),
    section("limits", "How much may be done."),
    key("limits.actions_per_pass", Kind::Count(PER_PASS), Some("5"), "Most actions in one pass."),
    key(
        "limits.actions_per_hour",
        Kind::Count(PER_HOUR),
        Some("30"),
        "Most actions in an hour, restarts included.",
    ),
    key(
        "limits.cooldown",
        Kind::Duration(COOLDOWN),
        Some("15m"),
        "How long a subject is left alone after an action on it.",
    ),
    key(
        "limits.give_up_after",
        Kind::Count(GIVE_UP),
        Some("3"),
        "After so many repairs that did not last, a subject is left to you.",
    ),
    section("journal", "The record of what was done."),
    key("journal.keep", Kind::Duration(KEEP), Some("90d"), "How long entries are kept."),
    section("policies", "What is looked for, and how far each repair may go."),
    section("policies.stale_lane", "A session says it is running, and no run is alive."),
    key("policies.stale_lane.mode", Kind::Choice(MODES), Some("enforce"), MODE_DOC),
    key(
        "policies.stale_lane.after",
        Kind::Duration(STALE_AFTER),
        Some("20m"),
        "How long the run must have been under way.",
    ),
    key(
        "policies.stale_lane.repair",
        Kind::Choices(&["settle"]),
        Some("[settle]"),
        "What may be done; settle writes the end of the dead run, nothing else.",
    ),
    key(
        "policies.stale_lane.silence",
        Kind::Choice(MODES),
        Some("observe"),
        "How far the weakest proof may go: nothing moved for that long, without a restart. Never further than mode.",
    ),
    section("policies.dead_lock", "A transcript lock whose holder is dead."),
    key("policies.dead_lock.mode", Kind::Choice(MODES), Some("enforce"), MODE_DOC),
    key(
        "policies.dead_lock.min_age",
        Kind::Duration(LOCK_AGE),
        Some("30s"),
        "How old the lock must be.",
    ),
    key(
        "overrides",
        Kind::Sections,
        Some("[]"),
        "Other settings for some lanes; all that match apply, in order.",
    ),
    required("overrides[].match", Kind::Section, "Which lanes."),
    required(
        "overrides[].match.lane",
        Kind::Lanes,
        "A pattern for session keys; `*` is any run of characters.",
    ),
    section("overrides[].stale_lane", "What is different for them."),
    key("overrides[].stale_lane.mode", Kind::Choice(MODES), None, MODE_DOC),
    key(
        "overrides[].stale_lane.after",
        Kind::Duration(STALE_AFTER),
        None,
        "How long the run must have been under way.",
    ),
    key(
        "overrides[].stale_lane.silence",
        Kind::Choice(MODES),
        None,
        "How far the weakest proof may go. Never further than mode.",
    ),
];

const fn section(path: &'static str, doc: &'static str) -> Key {
    key(path, Kind::Section, None, doc)
}

const fn required(path: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { path, kind, default: None, is_required: true, doc }
}

const fn key(
    path: &'static str,
    kind: Kind,
    default: Option<&'static str>,
    doc: &'static str,
) -> Key {
    Key { path, kind, default, is_required: false, doc }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_distinct_and_every_parent_is_a_section() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..at].iter().all(|other| other.path != key.path), "{}", key.path);
            let parent = key.parent().strip_suffix("[]").unwrap_or(key.parent());
            let is_section =
                named(parent).is_none_or(|key| matches!(key.kind, Kind::Section | Kind::Sections));
            assert!(is_section && (parent.is_empty() || named(parent).is_some()), "{}", key.path);
            assert!(key.doc.ends_with('.'), "{}", key.path);
        }
    }
}
