use std::cell::{Cell, RefCell};
use std::time::Duration;

use super::*;
use crate::act::testing::{GATEWAY, NOW, Place, alive, nothing};
use crate::act::{Actuator, Performed, recover, undo};
use crate::gateway::Speak;
use crate::model::{
    Action, LaneStatus, LiveLane, LockStamp, RpcFailure, SessionKey, Transcript, Version, Waiting,
};

const ID: ActionId = ActionId(7);
const KEY: &str = "agent:main:telegram:1";
const LOCK: &str = "/s/s1.jsonl.lock";

/// A lane at one instant, by the gateway and by the disk.
#[derive(Clone, Debug)]
struct State {
    live: Option<LiveLane>,
    sight: LaneSight,
    newcomer: Option<ProcessId>,
}

/// A gateway with one lane: as it is until something is said to it, and at each look from then on.
#[derive(Debug)]
struct World {
    judged: LaneSight,
    before: State,
    after: Vec<State>,
    answer: Result<Reply, CallError>,
    told: Result<Reply, CallError>,
    said: RefCell<Vec<Call>>,
    looks: Cell<usize>,
    /// How often the disk was looked at, and at which look the transcript has been written.
    disk_looks: Cell<u32>,
    written_at_look: Option<u32>,
}

fn at(seconds_ago: u64) -> UnixMillis {
    NOW.minus(Duration::from_secs(seconds_ago))
}

fn stamp(ino: u64) -> LockStamp {
    LockStamp { dev: 1, ino, bytes: b"{}".to_vec() }
}

fn transcript(bytes: u64) -> Option<Transcript> {
    Some(Transcript::Present { bytes, modified_at: at(3_000) })
}

/// A run that has been hung for an hour and holds its lock, on 2026.9.6 as far as fields go.
fn hung() -> State {
    let live = LiveLane {
        key: KEY.into(),
        session_id: Some("s1".into()),
        status: LaneStatus::Running,
        started_at: Some(at(3_600)),
        has_active_run: Some(true),
        runs: vec![run("r1")],
        queued: Some(2),
        ..LiveLane::default()
    };
    let sight = LaneSight {
        at: NOW,
        file: Some("/s/s1.jsonl".into()),
        row: None,
        transcript: transcript(10),
        trajectory: Some(Transcript::Missing),
        locks: [(LOCK.into(), stamp(1))].into(),
        run: None,
        waiting: None,
    };
    State { live: Some(live), sight, newcomer: None }
}

/// The same lane on 2026.4.15, which tells less.
fn hung_4_15() -> State {
    hung().but(|state| {
        let live = state.live();
        (live.has_active_run, live.runs, live.queued) = (None, Vec::new(), None);
    })
}

/// After an abort that worked.
fn ended() -> State {
    hung().but(|state| {
        let live = state.live();
        live.status = LaneStatus::Ended;
        (live.has_active_run, live.queued) = (Some(false), Some(0));
        live.runs.clear();
        state.sight.locks.clear();
    })
}

fn run(id: &str) -> RunId {
    RunId(id.to_owned())
}

fn aborted() -> Result<Reply, CallError> {
    Ok(Reply { status: Some("aborted".to_owned()), run: Some(run("r1")), ..Reply::default() })
}

fn no_run() -> Result<Reply, CallError> {
    Ok(Reply { status: Some("no-active-run".to_owned()), ..Reply::default() })
}

fn failed(fault: RpcFault, is_unknown: bool) -> Result<Reply, CallError> {
    let failure = RpcFailure { fault, text: fault.name().to_owned() };
    Err(CallError { failure, is_unknown })
}

impl State {
    fn but(mut self, change: impl FnOnce(&mut State)) -> State {
        change(&mut self);
        self
    }

    fn live(&mut self) -> &mut LiveLane {
        self.live.as_mut().unwrap()
    }
}

impl World {
    fn new(before: State, after: Vec<State>) -> World {
        let (answer, told) = (aborted(), Ok(Reply::default()));
        let (judged, said, looks) = (hung().sight, RefCell::default(), Cell::new(0));
        let (disk_looks, written_at_look) = (Cell::new(0), None);
        World { judged, before, after, answer, told, said, looks, disk_looks, written_at_look }
    }

    fn answering(self, answer: Result<Reply, CallError>) -> World {
        World { answer, ..self }
    }

    fn state(&self) -> &State {
        let index = self.looks.get().saturating_sub(1).min(self.after.len().saturating_sub(1));
        if self.said.borrow().is_empty() { &self.before } else { &self.after[index] }
    }

