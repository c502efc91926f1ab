//! 2026.5.28, graceful stop and restart: no lock is left, so its own recovery sees nothing to do.

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::lane::Lane;
use crate::watchdog::Watchdog;

const LANES: [&str; 2] = ["agent:main:main", "agent:main:second"];

#[test]
fn settles_the_lanes_of_a_gracefully_stopped_gateway_and_takes_a_settle_back() {
    let Some(lab) = Lab::open("2026.5.28") else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::new(&home);
    let gateway = Gateway::start(&home);
    gateway.hang(&LANES);
    gateway.terminate();
    home.provider.set_mode("ok");
    watchdog.pass().assert_idle();

    let gateway = Gateway::start(&home);
    let lanes = LANES.map(|key| Lane::read(&home, key));
    lanes.iter().for_each(Lane::assert_running);
    watchdog.pass_in_grace().assert_idle();
    lanes.iter().for_each(|lane| lane.assert_unchanged(&home));

    watchdog.wait_out_grace();
    let report = watchdog.pass();
    report.assert_acted("stale_lane", &LANES);
    lanes.iter().for_each(|lane| lane.assert_settled(&home, &gateway));

    // At once: the store has no lock, so `undo` waits until it has been left alone for a while.
    watchdog.undo(&report.action_id("stale_lane", LANES[1]));
    lanes[0].assert_settled(&home, &gateway);
    lanes[1].assert_unchanged(&home);

    lanes.iter().for_each(|lane| lane.assert_answers(&gateway));
    watchdog.pass().assert_idle();
}
