//! A gateway that is killed in the middle of a run of each kind, and starts again: what it resumes or
//! ends itself is left to it, and only what then says `running` for ever is settled. Before that the
//! same gateway is busy, with everything enforced beside it. What was seen becomes the README's table.
//!
//! CI runs two versions. The others, a few minutes each:
//! `CLAWARDEN_LIVE=1 CLAWARDEN_LIVE_VERSIONS="2026.3.24 2026.7.1" cargo test --test live
//! stale_matrix::settles_only_what_is_dead_on_the_asked_versions -- --nocapture`, and then
//! `tests/live/lab/matrix`.

mod killed;

use std::thread;
use std::time::Instant;

use serde_json::json;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::{self, Lab};
use crate::load::Load;
use crate::matrix::{Matrix, Row};
use crate::report::Report;
use crate::rpc_matrix::versions::Facts;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};
use killed::{Killed, Transcripts};

/// Every repair that loses nothing, as soon as it is allowed.
const CONFIG: &str = "\
interval: 1s
confirm: { looks: 2, gap: 1s }
start_grace: 30s
allow_short: true
policies:
  stale_lane: { mode: enforce, after: 20s, repair: [settle] }
  hung_lane: { mode: enforce, after: 60s, repair: [abort] }
  dead_lock: { mode: enforce, min_age: 1s }
  held_lock: { mode: enforce, after: 60s, repair: [abort] }
  orphan_process: { mode: enforce, min_age: 1s, term_wait: 3s }
  leaked_process: { mode: enforce, after: 1s }
";

const LOAD_SECONDS: u64 = 60;

#[test]
fn settles_only_what_is_dead() {
    // Side by side: most of the time goes by in waiting.
    let versions = ["2026.4.15", "2026.9.6"];
    let labs = versions.map(Lab::open);
    thread::scope(|scope| {
        let checks = labs.map(|lab| scope.spawn(move || lab.map(check)));
        for (version, ended) in versions.into_iter().zip(checks.map(thread::ScopedJoinHandle::join))
        {
            assert!(ended.is_ok(), "{version}: see above");
        }
    });
}

#[test]
fn settles_only_what_is_dead_on_the_asked_versions() {
    let asked = std::env::var("CLAWARDEN_LIVE_VERSIONS").unwrap_or_default();
    if asked.trim().is_empty() {
        lab::skip("set CLAWARDEN_LIVE_VERSIONS to run them on other versions");
    }
    for version in asked.split_whitespace() {
        let Some(lab) = Lab::open(Facts::of(version).version) else { return };
        check(lab);
    }
}

fn check(lab: Lab) {
    let facts = Facts::of(lab.version);
    let mut matrix = Matrix::in_table("stale", lab.version);
    let home = Home::new(lab);
    let gateway = Gateway::start(&home);
    let busy = busy(&home, &gateway);
    let mut killed = killed::begin(&home, &gateway, facts);

    let watchdog = Watchdog::with(&home, "stale", CONFIG);
    let daemon = watchdog.daemon();
    daemon.wait_for_passes(1);
    gateway.kill();
    let transcripts = Transcripts::read(&home);
    // Long enough for a resumed run to be looked at.
    home.provider.set_mode("delay:15");
    daemon.wait_for_passes(2);
    let gateway = Gateway::start(&home);
    killed.iter_mut().for_each(|lane| lane.read(&home, &gateway));
    wait_until_seen_to(&home, &gateway, &killed, &daemon);
    home.provider.set_mode("ok");
    let passes = daemon.stop();

    killed::assert_nothing_else(&home, &killed, &passes);
    transcripts.assert_kept();
    for lane in &killed {
        lane.assert_seen_to(&home, &passes);
        matrix.add(lane.check(&home, &gateway, &watchdog, &passes));
    }
    watchdog.pass().assert_idle();
    matrix.add(busy);
    matrix.keep();
}

/// Four lanes at work, beside a watchdog that may do everything and does nothing.
#[track_caller]
fn busy(home: &Home, gateway: &Gateway) -> Row {
    // The first turns of a gateway take up to a minute, in which it loads what it needs (2026.4.15).
    gateway.turn("agent:main:main");
    let daemon = Watchdog::with(home, "busy", CONFIG).daemon();
    let tally = Load::start(home, LOAD_SECONDS).end();
    // 2026.5.7 says of some that they are over, and then answers them one after the other.
    until("the last answer is given", seconds(180), || {
        let list = gateway.call("sessions.list", &json!({ "limit": 200 }));
        let rows = list["sessions"].as_array().cloned().unwrap_or_default();
        let is_quiet = rows.iter().all(|row| row["status"] != "running");
        (is_quiet && home.provider.open_requests() == 0).then_some(())
    });
    let passes = daemon.stop();
    passes.iter().for_each(Report::assert_idle);
    assert!(passes.len() >= 20, "only {} passes", passes.len());
    assert!(tally.failed.is_empty(), "{tally:?}");
    assert!(tally.ok >= 10, "{tally:?}");
    let last = passes.last().expect("passes");
    assert_eq!((&*last.gateway.status, last.gateway.pid), ("up", Some(gateway.pid())));
    Row {
        fault: "none: four busy lanes, everything enforced",
        verdict: "none".to_owned(),
        repair: "none".to_owned(),
        afterwards: format!("{} turns ended `ok`, none failed", tally.ok),
        lost: "nothing",
    }
}

/// Waits until each lane is settled or over, but not for ever: a row may be left that nobody may touch.
/// At least for as long as it takes to be judged: a gateway may resume late.
#[track_caller]
fn wait_until_seen_to(home: &Home, gateway: &Gateway, killed: &[Killed], daemon: &Daemon) {
    let (from, least, most) = (Instant::now(), seconds(70), seconds(150));
    until("every lane is seen to", most * 2, || {
        let passes = daemon.passes();
        let is_over = |lane: &Killed| lane.is_settled(&passes) || !lane.is_running(gateway);
        let all = home.provider.open_requests() == 0 && killed.iter().all(is_over);
        let time = from.elapsed();
        ((all && time > least) || time > most).then_some(())
    });
    daemon.wait_for_passes(2);
}