    fn calls(&self) -> Vec<Call> {
        self.said.borrow().clone()
    }
}

impl Speak for World {
    fn lanes(&self, process: ProcessId, _: &dyn Fn() -> bool) -> Result<Vec<LiveLane>, RpcFailure> {
        assert_eq!(process, GATEWAY);
        self.looks.set(self.looks.get() + usize::from(!self.said.borrow().is_empty()));
        Ok(self.state().live.clone().into_iter().collect())
    }

    fn call(
        &self,
        process: ProcessId,
        call: &Call,
        _: &dyn Fn() -> bool,
    ) -> Result<Reply, CallError> {
        assert_eq!(process, GATEWAY);
        self.said.borrow_mut().push(call.clone());
        if matches!(call, Call::Tell { .. }) { self.told.clone() } else { self.answer.clone() }
    }
}

impl LaneCensus for World {
    fn judged(&self, _call: &LaneCall) -> LaneSight {
        self.judged.clone()
    }

    fn now(&self, _call: &LaneCall) -> Result<LaneSight, String> {
        self.disk_looks.set(self.disk_looks.get() + 1);
        let mut sight = self.state().sight.clone();
        if self.written_at_look == Some(self.disk_looks.get()) {
            sight.transcript = transcript(11);
        }
        Ok(sight)
    }

    fn newcomer(&self, _call: &LaneCall) -> Result<Option<ProcessId>, String> {
        Ok(self.state().newcomer)
    }
}

fn abort() -> LaneCall {
    LaneCall {
        rung: Rung::Abort,
        key: KEY.into(),
        session_id: Some("s1".into()),
        started_at: Some(at(3_600)),
        run: Some(run("r1")),
        lock: Some(LOCK.into()),
        queued: Some(2),
        gateway: GATEWAY,
        version: Version::new(2026, 9, 6),
        settle_within: Duration::from_secs(20),
        tell: None,
    }
}

fn abort_4_15() -> LaneCall {
    LaneCall { run: None, queued: None, version: Version::new(2026, 4, 15), ..abort() }
}

fn rung(rung: Rung, version: (u16, u8, u16)) -> LaneCall {
    LaneCall { rung, version: Version::new(version.0, version.1, version.2), ..abort() }
}

fn perform<'a>(
    world: &'a World,
    call: &LaneCall,
    change: impl FnOnce(&mut Actuator<'a>),
) -> Result<Performed, ActError> {
    let place = Place::new();
    let mut actuator = place.actuator(Reach::Live, &alive, &nothing);
    actuator.speak = Some(world);
    actuator.lanes = world;
    change(&mut actuator);
    let performed = actuator.perform(ID, &Action::CallLane(Box::new(call.clone())));
    let is_kept = actuator.quarantine.manifest(ID).unwrap().is_some();
    assert!(is_kept || world.calls().is_empty(), "nothing is said before it is written down");
    performed
}

