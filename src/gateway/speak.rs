//! What is said to the gateway, and what comes back.

use std::fmt;

use super::target::Target;
use crate::model::{
    EventLoop, LiveLane, ProcessId, Restore, Rpc, RpcFailure, RunId, SessionId, SessionKey,
};

/// How far a connection reaches.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// Looks.
    Read,
    /// Ends and steers runs.
    Write,
    /// Resets sessions, and writes into chats.
    Admin,
}

impl Scope {
    /// Returns the gateway's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Scope::Read => "operator.read",
            Scope::Write => "operator.write",
            Scope::Admin => "operator.admin",
        }
    }
}

/// A request that changes something.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Call {
    /// End the run of a lane.
    Abort {
        /// The lane.
        key: SessionKey,
        /// The run that was observed; nothing else is ended where the version can tell.
        run: Option<RunId>,
    },
    /// Interrupt the run of a lane with a message, which costs a model turn.
    Steer {
        /// The lane.
        key: SessionKey,
        /// The message.
        message: String,
    },
    /// Continue a tombstoned session under a new key.
    Recover {
        /// The lane.
        key: SessionKey,
    },
    /// Begin a conversation anew.
    Reset {
        /// The lane. An unknown one would be created, on every version.
        key: SessionKey,
        /// The conversation that was judged, where the version can compare it (2026.9.6).
        expected_session: Option<SessionId>,
    },
    /// Begin a conversation anew by `/new`.
    New {
        /// The lane.
        key: SessionKey,
    },
    /// Write one line into a chat.
    Tell {
        /// The lane.
        key: SessionKey,
        /// The line.
        text: String,
    },
}

/// What the gateway answered to a [`Call`]. `ok` alone proves nothing: look again.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reply {
    /// `status`, such as `aborted` or `no-active-run`.
    pub status: Option<String>,
    /// The run that it says it ended or began.
    pub run: Option<RunId>,
    /// The transcript that the lane has now.
    pub session_id: Option<SessionId>,
    /// The lane under which a recovered session goes on.
    pub successor: Option<SessionKey>,
}

/// Why a call has no answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallError {
    /// What happened.
    pub failure: RpcFailure,
    /// Whether it may have been carried out all the same: it was sent, and no answer came.
    pub is_unknown: bool,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doubt = if self.is_unknown { "; it may have been done all the same" } else { "" };
        write!(f, "{}{doubt}", self.failure)
    }
}

impl std::error::Error for CallError {}

/// Listens to the gateway from pass to pass, beside speaking with it.
pub trait Hear: Speak + Spawn {
    /// Takes `target` from now on, or the reason why there is none.
    fn aim(&mut self, target: Result<Target, RpcFailure>);

    /// Returns what the gateway that is `process` tells: from the events heard since the last list
    /// where that is young enough, else listed anew.
    fn hear(&self, process: ProcessId, stop: &dyn Fn() -> bool) -> Rpc;

    /// Returns how late the gateway's event loop is, by its own measure; `None` where it does not
    /// tell (before 2026.5.7).
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    fn event_loop(&self, stop: &dyn Fn() -> bool) -> Result<Option<EventLoop>, RpcFailure>;
}

/// Has the gateway that is `process`, and no other, begin a session. As [`Speak`]: proven and bounded.
pub trait Spawn: fmt::Debug {
    /// Asks once for a new session that loads the backing session of `restore`, and returns its key.
    ///
    /// # Errors
    ///
    /// Returns why there is none, and whether there may be one all the same.
    /// [`RpcFault::Unsupported`](crate::model::RpcFault::Unsupported) without that doubt: the gateway lets
    /// nobody use the tool from outside.
    fn spawn(&self, process: ProcessId, restore: &Restore) -> Result<SessionKey, CallError>;
}

/// Speaks with the gateway that is `process`, and with no other: before anything is changed, the
/// one at the other end is proven to be that one, and to work on the watched state directory.
/// Every call is bounded in time and size, and `stop` answers whether somebody wants us to stop: then
/// an answer is waited for but a moment longer.
pub trait Speak: fmt::Debug {
    /// Returns its lanes, asked anew.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer.
    fn lanes(
        &self,
        process: ProcessId,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<LiveLane>, RpcFailure>;

    /// Says `call` over a short connection of its own, with no more scope than it needs.
    ///
    /// # Errors
    ///
    /// Returns why there is no answer, and whether it may have been carried out.
    fn call(
        &self,
        process: ProcessId,
        call: &Call,
        stop: &dyn Fn() -> bool,
    ) -> Result<Reply, CallError>;
}
