//! All rows of one run, and what else names it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    AcpxRecord, ChildRow, Delivery, SessionKey, Snapshot, SubagentRun, Task, TaskId, TaskRuntime,
    TaskStatus, UnixMillis,
};

/// How many runs of one child and label are no accident.
const AGAIN: usize = 3;

/// The tasks of one run of one session. Never empty.
pub(super) struct Family<'a> {
    /// By the time of their making.
    pub(super) tasks: Vec<&'a Task>,
    /// The run in the registry of subagents.
    pub(super) registered: Option<&'a SubagentRun>,
    /// The session row of the child.
    pub(super) row: Option<&'a ChildRow>,
    /// The records of acpx that name the child.
    pub(super) records: Vec<&'a AcpxRecord>,
}

/// Sorts tasks into families, in the order of their ids.
pub(super) fn families<'a>(snapshot: &'a Snapshot, tasks: &'a [Task]) -> Vec<Family<'a>> {
    let mut runs: BTreeMap<_, Vec<&Task>> = BTreeMap::new();
    for task in tasks {
        let alone = task.run.is_none().then_some(&task.id);
        // Whoever calls `agent` chooses the id of its run: another may have chosen the same.
        runs.entry((task.run.as_ref(), task.child.as_ref(), alone)).or_default().push(task);
    }
    let registry: BTreeMap<_, _> =
        snapshot.subagents.iter().flatten().map(|run| (&run.run, run)).collect();
    let mut families: Vec<_> = runs
        .into_iter()
        .map(|((run, ..), mut tasks)| {
            tasks.sort_by_key(|task| (task.created_at, &task.id));
            let registered = run.and_then(|run| registry.get(run).copied());
            let mut family = Family { tasks, registered, row: None, records: Vec::new() };
            if let Some(child) = family.child() {
                let (row, records) = of_child(snapshot, child);
                family = Family { row, records, ..family };
            }
            family
        })
        .collect();
    families.sort_by(|a, b| a.id().cmp(b.id()));
    families
}

fn of_child<'a>(
    snapshot: &'a Snapshot,
    child: &SessionKey,
) -> (Option<&'a ChildRow>, Vec<&'a AcpxRecord>) {
    let row = snapshot.task_children.iter().find(|row| row.key == *child);
    let records = snapshot.records.iter().flatten().map(AsRef::as_ref);
    (row, records.filter(|record: &&AcpxRecord| record.session_key == *child).collect())
}

impl<'a> Family<'a> {
    /// The task by which it is named: the first that is not over, else that is not told, else the first.
    pub(super) fn id(&self) -> &'a TaskId {
        let untold = |task: &&&Task| task.delivery == Delivery::Unsettled;
        let mut tasks = self.tasks.iter();
        let named = tasks.clone().find(|task| task.is_active()).or_else(|| tasks.find(untold));
        &named.unwrap_or(&self.tasks[0]).id
    }

    /// Returns true if a task is queued or running.
    pub(super) fn is_active(&self) -> bool {
        self.tasks.iter().any(|task| task.is_active())
    }

    /// Returns true if somebody spawned a session for it.
    pub(super) fn is_spawned(&self) -> bool {
        self.tasks.iter().any(|task| is_spawned(task))
    }

    /// Returns true if a subagent's task of it is not over.
    pub(super) fn is_subagent(&self) -> bool {
        self.tasks.iter().any(|task| task.is_active() && task.runtime == TaskRuntime::Subagent)
    }

    /// The session that works on it.
    pub(super) fn child(&self) -> Option<&'a SessionKey> {
        let spawned = self.tasks.iter().find(|task| is_spawned(task) && task.child.is_some());
        spawned.or(self.tasks.first()).and_then(|task| task.child.as_ref())
    }

    /// The status of a task that is none of those that are known.
    pub(super) fn odd_status(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task.status, TaskStatus::Other(_)))
    }

    /// When the last of its tasks that are not over began.
    pub(super) fn began_at(&self) -> Option<UnixMillis> {
        self.active().map(Task::began_at).max().flatten()
    }

    /// When anything was last heard of its tasks that are not over; `None` if one of them does not
    /// say when it began.
    pub(super) fn last_sign(&self) -> Option<UnixMillis> {
        let signs = self.active().map(|task| task.began_at().max(task.last_event_at));
        signs.collect::<Option<Vec<_>>>()?.into_iter().max()
    }

    /// Since when the end of a task has not been told.
    pub(super) fn untold_since(&self) -> Option<UnixMillis> {
        let untold = self.tasks.iter().filter(|task| task.delivery == Delivery::Unsettled);
        untold.filter_map(|task| task.ended_at.or(task.last_event_at)).max()
    }

    fn active(&self) -> impl Iterator<Item = &'a Task> {
        self.tasks.iter().copied().filter(|task| task.is_active())
    }
}

fn is_spawned(task: &Task) -> bool {
    matches!(task.runtime, TaskRuntime::Acp | TaskRuntime::Subagent)
}

/// Returns the families of children and labels that ended in [`AGAIN`] runs or more of which the
/// registry knows none, with how many there are; by the first of each.
pub(super) fn told_again<'a>(
    snapshot: &Snapshot,
    families: &[Family<'a>],
) -> BTreeMap<&'a TaskId, usize> {
    // Without the registry, a spawn may be there and not be seen.
    if snapshot.subagents.is_none() {
        return BTreeMap::new();
    }
    let mut groups: BTreeMap<_, Vec<&Family<'_>>> = BTreeMap::new();
    for family in families.iter().filter(|family| !family.is_active() && family.is_spawned()) {
        let label = family.tasks.iter().find_map(|task| task.label.as_ref());
        if let Some(named) = family.child().zip(label) {
            groups.entry(named).or_default().push(family);
        }
    }
    let mut again = BTreeMap::new();
    for group in groups.into_values() {
        let unknown: Vec<_> = group.iter().filter(|family| family.registered.is_none()).collect();
        let runs: BTreeSet<_> =
            unknown.iter().filter_map(|family| family.tasks[0].run.as_ref()).collect();
        if runs.len() >= AGAIN && unknown.len() == group.len() {
            let first = group.iter().min_by_key(|family| family.tasks[0].created_at);
            again.extend(first.map(|family| (family.id(), runs.len())));
        }
    }
    again
}
