//! Finds the agents, and gathers everything that can be seen of each.
//!
//! What is asked of every process is in the table already; only what is of a family, or was left
//! behind by a gateway, is looked at closely. Facts are gathered here and judged elsewhere.

mod children;
mod cpu;
mod examine;
mod guards;
mod kind;
mod service;
mod stillness;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::model::{
    AcpxRecord, Agent, Child, EndedTool, Family, Gap, Host, Ledger, Mark, Member, ProcessId, Seen,
    Source, UnixMillis,
};
use crate::observe::acp::{self, Leases, Origin, Workspaces};
use crate::observe::locate::Install;
use crate::observe::process::{Process, Sockets, Table};
use children::Children;
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
    known: BTreeMap<ProcessId, Known>,
    /// What lives below the gateway, while that is asked for.
    children: Children,
    /// A process that somebody asked about, agent or not.
    asked: Option<i32>,
}

/// What the environment of a process says.
#[derive(Debug)]
pub(super) struct Known {
    /// With which arguments: an exec changes both.
    cmdline: Vec<u8>,
    origin: Result<Origin, String>,
    /// Whether it has the mark of its family.
    mark: Seen,
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
    pub(super) records: &'a [Arc<AcpxRecord>],
    pub(super) workspaces: &'a Workspaces,
    /// Processes that we have stopped ourselves.
    pub(super) held: &'a [ProcessId],
}

impl Agents {
    pub(super) fn set_families(&mut self, families: Vec<Family>) {
        self.families = Families::new(families);
        self.known.clear();
    }

    /// Asks for processor times over at least `window`, where there are samples for that.
    pub(super) fn set_window(&mut self, window: Duration) {
        self.meter.set_window(window);
    }

    /// Has a look at the process under this pid too, whatever it is.
    pub(super) fn ask_for(&mut self, pid: i32) {
        self.asked = Some(pid);
    }

    /// Returns true if there is anything to look at closely. If not, nobody needs to read what the
    /// gateway wrote about its agents.
    pub(super) fn are_there(
        &self,
        table: &Table,
        gateway: Option<ProcessId>,
        ledger: &Ledger,
    ) -> bool {
        let forest = Forest::new(table, &self.families);
        !self.candidates(table, gateway, ledger, &forest).is_empty()
    }

    /// Returns every agent and what gateways left behind, by pid, and what could not be seen.
    pub(super) fn look(&mut self, scene: &Scene<'_>) -> (Vec<Agent>, Vec<Gap>) {
        let mut forest = Forest::new(scene.table, &self.families);
        forest.index();
        let pids = self.candidates(scene.table, scene.gateway, scene.ledger, &forest);
        let (sockets, inspector) = (scene.table.sockets(), scene.table.inspector());
        let mut examination = Examination::new(scene, &forest, &sockets, &inspector, self.asked);
        let mut agents = Vec::with_capacity(pids.len());
        // What is looked at itself need not be read again in a tree, and most children are younger.
        for process in pids.iter().rev().filter_map(|pid| scene.table.get(*pid)) {
            let mark = forest.recognised(process.id.pid).and_then(|found| found.mark);
            let known = remembered(&mut self.known, scene, process, mark);
            let Some(mut agent) = examination.agent(process, known) else { continue };
            agent.cpu = self.meter.measure(agent.id, agent.cpu.total, scene.now);
            agents.push(agent);
        }
        agents.reverse();
        let is_kept = |id: ProcessId| pids.contains(&id.pid);
        self.known.retain(|id, _| is_kept(*id));
        self.meter.retain(is_kept);
        (agents, refused(scene, &sockets).into_iter().collect())
    }

    /// Returns the pids worth a close look.
    fn candidates(
        &self,
        table: &Table,
        gateway: Option<ProcessId>,
        ledger: &Ledger,
        forest: &Forest<'_>,
    ) -> BTreeSet<i32> {
        let mut pids: BTreeSet<i32> = forest.agents().map(|(process, _)| process.id.pid).collect();
        let is_left = |id: &&ProcessId| {
            forest.recognised(id.pid).is_none() && is_left_behind(table, gateway, ledger, **id)
        };
        let left = ledger.descents.keys().filter(is_left);
        pids.extend(left.take(LEFT_BEHIND_MAX).map(|id| id.pid));
        pids.extend(self.asked.filter(|pid| table.get(*pid).is_some()));
        pids
    }

