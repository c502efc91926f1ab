//! What is asked about processes right before and while a tree of them is ended.

use crate::model::{Member, ProcessId, TreeEnd};

/// Looks at processes as they are at that instant, not as they were when the pass looked.
pub trait Census {
    /// Judges the root anew by the rule that decided it. Asked before anything is done, and once
    /// more while all of the tree stands still because of us.
    ///
    /// # Errors
    ///
    /// Returns why the judgement does not hold any more, for people.
    fn judge(&self, end: &TreeEnd, held: &[ProcessId]) -> Result<(), String>;

    /// Returns those of `known` that are alive, and everything below any of them, parents before
    /// their children, each with what forbids to signal it. A process in `held` was stopped by us,
    /// which is no guard.
    ///
    /// # Errors
    ///
    /// Returns why the process table could not be read.
    fn tree(&self, known: &[ProcessId], held: &[ProcessId]) -> Result<Vec<Member>, String>;

    /// Returns the memory of a process in bytes: its proportional share, else its resident size.
    fn memory(&self, id: ProcessId) -> Option<u64>;
}

/// Where there are no processes to look at, such as a captured state: nothing is ended.
#[derive(Clone, Copy, Debug)]
pub struct NoCensus;

const NOT_LIVE: &str = "a captured process is never signalled";

impl Census for NoCensus {
    fn judge(&self, _end: &TreeEnd, _held: &[ProcessId]) -> Result<(), String> {
        Err(NOT_LIVE.to_owned())
    }

    fn tree(&self, _known: &[ProcessId], _held: &[ProcessId]) -> Result<Vec<Member>, String> {
        Err(NOT_LIVE.to_owned())
    }

    fn memory(&self, _id: ProcessId) -> Option<u64> {
        None
    }
}
