//! One connection: greeted, then asked and listened to.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::task::coop::consume_budget;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::device::Device;
use super::fault::{Fault, not_a_gateway};
use super::frame::{self, Frame, Request};
use super::hello::{Challenge, Hello, connect};
use super::socket::Socket;
use super::speak::Scope;
use super::target::Target;
use crate::model::RpcFault;

/// The gateway's own bound on what it takes is 25 MiB (2026.3.24 to 2026.9.6); it has none on what
/// it sends. 10,000 lanes of 2026.9.6 have 17 MiB.
const FRAME_BYTES_MAX: usize = 32 << 20;
const READ_BUFFER_BYTES: usize = 32 << 10;

/// An event, as far as it is looked at.
pub(super) struct Heard<'a> {
    pub(super) name: &'a str,
    pub(super) seq: Option<i64>,
    pub(super) payload: Option<&'a RawValue>,
}

/// A connection on which the gateway has said hello.
pub(super) struct Conversation {
    socket: WebSocketStream<Socket>,
    url: String,
    asked: u64,
    hello: Hello,
}

impl Conversation {
    /// Connects, as often as the gateway asks to be asked again, until `deadline`. One that says nothing
    /// for `patience` is deaf.
    pub(super) async fn open(
        target: &Target,
        device: &Device,
        scope: Scope,
        patience: Duration,
        deadline: Instant,
    ) -> Result<Conversation, Fault> {
        let mut pause = Duration::ZERO;
        loop {
            let fault =
                match Conversation::open_once(target, device, scope, patience, deadline).await {
                    Ok(conversation) => return Ok(conversation),
                    Err(fault) => fault,
                };
            let Some(retry_after) = fault.retry_after else { return Err(fault) };
            pause = retry_after.max(pause * 2);
            if Instant::now() + pause >= deadline {
                return Err(fault);
            }
            sleep(pause).await;
        }
    }

    /// Connects, and tries no second time: what is about to be changed was judged a moment ago, and a
    /// gateway that starts anew within its process has other runs.
    pub(super) async fn open_once(
        target: &Target,
        device: &Device,
        scope: Scope,
        patience: Duration,
        deadline: Instant,
    ) -> Result<Conversation, Fault> {
        let url = &target.url;
        let challenge_by = deadline.min(Instant::now() + patience);
        let opened = timeout_at(challenge_by, async {
            let mut socket = upgrade(target).await?;
            let challenge = challenged(&mut socket, url).await?;
            Ok((socket, challenge))
        });
        let silent = || {
            let text = format!("{url} accepts connections and says nothing");
            Fault::new(RpcFault::Deaf, text)
        };
        let (mut socket, challenge) = opened.await.unwrap_or_else(|_| Err(silent()))?;
        let params = connect(&challenge, device, &target.credentials, scope);
        let hello = timeout_at(deadline, async {
            send(&mut socket, url, "hello", "connect", params).await?;
            greeted(&mut socket, url, scope).await
        });
        let hello = hello.await.unwrap_or_else(|_| {
            let text = format!("{url} does not answer `connect`");
            Err(Fault::new(RpcFault::Deaf, text))
        })?;
        socket.get_mut().trust();
        Ok(Conversation { socket, url: url.clone(), asked: 0, hello })
    }

    /// What the gateway said of itself.
    pub(super) fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Waits for what it says next. May be dropped and called again without loss.
    pub(super) async fn listen(&mut self) -> Result<Utf8Bytes, Fault> {
        next(&mut self.socket, &self.url).await
    }

