//! Trees of agents in captured process tables, one trait changed at a time.

mod children;
#[cfg(target_os = "linux")]
mod live;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::model::{
    AcpxRecord, Argument, Bond, BootId, Contact, Descent, FileStamp, Guard, Part, Pattern, Place,
    RecordMode, SessionKey, Sign,
};
use crate::observe::locate::{Request, locate};
use crate::observe::process::captured::Captured;

const GATEWAY: ProcessId = ProcessId { pid: 10, start_ticks: 1_000 };
const ADAPTER: ProcessId = ProcessId { pid: 20, start_ticks: 2_000 };
const CLAUDE: ProcessId = ProcessId { pid: 21, start_ticks: 2_010 };
const NOW: UnixMillis = UnixMillis(Captured::BOOTED_AT.0 + 3_600_000);
const SCRIPT: &[u8] = b"node\0/x/node_modules/.bin/claude-agent-acp";
const STATUS: &str = "Uid:\t1000\t1000\t1000\t1000\nNSpid:\t1\nTracerPid:\t0\nVmRSS:\t  1024 kB\n";

/// A state directory, and beside it a table with one orphaned pair under a live gateway.
struct Stage {
    home: TempDir,
    captured: Captured,
    ledger: Ledger,
    records: Vec<Arc<AcpxRecord>>,
    families: Vec<Family>,
    leases: Leases,
}

impl Stage {
    fn new() -> Stage {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join(".openclaw/workspace")).unwrap();
        let captured = Captured::new();
        captured.file("sockets", b"7 dead\n8 dead\n9 alive\n");
        captured.link("self/ns/pid", "pid:[1]");
        let stage = Stage {
            home,
            captured,
            ledger: Ledger::default(),
            records: Vec::new(),
            families: families(),
            leases: Leases::default(),
        };
        stage.process(1, 0, 1, "init", b"init", STATUS);
        stage.process(10, 1, 1_000, "node", b"openclaw-gateway", STATUS);
        stage.process(20, 1, 2_000, "node", SCRIPT, STATUS);
        stage.process(21, 20, 2_010, "node", b"claude", STATUS);
        stage.captured.link("20/fd/0", "socket:[7]").link("20/fd/1", "socket:[8]");
        stage.captured.link("21/fd/0", "socket:[9]").link("21/fd/1", "socket:[9]");
        let home = stage.home.path().display();
        stage.environ(20, &format!("HOME={home}\0OPENCLAW_CLI=1\0"));
        stage.environ(21, &format!("HOME={home}\0OPENCLAW_CLI=1\0CLAUDE_CODE_ENTRYPOINT=sdk-ts\0"));
        stage
    }

    /// Adds or replaces a process, of its own group and session.
    fn process(&self, pid: i32, parent: i32, ticks: u64, exe: &str, cmdline: &[u8], status: &str) {
        let _ = fs::remove_dir_all(self.captured.root().join(pid.to_string()));
        self.captured
            .process(pid, parent, ticks, cmdline)
            .file(
                &format!("{pid}/status"),
                status.replace("NSpid:\t1", &format!("NSpid:\t{pid}")).as_bytes(),
            )
            .file(&format!("{pid}/cgroup"), b"0::/session.scope\n")
            .file(&format!("{pid}/environ"), b"")
            .link(&format!("{pid}/exe"), &format!("/usr/bin/{exe}"))
            .link(&format!("{pid}/cwd"), "/")
            .link(&format!("{pid}/ns/pid"), "pid:[1]");
    }

    /// Takes the session of its own from a process.
    fn within_session(&self, pid: i32, parent: i32, ticks: u64) {
        let rest = "20 20 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0";
        let stat = format!("{pid} (x) S {parent} {rest} {ticks} 1 1\n");
        self.captured.file(&format!("{pid}/stat"), stat.as_bytes());
    }

    fn environ(&self, pid: i32, environ: &str) {
        self.captured.file(&format!("{pid}/environ"), environ.as_bytes());
    }

    fn looked(&self) -> Vec<Agent> {
        let (found, gaps) = self.with_scene(NOW, |scene| self.agents().look(scene));
        assert_eq!(gaps, []);
        found
    }

    fn agents(&self) -> Agents {
        let mut agents = Agents::default();
        agents.set_families(self.families.clone());
        agents
    }

    fn with_scene<T>(&self, now: UnixMillis, look: impl FnOnce(&Scene<'_>) -> T) -> T {
        let home = self.home.path().to_owned();
        let env = move |name: &str| (name == "HOME").then(|| home.display().to_string());
        let install = locate(&Request { state_dir: None, env: &env }).unwrap();
        let host = Host {
            boot_id: BootId("b".to_owned()),
            booted_at: Captured::BOOTED_AT,
            slept: None,
            euid: 1000,
        };
        let table = self.captured.table();
        let inside = vec![install.state_dir.join("workspace")];
        let workspaces = Workspaces { inside, ..Workspaces::default() };
        let scene = Scene {
            install: &install,
            table: &table,
            host: &host,
            now,
            gateway: Some(GATEWAY),
            ledger: &self.ledger,
            leases: &self.leases,
            records: &self.records,
            workspaces: &workspaces,
            held: &[],
        };
        look(&scene)
    }

    #[track_caller]
    fn adapter(&self) -> Agent {
        let found = self.looked().into_iter().find(|agent| agent.id == ADAPTER);
        found.expect("the adapter is found")
    }

    #[track_caller]
    fn guards(&self, place: usize) -> Vec<Guard> {
        self.adapter().tree[place].guards.clone()
    }
}