fn line(performed: Result<Performed, ActError>) -> String {
    match performed {
        Ok(performed) => {
            let note = performed.note.map(|note| format!(": {note}")).unwrap_or_default();
            format!("{}{note}", performed.outcome)
        }
        Err(error) => format!("failed to {}", chain(&error)),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

#[track_caller]
fn check(world: &World, call: &LaneCall, want: &str) {
    assert_eq!(line(perform(world, call, |_| {})), want);
}

/// Nothing is said to the gateway about a lane in this state.
#[track_caller]
fn left_alone(state: State, call: &LaneCall, want: &str) {
    for reach in [Reach::Live, Reach::DryRun] {
        let world = World::new(state.clone(), Vec::new());
        let performed = perform(&world, call, |actuator| actuator.reach = reach);
        assert_eq!(line(performed), want, "{reach:?}");
        assert_eq!(world.calls(), [], "{reach:?}");
    }
}

mod left_alone;
mod told;
mod verified;

#[test]
fn without_anybody_who_speaks_nothing_is_done() {
    let world = World::new(hung(), vec![ended()]);
    let performed = perform(&world, &abort(), |actuator| actuator.speak = None);
    assert_eq!(line(performed), "changed: nobody speaks with the gateway");
}

#[test]
fn a_dry_run_looks_and_says_nothing() {
    let world = World::new(hung(), Vec::new());
    let performed = perform(&world, &abort(), |actuator| actuator.reach = Reach::DryRun);
    assert_eq!((line(performed), world.calls()), ("would_do".to_owned(), vec![]));
}

#[test]
fn a_call_that_was_refused_failed_and_one_that_did_not_arrive_may_be_tried_again() {
    for fault in RpcFault::ALL {
        let world = World::new(hung(), vec![hung()]).answering(failed(fault, false));
        let said = line(perform(&world, &abort(), |_| {}));
        let name = fault.name();
        let want = match fault {
            RpcFault::Refused
            | RpcFault::Deaf
            | RpcFault::Unavailable
            | RpcFault::NotAGateway
            | RpcFault::WrongGateway
            | RpcFault::Closed
            | RpcFault::NoCredentials
            | RpcFault::Unauthorized
            | RpcFault::PairingRequired
            | RpcFault::MissingScope
            | RpcFault::ProtocolMismatch => format!("changed: nothing was said to it: {name}"),
            _ => format!("failed to have the gateway abort `{KEY}`; nothing was done: {name}"),
        };
        assert_eq!((said, world.calls().len()), (want, 1));
    }
}

#[test]
fn a_call_that_cannot_be_written_down_is_not_said_and_no_failure_of_its_rung() {
    let place = Place::new();
    let world = World::new(hung(), vec![ended()]);
    let mut actuator = place.actuator(Reach::Live, &alive, &nothing);
    actuator.speak = Some(&world);
    actuator.lanes = &world;
    let blocked = place.quarantine.path().join("a-file");
    std::fs::write(&blocked, "").unwrap();
    actuator.quarantine = crate::act::Quarantine::new(blocked);
    let said = line(actuator.perform(ID, &Action::CallLane(Box::new(abort()))));
    assert!(said.starts_with("changed: nothing was said to it: keep a copy of"), "{said}");
    assert_eq!(world.calls(), []);
}

#[test]
fn what_a_crash_interrupted_is_told_and_not_repeated() {
    for step in [Step::Call, Step::Verify] {
        let place = Place::new();
        let world = World::new(hung(), vec![ended()]);
        let crash = |at: Step| assert_ne!(at, step, "the process ends here");
        let mut actuator = place.actuator(Reach::Live, &alive, &crash);
        actuator.speak = Some(&world);
        actuator.lanes = &world;
        let action = Action::CallLane(Box::new(abort()));
        let perform = std::panic::AssertUnwindSafe(|| actuator.perform(ID, &action));
        assert!(std::panic::catch_unwind(perform).is_err());
        let said = world.calls().len();
        actuator.before = &nothing;
        let recovered = line(recover(&actuator, ID));
        assert!(
            recovered.starts_with("unverified: interrupted while the gateway was asked to abort")
        );
        assert_eq!(world.calls().len(), said, "{step:?}");
    }
}

#[test]
fn before_its_manifest_a_call_has_not_begun() {
    let place = Place::new();
    let actuator = place.actuator(Reach::Live, &alive, &nothing);
    assert_eq!(line(recover(&actuator, ID)), "changed: interrupted before it began");
}

#[test]
fn an_undo_says_what_cannot_be_brought_back_and_where_the_rest_is() {
    let place = Place::new();
    let folder = place.sessions.path();
    for name in
        ["s1.jsonl.reset.2026-11-20T10-00-00.000Z", "s1.jsonl.reset.2026-11-20T11-00-00.000Z"]
    {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    let actuator = place.actuator(Reach::Live, &alive, &nothing);
    let undone = |id: i64, rung: Rung, file: &str| {
        let mut sight = hung().sight;
        sight.file = Some(folder.join(file));
        let before = Before { live: hung().live.unwrap(), sight, run: None, archive: None };
        let call = LaneCall { rung, ..abort() };
        let manifest = Manifest::CallLane(Box::new(manifest(&call, &before)));
        actuator.quarantine.begin(ActionId(id), &manifest).unwrap();
        line(undo(&actuator, ActionId(id), ActionId(id + 100)))
    };
    assert_eq!(
        undone(1, Rung::Abort, "s1.jsonl"),
        "changed: a run that was ended cannot be brought back; its conversation was kept"
    );
    let newest = folder.join("s1.jsonl.reset.2026-11-20T11-00-00.000Z");
    assert_eq!(
        undone(2, Rung::Reset, "s1.jsonl"),
        format!(
            "changed: a conversation that was begun anew cannot be taken back; the old one lies in \
             {}, its only copy",
            newest.display()
        )
    );
    assert!(undone(3, Rung::New, "s2.jsonl").ends_with("the gateway may keep it in its database"));
    assert!(undone(4, Rung::Recover, "s1.jsonl").contains("successor"));
}
