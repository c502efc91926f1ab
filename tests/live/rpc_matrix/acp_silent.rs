//! 2026.4.15, an ACP agent that takes a prompt and never answers it (#68823, the opencode path).

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::acp;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab;
use crate::matrix::{Matrix, Row};
use crate::process::Process;
use crate::report::Report;
use crate::wait::{seconds, until};

pub(super) struct SilentAgent {
    key: String,
}

/// Makes it what the gateway starts as `opencode`: a program of this name, and `acp` behind it.
pub(super) fn install(home: &Home) {
    let program = home.note("opencode");
    fs::copy(home.lab.node_path(), &program).unwrap();
    fs::create_dir_all(home.workspace()).unwrap();
    let script = format!("import({:?});\n", lab::script("silent_agent.mjs"));
    fs::write(home.workspace().join("acp"), script).unwrap();
    home.configure(|config| {
        let agents: &mut Value = &mut config["plugins"]["entries"]["acpx"]["config"]["agents"];
        agents["opencode"] = json!({ "command": format!("{} acp", program.display()) });
    });
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
    /// No call of the gateway ends such a run. What the user is told to do instead does: it frees
    /// this lane, and nothing else happens.
    #[track_caller]
    pub(super) fn assert_told(
        &self,
        home: &Home,
        gateway: &Gateway,
        passes: &[Report],
        matrix: &mut Matrix,
    ) {
        let said = passes.iter().rev().find_map(|pass| pass.of("hung_lane", &self.key));
        let said = said.expect("a word about the silent agent");
        assert_eq!(said.reason.code, "ladder_done", "{said:#?}");
        let told = said.reason.text.split_once("kill ").expect("a process to end").1;
        let pid = told.split(|sign: char| !sign.is_ascii_digit()).next().unwrap().parse().unwrap();
        assert!(said.reason.text.contains("openclaw gateway restart"), "{said:#?}");
        let agent = Process::of(pid).expect("it lives");
        assert!(home.processes().contains(&agent), "it is of this gateway");
        agent.signal(Signal::TERM);
        until("the lane is free", seconds(60), || {
            (gateway.row(&self.key)["status"] == "failed").then_some(())
        });
        matrix.add(Row {
            fault: "an ACP agent that never answers (#68823)",
            verdict: "`hung_lane`: held, `ladder_done`".to_owned(),
            repair: "none; the user is told which process to end".to_owned(),
            afterwards: "once it is ended: row `failed`; other lanes answer all the time"
                .to_owned(),
            lost: "nothing",
        });
    }
}
