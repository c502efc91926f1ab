//! 2026.4.15, one oneshot ACP run that succeeds: two adapters with their `claude` stay behind for
//! ever, in the process group of the live gateway (#68916).

use crate::acp;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::process::{self, Process, of_role};
use crate::report::Report;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

const LANE: &str = "agent:main:main";

#[test]
fn ends_what_oneshot_runs_left_and_nothing_else() {
    let Some(lab) = Lab::with_agents("2026.4.15") else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::reaper(&home);
    let gateway = Gateway::start(&home);
    gateway.turn(LANE);
    let others = home.processes();
    let key = run_oneshot(&home, &gateway);
    let left = wait_for_two_pairs(&others, &home, &gateway);
    let tops = of_role(&left, "adapter");
    let records = acp::records(&home, &key);

    watchdog.wait_out_grace();
    let (report, code) = watchdog.detailed_pass();
    report.assert_ended(&tops);
    assert_eq!(code, Some(11), "acted, and all of it verified");
    assert_eq!(report.gateway.pid, Some(gateway.pid()));
    report.assert_says_freed_memory();
    left.iter().for_each(|process| assert!(!process.is_alive(), "{process}"));
    others.iter().for_each(|process| assert!(process.is_alive(), "{process}"));
    // The gateway has closed them itself: there is nothing to write.
    assert!(records.iter().all(|(_, record)| record["closed"] == true), "{records:?}");
    assert_eq!(acp::records(&home, &key), records);
    assert_eq!(watchdog.history().len(), 2, "{:?}", watchdog.history());
    assert!(watchdog.explain(left[0]).contains("done"), "{}", watchdog.explain(left[0]));
    watchdog.pass().assert_idle();
    gateway.turn(LANE);

    let daemon = watchdog.daemon();
    run_oneshot(&home, &gateway);
    until("the daemon ends what the next run left", seconds(90), || {
        let new = new_since(&others, &home);
        (daemon.actions() == 2 && of_role(&new, "adapter").is_empty()).then_some(())
    });
    gateway.turn(LANE);
    let passes = Daemon::stop(daemon);
    let ended: Vec<_> = passes.iter().flat_map(Report::acts).collect();
    assert_eq!(ended.len(), 2, "{ended:?}");
    assert!(new_since(&others, &home).is_empty(), "{:?}", new_since(&others, &home));
    others.iter().for_each(|process| assert!(process.is_alive(), "{process}"));
}

/// One oneshot run that succeeds; returns its key.
#[track_caller]
fn run_oneshot(home: &Home, gateway: &Gateway) -> String {
    let key = gateway.spawn_oneshot("say pong");
    let ended = until("the oneshot run ends", seconds(180), || {
        let tasks = acp::tasks(home, &key);
        let is_over = |status: &String| !["queued", "running"].contains(&status.as_str());
        (!tasks.is_empty() && tasks.iter().all(is_over)).then_some(tasks)
    });
    assert!(ended.iter().all(|status| status == "succeeded"), "{ended:?}");
    key
}

/// The fault itself: two adapters that nobody can reach, each with its `claude`, in the process
/// group of the gateway, which lives.
#[track_caller]
fn wait_for_two_pairs(before: &[Process], home: &Home, gateway: &Gateway) -> Vec<Process> {
    let is_loose = |adapter: &Process| adapter.parent() != gateway.process().pid;
    let left = until("two pairs are left behind", seconds(90), || {
        let new = new_since(before, home);
        let adapters = of_role(&new, "adapter");
        let is_left = adapters.len() == 2 && new.len() == 4 && adapters.iter().all(is_loose);
        (is_left && adapters.iter().all(Process::is_unreachable)).then_some(new)
    });
    for process in &left {
        eprintln!("  left behind: {process}");
        assert_eq!(process.stat().unwrap().group, gateway.process().pid);
        assert_eq!(process.variable("OPENCLAW_CLI").as_deref(), Some("1"));
    }
    left
}

fn new_since(before: &[Process], home: &Home) -> Vec<Process> {
    process::without(home.processes(), before)
}
