//! Ordinary load with every policy over RPC enforced: as fast as without.

use crate::gateway::Gateway;
use crate::home::Home;
use crate::load::{Load, Tally};

const SECONDS: u64 = 30;
/// What the medians of two equal runs may differ by where other things want the machine, too. What
/// is asserted is that nobody waits for the watchdog; the numbers are for the reader.
const NOISE: (u64, u64) = (4, 4_000);

pub(super) struct Alone(Tally);

/// The load without a watchdog.
#[track_caller]
pub(super) fn alone(home: &Home, gateway: &Gateway) -> Alone {
    // The first turns of a gateway take up to a minute, in which it loads what it needs (2026.4.15).
    gateway.turn("agent:main:first");
    Alone(Load::start(home, SECONDS).end())
}

impl Alone {
    /// The same beside one.
    #[track_caller]
    pub(super) fn assert_as_fast_beside(self, home: &Home) {
        let beside = Load::start(home, SECONDS).end();
        let [before, now] = [&self.0, &beside].map(Tally::median_ms);
        eprintln!("  {}: a quick turn: {before} ms alone, {now} ms beside it", home.lab.version);
        for tally in [&self.0, &beside] {
            assert!(tally.failed.is_empty(), "{tally:?}");
            assert!(tally.ok >= 4, "{tally:?}");
        }
        let (times, more) = NOISE;
        assert!(now <= times * before + more, "{before} ms became {now} ms");
    }
}
