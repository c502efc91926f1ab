//! What tests of this module share.

use std::path::Path;

use tempfile::TempDir;

use super::{Actuator, Quarantine, Reach, Step};
use crate::clock::Clock;
use crate::model::{ProcessId, UnixMillis};

pub(super) const NOW: UnixMillis = UnixMillis(1_795_200_000_000);
pub(super) const GATEWAY: ProcessId = ProcessId { pid: 4711, start_ticks: 1 };

/// A sessions folder and a quarantine of its own.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) sessions: TempDir,
    pub(super) quarantine: TempDir,
}

impl Place {
    pub(super) fn new() -> Place {
        Place { sessions: tempfile::tempdir().unwrap(), quarantine: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.sessions.path().join(name)
    }

    /// The names in the sessions folder, sorted: nothing may be left behind.
    pub(super) fn names(&self) -> Vec<String> {
        names(self.sessions.path())
    }

    pub(super) fn actuator<'a>(
        &self,
        reach: Reach,
        is_alive: &'a dyn Fn(ProcessId) -> bool,
        before: &'a dyn Fn(Step),
    ) -> Actuator<'a> {
        Actuator {
            reach,
            quarantine: Quarantine::new(self.quarantine.path().to_owned()),
            clock: Clock::Frozen(NOW),
            own: Some(ProcessId { pid: 99, start_ticks: 5 }),
            is_alive,
            census: &super::NoCensus,
            speak: None,
            stopped: &|| Err("nobody looks for a gateway here".to_owned()),
            lanes: &super::NoLaneCensus,
            hurry: &|| false,
            wait: &nothing_meanwhile,
            before,
        }
    }
}

pub(super) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn alive(_: ProcessId) -> bool {
    true
}

pub(super) fn nothing(_: Step) {}

/// Tests do not wait: what would be waited for is done by then, or never.
pub(super) fn nothing_meanwhile(_: std::time::Duration) {}
