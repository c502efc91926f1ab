//! A killed gateway that resumes its runs by itself, with daemons that wait for next to nothing.
//!
//! A row that is taken up keeps the `startedAt` of the gateway that was killed until the run itself
//! begins (0.5 to 1.4 s later on 2026.5.28), and for most of that time no lock guards it. Only
//! `updatedAt` then says that the run lives.

use std::collections::BTreeSet;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::report::Report;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

const LANES: [&str; 2] = ["agent:main:main", "agent:main:second"];

#[test]
fn never_ends_a_run_that_2026_5_28_is_resuming() {
    check("2026.5.28");
}

#[test]
fn never_ends_a_run_that_2026_7_1_is_resuming() {
    check("2026.7.1");
}

fn check(version: &'static str) {
    let Some(lab) = Lab::open(version) else { return };
    let home = Home::new(lab);
    let gateway = Gateway::start(&home);
    gateway.hang(&LANES);
    let daemons = Watchdog::new(&home).hasty_daemons();
    gateway.kill();
    // Longer than either daemon waits, so that the resumed runs themselves are watched too.
    home.provider.set_mode("delay:30");

    let gateway = Gateway::start(&home);
    until("the gateway has resumed both runs itself", seconds(120), || {
        (home.provider.open_requests() >= 2).then_some(())
    });
    until("the resumed runs end", seconds(120), || {
        LANES.iter().all(|key| gateway.row(key)["status"] != "running").then_some(())
    });
    for passes in daemons.map(Daemon::stop) {
        // Printed, not asserted: whether a look falls into the gap is up to the machine.
        eprintln!("  {} passes said {:?}", passes.len(), codes(&passes));
        passes.iter().for_each(Report::assert_idle);
        assert_eq!(passes.last().unwrap().gateway.pid, Some(gateway.pid()));
    }
    home.provider.set_mode("ok");
    for key in LANES {
        assert_eq!(gateway.row(key)["status"], "done", "{key}");
        gateway.turn(key);
    }
}

fn codes(passes: &[Report]) -> BTreeSet<&str> {
    let of_lanes = |pass| LANES.iter().filter_map(move |key| Report::code(pass, "stale_lane", key));
    passes.iter().flat_map(of_lanes).collect()
}
