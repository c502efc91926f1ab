//! Turns signals into requests, and remembers who sent them.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_core::Stream;
use signal_hook::consts::signal::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::Origin;
use signal_hook::{flag, low_level};
use signal_hook_tokio::SignalsInfo;

use super::wake::Wake;

/// The signals that end the daemon.
pub(super) const STOPS: [i32; 2] = [SIGTERM, SIGINT];

/// Whether a stop was asked for. Set by the signal handler itself, so that a pass that blocks
/// the loop sees it too.
#[derive(Clone, Debug, Default)]
pub(super) struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    /// Returns true if the current pass is to end after the action in hand.
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// Asks for the end of the pass, as SIGTERM does.
    #[cfg(test)]
    pub(super) fn set(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Who sent a signal. For the log only: the sender may have ended and its pid been reused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sender {
    /// Its pid, in our pid namespace; 0 if it is outside.
    pub pid: i32,
    /// Its real user id.
    pub uid: u32,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pid {} of uid {}", self.pid, self.uid)
    }
}

/// The signals that the daemon answers.
pub(super) struct Signals(SignalsInfo<WithOrigin>);

impl Signals {
    /// Installs the handlers. `stop` is set by those of SIGTERM and SIGINT. Must be called
    /// inside a runtime.
    pub(super) fn install(stop: &StopFlag) -> io::Result<Signals> {
        for signal in STOPS {
            flag::register(signal, Arc::clone(&stop.0))?;
        }
        SignalsInfo::new([SIGHUP, SIGINT, SIGTERM, SIGUSR1]).map(Signals)
    }

    /// Waits for the next request. May be dropped and called again without loss; equal signals
    /// may be merged.
    pub(super) async fn next(&mut self) -> Wake {
        match poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)).await {
            Some(origin) => request(&origin),
            // Not reached: nobody closes the stream.
            None => std::future::pending().await,
        }
    }
}

/// Returns the name of a signal such as `SIGTERM`.
pub(super) fn name(signal: i32) -> &'static str {
    low_level::signal_name(signal).unwrap_or("a signal")
}

fn request(origin: &Origin) -> Wake {
    let sender = origin.process.map(|process| Sender { pid: process.pid, uid: process.uid });
    match origin.signal {
        SIGHUP => Wake::Reload { sender },
        SIGUSR1 => Wake::Requested { sender },
        signal => Wake::Stop { sender, signal },
    }
}

/// Signals reach every test of this process: tests that raise one take turns.
#[cfg(test)]
pub(super) static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal, raise};

    #[tokio::test]
    async fn each_signal_is_a_request_that_names_its_sender() {
        let _turn = TURN.lock().await;
        let stop = StopFlag::default();
        let mut signals = Signals::install(&stop).unwrap();
        let pid = i32::try_from(std::process::id()).unwrap();
        let sender = Some(Sender { pid, uid: nix::unistd::getuid().as_raw() });
        for (signal, want) in [
            (Signal::SIGHUP, Wake::Reload { sender }),
            (Signal::SIGUSR1, Wake::Requested { sender }),
        ] {
            raise(signal).unwrap();
            assert_eq!(signals.next().await, want);
            assert!(!stop.is_set());
        }
        for signal in [Signal::SIGTERM, Signal::SIGINT] {
            raise(signal).unwrap();
            assert!(stop.is_set(), "before the loop has had a chance to run");
            assert_eq!(signals.next().await, Wake::Stop { sender, signal: signal as i32 });
        }
    }
}
