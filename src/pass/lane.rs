//! Looks at one lane once more, for whoever is about to have it repaired.

use std::collections::BTreeSet;

use crate::act::LaneCensus;
use crate::clock::Clock;
use crate::model::{Lane, LaneCall, LaneSight, ProcessId, Snapshot};
use crate::observe::{LanePlace, Observer};

/// What the pass saw, and how to see it again.
pub(super) struct LaneAgain<'a> {
    pub(super) observer: &'a Observer,
    pub(super) snapshot: &'a Snapshot,
    pub(super) clock: Clock,
}

impl LaneAgain<'_> {
    fn lane(&self, call: &LaneCall) -> Option<&Lane> {
        let of_session = |lane: &&Lane| lane.row.session_id == call.session_id;
        self.snapshot.lanes.iter().filter(|lane| lane.key == call.key).find(of_session)
    }

    fn place(&self, call: &LaneCall) -> Result<LanePlace, String> {
        let era = &self.snapshot.gateway.era;
        self.observer.place_of(era, &call.key, self.lane(call), call.session_id.as_ref())
    }
}

impl LaneCensus for LaneAgain<'_> {
    fn judged(&self, call: &LaneCall) -> LaneSight {
        let lane = self.lane(call);
        let place = self.place(call).ok();
        let locks = place.as_ref().map(|place| {
            let own = place.locks(&self.snapshot.locks);
            own.map(|lock| (lock.path.clone(), lock.stamp.clone())).collect()
        });
        LaneSight {
            at: self.snapshot.taken_at,
            file: place.and_then(|place| place.file()),
            row: lane.map(|lane| lane.row.clone()),
            transcript: lane.map(|lane| lane.transcript),
            trajectory: lane.map(|lane| lane.trajectory),
            locks: locks.unwrap_or_default(),
            run: None,
            waiting: None,
        }
    }

    fn now(&self, call: &LaneCall) -> Result<LaneSight, String> {
        self.observer.lane_again(&self.place(call)?, self.clock.now())
    }

    fn newcomer(&self, call: &LaneCall) -> Result<Option<ProcessId>, String> {
        let known: BTreeSet<_> = self.snapshot.gateway_children.iter().map(|(id, _)| *id).collect();
        let below = self.observer.below_again(call.gateway)?;
        Ok(below.difference(&known).next().copied())
    }
}

#[cfg(test)]
mod tests;
