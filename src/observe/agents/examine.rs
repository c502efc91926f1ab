//! Everything that can be seen of one process.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::Scene;
use super::guards::Watch;
use super::tree::Forest;
use crate::model::{
    AcpxRecord, Agent, Cpu, Guard, Member, Ownership, ProcessId, Seen, SessionKey, Sign,
};
use crate::observe::acp::{self, Surroundings, signs};
use crate::observe::process::{Facts, Process, Sockets};

/// One look at some processes, each of which is read once.
pub(super) struct Examination<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) forest: &'a Forest<'a>,
    pub(super) sockets: &'a Sockets,
    /// Ourselves and everything above us.
    pub(super) own: &'a BTreeSet<i32>,
    pub(super) facts: BTreeMap<i32, Option<Result<Facts, String>>>,
}

impl Examination<'_> {
    /// Returns what is seen of `process`; `None` if it has ended, or is another one by now.
    pub(super) fn agent(
        &mut self,
        process: &Process,
        surroundings: &Result<Surroundings, String>,
    ) -> Option<Agent> {
        let facts = self.facts(process)?;
        let scene = self.scene;
        let recognised = self.forest.recognised(process.id.pid);
        let started_at = scene.table.started_at(process.id);
        let cwd = scene.table.cwd(process.id.pid).ok();
        let record = self.record(process);
        let ownership = self.ownership(process, surroundings, cwd.as_deref(), record.as_ref());
        let stdio = scene.table.stdio(process.id.pid, self.sockets, ownership.is_proven());
        let top = self.forest.top(process.id.pid);
        let mark = match (recognised.and_then(|recognised| recognised.mark), surroundings) {
            (None, _) => Seen::Present("its family has none".to_owned()),
            (Some(mark), Ok(surroundings)) => surroundings.mark(mark),
            (Some(_), Err(why)) => Seen::Unreadable(why.clone()),
        };
        let place = match surroundings {
            Ok(surroundings) => acp::place(surroundings, scene.install),
            Err(why) => crate::model::Place::Unknown(why.clone()),
        };
        Some(Agent {
            id: process.id,
            kind: recognised.map(|recognised| recognised.kind.clone()),
            started_at,
            command: acp::command(process.argv()),
            cwd,
            session_key: self.session_key(process.id, surroundings, record.as_ref()),
            ownership,
            place,
            mark,
            stdio,
            bond: self.forest.bond(process, scene.gateway, scene.ledger),
            top,
            tree: self.tree(process, top, surroundings),
            record,
            cpu: Cpu { total: facts.map(|facts| facts.cpu).unwrap_or_default(), recent: None },
        })
    }

    /// Returns those of `roots` that are alive and everything below them, parents first.
    pub(super) fn members(&mut self, roots: &[ProcessId]) -> Vec<Member> {
        let forest = self.forest;
        let all = forest.with_descendants(roots);
        all.into_iter().filter_map(|process| self.member(process)).collect()
    }

    fn tree(
        &mut self,
        process: &Process,
        top: Option<ProcessId>,
        surroundings: &Result<Surroundings, String>,
    ) -> Vec<Member> {
        let mut tree = match top {
            None => self.members(&[process.id]),
            Some(_) => self.member(process).into_iter().collect(),
        };
        if let (Err(why), Some(root)) = (surroundings, tree.first_mut()) {
            root.guards.push(Guard::Unreadable(format!("its environment: {why}")));
        }
        tree
    }

    fn member(&mut self, process: &Process) -> Option<Member> {
        let facts = self.facts(process)?;
        let recognised = self.forest.recognised(process.id.pid);
        let family = recognised.map(|recognised| recognised.kind.family.as_str());
        let watch = Watch {
            table: self.scene.table,
            euid: self.scene.host.euid,
            own: self.own,
            held: self.scene.held,
        };
        let guards = match &facts {
            Ok(facts) => watch.guards(process, facts, recognised.is_some(), family == Some("claude")),
            Err(why) => vec![Guard::Unreadable(why.clone())],
        };
        let program = || String::from_utf8_lossy(&process.program).into_owned();
        Some(Member {
            id: process.id,
            parent: process.parent,
            what: recognised.map_or_else(program, |recognised| recognised.kind.to_string()),
            guards,
            resident: facts.ok().and_then(|facts| facts.resident),
        })
    }

    /// Reads what the kernel says of `process` now; `None` if it has ended or is another one.
    fn facts(&mut self, process: &Process) -> Option<Result<Facts, String>> {
        let read = || match self.scene.table.facts(process.id.pid) {
            Ok(facts) if facts.id == process.id => Some(Ok(facts)),
            Ok(_) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(Err(error.to_string())),
        };
        self.facts.entry(process.id.pid).or_insert_with(read).clone()
    }

    /// The record that names the process, or a launcher between it and whoever owns it. An open one
    /// goes before a closed one: the session is in use.
    fn record(&self, process: &Process) -> Option<AcpxRecord> {
        let scene = self.scene;
        let above = scene.table.ancestors(process.id.pid);
        let launchers =
            above.into_iter().take_while(|above| Some(above.id) != scene.gateway && above.id.pid > 1);
        let line: Vec<ProcessId> =
            std::iter::once(process.id).chain(launchers.map(|above| above.id)).collect();
        let names = |record: &&AcpxRecord| {
            line.iter().any(|id| signs::names(record, *id, scene.table.started_at(*id)))
        };
        scene.records.iter().filter(names).min_by_key(|record| record.is_closed).cloned()
    }

    fn ownership(
        &self,
        process: &Process,
        surroundings: &Result<Surroundings, String>,
        cwd: Option<&std::path::Path>,
        record: Option<&AcpxRecord>,
    ) -> Ownership {
        let scene = self.scene;
        let surroundings = surroundings.as_ref().map_err(String::as_str);
        Ownership::new([
            (Sign::Ledger, signs::ledger(process.id, scene.ledger)),
            (Sign::Lease, signs::lease(surroundings, scene.leases)),
        ])
    }

    fn session_key(
        &self,
        id: ProcessId,
        surroundings: &Result<Surroundings, String>,
        record: Option<&AcpxRecord>,
    ) -> Option<SessionKey> {
        let scene = self.scene;
        let of_record = record.map(|record| record.session_key.clone());
        let lease = || surroundings.as_ref().ok().and_then(|known| scene.leases.session_of(known));
        let noted = || scene.ledger.descents.get(&id)?.session_key.clone();
        of_record.or_else(lease).or_else(noted)
    }
}
