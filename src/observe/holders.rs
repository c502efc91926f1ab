//! Whether the holder of a lock could be seen from here at all.
//!
//! A state directory may be shared between containers. A pid in a lock is then one of its writer's
//! own pid namespace: what is absent here, or another process here, may be alive there.

use std::collections::BTreeSet;

use super::process::Table;
use crate::model::{Claim, Lock, Payload, ProcessId, Sighting};

/// Holders that were seen alive under the pid and start ticks of their lock, and so share our pid
/// namespace. Only those of locks that are still there are remembered.
#[derive(Debug, Default)]
pub(super) struct Holders {
    seen: BTreeSet<ProcessId>,
}

/// What can be told of pid namespaces.
pub(super) trait Namespaces {
    /// Returns true if every process of the host can be seen: ours is the first pid namespace.
    fn sees_all(&self) -> bool;
    /// Returns true if a process in a nested namespace has, or may have, that pid there.
    fn has_inner_pid(&self, pid: i32) -> bool;
    /// Returns true if start ticks in a lock are those of this process table.
    fn counts_as_the_gateway(&self) -> bool;
}

impl Namespaces for Table {
    fn sees_all(&self) -> bool {
        self.is_of_first_pid_namespace()
    }

    fn has_inner_pid(&self, pid: i32) -> bool {
        Table::has_inner_pid(self, pid)
    }

    fn counts_as_the_gateway(&self) -> bool {
        Table::counts_as_the_gateway(self)
    }
}

impl Holders {
    /// Returns the locks, with the sighting of every holder hidden that seems to be dead and may
    /// live where it cannot be seen.
    pub(super) fn place(&mut self, locks: Vec<Lock>, namespaces: &impl Namespaces) -> Vec<Lock> {
        let known = std::mem::take(&mut self.seen);
        let place = |mut lock: Lock| {
            if let Payload::Claim(claim, seen) = &mut lock.payload {
                let id = identity(claim);
                let is_ours = is_alive(claim, seen) || id.is_some_and(|id| known.contains(&id));
                if is_ours {
                    self.seen.extend(id);
                } else if !namespaces.sees_all()
                    || namespaces.has_inner_pid(claim.pid)
                    || (claim.start_ticks.is_some() && !namespaces.counts_as_the_gateway())
                {
                    *seen = Sighting::Hidden;
                }
            }
            lock
        };
        locks.into_iter().map(place).collect()
    }
}

fn identity(claim: &Claim) -> Option<ProcessId> {
    Some(ProcessId { pid: claim.pid, start_ticks: claim.start_ticks? })
}

fn is_alive(claim: &Claim, seen: &Sighting) -> bool {
    matches!(seen, Sighting::Present { id, .. } if Some(id.start_ticks) == claim.start_ticks)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::{ago, lock};

    struct Here {
        sees_all: bool,
        inner: i32,
        counts: bool,
    }

    impl Namespaces for Here {
        fn sees_all(&self) -> bool {
            self.sees_all
        }

        fn has_inner_pid(&self, pid: i32) -> bool {
            self.inner == pid
        }

        fn counts_as_the_gateway(&self) -> bool {
            self.counts
        }
    }

    const HOST: Here = Here { sees_all: true, inner: 0, counts: true };
    const CONTAINER: Here = Here { sees_all: false, inner: 0, counts: true };

    fn present(start_ticks: u64) -> Sighting {
        let id = ProcessId { pid: 7, start_ticks };
        Sighting::Present { id, started_at: ago(9), is_openclaw: false }
    }

    fn seen(holders: &mut Holders, sighting: Sighting, here: &Here) -> Sighting {
        let placed = holders.place(vec![lock("a.jsonl.lock", sighting, 60)], here);
        match placed[0].payload {
            Payload::Claim(_, seen) => seen,
            Payload::Incomplete => panic!("it was complete"),
        }
    }

    #[track_caller]
    fn check(sighting: Sighting, here: &Here, want: Sighting) {
        assert_eq!(seen(&mut Holders::default(), sighting, here), want);
    }

    #[test]
    fn on_the_host_what_is_gone_is_gone() {
        check(Sighting::Absent, &HOST, Sighting::Absent);
        check(present(98), &HOST, present(98));
    }

    #[test]
    fn a_pid_of_a_nested_namespace_may_be_the_holder() {
        let nested = Here { inner: 7, ..HOST };
        check(Sighting::Absent, &nested, Sighting::Hidden);
        check(present(98), &nested, Sighting::Hidden);
        check(present(99), &nested, present(99));
    }

    /// Locks of the samples have start ticks: on macOS the gateway writes none.
    #[test]
    fn a_lock_with_ticks_of_another_system_was_taken_elsewhere() {
        let mac = Here { counts: false, ..HOST };
        check(Sighting::Absent, &mac, Sighting::Hidden);
        check(present(98), &mac, Sighting::Hidden);
        let mut without = lock("a.jsonl.lock", Sighting::Absent, 60);
        if let Payload::Claim(claim, _) = &mut without.payload {
            claim.start_ticks = None;
        }
        let placed = Holders::default().place(vec![without.clone()], &mac);
        assert_eq!(placed[0].payload, without.payload);
    }

    #[test]
    fn in_a_container_only_a_holder_that_was_seen_alive_can_be_seen_to_die() {
        check(Sighting::Absent, &CONTAINER, Sighting::Hidden);
        check(present(98), &CONTAINER, Sighting::Hidden);
        let mut holders = Holders::default();
        assert_eq!(seen(&mut holders, present(99), &CONTAINER), present(99));
        assert_eq!(seen(&mut holders, Sighting::Absent, &CONTAINER), Sighting::Absent);
        assert_eq!(seen(&mut holders, Sighting::Absent, &CONTAINER), Sighting::Absent);
        holders.place(Vec::new(), &CONTAINER);
        assert_eq!(seen(&mut holders, Sighting::Absent, &CONTAINER), Sighting::Hidden);
    }
}
