//! `explain`: everything about one subject.

mod advice;
mod process;

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Value, json};

use super::history;
use super::open::setup;
use super::{Failure, Global, output};
use crate::exit::Exit;
use crate::journal::{HistoryFilter, Journal};
use crate::model::{Decision, HoldReason, ProcessId, SessionKey, Subject, SubjectKind};
use crate::observe::files::Keep;
use crate::pass::Passes;
use crate::report::{self, Entry, KeptLane, PassReport};
use crate::text::escape;
use advice::{gateway_repairs, next_step};
use process::Asked;

/// The evidence, the verdict and the next step
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Explain {
    /// A lane's session key, a lock's path, the end of either, a session id, the id of a task or a
    /// backing session or its
    /// beginning, or the pid of any process
    subject: String,
}

/// How many earlier actions are shown.
const EARLIER: u32 = 5;

pub(super) fn explain(global: &Global, command: &Explain) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    let wanted = setup.subject(&command.subject);
    let mut passes = setup.looking()?;
    let key: SessionKey = command.subject.as_str().into();
    passes.observer.keep(Keep::RunningAnd(key.clone()));
    let asked = Asked::read(&command.subject);
    if let Some(asked) = asked {
        passes.observer.ask_for(asked.pid);
    }
    let mut report = passes.run(&|| false)?;
    report.invocation = global.invocation();
    let lane = report.kept.iter().find(|lane| lane.key == key);
    let sought = Sought {
        given: &command.subject,
        wanted: &wanted,
        lane,
        process: asked.filter(|_| lane.is_none()),
    };
    let entries = matching(&report, &sought);
    if entries.is_empty() {
        let earlier = earlier(&passes.journal, &wanted)?;
        return unjudged(global, &report, &sought, &earlier, &passes);
    }
    let mut text = String::new();
    if !global.json {
        // Writing to a String cannot fail.
        let _ = write_head(&report, lane, &entries, global.color.paint(), &mut text);
    }
    for judged in by_subject(&entries) {
        let earlier = earlier(&passes.journal, &judged[0].verdict.subject.id)?;
        let more = More { earlier: &earlier, recognition: recognition(judged[0], &passes) };
        if global.json {
            let objects = judged.iter().map(|entry| object(&report, entry, &more));
            text.extend(objects.map(|object| format!("{object}\n")));
        } else {
            let _ = write(&report, &judged, &more, global.color.paint(), &mut text);
        }
    }
    let text = if global.json { text } else { report::shortened(&text, &report) };
    output(&text)?;
    Ok(Exit::Success)
}

/// What several policies say of one subject belongs together.
fn by_subject<'a>(entries: &[&'a Entry]) -> Vec<Vec<&'a Entry>> {
    let mut subjects: Vec<Vec<&Entry>> = Vec::new();
    for entry in entries {
        let is_same =
            |judged: &&mut Vec<&Entry>| judged[0].verdict.subject == entry.verdict.subject;
        match subjects.iter_mut().find(is_same) {
            Some(judged) => judged.push(entry),
            None => subjects.push(vec![entry]),
        }
    }
    subjects
}

/// What somebody wants explained.
struct Sought<'a> {
    /// As it was written.
    given: &'a str,
    /// As it may be called in reports.
    wanted: &'a str,
    /// The lane that is called so.
    lane: Option<&'a KeptLane>,
    /// The process that is meant otherwise.
    process: Option<Asked>,
}

/// What is told of a subject beside its judgement.
struct More<'a> {
    earlier: &'a [Value],
    /// Why a process is no agent.
    recognition: Option<Value>,
}

/// Says why a process is no agent.
fn recognition(entry: &Entry, passes: &Passes) -> Option<Value> {
    let verdict = &entry.verdict;
    let why = match &verdict.decision {
        Decision::Hold(why) => why,
        Decision::Act(..) | Decision::Observe(..) => return None,
    };
    let is_none = *why == HoldReason::NotAnAgent
        || verdict.evidence.0.get("what").is_some_and(|what| what == "no agent");
    let id = ProcessId::from_subject_id(&verdict.subject.id).filter(|_| is_none)?;
    let process = passes.observer.listed(id.pid).filter(|process| process.id == id)?;
    let families = &passes.config.policies.orphan_process.families;
    Some(process::recognition(process, families.iter().map(|rule| &rule.family)))
}

