//! Looks at everything, and makes one snapshot of it.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::acp::{AcpReader, LeaseReader, RecordReader, WorkspaceReader};
use super::agents::Agents;
use super::era::Eras;
use super::files::{
    AgentPath, Keep, LanesRead, LockCache, StoreCache, SubagentCache, TasksKept, unlisted_locks,
};
use super::gateway::{Scene, Sight, VersionProbe, identify};
use super::holders::Holders;
use super::host::{self, HostError};
use super::kept::Kept;
use super::locate::{Install, StoreRef, session_folders, stores};
use super::log::LogReader;
use super::process::{Process, Table};
use super::settings::Settings;
use super::tasks;
use super::vitals::Watch;
use crate::model::{
    AgentId, BootId, Era, Family, Gap, Host, Lane, LaneStatus, Ledger, ProcessId, Rpc, SessionKey,
    Sighting, Snapshot, Source, Status, UnixMillis,
};

mod access;
mod acp;
mod background;
mod evidence;
mod lane;
mod processes;
mod purge;
mod transcript;

use background::Background;
pub use lane::LanePlace;
use processes::Beside;

/// The kernel's own process table.
pub const PROC: &str = "/proc";

/// An environment variable by name.
pub type Variables = Box<dyn Fn(&str) -> Option<String>>;

/// Looks at one state directory and the host around it, and keeps what makes the next look cheap.
pub struct Observer {
    settings: Settings,
    start_grace: Duration,
    seeks_children: bool,
    seeks_acp: bool,
    keep: Keep,
    env: Variables,
    table: Table,
    eras: Eras,
    tasks: Kept<BTreeSet<SessionKey>>,
    background: Background,
    version: VersionProbe,
    stores: StoreCache,
    locks: LockCache,
    holders: Holders,
    subagents: SubagentCache,
    folders: Vec<PathBuf>,
    agents: Agents,
    leases: LeaseReader,
    workspaces: WorkspaceReader,
    records: RecordReader,
    acp: AcpReader,
    watch: Option<Watch>,
    log: LogReader,
    /// Which processes were seen below a gateway. Kept by whoever owns the observer.
    pub ledger: Ledger,
    /// What the agents were judged beside, for looking at one of them again.
    beside: Option<Beside>,
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What the configuration says about looking.
#[derive(Clone, Debug, Default)]
pub struct Sought {
    /// How long a gateway may take until it listens.
    pub start_grace: Duration,
    /// Which processes are agents.
    pub families: Vec<Family>,
    /// Over how long processor times are wanted.
    pub window: Duration,
    /// Whether it is wanted how the gateway's process is doing.
    pub vitals: bool,
    /// Whether it is wanted what lives below the gateway.
    pub children: bool,
    /// Which background tasks are wanted; `None`: none, nor the subagent runs.
    pub tasks: Option<TasksKept>,
    /// Whether the sessions of ACP agents are wanted, and the records of acpx although no agent runs.
    pub acp: bool,
}

/// Why there is no snapshot at all.
#[derive(Debug, Error)]
pub enum ObserveError {
    /// Boot and clock are unknown, so no time means anything.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Observer {
    /// Makes an observer of `install`. Every process fact comes from `proc_root`.
    #[must_use]
    pub fn new(install: Install, proc_root: &Path, env: Variables) -> Self {
        Observer {
            settings: Settings::new(install),
            start_grace: Duration::ZERO,
            seeks_children: false,
            seeks_acp: false,
            keep: Keep::Running,
            env,
            table: Table::new(proc_root),
            eras: Eras::default(),
            tasks: Kept::default(),
            background: Background::default(),
            version: VersionProbe::default(),
            stores: StoreCache::default(),
            locks: LockCache::default(),
            holders: Holders::default(),
            subagents: SubagentCache::default(),
            folders: Vec::new(),
            agents: Agents::default(),
            leases: LeaseReader::default(),
            workspaces: WorkspaceReader::default(),
            records: RecordReader::default(),
            acp: AcpReader::default(),
            watch: None,
            log: LogReader::default(),
            ledger: Ledger::default(),
            beside: None,
        }
    }