fn families() -> Vec<Family> {
    let pattern = |part, argument: (usize, &str)| Pattern {
        part,
        exe: vec!["node".to_owned()],
        argument: Some(Argument { position: argument.0, ends_with: argument.1.to_owned() }),
        mark: None,
    };
    let patterns = vec![
        pattern(Part::Adapter, (1, ".bin/claude-agent-acp")),
        pattern(Part::Agent, (0, "claude")),
    ];
    vec![Family { name: "claude".to_owned(), patterns }]
}

fn seen_below(gateway: ProcessId, parent: ProcessId) -> Descent {
    Descent { gateway, parent, argv_hash: 0, session_key: None, first_seen: NOW }
}

#[test]
fn an_orphaned_pair_is_one_tree_without_guards() {
    let stage = Stage::new();
    let found = stage.looked();
    assert_eq!(found.iter().map(|agent| agent.id).collect::<Vec<_>>(), [ADAPTER, CLAUDE]);
    let [adapter, claude] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(adapter.tree.iter().map(|member| member.id).collect::<Vec<_>>(), [ADAPTER, CLAUDE]);
    assert!(adapter.tree.iter().all(|member| member.guards.is_empty()), "{:?}", adapter.tree);
    assert_eq!((adapter.top, claude.top), (None, Some(ADAPTER)));
    assert_eq!(adapter.stdio.contact(), Contact::Lost);
    assert_eq!(adapter.place, Place::Ours);
    assert_eq!(adapter.bond, Bond::Loose { parent: 1, name: "init".to_owned() });
    assert!(adapter.ownership.has(Sign::Environment) && !adapter.ownership.is_proven());
    assert_eq!(adapter.resident(), 2 << 20);
}

#[test]
fn only_the_executable_and_the_place_of_an_argument_make_an_agent() {
    let stage = Stage::new();
    let is_found = |exe: &str, cmdline: &[u8]| {
        stage.process(20, 1, 2_000, exe, cmdline, STATUS);
        stage.looked().iter().any(|agent| agent.id == ADAPTER)
    };
    assert!(is_found("node", SCRIPT));
    assert!(!is_found("tail", b"tail\0/x/node_modules/.bin/claude-agent-acp"));
    assert!(!is_found("sleep", SCRIPT));
    assert!(!is_found("node", b"node\0-e\0/x/node_modules/.bin/claude-agent-acp"));
    assert!(!is_found("node", b"node\0/x/node_modules/.bin/claude-agent-acp.md"));
    assert!(is_found("node", b"claude"));
    assert!(!is_found("node", b"claude\0--help"));
}

