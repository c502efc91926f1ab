//! For how long processes have done nothing, as far as they were watched.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{ProcessId, UnixMillis};
use crate::observe::process::Activity;

/// The most that one look adds. Between two looks the host may have slept, or its clock may have been
/// set: then nothing could be done, or no time went by.
const STEP_MAX: Duration = Duration::from_secs(300);

/// Remembers from look to look what each process had done.
#[derive(Debug, Default)]
pub(super) struct Stillness {
    watched: BTreeMap<ProcessId, Watched>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    cpu: Duration,
    io: u64,
    at: UnixMillis,
    idle: Duration,
}

impl Stillness {
    /// Notes what a process has done up to `now`, and returns for how long it has done no more.
    /// `None` if that cannot be told.
    pub(super) fn watch(&mut self, activity: &Activity, now: UnixMillis) -> Option<Duration> {
        let (Some(io), Some(idle)) = (activity.io, self.peek(activity, now)) else {
            self.watched.remove(&activity.id);
            return None;
        };
        self.watched.insert(activity.id, Watched { cpu: activity.cpu, io, at: now, idle });
        Some(idle)
    }

    /// Returns what [`Stillness::watch`] would, without taking note.
    pub(super) fn peek(&self, activity: &Activity, now: UnixMillis) -> Option<Duration> {
        let io = activity.io?;
        let is_still = |before: &&Watched| (before.cpu, before.io) == (activity.cpu, io);
        let before = self.watched.get(&activity.id).filter(is_still);
        Some(before.map_or(Duration::ZERO, |before| {
            before.idle.saturating_add(now.since(before.at).min(STEP_MAX))
        }))
    }

    /// Forgets processes that have ended.
    pub(super) fn retain(&mut self, is_alive: impl Fn(ProcessId) -> bool) {
        self.watched.retain(|id, _| is_alive(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProcessId = ProcessId { pid: 7, start_ticks: 70 };

    fn done(cpu: u64, io: Option<u64>) -> Activity {
        Activity { id: ID, has_ended: false, cpu: Duration::from_millis(cpu), io }
    }

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1_000)
    }

    /// Looks at each of these: seconds, processor time, bytes; and how long it was idle at the last.
    #[track_caller]
    fn check(looks: &[(i64, u64, Option<u64>)], want: Option<u64>) {
        let mut stillness = Stillness::default();
        let mut idle = None;
        for (second, cpu, io) in looks {
            let peeked = stillness.peek(&done(*cpu, *io), at(*second));
            idle = stillness.watch(&done(*cpu, *io), at(*second));
            assert_eq!(peeked, idle);
        }
        assert_eq!(idle, want.map(Duration::from_secs), "{looks:?}");
    }

    #[test]
    fn nobody_is_idle_at_the_first_look() {
        check(&[(1_000, 5, Some(5))], Some(0));
    }

    #[test]
    fn idle_is_what_did_nothing_since_it_was_watched() {
        check(&[(0, 5, Some(5)), (30, 5, Some(5)), (60, 5, Some(5))], Some(60));
        check(&[(0, 5, Some(5)), (30, 6, Some(5)), (60, 6, Some(5))], Some(30));
        check(&[(0, 5, Some(5)), (30, 5, Some(5)), (60, 5, Some(6))], Some(0));
    }

    #[test]
    fn what_cannot_be_read_is_unknown_and_begins_anew() {
        check(&[(0, 5, Some(5)), (30, 5, None)], None);
        check(&[(0, 5, Some(5)), (30, 5, None), (60, 5, Some(5))], Some(0));
    }

    #[test]
    fn neither_sleep_nor_a_clock_that_was_set_makes_idle() {
        check(&[(0, 5, Some(5)), (30, 5, Some(5)), (7_230, 5, Some(5))], Some(330));
        check(&[(900, 5, Some(5)), (930, 5, Some(5)), (0, 5, Some(5))], Some(30));
        check(&[(900, 5, Some(5)), (0, 5, Some(5)), (30, 5, Some(5))], Some(30));
    }

    #[test]
    fn another_life_under_the_number_is_another_process() {
        let mut stillness = Stillness::default();
        stillness.watch(&done(5, Some(5)), at(0));
        let later = Activity { id: ProcessId { start_ticks: 71, ..ID }, ..done(5, Some(5)) };
        assert_eq!(stillness.watch(&later, at(60)), Some(Duration::ZERO));
        stillness.retain(|_| false);
        assert!(stillness.watched.is_empty());
    }
}
