use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::*;
use crate::gateway::fake::{Fake, GATEWAY, link_by};
use crate::gateway::speak::Spawn as _;
use crate::model::{Authority, ProcessId};

fn wanted() -> Restore {
    Restore {
        id: "b1".into(),
        requester: "agent:main:\"quoted\"\r\nX: y".into(),
        authority: Authority::Recorded,
        agent: "claude".into(),
        cwd: "/w".into(),
        task: "go on".to_owned(),
        gateway: GATEWAY,
    }
}

/// Reads one request to its end.
fn request_of(stream: &mut TcpStream) -> String {
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    loop {
        let read = stream.read(&mut buffer).unwrap();
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        if read == 0 || body.len() >= length.parse::<usize>().unwrap() {
            return text;
        }
    }
}

/// A gateway that notes each request and answers `text`.
fn answering(text: &'static str) -> Fake {
    Fake::new(move |_, mut stream, asked| {
        let request = request_of(&mut stream);
        asked.lock().unwrap().push(request);
        stream.write_all(text.as_bytes()).unwrap();
    })
}

fn ask(fake: &Fake) -> Result<SessionKey, CallError> {
    let (link, _folder) = fake.link(false);
    link.spawn(GATEWAY, &wanted())
}

#[track_caller]
fn check(answer: &'static str, fault: RpcFault, is_unknown: bool, says: &str) {
    let fake = answering(answer);
    let error = ask(&fake).unwrap_err();
    assert_eq!((error.failure.fault, error.is_unknown), (fault, is_unknown), "{error}");
    assert!(error.to_string().contains(says), "{error}");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(fake.methods().len(), 1, "asked once, whatever it says");
}

const ACCEPTED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n\
    {\"ok\":true,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"{}\"}],\"details\":{\
    \"status\":\"accepted\",\"childSessionKey\":\"agent:claude:acp:2\",\"runId\":\"r\",\
    \"mode\":\"run\"}}}";

#[test]
fn it_is_asked_in_the_name_of_the_requester_for_exactly_that_session() {
    let fake = answering(ACCEPTED);
    assert_eq!(ask(&fake), Ok("agent:claude:acp:2".into()));
    let requests = fake.methods();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /tools/invoke HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("\r\nAuthorization: Bearer hunter2\r\n"), "{head}");
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["tool"], "sessions_spawn");
    assert_eq!(body["sessionKey"], "agent:main:\"quoted\"\r\nX: y");
    let args = json!({"runtime":"acp","agentId":"claude","task":"go on","mode":"run","cwd":"/w",
        "resumeSessionId":"b1"});
    assert_eq!(body["args"], args);
}

#[test]
fn a_tool_that_is_not_allowed_is_told_from_every_other_refusal() {
    let not_found = "HTTP/1.1 404 Not Found\r\n\r\n{\"ok\":false,\"error\":{\"type\":\"not_found\",\
        \"message\":\"Tool not available: sessions_spawn\"}}";
    check(not_found, RpcFault::Unsupported, false, "Tool not available");
    let plain = "HTTP/1.1 404 Not Found\r\n\r\nNot Found";
    check(plain, RpcFault::NotAGateway, false, "no gateway");
    let unauthorized =
        "HTTP/1.1 401 Unauthorized\r\n\r\n{\"error\":{\"message\":\"Unauthorized\"}}";
    check(unauthorized, RpcFault::Unauthorized, false, "401");
    let many = "HTTP/1.1 429 Too Many Requests\r\n\r\n{}";
    check(many, RpcFault::Unavailable, false, "429");
    let forbidden = "HTTP/1.1 200 OK\r\n\r\n{\"ok\":true,\"result\":{\"details\":{\
        \"status\":\"forbidden\",\"errorCode\":\"acp_disabled\",\"error\":\"ACP is disabled\"}}}";
    check(forbidden, RpcFault::Refusal, false, "ACP is disabled");
}

#[test]
fn an_answer_that_does_not_say_is_in_doubt() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n{\"ok\":true",
        "HTTP/1.1 200 OK\r\n\r\n{\"ok\":true,\"result\":{\"details\":7}}",
        "HTTP/1.1 200 OK\r\n\r\n{\"result\":{\"details\":{\"status\":\"accepted\"}}}",
        "HTTP/1.1 200 OK\r\n\r\n{\"result\":{\"details\":{\"status\":\"error\",\
            \"childSessionKey\":\"agent:claude:acp:2\"}}}",
        "HTTP/1.1 500 Oops\r\n\r\n{\"error\":{\"type\":\"tool_error\"}}",
        "\u{1}\u{2}",
    ] {
        let fake = answering(answer);
        let error = ask(&fake).unwrap_err();
        assert!(error.is_unknown, "{answer}: {error}");
    }
}

#[test]
fn a_gateway_that_is_silent_after_the_request_is_in_doubt_and_one_that_is_down_is_not() {
    let fake = Fake::new(|_, mut stream, asked| {
        let request = request_of(&mut stream);
        asked.lock().unwrap().push(request);
        let _ = stream.read(&mut [0]);
    });
    let error = ask(&fake).unwrap_err();
    assert_eq!((error.failure.fault, error.is_unknown), (RpcFault::Deaf, true), "{error}");
    assert_eq!(fake.methods().len(), 1);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target = crate::gateway::Target { url: format!("ws://{free}"), ..fake.target() };
    let (link, _folder) = link_by(target, false, |_, _, _| Ok(()));
    let error = link.spawn(GATEWAY, &wanted()).unwrap_err();
    assert_eq!((error.failure.fault, error.is_unknown), (RpcFault::Refused, false), "{error}");
}

#[test]
fn another_gateway_is_told_nothing_not_even_the_secret() {
    let fake = answering(ACCEPTED);
    let (link, _folder) = fake.link(false);
    let other = ProcessId { pid: 42, start_ticks: 7 };
    let error = link.spawn(other, &wanted()).unwrap_err();
    assert_eq!((error.failure.fault, error.is_unknown), (RpcFault::WrongGateway, false), "{error}");
    assert_eq!(fake.methods(), Vec::<String>::new());
}
