//! What the gateway's own log says about faults. Evidence only: it proves nothing, and without it
//! everything is judged the same.
//!
//! All gateways of a host write into one file, and most lines do not say which one wrote them. A
//! line counts only if it names a lane, a lock, the process or a port of this one, or if the file
//! is this one's by its configuration. Nothing of a line is kept but its numbers and the names that
//! are known already.

mod line;
mod place;
mod sign;
mod tail;

use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::time::Duration;

use crate::model::{Gap, GatewayProcess, LogSign, SessionId, SessionKey, Source, UnixMillis};
use line::Line;
use place::Place;
use sign::Told;
use tail::Tail;

/// What is older helps nobody who looks now.
const KEPT: Duration = Duration::from_hours(1);

/// Most signs that are kept; the oldest go first.
const SIGNS_MAX: usize = 64;

/// Clocks of one host agree; a line from further in the future is somebody's joke.
const FUTURE_MAX: Duration = Duration::from_mins(1);

/// Where to look, and what is ours.
pub(super) struct Scene<'a> {
    /// `logging.file` of the configuration.
    pub(super) configured: Option<&'a Path>,
    /// The folder that temporary files are in, as the gateway sees it.
    pub(super) temp: &'a Path,
    /// The users whose files are believed: ours, and the gateway's.
    pub(super) uids: &'a [u32],
    pub(super) state_dir: &'a Path,
    pub(super) gateway: GatewayProcess,
    /// The lanes that are looked at, and the transcripts they have now.
    pub(super) lanes: &'a [(&'a SessionKey, Option<&'a SessionId>)],
    pub(super) now: UnixMillis,
}

/// Follows the log from look to look.
#[derive(Debug, Default)]
pub(super) struct LogReader {
    tail: Tail,
    signs: BTreeMap<(&'static str, Option<SessionKey>), LogSign>,
}

impl LogReader {
    /// Reads what is new, at most the last 256 KiB, and returns what is known, newest last. An
    /// unchanged file is not opened.
    pub(super) fn look(&mut self, scene: &Scene<'_>) -> (Vec<LogSign>, Option<Gap>) {
        let found = place::find(scene);
        let gap = match found.and_then(|place| self.read(scene, place)) {
            Ok(()) => None,
            Err((path, reason)) => Some(Gap { source: Source::Log, path, reason }),
        };
        (self.known(scene), gap)
    }

    fn read(&mut self, scene: &Scene<'_>, place: Option<Place>) -> Result<(), place::Fault> {
        let Some(Place { path, is_ours }) = place else { return Ok(()) };
        let text = self.tail.read(&path, scene.uids).map_err(|reason| (path, reason))?;
        for line in line::lines(&text) {
            let Line { text, at } = &line;
            let is_believed = *at >= scene.gateway.started_at && *at <= scene.now.plus(FUTURE_MAX);
            if let Some(told) = sign::told(text).filter(|_| is_believed)
                && let Some(lane) = attribute(&told, scene, is_ours)
            {
                self.note(told, lane, *at);
            }
        }
        Ok(())
    }

    fn note(&mut self, told: Told<'_>, lane: Option<SessionKey>, at: UnixMillis) {
        let key = (told.fault, lane.clone());
        let count = self.signs.get(&key).map_or(0, |sign| sign.count).saturating_add(1);
        let sign = LogSign { fault: told.fault, what: told.what, lane, at, count };
        self.signs.insert(key, sign);
        if self.signs.len() > SIGNS_MAX {
            let oldest = self.signs.iter().min_by_key(|(_, sign)| sign.at);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.signs.remove(&oldest);
            }
        }
    }

    fn known(&mut self, scene: &Scene<'_>) -> Vec<LogSign> {
        let from = scene.gateway.started_at;
        self.signs.retain(|_, sign| sign.at >= from && scene.now.since(sign.at) < KEPT);
        let mut signs: Vec<_> = self.signs.values().cloned().collect();
        signs.sort_by_key(|sign| sign.at);
        signs
    }
}

/// Returns the lane that a line is about; `None` if it may be another gateway's.
fn attribute(told: &Told<'_>, scene: &Scene<'_>, is_ours: bool) -> Option<Option<SessionKey>> {
    let of_session = |id: &str| {
        scene.lanes.iter().find(|(_, session)| session.is_some_and(|session| session.0 == id))
    };
    if let Some(key) = told.lane {
        // Lanes of the same name are in every state directory; a transcript is in one.
        let lane = scene.lanes.iter().find(|(known, _)| known.0 == key);
        let is_other = |(_, known): &&(&SessionKey, Option<&SessionId>)| {
            let (known, said) = (known.map(|id| id.0.as_str()), told.session);
            known.zip(said).is_some_and(|(known, said)| known != said)
        };
        return lane.filter(|lane| !is_other(lane)).map(|(key, _)| Some((*key).clone()));
    }
    if let Some(path) = told.path {
        let name = Path::new(path).file_name()?.to_str()?;
        let lane = name.strip_suffix(".jsonl.lock").and_then(of_session);
        let is_plain = Path::new(path).components().all(|part| part != Component::ParentDir);
        let below = is_plain && Path::new(path).starts_with(scene.state_dir);
        return below.then(|| lane.map(|(key, _)| (*key).clone()));
    }
    let is_process = told.pid == Some(scene.gateway.id.pid);
    (is_ours || is_process).then_some(None)
}

#[cfg(test)]
mod tests;
