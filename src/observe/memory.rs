//! How much memory a process uses, beside what the host has left. For people only: nothing is
//! judged by it.

use std::fmt;

use sysinfo::{MemoryRefreshKind, Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use crate::model::ProcessId;

/// Memory of a process and of the host, in bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Memory {
    /// What the process has in memory.
    pub resident: u64,
    /// What the host can still give.
    pub available: u64,
}

/// Returns the memory of a process; `None` if it cannot be told.
#[must_use]
pub fn memory(id: ProcessId) -> Option<Memory> {
    let mut system = System::new().ok()?;
    system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
    let pid = Pid::from_u32(u32::try_from(id.pid).ok()?);
    let only_memory = ProcessRefreshKind::nothing().with_memory().without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&[pid]), false, only_memory);
    let resident = system.process(pid)?.memory();
    Some(Memory { resident, available: system.available_memory() })
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        write!(f, "{} MiB, {} MiB left on the host", mib(self.resident), mib(self.available))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory_is_neither_nothing_nor_everything() {
        let pid = i32::try_from(std::process::id()).unwrap();
        let memory = memory(ProcessId { pid, start_ticks: 0 }).unwrap();
        assert!((1 << 20..1 << 34).contains(&memory.resident), "{memory}");
        assert!(memory.available > 0);
    }

    #[test]
    fn a_process_that_is_not_there_has_none() {
        assert_eq!(memory(ProcessId { pid: i32::MAX, start_ticks: 0 }), None);
    }
}
