//! Gives a backing session back, because somebody asked for it.

mod steps;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::{PassError, Passes};
use crate::act::{self, Reach, Restored, Step};
use crate::error::chain;
use crate::gateway::Spawn;
use crate::journal::{Conclusion, HistoryFilter, Intent};
use crate::model::{
    AcpSession, ActionId, Authority, BackingFacts, BackingId, Outcome, Policy, Restore, RpcFailure,
    RpcFault, SessionKey, Snapshot, Status, Subject, SubjectKind, Tombstone, TombstoneEvent,
    TombstoneEventKind, TombstoneState, UnixMillis,
};
use crate::policy::{self, Way};

/// How long an earlier restore of unknown outcome may still be at work in the gateway.
const IN_DOUBT: Duration = Duration::from_mins(5);
/// How long the new session is looked for, and how often.
const VERIFY_LOOKS: u32 = 60;
const VERIFY_GAP: Duration = Duration::from_millis(500);

/// Who wants which session, authorised.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The backing session.
    pub id: BackingId,
    /// For whom.
    pub requester: SessionKey,
    /// Why that one may have it.
    pub authority: Authority,
    /// What the agent is told first.
    pub task: String,
}

/// What would be done.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// What the gateway would be asked.
    pub restore: Restore,
    /// Where the conversation is.
    pub conversation: PathBuf,
}

/// Why nothing is done.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Whether that is for want of a gateway; else it is not safe, or not possible.
    pub is_unavailable: bool,
    /// Why, for people.
    pub why: String,
    /// What the user can do instead.
    pub steps: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its number in the journal; none in a dry run.
    pub action: Option<ActionId>,
    /// The outcome.
    pub outcome: Outcome,
    /// The new session, where the gateway named one.
    pub wrapper: Option<SessionKey>,
    /// What was found, for people.
    pub note: String,
    /// Whether the gateway lets nobody use the tool from outside.
    pub is_tool_missing: bool,
}

/// Says why `requester` may have the session of `tombstone`.
///
/// # Errors
///
/// Returns why it may not, for people.
pub fn authorise(
    tombstone: &Tombstone,
    requester: &SessionKey,
    force: bool,
) -> Result<Authority, String> {
    policy::authorise(tombstone, requester, force)
}

impl Passes {
    /// Looks whether the session can be given back, and how. Asks the gateway nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing could be seen, or the journal cannot be read.
    pub fn propose(
        &mut self,
        wish: &Wish,
        tombstone: &Tombstone,
    ) -> Result<Result<Proposal, Refusal>, PassError> {
        let now = self.clock.now();
        if let Some(action) = self.in_doubt_since(&wish.id, now)? {
            let why = format!(
                "what became of action {action}, which asked for it, is not known yet; look at it with \
                 clawarden tombstones show {}, and ask again in five minutes",
                wish.id
            );
            return Ok(Err(Refusal { is_unavailable: false, why, steps: Vec::new() }));
        }
        let snapshot = self.observer.look(now)?;
        let family = self.family_of(tombstone, &snapshot)?;
        Ok(self.judge(wish, tombstone, family.as_deref(), &snapshot))
    }

    /// The family of its agent. Records of acpx do not say it: there, what else is known of its wrapper
    /// does.
    fn family_of(
        &mut self,
        tombstone: &Tombstone,
        snapshot: &Snapshot,
    ) -> Result<Option<String>, PassError> {
        if let Some(family) = &tombstone.facts.family {
            return Ok(Some(family.clone()));
        }
        let sessions = snapshot.acp.iter().flatten();
        let mut its = sessions.filter(|of| tombstone.wrapper(&of.key).is_some());
        if let Some(metadata) = its.find_map(|session| session.metadata.as_ref()) {
            return Ok(Some(metadata.family.clone()));
        }
        let all = self.journal.tombstones()?;
        let is_its =
            |of: &&Tombstone| of.wrappers.iter().any(|(key, _)| tombstone.wrapper(key).is_some());
        Ok(all.0.values().filter(is_its).find_map(|of| of.facts.family.clone()))
    }

    /// A restore of the same session, a moment ago, of which the gateway may not be done.
    fn in_doubt_since(
        &self,
        id: &BackingId,
        now: UnixMillis,
    ) -> Result<Option<ActionId>, PassError> {
        let filter = HistoryFilter {
            since: Some(now.minus(IN_DOUBT)),
            subject: Some(id.0.clone()),
            policy: Some(Policy::Tombstone),
            limit: None,
        };
        let last = self.journal.actions(&filter)?.pop();
        let is_open =
            |outcome: Option<Outcome>| matches!(outcome, None | Some(Outcome::Unverified));
        Ok(last
            .filter(|record| is_open(record.conclusion.as_ref().map(|done| done.outcome)))
            .map(|record| record.id))
    }

