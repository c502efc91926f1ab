//! What numbers and times are allowed, and why no others.

use std::time::Duration;

use super::limit::Bytes;

/// The least and the greatest allowed value, each with its reason.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<T> {
    pub(super) least: T,
    /// Why nothing below.
    pub(super) below: &'static str,
    /// The least value under `allow_short: true`, for tests only.
    pub(super) short: T,
    pub(super) most: T,
    /// Why nothing above.
    pub(super) above: &'static str,
}

/// Beyond a month of waiting, a policy is switched off in all but name.
const NEVER: &str = "so long a wait never ends; write `mode: off`";

/// Pause between two looks.
pub(super) const INTERVAL: Bounds<Duration> = Bounds {
    least: Duration::from_secs(1),
    below: "each pass reads the process table",
    short: Duration::from_millis(10),
    most: Duration::from_hours(1),
    above: "what no event announces is only found by this look",
};

/// Looks that must agree.
pub(super) const LOOKS: Bounds<u32> = Bounds {
    least: 1,
    below: "nothing can be judged unseen",
    short: 1,
    most: 100,
    above: "so many looks never end",
};

/// Time between two of them.
pub(super) const GAP: Bounds<Duration> = Bounds {
    least: Duration::from_secs(1),
    below: "two looks at the same moment prove no more than one",
    short: Duration::ZERO,
    most: Duration::from_hours(1),
    above: "so long a wait never confirms anything",
};

/// Gateways from 2026.5.7 on begin to recover 5 s after their start and retry; 300 s is the
/// least grace that covers it.
pub(super) const START_GRACE: Bounds<Duration> = Bounds {
    least: Duration::from_mins(5),
    below: "until then the gateway's own restart recovery is at work",
    short: Duration::ZERO,
    most: Duration::from_hours(24),
    above: "a gateway that restarts daily would never be repaired",
};

/// Actions in one pass.
pub(super) const PER_PASS: Bounds<u32> = Bounds {
    least: 1,
    below: "to do nothing, write `mode: observe`",
    short: 1,
    most: 100,
    above: "a pass that wants more is more likely wrong than right",
};

/// Actions in one hour.
pub(super) const PER_HOUR: Bounds<u32> = Bounds {
    least: 1,
    below: "to do nothing, write `mode: observe`",
    short: 1,
    most: 1_000,
    above: "a gateway that needs more is past repair",
};

/// Rest of a subject after an action.
pub(super) const COOLDOWN: Bounds<Duration> = Bounds {
    least: Duration::from_mins(1),
    below: "an effect needs time to show, and a repair must not fight the gateway",
    short: Duration::ZERO,
    most: Duration::from_hours(7 * 24),
    above: "a fault that comes back would be left alone for over a week",
};

/// Repairs that did not last.
pub(super) const GIVE_UP: Bounds<u32> = Bounds {
    least: 1,
    below: "to do nothing, write `mode: observe`",
    short: 1,
    most: 100,
    above: "a repair that failed so often does not help",
};

/// Life of a journal entry.
pub(super) const KEEP: Bounds<Duration> = Bounds {
    least: Duration::from_hours(24),
    below: "limits, cool-downs and `undo` are read from the journal",
    short: Duration::from_secs(1),
    most: Duration::from_hours(3_650 * 24),
    above: "it would grow without end",
};

/// A run between two model calls can be silent for minutes.
pub(super) const STALE_AFTER: Bounds<Duration> = Bounds {
    least: Duration::from_mins(5),
    below: "a younger run may still be reported by the gateway itself",
    short: Duration::ZERO,
    most: Duration::from_hours(30 * 24),
    above: NEVER,
};

/// A compaction may take 15 min, and 2 min to settle; nothing of the run moves meanwhile.
pub(super) const HUNG_AFTER: Bounds<Duration> = Bounds {
    least: Duration::from_mins(17),
    below: "a healthy compaction may take as long",
    short: Duration::ZERO,
    most: Duration::from_hours(30 * 24),
    above: NEVER,
};

/// Gateways up to 2026.5.28 allow 17 min where their lock does not say; then theirs has failed.
pub(super) const HELD_AFTER: Bounds<Duration> = Bounds {
    least: Duration::from_mins(18),
    below: "until then the gateway may release it by itself",
    short: Duration::ZERO,
    most: Duration::from_hours(30 * 24),
    above: NEVER,
};

