//! 2026.4.15, a message queued behind a live run: its row ends and still says `running`.

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::lane::Lane;
use crate::wait::{pass_time, seconds};
use crate::watchdog::Watchdog;

const LANE: &str = "agent:main:race";

#[test]
fn settles_the_row_that_a_queued_message_left_running() {
    let Some(lab) = Lab::open("2026.4.15") else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::new(&home);
    let gateway = Gateway::start(&home);
    gateway.turn(LANE);
    // The gateway merges two writes of one row, and which of them wins is a race.
    assert!((0..4).any(|_| queue_one_message(&home, &gateway)), "the merge did not go wrong");

    let lane = Lane::read(&home, LANE);
    lane.assert_running();
    watchdog.wait_out_grace();
    watchdog.pass().assert_acted("stale_lane", &[LANE]);
    lane.assert_settled(&home, &gateway);
    lane.assert_answers(&gateway);
    watchdog.pass().assert_idle();
}

/// Whether the row is still `running` after both runs have ended.
fn queue_one_message(home: &Home, gateway: &Gateway) -> bool {
    let first = gateway.send("agent", LANE, "[[say:slow:8]] first");
    home.provider.wait_for_open(1);
    // The second message must come while the first is being streamed.
    pass_time(seconds(2));
    let second = gateway.send("agent", LANE, "[[say:ok]] second");
    for run in [first, second] {
        gateway.wait_for(&run, seconds(90));
    }
    // The gateway writes the row once more after it has answered.
    pass_time(seconds(3));
    let row = gateway.row(LANE);
    row["status"] == "running" && row["endedAt"].is_u64() && home.provider.open_requests() == 0
}
