//! Everything that can be seen of one process.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::guards::{Kin, Watch};
use super::tree::Forest;
use super::{Known, Scene};
use crate::model::{
    AcpxRecord, Agent, Bond, Cpu, EndKind, Guard, Member, Ownership, Part, Place, ProcessId,
    SessionKey, Sign, Stdio,
};
use crate::observe::acp::signs::{self, Candidate};
use crate::observe::locate::Watched;
use crate::observe::process::{Ask, Facts, Inspection, Inspector, Process, Sockets};
use crate::text;

/// `npx` is npm, a shell, and what was asked for (measured on 2026.4.15).
const LAUNCHERS_MAX: usize = 8;

/// One look at some processes, each of which is read once.
pub(super) struct Examination<'a> {
    scene: &'a Scene<'a>,
    forest: &'a Forest<'a>,
    sockets: &'a Sockets,
    inspector: &'a Inspector,
    /// The process that somebody wants to know everything about.
    asked: Option<i32>,
    /// Ourselves and everything above us.
    own: BTreeSet<i32>,
    /// The control groups of the gateway and of ourselves.
    groups: Groups,
    /// Those that were read already; `None` for what has ended, or is another one by now.
    members: BTreeMap<i32, Option<Member>>,
}

#[derive(Debug)]
struct Groups {
    gateway: Result<String, String>,
    own: Result<String, String>,
}

