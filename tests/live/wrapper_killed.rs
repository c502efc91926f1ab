//! 2026.5.28, the wrapper between a gateway and its adapter is killed, and then what owned it: the
//! adapter is left in a group of its own, with nothing but its lease to say whose it is.

use std::fs;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::owner::Owner;
use crate::process::{self, Process, of_role};
use crate::wait::{seconds, until};
use crate::watchdog::Watchdog;

#[test]
fn ends_the_adapter_of_a_killed_wrapper() {
    let Some(lab) = Lab::with_agents("2026.5.28") else { return };
    let home = Home::new(lab);
    let watchdog = Watchdog::reaper(&home);
    let gateway = Gateway::start(&home);
    let mut owner = Owner::start(&home, "owner", &wrapped(&home));
    owner.wait_for("idle");
    let agents = owner.wait_for_roles(&["wrapper", "adapter", "claude"]);
    of_role(&agents, "wrapper").iter().for_each(Process::kill);
    owner.kill();
    let adapter = of_role(&agents, "adapter")[0];
    until("nobody can reach the adapter", seconds(20), || adapter.is_unreachable().then_some(()));
    assert_leased(&home, adapter);
    let left = adapter.with_descendants();
    left.iter().for_each(|process| eprintln!("  left behind: {process}"));

    watchdog.wait_out_grace();
    let others = process::without(home.processes(), &left);
    let report = watchdog.pass();
    report.assert_ended(&[adapter]);
    left.iter().for_each(|process| assert!(!process.is_alive(), "{process}"));
    others.iter().for_each(|process| assert!(process.is_alive(), "{process}"));
    gateway.turn("agent:main:main");
    watchdog.pass().assert_idle();
}

/// An adapter that outlives its parent, behind the wrapper that this version writes.
fn wrapped(home: &Home) -> Value {
    let [node, adapter] = [home.lab.node_path(), home.lab.old_adapter()];
    let [node, adapter] = [node.display(), adapter.display()];
    let wrapper = home.state().join("acpx/claude-agent-acp-wrapper.mjs");
    let wrapper = wrapper.display();
    let command = format!("{node} {wrapper} --openclaw-run-configured {node} {adapter}");
    json!({ "mode": "persistent", "command": command })
}

/// The fault itself: it is in no group of the gateway's, and an open lease names it.
#[track_caller]
fn assert_leased(home: &Home, adapter: Process) {
    assert_eq!(adapter.stat().unwrap().group, adapter.pid);
    let lease = adapter.variable("OPENCLAW_ACPX_LEASE_ID").expect("a lease in its environment");
    let leases = fs::read_to_string(home.state().join("acpx/process-leases.json")).unwrap();
    assert!(leases.contains(&lease), "{lease} in {leases}");
}
