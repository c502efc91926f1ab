//! What one whole pass costs at the sizes of the budget, against floors of the same run.
//!
//! `cargo bench --bench pass [-- PROCESSES]`: 200 agents with 500 files each, 2,000 locks of a
//! gateway that is up, and 3,000 processes. All is read anew on a captured process table; that
//! nothing has changed can only be seen on `/proc`, with as many children added, after a minute:
//! younger processes are read in every pass.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;
mod stage;

use std::path::Path;
use std::time::Duration;

use clawarden::model::Status;
use measure::{Budget, Table, cpu_ms, floor};
use stage::State;
use stage::bed::{Bed, shipped};
use stage::processes::{self, CAPTURED_GATEWAY, Gateway, Idle};

const PROCESSES: u32 = 3000;
const ROUNDS: usize = 25;
/// What a pass every 30 s may take of 0.1 % of the CPU, in ms.
const SHARE_OF_INTERVAL: f64 = 30.0;

fn main() {
    if Gateway::play() {
        return;
    }
    // `cargo bench` adds `--bench`, `cargo test --benches` runs it without.
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(PROCESSES);
    let mut table = Table::default();
    full(count, &mut table);
    steady(count, &mut table);
    table.print();
}

fn full(count: u32, table: &mut Table) {
    let root = tempfile::tempdir().unwrap();
    let state = State::large(root.path().join("home/.openclaw"), 21600, CAPTURED_GATEWAY);
    let proc = root.path().join("proc");
    processes::capture(&proc, count, &state.dir, 21600);
    let floor = cpu_ms(5, || full_floor(&proc, &state));
    let ours = cpu_ms(5, || {
        let mut passes =
            Bed { root: root.path(), state_dir: &state.dir, proc: &proc }.looking(shipped());
        let report = passes.run(&|| false).unwrap();
        assert_eq!((report.gateway.status, report.locks), (Status::Up, 2000), "{report:?}");
    });
    table.row("first pass, all read anew", "ms CPU", floor, ours, Budget::Times(1.3));
}

/// Stat and command line of all processes, list of all folders and read of all locks, and all stores streamed.
fn full_floor(proc: &Path, state: &State) -> usize {
    let rows: usize = state.stores().iter().map(|path| floor::store(path)).sum();
    floor::identify_all(proc) + floor::read_locks(&state.folders) + rows
}

fn steady(count: u32, table: &mut Table) {
    let root = tempfile::tempdir().unwrap();
    let _idle = Idle::start(count as usize);
    let (gateway, state) = processes::large(root.path());
    let proc = Path::new("/proc");
    let bed = Bed { root: root.path(), state_dir: &state.dir, proc };
    // Until then a process may still become another one by an exec.
    std::thread::sleep(Duration::from_secs(61));

    let stores = state.stores();
    let floor = cpu_ms(ROUNDS, || {
        floor::list(proc).len() as u64 + floor::stamps(&state.folders) + floor::stamps(&stores)
    });
    for (what, mut passes) in [
        ("pass, nothing changed, dry run", bed.looking(shipped())),
        ("pass, nothing changed, enforcing", bed.acting("acting", shipped())),
    ] {
        let report = passes.run(&|| false).unwrap();
        assert_eq!(report.gateway.status, Status::Up);
        let done = report.entries.iter().find(|entry| entry.done.is_some());
        assert!(done.is_none(), "{done:?}");
        let ours = cpu_ms(ROUNDS, || passes.run(&|| false).unwrap());
        table.row(what, "ms CPU", floor, ours, Budget::AtMost(SHARE_OF_INTERVAL));
    }
    drop(gateway);
}
