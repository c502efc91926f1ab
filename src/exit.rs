//! Exit codes. Part of the interface: scripts and unit files rely on them.

/// How the process ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// The command did what it was asked; a pass completed.
    Success = 0,
    /// An action failed, or could not be verified.
    ActionFailed = 1,
    /// With `--detailed-exit-code`: something is wrong, and nothing was done about it.
    Findings = 10,
    /// With `--detailed-exit-code`: acted, and every effect was verified.
    Acted = 11,
    /// The command line is wrong. `EX_USAGE`.
    Usage = 64,
    /// The gateway or its state directory is needed and cannot be reached. `EX_UNAVAILABLE`.
    Unavailable = 69,
    /// Our own state cannot be written. `EX_CANTCREAT`.
    State = 73,
    /// Another instance runs on this state directory. `EX_TEMPFAIL`.
    AlreadyRunning = 75,
    /// The state directory or our own state is another user's, or a backing session is not given back.
    /// `EX_NOPERM`.
    NotPermitted = 77,
    /// The configuration is wrong. `EX_CONFIG`.
    Config = 78,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_an_interface() {
        let codes = [
            (Exit::Success, 0),
            (Exit::ActionFailed, 1),
            (Exit::Findings, 10),
            (Exit::Acted, 11),
            (Exit::Usage, 64),
            (Exit::Unavailable, 69),
            (Exit::State, 73),
            (Exit::AlreadyRunning, 75),
            (Exit::NotPermitted, 77),
            (Exit::Config, 78),
        ];
        for (exit, code) in codes {
            assert_eq!(exit as u8, code);
        }
    }
}
