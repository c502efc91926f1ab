//! Ancestors and descendants in the listed table. Its parents were not read at one instant, so
//! that they may form a circle.

use std::collections::BTreeSet;

use crate::model::ProcessId;

use super::{Process, Table};

pub(super) fn ancestors(table: &Table, pid: i32) -> Vec<&Process> {
    let mut seen = BTreeSet::from([pid]);
    let mut ancestors = Vec::new();
    let mut next = table.get(pid).and_then(|process| table.get(process.parent));
    while let Some(process) = next {
        if !seen.insert(process.id.pid) {
            break;
        }
        ancestors.push(process);
        next = table.get(process.parent);
    }
    ancestors
}

pub(super) fn descendants(table: &Table, id: ProcessId) -> Vec<&Process> {
    if table.get(id.pid).is_none_or(|process| process.id != id) {
        return Vec::new();
    }
    let mut by_parent: Vec<&Process> = table.iter().collect();
    by_parent.sort_by_key(|process| (process.parent, process.id.pid));
    let children = |parent: i32| {
        let first = by_parent.partition_point(|process| process.parent < parent);
        by_parent[first..].iter().copied().take_while(move |process| process.parent == parent)
    };

    // Each has one parent and so comes once; a circle can only lead back to the root.
    let below = |parent: i32| children(parent).filter(|process| process.id.pid != id.pid);
    let mut found: Vec<&Process> = below(id.pid).collect();
    let mut next = 0;
    while let Some(process) = found.get(next) {
        found.extend(below(process.id.pid));
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use crate::observe::process::captured::Captured;

    use super::*;

    const NONE: [i32; 0] = [];

    fn pids(processes: &[&Process]) -> Vec<i32> {
        processes.iter().map(|process| process.id.pid).collect()
    }

    fn id(pid: i32) -> ProcessId {
        ProcessId { pid, start_ticks: 100 }
    }

    #[test]
    fn a_tree_is_walked_both_ways() {
        let captured = Captured::new();
        for (pid, parent) in [(1, 0), (10, 1), (11, 10), (12, 10), (9, 12), (13, 9), (20, 1)] {
            captured.process(pid, parent, 100, b"x");
        }
        let table = captured.table();
        assert_eq!(pids(&descendants(&table, id(10))), [11, 12, 9, 13]);
        assert_eq!(pids(&descendants(&table, id(20))), NONE);
        assert_eq!(pids(&ancestors(&table, 13)), [9, 12, 10, 1]);
        assert_eq!(pids(&ancestors(&table, 1)), NONE);
    }

    #[test]
    fn an_unlisted_or_recycled_root_has_no_descendants() {
        let captured = Captured::new();
        captured.process(10, 1, 100, b"x").process(11, 10, 100, b"x");
        let table = captured.table();
        assert_eq!(pids(&descendants(&table, ProcessId { pid: 10, start_ticks: 99 })), NONE);
        assert_eq!(pids(&descendants(&table, id(1))), NONE);
        assert_eq!(pids(&ancestors(&table, 99)), NONE);
    }

    #[test]
    fn a_circle_ends() {
        let captured = Captured::new();
        captured.process(5, 5, 100, b"x");
        captured.process(10, 12, 100, b"x").process(11, 10, 100, b"x").process(12, 11, 100, b"x");
        let table = captured.table();
        assert_eq!(pids(&descendants(&table, id(10))), [11, 12]);
        assert_eq!(pids(&ancestors(&table, 10)), [12, 11]);
        assert_eq!(pids(&ancestors(&table, 5)), NONE);
        assert_eq!(pids(&descendants(&table, id(5))), NONE);
    }
}
