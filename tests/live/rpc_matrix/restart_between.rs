//! The gateway becomes deaf, and then restarts between the look and the act: the judgement is void.

use std::path::Path;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung::{By, Hung};
use crate::report::Report;
use crate::rpc_matrix::hung_lanes::WITHHELD;
use crate::rpc_matrix::unproven;
use crate::rpc_matrix::versions::Facts;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};
use std::path::PathBuf;

pub(super) struct Between {
    hung: Hung,
    lock: PathBuf,
    daemon: Daemon,
}

/// A lane that hangs, and a daemon that looks at it twice, far apart.
#[track_caller]
pub(super) fn begin(home: &Home, gateway: &Gateway, facts: &Facts) -> Between {
    let hung = Hung::begin(home, gateway, By::Chat, "between");
    let lock = hung.lock(home);
    let config = facts.config_for_one("between").replace("gap: 1s", "gap: 30m");
    // The locks of a gateway that was killed are another policy's.
    let config = config.replace("dead_lock: { mode: enforce", "dead_lock: { mode: observe");
    let config = config.replace("interval: 2s", "interval: 5s");
    Between { hung, lock, daemon: Watchdog::with(home, "between", &config).daemon() }
}

impl Between {
    /// The lock of its lane, where there is one.
    pub(super) fn lock(&self) -> &Path {
        &self.lock
    }

    #[track_caller]
    pub(super) fn check(self, home: &Home, gateway: Gateway) {
        let Self { hung, daemon, .. } = self;
        until("one look is over, and one is to come", seconds(240), || {
            let wants_another = |pass: &Report| {
                let code = pass.code("hung_lane", &hung.key);
                matches!(code, Some("not_confirmed" | WITHHELD))
            };
            daemon.passes().last().is_some_and(wants_another).then_some(())
        });
        unproven::deaf(&gateway, &daemon);
        drop(hung);
        gateway.kill();
        let _gateway = Gateway::start(home);
        daemon.wait_for_passes(3);
        daemon.stop().iter().for_each(Report::assert_idle);
    }
}
