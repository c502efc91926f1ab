//! The link against gateways that behave, and against everything that does not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use super::fake::{
    Asked, Fake, GATEWAY, challenge, eventually, greet, hello, link, link_by, request, say,
};
use super::{Call, Credentials, Hear as _, Link, Scope, Speak, Target};
use crate::model::{LaneStatus, ProcessId, Rpc, RpcFault, RunId};

fn lane() -> Value {
    json!({"key":"agent:main:main","sessionId":"s1","status":"running","startedAt":5})
}

fn list(lanes: &[Value]) -> Value {
    json!({"ts":1,"count":lanes.len(),"sessions":lanes,"hasMore":false})
}

/// What a well-behaved gateway answers.
fn well(method: &str, _: &Value) -> Result<Value, Value> {
    Ok(match method {
        "sessions.list" => list(&[lane()]),
        "sessions.subscribe" => json!({"subscribed":true}),
        "sessions.abort" => json!({"ok":true,"abortedRunId":"r1","status":"aborted"}),
        "sessions.reset" => json!({"ok":true,"key":"k","entry":{"sessionId":"s2"}}),
        _ => {
            return Err(
                json!({"code":"INVALID_REQUEST","message":format!("unknown method: {method}")}),
            );
        }
    })
}

fn abort() -> Call {
    Call::Abort { key: "agent:main:main".into(), run: Some(RunId("r1".to_owned())) }
}

#[track_caller]
fn failed(rpc: &Rpc) -> RpcFault {
    match rpc {
        Rpc::Failed(failure) => {
            assert!(!failure.text.contains("hunter2"), "{failure}");
            failure.fault
        }
        other => panic!("{other:?}"),
    }
}

/// Hears a gateway that behaves like `script`, within the bounds, and returns the fault.
#[track_caller]
fn fault_of(script: impl Fn(usize, TcpStream, &Asked) + Send + Sync + 'static) -> RpcFault {
    let fake = Fake::new(script);
    let (link, _folder) = fake.link(false);
    let began = tokio::time::Instant::now();
    let fault = failed(&link.hear(GATEWAY, &|| false));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    fault
}

/// The same for a gateway that answers `connect` with `error`.
#[track_caller]
fn refused_with(error: Value) -> RpcFault {
    fault_of(move |_, stream, _| {
        let Some((mut socket, id)) = challenge(stream) else { return };
        say(&mut socket, &json!({"type":"res","id":id,"ok":false,"error":error}));
    })
}

#[test]
fn lanes_are_listed_once_and_then_heard() {
    let fake = Fake::answering(well);
    let (link, _folder) = fake.link(true);
    for _ in 0..3 {
        let Rpc::Answered(answers) = link.hear(GATEWAY, &|| false) else { panic!() };
        assert_eq!((answers.lanes.len(), answers.is_complete), (1, true));
        assert!(answers.lanes[0].heard_since.is_some());
        assert_eq!(answers.boot_id.as_deref(), Some("b1"));
    }
    assert_eq!(fake.methods(), ["sessions.subscribe", "sessions.list"]);
    assert_eq!(link.lanes(GATEWAY, &|| false).unwrap()[0].status, LaneStatus::Running);
    assert_eq!(fake.methods().len(), 3);
}

#[test]
fn one_pass_lists_and_subscribes_to_nothing() {
    let fake = Fake::answering(well);
    let (link, _folder) = fake.link(false);
    let Rpc::Answered(answers) = link.hear(GATEWAY, &|| false) else { panic!() };
    assert_eq!(answers.lanes[0].heard_since, None);
    assert_eq!(fake.methods(), ["sessions.list"]);
}

#[test]
fn a_call_comes_back_with_what_was_done() {
    let fake = Fake::answering(well);
    let (link, _folder) = fake.link(false);
    let reply = link.call(GATEWAY, &abort(), &|| false).unwrap();
    assert_eq!(reply.status.as_deref(), Some("aborted"));
    assert_eq!(reply.run, Some(RunId("r1".to_owned())));
    let reset = Call::Reset { key: "k".into(), expected_session: Some("s1".into()) };
    assert_eq!(link.call(GATEWAY, &reset, &|| false).unwrap().session_id, Some("s2".into()));
}

