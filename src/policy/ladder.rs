//! The ladder of repairs: `abort`, `steer`, `recover`, `reset`, `new`, as far as the user allows.
//!
//! Climbed in the user's order, one rung per action, and only for as long as the very same run is
//! still there. What was tried is told by the incarnation that was acted on last: it ends with the
//! rung.

use std::path::PathBuf;
use std::time::Duration;

use crate::model::{
    ActReason, Action, Decision, Effect, Evidence, HoldReason, LaneCall, Lock, Mode, Policy, Rung,
    SessionKey, Subject, SubjectKind, span,
};

use super::Context;
use super::ground::Reach;
use super::run::{Run, agents, is_held_by};

/// How often a rung is tried before one that loses the conversation, or before giving up: one
/// failed call may be the gateway's bad moment.
const TRIES: u32 = 2;

/// How long an effect may take to show, beyond what the gateway allows the run to end.
const ANSWERS_WITHIN: Duration = Duration::from_secs(15);
/// A reset of 2026.4.15 asks the hung model for a name first (measured: 17.5 to 24.8 s).
const RESETS_WITHIN: Duration = Duration::from_secs(60);

/// What is to be repaired, and how far one may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Climb<'a> {
    /// The policy that asks, and its subject.
    pub(super) policy: Policy,
    /// See `policy`.
    pub(super) subject: &'a Subject,
    /// Which run it is: the same text for as long as it is the same.
    pub(super) name: &'a str,
    /// What may be done, in the user's order.
    pub(super) repair: &'a [Rung],
    /// The lane.
    pub(super) run: &'a Run<'a>,
    /// Whether its run is proven dead, not alive.
    pub(super) is_dead: bool,
}

/// What was decided, and what was left out.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// The rung to be tried now, or why there is none.
    rung: Result<Rung, HoldReason>,
    /// The rungs that do nothing here, and why.
    skipped: Vec<(Rung, &'static str)>,
    /// The rung that was tried last, and how often.
    tried: Option<(Rung, u32)>,
}

impl Step {
    fn evidence(&self, evidence: Evidence) -> Evidence {
        let skipped: serde_json::Map<_, _> = self
            .skipped
            .iter()
            .map(|(rung, why)| (rung.name().to_owned(), (*why).into()))
            .collect();
        let tried = self.tried.map(|(rung, times)| format!("{rung}, {times} times without effect"));
        evidence
            .maybe("tried", tried)
            .maybe("skipped", Some(skipped).filter(|skipped| !skipped.is_empty()))
    }
}

/// What is asked for, once the case is proven.
#[derive(Clone, Debug)]
pub(super) struct Plea {
    /// How far the policy may go.
    pub(super) mode: Mode,
    /// What is proven.
    pub(super) reason: ActReason,
    /// For how long nothing moved, where the chat is to be told.
    pub(super) tell: Option<Duration>,
}

/// Returns what is to be done about a proven case.
pub(super) fn decide(
    context: Context<'_>,
    reach: &Reach<'_>,
    climb: &Climb<'_>,
    plea: Plea,
) -> (Decision, Step) {
    let step = step(context, reach, climb);
    let decision = match &step.rung {
        Err(why) => Decision::Hold(why.clone()),
        Ok(rung) => {
            let tell = plea.tell.map(|quiet| told(*rung, quiet));
            let action = Action::CallLane(Box::new(call(context, reach, climb, *rung, tell)));
            match plea.mode {
                Mode::Enforce => Decision::Act(action, plea.reason),
                Mode::Observe | Mode::Off => Decision::Observe(action, plea.reason),
            }
        }
    };
    (decision, step)
}

/// Returns the incarnation of a case: its run, and the rung that is due. Another rung wants its
/// looks anew.
pub(super) fn incarnation(name: &str, step: Option<&Step>) -> String {
    let rung = step.and_then(|step| step.rung.as_ref().ok());
    format!("{name}#{}", rung.map_or("-", |rung| rung.name()))
}

