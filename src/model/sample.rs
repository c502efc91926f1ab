//! A healthy world for tests to break: a gateway that has been up for a day, nothing wrong.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::*;

pub(crate) const NOW: UnixMillis = UnixMillis(1_795_200_000_000);
pub(crate) const GATEWAY: ProcessId = ProcessId { pid: 4711, start_ticks: 100_000 };
pub(crate) const EUID: u32 = 1000;
pub(crate) const GRACE: Duration = Duration::from_secs(360);

pub(crate) fn ago(seconds: u64) -> UnixMillis {
    NOW.minus(Duration::from_secs(seconds))
}

pub(crate) fn host() -> Host {
    Host {
        boot_id: BootId("b".to_owned()),
        booted_at: ago(100_000),
        slept: Some(Duration::ZERO),
        euid: EUID,
    }
}

/// A host that has been watched, with a steady clock, since before the gateway started.
pub(crate) fn history() -> History {
    let host = host();
    let record = HostRecord {
        boot_id: host.boot_id,
        booted_at: host.booted_at,
        slept: host.slept,
        steady_since: ago(99_999),
        resumed_at: None,
        stepped_at: None,
    };
    History { host: Some(record), ..History::default() }
}

pub(crate) fn snapshot() -> Snapshot {
    let process = GatewayProcess {
        id: GATEWAY,
        started_at: ago(86_400),
        locked_at: Some(ago(86_398)),
        shares_pid_namespace: true,
    };
    let gateway = Gateway {
        state_dir: "/s".into(),
        era: Era::Files,
        version: Some(Version::new(2026, 4, 15)),
        status: Status::Up,
        why: String::new(),
        process: Some(process),
        port: Some(18789),
        configured: Configured::default(),
    };
    Snapshot {
        taken_at: NOW,
        host: host(),
        gateway,
        lanes: Vec::new(),
        lanes_total: 0,
        locks: Vec::new(),
        gateway_children: Vec::new(),
        other_runners: Vec::new(),
        maintenance: None,
        open_subagents: BTreeSet::new(),
        task_lanes: Some(BTreeSet::new()),
        agents: Vec::new(),
        rpc: Rpc::NotAsked("a test".to_owned()),
        children: Vec::new(),
        ended_tools: Vec::new(),
        vitals: Vitals::default(),
        log: Vec::new(),
        acp: None,
        records: None,
        tasks: None,
        task_children: Vec::new(),
        subagents: None,
        gaps: Vec::new(),
    }
}

pub(crate) fn lane(key: &str, started_s_ago: u64) -> Lane {
    let facts = StoreFacts {
        bytes: 1_000,
        modified_at: ago(3_600),
        uid: EUID,
        folder_uid: EUID,
        is_symlink: false,
    };
    let path = "/s/agents/main/sessions/sessions.json".into();
    Lane {
        key: key.into(),
        store: Arc::new(Store { path, agent: "main".into(), facts }),
        row: Row {
            session_id: Some("s1".into()),
            status: LaneStatus::Running,
            started_at: Field::Value(ago(started_s_ago)),
            updated_at: Field::Value(NOW),
            ..Row::default()
        },
        transcript: Transcript::Present { bytes: 10, modified_at: ago(started_s_ago) },
        trajectory: Transcript::Missing,
    }
}

pub(crate) fn lock(name: &str, seen: Sighting, age_s: u64) -> Lock {
    let claim = Claim { pid: 7, created_at: ago(age_s), start_ticks: Some(99), max_hold_ms: None };
    Lock {
        path: format!("/s/agents/main/sessions/{name}").into(),
        agent: "main".into(),
        stamp: LockStamp { dev: 1, ino: 2, bytes: Vec::new() },
        modified_at: ago(age_s),
        uid: EUID,
        folder_uid: EUID,
        payload: Payload::Claim(claim, seen),
    }
}

pub(crate) fn gap(source: Source, path: &str) -> Gap {
    Gap { source, path: path.into(), reason: "permission denied".to_owned() }
}
