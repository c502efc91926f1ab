//! Background tasks, and the runs of subagents behind some of them.

use std::path::PathBuf;

use super::{AgentId, Field, LaneStatus, RunId, SessionId, SessionKey, Transcript, UnixMillis};

/// The id of one row of `task_runs`.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TaskId(pub String);

impl Task {
    /// Returns true if it is neither over nor of a status that is not known.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.status, TaskStatus::Queued | TaskStatus::Running)
    }

    /// Returns when it began.
    #[must_use]
    pub fn began_at(&self) -> Option<UnixMillis> {
        self.started_at.or(self.created_at)
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One row of `task_runs`. One spawn of an ACP agent makes three or four of them with the same run id
/// (measured on 2026.4.15): what belongs together is judged together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Task {
    /// `task_id`.
    pub id: TaskId,
    /// The database that has it.
    pub database: PathBuf,
    /// `runtime`.
    pub runtime: TaskRuntime,
    /// `run_id`.
    pub run: Option<RunId>,
    /// `owner_key`: whom it reports to.
    pub owner: Option<SessionKey>,
    /// `requester_session_key`; 2026.4.5 lacks it.
    pub requester: Option<SessionKey>,
    /// `child_session_key`: the session that works on it.
    pub child: Option<SessionKey>,
    /// `agent_id`.
    pub agent: Option<AgentId>,
    /// `parent_flow_id`.
    pub flow: Option<String>,
    /// `parent_task_id`.
    pub parent: Option<TaskId>,
    /// `label`: the words of whoever asked, at most 200 bytes of them. Never from `task`.
    pub label: Option<String>,
    /// `status`.
    pub status: TaskStatus,
    /// `delivery_status`.
    pub delivery: Delivery,
    /// `created_at`.
    pub created_at: Option<UnixMillis>,
    /// `started_at`.
    pub started_at: Option<UnixMillis>,
    /// `ended_at`. Rows that end before they began exist (#90444).
    pub ended_at: Option<UnixMillis>,
    /// `last_event_at`.
    pub last_event_at: Option<UnixMillis>,
    /// `execution_owner_pid`, where the version has it (2026.8.1 and later).
    pub owner_pid: Option<i32>,
}

/// What works on a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TaskRuntime {
    /// An ACP agent.
    Acp,
    /// A subagent of the gateway itself.
    Subagent,
    /// A call of `agent`.
    Cli,
    /// A schedule.
    Cron,
    /// Anything else.
    Other(String),
}

/// `status` of a task.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum TaskStatus {
    /// `queued`.
    Queued,
    /// `running`.
    Running,
    /// `succeeded`, `failed`, `timed_out`, `cancelled` or `lost`, as the gateway spells it.
    Ended(&'static str),
    /// Anything else: of a version that was not run.
    Other(String),
}

/// `delivery_status` of a task.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Delivery {
    /// `pending`: still to be told.
    Unsettled,
    /// `delivered`, `session_queued`, `failed`, `parent_missing` or `not_applicable`. What was queued
    /// into the session of whoever asked stays so for good (measured on 2026.4.15).
    Settled,
    /// Absent, or anything else.
    Unknown,
}

/// One run in the registry of subagents: `subagents/runs.json`, or `subagent_runs` (2026.6.1 and
/// later). Runs of ACP agents are in it too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubagentRun {
    /// `runId`.
    pub run: RunId,
    /// The file or database that has it.
    pub registry: PathBuf,
    /// `childSessionKey`.
    pub child: SessionKey,
    /// `requesterSessionKey`, else `controllerSessionKey`.
    pub requester: Option<SessionKey>,
    /// `startedAt`, else `createdAt`.
    pub started_at: Option<UnixMillis>,
    /// `endedAt`. Without it a run counts as active for ever (F43).
    pub ended_at: Option<UnixMillis>,
    /// `completionAnnouncedAt`.
    pub announced_at: Option<UnixMillis>,
}

/// The session row of the child of a task that is not over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChildRow {
    /// The session key.
    pub key: SessionKey,
    /// The `sessions.json`, or the database.
    pub store: PathBuf,
    /// `sessionId`.
    pub session_id: Option<SessionId>,
    /// `status`.
    pub status: LaneStatus,
    /// `startedAt`.
    pub started_at: Field<UnixMillis>,
    /// `endedAt`.
    pub ended_at: Field<UnixMillis>,
    /// Its transcript.
    pub transcript: Transcript,
}
