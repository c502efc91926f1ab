//! What of the known processes is read again in one refresh.

use std::ops::Range;
use std::time::Duration;

use super::scan::Entry;
use super::ticks_at;

/// Until this age everything of a process is read in every refresh: an exec keeps pid and start
/// ticks, and a title is set some time after it.
const YOUNG: Duration = Duration::from_secs(60);

/// One in so many is read in its turn. Reading a stat costs about ten times its listing, so this
/// adds less than a tenth to a refresh.
const SHARE: usize = 128;

/// At least so many are read in their turn, a tenth of a millisecond's worth.
const LEAST: usize = 16;

/// How much of a known process is read again, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Need {
    /// It is the same process, and nothing that matters can have changed unseen.
    Nothing,
    /// The stat; the rest too if that shows another image.
    Turn,
    /// Everything.
    All,
    /// Everything, for it is another process, or the inode was dropped under memory pressure.
    Identity,
}

/// Whose turn it is. Asked, or told to skip, once per known process, in their order.
#[derive(Debug)]
pub(super) struct Rota {
    /// Processes that began at or after this tick are young; `None`: everything is read.
    young_since: Option<u64>,
    turns: Range<usize>,
    next: usize,
}

impl Rota {
    /// `first` is the index of the first process whose turn it is.
    pub(super) fn new(first: usize, known: usize, uptime: Option<Duration>) -> Rota {
        let young_since = uptime.map(|uptime| ticks_at(uptime.saturating_sub(YOUNG)));
        let turns = first..first + (known / SHARE).max(LEAST);
        Rota { young_since, turns, next: 0 }
    }

    /// Returns the index of the last process whose turn it is. Beyond the end: all had theirs.
    pub(super) fn last_turn(&self) -> usize {
        self.turns.end - 1
    }

    pub(super) fn skip(&mut self) {
        self.next += 1;
    }

    /// Returns what to read of the next process, which is now listed under this inode.
    pub(super) fn need(&mut self, entry: &Entry, inode: u64) -> Need {
        let is_turn = self.turns.contains(&self.next);
        self.next += 1;
        let Some(young_since) = self.young_since else { return Need::Identity };
        if entry.inode() != inode {
            Need::Identity
        } else if !entry.is_listed() {
            Need::Nothing
        } else if entry.is_openclaw || entry.start_ticks() >= young_since {
            Need::All
        } else if is_turn {
            Need::Turn
        } else {
            Need::Nothing
        }
    }
}
