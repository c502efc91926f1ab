//! Carries out a plan. The only module that changes anything outside our own state.
//!
//! As little as possible is decided here: choices belong in `policy` and `plan`, where they can be
//! tested without touching a file.
//!
//! Every action has two halves. The first takes hold of the subject and compares it with what was
//! judged; the second changes exactly that. A dry run is the first half alone, so it cannot
//! disagree with the real one. Before the first change, a manifest in quarantine says what is
//! about to happen; [`recover`] finishes or reverts whatever a crash left.
#![expect(clippy::disallowed_methods, reason = "this is the actuator; see .clippy.toml")]

mod attributes;
mod census;
#[cfg(target_os = "linux")]
mod end_tree;
#[cfg(not(target_os = "linux"))]
#[path = "end_tree_none.rs"]
mod end_tree;
mod error;
mod exchange;
mod file;
mod lane;
mod lock;
mod object;
mod purge;
mod quarantine;
#[cfg_attr(
    not(target_os = "linux"),
    expect(dead_code, reason = "records are closed with processes, and those end on Linux only")
)]
mod record;
mod recover;
mod restore;
mod row;
#[cfg(test)]
mod testing;
mod undo;

use std::fmt;
use std::time::Duration;

pub use census::{Census, NoCensus};
pub use error::ActError;
pub use lane::{LaneCensus, NoLaneCensus};
pub use purge::{Member, PurgeManifest, PurgePart};
pub use quarantine::{
    CallManifest, Manifest, Quarantine, Realm, RecordManifest, RowManifest, TreeManifest,
};
pub use recover::recover;
pub use restore::{Restored, restore};
pub use undo::undo;

use crate::clock::Clock;
use crate::gateway::Speak;
use crate::model::{Action, ActionId, Outcome, ProcessId};

/// Whether the second half of an action is carried out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Look, compare, and stop.
    DryRun,
    /// Look, compare, change, verify.
    Live,
}

/// Acts, or pretends to.
#[derive(Clone)]
pub struct Actuator<'a> {
    /// Whether to change anything.
    pub reach: Reach,
    /// Where things are kept.
    pub quarantine: Quarantine,
    /// The clock of judgements.
    pub clock: Clock,
    /// Our own identity, for the locks we take; `None` where it cannot be told.
    pub own: Option<ProcessId>,
    /// Answers whether that very process is alive now. Asked right before each change: under
    /// another gateway, or none, the judgement is void.
    pub is_alive: &'a dyn Fn(ProcessId) -> bool,
    /// Looks at processes again, while a tree of them is ended.
    pub census: &'a dyn Census,
    /// Speaks with the gateway; `None`: nobody does, and no lane is repaired through it.
    pub speak: Option<&'a dyn Speak>,
    /// Says why the gateway is not proven to be stopped; looked at anew each time.
    pub stopped: &'a dyn Fn() -> Result<(), String>,
    /// Looks at a lane again, while the gateway repairs it.
    pub lanes: &'a dyn LaneCensus,
    /// Answers whether somebody waits for us to be done. Asked while processes end, and while the
    /// effect of a repair is looked for.
    pub hurry: &'a dyn Fn() -> bool,
    /// Waits for so long; a test may do something meanwhile.
    pub wait: &'a dyn Fn(Duration),
    /// Called before each step. Does nothing, except in tests that end the process there.
    pub before: &'a dyn Fn(Step),
}

impl fmt::Debug for Actuator<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Actuator").field("reach", &self.reach).finish_non_exhaustive()
    }
}

/// The points at which a crash leaves something different behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// The manifest is written next.
    Begin,
    /// The new file is written next, beside the old one.
    WriteAside,
    /// The store's lock is taken next, where there is one.
    TakeStoreLock,
    /// The file is moved aside, or exchanged, next.
    Move,
    /// What was moved is compared next.
    Compare,
    /// The file aside is removed next.
    Remove,
    /// A process of a tree, noted before, is stopped next.
    Stop,
    /// SIGTERM is sent to a process that stands still next.
    Terminate,
    /// A process that stands still is continued next.
    Continue,
    /// SIGKILL is sent to a process next.
    Kill,
    /// The gateway is told what to do next.
    Call,
    /// The effect is looked for next.
    Verify,
    /// The outcome is recorded next.
    Conclude,
}

/// What became of an action, with a word for people where the outcome alone does not tell.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Performed {
    /// The outcome.
    pub outcome: Outcome,
    /// What changed, or what was not found.
    pub note: Option<String>,
}

impl Performed {
    fn of(outcome: Outcome) -> Performed {
        Performed { outcome, note: None }
    }

    fn changed(note: impl Into<String>) -> Performed {
        Performed { outcome: Outcome::Changed, note: Some(note.into()) }
    }
}

impl Actuator<'_> {
    /// Carries out `action` under the number it has in the journal.
    ///
    /// # Errors
    ///
    /// Returns an error if the attempt was made and failed. A subject that is gone, or no longer
    /// what was judged, is an [`Outcome`].
    pub fn perform(&self, id: ActionId, action: &Action) -> Result<Performed, ActError> {
        match action {
            Action::ReleaseLock { path, expected, gateway, .. } => {
                if !(self.is_alive)(*gateway) {
                    return Ok(Performed::changed("the gateway has ended or restarted"));
                }
                lock::release(self, id, path, expected)
            }
            Action::Settle(edit) => row::settle(self, id, edit),
            Action::EndTree(end) => end_tree::end(self, id, end),
            Action::CallLane(call) => lane::call(self, id, call),
            Action::PurgeTask(purge) => purge::purge(self, id, purge),
            // Written by the pass into our own state: there is nothing to act on.
            Action::Record(_) => Ok(Performed::of(Outcome::WouldDo)),
        }
    }
}
