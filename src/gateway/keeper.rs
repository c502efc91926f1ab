//! The thread's own side: keeps one conversation, and holds short ones beside it.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use super::backoff::Backoff;
use super::device::{Device, DeviceError};
use super::errand;
use super::fault::Fault;
use super::line::Line;
use super::link::LinkSettings;
use super::ready;
use super::spawn;
use super::speak::{Call, CallError, Reply};
use super::target::{Credentials, Target};
use crate::model::{EventLoop, ProcessId, Restore, Rpc, RpcFailure, RpcFault, SessionKey};

/// Whom to speak with.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Aim {
    /// Where it listens.
    pub(super) target: Target,
    /// Which process it must be.
    pub(super) process: ProcessId,
}

/// What a pass wants.
pub(super) enum Command {
    /// What the gateway tells.
    Look { aim: Aim, is_fresh: bool, within: Duration, reply: SyncSender<Rpc> },
    /// A request that changes something.
    Call { aim: Aim, call: Call, within: Duration, reply: SyncSender<Result<Reply, CallError>> },
    /// A backing session that is to be loaded into a new session.
    Spawn {
        aim: Aim,
        restore: Box<Restore>,
        within: Duration,
        reply: SyncSender<Result<SessionKey, CallError>>,
    },
    /// How late its event loop is.
    Ready { target: Target, reply: SyncSender<Result<Option<EventLoop>, RpcFailure>> },
}

pub(super) struct Keeper {
    settings: LinkSettings,
    wake: Arc<Notify>,
    device: Option<Device>,
    aim: Option<Aim>,
    line: Option<Line>,
    /// When the line was made.
    made_at: Instant,
    backoff: Backoff,
}

/// How long a line must have lasted to be no failure: one that breaks again and again is not made anew
/// twice a second.
const LASTS: Duration = Duration::from_secs(60);
/// How long a connection that nobody waits for may take.
const RECONNECT_WITHIN: Duration = Duration::from_secs(10);

impl Keeper {
    pub(super) fn new(settings: LinkSettings, wake: Arc<Notify>) -> Keeper {
        let (backoff, made_at) = (Backoff::default(), Instant::now());
        Keeper { settings, wake, device: None, aim: None, line: None, made_at, backoff }
    }

