//! One pass: observe, evaluate, plan, act, verify, record.
//!
//! The same for the daemon, `run --once` and `plan`. A dry run writes nothing, neither beside the
//! gateway nor in our own state.

mod census;
mod hear;
mod lane;
mod purge;
mod restore;
mod sought;
mod summary;
mod tombstone;
mod undo;
mod words;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tracing::{info, warn};

use crate::act::{
    self, Actuator, Census, NoCensus, NoLaneCensus, Performed, Quarantine, Reach, Step,
};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::chain;
use crate::gateway::{Hear, Speak};
use crate::journal::{self, Absent, ActionLock, InstanceError, Journal, JournalError};
use crate::model::{
    Action, ActionId, Decision, History, Outcome, Policy, ProcessId, Snapshot, Source, Status,
    Subject, SubjectHistory, UnixMillis, Verdict, span,
};
use crate::observe::{ObserveError, Observer};
use crate::plan;
use crate::policy::{self, Context};
use crate::report::{Done, Entry, PassReport, Recovered};
use crate::text::escape;

use census::Again;
use lane::LaneAgain;
pub use purge::Purged;
pub use restore::{Given, Proposal, Refusal, Wish, authorise};
use sought::sought;
use summary::report;
pub use undo::Undone;
use words::{conclusion, done, intent, log_action, note};

/// How long a pass waits for an `undo`, `pause` or `protect` that is being carried out.
const ACTION_LOCK_WAIT: Duration = Duration::from_secs(5);

/// Everything passes need, kept from one to the next.
#[derive(Debug)]
pub struct Passes {
    /// What the user wants.
    pub config: Config,
    /// Looks at the world.
    pub observer: Observer,
    /// Remembers.
    pub journal: Journal,
    /// Our own folder for this state directory.
    pub dir: PathBuf,
    /// Whether anything is changed.
    pub reach: Reach,
    /// Tells the time.
    pub clock: Clock,
    /// How many passes were run.
    pub count: u64,
    /// Whether healthy subjects are reported with their evidence.
    pub explains_healthy: bool,
    /// When a gateway process was last seen alive and not up.
    pub not_up: Option<(ProcessId, UnixMillis)>,
    /// What a dry run saw of its subjects, for its next look: it leaves nothing in the journal.
    pub seen: Option<BTreeMap<(Policy, Subject), SubjectHistory>>,
    /// Speaks with the gateway; `None`: nobody does, and no lane is repaired through it.
    pub speak: Option<Box<dyn Hear + Send>>,
    /// Called before each step of an action. Does nothing, except in tests that end the process
    /// there.
    pub before: fn(Step),
}

/// Why a pass could not be run to its end.
#[derive(Debug, Error)]
pub enum PassError {
    /// Nothing could be looked at.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// Our own memory cannot be read or written. Without it nothing is done.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another of our processes acts, and does not end.
    #[error(transparent)]
    Busy(#[from] InstanceError),
    /// A stop was asked for while the gateway had not answered; nothing was judged.
    #[error("wait for the gateway's answer, as a stop was asked for")]
    Stopped,
}

/// One pass, for the actions in it.
#[derive(Clone, Copy)]
struct Pass<'a> {
    id: &'a str,
    snapshot: &'a Snapshot,
    /// Whether somebody wants us to stop.
    stop: &'a dyn Fn() -> bool,
}

impl Passes {
    /// Begins with nothing seen. `dir` is our own folder for this state directory.
    #[must_use]
    pub fn new(
        config: Config,
        mut observer: Observer,
        journal: Journal,
        dir: PathBuf,
        reach: Reach,
        clock: Clock,
    ) -> Passes {
        observer.configure(sought(&config));
        Passes {
            config,
            observer,
            journal,
            dir,
            reach,
            clock,
            count: 0,
            explains_healthy: true,
            not_up: None,
            seen: None,
            speak: None,
            before: |_| {},
        }
    }

    /// Takes another configuration into use.
    pub fn configure(&mut self, config: Config) {
        self.observer.configure(sought(&config));
        self.config = config;
    }

