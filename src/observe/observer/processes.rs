//! The part of a look that is about processes, and looking at one of them again.

use std::sync::Arc;

use super::Observer;
use crate::model::{
    AcpxRecord, Agent, Child, Era, Gap, Host, Ledger, Member, ProcessId, UnixMillis,
};
use crate::observe::acp::{Leases, Workspaces};
use crate::observe::agents;
use crate::observe::gateway::Sight;
use crate::observe::ledger::{self, Look};
use crate::observe::locate::Install;
use crate::observe::process::Table;

/// What the last look knew besides the process table.
pub(super) struct Beside {
    host: Host,
    now: UnixMillis,
    gateway: Option<ProcessId>,
    leases: Leases,
    pub(super) workspaces: Workspaces,
    pub(super) records: Vec<Arc<AcpxRecord>>,
}

const NOT_LOOKED: &str = "nothing was looked at yet";

impl Observer {
    /// Only a gateway that is certainly this state directory's is one: everything below it becomes
    /// ours by that.
    pub(super) fn renew_ledger(
        &mut self,
        host: &Host,
        gateway: Option<ProcessId>,
        is_fresh: bool,
        now: UnixMillis,
    ) {
        let look = Look { table: &self.table, is_fresh, gateway, boot: &host.boot_id, now };
        ledger::renew(&mut self.ledger, &look);
    }

    pub(super) fn look_at_agents(
        &mut self,
        era: &Era,
        host: &Host,
        sight: &Sight,
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Vec<Agent> {
        let gateway = sight.gateway.process.map(|process| process.id);
        let are_there = self.agents.are_there(&self.table, gateway, &self.ledger);
        let (leases, workspaces) = (Leases::default(), Workspaces::default());
        let host = host.clone();
        let mut beside = Beside { host, now, gateway, leases, workspaces, records: Vec::new() };
        if are_there || self.seeks_acp {
            beside.workspaces = self.workspaces.look(&self.settings.install, now);
            let read = self.records.read(&beside.workspaces.record_folders, now);
            gaps.extend(read.gaps.into_iter().chain(beside.workspaces.gaps.iter().cloned()));
            beside.records = read.records;
        }
        if !are_there {
            self.beside = Some(beside);
            return Vec::new();
        }
        let install = &self.settings.install;
        // `openclaw update` and the like want the databases for themselves.
        if sight.maintenance.is_none() {
            let (leases, lease_gaps) = self.leases.read(&install.state_dir, era, now);
            beside.leases = leases;
            gaps.extend(lease_gaps);
        }
        let scene = scene(install, &self.table, &self.ledger, &beside, &[]);
        let (agents, agent_gaps) = self.agents.look(&scene);
        gaps.extend(agent_gaps);
        for agent in &agents {
            if let Some(key) = &agent.session_key {
                self.ledger.note_session(agent.id, key);
            }
        }
        self.beside = Some(beside);
        agents
    }

    /// Returns what lives below the gateway of the last look, by pid, and for how long each of it did
    /// nothing, counted from the first of a row of such looks. Nothing where nobody wants to know or
    /// no gateway was identified.
    pub fn look_at_children(&mut self) -> Vec<Child> {
        let beside = self.beside.as_ref().filter(|beside| beside.gateway.is_some());
        let Some(beside) = beside.filter(|_| self.seeks_children) else {
            self.agents.forget_children();
            return Vec::new();
        };
        let install = &self.settings.install;
        self.agents.look_at_children(&scene(install, &self.table, &self.ledger, beside, &[]))
    }

    /// Ends such a row: no run is on that they could work for.
    pub fn forget_children(&mut self) {
        self.agents.forget_children();
    }

    /// Returns what lives below the gateway now, by pid, from a table read in full for this; for how
    /// long each was idle counts from the looks before.
    ///
    /// # Errors
    ///
    /// Returns why that cannot be told, for people: no gateway was identified, it has ended since, or
    /// some process cannot be seen.
    pub fn children_again(&self) -> Result<Vec<Child>, String> {
        let table = self.anew()?;
        let beside = self.beside.as_ref().ok_or(NOT_LOOKED)?;
        let gateway = beside.gateway.ok_or("no gateway was identified")?;
        if table.get(gateway.pid).is_none_or(|process| process.id != gateway) {
            return Err(format!("the gateway, {gateway}, has ended"));
        }
        if let Some(hidden) = table.unreadable().first() {
            return Err(format!("pid {hidden} cannot be read, and may live below the gateway"));
        }
        let scene = scene(&self.settings.install, &table, &self.ledger, beside, &[]);
        Ok(self.agents.children_now(&scene))
    }

    /// Returns what is seen of one process now, from a table read in full for this. That processes in
    /// `held` are stopped guards them from nothing.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be seen, for people.
    pub fn agent_again(&self, id: ProcessId, held: &[ProcessId]) -> Result<Agent, String> {
        let table = self.anew()?;
        let beside = self.beside.as_ref().ok_or(NOT_LOOKED)?;
        let scene = scene(&self.settings.install, &table, &self.ledger, beside, held);
        self.agents.look_again(&scene, id).ok_or_else(|| format!("{id} has ended"))
    }

    /// Returns those of `known` that are alive now and everything below them, parents before their
    /// children. That processes in `held` are stopped guards them from nothing.
    ///
    /// # Errors
    ///
    /// Returns why the process table cannot be read, for people.
    pub fn tree_again(
        &self,
        known: &[ProcessId],
        held: &[ProcessId],
    ) -> Result<Vec<Member>, String> {
        let table = self.anew()?;
        let beside = self.beside.as_ref().ok_or(NOT_LOOKED)?;
        let scene = scene(&self.settings.install, &table, &self.ledger, beside, held);
        Ok(self.agents.tree_now(&scene, known))
    }

    /// Returns the memory that would be free without this process, in bytes.
    #[must_use]
    pub fn memory_of(&self, id: ProcessId) -> Option<u64> {
        self.table.memory(id.pid)
    }

    pub(super) fn anew(&self) -> Result<Table, String> {
        self.table.anew().map_err(|error| format!("the process table cannot be read: {error}"))
    }
}

fn scene<'a>(
    install: &'a Install,
    table: &'a Table,
    ledger: &'a Ledger,
    beside: &'a Beside,
    held: &'a [ProcessId],
) -> agents::Scene<'a> {
    agents::Scene {
        install,
        table,
        host: &beside.host,
        now: beside.now,
        gateway: beside.gateway,
        ledger,
        leases: &beside.leases,
        records: &beside.records,
        workspaces: &beside.workspaces,
        held,
    }
}
