//! `tombstone`: to whom a backing session belongs is recorded before the gateway forgets it (#87599,
//! #73609).
//!
//! Since 2026.4.29 the gateway's maintenance drops what it knows of ACP agents from its sessions, and
//! then refuses to resume them (`resume_forbidden`). What is recorded is in our own state alone, so
//! nothing is waited for: no grace, no look to confirm it, no budget.

mod sight;

use std::collections::BTreeSet;

use super::Context;
use crate::model::{
    ActReason, Action, BackingFacts, BackingId, Decision, Evidence, Gap, HoldReason, Looks, Mode,
    Policy, SessionKey, Snapshot, Source, Subject, SubjectKind, Tombstone, TombstoneEvent,
    TombstoneEventKind, TombstoneState, Verdict,
};
use sight::{Claim, Sight};

/// Returns every backing session that any source names.
#[must_use]
pub fn backing_ids(snapshot: &Snapshot) -> BTreeSet<&BackingId> {
    let sessions = snapshot.acp.iter().flatten();
    let of_sessions = sessions.filter_map(|session| session.metadata.as_ref());
    let of_records = snapshot.records.iter().flatten().filter_map(|of| of.backing_id.as_ref());
    of_sessions.flat_map(|metadata| &metadata.backing_ids).chain(of_records).collect()
}

/// Judges every backing session that is seen, and those on record that are not.
pub(super) fn evaluate(context: Context<'_>, mode: Mode) -> Vec<Verdict> {
    let Some(sessions) = &context.snapshot.acp else { return Vec::new() };
    let records = context.snapshot.records.as_deref().unwrap_or_default();
    let judge = Judge { context, mode, sight: Sight::of(sessions, records), gap: gap(context) };
    let known = context.history.tombstones.0.iter();
    let unseen = known.filter(|(id, _)| !judge.sight.claims.contains_key(id));
    let unseen = unseen.filter_map(|(id, tombstone)| judge.unseen(id, tombstone));
    let seen = judge.sight.claims.iter().filter_map(|(id, claims)| judge.seen(id, claims));
    seen.chain(unseen).filter(|verdict| context.wants(verdict)).collect()
}

/// What hides sessions: where one is, nothing is said to be gone.
fn gap<'a>(context: Context<'a>) -> Option<&'a Gap> {
    let hides = [Source::Config, Source::Sessions, Source::Acp];
    hides.into_iter().find_map(|source| context.snapshot.gap(source))
}

struct Judge<'a> {
    context: Context<'a>,
    mode: Mode,
    sight: Sight<'a>,
    gap: Option<&'a Gap>,
}

