//! The pass as one screen for people.

use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::Value;

use super::{Entry, PassReport, Summary};
use crate::model::{
    Action, Decision, Era, Gateway, Outcome, Status, SubjectKind, UnixMillis, Verdict, span,
};
use crate::text::escape;

/// Whether words are coloured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paint {
    /// Plain text.
    Plain,
    /// ANSI colours.
    Ansi,
}

#[derive(Clone, Copy)]
pub(crate) enum Tone {
    Good,
    Bad,
    Doubt,
    Faint,
    Strong,
}

impl Paint {
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Doubt => "33",
            Tone::Faint => "2",
            Tone::Strong => "1",
        };
        match self {
            Paint::Plain => text.to_owned(),
            Paint::Ansi => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        }
    }
}

/// Returns the report as text: the gateway, everything that looks wrong, and what to do next.
///
/// Paths below the state directory are shortened to what follows it: the first line names it, and
/// every command takes them so.
#[must_use]
pub fn text(report: &PassReport, paint: Paint) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(report, paint, &mut out);
    shortened(&out, report)
}

/// Cuts the state directory from every path below it.
pub(crate) fn shortened(text: &str, report: &PassReport) -> String {
    let prefix = format!("{}/", escape(&report.gateway.state_dir.to_string_lossy()));
    text.replace(&prefix, "")
}

fn write(report: &PassReport, paint: Paint, out: &mut String) -> fmt::Result {
    gateway_line(&report.gateway, report.taken_at, paint, out)?;
    gap_lines(report, paint, out)?;
    for recovered in &report.recovered {
        let note = recovered.note.as_deref().map(|note| format!(": {}", escape(note)));
        writeln!(
            out,
            "action {} on {} was interrupted and is now {}{}",
            recovered.action_id,
            escape(&recovered.subject),
            recovered.outcome,
            note.unwrap_or_default(),
        )?;
    }
    for entry in report.listed() {
        writeln!(out)?;
        entry_lines(entry, &report.invocation, paint, out)?;
    }
    writeln!(out)?;
    closing(report, paint, out)
}

fn gap_lines(report: &PassReport, paint: Paint, out: &mut String) -> fmt::Result {
    for gap in &report.gaps {
        let path = gap.path.to_string_lossy();
        let (path, reason) = (escape(&path), escape(&gap.reason));
        writeln!(
            out,
            "{} {}: {path}: {reason}",
            paint.tone(Tone::Bad, "cannot see"),
            gap.source.name()
        )?;
    }
    if report.gaps.iter().any(|gap| gap.reason.to_lowercase().contains("permission denied")) {
        writeln!(out, "  run clawarden as the gateway's user to see everything")?;
    }
    Ok(())
}

/// One line: is it up, which one, since when.
pub(crate) fn gateway_line(
    gateway: &Gateway,
    now: UnixMillis,
    paint: Paint,
    out: &mut String,
) -> fmt::Result {
    let tone = match gateway.status {
        Status::Up => Tone::Good,
        Status::Starting => Tone::Doubt,
        Status::Down | Status::Unknown => Tone::Bad,
    };
    write!(out, "gateway {}", paint.tone(tone, gateway.status.name()))?;
    if let Some(version) = gateway.version {
        write!(out, "  {version}")?;
    }
    if let Some(process) = gateway.process {
        let since = span(now.since(process.started_at));
        write!(out, "  pid {} for {since}", process.id.pid)?;
    }
    writeln!(
        out,
        "  era {}  {}",
        gateway.era.name(),
        escape(&gateway.state_dir.to_string_lossy())
    )?;
    if gateway.status != Status::Up {
        writeln!(out, "  {}", escape(&gateway.why))?;
    }
    match &gateway.era {
        Era::Newer { what: note } | Era::Unknown { why: note } => {
            writeln!(out, "  {}", escape(note))
        }
        Era::Sqlite => writeln!(
            out,
            "  this gateway keeps its sessions in SQLite; this version of clawarden does not judge them"
        ),
        Era::Files | Era::Hybrid => Ok(()),
    }
}

