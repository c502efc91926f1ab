//! Everything one pass knows about the world.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{
    AcpSession, AcpxRecord, Agent, Child, ChildRow, EndedTool, Gateway, Host, Lane, Lock, LogSign,
    ProcessId, Rpc, SessionKey, SubagentRun, Task, UnixMillis, Vitals,
};

/// The world at one instant, and what of it could not be seen.
///
/// "No locks" and "the folder was unreadable" are different facts: the second is a gap, and a
/// rule that depends on a part with a gap holds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Snapshot {
    /// When it was taken, by the wall clock (or `CLAWARDEN_NOW`).
    pub taken_at: UnixMillis,
    /// The host.
    pub host: Host,
    /// The gateway of the watched state directory.
    pub gateway: Gateway,
    /// Lanes whose row says `running`, in order of store and position. Others are only counted,
    /// unless the observer was told to keep them.
    pub lanes: Vec<Lane>,
    /// How many rows all stores have together.
    pub lanes_total: usize,
    /// All transcript locks, sorted by path.
    pub locks: Vec<Lock>,
    /// Descendants of the gateway process that are alive, with their start by the wall clock.
    pub gateway_children: Vec<(ProcessId, UnixMillis)>,
    /// Other live OpenClaw processes that may run turns on this state directory, such as
    /// `openclaw agent --local`. Those that provably use another state directory are left out.
    pub other_runners: Vec<(ProcessId, UnixMillis)>,
    /// A running `openclaw update`, `doctor`, `triage` or `migrate`: it rewrites stores itself.
    pub maintenance: Option<ProcessId>,
    /// Child session keys of subagent runs without an end.
    pub open_subagents: BTreeSet<SessionKey>,
    /// Session keys that a queued or running task names; `None` if tasks were not read, because
    /// no lane needed them or because they could not be.
    pub task_lanes: Option<BTreeSet<SessionKey>>,
    /// Processes of agent families, by pid, and what gateways left behind of other kinds.
    pub agents: Vec<Agent>,
    /// What the gateway itself says.
    pub rpc: Rpc,
    /// Live descendants of the gateway, with what they do, by pid. Those of `gateway_children`, where
    /// a rule needs to know more than that they are there.
    pub children: Vec<Child>,
    /// Tools among them that have ended within the last minutes, oldest first.
    pub ended_tools: Vec<EndedTool>,
    /// How the gateway's process is doing.
    pub vitals: Vitals,
    /// What its log says, newest last.
    pub log: Vec<LogSign>,
    /// Sessions of ACP agents, whatever their status, in order of store and key; `None` if they were
    /// not looked for.
    pub acp: Option<Vec<Arc<AcpSession>>>,
    /// The acpx records of all workspaces, by path; `None` if they were not looked for.
    pub records: Option<Vec<Arc<AcpxRecord>>>,
    /// Background tasks that are not over, or whose end was not told or told again and again, with
    /// all others of the same run, by id; all tasks, if the observer was told so. `None` if they were
    /// not looked for, or could not be read.
    pub tasks: Option<Vec<Task>>,
    /// The session rows of the children of `tasks` that are not over, by key. One that is not here
    /// has no row, unless there is a gap in [`Source::Sessions`].
    pub task_children: Vec<ChildRow>,
    /// The registry of subagent runs; `None` if it was not looked for.
    pub subagents: Option<Vec<SubagentRun>>,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
}

/// A part of the world that could not be observed, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gap {
    /// Which part.
    pub source: Source,
    /// The file or folder.
    pub path: PathBuf,
    /// Why, for people.
    pub reason: String,
}

/// The parts a snapshot is made of.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Source {
    /// The gateway's configuration.
    Config,
    /// Boot and clock facts.
    Host,
    /// The process table.
    Processes,
    /// The gateway's own lock files.
    Gateway,
    /// A session store.
    Sessions,
    /// A folder of transcript locks, or one lock.
    Locks,
    /// The task database.
    Tasks,
    /// The registry of subagent runs.
    Subagents,
    /// The gateway's leases of agent processes.
    Leases,
    /// The session records of acpx.
    Records,
    /// What is known of ACP sessions, beside the session stores.
    Acp,
    /// The kernel's table of UNIX sockets.
    Sockets,
    /// The gateway's own log.
    Log,
}

impl Source {
    /// Returns the name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Source::Config => "config",
            Source::Host => "host",
            Source::Processes => "processes",
            Source::Gateway => "gateway",
            Source::Sessions => "sessions",
            Source::Locks => "locks",
            Source::Tasks => "tasks",
            Source::Subagents => "subagents",
            Source::Leases => "leases",
            Source::Records => "records",
            Source::Acp => "acp_sessions",
            Source::Sockets => "sockets",
            Source::Log => "log",
        }
    }
}

impl Snapshot {
    /// Returns the first gap in `source`, wherever it is.
    #[must_use]
    pub fn gap(&self, source: Source) -> Option<&Gap> {
        self.gaps.iter().find(|gap| gap.source == source)
    }

    /// Returns the first gap in `source` at `path` or around it: the path itself, a folder
    /// above it, or a file below it.
    #[must_use]
    pub fn gap_at(&self, source: Source, path: &Path) -> Option<&Gap> {
        self.gaps.iter().find(|gap| {
            gap.source == source && (path.starts_with(&gap.path) || gap.path.starts_with(path))
        })
    }
}
