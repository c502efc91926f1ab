//! The pass as one screen for people.

use std::fmt::{self, Write};

use super::lines::{SAME_TREE, calm, entry_lines};
use super::{Entry, PassReport, Summary};
use crate::model::{Action, Decision, Era, Gateway, Outcome, Status, UnixMillis, span};
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
            "  this gateway keeps its sessions in SQLite; they are judged by what it says itself"
        ),
        Era::Files | Era::Hybrid => Ok(()),
    }
}

fn closing(report: &PassReport, paint: Paint, out: &mut String) -> fmt::Result {
    let Summary { acted, would_act, observed, held, failed, unverified, changed } =
        report.summary();
    let recorded = records(report, Outcome::Done);
    let would_record = records(report, Outcome::WouldDo);
    let would_repair = would_act - would_record;
    let nothing_wrong = report.listed().filter(|entry| !entry.verdict.suspect).count();
    let counts = [
        (acted - recorded, "repaired"),
        (recorded, "recorded"),
        (would_repair, "would be repaired"),
        (would_record, "would be recorded"),
        (observed, "observed"),
        (held.saturating_sub(nothing_wrong), "held"),
    ];
    let not_done = [(changed, "not done"), (failed, "failed"), (unverified, "not verified")];
    let counts: Vec<String> = counts
        .into_iter()
        .chain(calm_counts(report))
        .chain(not_done)
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
    let with = match (would_repair, would_record) {
        (0, 0) => None,
        (0, _) => Some("Record"),
        _ => Some("Repair"),
    };
    hints(report, with, out)
}

/// How much was only written down, with this outcome.
fn records(report: &PassReport, outcome: Outcome) -> usize {
    let records = report.entries.iter().filter(|entry| entry.verdict.is_record());
    records.filter(|entry| entry.done.as_ref().is_some_and(|done| done.outcome == outcome)).count()
}

/// What is listed and not wrong, counted by what is said of it. What is below another process is
/// counted with that.
fn calm_counts(report: &PassReport) -> Vec<(usize, &'static str)> {
    let mut counts: Vec<(usize, &str)> = Vec::new();
    for word in report.listed().filter_map(|entry| calm(&entry.verdict)) {
        match counts.iter_mut().find(|(_, known)| *known == word) {
            _ if word == SAME_TREE => {}
            Some((count, _)) => *count += 1,
            None => counts.push((1, word)),
        }
    }
    counts
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
fn hints(report: &PassReport, with: Option<&str>, out: &mut String) -> fmt::Result {
    let command = escape(&report.invocation);
    let suspects = report.listed().filter(|entry| entry.verdict.suspect);
    let worth = |entry: &&Entry| match &entry.verdict.decision {
        Decision::Act(Action::Record(_), _) => 2,
        Decision::Hold(_) => 1,
        Decision::Act(..) | Decision::Observe(..) => 0,
    };
    let first = suspects.min_by_key(worth);
    let first = first.map(|entry| &entry.verdict.subject.id);
    if let Some(with) = with {
        writeln!(out, "nothing was changed. {with} with:  {command} run --once")?;
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
        (summary.acted - records(report, Outcome::Done), "repaired"),
        (records(report, Outcome::Done), "recorded"),
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
