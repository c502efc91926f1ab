//! Where the kernel does not tell children, new processes are found by the timer.

use crate::observe::process::Lineage;

/// Watches nothing.
#[derive(Debug)]
pub(super) struct Starts;

impl Starts {
    /// Does nothing.
    pub(super) fn new() -> Starts {
        Starts
    }

    /// Does nothing.
    pub(super) fn retarget(&mut self, _lineage: Option<&Lineage>) {}

    /// Never returns.
    pub(super) async fn next(&mut self) -> i32 {
        std::future::pending().await
    }
}
