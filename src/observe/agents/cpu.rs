//! How much processor time agents used lately.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Cpu, ProcessId, Recent, UnixMillis};

/// Samples are taken no closer than this: what happens in between is a burst.
const SPACING: Duration = Duration::from_secs(5);

/// Most samples of one process. With the longest window, a day, they are thinned out.
const SAMPLES_MAX: usize = 64;

/// Remembers processor times from look to look.
#[derive(Debug, Default)]
pub(super) struct Meter {
    /// How far back `recent` should reach.
    window: Duration,
    samples: BTreeMap<ProcessId, Vec<Sample>>,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: UnixMillis,
    total: Duration,
}

impl Meter {
    /// Asks for times over at least `window`, where there are samples for that.
    pub(super) fn set_window(&mut self, window: Duration) {
        self.window = window;
    }

    /// Takes a sample, and returns what was used since the youngest one that lies a window back, or
    /// else since the oldest.
    pub(super) fn measure(&mut self, id: ProcessId, total: Duration, now: UnixMillis) -> Cpu {
        let samples = self.samples.entry(id).or_default();
        // The clock was set back: no two times can be compared.
        samples.retain(|sample| sample.at <= now);
        let recent = recent(samples, self.window, total, now);
        let spacing = SPACING.max(self.window / (SAMPLES_MAX as u32 / 2));
        if samples.last().is_none_or(|last| now.since(last.at) >= spacing) {
            if samples.len() == SAMPLES_MAX {
                samples.remove(0);
            }
            samples.push(Sample { at: now, total });
        }
        Cpu { total, recent }
    }

    /// Returns what [`Meter::measure`] would call recent, without taking a sample.
    pub(super) fn peek(&self, id: ProcessId, total: Duration, now: UnixMillis) -> Option<Recent> {
        recent(self.samples.get(&id)?, self.window, total, now)
    }

    /// Forgets processes that have ended.
    pub(super) fn retain(&mut self, is_alive: impl Fn(ProcessId) -> bool) {
        self.samples.retain(|id, _| is_alive(*id));
    }
}

fn recent(
    samples: &[Sample],
    window: Duration,
    total: Duration,
    now: UnixMillis,
) -> Option<Recent> {
    let is_back = |sample: &&Sample| now.since(sample.at) >= window;
    let start = samples.iter().rev().find(is_back).or(samples.first())?;
    let recent = Recent { used: total.saturating_sub(start.total), over: now.since(start.at) };
    Some(recent).filter(|recent| !recent.over.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProcessId = ProcessId { pid: 7, start_ticks: 70 };

    fn at(seconds: i64) -> UnixMillis {
        UnixMillis(seconds * 1_000)
    }

    fn used(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_is_recent_at_the_first_look() {
        let mut meter = Meter::default();
        let cpu = meter.measure(ID, used(9), at(0));
        assert_eq!(cpu, Cpu { total: used(9), recent: None });
    }

    #[test]
    fn what_is_recent_reaches_a_window_back_and_no_further() {
        let mut meter = Meter::default();
        meter.set_window(used(60));
        for second in 0..=20 {
            meter.measure(ID, used(second), at(10 * i64::try_from(second).unwrap()));
        }
        let cpu = meter.measure(ID, used(21), at(205));
        assert_eq!(cpu.recent, Some(Recent { used: used(7), over: used(65) }));
    }

    #[test]
    fn a_clock_that_was_set_back_forgets_the_future() {
        let mut meter = Meter::default();
        meter.measure(ID, used(9), at(1_000));
        assert_eq!(meter.measure(ID, used(10), at(500)).recent, None);
    }

    #[test]
    fn samples_are_bounded() {
        let mut meter = Meter::default();
        for second in 0..10_000 {
            meter.measure(ID, used(0), at(10 * second));
        }
        assert!(meter.samples[&ID].len() <= SAMPLES_MAX);
        meter.retain(|_| false);
        assert!(meter.samples.is_empty());
    }
}
