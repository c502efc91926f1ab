//! What the user may set about each policy. Checked before it gets here; see `config`.

use std::time::Duration;

use crate::model::{Family, Mode, Rung, SessionKey};

use super::LanePattern;

/// The settings of every policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Policies {
    /// A row says `running`, and no run is alive.
    pub stale_lane: StaleLane,
    /// A transcript lock whose holder is dead.
    pub dead_lock: DeadLock,
    /// Agent processes that nobody can reach any more.
    pub orphan_process: OrphanProcess,
    /// Agent processes of a closed session that still hang on the live gateway.
    pub leaked_process: LeakedProcess,
    /// Agent processes that use more than they should.
    pub runaway_agent: RunawayAgent,
    /// A run is alive and makes no progress.
    pub hung_lane: HungLane,
    /// The live gateway holds a transcript lock for too long.
    pub held_lock: HeldLock,
    /// Background tasks that nothing works on any more.
    pub zombie_task: ZombieTask,
    /// The gateway itself is not well.
    pub gateway_health: GatewayHealth,
    /// To whom backing sessions belong.
    pub tombstone: Tombstone,
    /// Exceptions for some lanes, in the order in which they apply.
    pub overrides: Vec<Override>,
}

impl Policies {
    /// Returns the settings of `hung_lane` for one lane: every override that matches, applied in
    /// order.
    #[must_use]
    pub fn hung_lane_for(&self, key: &SessionKey) -> HungLane {
        let mut settings = self.hung_lane.clone();
        let matching = self.overrides.iter().filter(|entry| entry.lane.matches(key));
        for change in matching.filter_map(|entry| entry.hung_lane) {
            settings.mode = change.mode.unwrap_or(settings.mode);
            settings.after = change.after.unwrap_or(settings.after);
        }
        settings
    }

    /// Returns the settings of `held_lock` for the lock of one lane. What an override says of
    /// `hung_lane` holds for it, too, as both end the same run: its mode goes no further, and where that
    /// is off, nothing is repaired.
    #[must_use]
    pub fn held_lock_for(&self, key: &SessionKey) -> HeldLock {
        let mut settings = self.held_lock.clone();
        let matching = self.overrides.iter().filter(|entry| entry.lane.matches(key));
        let mut modes = matching.rev().filter_map(|entry| entry.hung_lane?.mode);
        match modes.next() {
            Some(Mode::Off) => settings.repair.clear(),
            Some(mode) => settings.mode = lesser(settings.mode, mode),
            None => {}
        }
        settings
    }

    /// Returns the settings of `stale_lane` for one lane: every override that matches, applied
    /// in order. Its `silence` never goes further than its `mode`.
    #[must_use]
    pub fn stale_lane_for(&self, key: &SessionKey) -> StaleLane {
        let mut settings = self.stale_lane.clone();
        let matching = self.overrides.iter().filter(|entry| entry.lane.matches(key));
        for change in matching.filter_map(|entry| entry.stale_lane.as_ref()) {
            settings.mode = change.mode.unwrap_or(settings.mode);
            settings.after = change.after.unwrap_or(settings.after);
            settings.silence = change.silence.unwrap_or(settings.silence);
        }
        settings.silence = lesser(settings.silence, settings.mode);
        settings
    }
}

/// Settings of the policy `stale_lane`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StaleLane {
    /// How far the policy may go.
    pub mode: Mode,
    /// How long the run of a row must have been under way, from its `startedAt`.
    pub after: Duration,
    /// What may be done, in the order in which it is tried. Empty: only reported.
    pub repair: Vec<LaneRepair>,
    /// How far the proof by silence may go: nothing of the run moved for `after`, without a
    /// restart of the gateway in between. The weakest proof, so it has its own switch.
    pub silence: Mode,
}

/// A repair of a lane.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LaneRepair {
    /// Write the end of the dead run into its row, nothing else.
    Settle,
    /// Ask the gateway.
    Ask(Rung),
}

/// Settings of the policy `dead_lock`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DeadLock {
    /// How far the policy may go.
    pub mode: Mode,
    /// How old a lock must be.
    pub min_age: Duration,
}

/// Settings of the policy `orphan_process`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrphanProcess {
    /// How far the policy may go, whatever the family.
    pub mode: Mode,
    /// How old a process must be.
    pub min_age: Duration,
    /// How long a tree has after SIGTERM before SIGKILL.
    pub term_wait: Duration,
    /// Which processes are agents, and what is different for some of them. Also what the other
    /// policies about processes go by.
    pub families: Vec<FamilyRule>,
}

