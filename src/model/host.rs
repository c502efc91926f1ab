//! The host, its boot and its clocks.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::UnixMillis;

/// Which boot of the host. The same inside containers, so it says nothing about namespaces.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct BootId(pub String);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Facts about the host at the time of a snapshot.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Host {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: BootId,
    /// `btime` of `/proc/stat`. The kernel computes it from the wall clock at the moment of
    /// reading: when the clock is set, it moves.
    pub booted_at: UnixMillis,
    /// How long the host has slept since its boot (boot clock minus monotonic clock). `None`
    /// where the kernel is not asked (`--proc-root`).
    pub slept: Option<Duration>,
    /// The effective user id of this process.
    pub euid: u32,
}
