//! What the gateway itself says over its RPC.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{EventLoop, LaneStatus, SessionId, SessionKey, UnixMillis, Version};

/// The id of one run, as the gateway names it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct RunId(pub String);

/// What came of asking the gateway, in one pass.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Rpc {
    /// It was not asked, and why, for people: no policy needs it, it is down, the state is a captured one.
    NotAsked(String),
    /// It was asked, and there is no answer to go by.
    Failed(RpcFailure),
    /// It answered.
    Answered(Box<Answers>),
}

impl Rpc {
    /// Returns what it answered.
    #[must_use]
    pub fn answers(&self) -> Option<&Answers> {
        match self {
            Rpc::Answered(answers) => Some(answers),
            Rpc::NotAsked(_) | Rpc::Failed(_) => None,
        }
    }
}

/// Everything that is taken from one conversation with the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answers {
    /// Its version, by its own word.
    pub version: Option<Version>,
    /// The protocol that was agreed on, 3 or 4.
    pub protocol: u8,
    /// Which boot of the gateway this is (2026.9.6).
    pub boot_id: Option<String>,
    /// The state directory it names; only with admin scope.
    pub state_dir: Option<PathBuf>,
    /// Its lanes, by key.
    pub lanes: LiveLanes,
    /// Whether `lanes` are all: its list may have been cut.
    pub is_complete: bool,
    /// How long its last answer took.
    pub took: Duration,
    /// How late its event loop is, where it tells.
    pub event_loop: Option<EventLoop>,
    /// How often it lost events that it should have told us.
    pub lost: Lost,
}

/// Gaps in the numbers of the events of one connection.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lost {
    /// How many there were.
    pub times: u32,
    /// When the last one was noticed.
    pub last: Option<UnixMillis>,
}

impl Answers {
    /// Returns the lane with this key.
    #[must_use]
    pub fn lane(&self, key: &SessionKey) -> Option<&LiveLane> {
        self.lanes.iter().find(|lane| lane.key == *key)
    }

    /// Returns a lane other than `key` that names the same run. See [`other_lane_of`].
    #[must_use]
    pub fn other_lane_of(&self, run: &RunId, key: &SessionKey) -> Option<&LiveLane> {
        other_lane_of(&self.lanes, run, key)
    }
}

/// Returns a lane other than `key` that names the same run. The rows of a cron job and of one run of it
/// are one lane.
#[must_use]
pub fn other_lane_of<'a>(
    lanes: &'a [LiveLane],
    run: &RunId,
    key: &SessionKey,
) -> Option<&'a LiveLane> {
    let own = key.cron_job().unwrap_or_else(|| key.clone());
    let is_other = |lane: &&LiveLane| !own.covers(&lane.key);
    lanes.iter().filter(|lane| lane.runs.contains(run)).find(is_other)
}

/// Lanes that are shared until one side changes them: a gateway may have thousands, and a pass only
/// reads them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LiveLanes(Arc<Vec<LiveLane>>);

impl LiveLanes {
    /// Returns them as a list of one's own, copied if somebody else has them too.
    #[must_use]
    pub fn into_vec(self) -> Vec<LiveLane> {
        Arc::unwrap_or_clone(self.0)
    }
}

impl From<Vec<LiveLane>> for LiveLanes {
    fn from(lanes: Vec<LiveLane>) -> LiveLanes {
        LiveLanes(Arc::new(lanes))
    }
}

impl Deref for LiveLanes {
    type Target = Vec<LiveLane>;

    fn deref(&self) -> &Vec<LiveLane> {
        &self.0
    }
}

impl DerefMut for LiveLanes {
    /// Copies them first if somebody else has them too.
    fn deref_mut(&mut self) -> &mut Vec<LiveLane> {
        Arc::make_mut(&mut self.0)
    }
}

/// One lane, as the gateway tells it. Times are by the gateway's clock, which is the host's.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LiveLane {
    /// The session key.
    pub key: SessionKey,
    /// The id of its transcript.
    pub session_id: Option<SessionId>,
    /// `status`.
    pub status: LaneStatus,
    /// `startedAt`.
    pub started_at: Option<UnixMillis>,
    /// `endedAt`.
    pub ended_at: Option<UnixMillis>,
    /// `updatedAt`.
    pub updated_at: Option<UnixMillis>,
    /// `abortedLastRun`.
    pub aborted_last_run: bool,
    /// `hasActiveRun`: from 2026.5.7. What it covers differs by version; see [`super::Capabilities`].
    pub has_active_run: Option<bool>,
    /// `activeRunIds`: from 2026.7.1. On earlier versions the run that an event told of, if one did.
    pub runs: Vec<RunId>,
    /// When the last event of its run came, by our clock. `None` if none was heard, or nobody listened.
    pub last_event_at: Option<UnixMillis>,
    /// When the last of these came that was not the same run, by its id, being begun again.
    pub last_step_at: Option<UnixMillis>,
    /// When the same run, by its id, was last begun again: a model that says nothing is asked anew,
    /// with a new start and a new lock (measured on 2026.4.15 and 2026.9.6).
    pub begun_again_at: Option<UnixMillis>,
    /// Since when events have been heard without a break, by our clock.
    pub heard_since: Option<UnixMillis>,
    /// How many messages wait behind the run, where the version tells.
    pub queued: Option<u32>,
    /// The lane that spawned it: `spawnedBy`, else `parentSessionKey`.
    pub parent: Option<SessionKey>,
    /// Restart recovery has given it up (`mainRestartRecovery.tombstone`), where the version tells.
    pub is_tombstoned: bool,
}