/// The subject named exactly, with the locks on its transcript if it is a lane, or those that it
/// holds if it is a process: one of them may be why a lane does not answer. Else those whose id,
/// session or pid is as it was given.
fn matching<'a>(report: &'a PassReport, sought: &Sought<'_>) -> Vec<&'a Entry> {
    let given = sought.given;
    let evidence = |entry: &Entry, name: &str| match entry.verdict.evidence.0.get(name) {
        Some(Value::String(text)) => text == given,
        Some(Value::Number(number)) => number.to_string() == given,
        _ => false,
    };
    let exact = |entry: &&Entry| {
        let subject = &entry.verdict.subject;
        subject.id == sought.wanted
            || sought.lane.is_some_and(|lane| lane.locks.contains(&subject.id))
            || sought.process.is_some_and(|asked| asked.is(subject))
            || sought.process.is_some() && evidence(entry, "holder_pid")
    };
    let exact: Vec<_> = report.entries.iter().filter(exact).collect();
    if !exact.is_empty() {
        return exact;
    }
    let lock_of_session = format!("/{given}.jsonl.lock");
    let names = |entry: &&Entry| {
        let subject = &entry.verdict.subject;
        is_end(subject, given)
            || subject.id.ends_with(&lock_of_session)
            || evidence(entry, "session_id")
    };
    report.entries.iter().filter(names).collect()
}

/// Whether a text is the end of a lane's key or of a lock's path, or the beginning of the id of a task
/// or a backing session, and long enough to say which.
/// The end of a process would be of its start ticks.
fn is_end(subject: &Subject, text: &str) -> bool {
    match subject.kind {
        SubjectKind::Lane | SubjectKind::Lock => text.len() >= 4 && subject.id.ends_with(text),
        SubjectKind::Task | SubjectKind::BackingSession => {
            text.len() >= 4 && subject.id.starts_with(text)
        }
        SubjectKind::Process | SubjectKind::Gateway => false,
    }
}

/// What was done about a subject lately.
fn earlier(journal: &Journal, subject: &str) -> Result<Vec<Value>, Failure> {
    let filter = HistoryFilter {
        subject: Some(subject.to_owned()),
        limit: Some(EARLIER),
        ..HistoryFilter::default()
    };
    Ok(journal.actions(&filter)?.iter().map(history::action).collect())
}

/// A lane that does not run, a process that no rule asks for, or what was repaired and is gone:
/// there is no judgement to explain.
fn unjudged(
    global: &Global,
    report: &PassReport,
    sought: &Sought<'_>,
    earlier: &[Value],
    passes: &Passes,
) -> Result<Exit, Failure> {
    let shown = escape(sought.wanted);
    let absence = sought.process.map(|asked| asked.absence(&passes.observer));
    let text = match &absence {
        _ if sought.lane.is_some() => format!("{shown} is a lane that does not say `running`"),
        Some(None) => format!("{shown} is a process, and orphan_process is off for it"),
        _ if !earlier.is_empty() => format!("{shown} is not there any more"),
        _ => return Err(Failure::new(Exit::Usage, unknown(report, &shown, absence.flatten()))),
    };
    let mut lines = format!("{text}: there is nothing to judge\n");
    // Writing to a String cannot fail.
    let _ = write_earlier(earlier, &mut lines);
    output(&match global.json {
        true => format!("{}\n", unjudged_object(report, sought, &text, earlier)),
        false => report::shortened(&lines, report),
    })?;
    Ok(Exit::Success)
}

fn unknown(report: &PassReport, shown: &str, absence: Option<String>) -> String {
    if let Some(absence) = absence {
        return absence;
    }
    let gaps =
        if report.gaps.is_empty() { "" } else { "; not everything could be seen (clawarden plan)" };
    format!(
        "{shown} is no lane, lock or process of {}{gaps}; see clawarden plan --all",
        escape(&report.gateway.state_dir.to_string_lossy())
    )
}

fn unjudged_object(
    report: &PassReport,
    sought: &Sought<'_>,
    text: &str,
    earlier: &[Value],
) -> Value {
    let kind = if sought.process.is_some() { "process" } else { "lane" };
    let subject = json!({ "kind": kind, "id": sought.wanted });
    json!({
        "schema": "clawarden.explain/v1",
        "subject": earlier.first().map_or(subject, |action| action["subject"].clone()),
        "decision": null,
        "reason": { "code": null, "text": text },
        "gateway": report::gateway(&report.gateway),
        "earlier": earlier,
    })
}

fn write_head(
    report: &PassReport,
    lane: Option<&KeptLane>,
    entries: &[&Entry],
    paint: report::Paint,
    out: &mut String,
) -> std::fmt::Result {
    report::gateway_line(&report.gateway, report.taken_at, paint, out)?;
    let Some(lane) = lane else { return Ok(()) };
    if entries.iter().all(|entry| entry.verdict.subject.id != lane.key.0) {
        let key = escape(&lane.key.0);
        writeln!(out, "{key} does not say `running`; there is a lock on its transcript")?;
    }
    Ok(())
}

