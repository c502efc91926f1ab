//! A provider that refuses with 429: the run ends by itself, and nothing is left to repair.

use crate::conversation::Conversation;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::matrix::{Matrix, Row};
use crate::rpc_matrix::versions::Facts;
use crate::wait::{seconds, until};

const LANE: &str = "agent:main:quota";

#[track_caller]
pub(super) fn check(home: &Home, gateway: &Gateway, facts: &Facts, matrix: &mut Matrix) {
    gateway.turn(LANE);
    let before = Conversation::read(home, gateway, LANE);
    let run = gateway.send("chat.send", LANE, "[[say:quota]] over the limit");
    let ended = gateway.wait_for(&run, seconds(180));
    assert_ne!(ended, "timeout", "a refused run ends");
    let row = until("the row has ended", seconds(30), || {
        Some(gateway.row(LANE)).filter(|row| match facts.leaves_row_of_refused() {
            true => row["hasActiveRun"] == false,
            false => row["status"] != "running",
        })
    });
    assert!(!home.holds_lock(&row), "a refused run lets go of its lock");
    before.assert_kept(home, gateway);
    let status = row["status"].as_str().unwrap_or_default();
    let afterwards = if facts.shuns_provider {
        let run = gateway.send("chat.send", LANE, "[[say:ok]] and now?");
        let next = gateway.wait_for(&run, seconds(180));
        assert_eq!(next, "error", "the gateway itself leaves this provider alone for a while");
        before.assert_kept(home, gateway);
        format!("row `{status}`; the gateway asks that provider nothing for ten minutes")
    } else {
        gateway.turn(LANE);
        before.assert_kept(home, gateway);
        format!("row `{status}`; the next message is answered")
    };
    matrix.add(Row {
        fault: "a provider that answers 429",
        verdict: "none".to_owned(),
        repair: "none needed".to_owned(),
        afterwards,
        lost: "nothing",
    });
}
