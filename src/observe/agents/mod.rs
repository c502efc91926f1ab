//! Finds the agents, and gathers everything that can be seen of each.
//!
//! What is asked of every process is in the table already; only what is of a family, or was left
//! behind by a gateway, is looked at closely. Facts are gathered here and judged elsewhere.

mod cpu;
mod examine;
mod guards;
mod kind;
mod service;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::{
    AcpxRecord, Agent, Family, Gap, Host, Ledger, Member, ProcessId, Source, UnixMillis,
};
use crate::observe::acp::{Leases, Surroundings};
use crate::observe::locate::Install;
use crate::observe::process::{Sockets, Table};
use cpu::Meter;
use examine::Examination;
use kind::Families;
use tree::Forest;

/// Most processes that are no agents, but were left behind by a gateway, in one look.
const LEFT_BEHIND_MAX: usize = 256;

/// What is kept from look to look.
#[derive(Debug, Default)]
pub(super) struct Agents {
    families: Families,
    meter: Meter,
    /// The environments that were read. One does not change while the arguments do not.
    surroundings: BTreeMap<ProcessId, Known>,
    /// A process that somebody asked about, agent or not.
    asked: Option<i32>,
}

#[derive(Debug)]
struct Known {
    cmdline: Vec<u8>,
    surroundings: Result<Surroundings, String>,
}

/// The world around the agents.
pub(super) struct Scene<'a> {
    pub(super) install: &'a Install,
    pub(super) table: &'a Table,
    pub(super) host: &'a Host,
    pub(super) now: UnixMillis,
    /// The verified gateway of this state directory.
    pub(super) gateway: Option<ProcessId>,
    pub(super) ledger: &'a Ledger,
    pub(super) leases: &'a Leases,
    pub(super) records: &'a [AcpxRecord],
    /// Processes that we have stopped ourselves.
    pub(super) held: &'a [ProcessId],
}

impl Agents {
    pub(super) fn set_families(&mut self, families: Vec<Family>) {
        self.families = Families::new(families);
    }

    /// Asks for processor times over at least `window`, where there are samples for that.
    pub(super) fn set_window(&mut self, window: Duration) {
        self.meter.set_window(window);
    }

    /// Has a look at the process under this pid too, whatever it is.
    pub(super) fn ask_for(&mut self, pid: i32) {
        self.asked = Some(pid);
    }

    /// Returns every agent and what gateways left behind, by pid, and what could not be seen.
    pub(super) fn look(&mut self, scene: &Scene<'_>) -> (Vec<Agent>, Vec<Gap>) {
        let forest = Forest::new(scene.table, &self.families);
        let pids = self.candidates(scene, &forest);
        if pids.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let mut forest = forest;
        forest.index();
        let sockets = Sockets::default();
        let own = own(scene.table);
        let Agents { meter, surroundings, .. } = self;
        let mut examination = Examination {
            scene,
            forest: &forest,
            sockets: &sockets,
            own: &own,
            facts: BTreeMap::new(),
        };
        let mut agents = Vec::with_capacity(pids.len());
        for pid in &pids {
            let Some(process) = scene.table.get(*pid) else { continue };
            let known = remembered(surroundings, scene.table, process);
            let agent = examination.agent(process, known);
            agents.extend(agent.map(|mut agent| {
                agent.cpu = meter.measure(agent.id, agent.cpu.total, scene.now);
                agent
            }));
        }
        let is_kept = |id: ProcessId| pids.contains(&id.pid);
        surroundings.retain(|id, _| is_kept(*id));
        meter.retain(is_kept);
        let refused = sockets.gap().map(|reason| {
            let path = scene.table.root.join("net/unix");
            Gap { source: Source::Sockets, path, reason }
        });
        (agents, refused.into_iter().collect())
    }

    /// Returns the pids worth a close look.
    fn candidates(&self, scene: &Scene<'_>, forest: &Forest<'_>) -> BTreeSet<i32> {
        let mut pids: BTreeSet<i32> =
            forest.agents().map(|(process, _)| process.id.pid).collect();
        let left = scene.ledger.descents.keys().filter(|id| is_left_behind(scene, forest, **id));
        pids.extend(left.take(LEFT_BEHIND_MAX).map(|id| id.pid));
        pids.extend(self.asked.filter(|pid| scene.table.get(*pid).is_some()));
        pids
    }

    /// Returns one tree as it is now: `table` was read a moment ago, and nothing is remembered of
    /// what its processes were before.
    pub(super) fn look_again(&self, scene: &Scene<'_>, root: ProcessId) -> Option<Agent> {
        let process = scene.table.get(root.pid).filter(|process| process.id == root)?;
        let mut forest = Forest::new(scene.table, &self.families);
        forest.index();
        let (sockets, own) = (Sockets::default(), own(scene.table));
        let mut examination = Examination {
            scene,
            forest: &forest,
            sockets: &sockets,
            own: &own,
            facts: BTreeMap::new(),
        };
        let known = read(scene.table, process);
        let mut agent = examination.agent(process, &known)?;
        agent.cpu.recent = self.meter.peek(agent.id, agent.cpu.total, scene.now);
        Some(agent)
    }

    /// Returns those of `roots` that are alive and everything below them, parents first.
    pub(super) fn tree_now(&self, scene: &Scene<'_>, roots: &[ProcessId]) -> Vec<Member> {
        let mut forest = Forest::new(scene.table, &self.families);
        forest.index();
        let (sockets, own) = (Sockets::default(), own(scene.table));
        let mut examination = Examination {
            scene,
            forest: &forest,
            sockets: &sockets,
            own: &own,
            facts: BTreeMap::new(),
        };
        examination.members(roots)
    }
}

/// Below no gateway, no agent and nothing else that may still know it.
fn is_left_behind(scene: &Scene<'_>, forest: &Forest<'_>, id: ProcessId) -> bool {
    let Some(process) = scene.table.get(id.pid).filter(|process| process.id == id) else {
        return false;
    };
    let is_below = |above: &&crate::observe::process::Process| {
        Some(above.id) == scene.gateway || scene.ledger.descents.contains_key(&above.id)
    };
    forest.recognised(id.pid).is_none() && !scene.table.ancestors(process.id.pid).iter().any(is_below)
}

/// Ourselves and everything above us.
fn own(table: &Table) -> BTreeSet<i32> {
    let Some(pid) = i32::try_from(std::process::id()).ok().filter(|_| table.is_live()) else {
        return BTreeSet::new();
    };
    let above = table.ancestors(pid).into_iter().map(|process| process.id.pid);
    std::iter::once(pid).chain(above).collect()
}

fn remembered<'a>(
    surroundings: &'a mut BTreeMap<ProcessId, Known>,
    table: &Table,
    process: &crate::observe::process::Process,
) -> &'a Result<Surroundings, String> {
    let known = surroundings.entry(process.id).or_insert_with(|| Known {
        cmdline: process.cmdline.clone(),
        surroundings: read(table, process),
    });
    if known.cmdline != process.cmdline {
        known.cmdline.clone_from(&process.cmdline);
        known.surroundings = read(table, process);
    }
    &known.surroundings
}

fn read(table: &Table, process: &crate::observe::process::Process) -> Result<Surroundings, String> {
    let environ = table.environ(process.id.pid).map_err(|error| error.to_string())?;
    Ok(Surroundings::read(&environ))
}
