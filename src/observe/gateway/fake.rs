//! A process table made of literals, for tests.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::claim::Claim;
use super::processes::Processes;
use crate::model::{ProcessId, Sighting, UnixMillis};
use crate::observe::locate::{GatewayConfig, Install};
use crate::observe::process::Process;

/// When every fake process began.
pub(super) const STARTED: UnixMillis = UnixMillis(1_000_000);

type Environ = Vec<(Vec<u8>, Vec<u8>)>;

/// Processes with start ticks `pid * 10` that share our namespaces.
#[derive(Clone, Default)]
pub(super) struct FakeTable {
    captured: bool,
    processes: BTreeMap<i32, Process>,
    environs: BTreeMap<i32, Environ>,
    ports: BTreeMap<i32, Vec<u16>>,
    hidden: Vec<i32>,
    elsewhere: Vec<i32>,
    counts_otherwise: bool,
}

impl FakeTable {
    pub(super) fn new() -> FakeTable {
        FakeTable::default()
    }

    pub(super) fn captured(mut self) -> FakeTable {
        self.captured = true;
        self
    }

    pub(super) fn title(self, pid: i32, cmdline: &str) -> FakeTable {
        self.child(pid, 1, cmdline)
    }

    pub(super) fn child(mut self, pid: i32, parent: i32, cmdline: &str) -> FakeTable {
        let cmdline = cmdline.replace(' ', "\0").into_bytes();
        self.processes.insert(pid, process(pid, parent, cmdline));
        self
    }

    pub(super) fn environ(mut self, pid: i32, vars: &[(&str, &str)]) -> FakeTable {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let vars = vars.iter().map(|(key, value)| (bytes(key), bytes(value))).collect();
        self.environs.insert(pid, vars);
        self
    }

    /// A process without a call of this has ports that cannot be told.
    pub(super) fn listens(mut self, pid: i32, ports: &[u16]) -> FakeTable {
        self.ports.insert(pid, ports.to_vec());
        self
    }

    pub(super) fn hidden(mut self, pid: i32) -> FakeTable {
        self.hidden.push(pid);
        self
    }

    pub(super) fn user(mut self, pid: i32, uid: u32) -> FakeTable {
        self.processes.get_mut(&pid).unwrap().uid = uid;
        self
    }

    pub(super) fn elsewhere(mut self, pid: i32) -> FakeTable {
        self.elsewhere.push(pid);
        self
    }

    /// Start ticks here are not those that the gateway writes, as on macOS.
    pub(super) fn counts_otherwise(mut self) -> FakeTable {
        self.counts_otherwise = true;
        self
    }

    /// The lock that the process under `pid` would hold for `config`.
    pub(super) fn claim(&self, pid: i32, config: &str) -> Claim {
        Claim {
            path: Path::new("/tmp/openclaw-0").join(super::claim::lock_name(Path::new(config))),
            pid,
            start_ticks: Some(id(pid).start_ticks),
            created_at: Some(STARTED),
            config_path: config.into(),
            state_dir: None,
            port: None,
            is_gateway: true,
            uid: nix::unistd::geteuid().as_raw(),
        }
    }
}

pub(super) fn id(pid: i32) -> ProcessId {
    ProcessId { pid, start_ticks: u64::from(pid.unsigned_abs()) * 10 }
}

pub(super) fn process(pid: i32, parent: i32, cmdline: Vec<u8>) -> Process {
    let uid = nix::unistd::geteuid().as_raw();
    Process {
        id: id(pid),
        parent,
        group: pid,
        session: pid,
        tty: 0,
        uid,
        state: 'S',
        cmdline,
        program: Vec::new(),
    }
}

/// An install with an empty configuration.
pub(super) fn install(state_dir: &str) -> Install {
    Install {
        state_dir: state_dir.into(),
        given_dir: state_dir.into(),
        config_path: Path::new(state_dir).join("openclaw.json"),
        home: "/nowhere/h".into(),
        profile: None,
        env_port: None,
        config: GatewayConfig::default(),
        gaps: vec![],
    }
}

impl Processes for FakeTable {
    fn is_live(&self) -> bool {
        !self.captured
    }

    fn all(&self) -> Vec<&Process> {
        self.processes.values().collect()
    }

    fn get(&self, pid: i32) -> Option<&Process> {
        self.processes.get(&pid)
    }

    fn sight(&self, pid: i32) -> Sighting {
        if self.hidden.contains(&pid) {
            return Sighting::Hidden;
        }
        let seen = |process: &Process| Sighting::Present {
            id: process.id,
            started_at: STARTED,
            is_openclaw: true,
        };
        self.get(pid).map_or(Sighting::Absent, seen)
    }

    fn started_at(&self, _: ProcessId) -> UnixMillis {
        STARTED
    }

    fn environ(&self, pid: i32) -> io::Result<Environ> {
        self.environs.get(&pid).cloned().ok_or(io::ErrorKind::PermissionDenied.into())
    }

    fn listening_ports(&self, pid: i32) -> io::Result<Vec<u16>> {
        self.ports.get(&pid).cloned().ok_or(io::ErrorKind::PermissionDenied.into())
    }

    fn shares_pid_namespace(&self, pid: i32) -> bool {
        !self.elsewhere.contains(&pid)
    }

    fn counts_as_the_gateway(&self) -> bool {
        !self.counts_otherwise
    }

    fn is_elsewhere(&self, pid: i32) -> bool {
        self.elsewhere.contains(&pid)
    }

    fn private_root(&self, _: i32) -> Option<PathBuf> {
        None
    }
}
