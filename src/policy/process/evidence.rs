//! Everything that was seen of one process, as `explain` prints it.

use serde_json::{Map, Value, json};

use crate::model::{
    Agent, Bond, End, EndKind, Evidence, Member, Peer, Place, RecordMode, Seen, UnixMillis,
};

/// Most processes of one tree that are listed. Real trees of agents have fewer than ten.
const LISTED_MAX: usize = 64;

/// Names one life of a process and the ends of its input and output.
pub(super) fn incarnation(agent: &Agent) -> String {
    let ends = [&agent.stdio.input, &agent.stdio.output].map(|end| match end.what {
        EndKind::Socket { inode } | EndKind::Pipe { inode } => inode,
        _ => 0,
    });
    format!("{}:{}:{}", agent.subject_id(), ends[0], ends[1])
}

pub(super) fn evidence(now: UnixMillis, agent: &Agent) -> Evidence {
    let what = agent.kind.as_ref().map_or_else(|| "no agent".to_owned(), ToString::to_string);
    Evidence::new()
        .with("pid", agent.id.pid)
        .with("what", what)
        .with("command", agent.command.clone())
        .maybe("cwd", agent.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned()))
        .with("started_at", agent.started_at.to_string())
        .with("age_s", now.since(agent.started_at).as_secs())
        .with("resident_mib", agent.resident() >> 20)
        .with("cpu_s", agent.cpu.total.as_secs())
        .maybe("session", agent.session_key.as_ref().map(|key| key.0.clone()))
        .with("owned", owned(agent))
        .with("reachable", reachable(agent))
        .with("against", against(agent))
        .with("tree", listed(agent.tree.iter().map(member)))
        .maybe("record", record(agent))
}

/// Every sign of ownership, strong ones first.
fn owned(agent: &Agent) -> Value {
    let mut signs = Map::new();
    for (sign, seen) in agent.ownership.iter() {
        let weight = if sign.is_strong() { "strong" } else { "weak" };
        signs.insert(format!("{} ({weight})", sign.name()), seen_text(seen).into());
    }
    signs.into()
}

fn seen_text(seen: &Seen) -> String {
    match seen {
        Seen::Present(what) if what.is_empty() => "present".to_owned(),
        Seen::Present(what) => format!("present: {what}"),
        Seen::Absent => "absent".to_owned(),
        Seen::Differs(how) => format!("absent: {how}"),
        Seen::Unreadable(why) => format!("unreadable: {why}"),
    }
}

fn reachable(agent: &Agent) -> Value {
    json!({ "stdin": end(&agent.stdio.input), "stdout": end(&agent.stdio.output) })
}

fn end(end: &End) -> String {
    let what = match &end.what {
        EndKind::Socket { inode } => format!("socket {inode}"),
        EndKind::Pipe { inode } => format!("pipe {inode}"),
        EndKind::Named(path) | EndKind::Terminal(path) => path.to_string_lossy().into_owned(),
        EndKind::Closed => "closed".to_owned(),
        EndKind::Unreadable(why) => format!("unreadable: {why}"),
    };
    match &end.peer {
        Peer::Alive => format!("{what}: somebody has the other end"),
        Peer::Dead => format!("{what}: its other end is closed for ever"),
        Peer::Unknown(why) => format!("{what}: {why}"),
    }
}

/// What speaks for leaving it alone, present or not.
fn against(agent: &Agent) -> Value {
    let state_dir = match &agent.place {
        Place::Ours => "this one".to_owned(),
        Place::Other(path) => format!("another one: {}", path.to_string_lossy()),
        Place::Unknown(why) => format!("unknown: {why}"),
    };
    let guards = agent
        .tree
        .iter()
        .flat_map(|member| member.guards.iter().map(|guard| format!("{} {guard}", member.id)));
    let guards = listed(guards);
    let mut against = Map::new();
    against.insert("state_dir".to_owned(), state_dir.into());
    if agent.kind.is_some() {
        against.insert("family_mark".to_owned(), mark(&agent.mark).into());
    }
    against.insert("above".to_owned(), bond(&agent.bond).into());
    let none = || "none in its tree".into();
    against.insert("guards".to_owned(), if guards.is_empty() { none() } else { guards.into() });
    against.into()
}

fn mark(seen: &Seen) -> String {
    match seen {
        Seen::Present(what) => what.clone(),
        Seen::Absent | Seen::Differs(_) | Seen::Unreadable(_) => seen_text(seen),
    }
}

/// As many lines as a person reads: below pid 1 there is everything.
fn listed(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines = lines.peekable();
    let mut listed: Vec<_> = lines.by_ref().take(LISTED_MAX).collect();
    match lines.count() {
        0 => {}
        more => listed.push(format!("and {more} more")),
    }
    listed
}

fn bond(bond: &Bond) -> String {
    match bond {
        Bond::Attached { to, role, is_ours: true } => {
            format!("the live {role} of this state directory, {to}")
        }
        Bond::Attached { to, role, is_ours: false } => format!("a live {role}, {to}"),
        Bond::Parented { by } => format!("its live parent, {by}, which may wait for it"),
        Bond::Loose { parent, name } => {
            format!("no gateway; its parent is pid {parent} ({name})")
        }
        Bond::Unknown(why) => format!("unknown: {why}"),
    }
}

fn member(member: &Member) -> String {
    let mib = member.resident.map(|bytes| format!(", {} MiB", bytes >> 20)).unwrap_or_default();
    format!("{} {}{mib}", member.id.subject_id(), member.what)
}

fn record(agent: &Agent) -> Option<Value> {
    let record = agent.record.as_ref()?;
    Some(json!({
        "path": record.path.to_string_lossy(),
        "mode": match record.mode {
            RecordMode::Oneshot => "oneshot",
            RecordMode::Persistent => "persistent",
        },
        "closed": record.is_closed,
        "closed_at": record.closed_at.map(|at| at.to_string()),
    }))
}