    /// Runs one pass. `stop` is asked between two actions, while the gateway is waited for, and while
    /// processes end.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing could be seen, or nothing could be remembered. What was done
    /// until then is in the journal.
    pub fn run(&mut self, stop: &dyn Fn() -> bool) -> Result<PassReport, PassError> {
        self.count += 1;
        let now = self.clock.now();
        let mut history = self.journal.load_history(now)?;
        if let Some(seen) = self.seen.take() {
            history.subjects = seen;
        }
        if self.observer.ledger.boot.is_none() {
            self.observer.ledger = self.journal.load_ledger(&self.observer.boot()?)?;
        }
        let mut snapshot = self.observer.look(now)?;
        self.hear(&mut snapshot, stop)?;
        // A captured table is of another boot.
        if self.reach == Reach::Live && self.observer.is_live() {
            self.journal.save_ledger(&self.observer.ledger)?;
        }
        let record = policy::host_record(history.host.as_ref(), &snapshot.host, now);
        history.host = Some(record);
        if let (Status::Starting | Status::Unknown, Some(process)) =
            (snapshot.gateway.status, snapshot.gateway.process)
        {
            self.not_up = Some((process.id, now));
        }
        history.not_up = self.not_up;
        history.tombstones = self.tombstones()?;
        let context = Context {
            snapshot: &snapshot,
            history: &history,
            explains_healthy: self.explains_healthy,
            start_grace: self.config.start_grace,
        };
        let verdicts = policy::evaluate(context, &self.config.policies);
        let acts =
            verdicts.iter().any(|of| matches!(of.decision, Decision::Act(..)) && !of.is_record());
        // Off switches are looked at once more under the lock: a `pause` that has returned holds.
        let _lock = if acts && self.reach == Reach::Live {
            let lock = ActionLock::take(&self.dir, ACTION_LOCK_WAIT)?;
            self.journal.refresh_history(&mut history, now)?;
            Some(lock)
        } else {
            None
        };
        let begun = history.subjects.iter().map(|(key, seen)| (key.clone(), seen.first_seen));
        let begun: BTreeMap<_, _> = begun.collect();
        let (limits, confirm) = (self.config.limits, self.config.confirm);
        let planned = plan::plan(verdicts, &history, limits, confirm, now);
        let history = plan::remember(history, &planned, limits, confirm, now);
        let pass_id = format!("{:x}-{:x}-{}", now.0, std::process::id(), self.count);
        let pass = Pass { id: &pass_id, snapshot: &snapshot, stop };
        let (entries, history) = self.act(planned, history, pass)?;
        match self.reach {
            Reach::Live => self.record(&entries, &history, &snapshot, &begun)?,
            Reach::DryRun => self.seen = Some(history.subjects),
        }
        Ok(report(snapshot, entries, pass_id, self.reach))
    }

    /// Waits until `gap` has passed, by the clock of judgements too. A captured state does not
    /// change meanwhile, so there only the frozen clock moves.
    pub fn wait(&mut self, gap: Duration) {
        if let Clock::Frozen(at) = &mut self.clock {
            *at = at.plus(gap);
        }
        if self.clock == Clock::Wall || self.observer.is_live() {
            std::thread::sleep(gap);
        }
    }

    fn act(
        &mut self,
        planned: Vec<Verdict>,
        mut history: History,
        pass: Pass<'_>,
    ) -> Result<(Vec<Entry>, History), PassError> {
        let mut entries = Vec::with_capacity(planned.len());
        let written = self.write_down(&planned, pass.snapshot);
        for verdict in planned {
            let done = match &verdict.decision {
                Decision::Act(Action::Record(_), _) => written.clone(),
                Decision::Act(action, _) if !(pass.stop)() => {
                    let done = self.carry_out(&verdict, action, &history, pass)?;
                    history = plan::acted(history, &verdict, done.outcome, pass.snapshot.taken_at);
                    Some(done)
                }
                _ => None,
            };
            entries.push(Entry { verdict, done });
        }
        Ok((entries, history))
    }

    /// The intent is durable before the act, the outcome after.
    fn carry_out(
        &mut self,
        verdict: &Verdict,
        action: &Action,
        history: &History,
        pass: Pass<'_>,
    ) -> Result<Done, PassError> {
        if self.reach == Reach::DryRun {
            let performed = self.perform(ActionId(0), action, history, pass);
            return Ok(done(None, performed));
        }
        let id = self.journal.intend(&intent(verdict, action, pass.snapshot, pass.id))?;
        let performed = self.perform(id, action, history, pass);
        let done = done(Some(id), performed);
        (self.before)(Step::Conclude);
        self.journal.settle(id, &conclusion(&done, self.clock.now()))?;
        log_action(verdict, action, &done);
        Ok(done)
    }

    fn perform(
        &self,
        id: ActionId,
        action: &Action,
        history: &History,
        pass: Pass<'_>,
    ) -> Result<Performed, act::ActError> {
        let is_alive = |process| self.observer.is_alive(process);
        let (observer, config, snapshot) = (&self.observer, &self.config, pass.snapshot);
        let again = Again { observer, config, snapshot, history };
        // A captured table names processes that are none: they are looked at, and never signalled.
        let is_looked_at = observer.is_live() || self.reach == Reach::DryRun;
        let census: &dyn Census = if is_looked_at { &again } else { &NoCensus };
        let lanes = LaneAgain { observer, snapshot, clock: self.clock };
        let speak = self.speak.as_deref().map(|speak| speak as &dyn Speak);
        self.with_actuator(&is_alive, |actuator| {
            Actuator { census, speak, lanes: &lanes, hurry: pass.stop, ..actuator }
                .perform(id, action)
        })
    }

