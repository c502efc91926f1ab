//! Processes, as far as a judgement needs them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::UnixMillis;

/// One life of a process within one boot: a pid alone does not survive pid reuse.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct ProcessId {
    /// The process id, in the pid namespace of whoever observed it.
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: clock ticks between boot and the start of the process. On
    /// macOS microseconds between 1970 and its start, by the clock as it was then.
    pub start_ticks: u64,
}

impl ProcessId {
    /// Returns the id of this process as the subject of a verdict: `pid@start_ticks`.
    #[must_use]
    pub fn subject_id(&self) -> String {
        format!("{}@{}", self.pid, self.start_ticks)
    }

    /// Reads what [`ProcessId::subject_id`] returns.
    #[must_use]
    pub fn from_subject_id(text: &str) -> Option<ProcessId> {
        let (pid, start_ticks) = text.split_once('@')?;
        let id = ProcessId { pid: pid.parse().ok()?, start_ticks: start_ticks.parse().ok()? };
        (id.subject_id() == text).then_some(id)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} (started at tick {})", self.pid, self.start_ticks)
    }
}

/// What is seen under a pid that a file names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sighting {
    /// The kernel says that there is no such process, or it is a zombie, or the number is a
    /// thread of another process. None of these can hold or release a lock any more.
    Absent,
    /// A process lives under the pid.
    Present {
        /// Which one.
        id: ProcessId,
        /// Its start by the wall clock: boot time plus start ticks. Moves when the clock is set,
        /// except on macOS.
        started_at: UnixMillis,
        /// Whether its title or command line is that of an OpenClaw process.
        is_openclaw: bool,
    },
    /// The pid may belong to another pid namespace, or what lives there could not be read.
    Hidden,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_id_is_read_back_and_nothing_else_is() {
        let id = ProcessId { pid: 7, start_ticks: u64::MAX };
        assert_eq!(ProcessId::from_subject_id(&id.subject_id()), Some(id));
        for text in ["", "7", "7@", "@7", "7@x", "+7@8", "07@8", "7@8@9", " 7@8", "9999999999@8"] {
            assert_eq!(ProcessId::from_subject_id(text), None, "{text}");
        }
    }
}
