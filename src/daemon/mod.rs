//! The loop: waits for a reason to look, then runs one pass. Knows nothing of what a pass does.
//!
//! A [`Wake`] says "look now" and no more. Every pass looks at everything, so a lost event costs
//! at most one interval, never correctness. Bursts of file events are folded (`pace`), and so are
//! new processes below the gateway, which also have a budget; the exit of a watched process is
//! served at once; a stop is noticed between two actions of a pass and while it waits, and is never
//! starved.
//!
//! A stop lets the action in hand end. Further stop signals change nothing, because half an
//! action is worse than a late end; but after [`STOP_WITHIN`] the process ends anyway and says
//! so. What was in hand then is in doubt, and the next start looks before it acts.

mod deadline;
mod exits;
mod pace;
mod serve;
mod signals;
mod sources;
#[cfg(target_os = "linux")]
mod starts;
#[cfg(not(target_os = "linux"))]
#[path = "starts_unseen.rs"]
mod starts;
#[cfg(target_os = "linux")]
mod supervisor;
#[cfg(not(target_os = "linux"))]
#[path = "supervisor_none.rs"]
mod supervisor;
mod wake;

use std::path::PathBuf;
use std::time::Duration;
use std::{io, thread};

use thiserror::Error;
use tracing::error;

use crate::model::ProcessId;
use crate::observe::process::Lineage;
use crate::observe::watch::{Watch, WatchSet};
use deadline::Deadline;
use signals::{Signals, StopFlag};
use sources::Host;
use supervisor::Supervisor;

pub use signals::Sender;
pub use wake::Wake;

/// How long a stop waits for the action in hand. The shipped units allow 15 s before the service
/// manager kills, so that ours is the first to speak.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What the loop needs to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Settings {
    /// At most this long passes without a look.
    pub interval: Duration,
    /// Absolute paths of the configuration file and of the folder of drop-ins, whether they
    /// exist or not. A change of one of them is a reload. Empty: reload by SIGHUP only.
    pub config: Vec<PathBuf>,
}

/// One look at the world and what follows from it.
pub trait Pass {
    /// Looks, decides, acts. Blocks the loop, so it should be short; a long one asks `stop`
    /// between two actions and while it waits for something, and returns early when that is true.
    /// Whoever asks is at work: the service manager is told so.
    fn pass(&mut self, wake: &Wake, stop: &dyn Fn() -> bool) -> PassSummary;

    /// Reads the configuration again and returns its interval.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with it, one problem per line. Then nothing may have changed: the
    /// last good configuration stays in force.
    fn reload(&mut self) -> Result<Duration, String>;
}

/// What the loop needs to know of a pass that has ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PassSummary {
    /// One line for `systemctl status`. Escaped before it is sent.
    pub status_line: String,
    /// The folders whose changes are worth a look.
    pub watch: WatchSet,
    /// Live processes whose exit is worth a look: lock holders and the gateway. Only the first
    /// 256 are watched, on macOS 64. Empty where processes come from a captured table.
    pub holders: Vec<ProcessId>,
    /// The gateway and what was seen below it. A new process there is worth a look. Nothing where
    /// processes come from a captured table.
    pub lineage: Option<Lineage>,
    /// In how long something becomes due, if that is before the interval has passed.
    pub next_look: Option<Duration>,
}

