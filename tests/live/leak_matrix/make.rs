//! Makes the leaks.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::acp;
use crate::gateway::uuid_like;
use crate::home::Home;
use crate::lab;
use crate::owner::{Owner, asked, persistent};
use crate::process::{Process, of_role};
use crate::wait::{seconds, until};

/// Everything that has leaked, with the owners that must live on.
pub(super) struct Leaks {
    /// To be ended at once.
    leaks: Vec<Leak>,
    /// The record of one of them: of a session that nobody will ask again.
    pub(super) closes: Record,
    /// The record of another: of a session that may be asked again.
    pub(super) stays: Record,
    /// To be left alone while its tool runs.
    pub(super) mid_turn: Leak,
    /// Somebody's own orphan, whose pid a record of ours names.
    pub(super) stranger: Process,
    _owners: Vec<Owner>,
}

/// A file of acpx, and what it says.
type Record = (PathBuf, Value);

/// One orphan and what is below it.
pub(super) struct Leak {
    pub(super) tree: Vec<Process>,
}

/// How the owner of a leak ends, and what that leaves.
type Leave = fn(&Home, &mut Owner) -> Leak;

impl Leaks {
    /// Starts all the owners at once, then ends them one by one.
    #[track_caller]
    pub(super) fn make(home: &Home) -> Self {
        let tool = asked(home, "[[say:tool:sleep 3600]] go");
        let mut mid_turn = Owner::start(home, "mid-turn", &tool);
        let [mut recycled, mut to_init, mut oneshot] = ["pid-recycled", "to-init", "oneshot"]
            .map(|name| Owner::start(home, name, &persistent(home)));
        let mut queue_owner = Owner::acpx(home, "queue-owner");
        let mut others = start(home);

        let mut leaks = Vec::new();
        for (owner, leave) in &mut others {
            leaks.push(leave(home, owner).checked(home, owner));
        }
        for owner in [&mut queue_owner, &mut to_init, &mut oneshot] {
            leaks.push(leave_idle(home, owner).checked(home, owner));
        }
        let (leak, stranger, editor) = leave_recycled(home, &mut recycled);
        leaks.push(leak.checked(home, &recycled));
        let mid_turn_leak = leave_mid_turn(home, &mut mid_turn).checked(home, &mid_turn);
        let stays = record_of(home, &to_init);
        let closes = as_oneshot(record_of(home, &oneshot));
        let owners = others.into_iter().map(|(owner, _)| owner);
        let _owners =
            owners.chain([mid_turn, recycled, to_init, oneshot, queue_owner, editor]).collect();
        Self { leaks, closes, stays, mid_turn: mid_turn_leak, stranger, _owners }
    }

    /// The topmost process of each that is to be ended.
    pub(super) fn tops(&self) -> Vec<Process> {
        self.leaks.iter().map(Leak::top).collect()
    }

    /// The record of a oneshot session is closed, that of another is as it was.
    #[track_caller]
    pub(super) fn assert_records(&self) {
        let read =
            |path: &PathBuf| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let (path, before) = &self.closes;
        let now = read(path);
        assert_eq!(now["closed"], true, "{now}");
        acp::assert_only_closed(before, &now);
        let (path, before) = &self.stays;
        assert_eq!(read(path), *before);
    }

    /// Every process that is to be ended.
    pub(super) fn ended(&self) -> Vec<Process> {
        self.leaks.iter().flat_map(|leak| leak.tree.iter().copied()).collect()
    }
}

impl Leak {
    pub(super) fn top(&self) -> Process {
        self.tree[0]
    }

    /// The fault itself: nobody can reach it, and it looks like an agent of this gateway.
    #[track_caller]
    fn checked(self, home: &Home, owner: &Owner) -> Self {
        let top = self.top();
        eprintln!("  {}: {top}, {} processes", owner.name, self.tree.len());
        until("nobody can reach the leak", seconds(20), || top.is_unreachable().then_some(()));
        assert_eq!(top.variable("OPENCLAW_CLI").as_deref(), Some("1"));
        assert_eq!(top.variable("HOME").as_deref(), home.path().to_str());
        assert_eq!(top.cwd(), Some(home.workspace()));
        self
    }
}

