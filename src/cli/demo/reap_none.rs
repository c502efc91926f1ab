//! Elsewhere than on Linux, nothing is known that proves a process to be an orphan.

use super::stage::Stage;
use crate::cli::Failure;
use crate::config::Config;
use crate::exit::Exit;
use crate::pass::Passes;
use crate::report::PassReport;

const NOT_HERE: &str = "processes are only ended on Linux";

/// There is none.
pub(super) struct Reaping {
    /// The watchdog's configuration.
    pub(super) config: Config,
}

impl Reaping {
    /// Does nothing.
    ///
    /// # Errors
    ///
    /// Always says why.
    pub(super) fn prepare(_: &Stage) -> Result<Reaping, String> {
        Err(NOT_HERE.to_owned())
    }

    pub(super) fn introduction(&self) -> String {
        String::new()
    }

    pub(super) fn watch(&self, _: &mut Passes) -> Result<PassReport, String> {
        Err(NOT_HERE.to_owned())
    }

    pub(super) fn is_over(&self, _: &Passes) -> bool {
        true
    }

    pub(super) fn pid(&self) -> i32 {
        0
    }
}

pub(super) fn guard(_: &str) -> Result<Exit, Failure> {
    Err(Failure::new(Exit::Usage, NOT_HERE))
}