/// Adds what was tried, what was skipped, and why an abort names no run, where it does not.
pub(super) fn explain(evidence: Evidence, step: Option<&Step>, decision: &Decision) -> Evidence {
    let evidence = match step {
        Some(step) => step.evidence(evidence),
        None => evidence,
    };
    match decision {
        Decision::Act(Action::CallLane(call), _) | Decision::Observe(Action::CallLane(call), _) => {
            evidence.maybe("run_unnamed", nameless(call))
        }
        _ => evidence,
    }
}

/// Returns the subject of a lane.
pub(super) fn lane_subject(key: &SessionKey) -> Subject {
    Subject { kind: SubjectKind::Lane, id: key.0.clone() }
}

/// The line that the chat is told. Names nothing but the time.
fn told(rung: Rung, quiet: Duration) -> String {
    let quiet = span(quiet);
    if rung.keeps_conversation() {
        format!(
            "clawarden stopped a run here that had made no progress for {quiet}. Nothing of the \
             conversation is lost; please send your last message again if it was not answered."
        )
    } else {
        format!(
            "clawarden began this conversation anew: its run had made no progress for {quiet}. \
             What was said before is archived."
        )
    }
}

/// Returns the rung that is due.
fn step(context: Context<'_>, reach: &Reach<'_>, climb: &Climb<'_>) -> Step {
    let tried = tried(context, climb);
    let mut skipped = Vec::new();
    let mut usable = Vec::new();
    for rung in climb.repair {
        match useless(reach, climb, *rung) {
            Some(why) => skipped.push((*rung, why)),
            None => usable.push(*rung),
        }
    }
    let rung = due(&usable, tried)
        .ok_or_else(|| exhausted(context, reach, climb, &skipped, tried))
        .and_then(|rung| gates(context, reach, climb, rung).map(|()| rung));
    Step { rung, skipped, tried }
}

/// The rung that was tried last on this very run, and how often without effect: that the run is
/// still there shows that it had none.
fn tried(context: Context<'_>, climb: &Climb<'_>) -> Option<(Rung, u32)> {
    let seen = context.history.subjects.get(&(climb.policy, climb.subject.clone()))?;
    let (name, rung) = seen.acted_incarnation.as_deref()?.rsplit_once('#')?;
    let rung = Rung::ALL.into_iter().find(|known| known.name() == rung)?;
    (name == climb.name).then_some((rung, seen.ineffective.max(1)))
}

fn due(usable: &[Rung], tried: Option<(Rung, u32)>) -> Option<Rung> {
    let Some((last, times)) = tried else { return usable.first().copied() };
    let Some(place) = usable.iter().position(|rung| *rung == last) else {
        // The user took it out since.
        return usable.iter().copied().find(|rung| *rung > last);
    };
    let next = usable.get(place + 1).copied();
    match next {
        Some(next) if times >= TRIES || next.keeps_conversation() => Some(next),
        _ if times < TRIES => Some(last),
        _ => None,
    }
}

/// Why a rung does nothing here.
fn useless(reach: &Reach<'_>, climb: &Climb<'_>, rung: Rung) -> Option<&'static str> {
    let (facts, key) = (&reach.facts, climb.run.key);
    let effect =
        if climb.is_dead { facts.effect_without_run(rung, key) } else { facts.effect(rung, key) };
    let tombstoned = climb.run.live.is_some_and(|lane| lane.is_tombstoned);
    match effect {
        Effect::Absent => Some("this version does not have it"),
        Effect::Unproven => Some("nothing proves that it helps here on this version"),
        Effect::Works | Effect::NotBesideALock | Effect::LosesWaiting => {
            match (rung == Rung::Recover, tombstoned) {
                (true, false) => Some("only for what restart recovery has given up"),
                (false, true) => Some("was not tried on what restart recovery has given up"),
                (true, true) | (false, false) => None,
            }
        }
    }
}

/// What stands against a rung that would help.
fn gates(
    context: Context<'_>,
    reach: &Reach<'_>,
    climb: &Climb<'_>,
    rung: Rung,
) -> Result<(), HoldReason> {
    if climb.is_dead {
        return Ok(());
    }
    let key = climb.run.key;
    let effect = reach.facts.effect(rung, key);
    let lock = climb.run.locks(context.snapshot).next();
    if let (Effect::NotBesideALock, Some(lock)) = (effect, lock) {
        let path = lock.path.to_string_lossy().into_owned();
        return Err(HoldReason::LockBesideReset { path });
    }
    let queued = climb.run.live.and_then(|lane| lane.queued);
    if effect == Effect::LosesWaiting && queued != Some(0) {
        return Err(HoldReason::WouldLoseWaiting { queued });
    }
    if rung == Rung::Abort { names_its_own(reach, climb.run) } else { Ok(()) }
}