/// What was decided about one subject, why, and what became of it.
pub(crate) fn entry_lines(
    entry: &Entry,
    invocation: &str,
    paint: Paint,
    out: &mut String,
) -> fmt::Result {
    let (word, tone) = headline(entry);
    let verdict = &entry.verdict;
    let id = escape(&verdict.subject.id);
    writeln!(
        out,
        "{} {} {}",
        paint.tone(tone, &word),
        verdict.subject.kind.name(),
        paint.tone(Tone::Strong, &id)
    )?;
    let code = paint.tone(Tone::Faint, &format!("({})", verdict.decision.code()));
    writeln!(out, "  {} {code}", escape(&verdict.decision.text()))?;
    let facts = facts(verdict);
    if !facts.is_empty() {
        writeln!(out, "  {}", escape(&facts))?;
    }
    let Some(done) = &entry.done else { return Ok(()) };
    if let Some(note) = &done.note {
        writeln!(out, "  {}", escape(note))?;
    }
    if let Some(error) = &done.error {
        writeln!(out, "  {}", paint.tone(Tone::Bad, &format!("failed to {}", escape(error))))?;
    }
    match (done.action_id, done.outcome) {
        (Some(id), Outcome::Done | Outcome::Unverified) if can_be_undone(verdict) => {
            writeln!(out, "  undo with: {} undo {id}", escape(invocation))
        }
        _ => Ok(()),
    }
}

/// A process cannot be brought back; its record can.
fn can_be_undone(verdict: &Verdict) -> bool {
    match &verdict.decision {
        Decision::Act(Action::EndTree(end), _) => end.record.is_some(),
        Decision::Act(..) | Decision::Observe(..) | Decision::Hold(_) => true,
    }
}

/// What was done to the subject, or would be, in the words of the act.
fn headline(entry: &Entry) -> (String, Tone) {
    let act = |action: &Action| match action {
        Action::ReleaseLock { .. } => ["release", "released"],
        Action::Settle(_) => ["settle", "settled"],
        Action::EndTree(_) => ["end", "ended"],
    };
    match (&entry.verdict.decision, entry.done.as_ref().map(|done| done.outcome)) {
        (Decision::Hold(_), _) if !entry.verdict.suspect => ("healthy".to_owned(), Tone::Good),
        (Decision::Hold(_), _) => ("hold".to_owned(), Tone::Doubt),
        (Decision::Observe(action, _), _) => {
            (format!("observe: would {}", act(action)[0]), Tone::Doubt)
        }
        (Decision::Act(action, _), None | Some(Outcome::WouldDo)) => {
            (format!("would {}", act(action)[0]), Tone::Good)
        }
        (Decision::Act(action, _), Some(Outcome::Done)) => (act(action)[1].to_owned(), Tone::Good),
        (Decision::Act(..), Some(Outcome::AlreadyGone)) => ("already gone:".to_owned(), Tone::Good),
        (Decision::Act(action, _), Some(Outcome::Changed)) => {
            (format!("did not {}: it has changed:", act(action)[0]), Tone::Doubt)
        }
        (Decision::Act(action, _), Some(Outcome::Failed)) => {
            (format!("FAILED to {}", act(action)[0]), Tone::Bad)
        }
        (Decision::Act(action, _), Some(Outcome::Unverified)) => {
            (format!("{}, NOT VERIFIED:", act(action)[1]), Tone::Bad)
        }
    }
}

/// The evidence that a tired reader asks for first.
fn facts(verdict: &Verdict) -> String {
    let text = |name: &str| verdict.evidence.0.get(name).and_then(Value::as_str);
    let seconds = |name: &str| {
        let seconds = verdict.evidence.0.get(name).and_then(Value::as_u64)?;
        Some(span(Duration::from_secs(seconds)))
    };
    let mut facts = Vec::new();
    match verdict.subject.kind {
        SubjectKind::Lane => {
            facts.extend(seconds("age_s").map(|age| format!("running for {age}")));
            facts.extend(text("ended_at").map(|at| format!("ended at {at}")));
            let quiet = seconds("transcript_quiet_s");
            facts.extend(quiet.map(|quiet| format!("transcript quiet for {quiet}")));
            facts.extend(text("transcript").map(|what| format!("transcript {what}")));
            facts.extend(text("session_id").map(|id| format!("session {id}")));
        }
        SubjectKind::Lock => {
            let pid = verdict.evidence.0.get("holder_pid").and_then(Value::as_i64);
            facts.extend(pid.map(|pid| format!("taken by pid {pid}")));
            facts.extend(seconds("age_s").map(|age| format!("{age} ago")));
        }
        SubjectKind::Process => {
            facts.extend(text("what").map(str::to_owned));
            facts.extend(seconds("age_s").map(|age| format!("{age} old")));
            let mib = verdict.evidence.0.get("resident_mib").and_then(Value::as_u64);
            facts.extend(mib.map(|mib| format!("{mib} MiB")));
            facts.extend(text("session").map(|key| format!("session {key}")));
        }
    }
    facts.join(", ")
}

