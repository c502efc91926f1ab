//! A request that changes something, over a connection of its own.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::call::{reply, request, scope};
use super::conversation::Conversation;
use super::device::Device;
use super::fault::{Fault, quoted};
use super::hello::Hello;
use super::keeper::Aim;
use super::line::is_right;
use super::link::LinkSettings;
use super::speak::{Call, CallError, Reply, Scope};
use crate::model::RpcFault;

/// Connects, makes sure that it is the right gateway, asks once and hangs up. Takes `within` at the
/// longest.
pub(super) async fn run(
    settings: &LinkSettings,
    device: Result<Device, Fault>,
    aim: &Aim,
    call: &Call,
    within: Duration,
) -> Result<Reply, CallError> {
    let deadline = Instant::now() + within;
    let device = device.map_err(|fault| error(&fault))?;
    let least = scope(call);
    let done = once(settings, &device, aim, call, least, deadline).await;
    match done {
        // The run of another client: nothing was done, and an admin may.
        Err(fault) if fault.kind() == RpcFault::MissingScope && is_for_admins_too(call) => {
            once(settings, &device, aim, call, Scope::Admin, deadline).await
        }
        other => other,
    }
    .map_err(|fault| error(&fault))
}

fn is_for_admins_too(call: &Call) -> bool {
    matches!(call, Call::Abort { .. } | Call::Steer { .. })
}

fn error(fault: &Fault) -> CallError {
    CallError { is_unknown: fault.is_unanswered, failure: fault.failure.clone() }
}

async fn once(
    settings: &LinkSettings,
    device: &Device,
    aim: &Aim,
    call: &Call,
    scope: Scope,
    deadline: Instant,
) -> Result<Reply, Fault> {
    let mut conversation = settings.open_once(&aim.target, device, scope, deadline).await?;
    let said = check(settings, aim, conversation.hello(), scope);
    let done = match said {
        Ok(()) => ask(&mut conversation, call, deadline).await,
        Err(fault) => Err(fault),
    };
    conversation.close().await;
    done
}

async fn ask(
    conversation: &mut Conversation,
    call: &Call,
    deadline: Instant,
) -> Result<Reply, Fault> {
    let (method, params) = request(call, conversation.hello().version);
    // `UNAVAILABLE` says that nothing was done, so it may be asked again; silence does not.
    let read = |payload: &_| reply(call, payload);
    conversation.ask_patiently(method, &params, deadline, |_| {}, read).await
}

/// Refuses any gateway that is not proven to be the watched one.
fn check(settings: &LinkSettings, aim: &Aim, hello: &Hello, scope: Scope) -> Result<(), Fault> {
    is_right(settings, scope, aim)?;
    if hello.has_scope == Some(false) {
        let text = format!("the gateway gives the credentials no {} scope", scope.name());
        return Err(Fault::new(RpcFault::MissingScope, text));
    }
    match &hello.state_dir {
        // Told with admin scope only.
        None => Ok(()),
        Some(dir) if is_same(dir, &settings.state_dir) => Ok(()),
        Some(dir) => {
            let dir = quoted(&dir.to_string_lossy());
            let text = format!("the gateway works on `{dir}`, not on the watched one");
            Err(Fault::new(RpcFault::WrongGateway, text))
        }
    }
}

/// Compares two directories by what they really are.
fn is_same(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
