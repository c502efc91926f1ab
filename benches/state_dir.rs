//! 200 agents with 500 session files each, and 2,000 locks.
//!
//! The floors are the stat of 200 folders, and a listing of all of them by hand with a read of
//! every lock; the goals are 2 ms when nothing has changed, and 1.3 times the second floor when
//! every folder has.

#![expect(clippy::unwrap_used, reason = "a bench")]

mod measure;
mod stage;

use std::path::Path;

use clawarden::model::{ProcessId, Sighting, UnixMillis};
use clawarden::observe::files::{AgentPath, LockCache};
use measure::{Budget, Table, cpu_ms, floor};
use stage::{AGENTS, LOCKS};

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let folders: Vec<_> = (0..AGENTS).map(|agent| write(dir.path(), agent)).collect();
    let paths: Vec<_> = folders.iter().map(|at| at.path.clone()).collect();

    let stat = cpu_ms(21, || floor::stamps(&paths));
    let full = cpu_ms(21, || floor::read_locks(&paths));
    let now = UnixMillis(i64::MAX);
    let mut cache = LockCache::default();
    let mut look = |now| {
        let read = cache.read_all(dir.path(), &folders, now, &sight);
        assert_eq!((read.locks.len(), read.gaps.len()), (AGENTS * LOCKS, 0));
    };
    look(now);
    let unchanged = cpu_ms(21, || look(now));
    // A folder that was young when it was listed is listed again.
    let changed = cpu_ms(21, || look(UnixMillis(0)));

    let mut table = Table::default();
    table.row("nothing changed (floor: stat)", "ms CPU", stat, unchanged, Budget::AtMost(2.0));
    table.row("every folder changed", "ms CPU", full, changed, Budget::Times(1.3));
    table.print();
}

fn sight(pid: i32) -> Sighting {
    let id = ProcessId { pid, start_ticks: 7 };
    Sighting::Present { id, started_at: UnixMillis(0), is_openclaw: true }
}

/// Writes the sessions folder of one agent.
fn write(root: &Path, agent: usize) -> AgentPath {
    let path = root.join(format!("agents/agent-{agent:03}/sessions"));
    stage::agent(&path, (29_000 + agent as u32, 115_195));
    AgentPath { path, agent: format!("agent-{agent:03}").as_str().into() }
}
