//! Judgements: what to do about one subject, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ActReason, Action, Evidence, HoldReason};

/// A rule, by the name it has everywhere: file, YAML section, journal field, README heading.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// A row says `running`, and no run is alive (#59878).
    StaleLane,
    /// A transcript lock whose holder is dead (#68823, #49603).
    DeadLock,
    /// Agent processes that nobody can reach any more (#68916, #70860).
    OrphanProcess,
    /// Agent processes of a closed session that still hang on the live gateway.
    LeakedProcess,
    /// Agent processes that use more than they should.
    RunawayAgent,
    /// A run is alive and makes no progress (#71127, #92270).
    HungLane,
    /// The live gateway holds a transcript lock for too long (#68823).
    HeldLock,
    /// Background tasks that nothing works on any more, or that are told again and again (#62997).
    ZombieTask,
    /// The gateway itself is not well.
    GatewayHealth,
    /// To whom a backing session belongs, before the gateway forgets it (#87599).
    Tombstone,
}

impl Policy {
    /// Every policy, in the order of their judgement.
    pub const ALL: [Policy; 10] = [
        Policy::Tombstone,
        Policy::DeadLock,
        Policy::StaleLane,
        Policy::HeldLock,
        Policy::HungLane,
        Policy::OrphanProcess,
        Policy::LeakedProcess,
        Policy::RunawayAgent,
        Policy::ZombieTask,
        Policy::GatewayHealth,
    ];

    /// Returns the name used everywhere.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Policy::StaleLane => "stale_lane",
            Policy::DeadLock => "dead_lock",
            Policy::OrphanProcess => "orphan_process",
            Policy::LeakedProcess => "leaked_process",
            Policy::RunawayAgent => "runaway_agent",
            Policy::HungLane => "hung_lane",
            Policy::HeldLock => "held_lock",
            Policy::ZombieTask => "zombie_task",
            Policy::GatewayHealth => "gateway_health",
            Policy::Tombstone => "tombstone",
        }
    }

    /// Returns the policy of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Policy> {
        Policy::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How far a policy may go.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is not asked.
    Off,
    /// It judges and reports, and changes nothing.
    Observe,
    /// It repairs what it has proven.
    Enforce,
}

/// What a verdict is about.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Subject {
    /// Its kind.
    pub kind: SubjectKind,
    /// Lane: session key. Lock: path. Process: `pid@start_ticks`. Task: task id. Gateway: what is
    /// wrong with it, such as `deaf`. Backing session: its id.
    pub id: String,
}

/// The kinds of subjects.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// One session key.
    Lane,
    /// One lock file.
    Lock,
    /// One process, with what is below it.
    Process,
    /// One background task, with all others of the same run.
    Task,
    /// The gateway, in one respect.
    Gateway,
    /// One conversation of an ACP agent.
    BackingSession,
}

impl SubjectKind {
    /// Returns the name used in reports and in the journal.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SubjectKind::Lane => "lane",
            SubjectKind::Lock => "lock",
            SubjectKind::Process => "process",
            SubjectKind::Task => "task",
            SubjectKind::Gateway => "gateway",
            SubjectKind::BackingSession => "backing_session",
        }
    }
}

/// A policy's judgement of one subject.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Verdict {
    /// Who judges.
    pub policy: Policy,
    /// What is judged.
    pub subject: Subject,
    /// Which incarnation of it: everything the judgement rests on, as one short text.
    pub incarnation: String,
    /// Whether the subject looks wrong or nearly wrong. What does not is healthy, and is only
    /// reported on request.
    pub suspect: bool,
    /// How many looks must agree.
    pub looks: Looks,
    /// The judgement.
    pub decision: Decision,
    /// What it rests on.
    pub evidence: Evidence,
}

impl Verdict {
    /// Returns true if it is remembered until the next look: it is wrong or nearly wrong, or it is
    /// something of the gateway that has not lasted for long enough to be said.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        (self.suspect || self.policy == Policy::GatewayHealth) && !self.is_record()
    }

    /// Returns true if it is only to be written down, in our own state.
    #[must_use]
    pub fn is_record(&self) -> bool {
        matches!(self.decision, Decision::Act(Action::Record(_), _))
    }
}

/// How many looks must agree before something is done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Looks {
    /// One proves enough.
    #[default]
    One,
    /// As many as the user wants in general.
    Confirmed,
    /// So many, if that is more than the user wants in general.
    AtLeast(u32),
}

/// Act, or a reason not to. Not acting is a decision too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Proven, and to be repaired.
    Act(Action, ActReason),
    /// Proven, but the policy only observes.
    Observe(Action, ActReason),
    /// Left alone.
    Hold(HoldReason),
}

impl Decision {
    /// Returns the name used in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Decision::Act(..) => "act",
            Decision::Observe(..) => "observe",
            Decision::Hold(_) => "hold",
        }
    }

    /// Returns the stable code of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Decision::Act(_, reason) | Decision::Observe(_, reason) => reason.code(),
            Decision::Hold(reason) => reason.code(),
        }
    }

    /// Returns the reason in words.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Decision::Act(_, reason) | Decision::Observe(_, reason) => reason.to_string(),
            Decision::Hold(reason) => reason.to_string(),
        }
    }
}