#[test]
fn every_member_is_guarded_by_what_it_is() {
    let check = |change: &dyn Fn(&Stage), want: Guard| {
        let stage = Stage::new();
        change(&stage);
        assert_eq!(stage.guards(1), [want]);
    };
    let claude = |stage: &Stage, from: &str, to: &str| {
        let status = STATUS.replace(from, to);
        stage.process(21, 20, 2_010, "node", b"claude", &status);
    };
    check(&|stage| claude(stage, "TracerPid:\t0", "TracerPid:\t77"), Guard::Traced(77));
    check(&|stage| claude(stage, "1000\t1000", "1000\t7"), Guard::OtherUser(7));
    let nested = "NSpid:\t21\t5";
    check(&|stage| claude(stage, "NSpid:\t1", nested), Guard::OtherNamespace);
    let state = |stage: &Stage, state| {
        stage.captured.state(21, state, 20, 2_010);
    };
    check(&|stage| state(stage, 'T'), Guard::Stopped);
    check(&|stage| state(stage, 'D'), Guard::Uninterruptible);
    let terminal = b"21 (x) S 20 21 21 34816 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 2010 1 1\n";
    let has_terminal = |stage: &Stage| {
        stage.captured.file("21/stat", terminal);
    };
    check(&has_terminal, Guard::Terminal);
    let service = b"node\0/x/.bin/acpx\0__queue-owner";
    let becomes = |stage: &Stage, cmdline: &[u8]| {
        stage.process(21, 20, 2_010, "node", cmdline, STATUS);
        stage.within_session(21, 20, 2_010);
    };
    check(&|stage| becomes(stage, service), Guard::Service("acpx queue owner"));
    check(&|stage| becomes(stage, b"openclaw-gateway"), Guard::OpenClaw);
}

#[test]
fn what_cannot_be_read_guards() {
    let stage = Stage::new();
    stage.process(21, 20, 2_010, "node", b"claude", "");
    assert!(matches!(stage.guards(1)[..], [Guard::Unreadable(_)]), "{:?}", stage.guards(1));

    let stage = Stage::new();
    stage.captured.without_file("20/environ");
    assert!(matches!(stage.guards(0)[..], [Guard::Unreadable(_)]), "{:?}", stage.guards(0));
    assert!(matches!(stage.adapter().place, Place::Unknown(_)));

    let stage = Stage::new();
    stage.captured.without_file("21/ns/pid");
    assert_eq!(stage.guards(1), [Guard::OtherNamespace]);
}

#[test]
fn a_tool_that_runs_guards_and_other_shells_do_not() {
    let stage = Stage::new();
    stage.process(22, 21, 2_020, "bash", b"/bin/bash\0-c\0sleep 600", STATUS);
    assert_eq!(stage.guards(2), [Guard::ToolShell], "it leads a session");
    let launcher = b"22 (sh) S 21 20 20 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 2020 1 1\n";
    stage.captured.file("22/stat", launcher);
    assert_eq!(stage.guards(2), []);
}

#[test]
fn a_tool_that_took_the_place_of_its_shell_guards_and_a_server_does_not() {
    let stage = Stage::new();
    stage.process(22, 21, 2_020, "python3", b"python3\0train.py", STATUS);
    assert_eq!(stage.guards(2), [Guard::ToolShell], "it leads a session");
    stage.process(23, 22, 2_030, "chrome", b"chrome", STATUS);
    assert_eq!(stage.guards(3), [], "an agent did not start it");
    stage.within_session(22, 21, 2_020);
    assert_eq!(stage.guards(2), []);
}

