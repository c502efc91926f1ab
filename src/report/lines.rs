//! One judgement as some lines for people.

use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::Value;

use super::Entry;
use super::text::{Paint, Tone};
use crate::model::{Action, Decision, HoldReason, Outcome, Rung, SubjectKind, Verdict, span};
use crate::text::escape;

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
    for said in logged(verdict) {
        writeln!(out, "  its log: {}", escape(said))?;
    }
    if let Some(next) = next(verdict) {
        writeln!(out, "  next: {}", escape(next))?;
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

/// What a person can do about it, where the rule itself knows.
pub(crate) fn next(verdict: &Verdict) -> Option<&str> {
    verdict.evidence.0.get("next").and_then(Value::as_str)
}

/// What the gateway's log says about it.
fn logged(verdict: &Verdict) -> impl Iterator<Item = &str> {
    let lines = verdict.evidence.0.get("log").and_then(Value::as_array);
    lines.into_iter().flatten().filter_map(Value::as_str)
}

/// A process cannot be brought back; its record can.
fn can_be_undone(verdict: &Verdict) -> bool {
    match &verdict.decision {
        Decision::Act(Action::EndTree(end), _) => end.record.is_some(),
        Decision::Act(Action::CallLane(_) | Action::Record(_), _) => false,
        Decision::Act(..) | Decision::Observe(..) | Decision::Hold(_) => true,
    }
}

/// What was done to the subject, or would be, in the words of the act.
fn headline(entry: &Entry) -> (String, Tone) {
    let act = |action: &Action| match action {
        Action::ReleaseLock { .. } => ["release", "released"],
        Action::Settle(_) => ["settle", "settled"],
        Action::EndTree(_) => ["end", "ended"],
        Action::PurgeTask(_) => ["purge", "purged"],
        Action::CallLane(call) => match call.rung {
            Rung::Abort => ["abort the run of", "aborted the run of"],
            Rung::Steer => ["interrupt", "interrupted"],
            Rung::Recover => ["recover", "recovered"],
            Rung::Reset | Rung::New => ["begin anew", "begun anew"],
        },
        Action::Record(_) => ["record", "recorded"],
    };
    match (&entry.verdict.decision, entry.done.as_ref().map(|done| done.outcome)) {
        (Decision::Hold(why), _) => match (calm(&entry.verdict), why) {
            (Some(HEALTHY), _) => (HEALTHY.to_owned(), Tone::Good),
            (Some(word), _) => (format!("{word}:"), Tone::Good),
            (None, HoldReason::NotConfirmed { .. }) => ("to be confirmed:".to_owned(), Tone::Doubt),
            (None, _) if entry.verdict.subject.kind == SubjectKind::Gateway => {
                ("problem:".to_owned(), Tone::Bad)
            }
            (None, _) => ("hold".to_owned(), Tone::Doubt),
        },
        (Decision::Observe(action, _), _) => {
            (format!("observe: would {}", act(action)[0]), Tone::Doubt)
        }
        (Decision::Act(action, _), None | Some(Outcome::WouldDo)) => {
            (format!("would {}", act(action)[0]), Tone::Good)
        }
        (Decision::Act(action, _), Some(Outcome::Done)) => (act(action)[1].to_owned(), Tone::Good),
        (Decision::Act(..), Some(Outcome::AlreadyGone)) => ("already gone:".to_owned(), Tone::Good),
        (Decision::Act(action, _), Some(Outcome::Changed)) => {
            (format!("did not {}", act(action)[0]), Tone::Doubt)
        }
        (Decision::Act(action, _), Some(Outcome::Failed)) => {
            (format!("FAILED to {}", act(action)[0]), Tone::Bad)
        }
        (Decision::Act(Action::CallLane(call), _), Some(Outcome::Unverified)) => {
            (format!("asked the gateway to {}, NOT VERIFIED:", call.rung), Tone::Bad)
        }
        (Decision::Act(action, _), Some(Outcome::Unverified)) => {
            (format!("{}, NOT VERIFIED:", act(action)[1]), Tone::Bad)
        }
    }
}

const HEALTHY: &str = "healthy";

/// What is judged, and may be ended, together with the process above it.
pub(super) const SAME_TREE: &str = "same tree";

/// What is said of a subject that looks neither wrong nor nearly wrong. Of a process it is not known
/// whether it is healthy, only why it is none of our business.
pub(super) fn calm(verdict: &Verdict) -> Option<&'static str> {
    let why = match &verdict.decision {
        Decision::Hold(why) if !verdict.suspect => why,
        Decision::Act(..) | Decision::Observe(..) | Decision::Hold(_) => return None,
    };
    Some(match (verdict.subject.kind, why) {
        (SubjectKind::Lane | SubjectKind::Lock, _) => HEALTHY,
        (SubjectKind::Gateway, _) => "watched",
        (SubjectKind::Task, HoldReason::TaskOver) => "over",
        (SubjectKind::Task, _) => "left alone",
        (SubjectKind::BackingSession, _) => "on record",
        (SubjectKind::Process, HoldReason::PartOfTree { .. }) => SAME_TREE,
        (SubjectKind::Process, HoldReason::ContactKept) => "in use",
        (SubjectKind::Process, HoldReason::OtherStateDir { .. }) => "not ours",
        (SubjectKind::Process, HoldReason::NotAnAgent) => "no agent",
        (SubjectKind::Process, _) => "left alone",
    })
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
            // Of what is no agent, the command says more.
            let what = text("what").filter(|what| *what != "no agent").map(str::to_owned);
            let what = what.or_else(|| text("command").map(beginning));
            facts.extend(what.map(|what| what + &below(verdict)));
            facts.extend(seconds("age_s").map(|age| format!("{age} old")));
            let mib = verdict.evidence.0.get("resident_mib").and_then(Value::as_u64);
            facts.extend(mib.map(|mib| format!("{mib} MiB")));
            facts.extend(text("session").map(|key| format!("session {key}")));
        }
        SubjectKind::Task => {
            facts.extend(text("label").map(|label| format!("label {label}")));
            facts.extend(text("child").map(|key| format!("session {key}")));
            facts.extend(text("began_at").map(|at| format!("began at {at}")));
            facts.extend(text("disagreement").map(str::to_owned));
        }
        SubjectKind::BackingSession => {
            facts.extend(text("requester").map(|key| format!("asked for by {key}")));
            facts.extend(text("family").map(|family| format!("{family} agent")));
            facts.extend(text("cwd").map(|cwd| format!("in {cwd}")));
            facts.extend(text("state").map(str::to_owned));
        }
        SubjectKind::Gateway => {
            let number = |name: &str| verdict.evidence.0.get(name).and_then(Value::as_u64);
            facts.extend(number("pid").map(|pid| format!("pid {pid}")));
            facts.extend(seconds("lasted_s").map(|lasted| format!("so for {lasted}")));
            facts.extend(number("resident_mib").map(|mib| format!("{mib} MiB")));
            facts.extend(text("process").map(str::to_owned));
            facts.extend(text("without").map(|without| format!("meanwhile {without}")));
        }
    }
    facts.join(", ")
}

