//! What is told of a run.

use std::time::Duration;

use crate::model::{Capabilities, Child, Evidence, LiveLane, Version};
use serde_json::{Value, json};

use super::progress::{last_sign, taken_at};
use super::{Run, alive};
use crate::policy::Context;

/// Most children and lines of log that are named.
const NAMED_MAX: usize = 10;

/// Returns what a judgement of the run rests on.
pub(in crate::policy) fn evidence(
    context: Context<'_>,
    run: &Run<'_>,
    after: Duration,
) -> Evidence {
    let now = context.snapshot.taken_at;
    let sign = last_sign(context, run, after);
    let proof = alive(context, run);
    let lock = run.locks(context.snapshot).next();
    let evidence = Evidence::new()
        .maybe("session_id", run.session_id().map(|id| id.0.clone()))
        .maybe("started_at", run.began().map(|at| at.to_string()))
        .maybe("age_s", run.began().map(|at| now.since(at).as_secs()))
        .with("alive", proof.map_or("not proven", super::Alive::name))
        .with("last_sign", sign.what)
        .with("quiet_s", now.since(sign.at).as_secs())
        .maybe("lock", lock.map(|lock| lock.path.to_string_lossy().into_owned()))
        .maybe("lock_age_s", lock.map(|lock| now.since(taken_at(lock)).as_secs()));
    let evidence = match run.live {
        Some(live) => said(context, evidence, live),
        None => evidence.with("gateway_says", "nothing of it"),
    };
    let evidence =
        evidence.maybe("children", children(context, run)).maybe("log", log(context, run));
    evidence.maybe("gateway_itself", itself(context, lock.is_some()))
}

fn said(context: Context<'_>, evidence: Evidence, live: &LiveLane) -> Evidence {
    let now = context.snapshot.taken_at;
    let runs: Vec<_> = live.runs.iter().take(NAMED_MAX).map(|run| run.0.clone()).collect();
    evidence
        .maybe("has_active_run", live.has_active_run)
        .maybe("runs", Some(runs).filter(|runs| !runs.is_empty()))
        .maybe("heard_s", live.heard_since.map(|at| now.since(at).as_secs()))
        .maybe("last_event_s", live.last_event_at.map(|at| now.since(at).as_secs()))
        .maybe("queued", live.queued)
        .maybe("parent", live.parent.as_ref().map(|key| key.0.clone()))
}

fn children(context: Context<'_>, run: &Run<'_>) -> Option<Value> {
    let its = |child: &&Child| child.lane.as_ref() == Some(run.key);
    let mut children: Vec<_> = context.snapshot.children.iter().filter(its).collect();
    children.sort_by_key(|child| child.id);
    children.truncate(NAMED_MAX);
    let tell = |child: &Child| {
        let idle_s = child.idle.map(|idle| idle.as_secs());
        json!({ "process": child.id.subject_id(), "what": child.what, "idle_s": idle_s })
    };
    let told: Vec<_> = children.into_iter().map(tell).collect();
    (!told.is_empty()).then(|| Value::Array(told))
}

fn log(context: Context<'_>, run: &Run<'_>) -> Option<Value> {
    let its = context.snapshot.log.iter().filter(|sign| sign.lane.as_ref() == Some(run.key));
    let told: Vec<_> = its
        .rev()
        .take(NAMED_MAX)
        .map(|sign| json!({ "fault": sign.fault, "what": sign.what, "count": sign.count }))
        .collect();
    (!told.is_empty()).then(|| Value::Array(told))
}

/// What the gateway itself does about it, by the facts of its own or the nearest older version.
fn itself(context: Context<'_>, locks: bool) -> Option<String> {
    let said = context.snapshot.rpc.answers().and_then(|answers| answers.version);
    let version: Option<Version> = said.or(context.snapshot.gateway.version);
    version.map(|version| {
        Capabilities::of(version).says_itself(locks, context.snapshot.gateway.configured)
    })
}