    /// Obeys until nobody can command any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        loop {
            let due = self.due();
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(command) => self.obey(command).await,
                    None => break,
                },
                heard = listen(self.line.as_mut()) => self.heard(heard),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.tend().await;
                }
            }
        }
        if let Some(line) = self.line.take() {
            line.close().await;
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Look { aim, is_fresh, within, reply } => {
                let rpc = self.look(aim, is_fresh, Instant::now() + within).await;
                let _ = reply.send(rpc);
            }
            Command::Call { aim, call, within, reply } => {
                let device = self.device();
                let settings = self.settings.clone();
                // Beside the loop: events are heard while it waits for its answer.
                tokio::spawn(async move {
                    let done = errand::run(&settings, device, &aim, &call, within).await;
                    let _ = reply.send(done);
                });
            }
            Command::Spawn { aim, restore, within, reply } => {
                let settings = self.settings.clone();
                tokio::spawn(async move {
                    let _ = reply.send(spawn::run(&settings, &aim, &restore, within).await);
                });
            }
            Command::Ready { target, reply } => {
                tokio::spawn(async move {
                    let _ = reply.send(ready::ask(&target).await);
                });
            }
        }
    }

    async fn look(&mut self, aim: Aim, is_fresh: bool, deadline: Instant) -> Rpc {
        if self.aim.as_ref() != Some(&aim) {
            self.line = None;
            self.backoff = Backoff::default();
            self.aim = Some(aim);
        }
        if self.line.is_none()
            && let Some(failure) = self.backoff.holds(Instant::now())
        {
            return Rpc::Failed(failure.clone());
        }
        match self.answer(is_fresh, deadline).await {
            Ok(rpc) => rpc,
            Err(fault) => Rpc::Failed(self.broke(fault).clone()),
        }
    }

    async fn answer(&mut self, is_fresh: bool, deadline: Instant) -> Result<Rpc, Fault> {
        if self.line.is_none() {
            self.connect(deadline).await?;
        }
        let now = self.settings.clock;
        match &mut self.line {
            Some(line) => line.answers(is_fresh, deadline, now).await.map(Rpc::Answered),
            None => Err(Fault::new(RpcFault::Internal, "nobody to speak with")),
        }
    }

    async fn connect(&mut self, deadline: Instant) -> Result<(), Fault> {
        let device = self.device()?;
        let Some(aim) = &self.aim else { return Ok(()) };
        let line = Line::open(&self.settings, aim, &device, deadline).await?;
        self.line = Some(line);
        self.made_at = Instant::now();
        Ok(())
    }

    /// The device key, read or made when it is first needed.
    fn device(&mut self) -> Result<Device, Fault> {
        if let Some(device) = &self.device {
            return Ok(device.clone());
        }
        let failed = |error| {
            let text = format!("failed to {}", super::device::chain(&error));
            Fault::new(RpcFault::Internal, text)
        };
        let (device, aside) = match self.settings.keeps_key {
            true => Device::open(&self.settings.folder).map_err(failed)?,
            false => (self.passing_device(failed)?, None),
        };
        if let Some(aside) = aside {
            tracing::warn!(path = %aside.display(), "the device key was unreadable and is kept aside; a new one is used");
        }
        self.device = Some(device.clone());
        Ok(device)
    }

    /// The key that is kept, else one for this time only. A gateway without authentication may pair
    /// every device that it meets (2026.3.24), so it meets none that is gone afterwards.
    fn passing_device(&self, failed: impl Fn(DeviceError) -> Fault) -> Result<Device, Fault> {
        if let Some(device) = Device::kept(&self.settings.folder) {
            return Ok(device);
        }
        let is_open =
            self.aim.as_ref().is_some_and(|aim| aim.target.credentials == Credentials::None);
        if is_open {
            let text = "the gateway asks for no credentials, and may pair whatever connects; a dry run \
                        does not connect before `clawarden run` has made a key to be known by";
            return Err(Fault::new(RpcFault::NoCredentials, text));
        }
        Device::ephemeral().map_err(failed)
    }

    fn heard(&mut self, heard: Result<Utf8Bytes, Fault>) {
        let Some(line) = &mut self.line else { return };
        match heard.and_then(|text| line.heard(&text, self.settings.clock)) {
            Ok(true) => self.wake.notify_one(),
            Ok(false) => {}
            Err(fault) => {
                self.broke(fault);
            }
        }
    }

    /// Hangs up, and says when it is tried again.
    fn broke(&mut self, fault: Fault) -> &RpcFailure {
        if self.line.take().is_some() {
            self.wake.notify_one();
            if self.made_at.elapsed() >= LASTS {
                self.backoff = Backoff::default();
            }
        }
        self.backoff.failed(fault, Instant::now())
    }

    /// When something must be done without a command: a silent line is given up, a broken one is
    /// connected again.
    fn due(&self) -> Option<Instant> {
        match &self.line {
            Some(line) => Some(line.silent_at()),
            None => self.backoff.until().filter(|_| self.settings.stays),
        }
    }

    async fn tend(&mut self) {
        let done = match &self.line {
            Some(line) => Err(line.silence()),
            None => self.connect(Instant::now() + RECONNECT_WITHIN).await,
        };
        match done {
            Ok(()) => self.wake.notify_one(),
            Err(fault) => {
                self.broke(fault);
            }
        }
    }
}

/// Waits for what the gateway says next; for ever, if nobody speaks.
async fn listen(line: Option<&mut Line>) -> Result<Utf8Bytes, Fault> {
    match line {
        Some(line) => line.listen().await,
        None => std::future::pending().await,
    }
}
