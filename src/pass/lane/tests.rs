//! A lane on a real disk, below a process that stands for its gateway.
#![expect(
    clippy::disallowed_methods,
    reason = "the gateway's part is played: it removes its locks"
)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::{Pass, Passes};
use crate::act::{Reach, Step};
use crate::clock::Clock;
use crate::config;
use crate::gateway::{Call, CallError, Hear, Reply, Spawn, Speak, Target};
use crate::journal::{Instance, Journal};
use crate::model::{
    ActReason, Action, ActionId, Decision, EventLoop, Evidence, History, LaneCall, LaneStatus,
    LiveLane, Looks, Outcome, Policy, ProcessId, Restore, Rpc, RpcFailure, Rung, SessionKey,
    Sighting, Subject, SubjectKind, UnixMillis, Verdict, Version,
};
use crate::observe::Observer;
use crate::observe::locate::{Request, locate};

const KEY: &str = "agent:main:main";
const STARTED: UnixMillis = UnixMillis(1_795_159_303_423);

/// Frees the lane when it is told to abort, as 2026.4.15 does: the row stays as it is.
#[derive(Clone, Debug)]
struct Gateway {
    dir: PathBuf,
    lock: PathBuf,
    frees: bool,
    /// What was said to it, and whether that was in the journal by then.
    said: Arc<Mutex<Vec<(Call, bool)>>>,
}

impl Speak for Gateway {
    fn lanes(&self, _: ProcessId, _: &dyn Fn() -> bool) -> Result<Vec<LiveLane>, RpcFailure> {
        Ok(vec![LiveLane {
            key: KEY.into(),
            session_id: Some("s1".into()),
            status: LaneStatus::Running,
            started_at: Some(STARTED),
            ..LiveLane::default()
        }])
    }

    fn call(&self, _: ProcessId, call: &Call, _: &dyn Fn() -> bool) -> Result<Reply, CallError> {
        let in_doubt = Journal::open_read_only(&self.dir).unwrap().in_doubt().unwrap();
        self.said.lock().unwrap().push((call.clone(), in_doubt.len() == 1));
        if self.frees {
            fs::remove_file(&self.lock).unwrap();
        }
        Ok(Reply { status: Some("aborted".to_owned()), ..Reply::default() })
    }
}

impl Spawn for Gateway {
    fn spawn(&self, _: ProcessId, _: &Restore) -> Result<SessionKey, CallError> {
        panic!("no lane is repaired by a new session")
    }
}

impl Hear for Gateway {
    fn aim(&mut self, _: Result<Target, RpcFailure>) {}

    fn hear(&self, _: ProcessId, _: &dyn Fn() -> bool) -> Rpc {
        Rpc::NotAsked("it is told what to do".to_owned())
    }

    fn event_loop(&self, _: &dyn Fn() -> bool) -> Result<Option<EventLoop>, RpcFailure> {
        Ok(None)
    }
}