#[test]
fn another_process_is_neither_believed_nor_changed() {
    let fake = Fake::answering(well);
    let (link, _folder) = fake.link(false);
    let other = ProcessId { pid: 42, ..GATEWAY };
    assert_eq!(failed(&link.hear(other, &|| false)), RpcFault::WrongGateway);
    let error = link.call(other, &abort(), &|| false).unwrap_err();
    assert_eq!((error.failure.fault, error.is_unknown), (RpcFault::WrongGateway, false));
    assert_eq!(fake.methods(), [""; 0]);
}

#[test]
fn before_a_change_it_is_made_surer_whose_the_port_is_than_before_a_question() {
    let fake = Fake::answering(well);
    let (link, _folder) = link_by(fake.target(), true, |scope, _, port| match scope {
        Scope::Read => Ok(()),
        Scope::Write | Scope::Admin => Err(format!("a child has the socket on port {port}, too")),
    });
    assert!(matches!(link.hear(GATEWAY, &|| false), Rpc::Answered(_)));
    let reset = Call::Reset { key: "k".into(), expected_session: None };
    for call in [abort(), reset] {
        let error = link.call(GATEWAY, &call, &|| false).unwrap_err();
        assert_eq!((error.failure.fault, error.is_unknown), (RpcFault::WrongGateway, false));
        assert!(error.failure.text.contains("a child has the socket"), "{error}");
    }
    assert_eq!(fake.methods(), ["sessions.subscribe", "sessions.list"], "nothing was said");
}

#[test]
fn a_gateway_of_another_state_directory_is_not_changed() {
    let fake = Fake::new(|_, stream, asked| {
        let mut said = hello();
        said["snapshot"]["stateDir"] = json!("/usr");
        let Some(mut socket) = greet(stream, said) else { return };
        super::fake::serve(&mut socket, asked, &well);
    });
    let (link, _folder) = fake.link(false);
    let reset = Call::Reset { key: "k".into(), expected_session: None };
    let error = link.call(GATEWAY, &reset, &|| false).unwrap_err();
    assert_eq!((error.failure.fault, error.is_unknown), (RpcFault::WrongGateway, false));
    assert_eq!(fake.methods(), [""; 0]);
}

#[test]
fn the_run_of_another_client_is_ended_as_an_admin() {
    let fake = Fake::new(|number, stream, asked| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        super::fake::serve(&mut socket, asked, &|method, params| match number {
            0 => Err(json!({"code":"INVALID_REQUEST","message":"unauthorized"})),
            _ => well(method, params),
        });
    });
    let (link, _folder) = fake.link(false);
    assert!(link.call(GATEWAY, &abort(), &|| false).is_ok());
    assert_eq!(fake.methods(), ["sessions.abort"; 2]);
}

#[test]
fn a_call_without_an_answer_is_unknown_and_not_said_twice() {
    for dies in [true, false] {
        let fake = Fake::new(move |_, stream, asked| {
            let Some(mut socket) = greet(stream, hello()) else { return };
            let Some((_, method, _)) = request(&mut socket) else { return };
            asked.lock().unwrap().push(method);
            if !dies {
                let _ = request(&mut socket);
            }
        });
        let (link, _folder) = fake.link(false);
        let error = link.call(GATEWAY, &abort(), &|| false).unwrap_err();
        assert!(error.is_unknown, "{error}");
        let fault = if dies { RpcFault::Closed } else { RpcFault::Deaf };
        assert_eq!(error.failure.fault, fault);
        assert_eq!(fake.methods(), ["sessions.abort"]);
    }
}

#[test]
fn what_is_said_to_be_too_early_is_asked_again() {
    let early = json!({"code":"UNAVAILABLE","message":"starting","retryAfterMs":10});
    let fake = Fake::new(move |number, stream, asked| {
        let Some((mut socket, id)) = challenge(stream) else { return };
        if number < 2 {
            say(&mut socket, &json!({"type":"res","id":id,"ok":false,"error":early}));
            let reason = CloseFrame { code: 1013.into(), reason: "later".into() };
            let _ = socket.close(Some(reason));
            return;
        }
        say(&mut socket, &json!({"type":"res","id":id,"ok":true,"payload":hello()}));
        let count = std::sync::atomic::AtomicUsize::new(0);
        super::fake::serve(&mut socket, asked, &|method, params| match count
            .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
        {
            0 => Err(early.clone()),
            _ => well(method, params),
        });
    });
    let (link, _folder) = fake.link(false);
    assert!(matches!(link.hear(GATEWAY, &|| false), Rpc::Answered(_)));
    assert_eq!(fake.methods(), ["sessions.list"; 2]);
}