impl OrphanProcess {
    /// Returns the settings for one family, its mode never further than that of the policy;
    /// `None` for a family that is not there.
    #[must_use]
    pub fn family(&self, name: &str) -> Option<FamilySettings> {
        let rule = self.families.iter().find(|rule| rule.family.name == name)?;
        Some(FamilySettings {
            mode: lesser(rule.mode, self.mode),
            min_age: rule.min_age.unwrap_or(self.min_age),
            term_wait: rule.term_wait.unwrap_or(self.term_wait),
            looks: rule.looks,
        })
    }
}

/// A family of agents, and what is different for it. `None`: as in general.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FamilyRule {
    /// Which processes are of it.
    pub family: Family,
    /// How far the policy may go.
    pub mode: Mode,
    /// How old a process must be.
    pub min_age: Option<Duration>,
    /// How long a tree has after SIGTERM before SIGKILL.
    pub term_wait: Option<Duration>,
    /// How many looks must agree, if that is more than in general.
    pub looks: Option<u32>,
}

/// What holds for one family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FamilySettings {
    /// How far the policy may go.
    pub mode: Mode,
    /// How old a process must be.
    pub min_age: Duration,
    /// How long a tree has after SIGTERM before SIGKILL.
    pub term_wait: Duration,
    /// How many looks must agree, if that is more than in general.
    pub looks: Option<u32>,
}

/// Settings of the policy `leaked_process`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LeakedProcess {
    /// How far the policy may go.
    pub mode: Mode,
    /// How long ago the session must have been closed.
    pub after: Duration,
}

/// Settings of the policy `runaway_agent`. A limit that is `None` is not set.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RunawayAgent {
    /// How far the policy may go.
    pub mode: Mode,
    /// Most processor time of one process.
    pub cpu: Option<CpuLimit>,
    /// Most memory of one tree, in bytes.
    pub memory: Option<u64>,
    /// Greatest age of one tree.
    pub age: Option<Duration>,
}

/// Settings of the policy `hung_lane`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HungLane {
    /// How far the policy may go.
    pub mode: Mode,
    /// How long nothing of the run must have moved.
    pub after: Duration,
    /// What may be done, in the order in which it is tried. Empty: only reported.
    pub repair: Vec<Rung>,
    /// Whether the chat is told what was stopped and why.
    pub tell: bool,
}

/// Settings of the policy `held_lock`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeldLock {
    /// How far the policy may go.
    pub mode: Mode,
    /// How long the lock must have been held.
    pub after: Duration,
    /// What may be done to the lane that owns it, in the order in which it is tried. Empty: only
    /// reported.
    pub repair: Vec<Rung>,
    /// Whether the chat is told what was stopped and why.
    pub tell: bool,
}

/// Settings of the policy `zombie_task`, which changes nothing by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ZombieTask {
    /// Whether it is looked at.
    pub mode: Mode,
    /// How long nothing must have been heard of a task, or its end not have been told.
    pub after: Duration,
}

/// Settings of the policy `gateway_health`, which never changes anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GatewayHealth {
    /// Whether it is looked at.
    pub mode: Mode,
    /// How long it must have been down, deaf, late or unwilling to speak.
    pub after: Duration,
    /// How many starts in 15 minutes are not yet a crash loop.
    pub starts: u32,
    /// How many children that nobody reaped are not yet too many.
    pub zombies: u32,
}

/// Settings of the policy `tombstone`, which changes nothing but our own state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tombstone {
    /// Whether it is looked at, and recorded.
    pub mode: Mode,
}

/// A bound on processor time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CpuLimit {
    /// Percent of one processor.
    pub percent: u32,
    /// For how long without a break.
    pub over: Duration,
}

/// Other settings for the lanes that match.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Override {
    /// Which lanes.
    pub lane: LanePattern,
    /// What is different for them; `None`: nothing.
    pub stale_lane: Option<StaleLaneOverride>,
    /// What is different for them; `None`: nothing.
    pub hung_lane: Option<HungLaneOverride>,
}

/// Other settings of `stale_lane`. `None` leaves what was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct StaleLaneOverride {
    /// How far the policy may go.
    pub mode: Option<Mode>,
    /// How long the run must have been under way.
    pub after: Option<Duration>,
    /// How far the proof by silence may go.
    pub silence: Option<Mode>,
}

/// Other settings of `hung_lane`. `None` leaves what was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct HungLaneOverride {
    /// How far the policy may go.
    pub mode: Option<Mode>,
    /// How long nothing of the run must have moved.
    pub after: Option<Duration>,
}

