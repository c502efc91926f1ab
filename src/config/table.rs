//! The table of every key: the one place that says what may stand in a configuration.
//!
//! The walk over a file, the built-in default and the schema for editors all come from here.

use super::bounds::{
    AGENT_AGE, COOLDOWN, DOWN_AFTER, GAP, GIVE_UP, HELD_AFTER, HUNG_AFTER, INTERVAL, KEEP,
    LEAK_AFTER, LOCK_AGE, LOOKS, MEMORY, PER_HOUR, PER_PASS, POSITION, STALE_AFTER, START_GRACE,
    STARTS, TASK_AFTER, TERM_WAIT, TREE_AGE, ZOMBIES,
};
use super::keys::{Key, Kind};

const MODES: &[&str] = &["off", "observe", "enforce"];
const MODE_DOC: &str = "How far it may go: off, observe (report only) or enforce (repair).";
const LANE_REPAIRS: &[&str] = &["settle", "abort", "recover", "reset", "new"];
const RUN_REPAIRS: &[&str] = &["abort", "steer", "recover", "reset", "new"];
const LOCK_REPAIRS: &[&str] = &["abort", "steer", "reset", "new"];
const TELL_DOC: &str = "Whether one line in the chat says what was stopped and why.";
const HUNG_DOC: &str = "How long nothing of the run must have moved.";
const PARTS: &[&str] = &["adapter", "agent", "wrapper"];