#[test]
fn a_change_is_not_waited_for_until_a_gateway_has_started() {
    let early = json!({"code":"UNAVAILABLE","message":"starting","retryAfterMs":10});
    let fake = Fake::new(move |number, stream, asked| {
        let Some((mut socket, id)) = challenge(stream) else { return };
        asked.lock().unwrap().push("connect".to_owned());
        let refusal = json!({"type":"res","id":id,"ok":false,"error":early});
        let greeting = json!({"type":"res","id":id,"ok":true,"payload":hello()});
        say(&mut socket, if number == 0 { &refusal } else { &greeting });
        super::fake::serve(&mut socket, asked, &well);
    });
    let (link, _folder) = fake.link(false);
    let error = link.call(GATEWAY, &abort(), &|| false).unwrap_err();
    assert_eq!((error.failure.fault, error.is_unknown), (RpcFault::Unavailable, false));
    assert_eq!(fake.methods(), ["connect"]);
}

#[test]
fn a_gateway_that_stays_too_early_is_said_to_be_so_within_the_bound() {
    let fault = refused_with(json!({"code":"UNAVAILABLE","message":"x","retryAfterMs":100}));
    assert_eq!(fault, RpcFault::Unavailable);
    let fault = fault_of(|_, stream, _| {
        let Some((mut socket, _)) = challenge(stream) else { return };
        let _ = socket.close(Some(CloseFrame { code: 1013.into(), reason: "".into() }));
        while socket.read().is_ok() {}
    });
    assert_eq!(fault, RpcFault::Unavailable);
}

#[test]
fn refusals_of_the_connection_are_told_apart_and_not_repeated() {
    let code = |code: &str| json!({"code":"INVALID_REQUEST","message":"x","details":{"code":code}});
    assert_eq!(refused_with(code("AUTH_TOKEN_MISMATCH")), RpcFault::Unauthorized);
    assert_eq!(refused_with(code("PAIRING_REQUIRED")), RpcFault::PairingRequired);
    assert_eq!(refused_with(code("PROTOCOL_MISMATCH")), RpcFault::ProtocolMismatch);
    let fake = Fake::new(|_, stream, asked| {
        let Some((mut socket, id)) = challenge(stream) else { return };
        asked.lock().unwrap().push("connect".to_owned());
        let error = json!({"message":"missing scope: operator.read"});
        say(&mut socket, &json!({"type":"res","id":id,"ok":false,"error":error}));
    });
    let (mut link, _folder) = fake.link(true);
    for _ in 0..3 {
        assert_eq!(failed(&link.hear(GATEWAY, &|| false)), RpcFault::MissingScope);
    }
    assert_eq!(fake.methods(), ["connect"]);
    link.aim(Ok(Target { credentials: Credentials::None, ..fake.target() }));
    assert_eq!(failed(&link.hear(GATEWAY, &|| false)), RpcFault::MissingScope);
    assert_eq!(fake.methods().len(), 2, "other credentials are tried at once");
}

#[test]
fn nobody_there_and_no_target_are_said() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let target =
        Target { url: format!("ws://{closed}"), credentials: Credentials::None, pin: None };
    let (link, _folder) = link(target, false);
    assert_eq!(failed(&link.hear(GATEWAY, &|| false)), RpcFault::Refused);
    for url in ["", "http://x", "ws://u:p@x:1", "wss://127.0.0.1:1"] {
        let target = Target { url: url.to_owned(), credentials: Credentials::None, pin: None };
        let (link, _folder) = super::fake::link(target, false);
        let fault = failed(&link.hear(GATEWAY, &|| false));
        assert!(matches!(fault, RpcFault::Internal | RpcFault::Refused), "{url}: {fault:?}");
    }
}

#[test]
fn silence_is_deafness() {
    assert_eq!(
        fault_of(|_, mut stream, _| while stream.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}),
        RpcFault::Deaf
    );
    let fault = fault_of(|_, stream, _| {
        let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { return };
        while socket.read().is_ok() {}
    });
    assert_eq!(fault, RpcFault::Deaf);
    let fault = fault_of(|_, stream, _| {
        let Some((mut socket, _)) = challenge(stream) else { return };
        while socket.read().is_ok() {}
    });
    assert_eq!(fault, RpcFault::Deaf);
    let fault = fault_of(|_, stream, _| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        while socket.read().is_ok() {}
    });
    assert_eq!(fault, RpcFault::Deaf);
}

