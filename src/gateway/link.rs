//! The link to the gateway, as a pass sees it: calls that return within a bound.
//!
//! Passes are synchronous and run inside the daemon's runtime. The conversation therefore lives on
//! one thread of its own, which is started when it is first needed.

use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::conversation::Conversation;
use super::device::Device;
use super::fault::Fault;
use super::keeper::{Aim, Command, Keeper};
use super::speak::{Call, CallError, Hear, Reply, Scope, Spawn, Speak};
use super::target::Target;
use crate::clock::Clock;
use crate::model::{
    EventLoop, LiveLane, ProcessId, Restore, Rpc, RpcFailure, RpcFault, SessionKey,
};

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
    /// A new session of an ACP agent: 3 s on an idle gateway of 2026.4.15, and the agent is a program
    /// that has to start.
    pub spawn: Duration,
}

impl Default for Bounds {
    fn default() -> Bounds {
        let seconds = Duration::from_secs;
        Bounds {
            challenge: seconds(6),
            look: seconds(15),
            call: seconds(15),
            reset: seconds(30),
            spawn: seconds(120),
        }
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
/// How often a stop is looked for while an answer is waited for.
const GLANCE: Duration = Duration::from_millis(100);
/// How much longer an answer is waited for once a stop was asked for: one that only tells, and one of
/// a gateway that changes something, which takes an idle one less than a second. A stop has ten
/// seconds for all that is in hand.
const LOOK_AFTER_STOP: Duration = Duration::from_millis(500);
const CALL_AFTER_STOP: Duration = Duration::from_secs(2);
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

    #[cfg(test)]
    pub(super) fn with(mut self, bounds: Bounds) -> Link {
        self.settings.bounds = bounds;
        self
    }

    fn look(&self, process: ProcessId, is_fresh: bool, stop: &dyn Fn() -> bool) -> Rpc {
        let target = match &self.target {
            Ok(target) => target.clone(),
            Err(failure) => return Rpc::Failed(failure.clone()),
        };
        let aim = Aim { target, process };
        let within = self.settings.bounds.look;
        let answer = self.ask(within, stop, |reply| Command::Look { aim, is_fresh, within, reply });
        answer.unwrap_or_else(Rpc::Failed)
    }

    /// Gives the thread a command and waits for its answer.
    fn ask<T>(
        &self,
        within: Duration,
        stop: &dyn Fn() -> bool,
        command: impl FnOnce(SyncSender<T>) -> Command,
    ) -> Result<T, RpcFailure> {
        let (reply, answer) = sync_channel(1);
        let sender = self.sender()?;
        sender
            .try_send(command(reply))
            .map_err(|_| failure("the link's thread is busy or gone"))?;
        wait(&answer, within, LOOK_AFTER_STOP, stop).map_err(failure)
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
    fn hear(&self, process: ProcessId, stop: &dyn Fn() -> bool) -> Rpc {
        self.look(process, false, stop)
    }

    fn event_loop(&self, stop: &dyn Fn() -> bool) -> Result<Option<EventLoop>, RpcFailure> {
        let target = self.target.clone()?;
        self.ask(self.settings.bounds.look, stop, |reply| Command::Ready { target, reply })?
    }
}

impl Speak for Link {
    fn lanes(
        &self,
        process: ProcessId,
        stop: &dyn Fn() -> bool,
    ) -> Result<Vec<LiveLane>, RpcFailure> {
        match self.look(process, true, stop) {
            Rpc::Answered(answers) => Ok(answers.lanes.into_vec()),
            Rpc::Failed(failure) => Err(failure),
            Rpc::NotAsked(why) => Err(failure(&why)),
        }
    }

    fn call(
        &self,
        process: ProcessId,
        call: &Call,
        stop: &dyn Fn() -> bool,
    ) -> Result<Reply, CallError> {
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
        wait(&answer, within, CALL_AFTER_STOP, stop)
            .unwrap_or_else(|why| Err(CallError { failure: failure(why), is_unknown: true }))
    }
}

impl Spawn for Link {
    fn spawn(&self, process: ProcessId, restore: &Restore) -> Result<SessionKey, CallError> {
        let certain = |failure| CallError { failure, is_unknown: false };
        let target = self.target.clone().map_err(certain)?;
        let (aim, restore) = (Aim { target, process }, Box::new(restore.clone()));
        let (reply, answer) = sync_channel(1);
        let within = self.settings.bounds.spawn;
        let sender = self.sender().map_err(certain)?;
        sender
            .try_send(Command::Spawn { aim, restore, within, reply })
            .map_err(|_| certain(failure("the link's thread is busy or gone")))?;
        wait(&answer, within, CALL_AFTER_STOP, &|| false)
            .unwrap_or_else(|why| Err(CallError { failure: failure(why), is_unknown: true }))
    }
}

/// Waits for an answer of the thread that takes `within`, or `after_stop` longer than until a stop.
fn wait<T>(
    answer: &Receiver<T>,
    within: Duration,
    after_stop: Duration,
    stop: &dyn Fn() -> bool,
) -> Result<T, &'static str> {
    let mut deadline = Instant::now() + within + SLACK;
    let mut is_stopped = false;
    loop {
        if !is_stopped && stop() {
            is_stopped = true;
            deadline = deadline.min(Instant::now() + after_stop);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        match answer.recv_timeout(left.min(GLANCE)) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) if left > GLANCE => {}
            Err(RecvTimeoutError::Timeout) if is_stopped => {
                return Err("it was not waited for, as a stop was asked for");
            }
            Err(RecvTimeoutError::Timeout) => return Err("the link's thread does not answer"),
            Err(RecvTimeoutError::Disconnected) => return Err("the link's thread ended"),
        }
    }
}

fn failure(text: &str) -> RpcFailure {
    RpcFailure { fault: RpcFault::Internal, text: text.to_owned() }
}