/// An abort ends the run whose id it names, in whatever lane that is: 2026.4.15 and 2026.7.1 do not
/// look at the key then (measured).
fn names_its_own(reach: &Reach<'_>, run: &Run<'_>) -> Result<(), HoldReason> {
    let runs = run.live.map_or(0, |lane| lane.runs.len());
    if runs > 1 || (runs == 0 && reach.facts.names_run(run.key)) {
        return Err(HoldReason::RunUnknown { runs });
    }
    let foreign = run.named().and_then(|id| reach.answers.other_lane_of(id, run.key));
    match foreign {
        Some(_) => Err(HoldReason::RpcDisagrees { about: "which lane its run is of" }),
        None => Ok(()),
    }
}

fn exhausted(
    context: Context<'_>,
    reach: &Reach<'_>,
    climb: &Climb<'_>,
    skipped: &[(Rung, &str)],
    tried: Option<(Rung, u32)>,
) -> HoldReason {
    if climb.repair.is_empty() {
        return HoldReason::NoRepair;
    }
    let tried = tried.map(|(rung, times)| format!("{rung} had no effect, {times} times"));
    let skipped = skipped.iter().map(|(rung, why)| format!("{rung}: {why}"));
    let why: Vec<_> = tried.into_iter().chain(skipped).collect();
    let next = left_to_the_user(context, reach, climb.run);
    HoldReason::LadderDone { why: why.join("; "), next }
}

/// What somebody who may end any process can still do.
fn left_to_the_user(context: Context<'_>, reach: &Reach<'_>, run: &Run<'_>) -> String {
    let restart = match &context.snapshot.vitals.restart_command {
        Some(command) => format!("a restart of the gateway, by you: {command}"),
        None => "a restart of the gateway, by you".to_owned(),
    };
    let mut agents: Vec<_> = match reach.facts.ignores_acp() {
        true => agents(context, run).map(|child| child.id.pid).collect(),
        false => Vec::new(),
    };
    agents.sort_unstable();
    match agents.as_slice() {
        [] => format!("what is left is {restart}"),
        [pid] => format!(
            "what frees this lane alone is the end of its agent, by you: kill {pid}; else {restart}"
        ),
        [first, .., last] => format!(
            "what frees this lane alone is the end of its agent, one of the {} between pid {first} \
             and pid {last}, by you; else {restart}",
            agents.len()
        ),
    }
}

/// Returns the call that carries a rung out. Everything that it was judged by is in it.
fn call(
    context: Context<'_>,
    reach: &Reach<'_>,
    climb: &Climb<'_>,
    rung: Rung,
    tell: Option<String>,
) -> LaneCall {
    let run = climb.run;
    let held = |lock: &&Lock| is_held_by(context, lock, reach.process.id);
    let lock: Option<PathBuf> =
        run.locks(context.snapshot).find(held).map(|lock| lock.path.clone());
    let settle_within = match rung {
        Rung::Abort | Rung::Steer | Rung::Recover => {
            reach.facts.settles_within.saturating_add(ANSWERS_WITHIN)
        }
        Rung::Reset | Rung::New => RESETS_WITHIN,
    };
    LaneCall {
        rung,
        key: run.key.clone(),
        session_id: run.session_id().cloned(),
        started_at: run.began(),
        run: run.named().cloned().filter(|_| !climb.is_dead),
        lock,
        queued: run.live.and_then(|lane| lane.queued),
        gateway: reach.process.id,
        version: reach.version,
        settle_within,
        tell,
    }
}

/// Why it is safe that an abort names no run, where it names none.
fn nameless(call: &LaneCall) -> Option<&'static str> {
    (call.rung == Rung::Abort && call.run.is_none()).then_some(
        "this version names no such run; session and start are compared right before the call",
    )
}

#[cfg(test)]
mod tests;
