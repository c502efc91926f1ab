//! How the gateway's process is doing, from look to look.

use std::collections::VecDeque;
use std::time::Duration;

use super::gateway::Sight;
use super::process::Table;
use crate::model::{GatewayProcess, Ledger, ProcessId, UnixMillis, Vitals};

/// The least memory of such a window is what the gateway really needs: in between it collects
/// garbage.
const WINDOW: Duration = Duration::from_mins(5);

/// Two hours of windows.
const WINDOWS_MAX: usize = 24;

/// A gateway grows while it loads its plugins and the first sessions.
const WARM_UP: Duration = Duration::from_mins(10);

/// For how long starts are remembered.
const STARTS_KEPT: Duration = Duration::from_hours(1);

/// More restarts in place within that time are as bad as this many.
const STARTS_MAX: usize = 64;

/// A gateway in place writes its lock anew; the same lock is read with the same time.
const SAME_START: Duration = Duration::from_secs(2);

/// Remembers what one look does not show.
#[derive(Debug, Default)]
pub(super) struct Watch {
    gateway: Option<ProcessId>,
    memory: Memory,
    /// When gateways took their lock anew and kept their pid. In memory only: starts of processes
    /// are in the ledger, which lasts.
    restarts: Vec<UnixMillis>,
    locked_at: Option<UnixMillis>,
}

/// Resident memory in windows.
#[derive(Debug, Default)]
struct Memory {
    lows: VecDeque<u64>,
    /// The open window: when it began, and its least so far.
    open: Option<(UnixMillis, u64)>,
}

/// Where to look.
pub(super) struct Scene<'a> {
    pub(super) table: &'a Table,
    pub(super) sight: &'a Sight,
    /// With the gateway of this look.
    pub(super) ledger: &'a Ledger,
    pub(super) now: UnixMillis,
}

impl Watch {
    /// Returns what is seen of the gateway now and was seen of it before.
    pub(super) fn look(&mut self, scene: &Scene<'_>) -> Vitals {
        let process = scene.sight.gateway.process;
        self.follow(process, scene.now);
        let resident = process.and_then(|process| scene.table.resident(process.id.pid));
        if let (Some(process), Some(bytes)) = (process, resident)
            && scene.now.since(process.started_at) >= WARM_UP
        {
            self.memory.see(bytes, scene.now);
        }
        let pid = process.map(|process| process.id.pid);
        let zombies = pid.map_or(0, |pid| scene.table.unreaped(pid));
        Vitals {
            state: pid.and_then(|pid| scene.table.get(pid)).map(|process| process.state),
            resident,
            memory_lows: self.memory.lows.iter().copied().collect(),
            zombies: u32::try_from(zombies).unwrap_or(u32::MAX),
            starts: self.starts(scene),
            duplicates: scene.sight.duplicates.clone(),
            restart_command: None,
        }
    }

    /// Another process begins anew; the same one may have started again in place.
    fn follow(&mut self, process: Option<GatewayProcess>, now: UnixMillis) {
        self.restarts.retain(|at| *at <= now && now.since(*at) < STARTS_KEPT);
        // While it is down, it is not known yet whether another one comes.
        let Some(process) = process else { return };
        let (earlier, locked_at) = (self.locked_at, process.locked_at);
        if self.gateway == Some(process.id) {
            let moved = earlier.zip(locked_at).filter(|(a, b)| b.since(*a) > SAME_START);
            if let Some((_, at)) = moved.filter(|_| self.restarts.len() < STARTS_MAX) {
                self.restarts.push(at);
                self.memory = Memory::default();
            }
        } else {
            self.gateway = Some(process.id);
            self.memory = Memory::default();
        }
        self.locked_at = locked_at;
    }

    fn starts(&self, scene: &Scene<'_>) -> Vec<UnixMillis> {
        let processes = scene.ledger.gateways.keys().map(|id| scene.table.started_at(*id));
        let mut starts: Vec<_> = processes.chain(self.restarts.iter().copied()).collect();
        starts.retain(|at| *at <= scene.now && scene.now.since(*at) < STARTS_KEPT);
        starts.sort_unstable();
        starts
    }
}

impl Memory {
    fn see(&mut self, bytes: u64, now: UnixMillis) {
        let Some((begun, low)) = self.open else {
            self.open = Some((now, bytes));
            return;
        };
        // A clock that was set back, or a host that slept: the window says nothing.
        let length = now.since(begun);
        if now < begun || length >= 2 * WINDOW {
            *self = Memory { lows: VecDeque::new(), open: Some((now, bytes)) };
        } else if length >= WINDOW {
            if self.lows.len() == WINDOWS_MAX {
                self.lows.pop_front();
            }
            self.lows.push_back(low);
            self.open = Some((now, bytes));
        } else {
            self.open = Some((begun, low.min(bytes)));
        }
    }
}

#[cfg(test)]
mod tests;