    /// Keeps other lanes than the running ones, too.
    pub fn keep(&mut self, keep: Keep) {
        self.keep = keep;
    }

    /// Takes into use what the configuration says.
    pub fn configure(&mut self, sought: Sought) {
        self.agents.set_families(sought.families);
        self.agents.set_window(sought.window);
        self.start_grace = sought.start_grace;
        self.watch = sought.vitals.then(|| self.watch.take().unwrap_or_default());
        self.seeks_children = sought.children;
        self.seeks_acp = sought.acp;
        self.stores.seek_acp(sought.acp);
        self.background.want(sought.tasks);
    }

    /// Looks closely at the process under this pid too, whatever it is.
    pub fn ask_for(&mut self, pid: i32) {
        self.agents.ask_for(pid);
    }

    /// Returns the process that the last look listed under `pid`.
    #[must_use]
    pub fn listed(&self, pid: i32) -> Option<&Process> {
        self.table.get(pid)
    }

    /// Looks at `pid` anew.
    #[must_use]
    pub fn sight(&self, pid: i32) -> Sighting {
        self.table.sight(pid)
    }

    /// Returns the running boot.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read.
    pub fn boot(&self) -> Result<BootId, ObserveError> {
        Ok(host::read(&self.table.root)?.boot_id)
    }

    /// Looks at everything at `now`.
    ///
    /// # Errors
    ///
    /// Returns an error if not even the host can be looked at. Anything else that cannot is a gap
    /// in the snapshot.
    pub fn look(&mut self, now: UnixMillis) -> Result<Snapshot, ObserveError> {
        let host = host::read(&self.table.root)?;
        self.settings.renew(&*self.env, now);
        let mut gaps = self.settings.install.gaps.clone();
        let unlisted = self.refresh(&host);
        let is_fresh = unlisted.is_none();
        gaps.extend(unlisted);
        let (era, era_gaps) = self.eras.look(&self.settings.install.state_dir, now);
        gaps.extend(era_gaps);
        let mut sight = self.identify(&era, &host, now);

        // From here on, a lock or row that is newer than the process table is one of a process
        // that the table may not know: what is alive is asked of the kernel, not of the table.
        let (folders, folder_gaps) = session_folders(&self.settings.install);
        let LanesRead { lanes, total: lanes_total, acp, .. } =
            self.lanes(&folders, &folder_gaps, &mut gaps, now, &era);
        let locks = self.locks(folders, folder_gaps, &mut gaps, now);
        gaps.extend(unlisted_locks(&lanes, &locks));
        if sight.gateway.status == Status::Down
            && !self.table.was_read_in_full()
            && (!locks.is_empty() || lanes.iter().any(is_running))
        {
            // A process can become a gateway at any age, and such a one is only found in its turn.
            self.table.distrust();
            gaps.extend(self.refresh(&host));
            sight = self.identify(&era, &host, now);
        }
        gaps.append(&mut sight.gaps);
        let process = sight.gateway.process.map(|process| process.id);
        self.renew_ledger(&host, process, is_fresh, now);
        let vitals = self.vitals(&sight, now);
        let acp = self.acp_sessions(&era, sight.maintenance, acp, &mut gaps, now);
        let agents = self.look_at_agents(&era, &host, &sight, &mut gaps, now);
        let open_subagents = self.open_subagents(&era, &lanes, &mut gaps, now);
        let log = self.log(&host, &sight, (&lanes, &locks), &mut gaps, now);
        let task_lanes = self.task_lanes(&era, &lanes, sight.gateway.status, &mut gaps, now);
        let background = self.background(&era, sight.maintenance, &mut gaps, now);
        Ok(Snapshot {
            taken_at: now,
            host,
            gateway: sight.gateway,
            lanes,
            lanes_total,
            locks,
            gateway_children: sight.gateway_children,
            other_runners: sight.other_runners,
            maintenance: sight.maintenance,
            open_subagents,
            task_lanes,
            agents,
            rpc: Rpc::NotAsked("nobody asked it".to_owned()),
            children: Vec::new(),
            ended_tools: Vec::new(),
            vitals,
            log,
            acp,
            records: self.records_read(),
            tasks: background.tasks,
            task_children: background.children,
            subagents: background.subagents,
            gaps,
        })
    }