fn write(
    report: &PassReport,
    judged: &[&Entry],
    more: &More<'_>,
    paint: report::Paint,
    out: &mut String,
) -> std::fmt::Result {
    for entry in judged {
        writeln!(out)?;
        report::entry_lines(entry, &report.invocation, paint, out)?;
    }
    writeln!(out, "\nevidence")?;
    // Of one subject all policies saw the same.
    for (name, value) in &judged[0].verdict.evidence.0 {
        write_fact(name, value, 2, out)?;
    }
    if let Some(recognition) = &more.recognition {
        writeln!(out, "\nwhy it is no agent")?;
        for (name, value) in recognition.as_object().into_iter().flatten() {
            write_fact(name, value, 2, out)?;
        }
    }
    let is_wrong = judged.iter().any(|entry| entry.verdict.suspect);
    let asked = || judged.iter().filter(|entry| entry.verdict.suspect == is_wrong);
    writeln!(out, "\nthe gateway itself")?;
    write_once(asked().map(|entry| gateway_repairs(report, entry)), out)?;
    writeln!(out, "\nnext")?;
    write_once(asked().map(|entry| next_step(report, entry)), out)?;
    write_earlier(more.earlier, out)
}

fn write_once(lines: impl Iterator<Item = String>, out: &mut String) -> std::fmt::Result {
    let mut said = BTreeSet::new();
    for line in lines {
        if said.insert(line.clone()) {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

/// Writes the evidence of a verdict.
pub(super) fn facts(verdict: &crate::model::Verdict, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\nevidence")?;
    verdict.evidence.0.iter().try_for_each(|(name, value)| write_fact(name, value, 2, out))
}

/// One fact a line; facts that have parts stand above them.
fn write_fact(name: &str, value: &Value, indent: usize, out: &mut String) -> std::fmt::Result {
    let name = escape(name);
    let width = 26_usize.saturating_sub(indent);
    match value {
        Value::Object(parts) => {
            writeln!(out, "{:indent$}{name}", "")?;
            parts.iter().try_for_each(|(name, part)| write_fact(name, part, indent + 2, out))
        }
        Value::Array(items) => {
            let mut name = name.as_ref();
            for item in items {
                let item = item.as_str().map_or_else(|| item.to_string(), str::to_owned);
                writeln!(out, "{:indent$}{name:<width$} {}", "", escape(&item))?;
                name = "";
            }
            Ok(())
        }
        Value::String(text) => {
            writeln!(out, "{:indent$}{name:<width$} {}", "", escape(text))
        }
        other => writeln!(out, "{:indent$}{name:<width$} {other}", ""),
    }
}

fn write_earlier(earlier: &[Value], out: &mut String) -> std::fmt::Result {
    if !earlier.is_empty() {
        writeln!(out, "\nearlier")?;
    }
    for action in earlier {
        let text = |name: &str| action[name].as_str().unwrap_or("in doubt").to_owned();
        let id = &action["action_id"];
        writeln!(out, "  {}  action {id} {}: {}", text("at"), text("kind"), text("outcome"))?;
        writeln!(out, "    {}", escape(action["reason"]["text"].as_str().unwrap_or_default()))?;
    }
    Ok(())
}

fn object(report: &PassReport, entry: &Entry, more: &More<'_>) -> Value {
    let mut value = report::entry(entry);
    if let Some(object) = value.as_object_mut() {
        object.insert("gateway".to_owned(), report::gateway(&report.gateway));
        object.insert("gateway_repairs".to_owned(), gateway_repairs(report, entry).into());
        object.insert("next".to_owned(), next_step(report, entry).into());
        object.insert("earlier".to_owned(), more.earlier.into());
        if let Some(recognition) = &more.recognition {
            object.insert("recognition".to_owned(), recognition.clone());
        }
    }
    let mut all = json!({ "schema": "clawarden.explain/v1" });
    if let (Some(all), Some(object)) = (all.as_object_mut(), value.as_object_mut()) {
        all.append(object);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_name_is_enough_but_no_ticks_are_taken_for_a_pid() {
        let is_end = |kind, id: &str, text| is_end(&Subject { kind, id: id.to_owned() }, text);
        assert!(is_end(SubjectKind::Lane, "agent:main:telegram", "gram"));
        assert!(!is_end(SubjectKind::Lane, "agent:main:telegram", "ram"));
        assert!(is_end(SubjectKind::Lock, "/s/a.jsonl.lock", "a.jsonl.lock"));
        assert!(!is_end(SubjectKind::Process, "7@254711", "4711"));
    }
}
