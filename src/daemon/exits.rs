//! Notices the end of processes, each through a descriptor that becomes readable then: a pidfd, or
//! a kqueue on macOS.
//!
//! It is opened by pid, and the process may have ended and its pid been reused just then: then
//! somebody else's end wakes us. That is harmless, because a wake decides nothing.

#[cfg(target_os = "macos")]
#[path = "exits_kqueue.rs"]
mod platform;
#[cfg(target_os = "linux")]
#[path = "exits_pidfd.rs"]
mod platform;

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tracing::debug;

use crate::model::ProcessId;

/// Bounds the descriptors; a host with more lock holders at once was never seen. The ends of
/// the others are found by the timer.
const WATCHED_MAX: usize = platform::WATCHED_MAX;

/// The processes whose end is worth a look.
#[derive(Debug, Default)]
pub(super) struct Exits {
    watched: BTreeMap<ProcessId, AsyncFd<OwnedFd>>,
    /// Ended, not told yet.
    ended: Vec<ProcessId>,
    /// Told. A pass may keep naming a dead holder, and is not woken for it again.
    told: BTreeSet<ProcessId>,
}

impl Exits {
    /// Watches exactly `holders`, the first [`WATCHED_MAX`] of them. Must be called inside a runtime.
    pub(super) fn retarget(&mut self, holders: &[ProcessId]) {
        let wanted: BTreeSet<ProcessId> = holders.iter().take(WATCHED_MAX).copied().collect();
        self.watched.retain(|id, _| wanted.contains(id));
        self.ended.retain(|id| wanted.contains(id));
        self.told.retain(|id| wanted.contains(id));
        for id in wanted {
            let known = self.watched.contains_key(&id)
                || self.ended.contains(&id)
                || self.told.contains(&id);
            if !known {
                self.watch(id);
            }
        }
    }

    /// Waits until one has ended and returns it; others that have ended by then are folded into
    /// it. May be dropped and called again without loss.
    pub(super) async fn next(&mut self) -> ProcessId {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn watch(&mut self, id: ProcessId) {
        match open(id.pid) {
            Ok(Some(fd)) => {
                self.watched.insert(id, fd);
            }
            Ok(None) => self.ended.push(id),
            Err(error) => debug!("not waiting for the end of {id}: {error}"),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ProcessId> {
        let Exits { watched, ended, told } = self;
        watched.retain(|id, fd| {
            let runs = fd.poll_read_ready(cx).is_pending();
            if !runs {
                ended.push(*id);
            }
            runs
        });
        let Some(&first) = ended.first() else { return Poll::Pending };
        told.extend(ended.drain(..));
        Poll::Ready(first)
    }
}

/// Returns nothing if the process has ended.
#[expect(
    deprecated,
    reason = "the successor is unsafe for the sake of types that lie about their descriptor; \
              an OwnedFd keeps its own open for as long as it is registered"
)]
fn open(pid: i32) -> io::Result<Option<AsyncFd<OwnedFd>>> {
    // Zero and less name no process.
    if pid < 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    match platform::open(pid)? {
        Some(fd) => AsyncFd::with_interest(fd, Interest::READABLE).map(Some),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;
    use tokio::time::timeout;

    /// Ends with the test, also with one that fails.
    struct Holder(Child);

    impl Drop for Holder {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    fn child() -> (Holder, ProcessId) {
        let child = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        (Holder(child), ProcessId { pid, start_ticks: 1 })
    }

    async fn next(exits: &mut Exits) -> Option<ProcessId> {
        timeout(Duration::from_secs(60), exits.next()).await.ok()
    }

    async fn is_quiet(exits: &mut Exits) -> bool {
        timeout(Duration::from_millis(20), exits.next()).await.is_err()
    }

    #[tokio::test]
    async fn the_end_of_a_holder_is_noticed_once() {
        let (one, id) = child();
        let (other, stays) = child();
        let mut exits = Exits::default();
        exits.retarget(&[id, stays]);
        assert!(is_quiet(&mut exits).await);
        drop(one);
        assert_eq!(next(&mut exits).await, Some(id));
        exits.retarget(&[id, stays]);
        assert!(is_quiet(&mut exits).await, "a pass that still names it is not woken again");
        drop(other);
    }

    #[tokio::test]
    async fn a_holder_that_ended_before_is_noticed_once() {
        let (gone, id) = child();
        drop(gone);
        let mut exits = Exits::default();
        exits.retarget(&[id]);
        exits.retarget(&[id]);
        assert_eq!(next(&mut exits).await, Some(id));
        exits.retarget(&[id]);
        assert!(is_quiet(&mut exits).await);
        exits.retarget(&[]);
        exits.retarget(&[id]);
        assert_eq!(next(&mut exits).await, Some(id), "forgotten, and named anew");
    }

    #[tokio::test]
    async fn a_zombie_counts_as_ended() {
        let (mut zombie, id) = child();
        let mut exits = Exits::default();
        exits.retarget(&[id]);
        zombie.0.kill().unwrap();
        assert_eq!(next(&mut exits).await, Some(id));
    }

    #[tokio::test]
    async fn many_ends_are_one_wake() {
        let (children, ids): (Vec<Holder>, Vec<ProcessId>) = (0..4).map(|_| child()).unzip();
        drop(children);
        let mut exits = Exits::default();
        exits.retarget(&ids);
        assert!(next(&mut exits).await.is_some());
        assert!(is_quiet(&mut exits).await);
    }

    #[tokio::test]
    async fn the_end_of_one_that_is_no_longer_wanted_is_not_noticed() {
        let (one, id) = child();
        let mut exits = Exits::default();
        exits.retarget(&[id]);
        exits.retarget(&[]);
        drop(one);
        assert!(is_quiet(&mut exits).await);
    }

    #[tokio::test]
    async fn the_number_of_descriptors_is_bounded_and_nonsense_is_ignored() {
        let me = i32::try_from(std::process::id()).unwrap();
        let many = (0..300).map(|start_ticks| ProcessId { pid: me, start_ticks });
        let mut exits = Exits::default();
        exits.retarget(&many.collect::<Vec<_>>());
        assert_eq!(exits.watched.len(), WATCHED_MAX);
        let nonsense = [0, -1, i32::MIN].map(|pid| ProcessId { pid, start_ticks: 0 });
        exits.retarget(&nonsense);
        assert!(exits.watched.is_empty() && exits.ended.is_empty());
    }
}
