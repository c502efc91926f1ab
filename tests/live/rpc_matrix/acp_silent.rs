//! 2026.4.15, an ACP agent that takes a prompt and never answers it (#68823, the opencode path).

use serde_json::json;

use crate::acp;
use crate::gateway::Gateway;
use crate::matrix::{Matrix, Row};
use crate::report::Report;
use crate::wait::{seconds, until};

pub(super) struct SilentAgent {
    key: String,
}

#[track_caller]
pub(super) fn begin(gateway: &Gateway) -> SilentAgent {
    let task =
        json!({ "runtime": "acp", "agentId": "opencode", "task": "never answered", "mode": "run" });
    let said = gateway.tool("sessions_spawn", &task).to_string();
    let key = acp::key_in(&said, "opencode").unwrap_or_else(|| panic!("no session: {said}"));
    until("the agent runs", seconds(90), || {
        (gateway.row(&key)["status"] == "running").then_some(())
    });
    SilentAgent { key }
}

impl SilentAgent {
    /// No call of the gateway ends such a run (`no-active-run`), so it is reported.
    #[track_caller]
    pub(super) fn assert_reported(&self, passes: &[Report], matrix: &mut Matrix) {
        let reason = passes.iter().rev().find_map(|pass| pass.code("hung_lane", &self.key));
        let reason = reason.expect("a word about the silent agent");
        matrix.add(Row {
            fault: "an ACP agent that never answers",
            verdict: format!("`hung_lane`: held, `{reason}`"),
            repair: "none; reported".to_owned(),
            afterwards: "other lanes answer".to_owned(),
            lost: "nothing",
        });
    }
}
