//! What it costs to keep the ledger: on a host of 3,000 processes, some of them below a gateway.
//! The floor of storing it is a transaction of one row.

#![expect(clippy::unwrap_used, reason = "a bench that cannot run has nothing to say")]

mod measure;

use std::fs;
use std::path::Path;

use clawarden::journal::{Instance, Journal};
use clawarden::model::{BootId, Descent, Ledger, ProcessId, UnixMillis};
use clawarden::observe::ledger::{Look, renew};
use clawarden::observe::process::Table;
use measure::{Budget, cpu_ms, wall_ms};

const HOST: i32 = 3000;
const GATEWAY: ProcessId = ProcessId { pid: 1000, start_ticks: 4242 };
const NOW: UnixMillis = UnixMillis(1_795_159_292_734);

fn main() {
    let mut report = measure::Table::default();
    for below in [0, 300, HOST - 1] {
        looks(below, &mut report);
    }
    saves(&mut report);
    report.print();
}

fn looks(below: i32, report: &mut measure::Table) {
    let root = tempfile::tempdir().unwrap();
    capture(root.path(), GATEWAY.pid, 1, b"openclaw-gateway");
    for number in 1..HOST {
        let is_below = number <= below;
        let parent = if is_below { GATEWAY.pid + number / 4 } else { 1 };
        capture(root.path(), GATEWAY.pid + number, parent, b"node\0/x/claude-agent-acp\0");
    }
    let mut table = Table::new(root.path());
    table.refresh(NOW).unwrap();
    let boot = BootId("b".to_owned());
    let look =
        Look { table: &table, is_fresh: true, gateway: Some(GATEWAY), boot: &boot, now: NOW };
    let new = cpu_ms(51, || renew(&mut Ledger::default(), &look));
    let mut ledger = Ledger::default();
    renew(&mut ledger, &look);
    assert_eq!(ledger.descents.len(), usize::try_from(below).unwrap());
    let known = cpu_ms(201, || renew(&mut ledger, &look));
    let what = |what| format!("{below} of {HOST} processes below the gateway: {what}");
    report.row(&what("all new"), "ms CPU", 0.0, new, Budget::Any);
    report.row(&what("all known"), "ms CPU", 0.0, known, Budget::AtMost(1.0));
}

fn capture(root: &Path, pid: i32, parent: i32, cmdline: &[u8]) {
    let folder = root.join(pid.to_string());
    fs::create_dir(&folder).unwrap();
    let stat =
        format!("{pid} (x) S {parent} {pid} {pid} 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 4242 1 1\n");
    fs::write(folder.join("stat"), stat).unwrap();
    fs::write(folder.join("cmdline"), cmdline).unwrap();
}

/// On the filesystem of this folder: that of temporary files may be memory.
fn saves(report: &mut measure::Table) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let instance = Instance::take(folder.path()).unwrap();
    let mut journal = Journal::open(&instance, NOW).unwrap().journal;
    let one = wall_ms(51, || journal.pause(NOW, "").unwrap());
    let (empty, large) = (ledger(0), ledger(500));
    let mut new = Vec::new();
    for _ in 0..21 {
        journal.save_ledger(&empty).unwrap();
        new.push(wall_ms(1, || journal.save_ledger(&large).unwrap()));
    }
    new.sort_by(f64::total_cmp);
    let same = cpu_ms(201, || journal.save_ledger(&large).unwrap());
    let load = cpu_ms(51, || journal.load_ledger(large.boot.as_ref().unwrap()).unwrap());
    report.row("500 new stored (floor: one row)", "ms", one, new[10], Budget::AtMost(20.0));
    report.row("500 unchanged stored", "ms CPU", 0.0, same, Budget::AtMost(0.1));
    report.row("500 loaded", "ms CPU", 0.0, load, Budget::Any);
}

fn ledger(descents: i32) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.enter(&BootId("9f5ba463-1c6c-4a3d-a8a5-9d3f6a1ef0c2".to_owned()));
    ledger.see_gateway(GATEWAY, NOW);
    for pid in 1..=descents {
        let descent = Descent {
            gateway: GATEWAY,
            parent: GATEWAY,
            argv_hash: u64::MAX / 3,
            session_key: Some("agent:claude:acp:11111111-2222-3333-4444-555555555555".into()),
            first_seen: NOW,
        };
        ledger.see(ProcessId { pid: 5000 + pid, start_ticks: 4242 }, descent);
    }
    ledger
}
