//! What real gateways said, read again.

use std::path::Path;

use serde_json::value::RawValue;

use super::conversation::Heard;
use super::fault::Fault;
use super::frame::{self, Frame};
use super::hello::{Challenge, Hello};
use super::lanes::{Effect, Lanes};
use super::{Call, Scope, call, list};
use crate::model::{LaneStatus, LiveLane, RpcFault, UnixMillis, Version};

const VERSIONS: [&str; 3] = ["2026.4.15", "2026.7.1", "2026.9.6"];

fn text(version: &str, file: &str) -> Option<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rpc").join(version);
    std::fs::read_to_string(folder.join(file)).ok()
}

/// The payload or the error of a recorded answer.
fn answer(version: &str, name: &str) -> Option<Result<Box<RawValue>, Box<RawValue>>> {
    let text = text(version, &format!("{name}.json"))?;
    let Some(Frame::Answer { is_ok, payload, error, .. }) = frame::read(&text) else {
        panic!("{version} {name}");
    };
    let part = if is_ok { payload } else { error };
    let part = part.unwrap().to_owned();
    Some(if is_ok { Ok(part) } else { Err(part) })
}

fn lane<'a>(lanes: &'a [LiveLane], key: &str) -> &'a LiveLane {
    lanes.iter().find(|lane| lane.key.0 == key).unwrap()
}

#[test]
fn every_version_is_greeted() {
    for version in VERSIONS {
        let challenge = text(version, "challenge.json").unwrap();
        let Some(Frame::Event { name, payload, .. }) = frame::read(&challenge) else { panic!() };
        assert_eq!(name, "connect.challenge");
        assert!(Challenge::read(payload.unwrap()).is_some());
        let hello = answer(version, "hello").unwrap().unwrap();
        let hello = Hello::read(&hello, Scope::Admin).unwrap();
        assert_eq!(hello.version, Version::parse(version));
        assert_eq!(hello.state_dir.as_deref(), Some(Path::new("/home/lab/.openclaw")));
        assert_eq!(hello.protocol, if version == "2026.4.15" { 3 } else { 4 });
        assert_eq!(hello.boot_id.is_some(), version == "2026.9.6");
        assert_eq!(hello.has_scope, (version != "2026.4.15").then_some(true));
    }
}

#[test]
fn the_lanes_of_every_version_are_read() {
    for version in VERSIONS {
        let listed = list::read(&answer(version, "list").unwrap().unwrap()).unwrap();
        assert!(listed.is_complete, "{version}");
        let [main, two, three] =
            ["main", "two", "three"].map(|name| lane(&listed.lanes, &format!("agent:main:{name}")));
        for hung in [main, two] {
            assert_eq!(hung.status, LaneStatus::Running, "{version}");
            assert!(hung.session_id.is_some() && hung.started_at.is_some(), "{version}");
            assert_eq!(hung.has_active_run, (version != "2026.4.15").then_some(true));
        }
        assert_eq!(three.status, LaneStatus::Ended);
        assert!(three.ended_at > three.started_at);
        assert_eq!(three.has_active_run, (version != "2026.4.15").then_some(false));
        // 2026.9.6 has the field, and leaves it out for runs that are alive.
        assert_eq!(main.runs.len(), usize::from(version == "2026.7.1"), "{version}");
    }
}

#[test]
fn a_cut_list_is_not_taken_for_all() {
    let listed = list::read(&answer("2026.9.6", "list1").unwrap().unwrap()).unwrap();
    assert_eq!((listed.lanes.len(), listed.is_complete, listed.next_offset), (1, false, Some(1)));
}

#[test]
fn what_repairs_were_answered_is_read() {
    let key = || "agent:main:main".into();
    let abort = Call::Abort { key: key(), run: None };
    for version in VERSIONS {
        let read = |name: &str, of: &Call| {
            let payload = answer(version, name)?.unwrap();
            Some(call::reply(of, &payload).unwrap())
        };
        let done = read("abort", &abort).unwrap();
        assert_eq!((done.status.as_deref(), &*done.run.unwrap().0), (Some("aborted"), "k1"));
        if let Some(done) = read("abort2", &abort) {
            assert_eq!((done.status.as_deref(), done.run), (Some("no-active-run"), None));
        }
        let reset = Call::Reset { key: key(), expected_session: None };
        assert!(read("reset", &reset).unwrap().session_id.is_some(), "{version}");
        let steer = Call::Steer { key: key(), message: "go on".to_owned() };
        if let Some(done) = read("steer", &steer) {
            assert_eq!(done.status.as_deref(), Some("started"));
            assert!(done.run.is_some(), "{version}");
        }
    }
}

#[test]
fn what_refusals_were_answered_has_its_kind() {
    for version in VERSIONS {
        for (name, kind) in [
            ("wrong", RpcFault::Unauthorized),
            ("missing", RpcFault::Unauthorized),
            ("proto", RpcFault::ProtocolMismatch),
            ("scope", RpcFault::MissingScope),
            ("unknown", RpcFault::Unsupported),
            ("unexpected", RpcFault::Unsupported),
            ("guard", RpcFault::Refusal),
            ("recover", RpcFault::Refusal),
        ] {
            let Some(answer) = answer(version, name) else { continue };
            let fault = Fault::of_answer("x", Some(&answer.unwrap_err()));
            assert_eq!(fault.kind(), kind, "{version} {name}");
        }
    }
}

#[test]
fn the_events_of_every_version_age_its_lanes() {
    let now = UnixMillis(9);
    for version in VERSIONS {
        let mut lanes = Lanes::default();
        let (mut changed, mut stopping) = (0, false);
        let events = [text(version, "events.jsonl"), text(version, "shutdown.jsonl")];
        for line in events[0].as_deref().unwrap().lines() {
            let Some(Frame::Event { name, seq, payload }) = frame::read(line) else { panic!() };
            let effect = lanes.hear(&Heard { name: &name, seq, payload }, now);
            assert_ne!(effect, Effect::Lost, "{version}: {line}");
            changed += usize::from(effect == Effect::Changed);
        }
        for line in events[1].as_deref().unwrap_or_default().lines() {
            let Some(Frame::Event { name, payload, .. }) = frame::read(line) else { panic!() };
            stopping |=
                lanes.hear(&Heard { name: &name, seq: None, payload }, now) == Effect::Stopping;
        }
        assert_eq!(stopping, events[1].is_some(), "{version}");
        if version == "2026.4.15" {
            // Its event loop stood still while the runs began: the recording ends before.
            continue;
        }
        let (known, _) = lanes.known();
        let three = lane(&known, "agent:main:three");
        assert!(changed > 4 && three.last_event_at == Some(now), "{version}: {changed}");
        assert!(three.runs.is_empty() && three.has_active_run != Some(true), "{version}");
    }
}
