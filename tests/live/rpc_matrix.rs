//! Lanes that hang on a live gateway and are freed over its RPC, side by side with what must be left
//! alone. One gateway per version carries every fault, because a start of one takes up to a minute and
//! its own deadlines pass for all of them at once. What was seen becomes the README's table.
//!
//! CI runs two versions. The others, whose deadlines take up to seventeen minutes each:
//! `CLAWARDEN_LIVE=1 CLAWARDEN_LIVE_VERSIONS="2026.3.24 2026.7.1" cargo test --test live
//! rpc_matrix::frees_what_hangs_on_the_asked_versions -- --nocapture`, and then `tests/live/lab/matrix`.

mod acp_silent;
mod busy_rpc;
mod by_itself;
mod healthy;
mod hung_lanes;
mod locked_lanes;
mod quota;
mod restart_between;
mod silent_tool;
mod starved;
mod unproven;
pub(crate) mod versions;

use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::{self, Lab};
use crate::matrix::Matrix;
use crate::report::Report;
use crate::wait::{pass_time, seconds};
use crate::watchdog::Watchdog;
use versions::Facts;

#[test]
fn frees_what_hangs() {
    // Side by side: nearly all of the time goes by in waiting for the gateways' own deadlines.
    let versions = ["2026.4.15", "2026.9.6"];
    let labs = versions.map(Lab::with_agents);
    thread::scope(|scope| {
        let checks = labs.map(|lab| scope.spawn(move || lab.map(check)));
        for (version, ended) in versions.into_iter().zip(checks.map(thread::ScopedJoinHandle::join))
        {
            assert!(ended.is_ok(), "{version}: see above");
        }
    });
}

#[test]
fn frees_what_hangs_on_the_asked_versions() {
    let asked = std::env::var("CLAWARDEN_LIVE_VERSIONS").unwrap_or_default();
    if asked.trim().is_empty() {
        lab::skip("set CLAWARDEN_LIVE_VERSIONS to run them on other versions");
    }
    for version in asked.split_whitespace() {
        let Some(lab) = Lab::with_agents(Facts::of(version).version) else { return };
        check(lab);
    }
}

fn check(lab: Lab) {
    let facts = Facts::of(lab.version);
    if facts.frees_itself() {
        return by_itself::check(lab, facts);
    }
    let mut matrix = Matrix::of(lab.version);
    let starving = facts.starves.then(|| Home::new(Lab::open(lab.version).expect("asked for")));
    let working = facts.mixes_tools.then(|| Home::new(Lab::open(lab.version).expect("asked for")));
    let home = Home::new(lab);
    home.configure(be_patient);
    if home.lab.spawns_agents() {
        acp_silent::install(&home);
    }
    if facts.hurries_models {
        home.configure(let_models_think);
    }
    let gateway = Gateway::start(&home);
    let busy = busy_rpc::alone(&home, &gateway);
    let config = facts.config(&["held-*", "between"]);
    let daemon = Watchdog::with(&home, "hung", &config).daemon().climbing();

    // Everything hangs from here on, and is due at the same time. First what has a process: one that
    // is younger than a run may be of it.
    let healthy = healthy::begin(&home, &gateway, facts.holds_locks_for() + seconds(120));
    let silent = working.is_none().then(|| silent_tool::begin(&home, &gateway));
    let apart = working.as_ref().map(|home| silent_tool::begin_apart(home, facts));
    pass_time(AS_OLD);
    let acp = home.lab.spawns_agents().then(|| acp_silent::begin(&gateway));
    pass_time(AS_OLD);
    let hung = hung_lanes::begin(&home, &gateway, facts);
    let locked = home.has_locks().then(|| locked_lanes::begin(&home, &gateway, facts));
    let between = restart_between::begin(&home, &gateway, facts);
    if let Some(locked) = &locked {
        locked.protect(between.lock());
    }
    let starved = starving.as_ref().map(|home| starved::begin(home, facts));
    // What is begun now is answered, such as the turn that a steer costs.
    home.provider.set_mode("ok");

    let misled = unproven::daemons(&home, &config, starving.as_ref());
    busy.assert_as_fast_beside(&home);
    hung.wait_until_seen_to(facts, &daemon, Facts::patience(facts.own_deadline));
    daemon.wait_for_passes(2);
    let passes = daemon.stop();
    misled.into_iter().for_each(unproven::Misled::assert_harmless);
    hung.assert_freed(&home, &gateway, facts, &passes, &mut matrix);
    healthy.assert_undisturbed(&home, &gateway);
    if let Some(silent) = silent {
        silent.assert_left_alone(&home, &gateway, &passes, &mut matrix);
    }
    if let Some(acp) = acp {
        acp.assert_told(&home, &gateway, &passes, &mut matrix);
    }
    if let Some(locked) = locked {
        locked.check(&home, &gateway, facts, between.lock(), &mut matrix);
    }
    if let Some(starved) = starved {
        starved.check(&mut matrix);
    }
    if let Some(apart) = apart {
        apart.check(&mut matrix);
    }
    assert!(gateway.process().is_alive(), "it is the same gateway as at the beginning");
    // Late, because some versions then ask this provider nothing for a while.
    quota::check(&home, &gateway, facts, &mut matrix);
    between.check(&home, gateway);
    matrix.keep();
}

/// A process that began so much earlier is taken for no run's own; it is more than times are rounded by.
const AS_OLD: Duration = seconds(5);

/// The acts of all these passes, each with its policy.
fn acts(passes: &[Report]) -> Vec<&str> {
    passes.iter().flat_map(Report::acts).collect()
}

/// Lets a model and a tool take their time, as those do who run them themselves.
fn be_patient(config: &mut Value) {
    // 2026.4.15 would otherwise ask a silent model again after two minutes.
    config["agents"]["defaults"]["timeoutSeconds"] = json!(7200);
    // Up to 2026.5.28 a run may compact for a quarter of an hour without a sign.
    config["agents"]["defaults"]["compaction"] = json!({ "timeoutSeconds": 30 });
    // With it a gateway does not wait for a command that takes long.
    config["tools"]["deny"] = json!(["process"]);
    config["tools"]["exec"] = json!({ "host": "gateway", "security": "full", "ask": "off" });
}

/// The same where that is not enough.
fn let_models_think(config: &mut Value) {
    config["models"]["providers"]["fake"]["timeoutSeconds"] = json!(7200);
}
