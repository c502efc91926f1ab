//! What one refresh of the process table costs, as ratios against floors of the same run.
//!
//! `cargo bench --bench process_table [-- SLEEPERS]`: on a captured table of 3,000 processes,
//! and on `/proc`, with SLEEPERS children added. CPU time of this process, as wall time is noisy.
//! Floors: the listing plus the stat of new processes, of which there are none here; and the
//! stat of all, read by hand in the plainest way. A look for new processes, which comes every
//! second, is measured below ourselves, with the threads of a gateway and 30 children.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;
mod stage;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use clawarden::model::UnixMillis;
use clawarden::observe::process::Table;
use measure::{Budget, floor, in_turns};
use rustix::time::{ClockId, clock_gettime};
use stage::processes::{self, Idle};

const CAPTURED: u32 = 3000;
const ROUNDS: usize = 100;
const CHILDREN: usize = 30;
/// Those of a gateway of 2026.4.15.
const THREADS: usize = 11;
/// What a look every second may take of a tenth of the idle budget of 0.1 % of the CPU, in us.
const SHARE_OF_SECOND: f64 = 100.0;

fn main() {
    // `cargo bench` adds `--bench`, `cargo test --benches` runs it without.
    let sleepers = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(0);
    let captured = tempfile::tempdir().unwrap();
    processes::capture(captured.path(), CAPTURED, Path::new("/nowhere"), 1);
    let mut table = measure::Table::default();
    compare("captured", captured.path(), &mut table);
    newcomers(&mut table);
    let _idle = Idle::start(sleepers);
    compare("/proc", Path::new("/proc"), &mut table);
    table.print();
}

fn compare(name: &str, root: &Path, report: &mut measure::Table) {
    let mut table = Table::new(root);
    // Nothing began in the last minute before this.
    let now = Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap();
    let later = now + Duration::from_secs(61);
    let table = RefCell::new(&mut table);
    let refresh = |uptime| table.borrow_mut().refresh_at(UnixMillis(0), uptime).unwrap();
    refresh(None);
    // Each begins with the kernel's caches as a listing leaves them.
    let [listing, steady, full_floor, full] = in_turns(
        ROUNDS,
        &|| drop(floor::list(root)),
        [
            &|| drop(floor::list(root)),
            &|| refresh(Some(later)),
            &|| assert_ne!(floor::stat_all(root), 0),
            &|| refresh(None),
        ],
    );
    let what = |what: &str| format!("{name}, {} processes: {what}", table.borrow().iter().count());
    // What is read in turn, at least 16 of them, outweighs the listing of few.
    let is_large = table.borrow().iter().count() > 2000;
    let budget = if is_large { Budget::Times(1.3) } else { Budget::Any };
    report.row(&what("steady (floor: listing)"), "ms CPU", listing, steady, budget);
    report.row(&what("full (floor: stat of all)"), "ms CPU", full_floor, full, Budget::Any);
    report.row(&what("steady to full floor"), "ms CPU", full_floor, steady, Budget::Any);
}

/// Measures looks for new processes while nothing begins on this host, and while something does.
#[cfg(target_os = "linux")]
fn newcomers(report: &mut measure::Table) {
    use std::sync::mpsc;

    use clawarden::model::ProcessId;
    use clawarden::observe::process::{Lineage, Offspring};

    let idle = Idle::start(CHILDREN);
    let (_held, ends): (Vec<_>, Vec<_>) = (1..THREADS).map(|_| mpsc::channel::<()>()).unzip();
    for end in ends {
        std::thread::spawn(move || end.recv());
    }
    let id = |pid| ProcessId { pid: i32::try_from(pid).unwrap(), start_ticks: 0 };
    let root = id(std::process::id());
    let descendants = idle.pids().map(id).collect();
    let offspring = RefCell::new(Offspring::open(Path::new("/proc")).unwrap());
    offspring.borrow_mut().retarget(Some(&Lineage { root, descendants }));
    let look = || assert_eq!(offspring.borrow_mut().newcomer(), None);
    look();
    let floor = || assert_ne!(floor::children(std::process::id(), idle.pids()), 0);
    let [quiet] = in_turns(ROUNDS, &|| {}, [&look]).map(micros);
    let begin = || std::thread::spawn(|| {}).join().unwrap();
    let [floor, busy] = in_turns(ROUNDS, &begin, [&floor, &look]).map(micros);
    let what = format!("new below one with {CHILDREN}, {THREADS} threads");
    let row =
        &mut |what: String, floor, ours, budget| report.row(&what, "us CPU", floor, ours, budget);
    row(format!("{what}: nothing began"), 0.0, quiet, Budget::AtMost(SHARE_OF_SECOND / 10.0));
    row(format!("{what}: something began"), floor, busy, Budget::Times(1.3));
}

#[cfg(not(target_os = "linux"))]
fn newcomers(_: &mut measure::Table) {}

fn micros(millis: f64) -> f64 {
    millis * 1e3
}
