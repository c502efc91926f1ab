//! 2026.5.28, SIGKILL and restart: the gateway resumes the lanes itself, so nothing may be done.

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::wait::{seconds, until};
use crate::watchdog::Watchdog;

const LANES: [&str; 2] = ["agent:main:main", "agent:main:second"];

#[test]
fn stays_out_of_the_recovery_of_a_killed_gateway() {
    let Some(lab) = Lab::open("2026.5.28") else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::new(&home);
    let gateway = Gateway::start(&home);
    gateway.hang(&LANES);
    gateway.kill();
    // Long enough to be looked at, too short for the gateway to give a run up.
    home.provider.set_mode("delay:50");
    let down = watchdog.pass();
    down.assert_idle();
    assert_eq!(down.gateway.status, "down");
    LANES.iter().for_each(|key| assert_eq!(down.held("stale_lane", key), "gateway_down"));

    let gateway = Gateway::start(&home);
    until("the gateway has resumed both runs itself", seconds(120), || {
        watchdog.pass_in_grace().assert_idle();
        (home.provider.open_requests() >= 2).then_some(())
    });
    watchdog.wait_out_grace();
    watchdog.pass().assert_idle();
    until("the resumed runs end", seconds(120), || {
        LANES.iter().all(|key| gateway.row(key)["status"] != "running").then_some(())
    });
    watchdog.pass().assert_idle();
    LANES.iter().for_each(|key| gateway.turn(key));
}
