//! `status`: one screen about the gateway and what was done lately.

use std::fmt::Write;
use std::io::IsTerminal;
use std::time::Duration;

use serde_json::{Value, json};

use super::history;
use super::open::setup;
use super::{Failure, Global, output};
use crate::exit::Exit;
use crate::journal::{HistoryFilter, Instance, Record};
use crate::model::{Controls, span};
use crate::observe::memory;
use crate::pass::Passes;
use crate::report::{self, PassReport};
use crate::text::escape;

/// The gateway, what is held, what was done lately
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Status {
    /// Show it again every few seconds until interrupted
    #[arg(long)]
    watch: bool,
}

/// How often `--watch` looks.
const AGAIN: Duration = Duration::from_secs(5);

/// How far back, and how many, actions are shown.
const LATELY: Duration = Duration::from_secs(7 * 86_400);
const ACTIONS: u32 = 5;

pub(super) fn status(global: &Global, command: &Status) -> Result<Exit, Failure> {
    loop {
        let mut passes = setup(global)?.looking()?;
        passes.explains_healthy = false;
        let mut report = passes.run(&|| false)?;
        report.invocation = global.invocation();
        let text = screen(global, &mut passes, &report)?;
        if !command.watch {
            output(&text)?;
            return Ok(Exit::Success);
        }
        let is_screen = !global.json && std::io::stdout().is_terminal();
        let clear = if is_screen { "\u{1b}[2J\u{1b}[H" } else { "" };
        output(&format!("{clear}{text}"))?;
        std::thread::sleep(AGAIN);
    }
}

fn screen(global: &Global, passes: &mut Passes, report: &PassReport) -> Result<String, Failure> {
    let now = report.taken_at;
    let filter = HistoryFilter {
        since: Some(now.minus(LATELY)),
        limit: Some(ACTIONS),
        ..HistoryFilter::default()
    };
    let actions = passes.journal.actions(&filter)?;
    let controls = passes.journal.controls(now)?;
    let daemon = Instance::holder(&passes.dir);
    if global.json {
        return Ok(format!("{}\n", object(report, daemon, &actions, &controls)));
    }
    let mut text = report::text(report, global.color.paint());
    if let Some(memory) = report.gateway.process.and_then(|process| memory(process.id)) {
        text.push_str(&format!("\ngateway memory  {memory}\n"));
    }
    if report.agents.ours > 0 {
        let mib = report.agents.ours_resident >> 20;
        text.push_str(&match report.agents.ours {
            1 => format!("\nits agents      1 process, {mib} MiB with its tools\n"),
            count => format!("\nits agents      {count} processes, {mib} MiB with their tools\n"),
        });
    }
    text.push_str(&match daemon {
        Some(pid) => format!("\nclawarden runs as pid {pid}\n"),
        None => format!(
            "\nclawarden does not run now; start it with: {} run\n",
            escape(&report.invocation)
        ),
    });
    // Writing to a String cannot fail.
    let _ = switches(&controls, &mut text);
    let _ = lately(&actions, report, &mut text);
    Ok(report::shortened(&text, report))
}

fn switches(controls: &Controls, out: &mut String) -> std::fmt::Result {
    if let Some((until, reason)) = &controls.paused {
        let reason = if reason.is_empty() { "" } else { &format!(" ({})", escape(reason)) };
        writeln!(out, "\npaused until {until}{reason}; end it with: clawarden resume")?;
    }
    for protection in &controls.protected {
        writeln!(out, "\n{} is protected until {}", escape(&protection.id), protection.until)?;
    }
    Ok(())
}

fn lately(actions: &[Record], report: &PassReport, out: &mut String) -> std::fmt::Result {
    if actions.is_empty() {
        return writeln!(out, "\nnothing was done in the last {}", span(LATELY));
    }
    writeln!(out, "\nlast actions")?;
    for record in actions {
        let intent = &record.intent;
        let ago = span(report.taken_at.since(intent.intended_at));
        let outcome = record.conclusion.as_ref().map_or("in doubt", |end| end.outcome.name());
        let undone = record.undone_by.map(|by| format!(", undone by {by}")).unwrap_or_default();
        writeln!(
            out,
            "  {}  {} {} {}: {outcome}, {ago} ago{undone}",
            record.id,
            escape(&intent.kind),
            intent.subject.kind.name(),
            escape(&intent.subject.id)
        )?;
    }
    Ok(())
}

fn object(
    report: &PassReport,
    daemon: Option<i32>,
    actions: &[Record],
    controls: &Controls,
) -> Value {
    let protected: Vec<_> = controls
        .protected
        .iter()
        .map(
            |protection| json!({ "subject": protection.id, "until": protection.until.to_string() }),
        )
        .collect();
    json!({
        "schema": "clawarden.status/v1",
        "taken_at": report.taken_at.to_string(),
        "pass": report::json(report),
        "clawarden_pid": daemon,
        "paused_until": controls.paused.as_ref().map(|(until, _)| until.to_string()),
        "protected": protected,
        "gateway_memory": report.gateway.process.and_then(|process| memory(process.id)).map(|memory| {
            json!({ "resident_bytes": memory.resident, "host_available_bytes": memory.available })
        }),
        "last_actions": actions.iter().map(history::action).collect::<Vec<_>>(),
    })
}
