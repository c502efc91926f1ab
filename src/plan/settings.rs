//! How much may be done, and how sure one must be. Checked before it gets here; see `config`.

use std::time::Duration;

/// Bounds on what is done. A pass that wants more is more likely a bug in a rule than a broken
/// gateway.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Most actions in one pass. At least 1.
    pub actions_per_pass: u32,
    /// Most actions within an hour, restarts included; without those that found their subject gone or
    /// changed, and left it. At least 1.
    pub actions_per_hour: u32,
    /// How long a subject is left alone after an action on it.
    pub cooldown: Duration,
    /// After how many repairs that did not last a subject is left alone for good. At least 1.
    pub give_up_after: u32,
}

/// How often, and how far apart, something must be seen before it is acted on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Confirm {
    /// How many looks must agree. At least 1.
    pub looks: u32,
    /// Least time between two of them.
    pub gap: Duration,
}
