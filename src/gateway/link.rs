//! The link to the gateway, as a pass sees it: calls that return within a bound.
//!
//! Passes are synchronous and run inside the daemon's runtime. The conversation therefore lives on
//! one thread of its own, which is started when it is first needed.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::conversation::Conversation;
use super::device::Device;
use super::fault::Fault;
use super::keeper::{Aim, Command, Keeper};
use super::speak::{Call, CallError, Hear, Reply, Scope, Speak};
use super::target::Target;
use crate::clock::Clock;
use crate::model::{EventLoop, LiveLane, ProcessId, Rpc, RpcFailure, RpcFault};

/// Says whether the socket that listens on a port belongs to a process, as surely as a connection of
/// that scope needs it; else why not.
pub type IsRight = dyn Fn(Scope, ProcessId, u16) -> Result<(), String> + Send + Sync;

/// What a link needs to know, once.
#[derive(Clone)]
pub struct LinkSettings {
    /// Our own folder, for the device key.
    pub folder: PathBuf,
    /// Whether a key is made and kept there if there is none. A dry run keeps nothing, and shows
    /// the gateway a key that nobody sees again.
    pub keeps_key: bool,
    /// The watched state directory, which the gateway must name as its own.
    pub state_dir: PathBuf,
    /// Whether to stay connected and listen to events, as the daemon does.
    pub stays: bool,
    /// Where "now" comes from, for the times at which events are heard.
    pub clock: Clock,
    /// Whether the other end is the process that was identified.
    pub is_right: Arc<IsRight>,
    /// How long everything may take.
    pub bounds: Bounds,
}

/// How long the parts of a conversation may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// TCP, TLS, the upgrade and the challenge: a live gateway says it in 10 ms, a busy one within
    /// seconds, a stopped one never.
    pub challenge: Duration,
    /// Anything that only looks, with its connection.
    pub look: Duration,
    /// Anything that changes something, with its connection: within a second on an idle gateway.
    pub call: Duration,
    /// A reset: up to 24.8 s on 2026.4.15, whose hook asks the hung model for a name.
    pub reset: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        let seconds = Duration::from_secs;
        Bounds { challenge: seconds(6), look: seconds(15), call: seconds(15), reset: seconds(30) }
    }
}

impl LinkSettings {
    /// Opens a conversation within the bounds.
    pub(super) async fn open(
        &self,
        target: &Target,
        device: &Device,
        scope: Scope,
        deadline: Instant,
    ) -> Result<Conversation, Fault> {
        Conversation::open(target, device, scope, self.bounds.challenge, deadline).await
    }

    pub(super) async fn open_once(
        &self,
        target: &Target,
        device: &Device,
        scope: Scope,
        deadline: Instant,
    ) -> Result<Conversation, Fault> {
        Conversation::open_once(target, device, scope, self.bounds.challenge, deadline).await
    }
}

/// A handle of the thread that speaks with the gateway. Dropped, it hangs up.
pub struct Link {
    settings: LinkSettings,
    target: Result<Target, RpcFailure>,
    thread: Mutex<Option<mpsc::Sender<Command>>>,
    wake: Arc<Notify>,
}

/// How much longer than the conversation itself its thread is waited for.
const SLACK: Duration = Duration::from_secs(3);
/// More than a pass ever has under way.
const COMMANDS_MAX: usize = 16;

impl Link {
    /// Makes a link that has not connected yet.
    #[must_use]
    pub fn new(settings: LinkSettings) -> Link {
        let text = "nothing says where the gateway listens".to_owned();
        Link {
            settings,
            target: Err(RpcFailure { fault: RpcFault::NoCredentials, text }),
            thread: Mutex::new(None),
            wake: Arc::new(Notify::new()),
        }
    }

    /// Notified when something began, ended or broke. Many times between two looks are one.
    #[must_use]
    pub fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    fn look(&self, process: ProcessId, is_fresh: bool) -> Rpc {
        let target = match &self.target {
            Ok(target) => target.clone(),
            Err(failure) => return Rpc::Failed(failure.clone()),
        };
        let aim = Aim { target, process };
        let within = self.settings.bounds.look;
        let answer = self.ask(within, |reply| Command::Look { aim, is_fresh, within, reply });
        answer.unwrap_or_else(Rpc::Failed)
    }

    /// Gives the thread a command and waits for its answer.
    fn ask<T>(
        &self,
        within: Duration,
        command: impl FnOnce(SyncSender<T>) -> Command,
    ) -> Result<T, RpcFailure> {
        let (reply, answer) = sync_channel(1);
        let sender = self.sender()?;
        sender
            .try_send(command(reply))
            .map_err(|_| failure("the link's thread is busy or gone"))?;
        answer.recv_timeout(within + SLACK).map_err(|error| match error {
            RecvTimeoutError::Timeout => failure("the link's thread does not answer"),
            RecvTimeoutError::Disconnected => failure("the link's thread ended"),
        })
    }

    /// The way to the thread, which is started if there is none.
    fn sender(&self) -> Result<mpsc::Sender<Command>, RpcFailure> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = thread.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let keeper = Keeper::new(self.settings.clone(), Arc::clone(&self.wake));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| failure(&format!("start the link's runtime: {error}")))?;
        std::thread::Builder::new()
            .name("gateway".to_owned())
            .spawn(move || runtime.block_on(keeper.run(commands)))
            .map_err(|error| failure(&format!("start the link's thread: {error}")))?;
        *thread = Some(sender.clone());
        Ok(sender)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("state_dir", &self.settings.state_dir).finish_non_exhaustive()
    }
}

impl Hear for Link {
    fn aim(&mut self, target: Result<Target, RpcFailure>) {
        self.target = target;
    }

    /// Takes [`Bounds::look`] at the longest.
    fn hear(&self, process: ProcessId) -> Rpc {
        self.look(process, false)
    }

    fn event_loop(&self) -> Result<Option<EventLoop>, RpcFailure> {
        let target = self.target.clone()?;
        self.ask(self.settings.bounds.look, |reply| Command::Ready { target, reply })?
    }
}

impl Speak for Link {
    fn lanes(&self, process: ProcessId) -> Result<Vec<LiveLane>, RpcFailure> {
        match self.look(process, true) {
            Rpc::Answered(answers) => Ok(answers.lanes.into_vec()),
            Rpc::Failed(failure) => Err(failure),
            Rpc::NotAsked(why) => Err(failure(&why)),
        }
    }

    fn call(&self, process: ProcessId, call: &Call) -> Result<Reply, CallError> {
        let certain = |failure| CallError { failure, is_unknown: false };
        let target = self.target.clone().map_err(certain)?;
        let aim = Aim { target, process };
        let call = call.clone();
        let (reply, answer) = sync_channel(1);
        let within = match call {
            Call::Reset { .. } => self.settings.bounds.reset,
            Call::Abort { .. }
            | Call::Steer { .. }
            | Call::Recover { .. }
            | Call::New { .. }
            | Call::Tell { .. } => self.settings.bounds.call,
        };
        let sender = self.sender().map_err(certain)?;
        sender
            .try_send(Command::Call { aim, call, within, reply })
            .map_err(|_| certain(failure("the link's thread is busy or gone")))?;
        answer.recv_timeout(within + SLACK).unwrap_or_else(|_| {
            let failure = failure("the link's thread does not answer");
            Err(CallError { failure, is_unknown: true })
        })
    }
}

fn failure(text: &str) -> RpcFailure {
    RpcFailure { fault: RpcFault::Internal, text: text.to_owned() }
}
