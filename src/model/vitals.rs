//! How the gateway's process is doing, and what hangs on it.

use std::time::Duration;

use super::{ProcessId, SessionKey, UnixMillis};

/// A live descendant of the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Child {
    /// Its identity.
    pub id: ProcessId,
    /// Its start, by the wall clock.
    pub started_at: UnixMillis,
    /// What it is, for people.
    pub what: String,
    /// The lane it works for, where that is known: by its lease, its record or its ledger entry, or
    /// those of an agent above it.
    pub lane: Option<SessionKey>,
    /// Whether it is an agent, its wrapper or its adapter. What is not may be a tool at work.
    pub is_agent: bool,
    /// Whether it is a service of the gateway itself, such as the spawn broker and the database reader
    /// of 2026.9.6. They live as long as the gateway, are hardly ever idle, and work for every lane;
    /// what they started is told on its own.
    pub is_service: bool,
    /// For how long neither its processor time nor what it read and wrote has changed, as far as it
    /// was watched. `None`: not known.
    pub idle: Option<Duration>,
}

/// A tool that lived below the gateway, and was not there any more at a later look.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndedTool {
    /// As it was last seen.
    pub tool: Child,
    /// When it was first missed.
    pub gone_at: UnixMillis,
}

/// What is seen of the gateway's process over time.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Vitals {
    /// Its state letter, such as `T` if it was stopped.
    pub state: Option<char>,
    /// Its resident memory in bytes.
    pub resident: Option<u64>,
    /// The least resident memory in each of the last windows of five minutes, oldest first, in bytes.
    pub memory_lows: Vec<u64>,
    /// Children that have ended and were not reaped. Always none on macOS.
    pub zombies: u32,
    /// When gateways of this state directory were seen to start, oldest first, within an hour.
    pub starts: Vec<UnixMillis>,
    /// Other live gateways of this state directory, or on its port.
    pub duplicates: Vec<ProcessId>,
    /// How this install restarts its gateway, as one would type it.
    pub restart_command: Option<String>,
}

/// A line of the gateway's log that says something about a fault. Evidence only, never a proof.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogSign {
    /// The fault's stable name.
    pub fault: &'static str,
    /// What was said, in our own words: nothing of the log is repeated but names and numbers.
    pub what: String,
    /// The lane it names.
    pub lane: Option<SessionKey>,
    /// When it was said last.
    pub at: UnixMillis,
    /// How often.
    pub count: u32,
}

/// How late the gateway's event loop is, by its own measure (`/readyz`, from 2026.5.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventLoop {
    /// Its own judgement.
    pub is_degraded: bool,
    /// Delay that 99 of 100 turns stay below.
    pub delay_p99: Duration,
    /// The longest delay.
    pub delay_max: Duration,
}
