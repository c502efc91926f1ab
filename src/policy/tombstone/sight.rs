//! What all sources say of backing sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    AcpMetadata, AcpSession, AcpxRecord, AgentId, BackingFacts, BackingId, SessionKey,
};

/// One source that names a backing session.
#[derive(Clone, Debug)]
pub(super) struct Claim<'a> {
    /// What it says.
    pub(super) facts: BackingFacts,
    /// Whether the gateway itself reads it there.
    pub(super) is_current: bool,
    /// The session that wraps it.
    pub(super) wrapper: &'a SessionKey,
}

/// Everything that is seen.
#[derive(Debug, Default)]
pub(super) struct Sight<'a> {
    /// By backing session; sessions before records, each wrapper once.
    pub(super) claims: BTreeMap<&'a BackingId, Vec<Claim<'a>>>,
    sessions: BTreeMap<&'a SessionKey, &'a AcpSession>,
}

impl<'a> Sight<'a> {
    pub(super) fn of(sessions: &'a [Arc<AcpSession>], records: &'a [Arc<AcpxRecord>]) -> Sight<'a> {
        let mut sight = Sight::default();
        for session in sessions {
            sight.add_session(session);
        }
        for record in records {
            sight.add_record(record);
        }
        sight
    }

    /// Returns the session of this key.
    pub(super) fn session(&self, key: &SessionKey) -> Option<&'a AcpSession> {
        self.sessions.get(key).copied()
    }

    fn add_session(&mut self, session: &'a AcpSession) {
        // What is known without its session, too: the session itself counts where there are both.
        let known = self.sessions.entry(&session.key).or_insert(session);
        if known.session_id.is_none() {
            *known = session;
        }
        let Some(metadata) = &session.metadata else { return };
        for id in &metadata.backing_ids {
            let claim = Claim {
                facts: of_session(session, metadata),
                is_current: metadata.is_current,
                wrapper: &session.key,
            };
            self.add(id, claim);
        }
    }

    fn add_record(&mut self, record: &'a AcpxRecord) {
        let Some(id) = &record.backing_id else { return };
        let mut facts = BackingFacts {
            wrapper: Some(record.session_key.clone()),
            agent: record.session_key.0.split(':').nth(1).map(AgentId::from),
            cwd: Some(record.cwd.clone()),
            mode: Some(record.mode),
            source: Some(record.path.clone()),
            ..BackingFacts::default()
        };
        // The session may have lost what it knew of its agent, and still knows its parents.
        let session = self.session(&record.session_key);
        if let Some(session) = session {
            of_parents(session, &mut facts);
            facts.session_id.clone_from(&session.session_id);
        }
        // acpx resumes by its open record, which may name another session than its wrapper does
        // (2026.4.15), for as long as the gateway knows of an agent behind the wrapper.
        let metadata = session.and_then(|session| session.metadata.as_ref());
        let is_current = !record.is_closed && metadata.is_some_and(|of| of.is_current);
        self.add(id, Claim { facts, is_current, wrapper: &record.session_key });
    }

    fn add(&mut self, id: &'a BackingId, claim: Claim<'a>) {
        let claims = self.claims.entry(id).or_default();
        match claims.iter_mut().find(|known| known.wrapper == claim.wrapper) {
            Some(known) if claim.is_current && !known.is_current => *known = claim,
            Some(_) => {}
            None => claims.push(claim),
        }
    }
}

fn of_session(session: &AcpSession, metadata: &AcpMetadata) -> BackingFacts {
    let mut facts = BackingFacts {
        wrapper: Some(session.key.clone()),
        session_id: session.session_id.clone(),
        agent: Some(session.agent.clone()),
        family: Some(metadata.family.clone()).filter(|family| !family.is_empty()),
        cwd: metadata.cwd.clone(),
        mode: Some(metadata.mode),
        source: Some(session.store.clone()),
        ..BackingFacts::default()
    };
    of_parents(session, &mut facts);
    facts
}

/// Without its session nothing is known of whose it is. One that nobody spawned is its own: somebody
/// talks to the agent directly.
fn of_parents(session: &AcpSession, facts: &mut BackingFacts) {
    if session.session_id.is_none() {
        return;
    }
    let of_itself = || Some(session.key.clone());
    let owner = session.parent.clone().or_else(|| session.spawned_by.clone());
    facts.owner = owner.or_else(of_itself);
    facts.requester = session.requester().cloned().or_else(of_itself);
}
