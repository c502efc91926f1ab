//! The parts of a look that prove nothing: how the gateway is doing, and what its log says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Observer, is_running};
use crate::model::{Gap, Host, Lane, Lock, LogSign, UnixMillis, Vitals};
use crate::observe::gateway::{Processes as _, Sight};
use crate::observe::{log, vitals};

/// A lane or lock that is younger needs no explanation yet.
const SUSPECT: Duration = Duration::from_mins(2);

const TEMP: &str = "tmp";

impl Observer {
    pub(super) fn vitals(&mut self, sight: &Sight, now: UnixMillis) -> Vitals {
        let scene = vitals::Scene { table: &self.table, sight, ledger: &self.ledger, now };
        self.watch.as_mut().map(|watch| watch.look(&scene)).unwrap_or_default()
    }

    /// Reads the log only while something may need it: a lane or a lock that is there for long.
    pub(super) fn log(
        &mut self,
        host: &Host,
        sight: &Sight,
        (lanes, locks): (&[Lane], &[Lock]),
        gaps: &mut Vec<Gap>,
        now: UnixMillis,
    ) -> Vec<LogSign> {
        let Some(gateway) = sight.gateway.process.filter(|_| self.table.is_live()) else {
            return Vec::new();
        };
        if !lanes.iter().any(|lane| is_old(lane, now))
            && !locks.iter().any(|lock| now.since(lock.modified_at) >= SUSPECT)
        {
            return Vec::new();
        }
        let pid = gateway.id.pid;
        let theirs = self.table.get(pid).map(|process| process.uid);
        let uids: Vec<_> = theirs.into_iter().chain([host.euid]).collect();
        let root = self.table.private_root(pid).unwrap_or_else(|| PathBuf::from("/"));
        let install = &self.settings.install;
        let configured = install.config.log_file.as_deref().map(Path::new);
        let lanes: Vec<_> =
            lanes.iter().map(|lane| (&lane.key, lane.row.session_id.as_ref())).collect();
        let (signs, gap) = self.log.look(&log::Scene {
            configured: configured.filter(|path| path.is_absolute()),
            temp: &root.join(TEMP),
            uids: &uids,
            state_dir: &install.state_dir,
            gateway,
            lanes: &lanes,
            now,
        });
        gaps.extend(gap);
        signs
    }
}

fn is_old(lane: &Lane, now: UnixMillis) -> bool {
    let began = lane.row.started_at.value();
    is_running(lane) && began.is_none_or(|at| now.since(at) >= SUSPECT)
}
