//! Which processes were seen below a gateway of this state directory.
//!
//! The best proof of ownership there is: it survives a new parent, a restart of the gateway and of
//! clawarden, records that were overwritten and titles that were rewritten.

use std::collections::BTreeMap;

use super::{BootId, ProcessId, SessionKey, UnixMillis};

/// What was seen within one boot. Another boot, another ledger.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ledger {
    /// The boot; `None` before the first look.
    pub boot: Option<BootId>,
    /// Verified gateways of this state directory, and when each was last seen alive.
    pub gateways: BTreeMap<ProcessId, UnixMillis>,
    /// Processes that were seen below one of them and are alive.
    pub descents: BTreeMap<ProcessId, Descent>,
}

/// How a process was seen below a gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Descent {
    /// The gateway.
    pub gateway: ProcessId,
    /// Its parent when it was first seen.
    pub parent: ProcessId,
    /// A hash of its arguments when it was first seen: for people who wonder, never a proof.
    pub argv_hash: u64,
    /// The session it worked for, once that was known.
    pub session_key: Option<SessionKey>,
    /// When it was first seen.
    pub first_seen: UnixMillis,
}

/// Most gateways that are remembered within a boot.
const GATEWAYS_MAX: usize = 64;

/// Most descendants. A host has no more live processes below a gateway than this.
const DESCENTS_MAX: usize = 20_000;

impl Ledger {
    /// Begins anew if `boot` is another one than the ledger's.
    pub fn enter(&mut self, boot: &BootId) {
        if self.boot.as_ref() != Some(boot) {
            *self = Ledger { boot: Some(boot.clone()), ..Ledger::default() };
        }
    }

    /// Notes that `gateway` was verified and alive at `now`. The oldest are dropped when there are
    /// too many.
    pub fn see_gateway(&mut self, gateway: ProcessId, now: UnixMillis) {
        self.gateways.insert(gateway, now);
        while self.gateways.len() > GATEWAYS_MAX {
            let oldest = self.gateways.iter().min_by_key(|(_, at)| **at).map(|(id, _)| *id);
            if let Some(oldest) = oldest {
                self.gateways.remove(&oldest);
            }
        }
    }

    /// Notes a descendant, unless it is known. What is known keeps its first parent.
    pub fn see(&mut self, id: ProcessId, descent: Descent) {
        if self.descents.len() < DESCENTS_MAX {
            self.descents.entry(id).or_insert(descent);
        }
    }

    /// Notes the session that a descendant works for, unless one is known.
    pub fn note_session(&mut self, id: ProcessId, key: &SessionKey) {
        if let Some(descent) = self.descents.get_mut(&id) {
            descent.session_key.get_or_insert_with(|| key.clone());
        }
    }

    /// Forgets descendants that have ended.
    pub fn retain(&mut self, is_alive: impl Fn(ProcessId) -> bool) {
        self.descents.retain(|id, _| is_alive(*id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: ProcessId = ProcessId { pid: 9, start_ticks: 90 };

    fn descent(parent: i32) -> Descent {
        Descent {
            gateway: ProcessId { pid: 1, start_ticks: 1 },
            parent: ProcessId { pid: parent, start_ticks: 1 },
            argv_hash: 0,
            session_key: None,
            first_seen: UnixMillis(0),
        }
    }

    #[test]
    fn another_boot_is_another_ledger() {
        let mut ledger = Ledger::default();
        ledger.enter(&BootId("a".to_owned()));
        ledger.see(ID, descent(2));
        ledger.enter(&BootId("a".to_owned()));
        assert_eq!(ledger.descents.len(), 1);
        ledger.enter(&BootId("b".to_owned()));
        assert!(ledger.descents.is_empty() && ledger.gateways.is_empty());
    }

    #[test]
    fn the_first_parent_is_kept() {
        let mut ledger = Ledger::default();
        ledger.see(ID, descent(2));
        ledger.see(ID, descent(1));
        assert_eq!(ledger.descents[&ID].parent.pid, 2);
        ledger.retain(|id| id != ID);
        assert!(ledger.descents.is_empty());
    }

    #[test]
    fn a_session_is_noted_once_and_only_for_what_is_known() {
        let mut ledger = Ledger::default();
        ledger.note_session(ID, &"agent:a:main".into());
        assert!(ledger.descents.is_empty());
        ledger.see(ID, descent(2));
        ledger.note_session(ID, &"agent:a:main".into());
        ledger.note_session(ID, &"agent:b:main".into());
        assert_eq!(ledger.descents[&ID].session_key, Some("agent:a:main".into()));
    }

    #[test]
    fn gateways_are_bounded_and_the_oldest_goes() {
        let mut ledger = Ledger::default();
        for n in 0..100 {
            ledger.see_gateway(ProcessId { pid: n, start_ticks: 1 }, UnixMillis(i64::from(n)));
        }
        assert_eq!(ledger.gateways.len(), GATEWAYS_MAX);
        assert_eq!(ledger.gateways.keys().next().map(|id| id.pid), Some(36));
    }
}
