//! The gateway and the state directory it lives on.

use std::path::PathBuf;

use super::{Configured, ProcessId, UnixMillis, Version};

/// How this state directory keeps its sessions, told by what exists on disk.
///
/// Source: state layouts of 2026.3.24 to 2026.9.6, run for real. The version string does not
/// tell (2026.7.35 sorts after 2026.7.2-beta.1 and is still hybrid).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Era {
    /// Up to 2026.5.28: `sessions.json`, `*.jsonl`, `tasks/runs.sqlite`.
    Files,
    /// 2026.6.1 to 2026.7.1 and 2026.7.35: sessions in files, tasks and ACP in SQLite.
    Hybrid,
    /// From 2026.8.1: sessions and transcripts in SQLite too.
    Sqlite,
    /// A schema above the highest that was tested. Nothing but its version is read.
    Newer {
        /// The database and its version, in words.
        what: String,
    },
    /// No gateway ever ran here, or the signs contradict each other.
    Unknown {
        /// Why, in words.
        why: String,
    },
}

impl Era {
    /// Returns the name used in reports.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Era::Files => "files",
            Era::Hybrid => "hybrid",
            Era::Sqlite => "sqlite",
            Era::Newer { .. } => "newer",
            Era::Unknown { .. } => "unknown",
        }
    }
}

/// Whether a gateway works on this state directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// Identified by pid and start ticks, and alive.
    Up,
    /// Identified and alive, younger than the start grace, and not listening yet.
    Starting,
    /// Its lock is dead or absent in every candidate temp directory, its port refuses, and no
    /// gateway process is left that could be this state directory's.
    Down,
    /// Anything else.
    Unknown,
}

impl Status {
    /// Returns the name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Status::Up => "up",
            Status::Starting => "starting",
            Status::Down => "down",
            Status::Unknown => "unknown",
        }
    }
}

/// A live gateway process that was proven to belong to this state directory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GatewayProcess {
    /// Its identity, checked against the start ticks of its lock where there is one.
    pub id: ProcessId,
    /// Its start by the wall clock (boot time plus start ticks).
    pub started_at: UnixMillis,
    /// When it took its lock, by the wall clock of that moment. An in-process restart takes
    /// the lock anew and keeps the pid. `None` with `OPENCLAW_ALLOW_MULTI_GATEWAY=1`.
    pub locked_at: Option<UnixMillis>,
    /// Whether pids mean the same to it and to us: same pid namespace, proven.
    pub shares_pid_namespace: bool,
}

/// What is known of the gateway of the watched state directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Gateway {
    /// The state directory, as found.
    pub state_dir: PathBuf,
    /// How its sessions are kept.
    pub era: Era,
    /// The version of the running gateway; `None` if it could not be proven.
    pub version: Option<Version>,
    /// Whether it runs.
    pub status: Status,
    /// Why `status` is what it is, one line, for people.
    pub why: String,
    /// The process, if one was identified.
    pub process: Option<GatewayProcess>,
    /// The port it is told to listen on: its lock, else environment and configuration.
    pub port: Option<u16>,
    /// What its configuration says about its own recovery.
    pub configured: Configured,
}
