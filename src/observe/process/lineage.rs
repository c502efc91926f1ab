//! A process and what is below it, as a pass saw it.

use crate::model::ProcessId;

/// What a new process is new to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Lineage {
    /// The topmost process.
    pub root: ProcessId,
    /// All that was seen below it.
    pub descendants: Vec<ProcessId>,
}