/// The beginning of a command, as far as it fits beside the rest.
fn beginning(command: &str) -> String {
    const SHOWN: usize = 60;
    match command.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}

/// How many processes the tree has below its root.
fn below(verdict: &Verdict) -> String {
    let tree = verdict.evidence.0.get("tree").and_then(Value::as_array);
    match tree.map_or(0, |tree| tree.len().saturating_sub(1)) {
        0 => String::new(),
        count => format!(" and {count} below it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::{GATEWAY, ago};
    use crate::model::{
        ActReason, Evidence, LaneCall, Looks, Policy, Subject, SubjectKind, Version,
    };
    use crate::report::Done;

    #[test]
    fn a_command_is_shown_up_to_sixty_characters() {
        for (command, want) in [
            (String::new(), String::new()),
            ("x".repeat(60), "x".repeat(60)),
            ("x".repeat(61), "x".repeat(60) + "…"),
            ("ä".repeat(60), "ä".repeat(60)),
            ("ä".repeat(60) + "\u{1b}[2J", "ä".repeat(60) + "…"),
        ] {
            assert_eq!(beginning(&command), want, "{}", escape(&command));
        }
    }

    /// The lines of a lane that the gateway repaired, or not.
    fn lines(rung: Rung, outcome: Outcome, note: &str) -> String {
        let call = LaneCall {
            rung,
            key: "agent:main:main".into(),
            session_id: None,
            started_at: Some(ago(3_600)),
            run: None,
            lock: None,
            queued: None,
            gateway: GATEWAY,
            version: Version::new(2026, 9, 6),
            settle_within: Duration::from_secs(30),
            tell: None,
        };
        let verdict = Verdict {
            policy: Policy::HungLane,
            subject: Subject { kind: SubjectKind::Lane, id: call.key.0.clone() },
            incarnation: String::new(),
            suspect: true,
            looks: Looks::One,
            decision: Decision::Act(
                Action::CallLane(Box::new(call)),
                ActReason::HolderDead { pid: 7 },
            ),
            evidence: Evidence::new(),
        };
        let note = Some(note.to_owned());
        let done = Done { outcome, action_id: None, note, error: None };
        let mut out = String::new();
        let entry = Entry { verdict, done: Some(done) };
        entry_lines(&entry, "clawarden", Paint::Plain, &mut out).unwrap();
        out
    }

    #[test]
    fn a_lane_that_the_gateway_repaired_is_told_by_what_ended_and_without_an_undo() {
        for (rung, outcome, want) in [
            (Rung::Abort, Outcome::Done, "aborted the run of lane agent:main:main\n"),
            (Rung::Abort, Outcome::WouldDo, "would abort the run of lane agent:main:main\n"),
            (Rung::Reset, Outcome::Changed, "did not begin anew lane agent:main:main\n"),
            (
                Rung::Abort,
                Outcome::Unverified,
                "asked the gateway to abort, NOT VERIFIED: lane agent:main:main\n",
            ),
        ] {
            let lines = lines(rung, outcome, "its lock is gone\u{1b}[2J");
            assert!(lines.starts_with(want), "{lines}");
            assert!(lines.ends_with("  its lock is gone\\x1b[2J\n"), "{lines}");
        }
    }
}
