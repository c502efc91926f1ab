//! The end of the patience with a stop.
//!
//! The loop blocks while a pass runs, so it cannot see that a stop takes too long. A thread of
//! its own does: it sleeps in a read until a stop signal writes to its pipe.

use std::io::{self, Read};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use signal_hook::low_level::pipe;

use super::signals::STOPS;

/// The thread sleeps and logs a line.
const STACK_BYTES: usize = 64 * 1024;

/// Calls for the end of the process, unless it is dropped within the limit after a stop signal.
#[derive(Debug)]
pub(super) struct Deadline {
    /// Its drop tells the thread that the loop has ended.
    _running: mpsc::Sender<()>,
    wakeup: UnixStream,
}

impl Deadline {
    /// Starts to wait for a stop signal; `limit` after it, `expired` is called on another thread.
    pub(super) fn start(
        limit: Duration,
        expired: impl FnOnce() + Send + 'static,
    ) -> io::Result<Deadline> {
        let (mut signalled, wakeup) = UnixStream::pair()?;
        for signal in STOPS {
            pipe::register(signal, wakeup.try_clone()?)?;
        }
        let (running, ended) = mpsc::channel::<()>();
        thread::Builder::new().name("deadline".to_owned()).stack_size(STACK_BYTES).spawn(
            move || {
                only_handled();
                let is_signal = matches!(signalled.read(&mut [0]), Ok(1));
                if is_signal && ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                    expired();
                }
            },
        )?;
        Ok(Deadline { _running: running, wakeup })
    }
}

/// Leaves every signal that nothing handles to the loop, which lets them wait while processes stand
/// still because of it. One that this thread took would end, or stop, all of us.
fn only_handled() {
    let mut others = SigSet::all();
    for handled in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1] {
        others.remove(handled);
    }
    let _ = others.thread_block();
}

impl Drop for Deadline {
    fn drop(&mut self) {
        // Wakes a thread that no signal has woken. There is nothing to be done if it fails.
        let _ = self.wakeup.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::signals::TURN;
    use nix::sys::signal::raise;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_stop_that_takes_too_long_is_noticed_while_the_loop_blocks() {
        let _turn = TURN.blocking_lock();
        let (sender, expired) = mpsc::channel();
        let limit = Duration::from_millis(20);
        let deadline = Deadline::start(limit, move || sender.send(()).unwrap()).unwrap();
        assert!(expired.recv_timeout(limit * 2).is_err(), "no signal, no end");
        raise(Signal::SIGTERM).unwrap();
        expired.recv_timeout(LONG).unwrap();
        drop(deadline);
    }

    #[test]
    fn a_stop_in_time_ends_quietly() {
        let _turn = TURN.blocking_lock();
        let (sender, expired) = mpsc::channel::<()>();
        let deadline = Deadline::start(LONG, move || sender.send(()).unwrap()).unwrap();
        raise(Signal::SIGTERM).unwrap();
        drop(deadline);
        assert_eq!(expired.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    }

    #[test]
    fn without_a_signal_the_thread_ends_with_the_loop() {
        let (sender, expired) = mpsc::channel::<()>();
        drop(Deadline::start(LONG, move || sender.send(()).unwrap()).unwrap());
        assert_eq!(expired.recv_timeout(LONG), Err(RecvTimeoutError::Disconnected));
    }
}
