//! A healthy run that says nothing for longer than a hung one may, because its tool says nothing.

use std::time::Duration;

use crate::conversation::Conversation;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung;
use crate::matrix::{Matrix, Row};
use crate::process::Process;
use crate::report::Report;
use crate::rpc_matrix::versions::Facts;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

const LANE: &str = "agent:main:silent-tool";
/// Longer than anything here takes; the test ends it.
const LENGTH: &str = "86397";

/// Longer than a hung run may be silent, on every version that needs [`Apart`].
const LONG: Duration = seconds(10 * 60);

pub(super) struct SilentTool {
    run: String,
    before: Conversation,
}

/// The same on a gateway of its own, with a watchdog of its own.
pub(super) struct Apart<'h> {
    home: &'h Home,
    gateway: Gateway<'h>,
    silent: SilentTool,
    daemon: Daemon,
}

/// [`begin`], where it would keep every run of unknown begin from being judged.
#[track_caller]
pub(super) fn begin_apart<'h>(home: &'h Home, facts: &Facts) -> Apart<'h> {
    home.configure(super::be_patient);
    let gateway = Gateway::start(home);
    let daemon = Watchdog::with(home, "hung", &facts.config(&[])).daemon();
    let silent = begin(home, &gateway);
    Apart { home, gateway, silent, daemon }
}

impl Apart<'_> {
    /// [`SilentTool::assert_left_alone`], once it has said nothing for long enough; and nothing is done
    /// either when the tool has ended, and its run goes on.
    #[track_caller]
    pub(super) fn check(self, matrix: &mut Matrix) {
        let Self { home, gateway, silent, daemon } = self;
        until("the tool has been silent for long", LONG, || {
            tools(home).iter().any(|tool| tool.age() >= LONG).then_some(())
        });
        let passes = daemon.passes();
        silent.assert_left_alone(home, &gateway, &passes, matrix);
        daemon.wait_for_passes(2);
        daemon.stop().iter().for_each(Report::assert_idle);
    }
}

/// Returns once the tool runs: of one that starts later, nothing shows that it is not of an older
/// run, which is then left alone, too.
#[track_caller]
pub(super) fn begin(home: &Home, gateway: &Gateway) -> SilentTool {
    hung::delivered_turn(home, gateway, LANE);
    let run = gateway.send("chat.send", LANE, &format!("[[say:tool:sleep {LENGTH}]] go"));
    until("the tool runs", seconds(90), || (!tools(home).is_empty()).then_some(()));
    SilentTool { run, before: Conversation::read(home, gateway, LANE) }
}

impl SilentTool {
    /// Waits until its gateway has ended the run.
    #[track_caller]
    pub(super) fn wait_for_end(&self, home: &Home, gateway: &Gateway, limit: Duration) {
        until("the silent tool is ended", limit, || tools(home).is_empty().then_some(()));
        until("its run is ended", seconds(60), || {
            (gateway.row(LANE)["status"] != "running").then_some(())
        });
    }

    /// Nothing was done about it, although its gateway took it for hung.
    #[track_caller]
    pub(super) fn assert_ended_by_gateway(
        &self,
        home: &Home,
        gateway: &Gateway,
        passes: &[Report],
        matrix: &mut Matrix,
    ) {
        let held = |pass: &Report| pass.code("hung_lane", LANE) == Some("tool_running");
        assert!(passes.iter().any(held), "why it is left alone");
        assert!(tools(home).is_empty(), "its gateway has ended it");
        self.before.assert_kept(home, gateway);
        gateway.turn(LANE);
        self.before.assert_kept(home, gateway);
        matrix.add(Row {
            fault: "none: a tool that says nothing for as long",
            verdict: "`hung_lane`: held, `tool_running`".to_owned(),
            repair: "none; the gateway itself ends it".to_owned(),
            afterwards: "the next message is answered".to_owned(),
            lost: "nothing",
        });
    }

    /// Nothing was done about it, and why; once the tool ends, it ends well.
    #[track_caller]
    pub(super) fn assert_left_alone(
        self,
        home: &Home,
        gateway: &Gateway,
        passes: &[Report],
        matrix: &mut Matrix,
    ) {
        let reason = passes.iter().rev().find_map(|pass| pass.code("hung_lane", LANE));
        assert_eq!(reason, Some("tool_running"), "why it is left alone");
        let tools = tools(home);
        assert!(!tools.is_empty(), "it still runs");
        tools.iter().for_each(Process::kill);
        assert_eq!(gateway.wait_for(&self.run, seconds(180)), "ok");
        self.before.assert_kept(home, gateway);
        matrix.add(Row {
            fault: "none: a tool that says nothing for as long",
            verdict: "`hung_lane`: held, `tool_running`".to_owned(),
            repair: "none".to_owned(),
            afterwards: "the tool ends, and the run with it".to_owned(),
            lost: "nothing",
        });
    }
}

fn tools(home: &Home) -> Vec<Process> {
    let sleeps = |process: &Process| process.argv().iter().any(|word| word == LENGTH);
    home.processes().into_iter().filter(sleeps).collect()
}
