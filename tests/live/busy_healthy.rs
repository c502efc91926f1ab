//! Healthy gateways under load, one with an agent that waits for its model, and beside each a daemon
//! that ends what it can after a second: two minutes in which nothing may happen.

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::load::Load;
use crate::process::of_role;
use crate::report::Report;
use crate::wait::{pass_time, seconds};
use crate::watchdog::{Daemon, Watchdog};

/// The load outlasts the watch, so that no lane falls silent while it is watched.
const WATCH_SECONDS: u64 = 120;
const LOAD_SECONDS: u64 = 135;

#[test]
fn leaves_two_busy_gateways_alone_for_two_minutes() {
    let old = Lab::with_agents("2026.4.15");
    let (Some(old), Some(new)) = (old, Lab::open("2026.7.1")) else { return };
    let homes = [Home::new(old), Home::new(new)];
    // Without `npx`, so that the gateway leaves no orphan (#68916): nothing may be wrong here.
    homes[0].configure(|config| {
        let agents = &mut config["plugins"]["entries"]["acpx"]["config"]["agents"];
        agents["claude"] = agents["codex"].clone();
    });
    let gateways = homes.each_ref().map(Gateway::start);
    gateways[0].spawn_oneshot("[[say:hang]] never answered");
    homes[0].provider.wait_for_agent();
    let load = homes.each_ref().map(|home| Load::start(home, LOAD_SECONDS));
    let agents = gateways[0].process().with_descendants();
    let daemons = homes.each_ref().map(|home| Watchdog::eager(home).daemon());
    pass_time(seconds(WATCH_SECONDS));
    let watched = daemons.map(Daemon::stop);
    let tallies = load.map(Load::end);

    assert_eq!(of_role(&agents, "claude").len(), 1, "{agents:?}");
    agents.iter().for_each(|process| assert!(process.is_alive(), "{process}"));
    for (passes, gateway) in watched.iter().zip(&gateways) {
        assert!(passes.len() >= 60, "only {} passes in two minutes", passes.len());
        passes.iter().for_each(Report::assert_idle);
        let last = passes.last().unwrap();
        assert_eq!(last.gateway.status, "up");
        assert_eq!(last.gateway.pid, Some(gateway.pid()));
        assert!(last.gaps.is_empty(), "{:?}", last.gaps);
    }
    for tally in tallies {
        assert!(tally.failed.is_empty(), "{tally:?}");
        assert!(tally.ok >= 40, "{tally:?}");
    }
}
