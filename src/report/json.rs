//! The pass as one JSON object, schema `clawarden.pass/v1`.

use serde_json::{Value, json as object};

use super::{Entry, PassReport};
use crate::model::{Action, Decision, Era, Gateway, ProcessId};

/// Returns the report as JSON. Text from outside is as it is: JSON escapes it.
#[must_use]
pub fn json(report: &PassReport) -> Value {
    object!({
        "schema": "clawarden.pass/v1",
        "pass_id": report.pass_id,
        "taken_at": report.taken_at.to_string(),
        "dry_run": report.dry_run,
        "gateway": gateway(&report.gateway),
        "unheard": report.unheard.as_ref().map(|unheard| object!({
            "fault": unheard.why.fault.name(),
            "why": unheard.why.text,
            "next": unheard.next,
        })),
        "gaps": report.gaps.iter().map(|gap| object!({
            "source": gap.source.name(),
            "path": gap.path.to_string_lossy(),
            "reason": gap.reason,
        })).collect::<Vec<_>>(),
        "verdicts": report.listed().map(entry).collect::<Vec<_>>(),
        "recovered": report.recovered.iter().map(|recovered| object!({
            "action_id": recovered.action_id,
            "subject": recovered.subject,
            "outcome": recovered.outcome.name(),
            "note": recovered.note,
        })).collect::<Vec<_>>(),
        "seen": { "lanes": report.lanes, "locks": report.locks, "agents": report.agents },
        "summary": report.summary(),
    })
}

/// The gateway, as every command prints it.
pub(crate) fn gateway(gateway: &Gateway) -> Value {
    let process = gateway.process;
    object!({
        "state_dir": gateway.state_dir.to_string_lossy(),
        "era": gateway.era.name(),
        "era_note": match &gateway.era {
            Era::Newer { what } => Some(what),
            Era::Unknown { why } => Some(why),
            Era::Files | Era::Hybrid | Era::Sqlite => None,
        },
        "version": gateway.version.map(|version| version.to_string()),
        "status": gateway.status.name(),
        "why": gateway.why,
        "pid": process.map(|process| process.id.pid),
        "start_ticks": process.map(|process| process.id.start_ticks),
        "started_at": process.map(|process| process.started_at.to_string()),
        "port": gateway.port,
    })
}

/// One judgement and what became of it.
pub(crate) fn entry(entry: &Entry) -> Value {
    let verdict = &entry.verdict;
    let action = match &verdict.decision {
        Decision::Act(action, _) | Decision::Observe(action, _) => Some(self::action(action)),
        Decision::Hold(_) => None,
    };
    let done = entry.done.as_ref();
    object!({
        "policy": verdict.policy.name(),
        "subject": { "kind": verdict.subject.kind.name(), "id": verdict.subject.id },
        "decision": verdict.decision.name(),
        "reason": { "code": verdict.decision.code(), "text": verdict.decision.text() },
        "evidence": verdict.evidence,
        "action": action,
        "outcome": done.map(|done| done.outcome.name()),
        "action_id": done.and_then(|done| done.action_id),
        "note": done.and_then(|done| done.note.as_deref()),
        "error": done.and_then(|done| done.error.as_deref()),
    })
}

/// An action, as reports and the journal keep it.
pub(crate) fn action(action: &Action) -> Value {
    match action {
        Action::ReleaseLock { path, holder_pid, .. } => object!({
            "kind": action.kind(), "path": path.to_string_lossy(), "holder_pid": holder_pid,
        }),
        Action::Settle(edit) => object!({
            "kind": action.kind(),
            "store": edit.store.to_string_lossy(),
            "key": edit.key.0,
            "status": "failed",
            "where_missing": { "endedAt": edit.ended_at.0, "runtimeMs": edit.runtime_ms },
            "protocol": edit.protocol,
        }),
        Action::EndTree(end) => object!({
            "kind": action.kind(),
            "cause": end.cause,
            "root": end.root.subject_id(),
            "members": end.members.iter().map(ProcessId::subject_id).collect::<Vec<_>>(),
            "term_wait_s": end.term_wait.as_secs(),
            "closes_record": end.record.as_ref().map(|record| record.path.to_string_lossy()),
        }),
        Action::PurgeTask(purge) => object!({
            "kind": action.kind(), "task": purge.id.0, "places": purge.places(),
        }),
        Action::CallLane(call) => object!({
            "kind": action.kind(),
            "key": call.key.0,
            "session_id": call.session_id.as_ref().map(|id| &id.0),
            "run_id": call.run.as_ref().map(|id| &id.0),
            "started_at": call.started_at.map(|at| at.to_string()),
            "version": call.version.to_string(),
            "settle_within_s": call.settle_within.as_secs(),
            "lock": call.lock.as_ref().map(|path| path.to_string_lossy()),
            "queued": call.queued,
            "tells": call.tell.is_some(),
        }),
        Action::Record(events) => object!({ "kind": action.kind(), "events": events }),
    }
}
