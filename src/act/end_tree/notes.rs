//! `stopped.jsonl`: which processes were stopped, written before they are.
//!
//! It is what keeps a crash from leaving a process stopped for ever.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::act::error::ActError;
use crate::act::{Quarantine, file};
use crate::model::{ActionId, ProcessId};

const NAME: &str = "stopped.jsonl";

/// One line.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Note {
    /// This process is stopped next.
    Stop(ProcessId),
    /// SIGTERM is sent next, to everything that was stopped.
    Terminate,
    /// Everything that was stopped runs on.
    Continued,
}

/// The open file.
#[derive(Debug)]
pub(super) struct Notes {
    path: PathBuf,
    file: File,
}

impl Notes {
    /// Makes the file in the folder of an action that has begun.
    pub(super) fn create(quarantine: &Quarantine, id: ActionId) -> Result<Notes, ActError> {
        let folder = quarantine.folder(id);
        let path = folder.join(NAME);
        let made =
            file::create(&path, 0o600).and_then(|file| file::sync_folder(&folder).map(|()| file));
        match made {
            Ok(file) => Ok(Notes { path, file }),
            Err(source) => Err(ActError::Quarantine { path, source }),
        }
    }

    /// Adds lines and returns when they are on disk.
    pub(super) fn add(&mut self, notes: &[Note]) -> Result<(), ActError> {
        let mut text = Vec::new();
        let mut write = || -> io::Result<()> {
            for note in notes {
                serde_json::to_writer(&mut text, note)?;
                text.push(b'\n');
            }
            self.file.write_all(&text)?;
            self.file.sync_data()
        };
        write().map_err(|source| ActError::Quarantine { path: self.path.clone(), source })
    }
}

/// What an action noted, as far as it is needed after a crash.
#[derive(Debug, Default, Eq, PartialEq)]
pub(super) struct Noted {
    /// Every process that was to be stopped, in their order.
    pub stopped: Vec<ProcessId>,
    /// Those of them that may still stand still.
    pub held: Vec<ProcessId>,
    /// Whether SIGTERM was to be sent.
    pub terminated: bool,
}

/// Reads what an action noted; nothing if it never came so far.
///
/// A line that cannot be read is passed over: the last one may be torn, and a process that stands
/// still must run on whatever has become of the others. Each is looked at before it is signalled.
pub(super) fn read(quarantine: &Quarantine, id: ActionId) -> Result<Noted, ActError> {
    let path = quarantine.folder(id).join(NAME);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(ActError::Manifest { path, source }),
    };
    let mut noted = Noted::default();
    for line in bytes.split(|byte| *byte == b'\n') {
        match serde_json::from_slice(line) {
            Ok(Note::Stop(id)) => {
                noted.stopped.push(id);
                noted.held.push(id);
            }
            Ok(Note::Terminate) => noted.terminated = true,
            Ok(Note::Continued) => noted.held.clear(),
            Err(_) => {}
        }
    }
    noted.stopped.sort_unstable();
    noted.stopped.dedup();
    Ok(noted)
}