/// Why there is no answer to go by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RpcFailure {
    /// What kind.
    pub fault: RpcFault,
    /// What happened, for people. Contains nothing secret, and nothing of any message.
    pub text: String,
}

impl fmt::Display for RpcFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The kinds of failure. Each has one next step.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RpcFault {
    /// Nobody listens.
    Refused,
    /// It accepts connections and says nothing, or stopped answering.
    Deaf,
    /// It is starting, draining or busy, and asked to be asked later.
    Unavailable,
    /// No credentials could be found, such as an unresolved SecretRef.
    NoCredentials,
    /// It refuses the credentials.
    Unauthorized,
    /// It wants this device to be paired first.
    PairingRequired,
    /// The credentials do not reach far enough.
    MissingScope,
    /// It speaks no protocol that we speak.
    ProtocolMismatch,
    /// What answers is no gateway.
    NotAGateway,
    /// It is not, or not provably, the gateway of the watched state directory.
    WrongGateway,
    /// It closed the connection, or broke it.
    Closed,
    /// It said something larger, deeper or longer than is read.
    TooLarge,
    /// It does not know the method, or refused the parameters.
    Unsupported,
    /// It refused, for a reason of its own.
    Refusal,
    /// Our own side failed: no socket, no key, no thread.
    Internal,
}

impl RpcFault {
    /// Every kind.
    pub const ALL: [RpcFault; 15] = [
        RpcFault::Refused,
        RpcFault::Deaf,
        RpcFault::Unavailable,
        RpcFault::NoCredentials,
        RpcFault::Unauthorized,
        RpcFault::PairingRequired,
        RpcFault::MissingScope,
        RpcFault::ProtocolMismatch,
        RpcFault::NotAGateway,
        RpcFault::WrongGateway,
        RpcFault::Closed,
        RpcFault::TooLarge,
        RpcFault::Unsupported,
        RpcFault::Refusal,
        RpcFault::Internal,
    ];

    /// Returns the stable name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            RpcFault::Refused => "refused",
            RpcFault::Deaf => "deaf",
            RpcFault::Unavailable => "unavailable",
            RpcFault::NoCredentials => "no_credentials",
            RpcFault::Unauthorized => "unauthorized",
            RpcFault::PairingRequired => "pairing_required",
            RpcFault::MissingScope => "missing_scope",
            RpcFault::ProtocolMismatch => "protocol_mismatch",
            RpcFault::NotAGateway => "not_a_gateway",
            RpcFault::WrongGateway => "wrong_gateway",
            RpcFault::Closed => "closed",
            RpcFault::TooLarge => "too_large",
            RpcFault::Unsupported => "unsupported",
            RpcFault::Refusal => "refusal",
            RpcFault::Internal => "internal",
        }
    }

    /// Returns what the user can do about it, one clause.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            RpcFault::Refused => "start the gateway, or set gateway.url if it listens elsewhere",
            RpcFault::Deaf => {
                "the gateway is stopped or its event loop is blocked; look at its log, and restart it \
                 if it stays so"
            }
            RpcFault::Unavailable => "nothing to do: it is asked again when it is ready",
            RpcFault::NoCredentials => "set gateway.token_file or gateway.token_env",
            RpcFault::Unauthorized => {
                "set gateway.token_file or gateway.token_env to what the gateway uses; it is tried \
                 again when that changes"
            }
            RpcFault::PairingRequired => {
                "approve the device on the gateway: `openclaw devices list`, then `openclaw devices \
                 approve`"
            }
            RpcFault::MissingScope => {
                "give the credentials the missing scope, or leave the repairs that need it off"
            }
            RpcFault::ProtocolMismatch => {
                "use a clawarden that knows this gateway's protocol; until then it is watched from \
                 outside only"
            }
            RpcFault::NotAGateway => {
                "look at what listens there, and set gateway.url to the gateway's own port"
            }
            RpcFault::WrongGateway => {
                "set gateway.url to the gateway of this state directory, or watch the other one's"
            }
            RpcFault::Closed => "nothing to do: it is connected again",
            RpcFault::TooLarge => {
                "thin out its sessions (`openclaw sessions cleanup`); until then it is watched from \
                 outside only"
            }
            RpcFault::Unsupported => "nothing to do: this gateway version cannot do it",
            RpcFault::Refusal => "look at the lane again; what was judged has changed",
            RpcFault::Internal => "look at clawarden's own state directory and limits",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_has_a_name_and_a_next_step_of_its_own() {
        let names: BTreeSet<_> = RpcFault::ALL.iter().map(|fault| fault.name()).collect();
        let steps: BTreeSet<_> = RpcFault::ALL.iter().map(|fault| fault.advice()).collect();
        assert_eq!((names.len(), steps.len()), (RpcFault::ALL.len(), RpcFault::ALL.len()));
    }
}
