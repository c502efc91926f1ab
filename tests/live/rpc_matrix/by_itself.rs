//! A gateway that itself ends whatever hangs, in its own time (2026.5.28 to 2026.7.1): it is left to
//! it, with every policy enforced, and nothing is lost.

use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung::{By, Hung};
use crate::lab::Lab;
use crate::matrix::{Matrix, Row};
use crate::report::Report;
use crate::rpc_matrix::versions::Facts;
use crate::rpc_matrix::{be_patient, busy_rpc, healthy, hung_lanes, quota, silent_tool, unproven};
use crate::wait::until;
use crate::watchdog::Watchdog;

pub(super) fn check(lab: Lab, facts: &Facts) {
    let mut matrix = Matrix::of(lab.version);
    let home = Home::new(lab);
    home.configure(be_patient);
    let gateway = Gateway::start(&home);
    let busy = busy_rpc::alone(&home, &gateway);
    let config = facts.config_for_all();
    let daemon = Watchdog::with(&home, "all", &config).daemon();

    let healthy = healthy::begin(&home, &gateway, facts.own_deadline);
    let silent = silent_tool::begin(&home, &gateway);
    let hung = hung_lanes::begin(&home, &gateway, facts);
    let names = ["held-one", "held-two", "held-three"];
    let locked = names.map(|name| Hung::begin(&home, &gateway, By::Chat, name));
    let misled = unproven::daemons(&home, &config, None);
    busy.assert_as_fast_beside(&home);

    let limit = Facts::patience(facts.own_deadline);
    until("every silent request but that of the healthy lane is given up", limit, || {
        (home.provider.open_requests() <= 1).then_some(())
    });
    hung.wait_until_seen_to(facts, &daemon, limit);
    let is_over = |hung: &Hung| gateway.row(&hung.key)["status"] != "running";
    until("every lane is free", limit, || locked.iter().all(is_over).then_some(()));
    hung.wait_for_unlisted(&gateway, limit);
    // Not sooner: a model that is asked again is as silent as before.
    home.provider.set_mode("ok");
    silent.wait_for_end(&home, &gateway, limit);
    daemon.wait_for_passes(2);
    let passes = daemon.stop();
    passes.iter().for_each(Report::assert_idle);
    misled.into_iter().for_each(unproven::Misled::assert_harmless);
    hung.assert_freed(&home, &gateway, facts, &passes, &mut matrix);
    healthy.assert_undisturbed(&home, &gateway);
    silent.assert_ended_by_gateway(&home, &gateway, &passes, &mut matrix);
    assert_unlocked(&locked, &home, &gateway, &passes, &mut matrix);
    assert!(gateway.process().is_alive(), "it is the same gateway as at the beginning");
    quota::check(&home, &gateway, facts, &mut matrix);
    matrix.keep();
}

/// No lock is left, each was held back for the gateway, and the lanes have all that they had.
#[track_caller]
fn assert_unlocked(
    lanes: &[Hung; 3],
    home: &Home,
    gateway: &Gateway,
    passes: &[Report],
    matrix: &mut Matrix,
) {
    let code = |hung: &Hung| {
        let lock = hung.lock(home).display().to_string();
        passes.iter().rev().find_map(|pass| pass.code("held_lock", &lock)).map(str::to_owned)
    };
    let none = || "none: no lock is held for long enough".to_owned();
    for hung in lanes {
        assert!(!hung.lock(home).exists(), "{}", hung.key);
        hung.assert_answers(home, gateway);
    }
    matrix.add(Row {
        fault: "three hung runs with their locks (#68823)",
        verdict: lanes
            .iter()
            .find_map(code)
            .map_or_else(none, |code| format!("`held_lock`: held, `{code}`")),
        repair: "left to the gateway, which ends them".to_owned(),
        afterwards: "no lock is left; every lane answers".to_owned(),
        lost: "nothing",
    });
}
