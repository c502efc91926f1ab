//! 300 session records of acpx and 100 leases in a database, none of them changed.
//!
//! The floor is one stat for each record; the goal is 0.3 ms.

#![expect(clippy::unwrap_used, reason = "a bench")]

mod measure;

use std::fs;
use std::path::{Path, PathBuf};

use clawarden::model::{Era, UnixMillis};
use clawarden::observe::acp::{LeaseReader, RecordReader, WorkspaceReader};
use clawarden::observe::locate::{Request, locate};
use measure::{Budget, Table, cpu_ms, floor};

const RECORDS: usize = 300;
const LEASES: usize = 100;
/// A session of some turns.
const MESSAGES_BYTES: usize = 20_000;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let records: Vec<_> = (0..RECORDS).map(|n| write_record(dir.path(), n)).collect();
    write_leases(dir.path());
    let env = |_: &str| None;
    let request = Request { state_dir: Some(dir.path().to_owned()), env: &env };
    let install = locate(&request).unwrap();

    let now = UnixMillis(i64::MAX);
    let stat = cpu_ms(21, || floor::stamps(&records));
    let mut readers = Readers::default();
    readers.look(&install, now);
    let unchanged = cpu_ms(21, || readers.look(&install, now));
    let all = cpu_ms(21, || Readers::default().look(&install, now));

    let mut table = Table::default();
    table.row("nothing changed (floor: stat)", "ms CPU", stat, unchanged, Budget::AtMost(0.3));
    table.row("everything anew (floor: stat)", "ms CPU", stat, all, Budget::AtMost(30.0));
    table.print();
}

#[derive(Default)]
struct Readers {
    workspaces: WorkspaceReader,
    records: RecordReader,
    leases: LeaseReader,
}

impl Readers {
    fn look(&mut self, install: &clawarden::observe::locate::Install, now: UnixMillis) {
        let workspaces = self.workspaces.look(install, now);
        let records = self.records.read(&workspaces.record_folders, now);
        let (leases, gaps) = self.leases.read(&install.state_dir, &Era::Hybrid, now);
        assert_eq!((records.records.len(), leases.iter().count()), (RECORDS, LEASES));
        assert_eq!((workspaces.gaps.len(), records.gaps.len(), gaps.len()), (0, 0, 0));
    }
}

fn write_record(root: &Path, n: usize) -> PathBuf {
    let folder = root.join("workspace/state/sessions");
    fs::create_dir_all(&folder).unwrap();
    let name = format!("agent:claude:acp:a6238e66-5172-4d81-95af-{n:012}");
    let path = folder.join(format!("{}.json", name.replace(':', "%3A")));
    let messages = "x".repeat(MESSAGES_BYTES);
    let json = format!(
        r#"{{"schema":"acpx.session.v1","acpx_record_id":"{name}","acp_session_id":"s",
            "agent_command":"npx -y @agentclientprotocol/claude-agent-acp@^0.25.0","cwd":"/w",
            "name":"{name}","pid":{n},"agent_started_at":"2026-11-20T07:34:33.161Z",
            "closed":true,"messages":["{messages}"]}}"#
    );
    fs::write(&path, json).unwrap();
    path
}

fn write_leases(root: &Path) {
    fs::create_dir_all(root.join("state")).unwrap();
    let db = rusqlite::Connection::open(root.join("state/openclaw.sqlite")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode=WAL; CREATE TABLE plugin_state_entries
           (plugin_id, namespace, entry_key, value_json, created_at, expires_at);",
    )
    .unwrap();
    let insert = "INSERT INTO plugin_state_entries
        VALUES ('acpx', 'process-leases', ?1, '{\"rootPid\":7,\"state\":\"open\"}', 0, NULL)";
    for n in 0..LEASES {
        db.execute(insert, [n.to_string()]).unwrap();
    }
}