    fn judge(
        &mut self,
        wish: &Wish,
        tombstone: &Tombstone,
        family: Option<&str>,
        snapshot: &Snapshot,
    ) -> Result<Proposal, Refusal> {
        let facts = &tombstone.facts;
        let gateway = &snapshot.gateway;
        let unavailable = |why: String| Refusal { is_unavailable: true, why, steps: Vec::new() };
        if gateway.status != Status::Up && gateway.version.is_none() {
            return Err(unavailable(format!("the gateway is not up: {}", gateway.why)));
        }
        let way = policy::way(gateway.version);
        let refused = |why: String| Refusal {
            is_unavailable: false,
            why,
            steps: steps::instead(way, wish, family, facts),
        };
        if way != Way::Spawn {
            return Err(refused(steps::no_way(way, gateway.version)));
        }
        let (Some(family), Some(cwd), Some(agent)) = (family, &facts.cwd, &facts.agent) else {
            return Err(refused("its agent or its folder is not on record".to_owned()));
        };
        let conversation = self.observer.conversation(gateway, family, cwd, &wish.id);
        let conversation = conversation.map_err(|why| {
            let steps =
                vec!["bring its file back from a backup, or begin a new session".to_owned()];
            Refusal { steps, ..refused(why) }
        })?;
        if let Some(why) = policy::obstacle(&wish.id, tombstone, snapshot) {
            // Nobody else may load it meanwhile, by hand neither.
            return Err(Refusal { steps: Vec::new(), ..refused(why) });
        }
        let process = gateway.process.as_ref().filter(|_| gateway.status == Status::Up);
        let process = process
            .map(|process| process.id)
            .ok_or_else(|| unavailable(format!("the gateway is not up: {}", gateway.why)))?;
        self.aim_at(snapshot).map_err(|failure| unavailable(failure.to_string()))?;
        let restore = Restore {
            id: wish.id.clone(),
            requester: wish.requester.clone(),
            authority: wish.authority,
            agent: agent.clone(),
            cwd: cwd.clone(),
            task: wish.task.clone(),
            gateway: process,
        };
        Ok(Proposal { restore, conversation })
    }

    /// Finds out how the gateway is reached, and that it is on this host.
    fn aim_at(&mut self, snapshot: &Snapshot) -> Result<(), RpcFailure> {
        let failure = |fault, text: &str| RpcFailure { fault, text: text.to_owned() };
        if !self.observer.is_live() {
            return Err(failure(RpcFault::Internal, "a captured state cannot be asked"));
        }
        let access = self.observer.access(&self.config.gateway, &snapshot.gateway)?;
        if let Some(text) = access.read_only {
            return Err(RpcFailure { fault: RpcFault::WrongGateway, text });
        }
        if let Some(speak) = &mut self.speak {
            speak.aim(Ok(access.target));
        }
        Ok(())
    }

    /// Has the gateway do what was proposed, looks whether it did, and writes that down. `user` asked
    /// for it. The caller holds the action lock.
    ///
    /// # Errors
    ///
    /// Returns an error if the journal cannot be written.
    pub fn restore(&mut self, proposal: &Proposal, user: &str) -> Result<Given, PassError> {
        let restore = &proposal.restore;
        if self.reach == Reach::DryRun {
            return Ok(self.ask_for(ActionId(0), restore));
        }
        let intent = self.restore_intent(restore, user)?;
        let number = self.journal.intend(&intent)?;
        let mut given = self.ask_for(number, restore);
        if let Some(wrapper) = given.wrapper.clone() {
            (self.before)(Step::Verify);
            let (outcome, note) = self.look_for(&wrapper, restore);
            (given.outcome, given.note) = (outcome, note);
        }
        (self.before)(Step::Conclude);
        let (outcome, note) = (given.outcome, Some(given.note.clone()));
        let conclusion = Conclusion { outcome, error: None, note, at: self.clock.now() };
        self.journal.settle(number, &conclusion)?;
        Ok(Given { action: Some(number), ..given })
    }

    fn ask_for(&self, number: ActionId, restore: &Restore) -> Given {
        let given = |outcome, note: String| Given {
            action: None,
            outcome,
            wrapper: None,
            note,
            is_tool_missing: false,
        };
        let Some(speak) = self.speak.as_deref() else {
            return given(Outcome::Changed, "nobody speaks with the gateway".to_owned());
        };
        let is_alive = |process| self.observer.is_alive(process);
        let asked = self.with_actuator(&is_alive, |actuator| {
            act::restore(&actuator, speak as &dyn Spawn, number, restore)
        });
        match asked {
            Ok(Restored::WouldDo) => given(Outcome::WouldDo, String::new()),
            Ok(Restored::NotAsked(why)) => given(Outcome::Changed, why),
            Ok(Restored::Accepted(key)) => {
                Given { wrapper: Some(key), ..given(Outcome::Unverified, String::new()) }
            }
            Ok(Restored::Failed(error)) if error.is_unknown => {
                given(Outcome::Unverified, error.to_string())
            }
            Ok(Restored::Failed(error)) => Given {
                is_tool_missing: error.failure.fault == RpcFault::Unsupported,
                ..given(Outcome::Failed, error.to_string())
            },
            Err(error) => given(Outcome::Failed, chain(&error)),
        }
    }

