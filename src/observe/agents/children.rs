//! What lives below the gateway, and which of it may be a tool at work.
//!
//! Whoever aborts a run must not interrupt a tool. So only what is certainly no tool is said to be
//! none: an agent, what launched it, what belongs to it, and what only carries others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::kind::Families;
use super::service::{is_of_gateway, service};
use super::stillness::Stillness;
use super::tree::Forest;
use super::{Known, Scene, read, remembered};
use crate::model::{Child, EndedTool, Part, ProcessId, Seen, SessionKey, UnixMillis};
use crate::observe::acp::signs;
use crate::observe::process::{Activity, Inspection, Process};

/// Programs that start others, and nothing else, when an agent is below them (npx is npm, which is
/// Node, and a shell; measured on 2026.4.15).
const LAUNCHERS: [&[u8]; 8] =
    [b"node", b"nodejs", b"bun", b"sh", b"dash", b"bash", b"env", b"busybox"];

/// Most processes below a gateway that are listed. Real ones have a few dozen.
const CHILDREN_MAX: usize = 4096;

/// For how long it is told that a tool has ended.
const ENDED_KEPT: Duration = Duration::from_secs(300);

/// What is kept from look to look.
#[derive(Debug, Default)]
pub(super) struct Children {
    stillness: Stillness,
    /// As the last look found them.
    tools: Vec<Child>,
    ended: Vec<EndedTool>,
    known: BTreeMap<ProcessId, Known>,
}

impl Children {
    /// Returns all that lives below the gateway, by pid.
    pub(super) fn look(&mut self, scene: &Scene<'_>, families: &Families) -> Vec<Child> {
        let mut forest = Forest::new(scene.table, families);
        forest.index();
        let inspector = scene.table.inspector();
        let mut brood = Brood::new(scene, &forest);
        let mut children = Vec::new();
        for process in brood.below() {
            let at = inspector.process(process.id.pid);
            let Ok(done) = done(process, &at) else { continue };
            let mark = forest.recognised(process.id.pid).and_then(|found| found.mark);
            let known = remembered(&mut self.known, scene, process, mark);
            let idle = done.and_then(|done| self.stillness.watch(&done, scene.now));
            children.push(brood.child(process, &at, known, idle));
        }
        children.sort_by_key(|child| child.id);
        let is_listed = |id| children.binary_search_by_key(&id, |child| child.id).is_ok();
        self.known.retain(|id, _| is_listed(*id));
        self.stillness.retain(is_listed);
        self.note_ends(&children, scene.now);
        children
    }

    /// Returns the tools that an earlier look saw and a later one did not, oldest end first.
    pub(super) fn ended_tools(&self) -> Vec<EndedTool> {
        self.ended.clone()
    }

    fn note_ends(&mut self, children: &[Child], now: UnixMillis) {
        let is_alive = |tool: &Child| children.iter().any(|child| child.id == tool.id);
        let gone = self.tools.drain(..).filter(|tool| !is_alive(tool));
        self.ended.extend(gone.map(|tool| EndedTool { tool, gone_at: now }));
        self.ended.retain(|ended| now.since(ended.gone_at) < ENDED_KEPT);
        let surplus = self.ended.len().saturating_sub(CHILDREN_MAX);
        self.ended.drain(..surplus);
        self.tools.extend(children.iter().filter(|child| !child.is_agent).cloned());
    }

    /// Returns the same as it is now; nothing is remembered but what each had done before.
    pub(super) fn now(&self, scene: &Scene<'_>, families: &Families) -> Vec<Child> {
        let mut forest = Forest::new(scene.table, families);
        forest.index();
        let inspector = scene.table.inspector();
        let mut brood = Brood::new(scene, &forest);
        let mut children = Vec::new();
        for process in brood.below() {
            let at = inspector.process(process.id.pid);
            let Ok(done) = done(process, &at) else { continue };
            let mark = forest.recognised(process.id.pid).and_then(|found| found.mark);
            let known = read(scene, process, mark);
            let idle = done.and_then(|done| self.stillness.peek(&done, scene.now));
            children.push(brood.child(process, &at, &known, idle));
        }
        children.sort_by_key(|child| child.id);
        children
    }
}

/// What a process below the gateway is to a run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    /// The gateway itself, and what carries others for it: broker, relay, anchor.
    Carrier,
    /// Something above an agent, on its way to it.
    Launcher,
    /// The gateway's own script above an adapter.
    Wrapper,
    /// An agent, or its adapter, or a server of it; and whether it is one of whose tools it is known
    /// how they look.
    Agent { is_known: bool },
    /// Anything else, which may be at work.
    Tool,
}

/// One look at what lives below the gateway. Parents are to be looked at before their children.
pub(super) struct Brood<'a> {
    scene: &'a Scene<'a>,
    forest: &'a Forest<'a>,
    /// What has an agent below it.
    above_agents: BTreeSet<i32>,
    seen: BTreeMap<i32, (Role, Option<SessionKey>)>,
}