#[test]
fn who_is_above_is_told_by_what_it_is_and_by_the_ledger() {
    let stage = Stage::new();
    stage.process(20, 10, 2_000, "node", SCRIPT, STATUS);
    let attached = Bond::Attached { to: GATEWAY, role: "gateway", is_ours: true };
    assert_eq!(stage.adapter().bond, attached);

    let (owner, shell) = (5, 6);
    stage.process(owner, 1, 500, "node", b"node\0/x/.bin/acpx\0__queue-owner", STATUS);
    stage.process(20, owner, 2_000, "node", SCRIPT, STATUS);
    let Bond::Attached { role, is_ours, .. } = stage.adapter().bond else { panic!("not attached") };
    assert_eq!((role, is_ours), ("acpx queue owner", false));

    stage.process(owner, 1, 500, "node", b"openclaw", STATUS);
    let Bond::Attached { role, is_ours, .. } = stage.adapter().bond else { panic!("not attached") };
    assert_eq!((role, is_ours), ("OpenClaw process", false));

    let mut stage = stage;
    stage.process(shell, 1, 600, "bash", b"bash", STATUS);
    stage.process(20, shell, 2_000, "node", SCRIPT, STATUS);
    let by = ProcessId { pid: shell, start_ticks: 600 };
    assert_eq!(stage.adapter().bond, Bond::Parented { by }, "it may wait for its end");
    stage.ledger.see(ADAPTER, seen_below(GATEWAY, by));
    assert_eq!(stage.adapter().bond, Bond::Parented { by });
    stage.process(20, 99, 2_000, "node", SCRIPT, STATUS);
    assert!(matches!(stage.adapter().bond, Bond::Unknown(_)), "its parent is hidden");
}

#[test]
fn a_parent_that_takes_in_orphans_is_told_by_its_program_or_its_age() {
    let stage = Stage::new();
    let bond = |exe: &str, ticks| {
        stage.process(6, 1, ticks, exe, exe.as_bytes(), STATUS);
        stage.process(20, 6, 2_000, "node", SCRIPT, STATUS);
        stage.adapter().bond
    };
    let loose = |name: &str| Bond::Loose { parent: 6, name: name.to_owned() };
    assert_eq!(bond("systemd", 600), loose("systemd"));
    assert_eq!(bond("tini", 600), loose("tini"));
    assert_eq!(bond("zed", 2_001), loose("zed"), "it began after its child");
    let by = ProcessId { pid: 6, start_ticks: 2_000 };
    assert_eq!(bond("zed", 2_000), Bond::Parented { by });
}

#[test]
fn a_launcher_that_hands_down_its_own_ends_is_no_owner() {
    let mut stage = Stage::new();
    stage.process(18, 1, 1_800, "node", b"npm exec claude-agent-acp", STATUS);
    stage.process(19, 18, 1_900, "dash", b"sh\0-c\0claude-agent-acp", STATUS);
    stage.process(20, 19, 2_000, "node", SCRIPT, STATUS);
    let home = stage.home.path().display().to_string();
    stage.environ(20, &format!("HOME={home}\0OPENCLAW_CLI=1\0"));
    stage.captured.link("20/fd/0", "socket:[7]").link("20/fd/1", "socket:[8]");
    let by = ProcessId { pid: 19, start_ticks: 1_900 };
    stage.ledger.see(ADAPTER, seen_below(GATEWAY, by));
    assert_eq!(stage.adapter().bond, Bond::Parented { by }, "it may have the other ends");
    for launcher in [18, 19] {
        stage.captured.link(&format!("{launcher}/fd/0"), "socket:[7]");
        stage.captured.link(&format!("{launcher}/fd/1"), "socket:[8]");
    }
    assert_eq!(stage.adapter().bond, Bond::Loose { parent: 1, name: "init".to_owned() });
}

