//! What earlier passes saw and did. Goes into a pass and comes out of it as a value.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::{BootId, Policy, ProcessId, Subject, Tombstones, UnixMillis};

/// The memory of one state directory. Empty on first start.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct History {
    /// Subjects that some policy found wrong, or acted on, not long ago.
    pub subjects: BTreeMap<(Policy, Subject), SubjectHistory>,
    /// When actions were taken within the last hour, oldest first.
    pub acted_at: Vec<UnixMillis>,
    /// The host at the last look.
    pub host: Option<HostRecord>,
    /// What the user switched off.
    pub controls: Controls,
    /// When a gateway process was last seen alive and not up. A daemon's own memory, not stored:
    /// a slow host may take longer to start its gateway than the grace lasts.
    pub not_up: Option<(ProcessId, UnixMillis)>,
    /// To whom backing sessions belong. Stored by its own functions.
    pub tombstones: Arc<Tombstones>,
}

/// What is remembered of one subject under one policy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SubjectHistory {
    /// Which incarnation of the subject: everything the judgement rests on. Another one starts
    /// the looks anew.
    pub incarnation: String,
    /// When this incarnation was first found wrong.
    pub first_seen: UnixMillis,
    /// When it was last found wrong.
    pub last_seen: UnixMillis,
    /// How often it was found wrong, looks closer together than the configured gap not counted.
    pub looks: u32,
    /// When the last counted look was.
    pub last_look: UnixMillis,
    /// When the subject, in whatever incarnation, was last acted on.
    pub last_acted: Option<UnixMillis>,
    /// The incarnation that was acted on last.
    pub acted_incarnation: Option<String>,
    /// How many repairs of it in a row did not last.
    pub ineffective: u32,
}

/// What was seen of host and clocks at the last look.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HostRecord {
    /// Which boot.
    pub boot_id: BootId,
    /// The boot time, as the kernel computed it at the last look.
    pub booted_at: UnixMillis,
    /// How long the host had slept until then.
    pub slept: Option<Duration>,
    /// Since when `booted_at` has been the same within this boot: before that, nothing is known
    /// of the clock.
    pub steady_since: UnixMillis,
    /// When the host was last found to have slept in between two looks.
    pub resumed_at: Option<UnixMillis>,
    /// When the clock was last found to have been set in between two looks.
    pub stepped_at: Option<UnixMillis>,
}

/// Off switches that survive a restart.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Controls {
    /// No action before this instant, and why.
    pub paused: Option<(UnixMillis, String)>,
    /// Subjects that are left alone.
    pub protected: Vec<Protection>,
}

/// One subject that the user wants left alone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Protection {
    /// The subject's id, as reports print it.
    pub id: String,
    /// Until when.
    pub until: UnixMillis,
}

impl Controls {
    /// Returns until when everything is paused, if it is at `now`.
    #[must_use]
    pub fn paused_at(&self, now: UnixMillis) -> Option<UnixMillis> {
        self.paused.as_ref().map(|(until, _)| *until).filter(|until| now < *until)
    }

    /// Returns until when the subject with this id is protected, if it is at `now`.
    #[must_use]
    pub fn protects(&self, id: &str, now: UnixMillis) -> Option<UnixMillis> {
        let covers = |p: &&Protection| p.id == id && now < p.until;
        self.protected.iter().filter(covers).map(|p| p.until).max()
    }
}
