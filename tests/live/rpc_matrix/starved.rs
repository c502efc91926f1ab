//! 2026.9.6, SIGKILL and restart with a silent provider: recovery resumes one session after the
//! other, the first one hangs, and the rest starve behind it.

use std::collections::BTreeSet;

use crate::conversation::Conversation;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::matrix::{Matrix, Row};
use crate::rpc_matrix::acts;
use crate::rpc_matrix::versions::Facts;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

const LANES: [&str; 3] = ["agent:main:main", "agent:main:second", "agent:main:third"];

/// A gateway on which they starve, and the watchdog beside it.
pub(super) struct Starved<'h> {
    home: &'h Home,
    gateway: Gateway<'h>,
    /// The lane whose run hangs.
    slot: String,
    before: Vec<Conversation>,
    daemon: Daemon,
    limit: std::time::Duration,
}

#[track_caller]
pub(super) fn begin<'h>(home: &'h Home, facts: &Facts) -> Starved<'h> {
    home.configure(super::be_patient);
    let gateway = Gateway::start(home);
    LANES.iter().for_each(|key| gateway.turn(key));
    home.provider.set_mode("drip");
    LANES.iter().for_each(|key| drop(gateway.send("chat.send", key, "never answered")));
    home.provider.wait_for_open(LANES.len() as u64);
    let before = LANES.map(|key| Conversation::read(home, &gateway, key)).into();
    gateway.kill();
    let gateway = Gateway::start(home);
    let slot = until("one recovered run hangs, and the others wait", seconds(120), || {
        let active = |key: &&&str| gateway.row(key)["hasActiveRun"] == true;
        let hanging: Vec<_> = LANES.iter().filter(active).collect();
        let is_one = hanging.len() == 1 && home.provider.open_requests() == 1;
        is_one.then(|| (*hanging[0]).to_owned())
    });
    home.provider.set_mode("ok");
    let daemon = Watchdog::with(home, "hung", &facts.config(&[])).daemon();
    let limit = facts.own_deadline + seconds(240);
    Starved { home, gateway, slot, before, daemon, limit }
}

impl Starved<'_> {
    /// The run that hangs was ended, nothing else; the others then recovered by themselves, and all
    /// have their conversations.
    #[track_caller]
    pub(super) fn check(self, matrix: &mut Matrix) {
        let Self { home, gateway, slot, before, daemon, limit } = self;
        until("the run that hangs is ended", limit, || {
            daemon
                .passes()
                .iter()
                .any(|pass| pass.done("hung_lane").contains(&&*slot))
                .then_some(())
        });
        until("every lane has ended", seconds(180), || {
            LANES.iter().all(|key| gateway.row(key)["status"] != "running").then_some(())
        });
        let passes = daemon.stop();
        let freed: BTreeSet<_> = acts(&passes).into_iter().collect();
        assert_eq!(freed, BTreeSet::from([&*slot]), "the one that hangs, and nothing else");
        for (key, before) in LANES.iter().zip(&before) {
            before.assert_kept(home, &gateway);
            gateway.turn(key);
        }
        matrix.add(Row {
            fault: "sessions that starve behind a hung recovery",
            verdict: "`hung_lane`: `no_progress`, of the first; `starved`, of the others"
                .to_owned(),
            repair: "abort of the first".to_owned(),
            afterwards: "the others are resumed; all answer".to_owned(),
            lost: "nothing",
        });
    }
}
