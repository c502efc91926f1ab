//! Reasons to look.

use std::fmt;

use super::signals::{self, Sender};
use crate::model::ProcessId;

/// Why a pass runs. Logged with it, and never used to decide anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wake {
    /// The interval is over, or something has become due.
    Tick,
    /// Files of the gateway changed, or events were lost.
    FileChanged,
    /// A process that holds a lock, or the gateway itself, ended. Others may have too.
    ProcessExited(ProcessId),
    /// A process with this pid began below the gateway. Others may have too.
    ProcessStarted(i32),
    /// Somebody asked for a pass (SIGUSR1).
    Requested {
        /// Who, as far as the kernel says.
        sender: Option<Sender>,
    },
    /// Somebody asked for a reload (SIGHUP); it has happened.
    Reload {
        /// Who, as far as the kernel says.
        sender: Option<Sender>,
    },
    /// Somebody asked for the end (SIGTERM, SIGINT). No pass runs for it.
    Stop {
        /// Who, as far as the kernel says.
        sender: Option<Sender>,
        /// The number of the signal.
        signal: i32,
    },
    /// A file of the configuration changed; the reload has happened.
    ConfigChanged,
}

impl fmt::Display for Wake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wake::Tick => f.write_str("timer"),
            Wake::FileChanged => f.write_str("file change"),
            Wake::ProcessExited(id) => write!(f, "end of {id}"),
            Wake::ProcessStarted(pid) => write!(f, "start of pid {pid}"),
            Wake::Requested { sender } => write!(f, "request{}", From(sender)),
            Wake::Reload { sender } => write!(f, "request to reload{}", From(sender)),
            Wake::Stop { sender, signal } => {
                write!(f, "{}{}", signals::name(*signal), From(sender))
            }
            Wake::ConfigChanged => f.write_str("change of the configuration"),
        }
    }
}

struct From<'a>(&'a Option<Sender>);

impl fmt::Display for From<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(sender) => write!(f, " from {sender}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_named_with_its_sender() {
        let sender = Some(Sender { pid: 7, uid: 1000 });
        assert_eq!(Wake::Stop { sender, signal: 15 }.to_string(), "SIGTERM from pid 7 of uid 1000");
        assert_eq!(Wake::Stop { sender: None, signal: 2 }.to_string(), "SIGINT");
        assert_eq!(Wake::Requested { sender }.to_string(), "request from pid 7 of uid 1000");
    }
}
