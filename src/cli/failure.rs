//! How a command fails: an exit code and one message that names the object and the next step.

use std::error::Error;
use std::fmt;
use std::io::{ErrorKind, Write};

use crate::config::Problems;
use crate::error::chain;
use crate::exit::Exit;
use crate::journal::{HomeError, InstanceError, JournalError};
use crate::observe::ObserveError;
use crate::observe::locate::LocateError;
use crate::pass::PassError;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// Fails with a message for people.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into() }
    }

    /// Fails with what an error says it failed to do.
    #[must_use]
    pub fn failed_to(exit: Exit, error: &dyn Error) -> Failure {
        Failure::new(exit, format!("failed to {}", chain(error)))
    }

    /// The command line cannot be carried out.
    #[must_use]
    pub fn usage(error: &dyn Error) -> Failure {
        Failure::new(Exit::Usage, chain(error))
    }

    /// Prints the message on standard error and returns the exit code.
    #[must_use]
    pub fn print(&self) -> Exit {
        // Nobody is left to be told if this fails.
        let _ = writeln!(std::io::stderr(), "clawarden: {}", self.message);
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Failure {
        Failure::new(Exit::Config, format!("the configuration is not usable\n{problems}"))
    }
}

impl From<LocateError> for Failure {
    fn from(error: LocateError) -> Failure {
        let exit = match &error {
            LocateError::Missing { source, .. } | LocateError::WorkingDirectory { source }
                if source.kind() == ErrorKind::PermissionDenied =>
            {
                Exit::NotPermitted
            }
            LocateError::Missing { .. }
            | LocateError::NoFolder { .. }
            | LocateError::WorkingDirectory { .. } => Exit::Unavailable,
        };
        Failure::failed_to(exit, &error)
    }
}

impl From<HomeError> for Failure {
    fn from(error: HomeError) -> Failure {
        let is_foreign = matches!(error, HomeError::NotOwner { .. });
        let exit = if is_foreign { Exit::NotPermitted } else { Exit::State };
        Failure::failed_to(exit, &error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Failure {
        Failure::failed_to(Exit::State, &error)
    }
}

impl From<InstanceError> for Failure {
    fn from(error: InstanceError) -> Failure {
        let exit = match error {
            InstanceError::AlreadyRunning { .. } | InstanceError::Acting { .. } => {
                Exit::AlreadyRunning
            }
            InstanceError::Take { .. } => Exit::State,
        };
        Failure::failed_to(exit, &error)
    }
}

impl From<ObserveError> for Failure {
    fn from(error: ObserveError) -> Failure {
        Failure::failed_to(Exit::Unavailable, &error)
    }
}

impl From<PassError> for Failure {
    fn from(error: PassError) -> Failure {
        match error {
            PassError::Observe(error) => error.into(),
            PassError::Journal(error) => error.into(),
            PassError::Busy(error) => error.into(),
            PassError::Stopped => Failure::failed_to(Exit::Unavailable, &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[track_caller]
    fn check(failure: Failure, exit: Exit, says: &str) {
        assert_eq!(failure.exit, exit, "{}", failure.message);
        assert!(failure.message.contains(says), "{}", failure.message);
    }

    #[test]
    fn what_belongs_to_another_user_is_77_and_what_is_not_there_is_not() {
        let missing = |kind: io::ErrorKind| LocateError::Missing {
            path: "/home/ana/.openclaw".into(),
            source: kind.into(),
        };
        check(missing(io::ErrorKind::PermissionDenied).into(), Exit::NotPermitted, "/home/ana");
        check(missing(io::ErrorKind::NotFound).into(), Exit::Unavailable, "/home/ana");
        let foreign = HomeError::NotOwner { path: "/s".into(), uid: 7 };
        check(foreign.into(), Exit::NotPermitted, "run clawarden as that user");
        check(HomeError::Nowhere.into(), Exit::State, "STATE_DIRECTORY or HOME");
    }
}
