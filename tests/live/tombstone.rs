//! 2026.4.15: to whom the conversation of a real ACP run belongs is on record as soon as it appears on
//! disk, within the start grace, too, and stays so when the gateway deletes the session.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::acp;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::wait::{seconds, until};
use crate::watchdog::Watchdog;

const LANE: &str = "agent:main:main";

/// Longer than the whole test waits for anything: no look comes from the timer.
const CONFIG: &str = "interval: 10m\n";

/// The goal is a second. On a machine that is busy with much else, the look itself takes longer.
const RECORDED_WITHIN: Duration = seconds(20);

#[test]
fn records_a_backing_session_as_soon_as_it_appears() {
    let Some(lab) = Lab::with_agents("2026.4.15") else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::with(&home, "tombstone", CONFIG);
    let gateway = Gateway::start(&home);
    gateway.turn(LANE);
    let daemon = watchdog.daemon();
    daemon.wait_for_passes(1);

    let key = gateway.spawn_oneshot("say pong");
    let (path, record) = until("acpx writes its record", seconds(90), || {
        acp::records(&home, &key)
            .into_iter()
            .find(|(_, record)| record["acp_session_id"].is_string())
    });
    let id = record["acp_session_id"].as_str().unwrap().to_owned();
    let appeared = modified(&path);
    let found = until("it is on record", seconds(90), || of(&watchdog, &id));
    assert_eq!(found["requester"], LANE, "{found:#}");
    assert_eq!(found["wrappers"][0]["session_key"], json!(key), "{found:#}");
    let copy = copy(&home.note("tombstone").with_extension("memory")).unwrap();
    let took = modified(&copy).duration_since(appeared).unwrap_or_default();
    eprintln!("  on record {} ms after it appeared", took.as_millis());
    assert!(took <= RECORDED_WITHIN, "{took:?}");

    until("the run ends", seconds(120), || {
        let tasks = acp::tasks(&home, &key);
        tasks.iter().all(|status| status != "running" && status != "queued").then_some(())
    });
    gateway.call("sessions.delete", &json!({ "key": key, "deleteTranscript": false }));
    until("the gateway has forgotten it", seconds(90), || {
        of(&watchdog, &id).filter(|found| found["state"] == "stripped")
    });
    assert_eq!(of(&watchdog, &id).unwrap()["requester"], LANE);
    daemon.stop().iter().for_each(crate::report::Report::assert_idle);
}

fn of(watchdog: &Watchdog<'_>, id: &str) -> Option<Value> {
    watchdog.tombstones().into_iter().find(|found| found["backing_session_id"] == id)
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

/// The second copy, somewhere below our own state.
fn copy(folder: &Path) -> Option<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().find_map(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => copy(&path),
            false => path.ends_with("tombstones.jsonl").then_some(path),
        }
    })
}
