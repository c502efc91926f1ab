//! Several locks of one gateway, and the one that goes first.

use serde_json::{Value, json};

use crate::model::{ActReason, Decision, HoldReason, Verdict};

use super::Held;

/// Most locks that are named in the evidence.
const NAMED_MAX: usize = 50;

/// Leaves the repair to the oldest of those that are proven, names that one to each that is overdue, and
/// all of them to it alone: thousands may be. `held` is oldest first, and `verdicts` in the same order.
///
/// One goes first because one cause may hold them all: a provider with too few places, or a queue
/// in the gateway. The next is judged anew once that one has been seen to.
pub(super) fn name_the_root(held: &[Held<'_>], verdicts: &mut [Verdict]) {
    let proven = |verdict: &&Verdict| !matches!(verdict.decision, Decision::Hold(_));
    let of = verdicts.iter().filter(proven).count();
    let root = verdicts.iter().position(|verdict| proven(&verdict));
    let oldest = held.iter().position(Held::is_overdue);
    let Some(first) = root.or(oldest) else { return };
    let cause = held[first].path();
    let told = named(held);
    let overdue = held.iter().filter(|held| held.is_overdue()).count();
    for (place, verdict) in verdicts.iter_mut().enumerate() {
        match &mut verdict.decision {
            Decision::Act(_, reason) | Decision::Observe(_, reason) if Some(place) == root => {
                count(reason, of);
            }
            Decision::Act(..) | Decision::Observe(..) => {
                verdict.decision =
                    Decision::Hold(HoldReason::BehindOlderLock { path: cause.clone() });
            }
            Decision::Hold(_) => {}
        }
        if overdue > 1 && held[place].is_overdue() && !verdict.evidence.0.is_empty() {
            verdict.evidence = std::mem::take(&mut verdict.evidence)
                .with("root_cause", cause.as_str())
                .with("overdue_locks", overdue)
                .maybe("cascade", (place == first).then(|| told.clone()));
        }
    }
}

fn count(reason: &mut ActReason, of: usize) {
    if let ActReason::HeldTooLong { of: count, .. } = reason {
        *count = of;
    }
}

/// The overdue locks, oldest first, with the lane that each blocks.
fn named(held: &[Held<'_>]) -> Vec<Value> {
    let tell = |held: &Held<'_>| {
        let lane = held.owner().ok().map(|run| run.key.0.clone());
        json!({ "lock": held.path(), "held_s": held.age.as_secs(), "blocks": lane })
    };
    held.iter().filter(|held| held.is_overdue()).take(NAMED_MAX).map(tell).collect()
}
