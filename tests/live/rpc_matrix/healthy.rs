//! A healthy lane beside all that hangs: one run that talks, slowly and for as long.

use std::time::Duration;

use crate::conversation::Conversation;
use crate::gateway::Gateway;
use crate::home::Home;
use crate::wait::seconds;

const LANE: &str = "agent:main:healthy";

pub(super) struct Healthy {
    run: String,
    before: Conversation,
}

/// A run that says a word each second for so long.
#[track_caller]
pub(super) fn begin(home: &Home, gateway: &Gateway, length: Duration) -> Healthy {
    gateway.turn(LANE);
    let before = Conversation::read(home, gateway, LANE);
    let slow = format!("[[say:slow:{}]] tell me everything", length.as_secs());
    Healthy { run: gateway.send("chat.send", LANE, &slow), before }
}

impl Healthy {
    /// The same run ends well, and the conversation goes on.
    #[track_caller]
    pub(super) fn assert_undisturbed(&self, home: &Home, gateway: &Gateway) {
        assert_eq!(gateway.wait_for(&self.run, seconds(900)), "ok", "the healthy run ends well");
        self.before.assert_kept(home, gateway);
        gateway.turn(LANE);
        self.before.assert_kept(home, gateway);
    }
}
