//! One conversation with a gateway of 5,000 lanes: connect, list, hang up.
//!
//! The floor is a bare client with the same handshake that throws the list away; the goal is at most
//! twice that. The lanes are one that 2026.9.6 told of, under other names. What is kept of them costs
//! at most 2 MiB.

#![expect(clippy::unwrap_used, reason = "a bench")]

mod measure;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use clawarden::clock::Clock;
use clawarden::gateway::{
    Bounds, Credentials, Hear as _, Link, LinkSettings, Secret, Speak as _, Target,
};
use clawarden::model::{ProcessId, Rpc};
use ed25519_dalek::{Signer as _, SigningKey};
use futures_util::{SinkExt as _, StreamExt as _};
use measure::{Budget, Table, status_kib, wall_ms};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, accept};

const LANES: usize = 5_000;
/// Set in the process that is the gateway: how many lanes it has.
const SERVE: &str = "BENCH_GATEWAY_LANES";
const GATEWAY: ProcessId = ProcessId { pid: 1, start_ticks: 1 };

fn main() {
    if let Some(lanes) = std::env::var_os(SERVE) {
        return serve_until_told(lanes.to_str().unwrap().parse().unwrap());
    }
    let (few, many) = (Gateway::of(5), Gateway::of(LANES));
    let (url, folder) = (&many.url, tempfile::tempdir().unwrap());
    let mut table = Table::default();

    let mut link = link(&few.url, folder.path(), true);
    hear(&link, 5);
    let before = resident();
    link.aim(Ok(target(url)));
    hear(&link, LANES);
    if let (Some(before), Some(after)) = (before, resident()) {
        table.row("5,000 lanes, kept", "MiB", 0.0, after - before, Budget::AtMost(2.0));
    }
    let again = wall_ms(15, || link.hear(GATEWAY, &|| false));
    drop(link);
    let floor = wall_ms(15, || bare(url));
    let ours = wall_ms(15, || {
        let lanes = self::link(url, folder.path(), false).lanes(GATEWAY, &|| false).unwrap();
        assert_eq!(lanes.len(), LANES);
    });
    table.row("connect and list (floor: bare)", "ms wall", floor, ours, Budget::Times(2.0));
    table.row("hear again, nothing new", "ms wall", floor, again, Budget::Any);
    table.print();
}

fn hear(link: &Link, lanes: usize) {
    let Rpc::Answered(answers) = link.hear(GATEWAY, &|| false) else { panic!("no answer") };
    assert_eq!((answers.lanes.len(), answers.is_complete), (lanes, true));
}

fn link(url: &str, folder: &std::path::Path, stays: bool) -> Link {
    let mut link = Link::new(LinkSettings {
        folder: folder.to_owned(),
        state_dir: folder.to_owned(),
        keeps_key: true,
        stays,
        clock: Clock::Wall,
        is_right: Arc::new(|_, _, _| Ok(())),
        bounds: Bounds::default(),
    });
    link.aim(Ok(target(url)));
    link
}

fn target(url: &str) -> Target {
    let credentials = Credentials::Token(Secret::new("t".to_owned()));
    Target { url: url.to_owned(), credentials, pin: None }
}

/// Connects, signs, asks for all lanes at once, and reads the answer without looking at it.
fn bare(url: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let key = SigningKey::from_bytes(&[7; 32]);
        let signature: Vec<u8> = key.sign(b"v3|what|a|client|signs").to_bytes().to_vec();
        let ask = |method: &str, params: Value| {
            let frame = json!({"type":"req","id":method,"method":method,"params":params});
            Message::text(frame.to_string())
        };
        let params = json!({"minProtocol":3,"maxProtocol":4,"device":{"signature":signature}});
        socket.send(ask("connect", params)).await.unwrap();
        socket.next().await.unwrap().unwrap();
        socket.send(ask("sessions.list", json!({"limit":LANES}))).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert!(answer.len() > LANES * 100);
    });
}

/// A gateway in a process of its own, so that its memory is not taken for ours.
struct Gateway {
    process: Child,
    url: String,
}

impl Gateway {
    fn of(lanes: usize) -> Gateway {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .env(SERVE, lanes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut url = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Gateway { process, url: url.trim().to_owned() }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Tells of that many lanes, page by page, until its standard input ends. Prints its URL.
fn serve_until_told(lanes: usize) {
    let text = include_str!("../tests/fixtures/rpc/2026.9.6/list.json");
    let recorded: Value = serde_json::from_str(text).unwrap();
    let rows: Vec<String> = (0..lanes)
        .map(|number| {
            let mut row = recorded["payload"]["sessions"][0].clone();
            row["key"] = json!(format!("agent:main:telegram:direct:{number:012}"));
            row["sessionId"] = json!(format!("d8c6f522-1425-43ba-93a4-{number:012}"));
            row.to_string()
        })
        .collect();
    let rows = Arc::new(rows);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut out = std::io::stdout();
    writeln!(out, "ws://{}", listener.local_addr().unwrap()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let rows = Arc::clone(&rows);
            std::thread::spawn(move || serve(stream.unwrap(), &rows));
        }
    });
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

fn serve(stream: TcpStream, rows: &[String]) {
    let Ok(mut socket) = accept(stream) else { return };
    let challenge =
        r#"{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":7}}"#;
    let _ = socket.send(Message::text(challenge));
    while let Ok(Message::Text(text)) = socket.read() {
        let frame: Value = serde_json::from_str(&text).unwrap();
        let payload = match frame["method"].as_str().unwrap() {
            "connect" => {
                json!({"type":"hello-ok","protocol":4,"server":{"version":"2026.9.6"}}).to_string()
            }
            "sessions.list" => page(&frame["params"], rows),
            _ => "{}".to_owned(),
        };
        let id = &frame["id"];
        let answer = format!(r#"{{"type":"res","id":{id},"ok":true,"payload":{payload}}}"#);
        if socket.send(Message::text(answer)).is_err() {
            return;
        }
    }
}

fn page(params: &Value, rows: &[String]) -> String {
    let number = |name: &str| params[name].as_u64().and_then(|n| usize::try_from(n).ok());
    let from = number("offset").unwrap_or(0).min(rows.len());
    let to = rows.len().min(from + number("limit").unwrap_or(100));
    let more = if to < rows.len() { format!("true,\"nextOffset\":{to}") } else { "false".into() };
    format!(r#"{{"sessions":[{}],"hasMore":{more}}}"#, rows[from..to].join(","))
}

/// MiB.
fn resident() -> Option<f64> {
    status_kib("self", "VmRSS:").map(|kib| kib / 1024.0)
}