impl<'a> Brood<'a> {
    pub(super) fn new(scene: &'a Scene<'a>, forest: &'a Forest<'a>) -> Brood<'a> {
        let ancestors = |(process, _): (&Process, _)| scene.table.ancestors(process.id.pid);
        let above = forest.agents().flat_map(ancestors).map(|process| process.id.pid).collect();
        let seen = scene.gateway.map(|id| (id.pid, (Role::Carrier, None)));
        Brood { scene, forest, above_agents: above, seen: seen.into_iter().collect() }
    }

    /// Returns all that lives below the gateway, parents before their children.
    pub(super) fn below(&self) -> Vec<&'a Process> {
        let Some(gateway) = self.scene.gateway else { return Vec::new() };
        let all = self.forest.with_descendants(&[gateway]);
        all.into_iter().filter(|process| process.id != gateway).take(CHILDREN_MAX).collect()
    }

    /// Returns what `process` is, which was idle for so long; `known` is what its environment says.
    pub(super) fn child(
        &mut self,
        process: &Process,
        at: &Inspection<'_>,
        known: &Known,
        idle: Option<Duration>,
    ) -> Child {
        let (above, inherited) =
            self.seen.get(&process.parent).cloned().unwrap_or((Role::Tool, None));
        let role = self.role(process, at, known, above);
        let lane = self.lane(process.id, known).or(inherited);
        self.seen.insert(process.id.pid, (role, lane.clone()));
        Child {
            id: process.id,
            started_at: self.scene.table.started_at(process.id),
            what: self.what(process),
            lane,
            is_agent: role != Role::Tool,
            is_service: role == Role::Carrier && self.is_service(process),
            idle,
        }
    }

    fn is_service(&self, process: &Process) -> bool {
        let is_direct = self.scene.gateway.is_some_and(|gateway| gateway.pid == process.parent);
        is_direct && is_of_gateway(process)
    }

    fn role(&self, process: &Process, at: &Inspection<'_>, known: &Known, above: Role) -> Role {
        let pid = process.id.pid;
        let Ok(origin) = &known.origin else { return Role::Tool };
        // Everything below a tool works for it, agents included.
        if above == Role::Tool || origin.shell.as_deref() == Some("exec") || origin.is_claude_tool {
            return Role::Tool;
        }
        if let Some(recognised) = self.forest.recognised(pid) {
            return match (&known.mark, recognised.kind.part) {
                (Seen::Present(_), Part::Wrapper) => Role::Wrapper,
                (Seen::Present(_), Part::Adapter | Part::Agent) => {
                    Role::Agent { is_known: recognised.kind.family == "claude" }
                }
                // Somebody's own: a tool may have started it.
                (Seen::Absent | Seen::Differs(_) | Seen::Unreadable(_), _) => Role::Tool,
            };
        }
        match above {
            _ if service(process).is_some() => Role::Carrier,
            Role::Agent { is_known: true } if !is_tool(process, at) => above,
            Role::Carrier | Role::Launcher | Role::Wrapper if self.is_launcher(process) => {
                Role::Launcher
            }
            _ => Role::Tool,
        }
    }

    fn is_launcher(&self, process: &Process) -> bool {
        self.above_agents.contains(&process.id.pid)
            && LAUNCHERS.contains(&process.program.as_slice())
    }

    /// The session of a process itself: by what was noted of it, its lease, or a record that names it.
    fn lane(&self, id: ProcessId, known: &Known) -> Option<SessionKey> {
        let Scene { ledger, leases, records, table, .. } = *self.scene;
        let noted = || ledger.descents.get(&id)?.session_key.clone();
        let lease = || {
            let lease_id = known.origin.as_ref().ok()?.lease_id.as_deref()?;
            leases.get(lease_id)?.session_key.clone()
        };
        let started_at = table.started_at(id);
        let names = |record: &&_| signs::names(record, id, started_at);
        let record = || {
            let named = records.iter().map(AsRef::as_ref).filter(names);
            named.min_by_key(|record| record.is_closed).map(|record| record.session_key.clone())
        };
        noted().or_else(lease).or_else(record)
    }

    fn what(&self, process: &Process) -> String {
        let recognised = self.forest.recognised(process.id.pid);
        let kind = recognised.map(|recognised| recognised.kind.to_string());
        let role = || service(process).map(str::to_owned);
        kind.or_else(role).unwrap_or_else(|| super::program(process))
    }
}

/// `claude` gives every tool a session of its own, and none to its servers (measured); a shell of a
/// tool has a mark, too.
fn is_tool(process: &Process, at: &Inspection<'_>) -> bool {
    process.session == process.id.pid || at.is_tool_shell().unwrap_or(true)
}

/// Returns what `process` has done, if it is still that very one and alive; `Ok(None)` if that
/// cannot be read.
pub(super) fn done(process: &Process, at: &Inspection<'_>) -> Result<Option<Activity>, Ended> {
    match at.activity() {
        Ok(activity) if activity.id == process.id && !activity.has_ended => Ok(Some(activity)),
        Ok(_) => Err(Ended),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match at.facts() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Ended),
            Ok(facts) if facts.id != process.id || facts.has_ended => Err(Ended),
            Ok(_) | Err(_) => Ok(None),
        },
        Err(_) => Ok(None),
    }
}

/// The process has ended, or its number is another one's by now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ended;