fn start(home: &Home) -> Vec<(Owner, Leave)> {
    let idle = persistent(home);
    vec![
        (Owner::start_in_container(home, "to-tini", &idle), leave_idle as Leave),
        (Owner::start(home, "no-record", &idle), leave_without_record),
        (Owner::start(home, "other-argv", &renamed(home)), leave_idle),
        (Owner::start(home, "lone-agent", &asked(home, "[[say:hang]] go")), leave_lone_agent),
        (Owner::start(home, "stubborn-server", &with_server(home)), leave_with_server),
    ]
}

/// An adapter that another program became: nothing of the command in its record is left.
fn renamed(home: &Home) -> Value {
    let mut spec = persistent(home);
    let command = spec["command"].as_str().unwrap();
    spec["command"] = json!(format!("bash -c 'exec -a renamed {command}'"));
    spec
}

/// An agent with a server that ignores the end of its input and SIGTERM.
fn with_server(home: &Home) -> Value {
    let mut spec = persistent(home);
    spec["mcp"] = stubborn_server();
    spec
}

pub(super) fn stubborn_server() -> Value {
    json!({ "stubborn": { "command": "python3", "args": [lab::script("mcp.py")] } })
}

fn leave_idle(_: &Home, owner: &mut Owner) -> Leak {
    owner.wait_for("idle");
    leave(owner, &["adapter", "claude"])
}

fn leave_with_server(_: &Home, owner: &mut Owner) -> Leak {
    owner.wait_for("idle");
    leave(owner, &["adapter", "claude", "server"])
}

fn leave_mid_turn(_: &Home, owner: &mut Owner) -> Leak {
    leave(owner, &["adapter", "claude", "shell", "tool"])
}

fn leave_without_record(home: &Home, owner: &mut Owner) -> Leak {
    let leak = leave_idle(home, owner);
    fs::remove_file(record_of(home, owner).0).unwrap();
    leak
}

/// An adapter that is asked to end while `claude` waits for its model ends alone.
fn leave_lone_agent(home: &Home, owner: &mut Owner) -> Leak {
    let agents = owner.wait_for_roles(&["adapter", "claude"]);
    home.provider.wait_for_agent();
    let adapter = of_role(&agents, "adapter")[0];
    adapter.signal(Signal::TERM);
    adapter.wait_for_end(seconds(20));
    owner.kill();
    Leak { tree: of_role(&agents, "claude") }
}

/// Another process has the pid of the record now. Returns that too, and what owned it.
fn leave_recycled(home: &Home, owner: &mut Owner) -> (Leak, Process, Owner) {
    let leak = leave_idle(home, owner);
    let (path, mut record) = record_of(home, owner);
    assert_eq!(record["pid"], leak.top().pid);
    // A record fits if the process began within three seconds of what it says.
    until("the next process is clearly younger", seconds(30), || {
        (leak.top().age() > seconds(10)).then_some(())
    });
    let mut editor = Owner::editor(home, "editor", "sockets", &[]);
    editor.wait_for("idle");
    let stranger = leave(&mut editor, &["adapter", "claude"]).top();
    until("nobody can reach the stranger", seconds(20), || stranger.is_unreachable().then_some(()));
    record["pid"] = json!(stranger.pid);
    fs::write(path, record.to_string()).unwrap();
    (leak, stranger, editor)
}

/// The record of the session of an owner.
#[track_caller]
fn record_of(home: &Home, owner: &Owner) -> Record {
    let mut records = acp::records(home, &owner.wait_for("session "));
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0].1["closed"], false, "{records:?}");
    records.remove(0)
}

/// Makes it the record of a oneshot session: these differ in their id alone (measured on 2026.4.15).
fn as_oneshot((path, mut record): Record) -> Record {
    let key = record["name"].as_str().unwrap().to_owned();
    let id = uuid_like();
    record["acpx_record_id"] = json!(format!("{key}:oneshot:{id}"));
    let name = path.file_stem().unwrap().to_string_lossy();
    let renamed = path.with_file_name(format!("{name}%3Aoneshot%3A{id}.json"));
    fs::remove_file(path).unwrap();
    fs::write(&renamed, serde_json::to_string_pretty(&record).unwrap()).unwrap();
    (renamed, record)
}

/// Kills the owner; returns what was below it, once it is below somebody else.
#[track_caller]
fn leave(owner: &mut Owner, wanted: &[&str]) -> Leak {
    let tree = owner.wait_for_roles(wanted);
    let top = of_role(&tree, "adapter")[0];
    let tree = top.with_descendants();
    let parent = top.parent();
    owner.kill();
    until("the orphan is taken in", seconds(20), || (top.parent() != parent).then_some(()));
    Leak { tree }
}
