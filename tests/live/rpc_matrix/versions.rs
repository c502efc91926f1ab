//! What frees a run that hangs, on each version: measured without the code under test.

use std::time::Duration;

use crate::hung::By;
use crate::wait::seconds;

/// What frees such a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cure {
    /// `sessions.abort`.
    Abort,
    /// `sessions.abort` says `no-active-run`; `sessions.steer` interrupts it.
    Steer,
    /// The gateway, when its own deadline has passed.
    Gateway,
    /// `sessions.abort`, which drops what waits behind the run: left to the user, who knows of that.
    Withheld,
    /// Nothing that keeps the conversation.
    Nothing,
    /// Nothing: the gateway does not list such a run while it goes on.
    Unlisted,
}

/// The facts of one version.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) version: &'static str,
    /// How long a run must have been silent before its gateway has had its turn.
    pub(super) own_deadline: Duration,
    chat: Cure,
    agent: Cure,
    cron: Cure,
    /// Whether it resumes interrupted sessions one after the other.
    pub(super) starves: bool,
    /// Whether the tool of one lane may be that of another: its row of a schedule has no start.
    pub(super) mixes_tools: bool,
    /// Whether it asks a silent model again after two minutes, however patient its agents are.
    pub(super) hurries_models: bool,
    /// Whether it asks a provider nothing for ten minutes that says that the quota is used up.
    pub(super) shuns_provider: bool,
}

impl Facts {
    #[track_caller]
    pub(crate) fn of(version: &str) -> &'static Self {
        let facts = ALL.iter().find(|facts| facts.version == version);
        facts.unwrap_or_else(|| panic!("{version}: nothing is known of it"))
    }

    /// What frees a run that began in this way.
    pub(super) fn freed(&self, by: By) -> Cure {
        match by {
            By::Chat => self.chat,
            By::Agent => self.agent,
            By::Cron => self.cron,
        }
    }

    /// Whether its gateway ends whatever hangs, before anybody else may.
    pub(super) fn frees_itself(&self) -> bool {
        [self.chat, self.agent] == [Cure::Gateway; 2]
    }

    /// Whether it lists the run of a schedule while it goes on.
    pub(crate) fn lists_schedules(&self) -> bool {
        self.cron != Cure::Unlisted
    }

    /// Whether the row of a refused run may stay `running`, although nothing runs.
    pub(super) fn leaves_row_of_refused(&self) -> bool {
        self.version == "2026.5.28"
    }

    /// A watchdog that frees whatever it may.
    pub(super) fn config_for_all(&self) -> String {
        self.text("enforce", "enforce")
    }

    /// A watchdog that frees every hung lane but these.
    pub(super) fn config(&self, exceptions: &[&str]) -> String {
        let off: String = exceptions.iter().map(|name| exception(name, "off")).collect();
        let head = if off.is_empty() { "" } else { "overrides:\n" };
        self.text("enforce", "observe") + head + &off
    }

    /// A watchdog that frees the lanes that hold locks, but not those that another one frees.
    pub(super) fn config_for_locks(&self) -> String {
        let others = ["hung-*", "cron:*"].map(|name| exception(name, "off")).concat();
        self.text("off", "enforce") + "overrides:\n" + &others
    }

    /// How old the lock of a run must be before its gateway has had its turn: at least five minutes, and
    /// one more.
    pub(super) fn holds_locks_for(&self) -> Duration {
        self.own_deadline.max(seconds(300 + 60))
    }

    /// How long to wait for what is due after `due` of unbroken listening: on a busy machine a daemon
    /// may lose its gateway, and begin to listen anew.
    pub(super) fn patience(due: Duration) -> Duration {
        due * 2 + seconds(240)
    }

    /// A watchdog that frees this lane, and no other.
    pub(super) fn config_for_one(&self, name: &str) -> String {
        self.text("observe", "off") + "overrides:\n" + &exception(name, "enforce")
    }

    /// A repair that costs a turn is allowed where nothing else helps.
    fn text(&self, hung: &str, held: &str) -> String {
        let repair = if self.agent == Cure::Steer { "[abort, steer]" } else { "[abort]" };
        format!(
            "\
interval: 2s
confirm: {{ looks: 2, gap: 1s }}
start_grace: 5s
allow_short: true
limits: {{ actions_per_pass: 20, actions_per_hour: 500, cooldown: 5s }}
policies:
  stale_lane: {{ mode: observe, after: 20s }}
  dead_lock: {{ mode: enforce, min_age: 1s }}
  hung_lane: {{ mode: {hung}, after: 30s, repair: {repair}, tell: true }}
  held_lock: {{ mode: {held}, after: 30s, repair: [abort] }}
  gateway_health: {{ mode: observe }}
"
        )
    }
}

fn exception(name: &str, mode: &str) -> String {
    format!("  - match: {{ lane: \"agent:main:{name}\" }}\n    hung_lane: {{ mode: {mode} }}\n")
}

/// A silent model is asked twice, 120 s each, and the run then has 15 s to settle.
const MODEL_TWICE: Duration = seconds(2 * 120 + 15);
/// Nothing but the time of a compaction: 30 s as configured by these tests, and 120 s of grace.
const COMPACTION: Duration = seconds(30 + 120);

/// Oldest first.
pub(super) const ALL: [Facts; 7] = [
    Facts {
        version: "2026.3.24",
        own_deadline: COMPACTION,
        chat: Cure::Abort,
        agent: Cure::Steer,
        cron: Cure::Nothing,
        starves: false,
        mixes_tools: false,
        hurries_models: false,
        shuns_provider: false,
    },
    Facts {
        version: "2026.4.15",
        own_deadline: MODEL_TWICE,
        chat: Cure::Abort,
        agent: Cure::Steer,
        cron: Cure::Steer,
        starves: false,
        mixes_tools: false,
        hurries_models: false,
        shuns_provider: false,
    },
    Facts {
        version: "2026.5.7",
        own_deadline: seconds(645),
        chat: Cure::Withheld,
        agent: Cure::Withheld,
        cron: Cure::Unlisted,
        starves: false,
        mixes_tools: false,
        hurries_models: true,
        shuns_provider: false,
    },
    Facts {
        version: "2026.5.28",
        own_deadline: seconds(405),
        chat: Cure::Gateway,
        agent: Cure::Gateway,
        cron: Cure::Unlisted,
        starves: false,
        mixes_tools: false,
        hurries_models: false,
        shuns_provider: false,
    },
    Facts {
        version: "2026.6.11",
        own_deadline: seconds(405),
        chat: Cure::Gateway,
        agent: Cure::Gateway,
        cron: Cure::Unlisted,
        starves: false,
        mixes_tools: false,
        hurries_models: false,
        shuns_provider: false,
    },
    Facts {
        version: "2026.7.1",
        own_deadline: seconds(405),
        chat: Cure::Gateway,
        agent: Cure::Gateway,
        cron: Cure::Unlisted,
        starves: false,
        mixes_tools: false,
        hurries_models: false,
        shuns_provider: false,
    },
    Facts {
        version: "2026.9.6",
        own_deadline: seconds(405),
        chat: Cure::Abort,
        agent: Cure::Abort,
        cron: Cure::Abort,
        starves: true,
        mixes_tools: true,
        hurries_models: false,
        shuns_provider: true,
    },
];
