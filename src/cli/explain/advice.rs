//! What the gateway does about a subject by itself, and what a person can do next.

use crate::model::{
    ActReason, Capabilities, Decision, HoldReason, Policy, ProcessId, Status, Version, span,
};
use crate::report::{self, Entry, PassReport};

/// What this version repairs by itself, and when: measured on 2026.3.24, 4.15, 5.7, 5.28, 6.11,
/// 7.1 and 9.6.
pub(super) fn gateway_repairs(report: &PassReport, entry: &Entry) -> String {
    let version = report.gateway.version;
    match (entry.verdict.policy, version) {
        _ if entry.verdict.decision == Decision::Hold(HoldReason::NotAnAgent) => {
            "only looks for agents".to_owned()
        }
        (Policy::DeadLock, _) => {
            "removes dead locks when it starts, and when a message waits for one; not in between"
                .to_owned()
        }
        (Policy::StaleLane, Some(version)) if version < Version::RECOVERS_RUNS => {
            format!("{version} never repairs such a row; the next message to the lane ends it")
        }
        (Policy::StaleLane, Some(version)) => format!(
            "{version} resumes runs that were interrupted by a crash within seconds of its start; \
             what says running after the start grace is not repaired any more"
        ),
        (Policy::StaleLane, None) => {
            "its version is not known; from 2026.5.2 on it resumes interrupted runs within seconds \
             of its start"
                .to_owned()
        }
        (Policy::OrphanProcess, Some(version)) if version < Version::REAPS_AGENTS => {
            format!("{version} never looks for agents that it left behind")
        }
        (Policy::OrphanProcess, _) => {
            "looks for agents that it left behind when ACP is first used after its start, and only \
             for those of its own wrapper below pid 1 (2026.7.1); before 2026.5.28 it never does"
                .to_owned()
        }
        (Policy::LeakedProcess, _) => "keeps it for as long as it runs itself".to_owned(),
        (Policy::RunawayAgent, _) => "sets no limit to what an agent uses".to_owned(),
        (Policy::HungLane | Policy::HeldLock, Some(version)) => {
            let locks = entry.verdict.policy == Policy::HeldLock;
            Capabilities::of(version).says_itself(locks, report.gateway.configured)
        }
        (Policy::HungLane | Policy::HeldLock, None) => {
            "its version is not known; from 2026.5.28 to 2026.7.1 it ends a run without progress \
             after 6m, earlier ones hardly ever do"
                .to_owned()
        }
        (Policy::ZombieTask, Some(version)) if version < Version::RECOVERS_RUNS => format!(
            "{version} ends a task whose session is gone within a minute, and never one whose \
             session is still listed"
        ),
        (Policy::ZombieTask, _) => {
            "ends tasks without a session within a minute, and those of a call or of a schedule after \
             its start; never the task of a subagent"
                .to_owned()
        }
        (Policy::GatewayHealth, _) => "does not watch itself".to_owned(),
        (Policy::Tombstone, _) => {
            "keeps this only with the session itself; since 2026.4.29 its maintenance drops it, and \
             then nobody may resume the conversation"
                .to_owned()
        }
    }
}

/// The exact next command, if there is one.
pub(super) fn next_step(report: &PassReport, entry: &Entry) -> String {
    let id = report::quoted(&entry.verdict.subject.id);
    let command = &report.invocation;
    match &entry.verdict.decision {
        Decision::Act(..) => format!(
            "{command} run --once repairs it; {command} protect {id} --for 1d leaves it alone"
        ),
        Decision::Observe(_, reason) => enforce(entry, reason),
        Decision::Hold(why) => held(report, entry, why),
    }
}

fn enforce(entry: &Entry, reason: &ActReason) -> String {
    let policy = entry.verdict.policy;
    let family = |what: &str| what.split(' ').next().unwrap_or_default().to_owned();
    let what = entry.verdict.evidence.0.get("what").and_then(serde_json::Value::as_str);
    let key = match (policy, reason, what) {
        (_, ActReason::Silent { .. }, _) => format!("policies.{policy}.silence"),
        (Policy::OrphanProcess, _, Some(what)) => {
            format!("policies.{policy}.mode and its families.{}.mode", family(what))
        }
        _ => format!("policies.{policy}.mode"),
    };
    format!("set {key} to enforce in the configuration to have it repaired")
}

fn held(report: &PassReport, entry: &Entry, why: &HoldReason) -> String {
    let id = report::quoted(&entry.verdict.subject.id);
    let command = &report.invocation;
    if let Some(next) = report::next(&entry.verdict) {
        return next.to_owned();
    }
    match why {
        HoldReason::NotConfirmed { needed, .. } => format!(
            "{command} run --once looks {needed} times and then repairs it; the daemon does so, too"
        ),
        HoldReason::Protected { .. } => format!("{command} unprotect {id}"),
        HoldReason::Paused { .. } => format!("{command} resume"),
        HoldReason::NotOwner { uid } => {
            format!("run clawarden as uid {uid}, the user of the gateway")
        }
        HoldReason::GatewayDown => {
            "start the gateway; what it does not repair itself is judged after the start grace"
                .to_owned()
        }
        HoldReason::EraNewer => "install a newer clawarden".to_owned(),
        HoldReason::PassBudget { .. } => {
            format!(
                "{command} run --once does the next ones; the daemon does them at its next pass"
            )
        }
        HoldReason::GaveUp { .. } => {
            format!("{command} history --since 7d --subject {id} shows what was tried")
        }
        HoldReason::NotAnAgent => "nothing to do; only agents are ever ended".to_owned(),
        HoldReason::PartOfTree { top } => {
            format!("{command} explain {}", report::quoted(&top.subject_id()))
        }
        HoldReason::OtherStateDir { path } => {
            format!("clawarden --state-dir {} explain {id}", report::quoted(path))
        }
        HoldReason::NotOwned | HoldReason::NotMarked => by_hand(entry),
        HoldReason::ContactUnknown { .. } if entry.verdict.suspect => by_hand(entry),
        why => match why.due_in() {
            Some(left) => format!("nothing to do; it is judged again in {}", span(left)),
            None if waits_for_gateway(report, why) => {
                "nothing is done until the gateway is up".to_owned()
            }
            None => "nothing is done while this holds; it is judged again at every pass".to_owned(),
        },
    }
}

/// What may be somebody's is never ended without him.
fn by_hand(entry: &Entry) -> String {
    let pid = ProcessId::from_subject_id(&entry.verdict.subject.id).map_or(0, |id| id.pid);
    format!("it may be somebody's, so it is never ended; if you know that it is not: kill {pid}")
}

/// A process that nobody can reach is ended beside a gateway that is down, too.
fn waits_for_gateway(report: &PassReport, why: &HoldReason) -> bool {
    let is_of_process = matches!(
        why,
        HoldReason::ContactKept
            | HoldReason::ContactUnknown { .. }
            | HoldReason::Attached { .. }
            | HoldReason::Parented { .. }
            | HoldReason::Guarded { .. }
            | HoldReason::ToolRunning { .. }
            | HoldReason::NotIdle
    );
    report.gateway.status != Status::Up && !is_of_process
}