    /// Looks until the new session names the backing session and its first turn is over, or for half
    /// a minute.
    fn look_for(&mut self, wrapper: &SessionKey, restore: &Restore) -> (Outcome, String) {
        let mut last = Err("it was not seen".to_owned());
        for _ in 0..VERIFY_LOOKS {
            last = match self.observer.look(self.clock.now()) {
                Ok(snapshot) => named(&snapshot, wrapper, &restore.id),
                Err(error) => Err(chain(&error)),
            };
            if last.as_ref().is_ok_and(|named| named.is_settled) {
                break;
            }
            self.wait(VERIFY_GAP);
        }
        match last {
            Ok(Named { other: None, session, is_settled }) => {
                let runs = if is_settled { "" } else { "; its first turn still runs" };
                let has = format!("session `{wrapper}` has it{runs}");
                match self.write_restored(&session, restore) {
                    Ok(()) => (Outcome::Done, has),
                    Err(error) => {
                        let text = format!("{has}; that could not be recorded: {}", chain(&error));
                        (Outcome::Unverified, text)
                    }
                }
            }
            Ok(Named { other: Some(other), .. }) => {
                let text = format!("session `{wrapper}` began another conversation, {other}");
                (Outcome::Failed, text)
            }
            Err(why) => (Outcome::Unverified, format!("session `{wrapper}` was begun, but {why}")),
        }
    }

    fn write_restored(&mut self, of: &AcpSession, restore: &Restore) -> Result<(), PassError> {
        let facts = BackingFacts {
            requester: Some(restore.requester.clone()),
            wrapper: Some(of.key.clone()),
            session_id: of.session_id.clone(),
            agent: Some(of.agent.clone()),
            source: Some(of.store.clone()),
            ..BackingFacts::default()
        };
        let kind = match restore.authority {
            Authority::Recorded => TombstoneEventKind::Restored,
            Authority::Forced => TombstoneEventKind::RestoredByForce,
        };
        let (backing_id, at) = (restore.id.clone(), self.clock.now());
        let state = TombstoneState::Restored;
        let event = TombstoneEvent { backing_id, at, kind, state, facts };
        Ok(self.journal.record_tombstones(&[event])?)
    }

    fn restore_intent(&self, restore: &Restore, user: &str) -> Result<Intent, PassError> {
        let id = restore.id.0.clone();
        Ok(Intent {
            pass_id: "restore".to_owned(),
            boot_id: self.observer.boot()?,
            policy: Policy::Tombstone,
            subject: Subject { kind: SubjectKind::BackingSession, id: id.clone() },
            incarnation: String::new(),
            kind: "restore".to_owned(),
            detail: json!({ "action": restore, "user": user }).to_string(),
            reason_code: "asked".to_owned(),
            reason_text: format!("somebody asked to give {id} back to {}", restore.requester),
            intended_at: self.clock.now(),
            undo_of: None,
        })
    }
}

/// A new session, and which conversation it has.
struct Named {
    session: AcpSession,
    /// A conversation other than the one that was wanted.
    other: Option<BackingId>,
    /// Whether its first turn is over, so that the conversation stays.
    is_settled: bool,
}

/// Reads what the new session and its acpx record name; an error if neither names anything yet.
fn named(snapshot: &Snapshot, wrapper: &SessionKey, id: &BackingId) -> Result<Named, String> {
    let session = snapshot.acp.iter().flatten().find(|of| of.key == *wrapper);
    let session = session.ok_or("it is in no session store")?;
    let metadata = session.metadata.as_ref().ok_or("the gateway says nothing of its agent")?;
    let records = snapshot.records.iter().flatten().filter(|of| of.session_key == *wrapper);
    let of_records = records.filter_map(|record| record.backing_id.as_ref());
    let mut ids = metadata.backing_ids.iter().chain(of_records).peekable();
    ids.peek().ok_or("it names no conversation")?;
    let is_over =
        session.status != crate::model::LaneStatus::Running && metadata.state != "running";
    Ok(Named {
        session: AcpSession::clone(session),
        other: ids.find(|other| *other != id).cloned(),
        is_settled: is_over && session.ended_at.value().is_some(),
    })
}

#[cfg(test)]
mod tests;