#[test]
fn what_is_no_gateway_is_said_to_be_none() {
    for reply in [
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\u{0}\u{1}\u{2} garbage \r\n\r\n",
    ] {
        let fault = fault_of(move |_, mut stream, _| {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(reply.as_bytes());
            let _ = stream.read(&mut [0; 1024]);
        });
        assert_eq!(fault, RpcFault::NotAGateway, "{reply:?}");
    }
    for message in [Message::text("hello?"), Message::binary(vec![0; 9])] {
        let fault = fault_of(move |_, stream, _| {
            let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { return };
            let _ = socket.send(message.clone());
            while socket.read().is_ok() {}
        });
        assert_eq!(fault, RpcFault::NotAGateway);
    }
}

#[test]
fn a_connection_cut_anywhere_is_a_fault_and_no_more() {
    let whole = json!({"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":7}});
    let text = whole.to_string();
    for cut in 0..text.len() {
        let part = text[..cut].to_owned();
        let fault = fault_of(move |_, stream, _| {
            let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { return };
            let mut frame = vec![0x81, u8::try_from(text_len()).unwrap()];
            frame.extend_from_slice(part.as_bytes());
            let _ = socket.get_mut().write_all(&frame);
        });
        assert_eq!(fault, RpcFault::Closed, "{cut}");
    }

    fn text_len() -> usize {
        json!({"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":7}})
            .to_string()
            .len()
    }
}

#[test]
fn more_than_is_read_is_refused() {
    // Before the hello much less is read than after it.
    let fault = fault_of(|_, stream, _| {
        let Ok(mut socket) = tokio_tungstenite::tungstenite::accept(stream) else { return };
        let _ = socket.send(Message::text(" ".repeat(5 << 20)));
        while socket.read().is_ok() {}
    });
    assert_eq!(fault, RpcFault::TooLarge);
    let fault = fault_of(|_, stream, _| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        let Some((id, ..)) = request(&mut socket) else { return };
        assert!(!id.is_empty());
        // Its head is enough: 33 MiB are announced.
        let mut head = vec![0x81, 127];
        head.extend_from_slice(&(33_u64 << 20).to_be_bytes());
        let _ = socket.get_mut().write_all(&head);
        while socket.read().is_ok() {}
    });
    assert_eq!(fault, RpcFault::TooLarge);
}

#[test]
fn endless_frames_end_at_the_bound() {
    let fault = fault_of(|_, stream, _| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        let _ = request(&mut socket);
        let event = json!({"type":"event","event":"health","payload":{}}).to_string();
        while socket.send(Message::text(event.clone())).is_ok() {}
    });
    assert_eq!(fault, RpcFault::Deaf);
}

#[test]
fn depth_costs_no_stack() {
    let fake = Fake::new(|_, stream, _| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        let Some((id, ..)) = request(&mut socket) else { return };
        let deep = "[".repeat(1 << 20) + &"]".repeat(1 << 20);
        let text =
            format!(r#"{{"type":"res","id":"{id}","ok":true,"payload":{{"sessions":{deep}}}}}"#);
        let _ = socket.send(Message::text(text));
        while socket.read().is_ok() {}
    });
    let (link, _folder) = fake.link(false);
    let Rpc::Answered(answers) = link.hear(GATEWAY, &|| false) else { panic!() };
    assert_eq!((answers.lanes.len(), answers.is_complete), (0, false));
}

#[test]
fn an_answer_of_another_form_is_no_answer() {
    for payload in
        [json!({}), json!(null), json!([]), json!({"sessions":{}}), json!({"sessions":[7]})]
    {
        let fake = Fake::answering(move |_, _| Ok(payload.clone()));
        let (link, _folder) = fake.link(false);
        assert_eq!(failed(&link.hear(GATEWAY, &|| false)), RpcFault::Unsupported);
    }
}

#[test]
fn only_the_answer_to_the_question_counts() {
    let fake = Fake::new(|_, stream, _| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        let Some((id, ..)) = request(&mut socket) else { return };
        let unasked = list(&[json!({"key":"agent:evil:main"})]);
        for of in [json!("hello"), json!("99"), json!(7), Value::Null] {
            say(&mut socket, &json!({"type":"res","id":of,"ok":true,"payload":unasked}));
        }
        say(&mut socket, &json!({"type":"event","event":"tick","payload":{},"seq":9}));
        for lanes in [list(&[lane()]), unasked] {
            say(&mut socket, &json!({"type":"res","id":id,"ok":true,"payload":lanes}));
        }
        while socket.read().is_ok() {}
    });
    let (link, _folder) = fake.link(false);
    let lanes = link.lanes(GATEWAY, &|| false).unwrap();
    assert_eq!(lanes.len(), 1);
    assert_eq!(lanes[0].key, "agent:main:main".into());
}

