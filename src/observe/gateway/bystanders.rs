//! The OpenClaw processes around the gateway.

use std::collections::{BTreeMap, BTreeSet};

use super::processes::Processes;
use super::relation::Relation;
use super::role::Role;
use super::status::Identified;
use crate::model::{ProcessId, UnixMillis};
use crate::observe::process::Process;

/// An OpenClaw process and what is known of it.
pub(super) struct Kin<'a> {
    pub process: &'a Process,
    pub role: Role,
    pub relation: Relation,
}

impl Kin<'_> {
    /// Returns true unless it provably works on another state directory.
    fn concerns_us(&self) -> bool {
        self.relation != Relation::Other
    }
}

/// Returns all live descendants of `pid`, sorted by pid.
pub(super) fn descendants(table: &dyn Processes, pid: i32) -> Vec<(ProcessId, UnixMillis)> {
    let mut children: BTreeMap<i32, Vec<ProcessId>> = BTreeMap::new();
    for process in table.all() {
        children.entry(process.parent).or_default().push(process.id);
    }
    let mut found = BTreeMap::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        // A torn table may contain a cycle; removing what was visited ends it.
        for id in children.remove(&parent).unwrap_or_default() {
            found.insert(id.pid, id);
            open.push(id.pid);
        }
    }
    found.remove(&pid);
    found.into_values().map(|id| (id, table.started_at(id))).collect()
}

/// Returns the pids of all ancestors of `pid`.
pub(super) fn ancestors(table: &dyn Processes, pid: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut next = table.get(pid).map(|process| process.parent);
    while let Some(parent) = next.filter(|&parent| parent > 0) {
        if !found.insert(parent) {
            break;
        }
        next = table.get(parent).map(|process| process.parent);
    }
    found
}

/// Returns a process that rewrites the stores by itself, such as `openclaw doctor`.
pub(super) fn maintenance(kin: &[Kin<'_>]) -> Option<ProcessId> {
    kin.iter().find(|kin| kin.role.is_maintenance() && kin.concerns_us()).map(|kin| kin.process.id)
}

/// Returns the processes that may run turns besides the gateway: all OpenClaw processes that are
/// neither in `family` (the gateway, its ancestors and descendants) nor provably elsewhere.
pub(super) fn other_runners(
    table: &dyn Processes,
    kin: &[Kin<'_>],
    family: &BTreeSet<i32>,
) -> Vec<(ProcessId, UnixMillis)> {
    kin.iter()
        .filter(|kin| !family.contains(&kin.process.id.pid) && kin.concerns_us())
        .map(|kin| (kin.process.id, table.started_at(kin.process.id)))
        .collect()
}

/// Returns gateways outside of `family` that listen on `port`, where `gateway` does not: two in
/// different network namespaces may well have the same one.
pub(super) fn port_takers(
    table: &dyn Processes,
    kin: &[Kin<'_>],
    family: &BTreeSet<i32>,
    gateway: &Identified,
    port: u16,
) -> Vec<ProcessId> {
    if gateway.listening.as_ref().is_none_or(|ports| ports.contains(&port)) {
        return Vec::new();
    }
    let outside =
        |kin: &&Kin<'_>| kin.role.may_be_gateway() && !family.contains(&kin.process.id.pid);
    let listens =
        |id: &ProcessId| table.listening_ports(id.pid).is_ok_and(|ports| ports.contains(&port));
    kin.iter().filter(outside).map(|kin| kin.process.id).filter(listens).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTable, id};
    use super::*;

    #[test]
    fn family_is_found_and_a_cycle_ends() {
        let table = FakeTable::new()
            .title(2, "openclaw")
            .child(3, 2, "openclaw-gateway")
            .child(4, 3, "node x")
            .child(5, 4, "claude")
            .child(8, 9, "a")
            .child(9, 8, "b");
        let pids: Vec<i32> = descendants(&table, 3).iter().map(|(id, _)| id.pid).collect();
        assert_eq!(pids, [4, 5]);
        assert_eq!(ancestors(&table, 5), BTreeSet::from([1, 2, 3, 4]));
        assert_eq!(descendants(&table, 8).len(), 1);
        assert_eq!(ancestors(&table, 8), BTreeSet::from([8, 9]));
    }

    #[test]
    fn a_port_is_taken_only_by_a_gateway_that_has_it_while_ours_has_not() {
        let table = FakeTable::new()
            .title(7, "openclaw-gateway")
            .title(8, "openclaw-gateway")
            .title(9, "openclaw-doctor")
            .listens(8, &[1])
            .listens(9, &[1]);
        let kin: Vec<_> = [7, 8, 9]
            .map(|pid| {
                let process = table.get(pid).unwrap();
                let role = Role::of(process).unwrap();
                Kin { process, role, relation: Relation::Other }
            })
            .into();
        let takers = |listening: Option<Vec<u16>>, port| {
            let (started_at, locked_at, locked_port) = (UnixMillis(0), None, None);
            let gateway = Identified {
                id: id(7),
                started_at,
                locked_at,
                locked_port,
                listening,
                is_elsewhere: false,
            };
            port_takers(&table, &kin, &BTreeSet::from([7]), &gateway, port)
        };
        assert_eq!(takers(Some(vec![2]), 1), [id(8)]);
        assert_eq!(takers(Some(vec![]), 1), [id(8)]);
        assert_eq!(takers(Some(vec![1]), 1), [], "in another network namespace, both have it");
        assert_eq!(takers(None, 1), []);
        assert_eq!(takers(Some(vec![]), 3), []);
    }

    #[test]
    fn only_what_may_concern_us_counts() {
        let table = FakeTable::new().title(7, "openclaw-doctor").title(8, "openclaw-agent");
        let kin = |pid: i32, relation: Relation| {
            let process = table.get(pid).unwrap();
            Kin { process, role: Role::of(process).unwrap(), relation }
        };
        let theirs = [kin(7, Relation::Other), kin(8, Relation::Other)];
        assert_eq!(maintenance(&theirs), None);
        assert_eq!(other_runners(&table, &theirs, &BTreeSet::new()), vec![]);
        let ours = [kin(7, Relation::Possible(String::new())), kin(8, Relation::Default)];
        assert_eq!(maintenance(&ours), Some(id(7)));
        assert_eq!(other_runners(&table, &ours, &BTreeSet::from([7])).len(), 1);
    }
}