fn lesser(a: Mode, b: Mode) -> Mode {
    match (a, b) {
        (Mode::Off, _) | (_, Mode::Off) => Mode::Off,
        (Mode::Observe, _) | (_, Mode::Observe) => Mode::Observe,
        (Mode::Enforce, Mode::Enforce) => Mode::Enforce,
    }
}

/// The shipped defaults, for tests of this crate.
#[cfg(test)]
pub(crate) fn sample() -> Policies {
    let rule = |family: Family| {
        let mode = if family.name == "claude" { Mode::Enforce } else { Mode::Observe };
        FamilyRule { family, mode, min_age: None, term_wait: None, looks: None }
    };
    Policies {
        stale_lane: StaleLane {
            mode: Mode::Enforce,
            after: Duration::from_secs(1_200),
            repair: vec![LaneRepair::Settle],
            silence: Mode::Observe,
        },
        dead_lock: DeadLock { mode: Mode::Enforce, min_age: Duration::from_secs(30) },
        orphan_process: OrphanProcess {
            mode: Mode::Enforce,
            min_age: Duration::from_secs(120),
            term_wait: Duration::from_secs(10),
            families: super::families::built_in().into_iter().map(rule).collect(),
        },
        leaked_process: LeakedProcess { mode: Mode::Observe, after: Duration::from_secs(600) },
        runaway_agent: RunawayAgent {
            mode: Mode::Observe,
            cpu: Some(CpuLimit { percent: 90, over: Duration::from_secs(900) }),
            memory: Some(2 << 30),
            age: None,
        },
        hung_lane: HungLane {
            mode: Mode::Observe,
            after: Duration::from_secs(1_800),
            repair: vec![Rung::Abort],
            tell: false,
        },
        held_lock: HeldLock {
            mode: Mode::Observe,
            after: Duration::from_secs(1_200),
            repair: vec![Rung::Abort],
            tell: false,
        },
        zombie_task: ZombieTask { mode: Mode::Observe, after: Duration::from_secs(1_800) },
        gateway_health: GatewayHealth {
            mode: Mode::Observe,
            after: Duration::from_secs(120),
            starts: 3,
            zombies: 50,
        },
        tombstone: Tombstone { mode: Mode::Enforce },
        overrides: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_lane_without_override_has_the_general_settings() {
        let policies = policies(vec![after("agent:*:cron:*", HOUR)]);
        assert_eq!(policies.stale_lane_for(&"agent:main:main".into()), policies.stale_lane);
    }

    #[test]
    fn every_matching_override_applies_and_the_last_wins() {
        let silent = StaleLaneOverride { silence: Some(Mode::Off), ..Default::default() };
        let silent =
            Override { lane: LanePattern::new("*"), stale_lane: Some(silent), hung_lane: None };
        let policies =
            policies(vec![after("agent:*", HOUR), silent, after("agent:*:cron:*", 2 * HOUR)]);
        let cron = policies.stale_lane_for(&"agent:main:cron:1".into());
        assert_eq!((cron.after, cron.silence, cron.mode), (2 * HOUR, Mode::Off, Mode::Enforce));
        assert_eq!(policies.stale_lane_for(&"agent:main:main".into()).after, HOUR);
    }

    #[test]
    fn hung_lane_has_overrides_of_its_own() {
        let change = |mode, after| Override {
            lane: LanePattern::new("agent:*:cron:*"),
            stale_lane: None,
            hung_lane: Some(HungLaneOverride { mode, after }),
        };
        let policies = policies(vec![
            change(None, Some(HOUR)),
            change(Some(Mode::Off), None),
            after("agent:*", 2 * HOUR),
        ]);
        let cron = policies.hung_lane_for(&"agent:main:cron:1".into());
        assert_eq!((cron.mode, cron.after), (Mode::Off, HOUR));
        assert_eq!(policies.hung_lane_for(&"agent:main:main".into()), policies.hung_lane);
    }

    #[test]
    fn silence_goes_no_further_than_the_policy() {
        let mut policies = policies(Vec::new());
        policies.stale_lane.silence = Mode::Enforce;
        for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
            policies.stale_lane.mode = mode;
            assert_eq!(policies.stale_lane_for(&"agent:main:main".into()).silence, mode);
        }
    }

    fn after(lane: &str, after: Duration) -> Override {
        let change = StaleLaneOverride { after: Some(after), ..Default::default() };
        Override { lane: LanePattern::new(lane), stale_lane: Some(change), hung_lane: None }
    }

    fn policies(overrides: Vec<Override>) -> Policies {
        Policies { overrides, ..sample() }
    }
}
