//! An orphan beyond doubt, for tests to take one thing at a time away from.

use std::time::Duration;

use crate::model::sample::{GATEWAY, ago, snapshot};
use crate::model::{
    AcpxRecord, Agent, Bond, Cpu, End, EndKind, FileStamp, Kind, Member, Ownership, Part, Peer,
    Place, ProcessId, RecordMode, Seen, SessionKey, Sign, Snapshot, Stdio, UnixMillis,
};

pub(super) const ROOT: ProcessId = ProcessId { pid: 500, start_ticks: 5_000 };
pub(super) const CHILD: ProcessId = ProcessId { pid: 501, start_ticks: 5_010 };

pub(super) fn end(peer: Peer) -> End {
    End { what: EndKind::Socket { inode: 77 }, peer }
}

pub(super) fn member(id: ProcessId, parent: i32) -> Member {
    Member {
        id,
        parent,
        what: "claude adapter".to_owned(),
        guards: Vec::new(),
        resident: Some(100 << 20),
    }
}

pub(super) fn owned(signs: &[Sign]) -> Ownership {
    Ownership::new(signs.iter().map(|sign| (*sign, Seen::Present(String::new()))))
}

/// An adapter and its agent, an hour old, started by a gateway that is gone.
pub(in crate::policy) fn orphan() -> Agent {
    Agent {
        id: ROOT,
        kind: Some(Kind { family: "claude".to_owned(), part: Part::Adapter }),
        started_at: ago(3_600),
        command: "node /x/claude-agent-acp/dist/index.js".to_owned(),
        cwd: Some("/s/workspace".into()),
        session_key: None,
        ownership: owned(&[Sign::Ledger]),
        place: Place::Ours,
        mark: Seen::Present(String::new()),
        stdio: Stdio { input: end(Peer::Dead), output: end(Peer::Dead) },
        bond: Bond::Loose { parent: 1, name: "init".to_owned() },
        top: None,
        tree: vec![member(ROOT, 1), member(CHILD, ROOT.pid)],
        record: None,
        cpu: Cpu { total: Duration::from_secs(3), recent: None },
    }
}

/// The same pair with its gateway alive, and its session closed an hour ago.
pub(super) fn leak() -> Agent {
    let bond = Bond::Attached { to: GATEWAY, role: "gateway", is_ours: true };
    Agent {
        stdio: Stdio { input: end(Peer::Alive), output: end(Peer::Alive) },
        bond,
        record: Some(record(RecordMode::Persistent, Some(ago(3_600)))),
        ..orphan()
    }
}

pub(super) fn record(mode: RecordMode, closed_at: Option<UnixMillis>) -> AcpxRecord {
    AcpxRecord {
        path: "/s/workspace/state/sessions/a.json".into(),
        stamp: FileStamp { dev: 1, ino: 2, bytes: 3, mtime_s: 4, mtime_ns: 5 },
        uid: crate::model::sample::EUID,
        folder_uid: crate::model::sample::EUID,
        record_id: "a".to_owned(),
        session_key: SessionKey::from("agent:claude:acp:1"),
        backing_id: None,
        mode,
        command: "node /x/claude-agent-acp/dist/index.js".to_owned(),
        cwd: "/s/workspace".into(),
        pid: Some(ROOT.pid),
        agent_started_at: Some(ago(3_600)),
        is_closed: closed_at.is_some(),
        closed_at,
    }
}

pub(super) fn world(agent: Agent) -> Snapshot {
    Snapshot { agents: vec![agent], ..snapshot() }
}
