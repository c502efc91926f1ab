//! Every place that names a family of tasks, and what each says.

use serde_json::{Value, json};

use crate::model::{Delivery, Era, Evidence, LaneStatus, Snapshot, Task, TaskRuntime, TaskStatus};

use super::family::Family;

/// Names every file and row, and how they disagree.
pub(super) fn evidence(snapshot: &Snapshot, family: &Family<'_>) -> Evidence {
    let first = family.tasks[0];
    let text = |key: &Option<crate::model::SessionKey>| key.as_ref().map(|key| key.0.clone());
    Evidence::new()
        .maybe("run", first.run.as_ref().map(|run| run.0.clone()))
        .maybe("label", family.tasks.iter().find_map(|task| task.label.clone()))
        .maybe("child", family.child().map(|key| key.0.clone()))
        .maybe("owner", family.tasks.iter().rev().find_map(|task| text(&task.owner)))
        .maybe("began_at", first.began_at().map(|at| at.to_string()))
        .with("disagreement", disagreement(snapshot, family))
        .with("tasks", family.tasks.iter().map(|task| row(task)).collect::<Vec<_>>())
        .with("places", places(snapshot, family))
}

fn row(task: &Task) -> Value {
    json!({
        "id": task.id.0,
        "runtime": runtime(task),
        "status": status(task),
        "delivery": delivery(task),
    })
}

/// Says in one line what each place says.
pub(super) fn disagreement(snapshot: &Snapshot, family: &Family<'_>) -> String {
    let tasks = family.tasks.iter().map(|task| format!("{} task {}", runtime(task), status(task)));
    let mut said: Vec<_> = tasks.collect();
    said.push(match family.row {
        Some(row) => format!("session {}", lane(&row.status)),
        None if family.child().is_some() && family.is_active() => "session gone".to_owned(),
        None => "session not looked at".to_owned(),
    });
    if snapshot.subagents.is_some() && family.is_spawned() {
        said.push(match family.registered {
            Some(run) if run.ended_at.is_some() => "registered run ended".to_owned(),
            Some(_) => "registered run open".to_owned(),
            None => "no registered run".to_owned(),
        });
    }
    for record in &family.records {
        let state = if record.is_closed { "closed" } else { "open" };
        said.push(format!("record {state}"));
    }
    said.join(", ")
}

/// Each file with the row or entry in it.
fn places(snapshot: &Snapshot, family: &Family<'_>) -> Vec<String> {
    let mut places = Vec::new();
    for task in &family.tasks {
        let database = task.database.display();
        places.push(format!("{database} task_runs {}", task.id));
        if let Some(flow) = &task.flow {
            let database = match snapshot.gateway.era {
                Era::Files => snapshot.gateway.state_dir.join("flows/registry.sqlite"),
                _ => task.database.clone(),
            };
            places.push(format!("{} flow_runs {flow}", database.display()));
        }
    }
    if let Some(row) = family.row {
        places.push(format!("{} {}", row.store.display(), row.key));
    }
    if let Some(run) = family.registered {
        places.push(format!("{} {}", run.registry.display(), run.run.0));
    }
    places.extend(family.records.iter().map(|record| record.path.display().to_string()));
    places
}

fn runtime(task: &Task) -> &str {
    match &task.runtime {
        TaskRuntime::Acp => "acp",
        TaskRuntime::Subagent => "subagent",
        TaskRuntime::Cli => "cli",
        TaskRuntime::Cron => "cron",
        TaskRuntime::Other(name) => name,
    }
}

fn status(task: &Task) -> &str {
    match &task.status {
        TaskStatus::Queued => "queued",
        TaskStatus::Running => "running",
        TaskStatus::Ended(how) => how,
        TaskStatus::Other(name) => name,
    }
}

fn delivery(task: &Task) -> &'static str {
    match task.delivery {
        Delivery::Unsettled => "pending",
        Delivery::Settled => "settled",
        Delivery::Unknown => "unknown",
    }
}

fn lane(status: &LaneStatus) -> &'static str {
    match status {
        LaneStatus::Absent => "idle",
        LaneStatus::Running => "running",
        LaneStatus::Ended => "ended",
        LaneStatus::Unknown => "of unknown status",
    }
}