    /// Lends an actuator over this state directory's quarantine.
    pub fn with_actuator<T>(
        &self,
        is_alive: &dyn Fn(ProcessId) -> bool,
        work: impl FnOnce(Actuator<'_>) -> T,
    ) -> T {
        work(Actuator {
            reach: self.reach,
            quarantine: Quarantine::new(self.dir.join(journal::QUARANTINE)),
            clock: self.clock,
            own: self.observer.own_process(),
            is_alive,
            census: &NoCensus,
            speak: None,
            stopped: &|| self.observer.stopped(self.clock.now()),
            lanes: &NoLaneCensus,
            hurry: &|| false,
            wait: &std::thread::sleep,
            before: &self.before,
        })
    }

    fn record(
        &mut self,
        entries: &[Entry],
        history: &History,
        snapshot: &Snapshot,
        begun: &BTreeMap<(Policy, Subject), UnixMillis>,
    ) -> Result<(), PassError> {
        self.journal.save_history(history)?;
        let is_noted = |entry: &&Entry| entry.verdict.suspect && !entry.verdict.is_record();
        let suspects: Vec<_> = entries.iter().filter(is_noted).collect();
        let notes: Vec<_> = suspects.iter().map(|entry| note(&entry.verdict)).collect();
        // What the log says proves nothing, and so its silence hides nothing.
        let is_seen = snapshot.gaps.iter().all(|gap| gap.source == Source::Log);
        let absent = if is_seen { Absent::Resolved } else { Absent::Unknown };
        let changes = self.journal.note_verdicts(&notes, absent, snapshot.taken_at)?;
        for index in changes.changed {
            if suspects[index].done.is_some() {
                continue; // Said when it was done.
            }
            let note = &notes[index];
            info!(
                "{} {} {}: {} policy={} code={}",
                note.decision,
                note.subject.kind.name(),
                escape(&note.subject.id),
                escape(&note.text),
                note.policy,
                note.code,
            );
        }
        for key in changes.resolved {
            let lasted = begun.get(&key).map(|begin| snapshot.taken_at.since(*begin));
            let lasted =
                lasted.map_or_else(String::new, |lasted| format!(" after {}", span(lasted)));
            let (policy, subject) = key;
            let (kind, id) = (subject.kind.name(), escape(&subject.id));
            info!("resolved {kind} {id}: no longer found wrong{lasted} policy={policy}");
        }
        Ok(())
    }

    /// Brings every action that an earlier run began and did not conclude to its end, by looking
    /// at what it left. Never repeats one.
    ///
    /// # Errors
    ///
    /// Returns an error if the journal cannot be read or written.
    pub fn recover(&mut self) -> Result<Vec<Recovered>, PassError> {
        let _lock = ActionLock::take(&self.dir, ACTION_LOCK_WAIT)?;
        let mut recovered = Vec::new();
        for record in self.journal.in_doubt()? {
            let found =
                self.with_actuator(&|_| true, |actuator| act::recover(&actuator, record.id));
            let (outcome, note) = match found {
                Ok(performed) => (performed.outcome, performed.note),
                Err(error) => (Outcome::Failed, Some(chain(&error))),
            };
            let words = note.as_deref().unwrap_or("found to be complete");
            if record.intent.undo_of.is_some() {
                self.leave_alone(&record.intent.subject, outcome)?;
            }
            self.journal.resolve(record.id, outcome, words, self.clock.now())?;
            let subject = record.intent.subject.id;
            warn!(
                "action {} on {} was interrupted; now {outcome}: {}",
                record.id,
                escape(&subject),
                escape(words)
            );
            recovered.push(Recovered { action_id: record.id, subject, outcome, note });
        }
        Ok(recovered)
    }

    /// Forgets what is older than the configuration says, in the journal and in quarantine.
    ///
    /// # Errors
    ///
    /// Returns an error if the journal cannot be written.
    pub fn prune(&mut self) -> Result<(), PassError> {
        let gone = self.journal.prune(self.config.retention, self.clock.now())?;
        let quarantine = Quarantine::new(self.dir.join(journal::QUARANTINE));
        for id in gone {
            if let Err(error) = quarantine.forget(id) {
                warn!("failed to remove what was kept of action {id}: {error}");
            }
        }
        Ok(())
    }
}