/// What holds without any file in sections under a name: the families that are known.
pub(super) const NAMED: &[(&str, &str)] = &[
    ("policies.orphan_process.families.claude.mode", "enforce"),
    ("policies.orphan_process.families.codex.mode", "observe"),
    ("policies.orphan_process.families.gemini.mode", "observe"),
    ("policies.orphan_process.families.opencode.mode", "observe"),
];

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
        "gateway.url",
        Kind::Url,
        None,
        "Where it listens; by default found the way the gateway's own clients find it.",
    ),
    key(
        "gateway.token_file",
        Kind::File,
        None,
        "A file with its token; by default the token is found the way the gateway finds it.",
    ),
    key("gateway.token_env", Kind::Name, None, "A variable with its token."),
    key("gateway.password_file", Kind::File, None, "A file with its password, if it has one."),
    key("gateway.password_env", Kind::Name, None, "A variable with its password."),
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
        "Most actions in an hour, restarts included; what was gone or had changed does not count.",
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
        Kind::Choices(LANE_REPAIRS),
        Some("[settle]"),
        "What may be done; settle writes the end of the dead run, nothing else. The others ask the gateway.",
    ),
    key(
        "policies.stale_lane.silence",
        Kind::Choice(MODES),
        Some("observe"),
        "How far the weakest proof may go: nothing moved for that long, without a restart. Never further than mode.",
    ),
    section("policies.hung_lane", "A run is alive and makes no progress."),
    key("policies.hung_lane.mode", Kind::Choice(MODES), Some("observe"), MODE_DOC),
    key("policies.hung_lane.after", Kind::Duration(HUNG_AFTER), Some("30m"), HUNG_DOC),
    key(
        "policies.hung_lane.repair",
        Kind::Choices(RUN_REPAIRS),
        Some("[abort]"),
        "What the gateway may be asked to do, what costs least first; reset and new cost the context.",
    ),
    key("policies.hung_lane.tell", Kind::Flag, Some("false"), TELL_DOC),
    section("policies.dead_lock", "A transcript lock whose holder is dead."),
    key("policies.dead_lock.mode", Kind::Choice(MODES), Some("enforce"), MODE_DOC),
    key(
        "policies.dead_lock.min_age",
        Kind::Duration(LOCK_AGE),
        Some("30s"),
        "How old the lock must be.",
    ),
    section("policies.held_lock", "A transcript lock that the live gateway holds for too long."),
    key("policies.held_lock.mode", Kind::Choice(MODES), Some("observe"), MODE_DOC),
    key(
        "policies.held_lock.after",
        Kind::Duration(HELD_AFTER),
        Some("20m"),
        "How long it must have been held; never less than the gateway's own limit.",
    ),
    key(
        "policies.held_lock.repair",
        Kind::Choices(LOCK_REPAIRS),
        Some("[abort]"),
        "What the gateway may be asked to do to the lane that owns it, what costs least first.",
    ),
    key("policies.held_lock.tell", Kind::Flag, Some("false"), TELL_DOC),
    section("policies.orphan_process", "Agent processes that nobody can reach any more."),
    key(
        "policies.orphan_process.mode",
        Kind::Choice(MODES),
        Some("enforce"),
        "How far it may go, whatever the family: off, observe (report only) or enforce (repair).",
    ),
    key(
        "policies.orphan_process.min_age",
        Kind::Duration(AGENT_AGE),
        Some("2m"),
        "How old a process must be.",
    ),
    key(
        "policies.orphan_process.term_wait",
        Kind::Duration(TERM_WAIT),
        Some("10s"),
        "How long a tree has to end by itself, after it was told to, before it is killed.",
    ),
    section(
        "policies.orphan_process.families",
        "Which processes are agents: claude, codex, gemini, opencode, and families of your own.",
    ),
    section(
        "policies.orphan_process.families.{}",
        "What is different for a family; one of your own also says which its processes are.",
    ),
    key(
        "policies.orphan_process.families.{}.mode",
        Kind::Choice(MODES),
        Some("observe"),
        "How far it may go for this family. Never further than the policy's mode.",
    ),
    key(
        "policies.orphan_process.families.{}.min_age",
        Kind::Duration(AGENT_AGE),
        None,
        "How old a process must be; by default as for every family.",
    ),
    key(
        "policies.orphan_process.families.{}.term_wait",
        Kind::Duration(TERM_WAIT),
        None,
        "How long a tree has to end by itself; by default as for every family.",
    ),
    key(
        "policies.orphan_process.families.{}.confirm",
        Kind::Count(LOOKS),
        None,
        "How many looks must agree, if that is more than confirm.looks.",
    ),
    required(
        "policies.orphan_process.families.{}.processes",
        Kind::Processes,
        "How its processes are recognised, beside what is known of a known family.",
    ),
    required(
        "policies.orphan_process.families.{}.processes[].exe",
        Kind::Programs,
        "The file name of the executable, or a list of them; the real one, not a link to it.",
    ),
    key(
        "policies.orphan_process.families.{}.processes[].argument",
        Kind::Ending,
        None,
        "What the argument must be, or end with after a slash.",
    ),
    key(
        "policies.orphan_process.families.{}.processes[].position",
        Kind::Count(POSITION),
        Some("1"),
        "Which argument that is; 0 is the program's name as the process shows it.",
    ),
    key(
        "policies.orphan_process.families.{}.processes[].part",
        Kind::Choice(PARTS),
        Some("adapter"),
        "Whether it speaks with the gateway (adapter), with a model (agent) or starts the adapter (wrapper).",
    ),
    key(
        "policies.orphan_process.families.{}.processes[].environment",
        Kind::Variable,
        None,
        "A variable that it must have; others are somebody's own.",
    ),
    section(
        "policies.leaked_process",
        "Agent processes of a closed session that still hang on the live gateway.",
    ),
    key("policies.leaked_process.mode", Kind::Choice(MODES), Some("observe"), MODE_DOC),
    key(
        "policies.leaked_process.after",
        Kind::Duration(LEAK_AFTER),
        Some("10m"),
        "How long ago the session must have been closed.",
    ),
    section("policies.runaway_agent", "Agent processes that use more than they should."),
    key("policies.runaway_agent.mode", Kind::Choice(MODES), Some("observe"), MODE_DOC),
    key(
        "policies.runaway_agent.cpu",
        Kind::Limit(&Kind::Cpu),
        Some("90% for 15m"),
        "Most processor time of one process, in percent of one processor.",
    ),
    key(
        "policies.runaway_agent.memory",
        Kind::Limit(&Kind::Memory(MEMORY)),
        Some("2GiB"),
        "Most memory of one tree.",
    ),
    key(
        "policies.runaway_agent.age",
        Kind::Limit(&Kind::Duration(TREE_AGE)),
        Some("off"),
        "Greatest age of one tree.",
    ),
    section(
        "policies.zombie_task",
        "Background tasks that nothing works on any more. Nothing is done about them by itself.",
    ),
    key(
        "policies.zombie_task.mode",
        Kind::Choice(&["off", "observe"]),
        Some("observe"),
        "Whether they are looked at: off or observe (report only).",
    ),
    key(
        "policies.zombie_task.after",
        Kind::Duration(TASK_AFTER),
        Some("30m"),
        "How long nothing must have been heard of a task, or its end not have been told.",
    ),
    section(
        "policies.gateway_health",
        "The gateway itself is not well. Nothing is ever done about it.",
    ),
    key(
        "policies.gateway_health.mode",
        Kind::Choice(&["off", "observe"]),
        Some("observe"),
        "Whether it is looked at: off or observe (report only).",
    ),
    key(
        "policies.gateway_health.after",
        Kind::Duration(DOWN_AFTER),
        Some("2m"),
        "How long it must have been down, deaf, late or unwilling to speak; beyond start_grace also for a start.",
    ),
    key(
        "policies.gateway_health.starts",
        Kind::Count(STARTS),
        Some("3"),
        "More starts than this in 15 minutes are a crash loop.",
    ),
    key(
        "policies.gateway_health.zombies",
        Kind::Count(ZOMBIES),
        Some("50"),
        "More children that ended and were not reaped than this are too many.",
    ),
    section(
        "policies.tombstone",
        "To whom the conversations of ACP agents belong, recorded before the gateway forgets it.",
    ),
    key(
        "policies.tombstone.mode",
        Kind::Choice(MODES),
        Some("enforce"),
        "Whether it is recorded: off, observe (report only) or enforce.",
    ),
    key(
        "overrides",
        Kind::Overrides,
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
    section("overrides[].hung_lane", "What is different for them."),
    key("overrides[].hung_lane.mode", Kind::Choice(MODES), None, MODE_DOC),
    key("overrides[].hung_lane.after", Kind::Duration(HUNG_AFTER), None, HUNG_DOC),
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
