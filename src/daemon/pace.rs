//! When the next pass runs. Knows no clock: every instant is given.

use std::time::Duration;

use tokio::time::Instant;

use super::wake::Wake;
use crate::observe::watch::Change;

/// A burst is over when nothing came for this long. The gateway writes a store as temporary
/// file and rename within milliseconds, and a lock as create, write and close.
const QUIET: Duration = Duration::from_millis(200);

/// A burst that does not end is served after this: with [`SPACING`] still within a second.
const PATIENCE: Duration = Duration::from_millis(800);

/// At least this long between two passes for files or the timer, so that a busy folder or
/// something that is always due cannot keep us busy too.
const SPACING: Duration = Duration::from_millis(500);

/// A gateway that starts a tool every second must not make us look every second: in the long run
/// one pass in this time is for new processes.
const STARTS_EVERY: Duration = Duration::from_secs(5);

/// So many passes for new processes, or for the database, may come closer than that: a oneshot run
/// starts something in each of its 10 s, and what matters of it is a child of the gateway for 2 s
/// (2026.4.15, measured).
const AT_ONCE: u32 = 10;

/// A busy gateway writes its state database several times a second: in the long run one pass in this
/// time is for it.
const DATABASE_EVERY: Duration = Duration::from_secs(10);

/// No instant is put further away, so that no setting overflows the clock.
const LATEST: Duration = Duration::from_hours(24);

/// Decides when to look, from what came in since the last pass ended.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    interval: Duration,
    /// The interval is over, or something is due.
    timer: Instant,
    /// When a pass may run at the earliest.
    free: Instant,
    /// Processes began that no pass has looked at yet; the pid of the first.
    started: Option<i32>,
    starts: Share,
    /// The database changed since the last pass.
    database: bool,
    databases: Share,
    burst: Option<Burst>,
}

/// How often passes may be run for one reason: some at once, in the long run one in each `every`.
#[derive(Clone, Copy, Debug)]
struct Share {
    every: Duration,
    /// Until when it is used up.
    spent: Instant,
}

impl Share {
    /// When the next of them may run, `free` at the earliest.
    fn affordable(self, free: Instant) -> Instant {
        self.spent.checked_sub(self.every * (AT_ONCE - 1)).unwrap_or(free)
    }

    fn spend(&mut self, now: Instant) {
        self.spent = self.spent.max(now) + self.every;
    }
}

/// Changes that no pass has looked at yet.
#[derive(Clone, Copy, Debug)]
struct Burst {
    first: Instant,
    last: Instant,
    config: bool,
}

impl Pace {
    /// Makes a pace whose first pass is due `now`.
    pub(super) fn new(interval: Duration, now: Instant) -> Pace {
        let share = |every| Share { every, spent: now };
        let (starts, databases) = (share(STARTS_EVERY), share(DATABASE_EVERY));
        let (started, database, burst) = (None, false, None);
        Pace { interval, timer: now, free: now, started, starts, database, databases, burst }
    }

    /// Takes in a change.
    pub(super) fn changed(&mut self, change: Change, now: Instant) {
        if change == Change::Database {
            self.database = true;
            return;
        }
        let burst = self.burst.get_or_insert(Burst { first: now, last: now, config: false });
        burst.last = now;
        burst.config |= change == Change::Config;
    }

    /// Takes in that a process began.
    pub(super) fn started(&mut self, pid: i32) {
        self.started.get_or_insert(pid);
    }

    /// Takes in the end of a pass, which may name the next look, and forgets what led to it.
    ///
    /// The interval counts from here, so ticks that were missed are not made up for.
    pub(super) fn passed(&mut self, wake: &Wake, next_look: Option<Duration>, now: Instant) {
        if matches!(wake, Wake::ProcessStarted(_)) {
            self.starts.spend(now);
        }
        if *wake == Wake::FileChanged && self.database && self.burst.is_none() {
            self.databases.spend(now);
        }
        self.started = None;
        self.database = false;
        self.burst = None;
        self.free = now + SPACING;
        let wait = next_look.map_or(self.interval, |due| due.min(self.interval));
        self.timer = now + wait.min(LATEST);
    }

    /// Takes a new interval into use from the end of the next pass on.
    pub(super) fn set_interval(&mut self, interval: Duration) {
        self.interval = interval;
    }

    /// Returns when the next pass is to run if nothing else happens.
    pub(super) fn next(&self) -> Instant {
        let burst = self.burst.map(|burst| (burst.last + QUIET).min(burst.first + PATIENCE));
        let start = self.started.map(|_| self.starts.affordable(self.free));
        let database = self.database.then(|| self.databases.affordable(self.free));
        let asked = burst.into_iter().chain(start).chain(database);
        let earliest = asked.fold(self.timer, Instant::min);
        earliest.max(self.free)
    }

