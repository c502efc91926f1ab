//! Who is above a process, and what is below it.

use std::collections::{BTreeMap, BTreeSet};

use super::kind::{Families, Recognised};
use super::service::service;
use crate::model::{Bond, Ledger, ProcessId};
use crate::observe::gateway::is_of_openclaw;
use crate::observe::process::{Process, Table};

/// Programs that take in orphans without being pid 1: user managers, and what runs containers. Which
/// processes do so the kernel does not tell.
const TAKE_IN: [&[u8]; 11] = [
    b"systemd",
    b"init",
    b"tini",
    b"tini-static",
    b"docker-init",
    b"podman-init",
    b"dumb-init",
    b"catatonit",
    b"conmon",
    b"s6-svscan",
    b"runsvdir",
];

/// The process table as a forest, with the agents in it.
pub(super) struct Forest<'a> {
    table: &'a Table,
    by_parent: Vec<&'a Process>,
    agents: BTreeMap<i32, Recognised<'a>>,
}

impl<'a> Forest<'a> {
    pub(super) fn new(table: &'a Table, families: &'a Families) -> Forest<'a> {
        let recognised = |process: &'a Process| {
            families.recognise(process).map(|recognised| (process.id.pid, recognised))
        };
        let agents: BTreeMap<_, _> = table.iter().filter_map(recognised).collect();
        Forest { table, by_parent: Vec::new(), agents }
    }

    /// Makes it possible to ask what is below a process. Not needed while there is no agent.
    pub(super) fn index(&mut self) {
        self.by_parent = self.table.iter().collect();
        self.by_parent.sort_by_key(|process| (process.parent, process.id.pid));
    }

    /// Returns the processes that are agents, by pid.
    pub(super) fn agents(&self) -> impl Iterator<Item = (&'a Process, &Recognised<'a>)> {
        self.agents.iter().filter_map(|(pid, recognised)| Some((self.table.get(*pid)?, recognised)))
    }

    pub(super) fn recognised(&self, pid: i32) -> Option<&Recognised<'a>> {
        self.agents.get(&pid)
    }

    /// Returns the topmost agent above `pid`.
    pub(super) fn top(&self, pid: i32) -> Option<ProcessId> {
        let above = self.table.ancestors(pid);
        above
            .into_iter()
            .rev()
            .find(|process| self.agents.contains_key(&process.id.pid))
            .map(|process| process.id)
    }

    /// Returns the family of the topmost agent at or above `pid`.
    pub(super) fn family(&self, pid: i32) -> Option<&str> {
        let top = self.top(pid).map_or(pid, |top| top.pid);
        self.agents.get(&top).map(|recognised| recognised.kind.family.as_str())
    }

    /// Returns these processes and everything below them, parents before their children. A child
    /// that is older than its parent was read at another instant than it, and is none.
    pub(super) fn with_descendants(&self, roots: &[ProcessId]) -> Vec<&'a Process> {
        let is_listed = |id: &ProcessId| self.table.get(id.pid).filter(|process| process.id == *id);
        let mut found: Vec<&Process> = Vec::new();
        let mut seen = BTreeSet::new();
        found.extend(
            roots.iter().filter_map(is_listed).filter(|process| seen.insert(process.id.pid)),
        );
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            let children = self.children(parent.id.pid);
            let is_younger = |child: &&Process| child.id.start_ticks >= parent.id.start_ticks;
            found.extend(children.filter(is_younger).filter(|child| seen.insert(child.id.pid)));
            next += 1;
        }
        found
    }

    fn children(&self, parent: i32) -> impl Iterator<Item = &'a Process> {
        let first = self.by_parent.partition_point(|process| process.parent < parent);
        self.by_parent[first..].iter().copied().take_while(move |process| process.parent == parent)
    }

    /// Returns who lives above `process`, an agent with no agent above it.
    pub(super) fn bond(
        &self,
        process: &Process,
        gateway: Option<ProcessId>,
        ledger: &Ledger,
    ) -> Bond {
        let first_parent = ledger.descents.get(&process.id).map(|descent| descent.parent);
        let parent = self.table.get(process.parent).map(|parent| parent.id);
        // In a container the gateway, or what started it, may be pid 1, which takes in orphans.
        let is_adopted =
            process.parent == 1 && first_parent.is_some_and(|first| parent != Some(first));
        if !is_adopted && let Some(bond) = self.owner(process, gateway) {
            return bond;
        }
        match (parent, first_parent) {
            (Some(by), Some(first)) if by == first => Bond::Parented { by },
            // Nobody saw it start. A live parent may wait for its end, though it closed every end.
            (Some(by), None) if !self.takes_in(by, process.id) => Bond::Parented { by },
            (Some(parent), _) => Bond::Loose { parent: parent.pid, name: self.name(parent.pid) },
            (None, _) if matches!(process.parent, 0 | 1) => {
                Bond::Loose { parent: process.parent, name: "init".to_owned() }
            }
            (None, _) => {
                Bond::Unknown(format!("its parent, pid {}, cannot be seen", process.parent))
            }
        }
    }

    /// A child that is older than its parent was taken in by it.
    fn takes_in(&self, parent: ProcessId, child: ProcessId) -> bool {
        let program = self.table.get(parent.pid).map(|process| process.program.as_slice());
        parent.pid == 1
            || parent.start_ticks > child.start_ticks
            || program.is_some_and(|program| TAKE_IN.contains(&program))
    }

    fn owner(&self, process: &Process, gateway: Option<ProcessId>) -> Option<Bond> {
        self.table.ancestors(process.id.pid).into_iter().find_map(|above| {
            let is_ours = gateway == Some(above.id);
            let role = match service(above) {
                _ if is_ours => "gateway",
                Some(role) => role,
                None if is_of_openclaw(above) && !self.agents.contains_key(&above.id.pid) => {
                    "OpenClaw process"
                }
                None => return None,
            };
            Some(Bond::Attached { to: above.id, role, is_ours })
        })
    }

    fn name(&self, pid: i32) -> String {
        let program = self.table.get(pid).map(|process| process.program.clone());
        match program {
            Some(program) if !program.is_empty() => String::from_utf8_lossy(&program).into_owned(),
            _ if pid == 1 => "init".to_owned(),
            _ => "another user's process".to_owned(),
        }
    }
}
