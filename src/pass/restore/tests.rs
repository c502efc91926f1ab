//! A restore on a real disk, below a process that stands for its gateway.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use super::*;
use crate::clock::Clock;
use crate::config;
use crate::gateway::{Call, CallError, Hear, Reply, Speak, Target};
use crate::journal::{Instance, Journal};
use crate::model::sample::snapshot;
use crate::model::{AgentId, EventLoop, GatewayUrl, LiveLane, ProcessId, Rpc, Sighting, Version};
use crate::observe::Observer;
use crate::observe::locate::{Request, locate};

const ID: &str = "f2580191-0775-4aeb-ac5e-2de5074b7c6c";
const OTHER: &str = "94b92fa6-d271-4770-9503-2a84a80c1016";
const REQUESTER: &str = "agent:main:telegram:1";
const OLD: &str = "agent:claude:acp:1";
const NEW: &str = "agent:claude:acp:2";

/// Answers as it is told, having begun a session with `loads` in it.
#[derive(Clone, Debug)]
struct Gateway {
    dir: PathBuf,
    store: PathBuf,
    loads: Option<&'static str>,
    answer: Result<SessionKey, CallError>,
    /// What was asked, and whether that was in the journal by then.
    asked: Arc<Mutex<Vec<(Restore, bool)>>>,
}

impl Spawn for Gateway {
    fn spawn(&self, _: ProcessId, restore: &Restore) -> Result<SessionKey, CallError> {
        let in_doubt = Journal::open_read_only(&self.dir).unwrap().in_doubt().unwrap();
        self.asked.lock().unwrap().push((restore.clone(), in_doubt.len() == 1));
        if let Some(id) = self.loads {
            let row = json!({
                "sessionId": "s2", "status": "done", "startedAt": 5, "endedAt": 6,
                "spawnedBy": restore.requester,
                "acp": {
                    "backend": "acpx", "agent": "claude", "mode": "oneshot", "state": "idle",
                    "cwd": restore.cwd,
                    "identity": { "state": "pending", "acpxSessionId": id, "lastUpdatedAt": 6 },
                },
            });
            fs::write(&self.store, json!({ NEW: row }).to_string()).unwrap();
        }
        self.answer.clone()
    }
}

impl Speak for Gateway {
    fn lanes(&self, _: ProcessId, _: &dyn Fn() -> bool) -> Result<Vec<LiveLane>, RpcFailure> {
        Ok(Vec::new())
    }

    fn call(&self, _: ProcessId, call: &Call, _: &dyn Fn() -> bool) -> Result<Reply, CallError> {
        panic!("{call:?}")
    }
}

