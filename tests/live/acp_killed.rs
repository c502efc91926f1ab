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
    let tops = of_role(&given_up, "adapter");
    watchdog.wait_out_grace();
    watchdog.pass().assert_ended(&tops);
    given_up.iter().for_each(|process| assert!(!process.is_alive(), "{process}"));
    live.iter().for_each(|process| assert!(process.is_alive(), "{process}"));

    let killed = gateway.process();
    gateway.kill();
    let left = wait_for_orphans(&live, killed);
    let tops = of_role(&left, "adapter");

    let gateway = Gateway::start(&home);
    gateway.turn(LANE);
    watchdog.wait_out_grace();
    let others = reachable(&home);
    let records = acp::records(&home, &key);
    let report = watchdog.pass();
    // The gateway tries the session again at its start, and may leave an orphan of its own by that.
    tops.iter().for_each(|top| report.assert_ended_too(*top));
    until("the launchers end with what they launched", seconds(20), || {
        left.iter().all(|process| !process.is_alive()).then_some(())
    });
    others.iter().for_each(|process| assert!(process.is_alive(), "{process}"));
    // They are open, and name an adapter that the gateway had given up before: nobody's any more.
    assert!(records.iter().all(|(_, record)| record["closed"] == false), "{records:?}");
    assert_eq!(acp::records(&home, &key), records);
    gateway.turn(LANE);
}

/// Every process of the home to which somebody can still talk, or that never listened.
fn reachable(home: &Home) -> Vec<Process> {
    let orphans = home.processes().into_iter().filter(Process::is_unreachable);
    let orphans: Vec<_> = orphans.flat_map(|process| process.with_descendants()).collect();
    process::without(home.processes(), &orphans)
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
