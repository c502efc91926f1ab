//! `undo`.

use std::time::Duration;

use serde_json::json;

use super::open::{env, setup};
use super::{Failure, Global, output};
use crate::act::{Performed, Reach};
use crate::exit::Exit;
use crate::journal::{ActionLock, Record};
use crate::model::{ActionId, Outcome};
use crate::pass::Undone;
use crate::report;
use crate::text::escape;

/// How long an undo waits for an action that a daemon has in hand.
const WAIT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Undo {
    /// The action's number, as `history` shows it
    #[arg(value_name = "ACTION_ID", value_parser = number)]
    action: i64,
    /// Only say whether it could be undone
    #[arg(long)]
    dry_run: bool,
}

fn number(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "expected a number, as `clawarden history` shows it".to_owned())
}

pub(super) fn undo(global: &Global, command: &Undo) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    let reach = if command.dry_run { Reach::DryRun } else { Reach::Live };
    let (mut passes, _lock) = match reach {
        Reach::DryRun => (setup.looking()?, None),
        Reach::Live => {
            let dir = setup.made_dir()?;
            (setup.beside()?, Some(ActionLock::take(&dir, WAIT)?))
        }
    };
    let id = ActionId(command.action);
    let record = passes.journal.action(id)?.ok_or_else(|| unknown(id))?;
    refuse(&record)?;

    let undone = passes.undo(&record, &env("USER").unwrap_or_default())?;
    say(global, &record, undone)
}

fn unknown(id: ActionId) -> Failure {
    let text = format!("there is no action {id}; see clawarden history");
    Failure::new(Exit::Usage, text)
}

fn refuse(record: &Record) -> Result<(), Failure> {
    let id = record.id;
    let refused = |why: String| Err(Failure::new(Exit::ActionFailed, why));
    if let Some(by) = record.undone_by {
        return refused(format!("action {id} is undone already, by action {by}"));
    }
    match record.conclusion.as_ref().map(|conclusion| conclusion.outcome) {
        Some(Outcome::Done | Outcome::Unverified) => Ok(()),
        // One place could not be put back: an undo looks at each anew.
        Some(Outcome::Failed) if record.intent.kind == "purge_task" => Ok(()),
        Some(outcome) => refused(format!("action {id} changed nothing ({outcome})")),
        None => refused(format!(
            "action {id} has no outcome yet; a run of clawarden looks what became of it"
        )),
    }
}

fn say(global: &Global, record: &Record, undone: Undone) -> Result<Exit, Failure> {
    let Undone { undo, performed, protected_until } = undone;
    let Performed { outcome, note } =
        performed.map_err(|error| Failure::failed_to(Exit::ActionFailed, &error))?;
    if global.json {
        let value = json!({
            "schema": "clawarden.undo/v1",
            "action_id": record.id,
            "undo_id": undo,
            "subject": { "kind": record.intent.subject.kind.name(), "id": record.intent.subject.id },
            "outcome": outcome.name(),
            "note": note,
            "protected_until": protected_until.map(|until| until.to_string()),
        });
        output(&format!("{value}\n"))?;
    } else {
        output(&sentence(record, outcome, note.as_deref()))?;
        if let Some(until) = protected_until {
            let id = report::quoted(&record.intent.subject.id);
            let command = global.invocation();
            output(&format!(
                "it is protected until {until}; end that with: {command} unprotect {id}\n"
            ))?;
        }
    }
    Ok(match outcome {
        Outcome::Done | Outcome::WouldDo => Exit::Success,
        _ => Exit::ActionFailed,
    })
}

fn sentence(record: &Record, outcome: Outcome, note: Option<&str>) -> String {
    let (kind, id) = (record.intent.subject.kind.name(), escape(&record.intent.subject.id));
    let what = format!("action {} on {kind} {id}", record.id);
    let note = note.map(|note| format!(": {}", escape(note))).unwrap_or_default();
    match outcome {
        Outcome::Done if note.is_empty() => {
            format!("{what} is undone; everything is as it was before\n")
        }
        Outcome::Done => format!("{what} is undone{note}\n"),
        Outcome::WouldDo => format!("{what} can be undone{note}; nothing was changed\n"),
        Outcome::Changed => format!("{what} is not undone{note}; nothing was changed\n"),
        other => format!("{what} is not undone ({other}{note})\n"),
    }
}
