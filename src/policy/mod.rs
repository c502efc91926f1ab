//! The rules. Each judges every subject of its kind in one snapshot, and says why.
//!
//! Pure: a snapshot and what is remembered of earlier ones go in, verdicts come out.

mod clock;
mod dead_lock;
pub mod families;
mod ground;
mod holder;
mod pattern;
mod process;
pub mod settings;
mod stale_lane;

pub use clock::host_record;
pub use holder::{Holder, holder};
pub use pattern::LanePattern;
pub use process::still_to_end;
pub use settings::Policies;

use std::time::Duration;

use crate::model::{History, Mode, Snapshot, Verdict};

/// What every rule is given.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The world.
    pub snapshot: &'a Snapshot,
    /// What earlier passes saw and did, with the host record of this one.
    pub history: &'a History,
    /// Whether healthy subjects are wanted, too, with their evidence. A daemon has thousands of
    /// them, and nobody who reads it.
    pub explains_healthy: bool,
    /// How long after a gateway start, a resume or a clock step nothing is judged.
    pub start_grace: Duration,
}

impl Context<'_> {
    fn wants(&self, verdict: &Verdict) -> bool {
        verdict.suspect || self.explains_healthy
    }
}

/// Judges everything in the snapshot. Rules that are off are not asked.
#[must_use]
pub fn evaluate(context: Context<'_>, policies: &Policies) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    if policies.dead_lock.mode != Mode::Off {
        verdicts.extend(dead_lock::evaluate(context, &policies.dead_lock));
    }
    if policies.stale_lane.mode != Mode::Off || !policies.overrides.is_empty() {
        verdicts.extend(stale_lane::evaluate(context, policies));
    }
    verdicts.extend(process::evaluate(context, policies));
    verdicts
}