    fn refresh(&mut self, host: &Host) -> Option<Gap> {
        let error = self.table.refresh(host.booted_at).err()?;
        let path = self.table.root.clone();
        Some(Gap { source: Source::Processes, path, reason: error.to_string() })
    }

    fn identify(&mut self, era: &Era, host: &Host, now: UnixMillis) -> Sight {
        let scene = Scene {
            install: &self.settings.install,
            era,
            table: &self.table,
            host,
            env: &*self.env,
            now,
            start_grace: self.start_grace,
            token: &|| None,
        };
        identify(&scene, &mut self.version)
    }

    /// In the SQLite era, and where the era is not understood, session files are dead data.
    fn lanes(
        &mut self,
        folders: &[(String, PathBuf)],
        folder_gaps: &[Gap],
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
        era: &Era,
    ) -> LanesRead {
        if !matches!(era, Era::Files | Era::Hybrid) {
            return LanesRead::default();
        }
        let install = &self.settings.install;
        let (found, found_gaps) = stores(install, folders);
        gaps.extend(folder_gaps.iter().cloned().chain(found_gaps));
        let at: Vec<_> = found.into_iter().map(agent_path).collect();
        let mut read = self.stores.read_all(&install.state_dir, &at, &self.keep, now);
        gaps.append(&mut read.gaps);
        read
    }

    fn locks(
        &mut self,
        folders: Vec<(String, PathBuf)>,
        folder_gaps: Vec<Gap>,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Vec<crate::model::Lock> {
        gaps.extend(folder_gaps.into_iter().map(|gap| Gap { source: Source::Locks, ..gap }));
        let at: Vec<_> = folders
            .into_iter()
            .map(|(agent, path)| AgentPath { path, agent: AgentId(agent) })
            .collect();
        let table = &self.table;
        let sight = |pid| table.sight(pid);
        let read = self.locks.read_all(&self.settings.install.state_dir, &at, now, &sight);
        gaps.extend(read.gaps);
        self.folders = at.into_iter().map(|at| at.path).collect();
        self.holders.place(read.locks, &self.table)
    }

    fn open_subagents(
        &mut self,
        era: &Era,
        lanes: &[Lane],
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> BTreeSet<SessionKey> {
        if !lanes.iter().any(|lane| lane.key.is_subagent()) {
            return BTreeSet::new();
        }
        let state_dir = &self.settings.install.state_dir;
        let places = [self.subagents.read(state_dir, now), tasks::open_subagents(era, state_dir)];
        let mut open = BTreeSet::new();
        for place in places {
            match place {
                Ok(keys) => open.extend(keys),
                Err(gap) => gaps.push(gap),
            }
        }
        open
    }

    /// Returns whether that very process is alive now.
    #[must_use]
    pub fn is_alive(&self, id: ProcessId) -> bool {
        self.table.is_alive(id)
    }

    /// Returns our own identity; `None` in a captured table.
    #[must_use]
    pub fn own_process(&self) -> Option<ProcessId> {
        let pid = i32::try_from(std::process::id()).ok()?;
        match self.table.is_live().then(|| self.table.sight(pid))? {
            Sighting::Present { id, .. } => Some(id),
            Sighting::Absent | Sighting::Hidden => None,
        }
    }

    /// Returns true if processes are those of the running kernel.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.table.is_live()
    }

    /// Returns the state directory.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.settings.install.state_dir
    }

    /// Returns the folders whose changes are worth a look: those of the agents, and all sessions
    /// folders of the last look; where ACP sessions are sought, those of their records and of the
    /// database that names them.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let agents = self.settings.install.state_dir.join("agents");
        let folders = std::iter::once(agents).chain(self.folders.iter().cloned());
        folders.chain(self.acp_folders()).collect()
    }
}

fn is_running(lane: &Lane) -> bool {
    lane.row.status == LaneStatus::Running
}

fn agent_path(store: StoreRef) -> AgentPath {
    AgentPath { path: store.path, agent: AgentId(store.agent) }
}
