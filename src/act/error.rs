//! What can go wrong while acting. Each message fits after "failed to".

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::gateway::CallError;
use crate::model::{ProcessId, Rung, SessionKey};

/// An attempt that was made and failed. What was attempted is undone as far as the message says.
#[derive(Debug, Error)]
pub enum ActError {
    /// The subject could not be looked at again.
    #[error("look at `{path}` again before acting on it")]
    Look {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing was changed: a copy of what would be changed could not be kept.
    #[error("keep a copy of `{path}` in quarantine; nothing was changed")]
    Quarantine {
        /// The file in quarantine.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The lock could not be moved.
    #[error("move lock `{path}` out of the way")]
    MoveLock {
        /// The lock.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A lock that was taken anew in the last moment could not be put back: a human must look.
    #[error("put lock `{path}` back; it was taken anew while it was moved, and lies in `{moved}`")]
    ReturnLock {
        /// Where it belongs.
        path: PathBuf,
        /// Where it is.
        moved: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The new file could not be written beside the old one; the old one is untouched.
    #[error("write `{path}` beside the file it is to replace; that one is untouched")]
    WriteAside {
        /// The new file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be exchanged for the new one; it is untouched.
    #[error("exchange `{path}` for the edited one; it is untouched")]
    Exchange {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The gateway's version of a file could not be put back: a human must look.
    #[error("put the gateway's `{path}` back; its last version lies in `{moved}`")]
    Return {
        /// Where it belongs.
        path: PathBuf,
        /// Where it is.
        moved: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The row is not in a shape that can be edited without touching anything else.
    #[error("edit row `{key}` of `{path}`: {why}; the store is untouched")]
    EditRow {
        /// The store.
        path: PathBuf,
        /// The row.
        key: SessionKey,
        /// Why.
        why: String,
    },
    /// The record is not in a shape that can be edited without touching anything else.
    #[error("close record `{path}`: {why}; it is untouched, and no process was signalled")]
    EditRecord {
        /// The record.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The kernel did not say what lives under a pid.
    #[error("take hold of {id}")]
    Hold {
        /// The process.
        id: ProcessId,
        /// Why.
        source: io::Error,
    },
    /// The kernel did not let us signal a process. Those that were stopped go on.
    #[error("signal {id}; run clawarden as the gateway's user")]
    Signal {
        /// The process.
        id: ProcessId,
        /// Why.
        source: io::Error,
    },
    /// The end of processes could not be waited for.
    #[error("wait for the end of {id} and what is below it")]
    Wait {
        /// The topmost process.
        id: ProcessId,
        /// Why.
        source: io::Error,
    },
    /// The gateway refused, or could not even be told.
    #[error("have the gateway {rung} `{key}`; nothing was done")]
    Call {
        /// What it was to do.
        rung: Rung,
        /// The lane.
        key: SessionKey,
        /// Why.
        source: CallError,
    },
    /// What an action left for later could not be read.
    #[error("read the manifest `{path}`")]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
