//! What no policy can override: processes that are never signalled.

use std::fmt;

use super::{ProcessId, UnixMillis};

/// A reason never to signal a process. In a tree, one of them holds for all of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Guard {
    /// It is clawarden, or above it.
    Ourselves,
    /// It is pid 1 or 2.
    Init,
    /// It is an OpenClaw process: a gateway, or any `openclaw` command.
    OpenClaw,
    /// It works for a gateway or a person: an acpx queue owner, a spawn broker, a relay, an anchor.
    Service(&'static str),
    /// It belongs to another user.
    OtherUser(u32),
    /// It lives in another pid namespace.
    OtherNamespace,
    /// It has a terminal: a person may sit there.
    Terminal,
    /// Another process traces it.
    Traced(i32),
    /// Somebody stopped it.
    Stopped,
    /// It sleeps uninterruptibly, and no signal would reach it now.
    Uninterruptible,
    /// It listens on a socket, and its family is one where somebody may talk to it that way.
    Listening,
    /// It is a tool of an agent, or the shell in which one runs, and what runs there may be worth
    /// more than the memory of the agent.
    ToolShell,
    /// The user protects it.
    Protected(UnixMillis),
    /// What would have to be known cannot be read; the text says what.
    Unreadable(String),
}

impl Guard {
    /// Returns the stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Guard::Ourselves => "ourselves",
            Guard::Init => "init",
            Guard::OpenClaw => "openclaw",
            Guard::Service(_) => "service",
            Guard::OtherUser(_) => "other_user",
            Guard::OtherNamespace => "other_namespace",
            Guard::Terminal => "terminal",
            Guard::Traced(_) => "traced",
            Guard::Stopped => "stopped",
            Guard::Uninterruptible => "uninterruptible",
            Guard::Listening => "listening",
            Guard::ToolShell => "tool_running",
            Guard::Protected(_) => "protected",
            Guard::Unreadable(_) => "unreadable",
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Guard::Ourselves => f.write_str("is clawarden or above it"),
            Guard::Init => f.write_str("is the init process"),
            Guard::OpenClaw => f.write_str("is an OpenClaw process"),
            Guard::Service(role) if role.starts_with('a') => write!(f, "is an {role}"),
            Guard::Service(role) => write!(f, "is a {role}"),
            Guard::OtherUser(uid) => write!(f, "belongs to uid {uid}"),
            Guard::OtherNamespace => f.write_str("lives in another pid namespace"),
            Guard::Terminal => f.write_str("has a terminal"),
            Guard::Traced(by) => write!(f, "is traced by pid {by}"),
            Guard::Stopped => f.write_str("was stopped by somebody"),
            Guard::Uninterruptible => f.write_str("sleeps uninterruptibly"),
            Guard::Listening => f.write_str("listens on a socket"),
            Guard::ToolShell => f.write_str("is a tool that runs, or its shell"),
            Guard::Protected(until) => write!(f, "is protected until {until}"),
            Guard::Unreadable(what) => write!(f, "cannot be judged: {what}"),
        }
    }
}

/// A guard, and the process it stands on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Guarded {
    /// The process.
    pub id: ProcessId,
    /// Why it is never signalled.
    pub guard: Guard,
}