struct World {
    /// The process that stands for the gateway.
    process: Child,
    folder: PathBuf,
    gateway: Gateway,
    passes: Passes,
    _instance: Instance,
    _dirs: [tempfile::TempDir; 2],
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl World {
    fn new() -> World {
        let [state, own] = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let process = Command::new("sleep").arg("600").spawn().unwrap();
        let folder = state.path().join("agents/main/sessions");
        fs::create_dir_all(&folder).unwrap();
        fs::write(state.path().join("openclaw.json"), "{}").unwrap();
        let row = format!(r#""sessionId":"s1","status":"running","startedAt":{}"#, STARTED.0);
        fs::write(folder.join("sessions.json"), format!(r#"{{"{KEY}":{{{row}}}}}"#)).unwrap();
        fs::write(folder.join("s1.jsonl"), "12345").unwrap();
        let lock = folder.join("s1.jsonl.lock");
        let pid = process.id();
        let claim = format!(r#"{{"pid":{pid},"createdAt":"2026-11-20T07:29:30.010Z"}}"#);
        fs::write(&lock, claim).unwrap();

        let dir = own.path().to_owned();
        let instance = Instance::take(&dir).unwrap();
        let journal = Journal::open(&instance, Clock::Wall.now()).unwrap().journal;
        let env = |_: &str| None;
        let config = config::load(None, &env).unwrap().config;
        let install =
            locate(&Request { state_dir: Some(state.path().to_owned()), env: &env }).unwrap();
        let observer = Observer::new(install, Path::new("/proc"), Box::new(env));
        let said = Arc::default();
        let gateway = Gateway { dir: dir.clone(), lock, frees: true, said };
        let passes = Passes::new(config, observer, journal, dir, Reach::Live, Clock::Wall);
        let passes = Passes { speak: Some(Box::new(gateway.clone())), ..passes };
        World { process, folder, gateway, passes, _instance: instance, _dirs: [state, own] }
    }

    fn call(&self) -> LaneCall {
        let pid = i32::try_from(self.process.id()).unwrap();
        let Sighting::Present { id, .. } = self.passes.observer.sight(pid) else {
            panic!("pid {pid} is not seen")
        };
        LaneCall {
            rung: Rung::Abort,
            key: KEY.into(),
            session_id: Some("s1".into()),
            started_at: Some(STARTED),
            run: None,
            lock: Some(self.gateway.lock.clone()),
            queued: None,
            gateway: id,
            version: Version::new(2026, 4, 15),
            settle_within: Duration::from_secs(15),
            tell: None,
        }
    }

    /// Looks, lets `meanwhile` happen, and carries out an abort. Returns outcome and note.
    fn abort(&mut self, meanwhile: impl FnOnce(&World)) -> (Outcome, String) {
        let now = Clock::Wall.now();
        let snapshot = self.passes.observer.look(now).unwrap();
        let action = Action::CallLane(Box::new(self.call()));
        meanwhile(self);
        let verdict = Verdict {
            policy: Policy::HungLane,
            subject: Subject { kind: SubjectKind::Lane, id: KEY.to_owned() },
            incarnation: "s1".to_owned(),
            suspect: true,
            looks: Looks::One,
            decision: Decision::Act(action.clone(), ActReason::HolderDead { pid: 7 }),
            evidence: Evidence::new(),
        };
        let pass = Pass { id: "p", snapshot: &snapshot, stop: &|| false };
        let done = self.passes.carry_out(&verdict, &action, &History::default(), pass).unwrap();
        (done.outcome, done.note.unwrap_or_default())
    }

    fn said(&self) -> Vec<(Call, bool)> {
        self.gateway.said.lock().unwrap().clone()
    }

    fn recorded(&self) -> Option<Outcome> {
        let record = self.passes.journal.action(ActionId(1)).unwrap().unwrap();
        record.conclusion.map(|conclusion| conclusion.outcome)
    }
}

#[test]
fn a_lane_is_repaired_with_its_intent_in_the_journal_and_its_outcome_after() {
    let mut world = World::new();
    let (outcome, note) = world.abort(|_| {});
    assert_eq!(outcome, Outcome::Done, "{note}");
    assert!(note.starts_with("its lock is gone; the conversation is kept"), "{note}");
    let said = world.said();
    assert_eq!(said, [(Call::Abort { key: KEY.into(), run: None }, true)]);
    assert_eq!(world.recorded(), Some(Outcome::Done));
    assert!(world.passes.recover().unwrap().is_empty());
}

#[test]
fn what_moves_on_disk_between_look_and_act_keeps_the_lane_alone() {
    let left_alone = |meanwhile: fn(&World), want: &str| {
        let mut world = World::new();
        let (outcome, note) = world.abort(meanwhile);
        assert!(note.contains(want), "{note}");
        assert_eq!((world.said(), world.recorded()), (vec![], Some(outcome)));
        outcome
    };
    let changed = |meanwhile, want| assert_eq!(left_alone(meanwhile, want), Outcome::Changed);
    changed(
        |world| fs::write(world.folder.join("s1.jsonl"), "123456").unwrap(),
        "the transcript has been written",
    );
    changed(
        |world| fs::write(world.folder.join("s1.trajectory.jsonl"), "1").unwrap(),
        "the trajectory has been written",
    );
    changed(
        |world| fs::write(&world.gateway.lock, r#"{"pid":41}"#).unwrap(),
        "its lock was taken anew",
    );
    changed(
        |world| fs::write(world.folder.join("s1-topic-2.jsonl.lock"), "{}").unwrap(),
        "another one is there",
    );
    let gone = left_alone(|world| fs::remove_file(&world.gateway.lock).unwrap(), "is gone");
    assert_eq!(gone, Outcome::AlreadyGone);
}

#[test]
fn what_was_cut_off_by_a_crash_is_told_as_unverified_and_never_said_again() {
    let mut world = World::new();
    world.passes.before = |step| assert_ne!(step, Step::Verify, "the process ends here");
    assert!(catch_unwind(AssertUnwindSafe(|| world.abort(|_| {}))).is_err());
    assert_eq!(world.recorded(), None);
    world.passes.before = |_| {};
    let recovered = world.passes.recover().unwrap();
    assert_eq!(recovered.len(), 1);
    assert_eq!(recovered[0].outcome, Outcome::Unverified);
    assert!(recovered[0].note.as_deref().unwrap().contains("may have been carried out"));
    assert_eq!((world.recorded(), world.said().len()), (Some(Outcome::Unverified), 1));
}

#[test]
fn a_dry_run_looks_at_the_same_and_leaves_no_trace() {
    let mut world = World::new();
    world.passes.reach = Reach::DryRun;
    assert_eq!(world.abort(|_| {}).0, Outcome::WouldDo);
    let written = |world: &World| fs::write(world.folder.join("s1.jsonl"), "123456").unwrap();
    assert_eq!(world.abort(written).0, Outcome::Changed);
    assert_eq!(world.said(), []);
    assert!(world.passes.journal.action(ActionId(1)).unwrap().is_none());
}
