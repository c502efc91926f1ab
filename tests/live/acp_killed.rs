//! 2026.4.15, an ACP run that waits for its model, SIGKILL and restart: launchers, adapters and
//! `claude` of the dead gateway stay behind.

use crate::acp;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::process::{self, Process, of_role, roles};
use crate::wait::{seconds, until};
use crate::watchdog::Watchdog;

const LANE: &str = "agent:main:main";

#[test]
fn ends_the_agents_of_a_killed_gateway_with_their_launchers() {
    let Some(lab) = Lab::with_agents("2026.4.15") else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::reaper(&home);
    let gateway = Gateway::start(&home);
    gateway.turn(LANE);
    let before = home.processes();
    let key = gateway.spawn_oneshot("[[say:hang]] never answered");
    home.provider.wait_for_agent();
    // Before it asks, the gateway starts an adapter that it gives up again (#68916).
    let (given_up, live) = wait_for_both(&home, &before);
    watchdog.wait_out_grace();
    watchdog.pass().assert_ended(&of_role(&given_up, "adapter"));
    given_up.iter().for_each(|process| assert!(!process.is_alive(), "{process}"));
    live.iter().for_each(|process| assert!(process.is_alive(), "{process}"));

    let killed = gateway.process();
    gateway.kill();
    let left = wait_for_orphans(&live, killed);
    let open = acp::records(&home, &key);
    assert!(open.iter().any(|(_, record)| record["closed"] != true), "{open:?}");

    let gateway = Gateway::start(&home);
    gateway.turn(LANE);
    let others = process::without(home.processes(), &left);
    watchdog.wait_out_grace();
    let report = watchdog.pass();
    report.assert_ended(&of_role(&left, "adapter"));
    until("the launchers end with what they launched", seconds(20), || {
        left.iter().all(|process| !process.is_alive()).then_some(())
    });
    others.iter().for_each(|process| assert!(process.is_alive(), "{process}"));
    for (path, record) in acp::records(&home, &key) {
        assert_eq!(record["closed"], true, "{}", path.display());
        let (_, before) = open.iter().find(|(other, _)| *other == path).expect("no new record");
        acp::assert_only_closed(before, &record);
    }
    gateway.turn(LANE);
    watchdog.pass().assert_idle();
}

/// The agents of a run that waits: those that were given up, and those that wait.
#[track_caller]
fn wait_for_both(home: &Home, before: &[Process]) -> (Vec<Process>, Vec<Process>) {
    until("one pair is given up, and one waits", seconds(60), || {
        let agents = process::without(home.processes(), before);
        let (given_up, live) =
            of_role(&agents, "adapter").into_iter().partition::<Vec<_>, _>(Process::is_unreachable);
        if given_up.len() != 1 || live.len() != 1 {
            return None;
        }
        let given_up = given_up[0].with_descendants();
        let live = process::without(agents, &given_up);
        let is_whole = given_up.len() == 2 && live.len() == 4;
        is_whole.then_some((given_up, live))
    })
}

/// The fault itself: what outlives the gateway for ever.
#[track_caller]
fn wait_for_orphans(agents: &[Process], gateway: Process) -> Vec<Process> {
    let left = until("what depends on the gateway has ended", seconds(20), || {
        let left: Vec<_> = agents.iter().copied().filter(Process::is_alive).collect();
        let tops = of_role(&left, "npm");
        (!tops.is_empty() && tops.iter().all(|npm| npm.parent() != gateway.pid)).then_some(left)
    });
    eprintln!("  {:?}", roles(&left));
    for process in of_role(&left, "adapter") {
        eprintln!("  left behind: {process}");
        assert!(process.is_unreachable(), "{process}");
        assert_eq!(process.stat().unwrap().session, gateway.pid);
    }
    left
}
