//! `tasks`: one background task and everything that names it, wherever it is.

use std::time::Duration;

use serde_json::{Value, json};

use super::open::{Setup, env, setup};
use super::{Failure, Global, output};
use crate::exit::Exit;
use crate::journal::ActionLock;
use crate::model::{Era, Mode, Outcome, Policy, Status, TaskId};
use crate::pass::{Passes, Purged};
use crate::report::{self, Entry, PassReport};
use crate::text::escape;

/// How long a purge waits for an action that a daemon has in hand.
const WAIT: Duration = Duration::from_secs(30);

/// Shortest beginning of an id that is taken for one.
const PREFIX_MIN: usize = 4;

/// Background tasks: all that look wrong, or one of them
#[derive(Clone, Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Tasks {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// List the tasks that look wrong; with --all, every task
    List {
        /// Every task, also those that are over and told
        #[arg(long)]
        all: bool,
    },
    /// Say everything about one task: each place that names it, and what it says
    Explain {
        /// The beginning of its id, its label, session key or run id
        id: String,
    },
    /// Take one task out of every place that names it, with the gateway stopped
    Purge(Purge),
}

#[derive(Clone, Debug, clap::Args)]
struct Purge {
    /// The beginning of its id, its label, session key or run id
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    id: Option<String>,
    /// Every task of an agent that looks wrong, and has for long enough (`zombie_task.after`)
    #[arg(long, requires = "agent")]
    all: bool,
    /// Whose tasks
    #[arg(long, requires = "all")]
    agent: Option<String>,
    /// Only say what would be taken out, and of which places
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn tasks(global: &Global, command: &Tasks) -> Result<Exit, Failure> {
    match &command.command {
        None => list(global, false),
        Some(Command::List { all }) => list(global, *all),
        Some(Command::Explain { id }) => explain(global, id),
        Some(Command::Purge(command)) => purge(global, command),
    }
}

/// Looks at all tasks, whatever the configuration says about them.
fn look(passes: &mut Passes) -> Result<PassReport, Failure> {
    let mut config = passes.config.clone();
    config.policies.zombie_task.mode = Mode::Observe;
    passes.configure(config);
    passes.observer.ask_for_all_tasks();
    let mut report = passes.run(&|| false)?;
    report.entries.retain(|entry| entry.verdict.policy == Policy::ZombieTask);
    Ok(report)
}

fn list(global: &Global, all: bool) -> Result<Exit, Failure> {
    let mut report = look(&mut setup(global)?.looking()?)?;
    report.invocation = global.invocation();
    let shown = report.entries.iter().filter(|entry| all || entry.verdict.suspect);
    if global.json {
        let tasks: Vec<_> = shown.map(report::entry).collect();
        let value = json!({
            "schema": "clawarden.tasks/v1",
            "taken_at": report.taken_at.to_string(),
            "gateway": report::gateway(&report.gateway),
            "gaps": gaps(&report),
            "tasks": tasks,
        });
        output(&format!("{value}\n"))?;
        return Ok(Exit::Success);
    }
    let mut text = String::new();
    let paint = global.color.paint();
    // Writing to a String cannot fail.
    let _ = report::gateway_line(&report.gateway, report.taken_at, paint, &mut text);
    for gap in &report.gaps {
        let (path, reason) = (gap.path.display().to_string(), &gap.reason);
        text.push_str(&format!("\ncould not read {}: {}\n", escape(&path), escape(reason)));
    }
    let mut first = None;
    for entry in shown {
        text.push('\n');
        let _ = report::entry_lines(entry, &report.invocation, paint, &mut text);
        first = first.or(Some(entry).filter(|entry| entry.verdict.suspect));
    }
    match first {
        Some(entry) => text.push_str(&way_out(&report, &entry.verdict.subject.id)),
        None => {
            let seen = if report.gaps.is_empty() { "" } else { " that could be seen" };
            text.push_str(&format!("\nno task{seen} looks wrong\n"));
        }
    }
    output(&report::shortened(&text, &report))?;
    Ok(Exit::Success)
}

fn gaps(report: &PassReport) -> Vec<Value> {
    let gap = |gap: &crate::model::Gap| json!({ "source": gap.source.name(), "path": gap.path.to_string_lossy(), "reason": gap.reason });
    report.gaps.iter().map(gap).collect()
}

fn explain(global: &Global, given: &str) -> Result<Exit, Failure> {
    let mut report = look(&mut setup(global)?.looking()?)?;
    report.invocation = global.invocation();
    let found = one(&report, given)?;
    if global.json {
        let mut value = report::entry(found);
        if let Some(object) = value.as_object_mut() {
            object.insert("schema".to_owned(), "clawarden.task/v1".into());
            object.insert("gateway".to_owned(), report::gateway(&report.gateway));
        }
        output(&format!("{value}\n"))?;
        return Ok(Exit::Success);
    }
    let (mut text, paint) = (String::new(), global.color.paint());
    // Writing to a String cannot fail.
    let _ = report::gateway_line(&report.gateway, report.taken_at, paint, &mut text);
    text.push('\n');
    let _ = report::entry_lines(found, &report.invocation, paint, &mut text);
    let _ = super::explain::facts(&found.verdict, &mut text);
    if found.verdict.suspect {
        text.push_str(&way_out(&report, &found.verdict.subject.id));
    }
    output(&report::shortened(&text, &report))?;
    Ok(Exit::Success)
}

/// Returns the one task that is meant.
fn one<'a>(report: &'a PassReport, given: &str) -> Result<&'a Entry, Failure> {
    let found: Vec<_> = report.entries.iter().filter(|entry| is(entry, given)).collect();
    let shown = escape(given).into_owned();
    // Anybody may choose a label: a whole id means its task alone.
    if let Some(entry) = found.iter().find(|entry| ids(entry).iter().any(|id| id.0 == given)) {
        return Ok(entry);
    }
    match found.as_slice() {
        [entry] => Ok(entry),
        [] => {
            let gaps = if report.gaps.is_empty() { "" } else { "; not everything could be seen" };
            let text = format!(
                "{shown} is no task, by the beginning of its id, label, session key or run id{gaps}; \
                 see clawarden tasks list --all"
            );
            Err(Failure::new(Exit::Usage, text))
        }
        several => {
            let ids: Vec<_> = several.iter().map(|entry| &*entry.verdict.subject.id).collect();
            let text = format!("{shown} may be any of {}; say which", some_of(&ids));
            Err(Failure::new(Exit::Usage, text))
        }
    }
}

