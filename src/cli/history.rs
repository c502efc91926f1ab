//! `history`.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};

use super::open::setup;
use super::{Failure, Global, duration, output};
use crate::exit::Exit;
use crate::journal::{HistoryFilter, Journal, RESOLVED, Record, VerdictChange};
use crate::model::{Policy, UnixMillis};
use crate::text::escape;

/// The journal of what was found and done
#[derive(Clone, Debug, clap::Args)]
pub(super) struct History {
    /// How far back
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = duration)]
    since: Duration,
    /// Only of this lane, lock or process
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Only of this policy
    #[arg(long, value_name = "POLICY", value_parser = policy)]
    policy: Option<Policy>,
    /// Only what was done, not what was found
    #[arg(long)]
    actions: bool,
}

fn policy(name: &str) -> Result<Policy, String> {
    let known = Policy::ALL.map(Policy::name).join(", ");
    Policy::named(name).ok_or_else(|| format!("known policies: {known}"))
}

enum Line {
    Found(VerdictChange),
    Did(Box<Record>),
}

impl Line {
    /// By time; what was found in a pass before what was done about it.
    fn order(&self) -> (UnixMillis, bool) {
        match self {
            Line::Found(change) => (change.at, false),
            Line::Did(record) => (record.intent.intended_at, true),
        }
    }
}

pub(super) fn history(global: &Global, command: &History) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    let journal = Journal::open_read_only(&setup.dir()?)?;
    let filter = HistoryFilter {
        since: Some(setup.now().minus(command.since)),
        subject: command.subject.as_deref().map(|subject| setup.subject(subject)),
        policy: command.policy,
        limit: None,
    };
    let mut lines: Vec<Line> =
        journal.actions(&filter)?.into_iter().map(|record| Line::Did(Box::new(record))).collect();
    if !command.actions {
        lines.extend(journal.verdict_changes(&filter)?.into_iter().map(Line::Found));
    }
    lines.sort_by_key(Line::order);
    let mut text = String::new();
    for line in &lines {
        // Writing to a String cannot fail.
        let _ = match global.json {
            true => writeln!(text, "{}", object(line)),
            false => writeln!(text, "{}", sentence(line)),
        };
    }
    if lines.is_empty() && !global.json {
        text = format!("nothing in the last {}\n", crate::model::span(command.since));
    }
    output(&text)?;
    Ok(Exit::Success)
}

fn sentence(line: &Line) -> String {
    match line {
        Line::Found(change) if change.decision == RESOLVED => format!(
            "{}  resolved  {} {}: no longer found wrong",
            change.at,
            change.subject.kind.name(),
            escape(&change.subject.id),
        ),
        Line::Found(change) => format!(
            "{}  found     {} {}: {} ({} {})",
            change.at,
            change.subject.kind.name(),
            escape(&change.subject.id),
            escape(&change.text),
            change.decision,
            change.code,
        ),
        Line::Did(record) => did(record),
    }
}

fn did(record: &Record) -> String {
    let intent = &record.intent;
    let outcome = match &record.conclusion {
        None => "in doubt: the next run looks what became of it".to_owned(),
        Some(end) => {
            let more = end.error.as_deref().map(|error| format!(": failed to {error}"));
            let more = more.or_else(|| end.note.as_deref().map(|note| format!(": {note}")));
            format!("{}{}", end.outcome, more.unwrap_or_default())
        }
    };
    let undone = record.undone_by.map(|by| format!(", undone by {by}")).unwrap_or_default();
    format!(
        "{}  action {:<3}{} {} {}: {}{undone}",
        intent.intended_at,
        record.id,
        escape(&intent.kind),
        intent.subject.kind.name(),
        escape(&intent.subject.id),
        escape(&outcome),
    )
}

fn object(line: &Line) -> Value {
    match line {
        Line::Found(change) => json!({
            "schema": "clawarden.history/v1",
            "entry": "verdict",
            "at": change.at.to_string(),
            "policy": change.policy.name(),
            "subject": { "kind": change.subject.kind.name(), "id": change.subject.id },
            "decision": change.decision,
            "reason": { "code": change.code, "text": change.text },
        }),
        Line::Did(record) => action(record),
    }
}

/// One action of the journal, as every command prints it.
pub(super) fn action(record: &Record) -> Value {
    let intent = &record.intent;
    let end = record.conclusion.as_ref();
    json!({
        "schema": "clawarden.history/v1",
        "entry": "action",
        "at": intent.intended_at.to_string(),
        "action_id": record.id,
        "pass_id": intent.pass_id,
        "policy": intent.policy.name(),
        "subject": { "kind": intent.subject.kind.name(), "id": intent.subject.id },
        "kind": intent.kind,
        "reason": { "code": intent.reason_code, "text": intent.reason_text },
        "detail": serde_json::from_str::<Value>(&intent.detail).unwrap_or(Value::Null),
        "outcome": end.map(|end| end.outcome.name()),
        "error": end.and_then(|end| end.error.as_deref()),
        "note": end.and_then(|end| end.note.as_deref()),
        "undo_of": intent.undo_of,
        "undone_by": record.undone_by,
    })
}
