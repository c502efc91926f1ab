//! Every way in which agents leak, all at once beside one live 2026.4.15: each must be ended, and
//! nothing that is only near it.

mod make;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::process::{Process, of_role};
use crate::wait::{seconds, until};
use crate::watchdog::Watchdog;

use make::{Leaks, stubborn_server};

const LANE: &str = "agent:main:main";

#[test]
fn ends_every_kind_of_leak_and_nothing_beside_it() {
    let Some(lab) = Lab::with_agents("2026.4.15") else { return };
    let home = Home::new(lab);
    home.configure(|config| {
        config["plugins"]["entries"]["acpx"]["config"]["mcpServers"] = stubborn_server();
    });
    let watchdog = Watchdog::reaper(&home);
    let gateway = Gateway::start(&home);
    gateway.turn(LANE);
    let server_alone = leave_server(&gateway, &watchdog);
    let attached = attach(&home, &gateway);
    let leaks = Leaks::make(&home);
    let before = home.processes();
    let [tops, ended] = [leaks.tops(), leaks.ended()];

    watchdog.wait_out_grace();
    let plan = watchdog.plan();
    let mut would_end = plan.acts();
    would_end.sort_unstable();
    let mut expected: Vec<_> = tops.iter().map(Process::subject).collect();
    expected.sort_unstable();
    assert_eq!(would_end, expected, "a plan says what it would do");
    before.iter().for_each(|process| assert!(process.is_alive(), "a plan does nothing: {process}"));

    let report = watchdog.pass();
    report.assert_ended(&tops);
    report.assert_says_freed_memory();
    for process in &before {
        assert_eq!(process.is_alive(), !ended.contains(process), "{process}");
    }
    leaks.assert_records();
    let held = |process: &Process| report.held("orphan_process", &process.subject());
    assert_eq!(held(&leaks.mid_turn.top()), "tool_running");
    assert_eq!(held(&server_alone), "not_an_agent");
    assert_eq!(held(&leaks.stranger), "not_owned");
    let adapter = of_role(&attached, "adapter")[0].subject();
    assert_eq!(report.code("leaked_process", &adapter), Some("record_closed"));

    of_role(&leaks.mid_turn.tree, "tool")[0].kill();
    // Its first word after the tool may end it before clawarden does: nobody hears it.
    until("the orphan ends once its tool has", seconds(60), || {
        watchdog.pass();
        leaks.mid_turn.tree.iter().all(|process| !process.is_alive()).then_some(())
    });
    watchdog.pass().assert_idle();
    attached.iter().for_each(|process| assert!(process.is_alive(), "{process}"));
    assert!(server_alone.is_alive() && leaks.stranger.is_alive());
    gateway.turn(LANE);
}

/// An agent of the gateway dies, as by the hand of the kernel when memory is short, and leaves its
/// server behind.
#[track_caller]
fn leave_server(gateway: &Gateway, watchdog: &Watchdog) -> Process {
    gateway.spawn_persistent();
    let agents = until("the agent has its server", seconds(90), || {
        let agents = gateway.process().with_descendants().split_off(1);
        (!of_role(&agents, "server").is_empty()).then_some(agents)
    });
    let server = of_role(&agents, "server")[0];
    // Seen below the gateway: nothing else says whose it is.
    watchdog.pass().assert_idle();
    // First the agent: it would end its server by SIGKILL if it saw its adapter go.
    for role in ["claude", "adapter"] {
        of_role(&agents, role).iter().for_each(Process::kill);
    }
    until("nobody can reach the server", seconds(20), || server.is_unreachable().then_some(()));
    eprintln!("  server-alone: {server}");
    server
}

/// The gateway closes a session and keeps its agent: reported, and left to whoever reads that.
#[track_caller]
fn attach(home: &Home, gateway: &Gateway) -> Vec<Process> {
    let key = gateway.spawn_persistent();
    gateway.close(&key);
    let (file, record) = crate::acp::records(home, &key).pop().expect("a record");
    assert_eq!(record["closed"], true, "{}", file.display());
    let agents = gateway.process().with_descendants().split_off(1);
    assert_eq!(of_role(&agents, "adapter").len(), 1, "{agents:?}");
    agents.iter().for_each(|process| assert!(!process.is_unreachable(), "{process}"));
    agents
}