/// The first of them, and how many there are beside these.
pub(super) fn some_of(ids: &[&str]) -> String {
    const SHOWN_MAX: usize = 5;
    let shown: Vec<_> = ids.iter().take(SHOWN_MAX).map(|id| escape(id)).collect();
    match ids.len().saturating_sub(SHOWN_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn is(entry: &Entry, given: &str) -> bool {
    let text = |name: &str| entry.verdict.evidence.0.get(name).and_then(Value::as_str);
    let begins = |id: &str| given.len() >= PREFIX_MIN && id.starts_with(given);
    ids(entry).iter().any(|id| id.0 == given || begins(&id.0))
        || text("run").is_some_and(|run| run == given || begins(run))
        || ["label", "child"].iter().any(|name| text(name) == Some(given))
}

/// The tasks of the family.
fn ids(entry: &Entry) -> Vec<TaskId> {
    let tasks = entry.verdict.evidence.0.get("tasks").and_then(Value::as_array);
    let ids = tasks.into_iter().flatten().filter_map(|task| task["id"].as_str());
    ids.map(|id| TaskId(id.to_owned())).collect()
}

fn purge(global: &Global, command: &Purge) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    let (mut passes, _lock) = open(setup, command.dry_run)?;
    let wanted: Vec<_> = {
        let mut looking = self::setup(global)?.looking()?;
        let report = look(&mut looking)?;
        let meant = match (&command.id, &command.agent) {
            (Some(id), _) => vec![one(&report, id)?],
            (None, agent) => {
                let agent = agent.as_deref().unwrap_or_default();
                let entries = report.entries.iter().filter(|entry| is_judged(entry));
                entries.filter(|entry| is_of(entry, agent)).collect()
            }
        };
        meant.into_iter().map(|entry| (entry.verdict.subject.id.clone(), ids(entry))).collect()
    };
    let mut config = passes.config.clone();
    config.policies.zombie_task.mode = Mode::Observe;
    passes.configure(config);
    passes.observer.ask_for_all_tasks();
    let mut exit = Exit::Success;
    if wanted.is_empty() {
        output(if global.json { "" } else { "there is nothing to purge\n" })?;
    }
    for (id, ids) in wanted {
        let purged = passes.purge(&TaskId(id.clone()), &ids, &env("USER").unwrap_or_default())?;
        let is_done = say(global, &id, purged)?;
        if !is_done {
            exit = Exit::ActionFailed;
        }
    }
    Ok(exit)
}

fn open(setup: Setup, is_dry: bool) -> Result<(Passes, Option<ActionLock>), Failure> {
    if is_dry {
        return Ok((setup.looking()?, None));
    }
    let dir = setup.made_dir()?;
    let mut passes = setup.beside()?;
    // A purge that a crash interrupted is brought to its end before another one begins.
    passes.recover()?;
    Ok((passes, Some(ActionLock::take(&dir, WAIT)?)))
}

/// Whether it was found wrong, and nothing about it is doubtful but that its gateway is stopped.
fn is_judged(entry: &Entry) -> bool {
    let codes = ["gateway_down", "task_by_hand", "announced_again", "delivery_unsettled"];
    codes.contains(&entry.verdict.decision.code())
}

/// The way out that a stopped gateway leaves.
fn way_out(report: &PassReport, id: &str) -> String {
    let gateway = &report.gateway;
    let is_ours = matches!(gateway.era, Era::Files | Era::Hybrid);
    if gateway.status != Status::Down || !is_ours {
        return String::new();
    }
    let (clawarden, id) = (&report.invocation, escape(id));
    format!(
        "\nas the gateway is stopped, look what a purge takes:  {clawarden} tasks purge {id} --dry-run\n"
    )
}

/// Whether the session that works on it, or the one that asked for it, is the agent's.
fn is_of(entry: &Entry, agent: &str) -> bool {
    let key = |name: &str| entry.verdict.evidence.0.get(name).and_then(Value::as_str);
    let of = |key: &str| {
        let mut parts = key.split(':');
        parts.next() == Some("agent") && parts.next() == Some(agent)
    };
    key("child").or(key("owner")).is_some_and(of)
}

fn say(global: &Global, id: &str, purged: Purged) -> Result<bool, Failure> {
    let Purged { action, places, performed } = purged;
    let performed = performed.map_err(|error| Failure::failed_to(Exit::ActionFailed, &error))?;
    let outcome = performed.outcome;
    let is_done = matches!(outcome, Outcome::Done | Outcome::WouldDo | Outcome::AlreadyGone);
    if global.json {
        let value = json!({
            "schema": "clawarden.purge/v1",
            "task_id": id,
            "action_id": action,
            "outcome": outcome.name(),
            "note": performed.note,
            "places": places,
        });
        output(&format!("{value}\n"))?;
        return Ok(is_done);
    }
    let shown = escape(id);
    let mut text = match outcome {
        Outcome::Done => format!("purged task {shown}\n"),
        Outcome::WouldDo => format!("would purge task {shown}; nothing was changed\n"),
        Outcome::AlreadyGone => format!("task {shown} is gone already\n"),
        other => {
            let note = performed.note.as_deref().map(escape).unwrap_or_default();
            format!("did not purge task {shown} ({other}): {note}\n")
        }
    };
    if is_done {
        text.extend(places.iter().map(|place| format!("  {}\n", escape(place))));
    }
    if let Some(action) = action.filter(|_| outcome == Outcome::Done) {
        text.push_str(&format!("undo with {} undo {action}\n", global.invocation()));
    }
    output(&text)?;
    Ok(is_done)
}
