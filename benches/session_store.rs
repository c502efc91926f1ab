//! A session store of 10,000 entries and 15 MB, and one ten times as large.
//!
//! The floor is serde_json with a minimal typed visitor over the same bytes, read in the same
//! way; the goal is at most 1.3 times that, and at most 4 MiB of memory beside the buffer.

#![expect(clippy::unwrap_used, reason = "a bench")]

mod measure;
mod stage;

use std::path::Path;

use clawarden::model::UnixMillis;
use clawarden::observe::files::{AgentPath, Keep, StoreCache, read_store};
use measure::{Budget, Table, cpu_ms, floor, peak_mib};

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let large = write(dir.path(), "large.json", 10 * stage::ROWS);
    let usual = write(dir.path(), "sessions.json", stage::ROWS);
    let mut table = Table::default();

    // The peak only grows, so the frugal way is measured first.
    let before = peak_mib();
    let read = read_store(dir.path(), &large, &Keep::Running).unwrap().unwrap();
    grown(&mut table, "150 MB, peak memory", before, 4.0);
    assert_eq!((read.total, read.lanes.len()), (100_000, 100));
    let before = peak_mib();
    let read = read_store(dir.path(), &usual, &Keep::Running).unwrap().unwrap();
    grown(&mut table, "15 MB, peak memory", before, size(&usual) + 4.0);
    assert_eq!((read.total, read.lanes.len()), (10_000, 10));

    let floor = cpu_ms(15, || floor::store(&usual.path));
    let ours = cpu_ms(15, || read_store(dir.path(), &usual, &Keep::Running).unwrap());
    table.row("15 MB (floor: streamed)", "ms CPU", floor, ours, Budget::Times(1.3));
    let stores = [usual.clone()];
    let now = UnixMillis(i64::MAX);
    let ours = cpu_ms(15, || {
        let mut cache = StoreCache::default();
        cache.seek_acp(true);
        cache.read_all(dir.path(), &stores, &Keep::Running, now)
    });
    table.row("15 MB, with ACP sessions", "ms CPU", floor, ours, Budget::Times(1.3));
    let mut cache = StoreCache::default();
    cache.read_all(dir.path(), &stores, &Keep::Running, now);
    let ours = cpu_ms(15, || cache.read_all(dir.path(), &stores, &Keep::Running, now));
    let stat = cpu_ms(15, || floor::stamps(std::slice::from_ref(&usual.path)));
    table.row("15 MB, unchanged (floor: stat)", "ms CPU", stat, ours, Budget::Any);

    let floor = cpu_ms(3, || floor::store_streamed(&large.path));
    let ours = cpu_ms(3, || read_store(dir.path(), &large, &Keep::Running).unwrap());
    table.row("150 MB (floor: streamed)", "ms CPU", floor, ours, Budget::Times(1.3));
    table.print();
}

fn grown(table: &mut Table, what: &str, before: Option<f64>, most: f64) {
    if let (Some(before), Some(after)) = (before, peak_mib()) {
        table.row(what, "MiB", 0.0, after - before, Budget::AtMost(most));
    }
}

/// MiB.
fn size(at: &AgentPath) -> f64 {
    at.path.metadata().unwrap().len() as f64 / 1024.0 / 1024.0
}

fn write(dir: &Path, name: &str, rows: usize) -> AgentPath {
    let path = dir.join(name);
    stage::store(&path, rows, rows / 1000);
    AgentPath { path, agent: "main".into() }
}