#[test]
fn a_gateway_that_is_pid_1_takes_in_orphans() {
    let mut stage = Stage::new();
    stage.process(1, 0, 1, "node", b"openclaw-gateway", STATUS);
    assert!(matches!(stage.adapter().bond, Bond::Attached { .. }), "it may have started it");
    let npm = ProcessId { pid: 19, start_ticks: 1_990 };
    stage.ledger.see(ADAPTER, seen_below(GATEWAY, npm));
    assert!(matches!(stage.adapter().bond, Bond::Loose { parent: 1, .. }));
}

#[test]
fn the_ledger_owns_and_another_life_under_the_pid_is_not_in_it() {
    let mut stage = Stage::new();
    stage.ledger.see(ADAPTER, seen_below(GATEWAY, GATEWAY));
    assert!(stage.adapter().ownership.has(Sign::Ledger));
    stage.process(20, 1, 2_001, "node", SCRIPT, STATUS);
    let found = stage.looked();
    assert!(found.iter().all(|agent| !agent.ownership.has(Sign::Ledger)));
}

#[test]
fn a_child_older_than_its_parent_is_none_of_its_tree() {
    let stage = Stage::new();
    stage.process(22, 20, 1_999, "cat", b"cat", STATUS);
    let tree: Vec<_> = stage.adapter().tree.iter().map(|member| member.id.pid).collect();
    assert_eq!(tree, [20, 21]);
}

#[test]
fn what_a_gateway_left_behind_is_seen_though_it_is_no_agent() {
    let mut stage = Stage::new();
    stage.process(30, 1, 3_000, "python3", b"python3\0server.py", STATUS);
    stage.captured.link("30/fd/0", "socket:[7]").link("30/fd/1", "socket:[8]");
    let server = ProcessId { pid: 30, start_ticks: 3_000 };
    assert!(stage.looked().iter().all(|agent| agent.id != server), "nobody saw it start");
    stage.ledger.see(server, seen_below(GATEWAY, CLAUDE));
    let found = stage.looked();
    let left = found.iter().find(|agent| agent.id == server).expect("it is found");
    assert_eq!((left.kind.clone(), left.stdio.contact()), (None, Contact::Lost));
    stage.ledger.see(CLAUDE, seen_below(GATEWAY, ADAPTER));
    stage.process(30, 21, 3_000, "python3", b"python3\0server.py", STATUS);
    assert!(stage.looked().iter().all(|agent| agent.id != server), "its agent has it");
}

#[test]
fn the_record_of_a_launcher_is_that_of_its_agent_and_an_open_one_goes_first() {
    let mut stage = Stage::new();
    stage.process(19, 10, 1_990, "node", b"npm exec claude-agent-acp", STATUS);
    stage.process(20, 19, 2_000, "node", SCRIPT, STATUS);
    let started_at = stage.captured.table().started_at(ProcessId { pid: 19, start_ticks: 1_990 });
    let record = |id: &str, is_closed| {
        Arc::new(AcpxRecord {
            path: Path::new("/s").join(id),
            stamp: FileStamp { dev: 1, ino: 1, bytes: 1, mtime_s: 1, mtime_ns: 1 },
            uid: 1000,
            folder_uid: 1000,
            record_id: id.to_owned(),
            session_key: SessionKey::from(id),
            backing_id: None,
            mode: RecordMode::Persistent,
            command: "npx -y claude-agent-acp".to_owned(),
            cwd: "/".into(),
            pid: Some(19),
            agent_started_at: Some(started_at),
            is_closed,
            closed_at: None,
        })
    };
    stage.records = vec![record("closed", true), record("open", false)];
    let agent = stage.adapter();
    assert_eq!(agent.record.map(|record| record.record_id), Some("open".to_owned()));
    assert_eq!(agent.session_key, Some(SessionKey::from("open")));
}