/// Why the loop could not begin.
#[derive(Debug, Error)]
pub enum DaemonError {
    /// The runtime could not be made.
    #[error("failed to start the event loop")]
    Runtime(#[source] io::Error),
    /// The signal handlers could not be installed.
    #[error("failed to install the signal handlers")]
    Signals(#[source] io::Error),
}

/// Runs passes until SIGTERM or SIGINT: the first at once, then one for each wake.
///
/// SIGHUP reloads, SIGUSR1 asks for a pass now. Blocks the calling thread, which must not be
/// inside a runtime. Ends the process if a stop takes longer than [`STOP_WITHIN`].
///
/// # Errors
///
/// Returns an error if the loop could not begin; no pass has run then.
pub fn run<P: Pass>(settings: Settings, pass: &mut P) -> Result<(), DaemonError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(DaemonError::Runtime)?;
    runtime.block_on(async {
        let stop = StopFlag::default();
        let signals = Signals::install(&stop).map_err(DaemonError::Signals)?;
        let _deadline = Deadline::start(STOP_WITHIN, end_late).map_err(DaemonError::Signals)?;
        let mut host = Host::new(signals, Watch::new(settings.config));
        let supervisor = Supervisor::from_env();
        serve::serve(settings.interval, pass, &mut host, &supervisor, &stop).await;
        Ok(())
    })
}

/// Ends the process while the action in hand still runs.
#[expect(clippy::disallowed_methods, reason = "main is the one that hangs")]
fn end_late() {
    // Its own thread: standard error may be the very thing that the loop hangs on.
    let said = thread::Builder::new().spawn(|| {
        error!(
            "the action in hand did not end within {} s of the stop; ending without it, \
             the next start looks at what became of it",
            STOP_WITHIN.as_secs()
        );
    });
    if said.is_ok() {
        thread::sleep(Duration::from_millis(200));
    }
    std::process::exit(crate::exit::Exit::ActionFailed as i32)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;
    use crate::observe::process::family::Family;
    use nix::sys::signal::{Signal, raise};
    use std::path::Path;
    use std::process::{Child, Command};

    /// Makes the reason for the next pass at the end of each.
    struct Story {
        root: tempfile::TempDir,
        holder: Child,
        gateway: Family,
        started: Option<i32>,
        seen: Vec<Wake>,
        reloads: usize,
        saw_stop: bool,
    }

    impl Drop for Story {
        fn drop(&mut self) {
            self.holder.kill().unwrap();
            self.holder.wait().unwrap();
        }
    }

    impl Story {
        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn holder(&self) -> ProcessId {
            ProcessId { pid: i32::try_from(self.holder.id()).unwrap(), start_ticks: 1 }
        }

        fn next(&mut self, stop: &dyn Fn() -> bool) {
            match self.seen.len() {
                1 => self.holder.kill().unwrap(),
                2 => write(&self.path("sessions/a.jsonl.lock")),
                3 => raise(Signal::SIGHUP).unwrap(),
                4 => write(&self.path("etc/clawarden.yaml")),
                5 => raise(Signal::SIGUSR1).unwrap(),
                6 => self.started = Some(self.gateway.child()),
                _ => {
                    raise(Signal::SIGTERM).unwrap();
                    self.saw_stop = stop();
                }
            }
        }
    }

    impl Pass for Story {
        fn pass(&mut self, wake: &Wake, stop: &dyn Fn() -> bool) -> PassSummary {
            self.seen.push(*wake);
            self.next(stop);
            PassSummary {
                watch: WatchSet { folders: vec![self.path("sessions")] },
                holders: vec![self.holder()],
                lineage: Some(self.gateway.lineage(&[])),
                ..PassSummary::default()
            }
        }

        fn reload(&mut self) -> Result<Duration, String> {
            self.reloads += 1;
            Ok(Duration::from_secs(600))
        }
    }

    fn write(path: &Path) {
        std::fs::write(path, "{}").unwrap();
    }

    #[test]
    fn every_kind_of_wake_reaches_a_pass_on_a_real_host() {
        let _turn = signals::TURN.blocking_lock();
        let root = tempfile::tempdir().unwrap();
        for folder in ["sessions", "etc"] {
            std::fs::create_dir(root.path().join(folder)).unwrap();
        }
        let holder = Command::new("sleep").arg("600").spawn().unwrap();
        let config = vec![root.path().join("etc/clawarden.yaml")];
        let settings = Settings { interval: Duration::from_secs(600), config };
        let mut story = Story {
            root,
            holder,
            gateway: Family::new(),
            started: None,
            seen: Vec::new(),
            reloads: 0,
            saw_stop: false,
        };
        run(settings, &mut story).unwrap();

        let pid = i32::try_from(std::process::id()).unwrap();
        let sender = Some(Sender { pid, uid: nix::unistd::getuid().as_raw() });
        assert_eq!(
            story.seen,
            [
                Wake::Tick,
                Wake::ProcessExited(story.holder()),
                Wake::FileChanged,
                Wake::Reload { sender },
                Wake::ConfigChanged,
                Wake::Requested { sender },
                Wake::ProcessStarted(story.started.unwrap()),
            ]
        );
        assert_eq!(story.reloads, 2);
        assert!(story.saw_stop, "the pass sees a stop before the loop does");
    }
}