impl Judge<'_> {
    fn seen(&self, id: &BackingId, claims: &[Claim<'_>]) -> Option<Verdict> {
        match self.context.history.tombstones.get(id) {
            None => self.first_time(id, claims),
            Some(tombstone) => self.again(id, tombstone, claims),
        }
    }

    fn first_time(&self, id: &BackingId, claims: &[Claim<'_>]) -> Option<Verdict> {
        let is_named = claims.iter().any(|claim| claim.is_current);
        // What a gap may hide is not said to be gone.
        let state = match is_named || self.gap.is_some() {
            true => TombstoneState::Live,
            false => self.unnamed(claims.last().map(|claim| claim.wrapper)),
        };
        let mut kind = TombstoneEventKind::Recorded;
        let mut events = Vec::new();
        for claim in claims {
            events.push(self.event(id, kind, state, claim.facts.clone()));
            kind = TombstoneEventKind::Wrapped;
        }
        self.record(id, None, events, claims)
    }

    fn again(&self, id: &BackingId, known: &Tombstone, claims: &[Claim<'_>]) -> Option<Verdict> {
        let state = self.state(known, claims);
        let mut events = Vec::new();
        for claim in claims {
            let news = news_of(known, claim);
            events.extend(news.map(|kind| self.event(id, kind, state, claim.facts.clone())));
        }
        if state != known.state {
            let (kind, facts) = match state.is_named() {
                true => (TombstoneEventKind::FoundAgain, BackingFacts::default()),
                false => (self.why_unnamed(known.facts.wrapper.as_ref()), BackingFacts::default()),
            };
            events.push(self.event(id, kind, state, facts));
        }
        self.record(id, Some(known), events, claims)
    }

    fn state(&self, known: &Tombstone, claims: &[Claim<'_>]) -> TombstoneState {
        match (claims.iter().any(|claim| claim.is_current), known.state) {
            (true, state) if state.is_named() => state,
            (true, _) => TombstoneState::Live,
            (false, state) if self.gap.is_some() || !state.is_named() => state,
            (false, _) => self.unnamed(known.facts.wrapper.as_ref()),
        }
    }

    /// A session on record that no source names any more.
    fn unseen(&self, id: &BackingId, known: &Tombstone) -> Option<Verdict> {
        if !known.state.is_named() {
            return self.on_record(id, known, known.state.name());
        }
        if let Some(gap) = self.gap {
            let (source, reason) = (gap.source.name(), gap.reason.clone());
            return Some(self.hold(id, known, HoldReason::Gap { source, reason }));
        }
        let wrapper = known.facts.wrapper.as_ref();
        let (kind, state) = (self.why_unnamed(wrapper), self.unnamed(wrapper));
        let event = self.event(id, kind, state, BackingFacts::default());
        self.record(id, Some(known), vec![event], &[])
    }

    fn unnamed(&self, wrapper: Option<&SessionKey>) -> TombstoneState {
        match self.why_unnamed(wrapper) {
            TombstoneEventKind::Replaced => TombstoneState::Superseded,
            _ => TombstoneState::Stripped,
        }
    }

    /// What became of this wrapper, the newest one.
    fn why_unnamed(&self, wrapper: Option<&SessionKey>) -> TombstoneEventKind {
        let wrapper = wrapper.and_then(|key| self.sight.session(key));
        match wrapper.map(|session| session.metadata.as_ref()) {
            None => TombstoneEventKind::MetadataLost,
            Some(None) => TombstoneEventKind::Stripped,
            Some(Some(metadata)) if !metadata.is_current => TombstoneEventKind::Reset,
            Some(Some(metadata)) if metadata.backing_ids.is_empty() => TombstoneEventKind::Reset,
            Some(Some(_)) => TombstoneEventKind::Replaced,
        }
    }

    fn event(
        &self,
        id: &BackingId,
        kind: TombstoneEventKind,
        state: TombstoneState,
        facts: BackingFacts,
    ) -> TombstoneEvent {
        let at = self.context.snapshot.taken_at;
        TombstoneEvent { backing_id: id.clone(), at, kind, state, facts }
    }

    fn record(
        &self,
        id: &BackingId,
        known: Option<&Tombstone>,
        events: Vec<TombstoneEvent>,
        claims: &[Claim<'_>],
    ) -> Option<Verdict> {
        let Some(last) = events.last() else {
            return known.and_then(|known| self.on_record(id, known, known.state.name()));
        };
        let why = match known {
            None => ActReason::BackingSeen,
            Some(_) => ActReason::BackingChanged { what: last.kind.name() },
        };
        let evidence = recorded_evidence(known, &events, claims);
        let action = Action::Record(events);
        let decision = match self.mode {
            Mode::Enforce => Decision::Act(action, why),
            Mode::Observe | Mode::Off => Decision::Observe(action, why),
        };
        Some(verdict(id, true, decision, evidence))
    }

    /// Nothing is wrong with it: said on request alone.
    fn on_record(&self, id: &BackingId, known: &Tombstone, state: &'static str) -> Option<Verdict> {
        if !self.context.explains_healthy {
            return None;
        }
        Some(self.hold(id, known, HoldReason::OnRecord { state }))
    }

    fn hold(&self, id: &BackingId, known: &Tombstone, why: HoldReason) -> Verdict {
        verdict(id, false, Decision::Hold(why), known_evidence(known))
    }
}

fn verdict(id: &BackingId, suspect: bool, decision: Decision, evidence: Evidence) -> Verdict {
    Verdict {
        policy: Policy::Tombstone,
        subject: Subject { kind: SubjectKind::BackingSession, id: id.0.clone() },
        incarnation: String::new(),
        suspect,
        looks: Looks::One,
        decision,
        evidence,
    }
}

/// What a claim says that is not on record yet.
fn news_of(known: &Tombstone, claim: &Claim<'_>) -> Option<TombstoneEventKind> {
    let facts = &claim.facts;
    let key = facts.wrapper.as_ref()?;
    let Some(session_id) = known.wrapper(key) else { return Some(TombstoneEventKind::Wrapped) };
    let is_other = facts.requester.is_some() && known.facts.requester != facts.requester;
    let is_disputed = facts.requester.as_ref().is_some_and(|of| known.disputed_by.contains(of));
    match (session_id, &facts.session_id) {
        (Some(before), Some(now)) if before != now => Some(TombstoneEventKind::Reset),
        _ if is_other && !is_disputed && !known.was_forced() => Some(TombstoneEventKind::Claimed),
        _ => None,
    }
}

fn recorded_evidence(
    known: Option<&Tombstone>,
    events: &[TombstoneEvent],
    claims: &[Claim<'_>],
) -> Evidence {
    let mut after = crate::model::Tombstones::default();
    let id =
        events.first().map(|event| event.backing_id.clone()).unwrap_or_else(|| BackingId::from(""));
    after.0.extend(known.map(|known| (id.clone(), known.clone())));
    events.iter().for_each(|event| after.apply(event));
    let kinds: Vec<_> = events.iter().map(|event| event.kind.name()).collect();
    let mut evidence = after.get(&id).map(known_evidence).unwrap_or_default().with("events", kinds);
    let sources: BTreeSet<_> =
        claims.iter().filter_map(|claim| claim.facts.source.as_ref()).collect();
    if !sources.is_empty() {
        let sources: Vec<_> = sources.iter().map(|path| path.to_string_lossy()).collect();
        evidence = evidence.with("sources", sources);
    }
    evidence
}

fn known_evidence(known: &Tombstone) -> Evidence {
    let facts = &known.facts;
    let wrappers: Vec<_> = known.wrappers.iter().map(|(key, _)| key.0.as_str()).collect();
    let evidence = Evidence::default()
        .with("state", known.state.name())
        .with("owner", facts.owner.as_ref().map(|key| key.0.as_str()))
        .with("requester", facts.requester.as_ref().map(|key| key.0.as_str()))
        .with("wrappers", wrappers)
        .with("agent", facts.agent.as_ref().map(|agent| agent.0.as_str()))
        .with("family", facts.family.as_deref())
        .with("cwd", facts.cwd.as_ref().map(|cwd| cwd.to_string_lossy()))
        .with("mode", facts.mode.map(|mode| mode.name()))
        .with("first_seen", known.first_seen.to_string())
        .with("last_seen", known.last_seen.to_string());
    match known.disputed_by.as_slice() {
        [] => evidence,
        others => {
            let others: Vec<_> = others.iter().map(|key| key.0.as_str()).collect();
            evidence.with("disputed_by", others)
        }
    }
}

#[cfg(test)]
mod tests;
