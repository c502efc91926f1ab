//! Tombstones: to whom a backing session belongs, kept after the gateway has forgotten it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AgentId, BackingId, RecordMode, SessionId, SessionKey, UnixMillis};

/// Something that happened to a backing session. Events are only ever added: the tombstone is what
/// they add up to.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TombstoneEvent {
    /// Of which backing session.
    pub backing_id: BackingId,
    /// When it was seen to have happened.
    pub at: UnixMillis,
    /// What.
    pub kind: TombstoneEventKind,
    /// What the session is from then on.
    pub state: TombstoneState,
    /// What is known of the session.
    pub facts: BackingFacts,
}

/// What is known of a backing session in one place.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BackingFacts {
    /// The session that it belongs to: the parent of its wrapper, else whoever spawned that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<SessionKey>,
    /// The session that may ask for it again: whoever spawned its wrapper, else the parent of that,
    /// else the wrapper itself where the gateway has it from nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requester: Option<SessionKey>,
    /// The session that wraps it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wrapper: Option<SessionKey>,
    /// The wrapper's `sessionId`. A reset changes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// The agent in whose store the wrapper is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// The family of the ACP agent, such as `claude`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// Its working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// What may become of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<RecordMode>,
    /// The file or database that says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<PathBuf>,
}

/// What can happen to a backing session.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TombstoneEventKind {
    /// It was seen for the first time.
    Recorded,
    /// It has one more wrapper.
    Wrapped,
    /// Whose it is, which was not known, is known now.
    Claimed,
    /// Its wrapper was reset.
    Reset,
    /// The gateway dropped it from its wrapper.
    Stripped,
    /// Its wrapper is gone.
    MetadataLost,
    /// Its wrapper has another backing session now.
    Replaced,
    /// The gateway names it again.
    FoundAgain,
    /// It was given back to its requester.
    Restored,
    /// It was given back to somebody else, whom the owner of the state directory named.
    RestoredByForce,
}

impl TombstoneEventKind {
    /// Returns the name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TombstoneEventKind::Recorded => "recorded",
            TombstoneEventKind::Wrapped => "wrapped",
            TombstoneEventKind::Claimed => "claimed",
            TombstoneEventKind::Reset => "reset",
            TombstoneEventKind::Stripped => "stripped",
            TombstoneEventKind::MetadataLost => "metadata_lost",
            TombstoneEventKind::Replaced => "replaced",
            TombstoneEventKind::FoundAgain => "found_again",
            TombstoneEventKind::Restored => "restored",
            TombstoneEventKind::RestoredByForce => "restored_by_force",
        }
    }
}

/// What a backing session is to the gateway.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TombstoneState {
    /// The gateway names it.
    Live,
    /// The gateway names it no more.
    Stripped,
    /// Its wrapper has another one.
    Superseded,
    /// It was given back, and the gateway names it.
    Restored,
}

impl TombstoneState {
    /// Returns the name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            TombstoneState::Live => "live",
            TombstoneState::Stripped => "stripped",
            TombstoneState::Superseded => "superseded",
            TombstoneState::Restored => "restored",
        }
    }

    /// Returns true if the gateway names it.
    #[must_use]
    pub fn is_named(self) -> bool {
        matches!(self, TombstoneState::Live | TombstoneState::Restored)
    }
}

impl fmt::Display for TombstoneState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of one backing session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tombstone {
    /// What was known first of each fact. The wrapper is the newest one.
    pub facts: BackingFacts,
    /// All wrappers, the newest last, each with its `sessionId`.
    pub wrappers: Vec<(SessionKey, Option<SessionId>)>,
    /// Who else claims it. Whoever was recorded first counts, but nothing is given back to anybody
    /// without a person's word.
    pub disputed_by: Vec<SessionKey>,
    /// What it is to the gateway.
    pub state: TombstoneState,
    /// When it was first seen.
    pub first_seen: UnixMillis,
    /// When it was last seen in any source. On disk it may lag behind by an hour.
    pub last_seen: UnixMillis,
    /// What happened to it, oldest first.
    pub events: Vec<(UnixMillis, TombstoneEventKind)>,
}

impl Tombstone {
    fn new(event: &TombstoneEvent) -> Tombstone {
        Tombstone {
            facts: BackingFacts::default(),
            wrappers: Vec::new(),
            disputed_by: Vec::new(),
            state: event.state,
            first_seen: event.at,
            last_seen: event.at,
            events: Vec::new(),
        }
    }

    /// Returns true if it was given to somebody else by the word of the state directory's owner.
    #[must_use]
    pub fn was_forced(&self) -> bool {
        self.events.iter().any(|(_, kind)| *kind == TombstoneEventKind::RestoredByForce)
    }

