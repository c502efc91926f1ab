//! 2026.4.15, SIGKILL and restart: the rows stay `running` for ever (#59878).

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::lane::Lane;
use crate::watchdog::Watchdog;

const LANES: [&str; 2] = ["agent:main:main", "agent:main:second"];

#[test]
fn settles_the_lanes_of_a_killed_gateway_and_takes_a_settle_back() {
    let Some(lab) = Lab::open("2026.4.15") else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::new(&home);
    let gateway = Gateway::start(&home);
    gateway.hang(&LANES);
    gateway.kill();
    home.provider.set_mode("ok");

    let gateway = Gateway::start(&home);
    let lanes = LANES.map(|key| Lane::read(&home, key));
    lanes.iter().for_each(Lane::assert_running);

    let early = watchdog.pass_in_grace();
    early.assert_idle();
    LANES.iter().for_each(|key| assert_eq!(early.held("stale_lane", key), "start_grace"));
    lanes.iter().for_each(|lane| lane.assert_unchanged(&home));

    watchdog.wait_out_grace();
    let report = watchdog.pass();
    report.assert_acted("stale_lane", &LANES);
    assert_eq!(report.gateway.status, "up");
    assert_eq!(report.gateway.pid, Some(gateway.pid()));
    lanes.iter().for_each(|lane| lane.assert_settled(&home, &gateway));

    watchdog.undo(&report.action_id("stale_lane", LANES[1]));
    lanes[0].assert_settled(&home, &gateway);
    lanes[1].assert_unchanged(&home);
    assert_eq!(gateway.row(LANES[1])["status"], "running", "the gateway shows the old row again");

    lanes.iter().for_each(|lane| lane.assert_answers(&gateway));
    watchdog.pass().assert_idle();
}
