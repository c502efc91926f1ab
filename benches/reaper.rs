//! What the reaper adds to a pass that finds nothing to do.
//!
//! `cargo bench --bench reaper [-- PROCESSES]`: 3,000 processes and a gateway that is up; first
//! without agents, then with 15 adapters and a `claude` each, then with 4,000 further sockets on
//! the host. Floor: the same pass of the same run without the reaper; what is added is told in a
//! row of its own. Each begins a minute after the last process did: younger ones are read in every
//! pass.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;
mod stage;

use std::cell::RefCell;
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use clawarden::config::Config;
use clawarden::model::{Mode, Status};
use clawarden::pass::Passes;
use measure::{Budget, Table, in_turns};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stage::State;
use stage::bed::{Bed, shipped};
use stage::processes::{Gateway, Idle};

const PROCESSES: u32 = 3000;
const PAIRS: u8 = 15;
const SOCKETS: usize = 4000;
const ROUNDS: usize = 51;
/// What the reaper may add to a pass, in ms of CPU.
const ADDED: f64 = 2.0;
const YOUNG: Duration = Duration::from_secs(61);

fn main() {
    if Gateway::play() || stage::agents::play() {
        return;
    }
    // `cargo bench` adds `--bench`, `cargo test --benches` runs it without.
    let count = std::env::args().find_map(|argument| argument.parse().ok()).unwrap_or(PROCESSES);
    let root = tempfile::tempdir().unwrap();
    let state_dir = root.path().join("home/.openclaw");
    fs::create_dir_all(&state_dir).unwrap();
    let _idle = Idle::start(count as usize);
    let mut gateway = Gateway::start(&state_dir, root.path().join("tmp"));
    let state = State::empty(state_dir, gateway.port);
    let bed = Bed { root: root.path(), state_dir: &state.dir, proc: Path::new("/proc") };
    let mut table = Table::default();

    sleep(YOUNG);
    compare(&bed, "no agents", 0, &mut table);
    gateway.start_agents(PAIRS);
    sleep(YOUNG);
    compare(&bed, "30 agents", usize::from(PAIRS) * 2, &mut table);
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let _sockets: Vec<_> = (0..SOCKETS / 2).map(|_| UnixStream::pair().unwrap()).collect();
    compare(&bed, "30 agents, 4,000 sockets", usize::from(PAIRS) * 2, &mut table);
    table.print();
}

/// Measures passes with and without the reaper.
fn compare(bed: &Bed, what: &str, agents: usize, table: &mut Table) {
    let without = RefCell::new(bed.acting("without", without_reaper()));
    let with = RefCell::new(bed.acting("with", shipped()));
    let seen = [&without, &with].map(|passes| first(&mut passes.borrow_mut()));
    table.row(&format!("{what}: seen"), "", agents as f64, seen[1] as f64, Budget::Same);
    let pass = |passes: &RefCell<Passes>| drop(passes.borrow_mut().run(&|| false).unwrap());
    let [floor, ours] = in_turns(ROUNDS, &|| {}, [&|| pass(&without), &|| pass(&with)]);
    table.row(&format!("{what}: pass"), "ms CPU", floor, ours, Budget::Any);
    let added = (ours - floor).max(0.0);
    table.row(&format!("{what}: added"), "ms CPU", 0.0, added, Budget::AtMost(ADDED));
}

/// Runs the first pass, and returns how many agents of its gateway it saw.
fn first(passes: &mut Passes) -> usize {
    let report = passes.run(&|| false).unwrap();
    assert_eq!(report.gateway.status, Status::Up);
    let done = report.entries.iter().find(|entry| entry.done.is_some());
    assert!(done.is_none(), "{done:?}");
    report.agents.ours
}

fn without_reaper() -> Config {
    let mut config = shipped();
    let policies = &mut config.policies;
    policies.orphan_process.mode = Mode::Off;
    policies.orphan_process.families.clear();
    policies.leaked_process.mode = Mode::Off;
    policies.runaway_agent.mode = Mode::Off;
    config
}
