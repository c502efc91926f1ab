//! CPU time, wall time and memory, and the table of what was found.

#![allow(dead_code, reason = "shared by benches, each of which uses a part")]

pub(crate) mod floor;
mod table;

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub(crate) use table::{Budget, Table};

/// Runs `work` `runs` times and returns the median of its CPU time, in ms.
pub(crate) fn cpu_ms<T>(runs: usize, work: impl FnMut() -> T) -> f64 {
    median(ClockId::ProcessCPUTime, runs, work)
}

/// Runs `work` `runs` times and returns the median of its wall time, in ms.
pub(crate) fn wall_ms<T>(runs: usize, work: impl FnMut() -> T) -> f64 {
    median(ClockId::Monotonic, runs, work)
}

/// Returns the median CPU time of each work, in ms, after `before`, which is not counted. They
/// take turns, so that a slow spell hits them all.
pub(crate) fn in_turns<const N: usize>(
    rounds: usize,
    before: &dyn Fn(),
    works: [&dyn Fn(); N],
) -> [f64; N] {
    let mut times = [const { Vec::new() }; N];
    for _ in 0..rounds {
        for (work, times) in works.iter().zip(&mut times) {
            before();
            let begun = now(ClockId::ProcessCPUTime);
            work();
            times.push(now(ClockId::ProcessCPUTime) - begun);
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        millis(times[rounds / 2])
    })
}

fn median<T>(clock: ClockId, runs: usize, mut work: impl FnMut() -> T) -> f64 {
    let mut times: Vec<Duration> = (0..runs)
        .map(|_| {
            let before = now(clock);
            std::hint::black_box(work());
            now(clock) - before
        })
        .collect();
    times.sort_unstable();
    millis(times[runs / 2])
}

fn now(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap()
}

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Returns the largest resident size of this process so far, in MiB; `None` without `/proc`.
pub(crate) fn peak_mib() -> Option<f64> {
    status_kib("self", "VmHWM:").map(|kib| kib / 1024.0)
}

/// Returns a number of `/proc/PID/status`; `None` without `/proc`.
pub(crate) fn status_kib(pid: &str, key: &str) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    line.split_whitespace().next()?.parse().ok()
}