impl<'a> Examination<'a> {
    pub(super) fn new(
        scene: &'a Scene<'a>,
        forest: &'a Forest<'a>,
        sockets: &'a Sockets,
        inspector: &'a Inspector,
        asked: Option<i32>,
    ) -> Examination<'a> {
        let ourselves = i32::try_from(std::process::id()).ok().filter(|_| scene.table.is_live());
        let above = |pid| scene.table.ancestors(pid).into_iter().map(|process| process.id.pid);
        let own = ourselves.into_iter().flat_map(|pid| std::iter::once(pid).chain(above(pid)));
        let group = |pid: Option<i32>| {
            let pid = pid.ok_or("there is none")?;
            inspector.process(pid).control_group().map_err(|error| error.to_string())
        };
        let groups =
            Groups { gateway: group(scene.gateway.map(|id| id.pid)), own: group(ourselves) };
        let (own, members) = (own.collect(), BTreeMap::new());
        Examination { scene, forest, sockets, inspector, asked, own, groups, members }
    }

    /// Returns what is seen of `process`; `None` if it has ended, or is another one by now.
    pub(super) fn agent(&mut self, process: &Process, known: &Known) -> Option<Agent> {
        let pid = process.id.pid;
        let at = self.inspector.process(pid);
        let facts = facts(process, &at)?;
        let member = self.read(process, &at, &facts);
        self.members.insert(pid, Some(member));
        let scene = self.scene;
        let cwd = at.cwd().map_err(|error| error.to_string());
        let (ownership, named) = self.ownership(process, &at, known, &cwd);
        let record = named.or_else(|| self.launchers_record(process));
        let top = self.forest.top(pid);
        let place = match &known.origin {
            Ok(origin) => origin.place.clone(),
            Err(why) => Place::Unknown(why.clone()),
        };
        let is_ours = ownership.is_proven() && !matches!(place, Place::Other(_));
        // What is below an agent is judged with that, whoever has its ends.
        let ask = match (self.asked == Some(pid), top, is_ours) {
            (true, _, false) => Ask::BothSockets,
            (true, _, true) => Ask::Both,
            (false, Some(_), _) => Ask::Nobody,
            (false, None, false) => Ask::Sockets,
            (false, None, true) => Ask::Pipes,
        };
        let stdio = at.stdio(self.sockets, ask);
        Some(Agent {
            id: process.id,
            kind: self.forest.recognised(pid).map(|recognised| recognised.kind.clone()),
            started_at: scene.table.started_at(process.id),
            command: text::command(process.argv()),
            cwd: cwd.ok(),
            session_key: self.session_key(process.id, known, record.as_deref()),
            bond: self.bond(process, &stdio),
            stdio,
            ownership,
            place,
            mark: known.mark.clone(),
            top,
            tree: self.tree(process, top, known),
            record: record.as_deref().cloned(),
            cpu: Cpu { total: facts.map(|facts| facts.cpu).unwrap_or_default(), recent: None },
        })
    }

    /// Returns those of `roots` that are alive and everything below them, parents first.
    pub(super) fn members(&mut self, roots: &[ProcessId]) -> Vec<Member> {
        let all = self.forest.with_descendants(roots);
        all.into_iter().filter_map(|process| self.member(process)).collect()
    }

    fn tree(&mut self, process: &Process, top: Option<ProcessId>, known: &Known) -> Vec<Member> {
        let mut tree = match top {
            None => self.members(&[process.id]),
            Some(_) => self.member(process).into_iter().collect(),
        };
        if let (Err(why), Some(root)) = (&known.origin, tree.first_mut()) {
            root.guards.push(Guard::Unreadable(format!("its environment: {why}")));
        }
        tree
    }

    fn member(&mut self, process: &Process) -> Option<Member> {
        let pid = process.id.pid;
        if let Some(known) = self.members.get(&pid) {
            return known.clone();
        }
        let at = self.inspector.process(pid);
        let member = facts(process, &at).map(|facts| self.read(process, &at, &facts));
        self.members.insert(pid, member.clone());
        member
    }

    fn read(
        &self,
        process: &Process,
        at: &Inspection<'_>,
        facts: &Result<Facts, String>,
    ) -> Member {
        let recognised = self.forest.recognised(process.id.pid);
        let watch = Watch {
            table: self.scene.table,
            euid: self.scene.host.euid,
            own: &self.own,
            held: self.scene.held,
        };
        let parent = self.forest.recognised(process.parent);
        let kin = Kin {
            is_agent: recognised.is_some(),
            is_of_agent: parent.is_some_and(|parent| parent.kind.part != Part::Wrapper),
            family: self.forest.family(process.id.pid),
        };
        let guards = match facts {
            Ok(facts) => watch.guards(process, at, facts, kin),
            Err(why) => vec![Guard::Unreadable(why.clone())],
        };
        Member {
            id: process.id,
            parent: process.parent,
            what: recognised
                .map_or_else(|| super::program(process), |known| known.kind.to_string()),
            guards,
            resident: facts.as_ref().ok().and_then(|facts| facts.resident),
        }
    }

    /// Who lives above it. A launcher, such as npm and its shell, hands its own input and output down:
    /// it has not the other ends of them, and whoever has left it has left its child.
    fn bond(&self, process: &Process, stdio: &Stdio) -> Bond {
        let Scene { table, gateway, ledger, .. } = *self.scene;
        let mut bond = self.forest.bond(process, gateway, ledger);
        for _ in 0..LAUNCHERS_MAX {
            let Bond::Parented { by } = bond else { break };
            let Some(parent) = table.get(by.pid).filter(|parent| parent.id == by) else { break };
            let theirs = self.inspector.process(by.pid).stdio(self.sockets, Ask::Nobody);
            if !hands_down(&theirs.input.what, &stdio.input.what)
                || !hands_down(&theirs.output.what, &stdio.output.what)
            {
                break;
            }
            bond = self.forest.bond(parent, gateway, ledger);
        }
        bond
    }

    /// Every sign of ownership, and the record that names the process.
    fn ownership(
        &self,
        process: &Process,
        at: &Inspection<'_>,
        known: &Known,
        cwd: &Result<PathBuf, String>,
    ) -> (Ownership, Option<Arc<AcpxRecord>>) {
        let Scene { table, ledger, .. } = *self.scene;
        let argv: Vec<&[u8]> = process.argv().collect();
        let candidate = self.candidate(process, &argv, cwd);
        let group = self.control_group(at);
        let groups = [&group, &self.groups.gateway, &self.groups.own].map(borrowed);
        let origin = known.origin.as_ref().map_err(String::as_str);
        let (record, named) = signs::record(&candidate, self.scene.records);
        let live = |pid| table.get(pid).map(|process| process.id);
        let watched = Watched { install: self.scene.install, is_live: table.is_live() };
        let here = cwd.as_ref().map(|cwd| watched.here(cwd)).map_err(String::as_str);
        let worker = Candidate { cwd: here.as_deref().map_err(|why| *why), ..candidate };
        let signs = [
            (Sign::Ledger, signs::ledger(process.id, ledger)),
            (Sign::Lease, signs::lease(origin, self.scene.leases)),
            (Sign::Record, record),
            (Sign::Wrapper, signs::wrapper(&candidate, &self.scene.install.state_dir)),
            (Sign::ControlGroup, signs::control_group(groups[0], groups[1], groups[2], None)),
            (Sign::Environment, signs::environment(origin)),
            (Sign::Group, signs::group(&candidate, ledger, &live)),
            (Sign::Workspace, signs::workspace(&worker, &self.scene.workspaces.inside)),
        ];
        (Ownership::new(signs), named.cloned())
    }

    /// Not read while the gateway is in no service: then it would say nothing.
    fn control_group(&self, at: &Inspection<'_>) -> Result<String, String> {
        match &self.groups.gateway {
            Ok(gateway) if gateway.ends_with(".service") => {
                at.control_group().map_err(|error| error.to_string())
            }
            _ => Ok(String::new()),
        }
    }

    fn candidate<'c>(
        &self,
        process: &'c Process,
        argv: &'c [&'c [u8]],
        cwd: &'c Result<PathBuf, String>,
    ) -> Candidate<'c> {
        Candidate {
            id: process.id,
            started_at: self.scene.table.started_at(process.id),
            // A clock that was set makes a record name another time, which proves nothing.
            clock_is_steady: true,
            group: process.group,
            session: process.session,
            argv,
            exe: Ok(Path::new(OsStr::from_bytes(&process.program))),
            cwd: cwd.as_deref().map_err(String::as_str),
        }
    }

    /// The record that names a launcher between the process and its gateway: behind `npx`, a record
    /// has the pid of npm (2026.4.15). An open one goes before a closed one.
    fn launchers_record(&self, process: &Process) -> Option<Arc<AcpxRecord>> {
        let table = self.scene.table;
        let mut launchers = Vec::new();
        for above in table.ancestors(process.id.pid) {
            let is_launcher = above.id.pid > 1
                && Some(above.id) != self.scene.gateway
                && self.forest.recognised(above.id.pid).is_none();
            if !is_launcher {
                break;
            }
            launchers.push(above.id);
        }
        let names = |record: &&Arc<AcpxRecord>| {
            launchers.iter().any(|id| signs::names(record, *id, table.started_at(*id)))
        };
        self.scene.records.iter().filter(names).min_by_key(|record| record.is_closed).cloned()
    }

    fn session_key(
        &self,
        id: ProcessId,
        known: &Known,
        record: Option<&AcpxRecord>,
    ) -> Option<SessionKey> {
        let lease = || {
            let lease_id = known.origin.as_ref().ok()?.lease_id.as_deref()?;
            self.scene.leases.get(lease_id)?.session_key.clone()
        };
        let noted = || self.scene.ledger.descents.get(&id)?.session_key.clone();
        record.map(|record| record.session_key.clone()).or_else(lease).or_else(noted)
    }
}

/// Reads what the kernel says of `process` now; `None` if it has ended or is another one.
fn facts(process: &Process, at: &Inspection<'_>) -> Option<Result<Facts, String>> {
    match at.facts() {
        Ok(facts) if facts.id == process.id && !facts.has_ended => Some(Ok(facts)),
        Ok(_) => None,
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(error.to_string())),
    }
}

/// The same socket or pipe, not one that only has the same name.
fn hands_down(parent: &EndKind, child: &EndKind) -> bool {
    matches!(child, EndKind::Socket { .. } | EndKind::Pipe { .. }) && parent == child
}

fn borrowed(result: &Result<String, String>) -> Result<&str, &str> {
    result.as_deref().map_err(String::as_str)
}
