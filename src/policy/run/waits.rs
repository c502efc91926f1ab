//! What a silent run may be waiting for.

use std::time::Duration;

use crate::model::{
    Child, Era, HoldReason, LaneStatus, LiveLane, SessionKey, Snapshot, Source, UnixMillis,
};

use super::{Run, is_running};
use crate::policy::Context;
use crate::policy::clock::STEP;
use crate::policy::ground::Reach;

/// How long the end of a tool may take to show. Seconds, on a gateway whose event loop is free.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(60);

/// A tool, an agent or another child process that works for the run.
///
/// A tool counts however long it has been silent: a build or a test may say nothing for hours.
/// A child whose lane is not known may be the run's, unless it is older than the run.
pub(super) fn on_process(
    context: Context<'_>,
    run: &Run<'_>,
    started_at: UnixMillis,
    after: Duration,
) -> Result<(), HoldReason> {
    let snapshot = context.snapshot;
    let younger = |at: UnixMillis| at.plus(STEP) >= started_at;
    let its = || snapshot.children.iter().filter(|child| may_be_its(child, run, started_at));
    if let Some(tool) = its().filter(|child| !child.is_agent).min_by_key(|child| child.id) {
        return Err(HoldReason::ToolRunning { id: tool.id });
    }
    let works = |child: &&Child| child.idle.is_none_or(|idle| idle < after);
    if let Some(child) = its().filter(works).min_by_key(|child| child.id) {
        return Err(HoldReason::ChildActive { id: child.id });
    }
    // One of which nothing is known but that it is there.
    let known = |id| snapshot.children.iter().any(|child| child.id == id);
    let unknown = snapshot.gateway_children.iter().filter(|(id, at)| younger(*at) && !known(*id));
    match unknown.map(|(id, _)| *id).min() {
        Some(id) => Err(HoldReason::ChildYounger { id }),
        None => Ok(()),
    }
}

/// A tool that may have been the run's, and ended a moment ago: a gateway under load may take a while
/// to go on, and until then the run looks as if it had been silent for as long as its tool was.
///
/// The start of a tool is an event. One that started long after the last sign of life is another
/// run's.
pub(super) fn on_ended_tool(
    snapshot: &Snapshot,
    run: &Run<'_>,
    started_at: UnixMillis,
    quiet: Duration,
) -> Result<(), HoldReason> {
    let since = |at: UnixMillis| snapshot.taken_at.since(at);
    let is_its = |tool: &Child| {
        may_be_its(tool, run, started_at) && since(tool.started_at) + TAKEN_UP_WITHIN >= quiet
    };
    let ended = snapshot.ended_tools.iter().filter(|ended| is_its(&ended.tool));
    let last = ended.max_by_key(|ended| (ended.gone_at, ended.tool.id));
    match last.map(|ended| (ended, TAKEN_UP_WITHIN.saturating_sub(since(ended.gone_at)))) {
        Some((ended, left)) if !left.is_zero() => {
            Err(HoldReason::ToolEnded { id: ended.tool.id, left })
        }
        _ => Ok(()),
    }
}

/// Returns true if there is a child process that may be the run's, at work or not.
pub(super) fn has_child(snapshot: &Snapshot, run: &Run<'_>, started_at: UnixMillis) -> bool {
    snapshot.children.iter().any(|child| may_be_its(child, run, started_at))
}

fn may_be_its(child: &Child, run: &Run<'_>, started_at: UnixMillis) -> bool {
    match &child.lane {
        Some(lane) => run.key.covers(lane),
        None => !child.is_service && child.started_at.plus(STEP) >= started_at,
    }
}

/// A lane that the run spawned, and that is running itself. One whose parent is not known counts if
/// it is of a kind that is spawned, and not older than the run.
pub(super) fn on_lane(
    context: Context<'_>,
    reach: &Reach<'_>,
    run: &Run<'_>,
    started_at: UnixMillis,
) -> Result<(), HoldReason> {
    let may_be_its = |lane: &&LiveLane| match &lane.parent {
        Some(parent) => run.key.covers(parent),
        None => {
            is_spawned(&lane.key) && lane.started_at.is_none_or(|at| at.plus(STEP) >= started_at)
        }
    };
    let child = reach
        .answers
        .lanes
        .iter()
        .filter(|lane| lane.key != *run.key)
        .filter(|lane| runs(context, reach, lane) && may_be_its(lane))
        .min_by_key(|lane| &lane.key);
    child.map_or(Ok(()), |lane| Err(HoldReason::WaitsForChild { child: lane.key.clone() }))
}

/// A task that names the lane together with a lane of which the gateway says nothing. A task that
/// names only the lane itself is its own run: every `agent` run makes one (measured on 2026.4.15).
pub(super) fn on_task(
    context: Context<'_>,
    reach: &Reach<'_>,
    run: &Run<'_>,
) -> Result<(), HoldReason> {
    let snapshot = context.snapshot;
    let Some(lanes) = &snapshot.task_lanes else {
        // Tasks of the SQLite era are not read; its gateway tells of every lane.
        if snapshot.gateway.era == Era::Sqlite && snapshot.gap(Source::Tasks).is_none() {
            return Ok(());
        }
        let reason = snapshot.gap(Source::Tasks).map_or("not read", |gap| gap.reason.as_str());
        let source = Source::Tasks.name();
        return Err(HoldReason::Gap { source, reason: reason.to_owned() });
    };
    if !lanes.iter().any(|key| run.key.covers(key)) {
        return Ok(());
    }
    let unaccounted = |key: &&SessionKey| match reach.answers.lane(key) {
        Some(lane) => lane.parent.is_none() && runs(context, reach, lane),
        None => true,
    };
    let spawned = lanes.iter().filter(|key| *key != run.key && is_spawned(key));
    match spawned.into_iter().find(unaccounted) {
        Some(_) => Err(HoldReason::TaskActive),
        None => Ok(()),
    }
}

/// Whether a run of that lane may be alive.
fn runs(context: Context<'_>, reach: &Reach<'_>, lane: &LiveLane) -> bool {
    let is_idle = lane.has_active_run == Some(false) && reach.facts.proves_idle(&lane.key);
    let is_open =
        context.snapshot.open_subagents.contains(&lane.key) && lane.status != LaneStatus::Ended;
    (is_running(lane) || is_open) && !is_idle
}

fn is_spawned(key: &SessionKey) -> bool {
    key.is_subagent() || key.is_acp()
}
