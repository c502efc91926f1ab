//! Damaged files against a second, independent reading of them: nothing is done about a row or
//! lock that does not say, in whole and valid JSON, what the deed rests on.

use std::fs;

use clawarden::model::LaneStatus;
use clawarden::observe::files::{AgentPath, Keep, read_claim, read_store};
use proptest::prelude::*;
use serde_json::Value;

use super::{DEAD_LOCK, LOCK, STALE};
use crate::capture::Capture;

/// What happens to bytes on a bad day.
#[derive(Clone, Debug)]
enum Damage {
    Cut(usize),
    Drop(usize, usize),
    Repeat(usize, usize),
    Set(usize, u8),
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    let one = prop_oneof![
        at.clone().prop_map(Damage::Cut),
        (at.clone(), 1..40usize).prop_map(|(at, length)| Damage::Drop(at, length)),
        (at.clone(), 1..40usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        (at.clone(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        (at, prop::sample::select(b"0123456789-\"{}[]:,e.".to_vec()))
            .prop_map(|(at, byte)| Damage::Set(at, byte)),
    ];
    prop::collection::vec(one, 1..4)
}

fn damaged(bytes: &[u8], damages: &[Damage]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for damage in damages {
        if bytes.is_empty() {
            break;
        }
        let place = |at: usize| at % bytes.len();
        match *damage {
            Damage::Cut(at) => bytes.truncate(place(at)),
            Damage::Drop(at, length) => {
                let (start, end) = (place(at), (place(at) + length).min(bytes.len()));
                bytes.drain(start..end);
            }
            Damage::Repeat(at, length) => {
                let (start, end) = (place(at), (place(at) + length).min(bytes.len()));
                let again = bytes[start..end].to_vec();
                bytes.splice(start..start, again);
            }
            Damage::Set(at, byte) => {
                let at = place(at);
                bytes[at] = byte;
            }
        }
    }
    bytes
}

/// The other reading. A number that JSON allows and no program can hold is left out.
fn parsed(bytes: &[u8]) -> Option<Result<Value, ()>> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Some(Ok(value)),
        Err(error) if error.to_string().contains("out of range") => None,
        Err(_) => Some(Err(())),
    }
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) }
}

#[test]
fn a_damaged_store_makes_no_row_up() {
    let capture = Capture::new(STALE);
    let whole = fs::read(capture.store()).unwrap();
    let root = capture.state_dir();
    let at = AgentPath { path: capture.store(), agent: "main".into() };
    let mut runner = proptest::test_runner::TestRunner::new(config());
    let outcome = runner.run(&damages(), |damages| {
        let bytes = damaged(&whole, &damages);
        fs::write(&at.path, &bytes).unwrap();
        let Some(other) = parsed(&bytes) else { return Ok(()) };
        let read = read_store(&root, &at, &Keep::Running);
        let Ok(rows) = other else {
            prop_assert!(read.is_err(), "{}", String::from_utf8_lossy(&bytes));
            return Ok(());
        };
        for lane in read.ok().flatten().map(|read| read.lanes).unwrap_or_default() {
            let row = &rows[&lane.key.0];
            prop_assert_eq!(&lane.row.status, &LaneStatus::Running);
            prop_assert_eq!(&row["status"], "running");
            prop_assert_eq!(
                lane.row.session_id.as_ref().map(|id| id.0.as_str()),
                row["sessionId"].as_str().filter(|id| !id.is_empty())
            );
            for (read, name) in [(lane.row.started_at, "startedAt"), (lane.row.ended_at, "endedAt")]
            {
                if let Some(at) = read.value() {
                    prop_assert_eq!(Some(at.0 as f64), row[name].as_f64(), "{}", name);
                }
            }
        }
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn a_damaged_lock_claims_nothing_that_it_does_not_say() {
    let whole = fs::read(Capture::new(DEAD_LOCK).sessions().join(LOCK)).unwrap();
    assert!(read_claim(&whole).is_some());
    let mut runner = proptest::test_runner::TestRunner::new(config());
    let outcome = runner.run(&damages(), |damages| {
        let bytes = damaged(&whole, &damages);
        // The gateway reads what is not UTF-8 as U+FFFD.
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (Some(claim), Some(other)) = (read_claim(&bytes), parsed(text.as_bytes())) else {
            return Ok(());
        };
        prop_assert!(other.is_ok(), "{}", text);
        let payload = other.unwrap();
        prop_assert_eq!(Some(f64::from(claim.pid)), payload["pid"].as_f64(), "{}", &text);
        prop_assert!(claim.pid > 1);
        prop_assert_eq!(claim.start_ticks.is_some(), payload["starttime"].is_number(), "{}", &text);
        prop_assert!(payload["createdAt"].is_string() || payload["createdAt"].is_number());
        Ok(())
    });
    outcome.unwrap();
}