    /// Returns why a pass runs at [`Pace::next`].
    pub(super) fn wake(&self) -> Wake {
        match self.burst {
            Some(burst) if burst.config => Wake::ConfigChanged,
            Some(_) => Wake::FileChanged,
            None => match self.started {
                Some(pid) if self.starts.affordable(self.free) <= self.next() => {
                    Wake::ProcessStarted(pid)
                }
                _ if self.database && self.databases.affordable(self.free) <= self.next() => {
                    Wake::FileChanged
                }
                _ => Wake::Tick,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Instants in ms after a pass that ended at 0, with an interval of 10 s.
    #[track_caller]
    fn check(next_look: Option<u64>, changes: &[u64], want: (Wake, u64)) {
        let zero = Instant::now();
        let at = |ms| zero + Duration::from_millis(ms);
        let mut pace = Pace::new(Duration::from_secs(10), zero);
        assert_eq!(pace.next(), zero, "the first pass is due at once");
        pace.passed(&Wake::Tick, next_look.map(Duration::from_millis), zero);
        for &ms in changes {
            pace.changed(Change::Files, at(ms));
        }
        assert_eq!((pace.wake(), (pace.next() - zero).as_millis() as u64), want);
    }

    #[test]
    fn the_timer_waits_for_the_interval_or_for_what_is_due() {
        check(None, &[], (Wake::Tick, 10_000));
        check(Some(7_000), &[], (Wake::Tick, 7_000));
        check(Some(60_000), &[], (Wake::Tick, 10_000));
    }

    #[test]
    fn what_is_always_due_is_looked_at_twice_a_second() {
        check(Some(0), &[], (Wake::Tick, 500));
        check(Some(499), &[], (Wake::Tick, 500));
        check(Some(501), &[], (Wake::Tick, 501));
    }

    #[test]
    fn a_burst_is_looked_at_when_it_is_over() {
        check(None, &[2_000], (Wake::FileChanged, 2_200));
        check(None, &[2_000, 2_100, 2_250], (Wake::FileChanged, 2_450));
    }

    #[test]
    fn a_burst_that_does_not_end_is_looked_at_within_a_second() {
        let endless: Vec<u64> = (0..50).map(|n| 2_000 + n * 50).collect();
        check(None, &endless, (Wake::FileChanged, 2_800));
    }

    #[test]
    fn a_change_right_after_a_pass_waits_for_the_spacing() {
        check(None, &[1], (Wake::FileChanged, 500));
        check(None, &[400], (Wake::FileChanged, 600));
    }

    #[test]
    fn a_burst_does_not_delay_what_is_due() {
        check(Some(2_050), &[2_000], (Wake::FileChanged, 2_050));
    }

    #[test]
    fn a_burst_that_touched_the_configuration_is_a_reload() {
        let zero = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(10), zero);
        pace.changed(Change::Config, zero);
        pace.changed(Change::Files, zero);
        assert_eq!(pace.wake(), Wake::ConfigChanged);
        pace.started(7);
        assert_eq!(pace.wake(), Wake::ConfigChanged);
        pace.passed(&Wake::ConfigChanged, None, zero);
        assert_eq!(pace.wake(), Wake::Tick);
    }

    /// A pace that has spent all it may on new processes at 0, with an interval of 10 s.
    fn spent() -> (Pace, Instant) {
        let zero = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(10), zero);
        for pid in 0..10 {
            pace.started(pid);
            assert_eq!((pace.wake(), pace.next()), (Wake::ProcessStarted(pid), pace.free));
            pace.passed(&Wake::ProcessStarted(pid), None, zero);
        }
        pace.started(7);
        pace.started(8);
        (pace, zero)
    }

    #[test]
    fn new_processes_are_looked_at_at_once_until_their_share_is_spent() {
        let (mut pace, zero) = spent();
        for seconds in [5, 10, 15] {
            let due = zero + Duration::from_secs(seconds);
            assert_eq!((pace.wake(), pace.next()), (Wake::ProcessStarted(7), due));
            pace.passed(&Wake::ProcessStarted(7), None, due);
            pace.started(7);
        }
    }

    #[test]
    fn their_share_grows_again_and_no_further_than_at_first() {
        let (mut pace, zero) = spent();
        let later = zero + Duration::from_hours(1);
        for _ in 0..10 {
            pace.passed(&Wake::ProcessStarted(7), None, later);
            pace.started(7);
        }
        assert_eq!(pace.next() - later, STARTS_EVERY);
    }

    #[test]
    fn other_passes_serve_new_processes_for_nothing() {
        let (mut pace, zero) = spent();
        pace.changed(Change::Files, zero);
        assert_eq!((pace.wake(), pace.next()), (Wake::FileChanged, pace.free));
        pace.passed(&Wake::FileChanged, None, zero);
        assert_eq!((pace.wake(), pace.next()), (Wake::Tick, pace.timer));
        pace.started(9);
        assert_eq!(pace.next(), zero + STARTS_EVERY, "as before");
        pace.passed(&Wake::Tick, Some(Duration::from_secs(3)), zero);
        pace.started(9);
        assert_eq!(pace.wake(), Wake::Tick, "the timer comes first");
    }

    #[test]
    fn the_database_is_looked_at_at_once_until_its_share_is_spent() {
        let zero = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(30), zero);
        pace.passed(&Wake::Tick, None, zero);
        for _ in 0..10 {
            pace.changed(Change::Database, zero);
            assert_eq!((pace.wake(), pace.next()), (Wake::FileChanged, pace.free));
            pace.passed(&Wake::FileChanged, None, zero);
            assert_eq!(pace.wake(), Wake::Tick);
        }
        pace.changed(Change::Database, zero);
        assert_eq!((pace.wake(), pace.next()), (Wake::FileChanged, zero + DATABASE_EVERY));
        pace.started(7);
        assert_eq!((pace.wake(), pace.next()), (Wake::ProcessStarted(7), pace.free));
        pace.changed(Change::Files, zero);
        assert_eq!((pace.wake(), pace.next()), (Wake::FileChanged, pace.free));
    }

    #[test]
    fn extreme_times_do_not_panic() {
        let mut pace = Pace::new(Duration::MAX, Instant::now());
        pace.passed(&Wake::Tick, Some(Duration::MAX), Instant::now());
        assert!(pace.next() > Instant::now());
    }
}
