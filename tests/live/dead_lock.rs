//! A command line that dies with a session lock in its hand, beside a live gateway with a hung lane.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use crate::gateway::{Gateway, openclaw, uuid_like};
use crate::home::Home;
use crate::lab::Lab;
use crate::wait::{seconds, until};
use crate::watchdog::Watchdog;

const HUNG: &str = "agent:main:hung";

#[test]
fn releases_the_lock_of_a_dead_command_line_on_2026_4_15() {
    check("2026.4.15");
}

#[test]
fn releases_the_lock_of_a_dead_command_line_on_2026_7_1() {
    check("2026.7.1");
}

fn check(version: &'static str) {
    let Some(lab) = Lab::open(version) else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::new(&home);
    let gateway = Gateway::start(&home);
    let dead = leave_a_dead_lock(&home);
    watchdog.wait_out_grace();
    // Last, because 2026.4.15 tries a silent model again after two minutes, with a new lock.
    gateway.hang(&[HUNG]);

    let before = locks(&home);
    assert_eq!(before.len(), 2, "the dead lock and that of the live lane: {before:?}");
    let report = watchdog.pass();
    report.assert_acted("dead_lock", &[&dead]);
    let mut kept = before.clone();
    kept.remove(&dead);
    assert_eq!(locks(&home), kept, "the lock of the live lane stays");
    assert_eq!(gateway.row(HUNG)["status"], "running");

    watchdog.undo(&report.action_id("dead_lock", &dead));
    assert_eq!(locks(&home), before, "undo brings the very bytes back");

    leave_a_dead_lock(&home);
    gateway.kill();
    let all = locks(&home);
    let report = watchdog.pass();
    report.assert_idle();
    assert_eq!(report.gateway.status, "down");
    all.keys().for_each(|lock| assert_eq!(report.held("dead_lock", lock), "gateway_down"));
    assert_eq!(locks(&home), all, "nothing is touched while the gateway is down");
}

/// Kills an `openclaw agent --local` that holds the lock of its session; returns the lock's name.
fn leave_a_dead_lock(home: &Home) -> String {
    home.provider.set_mode("hang");
    let id = format!("dead-{}", uuid_like());
    let mut holder = openclaw(home, "cli.log")
        .args(["agent", "--local", "--session-id", &id])
        .args(["--message", "never answered", "--timeout", "600"])
        .spawn()
        .unwrap();
    let name = format!("{id}.jsonl.lock");
    let pid = u64::from(holder.id());
    until("the command line holds its lock", seconds(120), || {
        let payload = fs::read(home.sessions().join(&name)).ok()?;
        let payload: Value = serde_json::from_slice(&payload).ok()?;
        (payload["pid"] == pid).then_some(())
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    name
}

/// Every session lock of the main agent, with its bytes.
fn locks(home: &Home) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(home.sessions()).unwrap().map(|entry| entry.unwrap().path());
    let locks = files.filter(|path| path.to_string_lossy().ends_with(".jsonl.lock"));
    locks
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read(&path).unwrap())
        })
        .collect()
}
