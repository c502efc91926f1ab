//! A gateway that an agent started from its shell: the orphan above it must be left alone.

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::Lab;
use crate::owner::{Owner, asked};
use crate::process::of_role;
use crate::report::Report;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

const LANE: &str = "agent:main:main";

#[test]
fn leaves_an_orphan_alone_below_which_the_gateway_runs() {
    let Some(lab) = Lab::with_agents("2026.4.15") else { return };
    let home = Home::new(lab);
    let message = format!("[[say:tool:{}]] go", Gateway::command_line(&home));
    let mut owner = Owner::start(&home, "owner", &asked(&home, &message));
    let tree = owner.wait_for_roles(&["adapter", "claude", "gateway"]);
    let [orphan, running] = ["adapter", "gateway"].map(|role| of_role(&tree, role)[0]);
    let gateway = Gateway::adopt(&home, running);
    gateway.turn(LANE);
    owner.kill();
    until("nobody can reach the orphan", seconds(20), || orphan.is_unreachable().then_some(()));
    eprintln!("  {orphan}\n  {running}");
    assert!(orphan.with_descendants().contains(&running));

    let watchdog = Watchdog::reaper(&home);
    watchdog.wait_out_grace();
    let daemon = watchdog.daemon();
    daemon.wait_for_passes(10);
    let passes = Daemon::stop(daemon);
    passes.iter().for_each(Report::assert_idle);
    let last = passes.last().unwrap();
    assert_eq!(last.gateway.pid, Some(gateway.pid()));
    let reason = last.held("orphan_process", &orphan.subject());
    assert!(["guarded", "tool_running"].contains(&reason), "{reason}");
    assert!(orphan.is_alive() && running.is_alive());
    gateway.turn(LANE);
}