/// A gateway takes 10 to 60 s to start, and up to 4 min on a cold host.
pub(super) const DOWN_AFTER: Bounds<Duration> = Bounds {
    least: Duration::from_secs(40),
    below: "a restart takes as long",
    short: Duration::ZERO,
    most: Duration::from_hours(24),
    above: NEVER,
};

/// Starts of the gateway in a quarter of an hour.
pub(super) const STARTS: Bounds<u32> = Bounds {
    least: 2,
    below: "one start is none too many",
    short: 2,
    most: 30,
    above: "a gateway cannot start so often",
};

/// Children that nobody reaped.
pub(super) const ZOMBIES: Bounds<u32> = Bounds {
    least: 1,
    below: "no gateway has fewer",
    short: 1,
    most: 10_000,
    above: "the host runs out of process ids first",
};

/// The gateway creates the file and writes its pid in two steps; a few seconds cover a
/// process that was paused in between.
pub(super) const LOCK_AGE: Bounds<Duration> = Bounds {
    least: Duration::from_secs(5),
    below: "a younger lock may still be being written",
    short: Duration::ZERO,
    most: Duration::from_hours(24),
    above: NEVER,
};

/// Until then a gateway may still be starting it: a lease has no pid before the spawn, and an
/// adapter needs 3 to 6 s (measured).
pub(super) const AGENT_AGE: Bounds<Duration> = Bounds {
    least: Duration::from_mins(1),
    below: "a gateway may still be starting it",
    short: Duration::ZERO,
    most: Duration::from_hours(30 * 24),
    above: NEVER,
};

/// An idle tree ends within 3 s; one at work writes its files first (measured).
pub(super) const TERM_WAIT: Bounds<Duration> = Bounds {
    least: Duration::from_secs(1),
    below: "an agent that is told to end writes its files first",
    short: Duration::from_millis(10),
    most: Duration::from_mins(2),
    above: "nothing else is repaired while one tree is waited for",
};

/// Where an argument stands. Interpreters take their script behind an option or two.
pub(super) const POSITION: Bounds<u32> = Bounds {
    least: 0,
    below: "0 is the program's name",
    short: 0,
    most: 8,
    above: "so far behind, an argument says no more what the process is",
};

/// Since a session was closed.
pub(super) const LEAK_AFTER: Bounds<Duration> = Bounds {
    least: Duration::from_mins(1),
    below: "the gateway may still be ending it",
    short: Duration::ZERO,
    most: Duration::from_hours(30 * 24),
    above: NEVER,
};

/// Nothing heard of a task.
pub(super) const TASK_AFTER: Bounds<Duration> = Bounds {
    least: Duration::from_mins(5),
    below: "the gateway itself looks through its tasks every minute",
    short: Duration::ZERO,
    most: Duration::from_hours(30 * 24),
    above: NEVER,
};

/// No limit at all is written so.
const NO_LIMIT: &str = "for no limit, write `off`";

/// Percent of one processor.
pub(super) const CPU_SHARE: Bounds<u32> = Bounds {
    least: 1,
    below: "an idle agent uses that much",
    short: 1,
    most: 6_400,
    above: NO_LIMIT,
};

/// A healthy turn can keep a processor busy for seconds.
pub(super) const CPU_OVER: Bounds<Duration> = Bounds {
    least: Duration::from_mins(1),
    below: "a healthy turn can be busy for as long",
    short: Duration::ZERO,
    most: Duration::from_hours(24),
    above: NO_LIMIT,
};

/// An adapter alone has 75 to 126 MB, its agent 165 to 210 MB (measured), so the floor is below
/// whatever is of use.
pub(super) const MEMORY: Bounds<Bytes> = Bounds {
    least: Bytes(64 << 20),
    below: "every healthy agent uses more",
    short: Bytes(64 << 20),
    most: Bytes(1 << 40),
    above: NO_LIMIT,
};

/// A session can be worked in for days.
pub(super) const TREE_AGE: Bounds<Duration> = Bounds {
    least: Duration::from_hours(1),
    below: "a healthy agent may be at work for as long",
    short: Duration::ZERO,
    most: Duration::from_hours(365 * 24),
    above: NO_LIMIT,
};
