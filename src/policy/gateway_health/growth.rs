//! Whether memory grows and is never given back.

use std::time::Duration;

/// What one low is of.
const WINDOW: Duration = Duration::from_mins(5);

/// As many windows in which the least memory rose, one after the other. Half an hour of work that
/// needs more and more looks the same, and ends.
const RISES: usize = 6;

/// A rise below this share of the window before is none: 1 in 100.
const RISE_PER_CENT: u64 = 1;

/// Whatever the shape, less than this is no leak (a gateway has 300 to 700 MiB).
const GROWTH_MIN: u64 = 200 << 20;

/// How memory grew.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Growth {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) over: Duration,
}

/// Returns how it grew, if it doubled over all that is known, or rose in every one of the last
/// windows, by a third together. `lows` are the least amounts of windows, oldest first.
pub(super) fn growth(lows: &[u64]) -> Option<Growth> {
    let steady = || {
        let last = lows.get(lows.len().checked_sub(RISES + 1)?..)?;
        let rises = last
            .windows(2)
            .all(|pair| pair[1] > pair[0].saturating_add(pair[0] / 100 * RISE_PER_CENT));
        rises
            .then(|| between(last))
            .flatten()
            .filter(|growth| growth.to >= (growth.from / 3).saturating_mul(4))
    };
    let doubled = || {
        let known = between(lows).filter(|_| lows.len() > RISES)?;
        // What was given back in between comes and goes.
        let is_last_high =
            lows.iter().rev().take(RISES).all(|low| *low >= (known.from / 2).saturating_mul(3));
        (known.to >= known.from.saturating_mul(2) && is_last_high).then_some(known)
    };
    steady().or_else(doubled).filter(|growth| growth.to - growth.from >= GROWTH_MIN)
}

fn between(lows: &[u64]) -> Option<Growth> {
    let (from, to) = (*lows.first()?, *lows.last()?);
    let steps = u32::try_from(lows.len() - 1).ok()?;
    (to > from).then(|| Growth { from, to, over: WINDOW * steps })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(mib: &[u64], want: Option<(u64, u64, u64)>) {
        let lows: Vec<_> = mib.iter().map(|mib| mib << 20).collect();
        let growth = growth(&lows);
        let minutes = |growth: Growth| growth.over.as_secs() / 60;
        assert_eq!(growth.map(|g| (g.from >> 20, g.to >> 20, minutes(g))), want, "{mib:?}");
    }

    #[test]
    fn a_steady_rise_is_found_and_one_window_without_it_is_not() {
        check(&[600, 650, 700, 750, 800, 850, 900], Some((600, 900, 30)));
        check(&[600, 650, 700, 750, 750, 850, 900], None);
        check(&[650, 700, 750, 800, 850, 900], None);
        check(&[9_000, 600, 650, 700, 750, 800, 850, 900], Some((600, 900, 30)));
    }

    #[test]
    fn a_rise_that_is_small_is_none() {
        check(&[100, 120, 140, 160, 200, 250, 299], None);
        check(&[100, 130, 160, 190, 220, 260, 300], Some((100, 300, 30)));
        check(&[6_000, 6_061, 6_122, 6_184, 6_246, 6_309, 6_373], None);
    }

    #[test]
    fn memory_that_doubled_and_stays_is_found() {
        check(&[300, 310, 480, 470, 460, 500, 520, 590, 600], Some((300, 600, 40)));
        check(&[300, 310, 480, 470, 440, 500, 520, 590, 600], None);
        check(&[300, 310, 480, 470, 460, 500, 520, 590, 599], None);
    }

    #[test]
    fn what_comes_and_goes_is_healthy() {
        check(&[], None);
        check(&[500], None);
        check(&[500; 24], None);
        check(&[900, 850, 800, 750, 700, 650, 600], None);
        check(&[400, 900, 420, 880, 410, 900, 400, 890], None);
        check(&[u64::MAX >> 20; 7], None);
        check(&[0, 0, 0, 0, 0, 0, 0], None);
    }

    #[test]
    fn no_numbers_overflow() {
        for lows in [[0, u64::MAX], [u64::MAX, 0], [u64::MAX, u64::MAX]] {
            let _ = growth(&lows.repeat(12));
        }
    }
}
