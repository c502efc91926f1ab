//! A gateway of a few lines, for tests: each connection runs a script on a thread of its own.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

use super::link::{Bounds, Link, LinkSettings};
use super::speak::{Hear as _, Scope};
use super::target::{Credentials, Secret, Target};
use crate::clock::Clock;
use crate::model::ProcessId;

/// A listener that hands each connection, with its number, to a script.
pub(super) struct Fake {
    address: SocketAddr,
    /// Every method that was asked, in order.
    pub(super) asked: Asked,
}

pub(super) type Asked = Arc<Mutex<Vec<String>>>;
pub(super) type Socket = WebSocket<TcpStream>;

pub(super) const GATEWAY: ProcessId = ProcessId { pid: 41, start_ticks: 7 };

impl Fake {
    /// Listens; `script` is run for each connection until it returns, which closes it.
    pub(super) fn new(script: impl Fn(usize, TcpStream, &Asked) + Send + Sync + 'static) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Asked::default();
        let (script, log) = (Arc::new(script), Arc::clone(&asked));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (script, log) = (Arc::clone(&script), Arc::clone(&log));
                std::thread::spawn(move || script(number, stream.unwrap(), &log));
            }
        });
        Fake { address, asked }
    }

    /// A gateway that greets and then answers each request with what `answer` makes of method and
    /// parameters: the payload, or an error.
    pub(super) fn answering(
        answer: impl Fn(&str, &Value) -> Result<Value, Value> + Send + Sync + 'static,
    ) -> Fake {
        Fake::new(move |_, stream, asked| {
            let Some(mut socket) = greet(stream, hello()) else { return };
            serve(&mut socket, asked, &answer);
        })
    }

    pub(super) fn target(&self) -> Target {
        Target {
            url: format!("ws://{}", self.address),
            credentials: Credentials::Token(Secret::new("hunter2".to_owned())),
            pin: None,
        }
    }

    /// A link to it, with bounds of a second.
    pub(super) fn link(&self, stays: bool) -> (Link, tempfile::TempDir) {
        link(self.target(), stays)
    }

    pub(super) fn methods(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

pub(super) fn link(target: Target, stays: bool) -> (Link, tempfile::TempDir) {
    link_by(target, stays, |_, process, _| {
        if process == GATEWAY { Ok(()) } else { Err("another process listens".to_owned()) }
    })
}

/// A link that takes for right what `is_right` does.
pub(super) fn link_by(
    target: Target,
    stays: bool,
    is_right: impl Fn(Scope, ProcessId, u16) -> Result<(), String> + Send + Sync + 'static,
) -> (Link, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let second = Duration::from_secs(1);
    let mut link = Link::new(LinkSettings {
        folder: folder.path().to_owned(),
        state_dir: folder.path().to_owned(),
        stays,
        keeps_key: true,
        clock: Clock::Wall,
        is_right: Arc::new(is_right),
        bounds: Bounds {
            challenge: second,
            look: 2 * second,
            call: 2 * second,
            reset: 2 * second,
            spawn: 2 * second,
        },
    });
    link.aim(Ok(target));
    (link, folder)
}

pub(super) fn hello() -> Value {
    json!({"type":"hello-ok","protocol":4,"server":{"version":"2026.9.6","bootId":"b1"},
        "features":{"methods":[]},"snapshot":{},"policy":{"tickIntervalMs":30_000}})
}

/// Upgrades, challenges, and answers the first request with `hello`; `None` if the other end left.
pub(super) fn greet(stream: TcpStream, hello: Value) -> Option<Socket> {
    let (mut socket, id) = challenge(stream)?;
    say(&mut socket, &json!({"type":"res","id":id,"ok":true,"payload":hello}));
    Some(socket)
}

/// Upgrades, challenges, and returns the id of the request to connect.
pub(super) fn challenge(stream: TcpStream) -> Option<(Socket, String)> {
    let mut socket = accept(stream).ok()?;
    say(
        &mut socket,
        &json!({"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":7}}),
    );
    let (id, method, _) = request(&mut socket)?;
    assert_eq!(method, "connect");
    Some((socket, id))
}

pub(super) fn serve(
    socket: &mut Socket,
    asked: &Asked,
    answer: &impl Fn(&str, &Value) -> Result<Value, Value>,
) {
    while let Some((id, method, params)) = request(socket) {
        asked.lock().unwrap().push(method.clone());
        let frame = match answer(&method, &params) {
            Ok(payload) => json!({"type":"res","id":id,"ok":true,"payload":payload}),
            Err(error) => json!({"type":"res","id":id,"ok":false,"error":error}),
        };
        say(socket, &frame);
    }
}

/// The next request: its id, its method and its parameters.
pub(super) fn request(socket: &mut Socket) -> Option<(String, String, Value)> {
    loop {
        match socket.read().ok()? {
            Message::Text(text) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                let text = |name: &str| frame[name].as_str().unwrap().to_owned();
                return Some((text("id"), text("method"), frame["params"].clone()));
            }
            Message::Close(_) => return None,
            _ => {}
        }
    }
}

pub(super) fn say(socket: &mut Socket, frame: &Value) {
    let _ = socket.send(Message::text(frame.to_string()));
}

/// Waits for `is_so`, for a minute at the longest.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "the other side is a thread, in real time")]
pub(super) fn eventually(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came to be so");
        std::thread::sleep(Duration::from_millis(5));
    }
}