    /// Asks, and gives every event that comes before the answer to `heard`.
    ///
    /// The fault tells whether the request may have been carried out without an answer.
    pub(super) async fn ask<T>(
        &mut self,
        method: &str,
        params: impl Serialize,
        deadline: Instant,
        mut heard: impl FnMut(Heard<'_>),
        read: impl FnOnce(&RawValue) -> Option<T>,
    ) -> Result<T, Fault> {
        self.asked += 1;
        let id = format!("{}", self.asked);
        let answered = timeout_at(deadline, async {
            send(&mut self.socket, &self.url, &id, method, params).await?;
            loop {
                let text = next(&mut self.socket, &self.url).await?;
                match frame::read(&text) {
                    Some(Frame::Answer { id: of, is_ok, payload, error }) if of == *id => {
                        return Ok(match (is_ok, payload) {
                            (true, payload) => Ok(payload.and_then(read)),
                            (false, _) => Err(Fault::of_answer(method, error)),
                        });
                    }
                    Some(Frame::Event { name, seq, payload }) => {
                        heard(Heard { name: &name, seq, payload });
                    }
                    Some(Frame::Answer { .. } | Frame::Other) => {}
                    None => return Err(not_a_gateway(&self.url, "not JSON")),
                }
            }
        });
        let answered = answered.await.unwrap_or_else(|_| {
            let text = format!("{} does not answer `{method}`", self.url);
            Err(Fault::new(RpcFault::Deaf, text))
        });
        match answered {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(Fault::new(
                RpcFault::Unsupported,
                format!("{} answers `{method}` in an unknown form", self.url),
            )),
            Ok(Err(fault)) => Err(fault),
            Err(fault) => Err(Fault { is_unanswered: true, ..fault }),
        }
    }

    /// Asks as [`Conversation::ask`] does, again as often as the gateway asks for that.
    pub(super) async fn ask_patiently<T>(
        &mut self,
        method: &str,
        params: &impl Serialize,
        deadline: Instant,
        mut heard: impl FnMut(Heard<'_>),
        read: impl Fn(&RawValue) -> Option<T>,
    ) -> Result<T, Fault> {
        let mut pause = Duration::ZERO;
        loop {
            let asked = self.ask(method, params, deadline, &mut heard, &read).await;
            let fault = match asked {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let Some(retry_after) = fault.retry_after.filter(|_| !fault.is_unanswered) else {
                return Err(fault);
            };
            pause = retry_after.max(pause * 2);
            if Instant::now() + pause >= deadline {
                return Err(fault);
            }
            sleep(pause).await;
        }
    }

    /// Says goodbye, without waiting for an answer.
    pub(super) async fn close(mut self) {
        let soon = Instant::now() + Duration::from_millis(200);
        let _ = timeout_at(soon, self.socket.close(None)).await;
    }
}

async fn upgrade(target: &Target) -> Result<WebSocketStream<Socket>, Fault> {
    let url = &target.url;
    let socket = Socket::connect(target).await?;
    let uri = url.parse().map_err(|_| not_a_gateway(url, "its address cannot be read"))?;
    // Neither an `Origin` nor any `X-Forwarded-` header: they make a local client a foreign one.
    let request = ClientRequestBuilder::new(uri);
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(FRAME_BYTES_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX));
    let upgraded = client_async_with_config(request, socket, Some(config)).await;
    let (socket, _) = upgraded.map_err(|error| Fault::of_websocket(url, &error))?;
    Ok(socket)
}

async fn challenged(socket: &mut WebSocketStream<Socket>, url: &str) -> Result<Challenge, Fault> {
    loop {
        let text = next(socket, url).await?;
        match frame::read(&text) {
            Some(Frame::Event { name, payload, .. }) if name == "connect.challenge" => {
                let challenge = payload.and_then(Challenge::read);
                return challenge.ok_or_else(|| not_a_gateway(url, "its challenge has no nonce"));
            }
            Some(_) => {}
            None => return Err(not_a_gateway(url, "not JSON")),
        }
    }
}

async fn greeted(
    socket: &mut WebSocketStream<Socket>,
    url: &str,
    scope: Scope,
) -> Result<Hello, Fault> {
    loop {
        let text = next(socket, url).await?;
        match frame::read(&text) {
            Some(Frame::Answer { id, is_ok: true, payload, .. }) if id == "hello" => {
                let hello = payload.and_then(|payload| Hello::read(payload, scope));
                return hello.ok_or_else(|| not_a_gateway(url, "its hello cannot be read"));
            }
            Some(Frame::Answer { id, error, .. }) if id == "hello" => {
                return Err(Fault::of_answer("connect", error));
            }
            Some(_) => {}
            None => return Err(not_a_gateway(url, "not JSON")),
        }
    }
}

async fn send(
    socket: &mut WebSocketStream<Socket>,
    url: &str,
    id: &str,
    method: &str,
    params: impl Serialize,
) -> Result<(), Fault> {
    let request = Request { r#type: "req", id, method, params };
    let text = serde_json::to_string(&request)
        .map_err(|error| Fault::new(RpcFault::Internal, format!("`{method}`: {error}")))?;
    let sent = socket.send(Message::text(text)).await;
    sent.map_err(|error| Fault::of_websocket(url, &error))
}

async fn next(socket: &mut WebSocketStream<Socket>, url: &str) -> Result<Utf8Bytes, Fault> {
    loop {
        // One read brings thousands of small frames: whoever sends without end must not keep a deadline
        // from being looked at meanwhile.
        consume_budget().await;
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(Message::Close(frame))) => return Err(Fault::of_close(url, frame.as_ref())),
            Some(Ok(Message::Binary(_))) => return Err(not_a_gateway(url, "binary frames")),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Err(error)) => return Err(Fault::of_websocket(url, &error)),
            None => return Err(Fault::of_close(url, None)),
        }
    }
}