    /// Returns all that lives below the gateway, by pid.
    pub(super) fn look_at_children(&mut self, scene: &Scene<'_>) -> Vec<Child> {
        self.children.look(scene, &self.families)
    }

    /// Returns the same as it is now: `table` was read a moment ago, and only for how long each was
    /// idle is from the looks before.
    pub(super) fn children_now(&self, scene: &Scene<'_>) -> Vec<Child> {
        self.children.now(scene, &self.families)
    }

    /// Returns the tools that were there at an earlier look and ended within the last minutes.
    pub(super) fn ended_tools(&self) -> Vec<EndedTool> {
        self.children.ended_tools()
    }

    /// Forgets for how long they have been idle: nobody asks.
    pub(super) fn forget_children(&mut self) {
        self.children = Children::default();
    }

    /// Returns one tree as it is now: `table` was read a moment ago, and nothing is remembered of
    /// what its processes were before.
    pub(super) fn look_again(&self, scene: &Scene<'_>, root: ProcessId) -> Option<Agent> {
        let process = scene.table.get(root.pid).filter(|process| process.id == root)?;
        let mut forest = Forest::new(scene.table, &self.families);
        forest.index();
        let (sockets, inspector) = (scene.table.sockets(), scene.table.inspector());
        let mark = forest.recognised(root.pid).and_then(|found| found.mark);
        let known = read(scene, process, mark);
        let mut examination = Examination::new(scene, &forest, &sockets, &inspector, self.asked);
        let mut agent = examination.agent(process, &known)?;
        agent.cpu.recent = self.meter.peek(agent.id, agent.cpu.total, scene.now);
        Some(agent)
    }

    /// Returns those of `roots` that are alive and everything below them, parents first.
    pub(super) fn tree_now(&self, scene: &Scene<'_>, roots: &[ProcessId]) -> Vec<Member> {
        let mut forest = Forest::new(scene.table, &self.families);
        forest.index();
        let (sockets, inspector) = (scene.table.sockets(), scene.table.inspector());
        Examination::new(scene, &forest, &sockets, &inspector, self.asked).members(roots)
    }
}

/// Below no gateway, and below nothing else that may still know it.
fn is_left_behind(
    table: &Table,
    gateway: Option<ProcessId>,
    ledger: &Ledger,
    id: ProcessId,
) -> bool {
    let is_listed = table.get(id.pid).is_some_and(|process| process.id == id);
    let knows_it =
        |above: &&Process| Some(above.id) == gateway || ledger.descents.contains_key(&above.id);
    is_listed && !table.ancestors(id.pid).iter().any(knows_it)
}

/// Names a process that is no agent.
fn program(process: &Process) -> String {
    match process.program.as_slice() {
        [] => "unknown program".to_owned(),
        name => String::from_utf8_lossy(name).into_owned(),
    }
}

fn refused(scene: &Scene<'_>, sockets: &Sockets) -> Option<Gap> {
    let path = scene.table.root.join("net/unix");
    sockets.gap().map(|reason| Gap { source: Source::Sockets, path, reason })
}

fn remembered<'a>(
    known: &'a mut BTreeMap<ProcessId, Known>,
    scene: &Scene<'_>,
    process: &Process,
    mark: Option<&Mark>,
) -> &'a Known {
    let known = known.entry(process.id).or_insert_with(|| read(scene, process, mark));
    if known.cmdline != process.cmdline {
        *known = read(scene, process, mark);
    }
    known
}

fn read(scene: &Scene<'_>, process: &Process, mark: Option<&Mark>) -> Known {
    let environ = scene.table.environ(process.id.pid).map_err(|error| error.to_string());
    let mark = match (mark, &environ) {
        (None, _) => Seen::Present("none is needed".to_owned()),
        (Some(mark), Ok(environ)) => acp::mark(environ, mark),
        (Some(_), Err(why)) => Seen::Unreadable(why.clone()),
    };
    let is_live = scene.table.is_live();
    Known {
        cmdline: process.cmdline.clone(),
        origin: environ.map(|environ| Origin::read(&environ, scene.install, is_live)),
        mark,
    }
}
