//! A stop while the gateway is waited for.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::fake::{Fake, GATEWAY, greet, hello, link, request};
use super::link::{Bounds, Link};
use super::{Call, Hear as _, Speak as _};
use crate::model::{Rpc, RunId};

/// Much longer than any of these tests may take.
const LONG: Duration = Duration::from_secs(120);

/// A gateway that greets and then answers nothing, and a link with bounds that are never met.
fn silent() -> (Fake, Link, tempfile::TempDir) {
    let fake = Fake::new(|_, stream, asked| {
        let Some(mut socket) = greet(stream, hello()) else { return };
        while let Some((_, method, _)) = request(&mut socket) {
            asked.lock().unwrap().push(method);
        }
    });
    let (link, folder) = link(fake.target(), false);
    let bounds = Bounds { challenge: LONG, look: LONG, call: LONG, reset: LONG, spawn: LONG };
    (fake, link.with(bounds), folder)
}

/// Asks, stops once the gateway was asked for `method`, and returns how long that took from there.
fn stopped<T>(
    fake: &Fake,
    method: &str,
    ask: impl FnOnce(&dyn Fn() -> bool) -> T,
) -> (T, Duration) {
    let asked_at = std::cell::Cell::new(None);
    let stop = || {
        if asked_at.get().is_none() && fake.methods().iter().any(|asked| asked == method) {
            asked_at.set(Some(Instant::now()));
        }
        asked_at.get().is_some()
    };
    let answer = ask(&stop);
    (answer, asked_at.get().expect("a stop").elapsed())
}

fn abort() -> Call {
    Call::Abort { key: "agent:main:main".into(), run: Some(RunId("r1".to_owned())) }
}

#[test]
fn an_answer_that_only_tells_is_waited_for_but_a_moment() {
    let (fake, link, _folder) = silent();
    let (rpc, took) = stopped(&fake, "sessions.list", |stop| link.hear(GATEWAY, stop));
    let Rpc::Failed(failure) = rpc else { panic!("{rpc:?}") };
    assert!(failure.text.contains("stop"), "{failure}");
    assert!(took < LONG / 4, "{took:?}");
}

#[test]
fn a_change_that_is_under_way_is_waited_for_a_little_and_then_not_known() {
    let (fake, link, _folder) = silent();
    let call = abort();
    let (answer, took) = stopped(&fake, "sessions.abort", |stop| link.call(GATEWAY, &call, stop));
    let error = answer.unwrap_err();
    assert!(error.is_unknown, "it may have been carried out: {error}");
    assert!(took < LONG / 4, "{took:?}");
}

#[test]
fn a_gateway_that_answers_in_time_is_heard_in_spite_of_a_stop() {
    let well = |method: &str, _: &Value| match method {
        "sessions.list" => Ok(json!({"ts":1,"count":0,"sessions":[],"hasMore":false})),
        _ => Ok(json!({"ok":true,"abortedRunId":"r1","status":"aborted"})),
    };
    let fake = Fake::answering(well);
    let (link, _folder) = fake.link(false);
    let (rpc, _) = stopped(&fake, "sessions.list", |stop| {
        let rpc = link.hear(GATEWAY, stop);
        stop();
        rpc
    });
    assert!(matches!(rpc, Rpc::Answered(_)), "{rpc:?}");
    assert_eq!(link.call(GATEWAY, &abort(), &|| true).unwrap().status.as_deref(), Some("aborted"));
}
