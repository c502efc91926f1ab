//! Where wakes come from.

use super::PassSummary;
use super::exits::Exits;
use super::signals::Signals;
use super::starts::Starts;
use super::wake::Wake;
use crate::model::ProcessId;
use crate::observe::watch::{Change, Watch};

/// Something that happened outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Event {
    /// A signal.
    Signal(Wake),
    /// A watched process ended.
    Exited(ProcessId),
    /// A process began below the gateway; its pid.
    Started(i32),
    /// A watched file changed.
    Changed(Change),
}

/// The outside, as far as it can wake us.
pub(super) trait Sources {
    /// Waits for what happens next. May be dropped and called again without loss.
    async fn next(&mut self) -> Event;

    /// Listens for what the last pass asks for. Returns true if something is listened for that
    /// was not before.
    fn retarget(&mut self, summary: &PassSummary) -> bool;
}

/// This host.
pub(super) struct Host {
    signals: Signals,
    watch: Watch,
    exits: Exits,
    starts: Starts,
}

impl Host {
    pub(super) fn new(signals: Signals, watch: Watch) -> Host {
        Host { signals, watch, exits: Exits::default(), starts: Starts::new() }
    }
}

impl Sources for Host {
    async fn next(&mut self) -> Event {
        tokio::select! {
            // In order: neither a stop nor an end or a start is starved by a busy folder.
            biased;
            wake = self.signals.next() => Event::Signal(wake),
            id = self.exits.next() => Event::Exited(id),
            pid = self.starts.next() => Event::Started(pid),
            change = self.watch.changed() => Event::Changed(change),
        }
    }

    fn retarget(&mut self, summary: &PassSummary) -> bool {
        self.exits.retarget(&summary.holders);
        self.starts.retarget(summary.lineage.as_ref());
        self.watch.retarget(&summary.watch)
    }
}