fn closing(report: &PassReport, paint: Paint, out: &mut String) -> fmt::Result {
    let Summary { acted, would_act, observed, held, failed, unverified, changed } =
        report.summary();
    let healthy = report.listed().filter(|entry| !entry.verdict.suspect).count();
    let counts: Vec<String> = [
        (acted, "repaired"),
        (would_act, "would be repaired"),
        (observed, "observed"),
        (held.saturating_sub(healthy), "held"),
        (healthy, "healthy"),
        (changed, "changed meanwhile"),
        (failed, "failed"),
        (unverified, "not verified"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, word)| format!("{count} {word}"))
    .collect();
    let count = |number: usize, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        _ => format!("{number} {many}"),
    };
    let lanes = count(report.lanes, "lane", "lanes");
    let locks = count(report.locks, "lock", "locks");
    let looked = match report.agents.all {
        0 => format!("looked at {lanes} and {locks}"),
        agents => {
            let agents = count(agents, "agent process", "agent processes");
            format!("looked at {lanes}, {locks} and {agents}")
        }
    };
    let (words, tone) = match counts.is_empty() {
        true => nothing_found(report),
        false => (counts.join(", "), Tone::Strong),
    };
    writeln!(out, "{}; {looked}", paint.tone(tone, &words))?;
    hints(report, would_act > 0, out)
}

fn nothing_found(report: &PassReport) -> (String, Tone) {
    let (words, tone) = match (&report.gateway.era, report.gaps.is_empty()) {
        (Era::Files | Era::Hybrid, true) => ("nothing wrong", Tone::Good),
        (Era::Files | Era::Hybrid, false) => ("nothing wrong where it could be seen", Tone::Good),
        (Era::Sqlite | Era::Newer { .. } | Era::Unknown { .. }, _) => {
            ("nothing was judged", Tone::Doubt)
        }
    };
    (words.to_owned(), tone)
}

/// The next commands.
fn hints(report: &PassReport, would_act: bool, out: &mut String) -> fmt::Result {
    let command = escape(&report.invocation);
    let suspects = report.listed().filter(|entry| entry.verdict.suspect);
    let first = suspects.map(|entry| &entry.verdict.subject.id).next();
    if would_act {
        writeln!(out, "nothing was changed. Repair with:  {command} run --once")?;
    } else if report.dry_run {
        writeln!(out, "nothing was changed.")?;
    }
    if let Some(id) = first {
        writeln!(out, "why, in full:  {command} explain {}", quoted(id))?;
    }
    Ok(())
}

/// The id as one word of a shell.
///
/// What would not show as it is, is written as bash, zsh and ksh read it back: `$'\x1b'`.
pub(crate) fn quoted(id: &str) -> String {
    if escape(id) == id {
        return format!("'{}'", id.replace('\'', r"'\''"));
    }
    let mut out = "$'".to_owned();
    for c in id.chars() {
        let shown = escape(c.encode_utf8(&mut [0; 4])).into_owned();
        match c {
            '\'' | '\\' => out.extend(['\\', c]),
            c if shown.starts_with("\\u") => out.push_str(&format!("\\U{:08x}", u32::from(c))),
            _ => out.push_str(&shown),
        }
    }
    out.push('\'');
    out
}

/// The gateway in one line that only changes when it does, for a log.
pub(crate) fn gateway_words(gateway: &Gateway) -> String {
    let process = gateway.process.map(|process| format!(" as {}", process.id));
    let place = gateway.state_dir.to_string_lossy();
    format!("{}{} at {}", short(gateway), process.unwrap_or_default(), escape(&place))
}

fn short(gateway: &Gateway) -> String {
    let version = gateway.version.map(|version| format!(" {version}"));
    format!("gateway {}{}", gateway.status.name(), version.unwrap_or_default())
}

/// The pass in one line, for a service manager.
pub(crate) fn status_line(report: &PassReport) -> String {
    let summary = report.summary();
    let mut line = short(&report.gateway);
    for (count, word) in [
        (summary.acted, "repaired"),
        (summary.observed, "observed"),
        (summary.held, "held"),
        (summary.failed + summary.unverified, "failed"),
        (report.gaps.len(), "unseen"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {word}"));
        }
    }
    line
}
