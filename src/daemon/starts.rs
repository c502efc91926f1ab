//! Notices new processes below the gateway.
//!
//! No event tells an unprivileged process that another one has started, so this is the one source
//! that asks. An agent run may be short: on 2026.4.15 the adapters and the `claude` of a oneshot
//! run lose their parent 2.1 to 6.0 s after their start (#68916, measured), and only a pass in
//! between sees whose they are. Of four such, the passes of this source saw four, those of the
//! timer and of file changes none.

use std::path::Path;
use std::time::Duration;

use tokio::time::{self, Instant};
use tracing::debug;

use crate::observe::PROC;
use crate::observe::process::{Lineage, Offspring};

/// Half of the shortest life that was measured, so that a pass still comes in time.
const EVERY: Duration = Duration::from_secs(1);

/// The processes below the gateway.
#[derive(Debug)]
pub(super) struct Starts {
    /// `None` where the kernel does not tell children: the timer finds new processes then.
    offspring: Option<Offspring>,
    /// When to look next; `None` while no gateway is known.
    at: Option<Instant>,
}

impl Starts {
    pub(super) fn new() -> Starts {
        let offspring = Offspring::open(Path::new(PROC));
        if offspring.is_none() {
            debug!("new processes are found by the timer: the kernel does not tell children");
        }
        Starts { offspring, at: None }
    }

    /// Looks for processes that are new to `lineage` from now on.
    pub(super) fn retarget(&mut self, lineage: Option<&Lineage>) {
        let Some(offspring) = &mut self.offspring else { return };
        offspring.retarget(lineage);
        self.at = lineage.map(|_| self.at.unwrap_or_else(|| Instant::now() + EVERY));
    }

    /// Waits for the next one and returns its pid; others that are new by then are folded into
    /// it. May be dropped and called again without loss.
    pub(super) async fn next(&mut self) -> i32 {
        loop {
            let (Some(offspring), Some(at)) = (&mut self.offspring, &mut self.at) else {
                return std::future::pending().await;
            };
            time::sleep_until(*at).await;
            *at = Instant::now() + EVERY;
            if let Some(pid) = offspring.newcomer() {
                return pid;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::process::family::Family;

    async fn next(starts: &mut Starts, within: Duration) -> Option<i32> {
        time::timeout(within, starts.next()).await.ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_child_of_the_gateway_is_noticed_within_a_second_and_once() {
        let mut family = Family::new();
        let mut starts = Starts::new();
        starts.retarget(Some(&family.lineage(&[])));
        let pid = family.child();
        assert_eq!(next(&mut starts, EVERY).await, Some(pid));
        assert_eq!(next(&mut starts, EVERY * 9).await, None);
        starts.retarget(Some(&family.lineage(&[pid])));
        assert_eq!(next(&mut starts, EVERY * 9).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn neither_passes_nor_other_events_put_it_off() {
        let mut family = Family::new();
        let mut starts = Starts::new();
        starts.retarget(Some(&family.lineage(&[])));
        let pid = family.child();
        assert_eq!(next(&mut starts, EVERY * 2 / 3).await, None);
        starts.retarget(Some(&family.lineage(&[])));
        assert_eq!(next(&mut starts, EVERY * 2 / 3).await, Some(pid));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_noticed_while_no_gateway_is_known() {
        let mut family = Family::new();
        let mut starts = Starts::new();
        starts.retarget(Some(&family.lineage(&[])));
        starts.retarget(None);
        family.child();
        assert_eq!(next(&mut starts, EVERY * 9).await, None);
    }
}
