//! Where there is no pidfd, the end of a process is found by the timer.

use crate::model::ProcessId;

/// Watches nothing.
#[derive(Debug, Default)]
pub(super) struct Exits;

impl Exits {
    /// Does nothing.
    pub(super) fn retarget(&mut self, _holders: &[ProcessId]) {}

    /// Never returns.
    pub(super) async fn next(&mut self) -> ProcessId {
        std::future::pending().await
    }
}