    /// Returns the `sessionId` that this wrapper had when it was last seen; `None` if it wraps
    /// something else.
    #[must_use]
    pub fn wrapper(&self, key: &SessionKey) -> Option<Option<&SessionId>> {
        let known = self.wrappers.iter().find(|(known, _)| known == key)?;
        Some(known.1.as_ref())
    }

    fn apply(&mut self, event: &TombstoneEvent) {
        self.state = event.state;
        self.first_seen = self.first_seen.min(event.at);
        self.last_seen = self.last_seen.max(event.at);
        self.events.push((event.at, event.kind));
        let BackingFacts {
            owner,
            requester,
            wrapper,
            session_id,
            agent,
            family,
            cwd,
            mode,
            source,
        } = &event.facts;
        let is_ours = matches!(
            event.kind,
            TombstoneEventKind::Restored | TombstoneEventKind::RestoredByForce
        );
        if let (Some(known), Some(other)) = (&self.facts.requester, requester)
            && known != other
            && !is_ours
            && !self.disputed_by.contains(other)
        {
            self.disputed_by.push(other.clone());
        }
        if event.kind == TombstoneEventKind::RestoredByForce {
            // Its claim is the owner's word, and may have been seen before that was written down.
            self.disputed_by.retain(|other| Some(other) != requester.as_ref());
        }
        if let Some(key) = wrapper {
            self.wrappers.retain(|(known, _)| known != key);
            self.wrappers.push((key.clone(), session_id.clone()));
            self.facts.wrapper = Some(key.clone());
            self.facts.session_id.clone_from(session_id);
        }
        keep_first(&mut self.facts.owner, owner);
        keep_first(&mut self.facts.requester, requester);
        keep_first(&mut self.facts.agent, agent);
        keep_first(&mut self.facts.family, family);
        keep_first(&mut self.facts.cwd, cwd);
        keep_first(&mut self.facts.mode, mode);
        keep_first(&mut self.facts.source, source);
    }
}

fn keep_first<T: Clone>(known: &mut Option<T>, new: &Option<T>) {
    if known.is_none() {
        known.clone_from(new);
    }
}

/// All tombstones of one state directory, by backing id.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tombstones(pub BTreeMap<BackingId, Tombstone>);

impl Tombstones {
    /// Adds what happened.
    pub fn apply(&mut self, event: &TombstoneEvent) {
        let tombstone =
            self.0.entry(event.backing_id.clone()).or_insert_with(|| Tombstone::new(event));
        tombstone.apply(event);
    }

    /// Returns the tombstone of a backing session.
    #[must_use]
    pub fn get(&self, id: &BackingId) -> Option<&Tombstone> {
        self.0.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at: i64, kind: TombstoneEventKind, state: TombstoneState) -> TombstoneEvent {
        let (backing_id, at) = ("b".into(), UnixMillis(at));
        TombstoneEvent { backing_id, at, kind, state, facts: BackingFacts::default() }
    }

    fn claim(at: i64, requester: &str, wrapper: &str) -> TombstoneEvent {
        let facts = BackingFacts {
            requester: Some(requester.into()),
            wrapper: Some(wrapper.into()),
            ..BackingFacts::default()
        };
        let kind = TombstoneEventKind::Wrapped;
        TombstoneEvent { facts, ..event(at, kind, TombstoneState::Live) }
    }

    fn of(events: &[TombstoneEvent]) -> Tombstone {
        let mut all = Tombstones::default();
        events.iter().for_each(|event| all.apply(event));
        all.0.remove(&"b".into()).unwrap()
    }

    #[test]
    fn whoever_was_recorded_first_counts_and_another_claim_is_a_dispute() {
        let found = of(&[claim(1, "p", "w1"), claim(2, "q", "w2"), claim(3, "q", "w1")]);
        assert_eq!(found.facts.requester, Some("p".into()));
        assert_eq!(found.disputed_by, ["q".into()]);
        assert_eq!(found.wrappers, [("w2".into(), None), ("w1".into(), None)]);
        assert_eq!(of(&[claim(1, "p", "w1"), claim(2, "p", "w2")]).disputed_by, []);
    }

    #[test]
    fn what_we_gave_to_another_by_force_is_no_dispute() {
        let kind = TombstoneEventKind::RestoredByForce;
        let forced = TombstoneEvent { kind, ..claim(2, "q", "w2") };
        let found = of(&[claim(1, "p", "w1"), forced]);
        assert_eq!((found.disputed_by, found.facts.requester), (vec![], Some("p".into())));
    }

    #[test]
    fn the_state_is_that_of_the_last_event_and_times_span_them_all() {
        let found = of(&[
            event(5, TombstoneEventKind::Recorded, TombstoneState::Live),
            event(9, TombstoneEventKind::Stripped, TombstoneState::Stripped),
        ]);
        assert_eq!(
            (found.state, found.first_seen.0, found.last_seen.0),
            (TombstoneState::Stripped, 5, 9)
        );
        assert_eq!(found.events.len(), 2);
    }
}
