//! A healthy run that says nothing for longer than a hung one may, because its tool says nothing.

use crate::gateway::Gateway;
use crate::matrix::{Matrix, Row};
use crate::report::Report;
use crate::rpc_matrix::versions::Facts;
use crate::wait::seconds;

const LANE: &str = "agent:main:silent-tool";

pub(super) struct SilentTool {
    run: String,
}

#[track_caller]
pub(super) fn begin(gateway: &Gateway, facts: &Facts) -> SilentTool {
    gateway.turn(LANE);
    let length = (facts.own_deadline + seconds(180)).as_secs();
    let run = gateway.send("chat.send", LANE, &format!("[[say:tool:sleep {length}]] go"));
    SilentTool { run }
}

impl SilentTool {
    /// Nothing was done about it, and why; it ends well.
    #[track_caller]
    pub(super) fn assert_left_alone(
        self,
        gateway: &Gateway,
        passes: &[Report],
        matrix: &mut Matrix,
    ) {
        let reason = passes.iter().rev().find_map(|pass| pass.code("hung_lane", LANE));
        assert_eq!(reason, Some("child_active"), "why it is left alone");
        assert_eq!(gateway.wait_for(&self.run, seconds(400)), "ok");
        matrix.add(Row {
            fault: "none: a tool that is silent for as long",
            verdict: "`hung_lane`: held, `child_active`".to_owned(),
            repair: "none".to_owned(),
            afterwards: "the tool ends, and the run with it".to_owned(),
            lost: "nothing",
        });
    }
}