impl Hear for Gateway {
    fn aim(&mut self, target: Result<Target, RpcFailure>) {
        assert!(target.unwrap().url.starts_with("ws://127.0.0.1:"));
    }

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
    gateway: Gateway,
    passes: Passes,
    cwd: PathBuf,
    conversation: PathBuf,
    _instance: Instance,
    _dirs: [tempfile::TempDir; 3],
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl World {
    fn new(loads: Option<&'static str>, answer: Result<SessionKey, CallError>) -> World {
        let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
        let [state, own, home] = &dirs;
        let process = Command::new("sleep").arg("600").env("HOME", home.path()).spawn().unwrap();
        let folder = state.path().join("agents/claude/sessions");
        fs::create_dir_all(&folder).unwrap();
        let auth = r#"{"gateway":{"auth":{"mode":"token","token":"hunter2hunter2"}}}"#;
        fs::write(state.path().join("openclaw.json"), auth).unwrap();
        fs::write(folder.join("sessions.json"), "{}").unwrap();
        let cwd = home.path().canonicalize().unwrap().join("w");
        let name: String = cwd.to_str().unwrap().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let conversation = home.path().join(".claude/projects").join(name);
        fs::create_dir_all(&conversation).unwrap();
        fs::create_dir_all(&cwd).unwrap();
        let conversation = conversation.join(format!("{ID}.jsonl"));
        fs::write(&conversation, "{}\n").unwrap();

        let dir = own.path().to_owned();
        let instance = Instance::take(&dir).unwrap();
        let journal = Journal::open(&instance, Clock::Wall.now()).unwrap().journal;
        let env = |_: &str| None;
        let mut config = config::load(None, &env).unwrap().config;
        config.gateway.url = Some(GatewayUrl::at(false, [127, 0, 0, 1].into(), 1));
        let install =
            locate(&Request { state_dir: Some(state.path().to_owned()), env: &env }).unwrap();
        let observer = Observer::new(install, Path::new("/proc"), Box::new(env));
        let store = folder.join("sessions.json");
        let gateway = Gateway { dir: dir.clone(), store, loads, answer, asked: Arc::default() };
        let passes = Passes::new(config, observer, journal, dir, Reach::Live, Clock::Wall);
        let passes = Passes { speak: Some(Box::new(gateway.clone())), ..passes };
        let mut world =
            World { process, gateway, passes, cwd, conversation, _instance: instance, _dirs: dirs };
        let event = world.recorded();
        world.passes.journal.record_tombstones(&[event]).unwrap();
        world
    }

    fn recorded(&self) -> TombstoneEvent {
        let facts = BackingFacts {
            owner: Some(REQUESTER.into()),
            requester: Some(REQUESTER.into()),
            wrapper: Some(OLD.into()),
            agent: Some(AgentId("claude".to_owned())),
            family: Some("claude".to_owned()),
            cwd: Some(self.cwd.clone()),
            ..BackingFacts::default()
        };
        let (kind, state) = (TombstoneEventKind::Stripped, TombstoneState::Stripped);
        TombstoneEvent { backing_id: ID.into(), at: UnixMillis(1), kind, state, facts }
    }

    fn tombstone(&mut self) -> Tombstone {
        self.passes.journal.tombstones().unwrap().get(&ID.into()).unwrap().clone()
    }

    /// What is seen of it, on 2026.4.15, up and with nothing at work.
    fn sight(&self) -> Snapshot {
        let pid = i32::try_from(self.process.id()).unwrap();
        let Sighting::Present { id, .. } = self.passes.observer.sight(pid) else {
            panic!("pid {pid} is not seen")
        };
        let mut snapshot = snapshot();
        snapshot.gateway.process.as_mut().unwrap().id = id;
        (snapshot.acp, snapshot.records) = (Some(Vec::new()), Some(Vec::new()));
        snapshot
    }

    fn judge(&mut self, change: impl FnOnce(&mut Snapshot)) -> Result<Proposal, Refusal> {
        let tombstone = self.tombstone();
        let mut snapshot = self.sight();
        change(&mut snapshot);
        self.passes.judge(&wish(), &tombstone, Some("claude"), &snapshot)
    }

    fn restore(&mut self) -> Given {
        let proposal = self.judge(|_| {}).unwrap();
        assert_eq!(proposal.conversation, self.conversation);
        self.passes.restore(&proposal, "ana").unwrap()
    }

    fn asked(&self) -> Vec<(Restore, bool)> {
        self.gateway.asked.lock().unwrap().clone()
    }

    fn outcome(&self) -> Option<Outcome> {
        let record = self.passes.journal.action(ActionId(1)).unwrap().unwrap();
        record.conclusion.map(|conclusion| conclusion.outcome)
    }

    /// Asks again a moment later; returns why that is refused.
    fn again(&mut self) -> String {
        let tombstone = self.tombstone();
        self.passes.propose(&wish(), &tombstone).unwrap().unwrap_err().why
    }
}

fn wish() -> Wish {
    Wish {
        id: ID.into(),
        requester: REQUESTER.into(),
        authority: Authority::Recorded,
        task: "go on".to_owned(),
    }
}

fn failed(fault: RpcFault, is_unknown: bool) -> Result<SessionKey, CallError> {
    let failure = RpcFailure { fault, text: fault.name().to_owned() };
    Err(CallError { failure, is_unknown })
}

#[test]
fn a_session_is_given_back_seen_to_be_and_written_down() {
    let mut world = World::new(Some(ID), Ok(NEW.into()));
    let given = world.restore();
    assert_eq!(given.outcome, Outcome::Done, "{}", given.note);
    assert_eq!((given.action, given.wrapper), (Some(ActionId(1)), Some(NEW.into())));
    let asked = world.asked();
    assert_eq!(asked.len(), 1);
    let (restore, was_in_journal) = &asked[0];
    assert!(was_in_journal);
    assert_eq!((&restore.id, &restore.requester), (&ID.into(), &REQUESTER.into()));
    assert_eq!((&restore.cwd, restore.task.as_str()), (&world.cwd, "go on"));
    assert_eq!(world.outcome(), Some(Outcome::Done));
    let tombstone = world.tombstone();
    assert_eq!(tombstone.state, TombstoneState::Restored);
    assert_eq!(tombstone.events.last().unwrap().1, TombstoneEventKind::Restored);
    assert_eq!(tombstone.facts.requester, Some(REQUESTER.into()));
    assert_eq!(tombstone.wrapper(&NEW.into()), Some(Some(&"s2".into())));
}

#[test]
fn another_conversation_is_no_restore() {
    let mut world = World::new(Some(OTHER), Ok(NEW.into()));
    let given = world.restore();
    assert_eq!(given.outcome, Outcome::Failed);
    assert!(given.note.contains(OTHER), "{}", given.note);
    assert_eq!(world.tombstone().state, TombstoneState::Stripped);
}

#[test]
fn a_tool_that_is_not_allowed_changes_nothing_and_is_told() {
    let mut world = World::new(None, failed(RpcFault::Unsupported, false));
    let given = world.restore();
    assert_eq!((given.outcome, given.is_tool_missing), (Outcome::Failed, true));
    assert_eq!(world.tombstone().events.len(), 1);
    let mut world = World::new(None, failed(RpcFault::Unauthorized, false));
    assert!(!world.restore().is_tool_missing);
}

#[test]
fn a_lost_answer_is_unverified_and_not_asked_again() {
    let mut world = World::new(None, failed(RpcFault::Deaf, true));
    assert_eq!(world.restore().outcome, Outcome::Unverified);
    assert_eq!((world.outcome(), world.asked().len()), (Some(Outcome::Unverified), 1));
    let why = world.again();
    assert!(why.contains("action 1") && why.contains("five minutes"), "{why}");
    assert_eq!(world.asked().len(), 1);
}

#[test]
fn what_a_crash_cut_off_is_unverified_and_not_asked_again() {
    let mut world = World::new(Some(ID), Ok(NEW.into()));
    world.passes.before = |step| assert_ne!(step, Step::Verify, "the process ends here");
    assert!(catch_unwind(AssertUnwindSafe(|| world.restore())).is_err());
    assert_eq!(world.outcome(), None);
    assert!(world.again().contains("action 1"));
    world.passes.before = |_| {};
    let recovered = world.passes.recover().unwrap();
    assert_eq!(recovered[0].outcome, Outcome::Unverified);
    assert!(world.again().contains("action 1"));
    assert_eq!(world.asked().len(), 1);
}

#[test]
fn a_dry_run_asks_and_writes_nothing() {
    let mut world = World::new(Some(ID), Ok(NEW.into()));
    world.passes.reach = Reach::DryRun;
    let given = world.restore();
    assert_eq!((given.outcome, given.action), (Outcome::WouldDo, None));
    assert_eq!(world.asked(), []);
    assert!(world.passes.journal.actions(&HistoryFilter::default()).unwrap().is_empty());
    assert_eq!(world.tombstone().events.len(), 1);
}

#[test]
fn whatever_is_not_safe_is_refused_with_what_can_be_done() {
    let mut world = World::new(None, Ok(NEW.into()));
    let mut check = |change: &dyn Fn(&mut Snapshot), is_unavailable: bool, want: &str, steps| {
        let refusal = world.judge(change).unwrap_err();
        assert!(refusal.why.contains(want), "{}", refusal.why);
        assert_eq!(
            (refusal.is_unavailable, refusal.steps.len()),
            (is_unavailable, steps),
            "{want}"
        );
    };
    let is = |version: Option<Version>| move |of: &mut Snapshot| of.gateway.version = version;
    let on = |month, patch| is(Some(Version::new(2026, month, patch)));
    check(&on(5, 7), false, "a row of its own session store", 3);
    check(&on(7, 1), false, "its own database", 1);
    check(&on(9, 6), false, "its own database", 1);
    check(&is(None), false, "is not known", 1);
    check(&|of| of.gateway.status = Status::Down, true, "the gateway is not up", 0);
    check(&|of| of.acp = None, false, "was not looked at", 0);
    let conversation = world.conversation.clone();
    fs::write(&conversation, "").unwrap();
    let refusal = world.judge(|_| {}).unwrap_err();
    assert!(refusal.why.contains("is empty") && !refusal.is_unavailable, "{}", refusal.why);
    fs::write(&conversation, "{}\n").unwrap();
    let tombstone = world.tombstone();
    let sight = world.sight();
    let refusal = world.passes.judge(&wish(), &tombstone, Some("codex"), &sight).unwrap_err();
    assert!(refusal.why.contains("family `codex`"), "{}", refusal.why);
    assert_eq!(world.asked(), []);
}

#[test]
fn a_gateway_that_has_restarted_since_is_not_asked() {
    let mut world = World::new(Some(ID), Ok(NEW.into()));
    let proposal = world.judge(|_| {}).unwrap();
    world.process.kill().unwrap();
    world.process.wait().unwrap();
    let given = world.passes.restore(&proposal, "ana").unwrap();
    assert_eq!((given.outcome, world.asked().len()), (Outcome::Changed, 0));
}
