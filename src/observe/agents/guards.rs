//! What forbids to end a process, as far as it can be seen.

use std::collections::BTreeSet;

use super::service::service;
use crate::model::{Guard, ProcessId};
use crate::observe::gateway::is_of_openclaw;
use crate::observe::process::{Facts, Inspection, Process, Table};

/// Shells: only in one of these a tool may run.
const SHELLS: [&[u8]; 8] = [b"bash", b"sh", b"dash", b"zsh", b"fish", b"ash", b"ksh", b"busybox"];

/// What a process is among agents.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kin<'a> {
    /// Whether it is one itself.
    pub(super) is_agent: bool,
    /// Whether its parent is one that runs tools: an agent, or an adapter.
    pub(super) is_of_agent: bool,
    /// The family of the topmost agent at or above it.
    pub(super) family: Option<&'a str>,
}

/// What guards are told by, besides the process itself.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    pub(super) table: &'a Table,
    pub(super) euid: u32,
    /// Ourselves and everything above us.
    pub(super) own: &'a BTreeSet<i32>,
    /// Processes that we have stopped ourselves.
    pub(super) held: &'a [ProcessId],
}

impl Watch<'_> {
    /// Returns every guard of `process`, which is looked at, and of which `facts` were read just now.
    pub(super) fn guards(
        &self,
        process: &Process,
        at: &Inspection<'_>,
        facts: &Facts,
        kin: Kin<'_>,
    ) -> Vec<Guard> {
        let pid = process.id.pid;
        let held = self.held.contains(&process.id);
        let checks = [
            (pid <= 2).then_some(Guard::Init),
            self.own.contains(&pid).then_some(Guard::Ourselves),
            (!kin.is_agent && is_of_openclaw(process)).then_some(Guard::OpenClaw),
            service(process).map(Guard::Service),
            (facts.uid != self.euid).then_some(Guard::OtherUser(facts.uid)),
            (!at.shares_pid_namespace(facts)).then_some(Guard::OtherNamespace),
            (facts.tty != 0).then_some(Guard::Terminal),
            (facts.tracer != 0).then_some(Guard::Traced(facts.tracer)),
            (matches!(facts.state, 'T' | 't') && !held && facts.tracer == 0)
                .then_some(Guard::Stopped),
            (facts.state == 'D').then_some(Guard::Uninterruptible),
            self.listening(pid, kin),
            tool(process, at, facts, kin),
        ];
        checks.into_iter().flatten().collect()
    }

    /// Of `claude` it is known that nobody talks to it through a socket of its own, and what it
    /// starts belongs to it (measured). Of other families that is not known.
    fn listening(&self, pid: i32, kin: Kin<'_>) -> Option<Guard> {
        if kin.family.is_none_or(|family| family == "claude") {
            return None;
        }
        match self.table.listens(pid) {
            Ok(listens) => listens.then_some(Guard::Listening),
            Err(error) => Some(Guard::Unreadable(format!("its sockets: {error}"))),
        }
    }
}

/// `claude` gives every tool a session of its own, and none to its servers (measured). The shell of
/// a tool may have become the tool itself, by `exec`.
fn tool(process: &Process, at: &Inspection<'_>, facts: &Facts, kin: Kin<'_>) -> Option<Guard> {
    let leads_session = facts.session == process.id.pid;
    if leads_session && kin.is_of_agent && !kin.is_agent {
        return Some(Guard::ToolShell);
    }
    if !SHELLS.contains(&process.program.as_slice()) {
        return None;
    }
    match at.is_tool_shell() {
        Ok(is_tool) => is_tool.then_some(Guard::ToolShell),
        Err(error) => Some(Guard::Unreadable(format!("whether a tool runs in it: {error}"))),
    }
}