/// Hears a gateway that listens to what `wants` says: it answers, and then says each of `events`.
fn hearing(events: Vec<Value>) -> (Fake, Link, tempfile::TempDir) {
    let fake = Fake::new(move |_, stream, asked| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        while let Some((id, method, params)) = request(&mut socket) {
            asked.lock().unwrap().push(method.clone());
            let payload = well(&method, &params).unwrap();
            say(&mut socket, &json!({"type":"res","id":id,"ok":true,"payload":payload}));
            if method == "sessions.list" {
                events.iter().for_each(|event| say(&mut socket, event));
            }
        }
    });
    let (link, folder) = fake.link(true);
    assert!(matches!(link.hear(GATEWAY, &|| false), Rpc::Answered(_)));
    (fake, link, folder)
}

#[test]
fn a_lost_event_has_the_lanes_listed_again() {
    let event = |seq: i64| json!({"type":"event","event":"tick","payload":{},"seq":seq});
    let (fake, link, _folder) = hearing(vec![event(1), event(3)]);
    eventually(|| {
        assert!(matches!(link.hear(GATEWAY, &|| false), Rpc::Answered(_)));
        fake.methods().len() > 2
    });
    assert_eq!(fake.methods()[2], "sessions.list");
}

#[test]
fn a_gateway_that_stops_is_not_judged_by_what_it_said() {
    let event = json!({"type":"event","event":"shutdown","payload":{"reason":"stopping"},"seq":1});
    let (_fake, link, _folder) = hearing(vec![event]);
    eventually(
        || matches!(link.hear(GATEWAY, &|| false), Rpc::Failed(f) if f.fault == RpcFault::Unavailable),
    );
}

#[test]
fn one_that_breaks_each_connection_is_not_stormed() {
    let fake = Fake::new(|_, stream, asked| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        asked.lock().unwrap().push("connected".to_owned());
        if let Some((id, ..)) = request(&mut socket) {
            say(&mut socket, &json!({"type":"res","id":id,"ok":true,"payload":{}}));
        }
    });
    let (link, _folder) = fake.link(true);
    let began = tokio::time::Instant::now();
    failed(&link.hear(GATEWAY, &|| false));
    eventually(|| fake.methods().len() > 3);
    // Half a second, one and two, each a quarter less at the least.
    assert!(began.elapsed() > Duration::from_millis(2_500), "{:?}", began.elapsed());
}

#[test]
fn a_directory_of_the_gateways_is_told_short_and_escaped() {
    let fake = Fake::new(|_, stream, asked| {
        let mut said = hello();
        said["snapshot"]["stateDir"] = json!(format!("/\u{1b}[31m{}", "a".repeat(2_000)));
        let Some(mut socket) = greet(stream, said) else { return };
        super::fake::serve(&mut socket, asked, &well);
    });
    let (link, _folder) = fake.link(false);
    let text = link.call(GATEWAY, &abort(), &|| false).unwrap_err().failure.text;
    assert!(text.contains("works on"), "{text}");
    assert!(text.len() < 1_000 && !text.contains(char::is_control), "{} bytes", text.len());
}

#[test]
fn a_broken_connection_wakes_and_is_made_again() {
    let fake = Fake::new(|number, stream, asked| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        asked.lock().unwrap().push("connected".to_owned());
        if number == 0 {
            let (id, ..) = request(&mut socket).unwrap();
            say(&mut socket, &json!({"type":"res","id":id,"ok":true,"payload":{}}));
            let (id, ..) = request(&mut socket).unwrap();
            say(&mut socket, &json!({"type":"res","id":id,"ok":true,"payload":list(&[lane()])}));
            return;
        }
        super::fake::serve(&mut socket, asked, &well);
    });
    let (link, _folder) = fake.link(true);
    assert!(matches!(link.hear(GATEWAY, &|| false), Rpc::Answered(_)));
    let wake = link.wake();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let woken = async { tokio::time::timeout(Duration::from_secs(60), wake.notified()).await };
    assert!(runtime.block_on(woken).is_ok(), "nobody was woken");
    eventually(|| fake.methods().iter().filter(|what| *what == "connected").count() > 1);
    eventually(|| matches!(link.hear(GATEWAY, &|| false), Rpc::Answered(_)));
}
