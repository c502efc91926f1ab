//! What a pass found and did, for people and for programs.

mod json;
mod lines;
mod text;

use crate::exit::Exit;
use crate::model::{
    ActionId, Decision, Gap, Gateway, Outcome, ProcessId, RpcFailure, SessionKey, SubjectKind,
    UnixMillis, Verdict,
};

pub use json::json;
pub(crate) use json::{action, entry, gateway};
pub(crate) use lines::{entry_lines, next};
pub use text::{Paint, text};
pub(crate) use text::{gateway_line, gateway_words, quoted, shortened, status_line};

/// One pass, complete.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PassReport {
    /// Which pass; found again in the journal.
    pub pass_id: String,
    /// When the snapshot was taken.
    pub taken_at: UnixMillis,
    /// Whether actions were only checked.
    pub dry_run: bool,
    /// The gateway, as it was seen.
    pub gateway: Gateway,
    /// Why the gateway told nothing, if it was asked.
    pub unheard: Option<Unheard>,
    /// What could not be seen.
    pub gaps: Vec<Gap>,
    /// Every judgement, in the order in which it was carried out.
    pub entries: Vec<Entry>,
    /// Lanes that were kept, whether they were judged or not.
    pub kept: Vec<KeptLane>,
    /// Live holders of locks.
    pub holders: Vec<ProcessId>,
    /// Live processes below the gateway.
    pub descendants: Vec<ProcessId>,
    /// How many lanes were looked at, in the stores or as the gateway told; `None`: nobody could.
    pub lanes: Option<usize>,
    /// How many transcript locks there are.
    pub locks: usize,
    /// The agent processes on this host.
    pub agents: Fleet,
    /// Whether healthy subjects are listed too.
    pub all: bool,
    /// What an earlier, interrupted run had left, and what became of it.
    pub recovered: Vec<Recovered>,
    /// How to call clawarden for the same state directory and configuration, for the hints.
    pub invocation: String,
}

/// A gateway that was asked, and gave no answer to go by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unheard {
    /// What came of it.
    pub why: RpcFailure,
    /// What a person can do.
    pub next: String,
}

/// Agent processes, counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Fleet {
    /// All, whoever owns them.
    pub all: usize,
    /// Those that a gateway of this state directory started.
    pub ours: usize,
    /// The memory of these and of everything below them, in bytes; shared pages count repeatedly.
    pub ours_resident: u64,
}

/// A lane that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeptLane {
    /// Its session key.
    pub key: SessionKey,
    /// The paths of the locks on its transcript.
    pub locks: Vec<String>,
}

/// One judgement and what became of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    /// The judgement, after limits and guards.
    pub verdict: Verdict,
    /// What became of it; `None` where nothing was to be done.
    pub done: Option<Done>,
}

/// What became of an act.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Done {
    /// The outcome.
    pub outcome: Outcome,
    /// Its number in the journal; a dry run has none.
    pub action_id: Option<ActionId>,
    /// What changed, or what was not found.
    pub note: Option<String>,
    /// What went wrong, with its causes.
    pub error: Option<String>,
}

/// An action that an earlier run began and did not conclude.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    /// Its number.
    pub action_id: ActionId,
    /// What it was about.
    pub subject: String,
    /// How it was found to have ended.
    pub outcome: Outcome,
    /// More about that.
    pub note: Option<String>,
}

/// How many judgements ended how.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Carried out and verified, or found to be gone already.
    pub acted: usize,
    /// Would be carried out, in a dry run.
    pub would_act: usize,
    /// Proven, but only observed.
    pub observed: usize,
    /// Left alone, of those that are listed.
    pub held: usize,
    /// Attempted and failed.
    pub failed: usize,
    /// Carried out, but the effect was not seen.
    pub unverified: usize,
    /// No longer what was judged.
    pub changed: usize,
}

impl PassReport {
    /// Returns the judgements that are listed: all that look wrong or nearly wrong, and the
    /// healthy ones on request. What is the matter with the gateway is listed once it lasts.
    pub fn listed(&self) -> impl Iterator<Item = &Entry> {
        let is_passing = |verdict: &Verdict| verdict.subject.kind == SubjectKind::Gateway;
        let is_wanted = move |entry: &&Entry| {
            entry.verdict.suspect || (self.all && !is_passing(&entry.verdict))
        };
        self.entries.iter().filter(is_wanted)
    }

    /// Counts what is listed.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut summary = Summary::default();
        for entry in self.listed() {
            *entry.counter(&mut summary) += 1;
        }
        summary
    }

    /// Returns how a process that ran this one pass ends.
    #[must_use]
    pub fn exit(&self, detailed: bool) -> Exit {
        let summary = self.summary();
        if summary.failed + summary.unverified > 0 {
            return Exit::ActionFailed;
        }
        if !detailed {
            return Exit::Success;
        }
        let findings = self.entries.iter().any(|entry| entry.verdict.suspect);
        match (summary.acted, findings || !self.gaps.is_empty()) {
            (0, false) => Exit::Success,
            (0, true) => Exit::Findings,
            _ => Exit::Acted,
        }
    }
}

impl Entry {
    fn counter<'a>(&self, summary: &'a mut Summary) -> &'a mut usize {
        match (&self.verdict.decision, self.done.as_ref().map(|done| done.outcome)) {
            (_, Some(Outcome::Done | Outcome::AlreadyGone)) => &mut summary.acted,
            (_, Some(Outcome::WouldDo)) => &mut summary.would_act,
            (_, Some(Outcome::Failed)) => &mut summary.failed,
            (_, Some(Outcome::Unverified)) => &mut summary.unverified,
            (_, Some(Outcome::Changed)) => &mut summary.changed,
            (Decision::Observe(..), None) => &mut summary.observed,
            (Decision::Hold(_) | Decision::Act(..), None) => &mut summary.held,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sample::{self, NOW};
    use crate::model::{
        ActReason, Action, Evidence, HoldReason, LockStamp, Policy, RpcFault, Source, Subject,
    };

    fn entry(decision: Decision, suspect: bool, outcome: Option<Outcome>) -> Entry {
        let verdict = Verdict {
            policy: Policy::DeadLock,
            subject: Subject { kind: SubjectKind::Lock, id: "/s/a\u{1b}[2J.jsonl.lock".to_owned() },
            incarnation: String::new(),
            suspect,
            looks: crate::model::Looks::One,
            decision,
            evidence: Evidence::new().with("holder_pid", 7).with("age_s", 61),
        };
        let done = outcome.map(|outcome| Done {
            outcome,
            action_id: Some(ActionId(3)),
            note: None,
            error: (outcome == Outcome::Failed).then(|| "move lock: no space left".to_owned()),
        });
        Entry { verdict, done }
    }

    fn act() -> Decision {
        let action = Action::ReleaseLock {
            path: "/s/a".into(),
            holder_pid: 7,
            expected: LockStamp { dev: 1, ino: 2, bytes: Vec::new() },
            gateway: sample::GATEWAY,
        };
        Decision::Act(action, ActReason::HolderDead { pid: 7 })
    }

    fn hold() -> Decision {
        Decision::Hold(HoldReason::HolderUnknown)
    }

    fn report(entries: Vec<Entry>) -> PassReport {
        PassReport {
            pass_id: "p".to_owned(),
            taken_at: NOW,
            dry_run: false,
            gateway: sample::snapshot().gateway,
            gaps: Vec::new(),
            entries,
            kept: Vec::new(),
            holders: Vec::new(),
            descendants: Vec::new(),
            lanes: Some(4),
            unheard: None,
            locks: 1,
            agents: Fleet::default(),
            all: false,
            recovered: Vec::new(),
            invocation: "clawarden".to_owned(),
        }
    }

    #[test]
    fn the_screen_says_what_was_done_why_and_how_to_undo_it() {
        let done = entry(act(), true, Some(Outcome::Done));
        let want = "\
gateway up  2026.4.15  pid 4711 for 1d  era files  /s

released lock a\\x1b[2J.jsonl.lock
  its holder, pid 7, is dead (holder_dead)
  taken by pid 7, 1m 1s ago
  undo with: clawarden undo 3

1 repaired; looked at 4 lanes and 1 lock
why, in full:  clawarden explain $'a\\x1b[2J.jsonl.lock'
";
        assert_eq!(text(&report(vec![done]), Paint::Plain), want);
    }

    #[test]
    fn nothing_wrong_fits_on_two_lines_and_healthy_things_are_not_listed() {
        let want = "\
gateway up  2026.4.15  pid 4711 for 1d  era files  /s

nothing wrong; looked at 4 lanes and 1 lock
";
        assert_eq!(text(&report(vec![entry(hold(), false, None)]), Paint::Plain), want);
    }

    #[test]
    fn a_problem_of_the_gateway_says_what_helps_once_it_lasts() {
        let since = sample::ago(720);
        let mut problem = entry(Decision::Hold(HoldReason::IsDeaf { since }), true, None);
        problem.verdict.subject = Subject { kind: SubjectKind::Gateway, id: "deaf".to_owned() };
        problem.verdict.evidence = Evidence::new()
            .with("pid", 4711)
            .with("lasted_s", 720)
            .with("log", vec!["its event loop was late (2x)"])
            .with("next", "restart it: systemctl --user restart openclaw-gateway");
        let want = format!(
            "\
gateway up  2026.4.15  pid 4711 for 1d  era files  /s

problem: gateway deaf
  it has accepted connections and answered nothing since {since} (is_deaf)
  pid 4711, so for 12m
  its log: its event loop was late (2x)
  next: restart it: systemctl --user restart openclaw-gateway

1 held; looked at 4 lanes and 1 lock
why, in full:  clawarden explain 'deaf'
"
        );
        assert_eq!(text(&report(vec![problem.clone()]), Paint::Plain), want);
        problem.verdict.suspect = false;
        let passing = PassReport { all: true, ..report(vec![problem]) };
        assert_eq!(passing.listed().count(), 0);
    }

    #[test]
    fn an_id_comes_back_from_a_shell_as_it_was() {
        for id in
            ["", "it's $(id) `id` \"x\"", "a\\nb", "e\u{1b}1\n'\\\u{202e}\u{9b}", "Gr\u{fc}\u{df}e"]
        {
            let print = format!("printf %s {}", quoted(id));
            let mut bash = std::process::Command::new("bash");
            let said = bash.args(["-c", &print]).env("LC_ALL", "C.UTF-8").output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), id, "{print}");
        }
    }

    #[test]
    fn a_hint_is_for_the_same_state_directory() {
        let mut done = report(vec![entry(act(), true, Some(Outcome::Done))]);
        done.invocation = "clawarden --state-dir '/s'".to_owned();
        let text = text(&done, Paint::Plain);
        assert!(text.contains("undo with: clawarden --state-dir '/s' undo 3\n"), "{text}");
    }

    #[test]
    fn a_failure_is_loud() {
        let failed = report(vec![entry(act(), true, Some(Outcome::Failed))]);
        let text = text(&failed, Paint::Plain);
        assert!(text.contains("FAILED to release lock"), "{text}");
        assert!(text.contains("  failed to move lock: no space left\n"), "{text}");
    }

    #[test]
    fn exit_codes_follow_from_what_happened() {
        let check = |entries: Vec<Entry>, plain: Exit, detailed: Exit| {
            let report = report(entries);
            assert_eq!((report.exit(false), report.exit(true)), (plain, detailed));
        };
        let one = |outcome| vec![entry(act(), true, Some(outcome))];
        check(vec![], Exit::Success, Exit::Success);
        check(vec![entry(hold(), false, None)], Exit::Success, Exit::Success);
        check(vec![entry(hold(), true, None)], Exit::Success, Exit::Findings);
        check(one(Outcome::WouldDo), Exit::Success, Exit::Findings);
        check(one(Outcome::Changed), Exit::Success, Exit::Findings);
        check(one(Outcome::Done), Exit::Success, Exit::Acted);
        check(one(Outcome::AlreadyGone), Exit::Success, Exit::Acted);
        for bad in [Outcome::Failed, Outcome::Unverified] {
            check(one(bad), Exit::ActionFailed, Exit::ActionFailed);
        }
    }

    #[test]
    fn what_could_not_be_seen_is_said_and_is_a_finding() {
        let mut blind = report(vec![]);
        blind.gaps.push(sample::gap(Source::Sessions, "/s/x"));
        let text = text(&blind, Paint::Plain);
        assert!(text.contains("cannot see sessions: x: permission denied"), "{text}");
        assert!(text.contains("run clawarden as the gateway's user"), "{text}");
        assert!(text.contains("nothing wrong where it could be seen"), "{text}");
        assert_eq!(blind.exit(true), Exit::Findings);
    }

    #[test]
    fn a_gateway_that_gives_no_answer_is_one_line_with_the_next_step() {
        let mut deaf = report(vec![]);
        let why = RpcFailure { fault: RpcFault::Deaf, text: "it says\u{1b}[2J nothing".to_owned() };
        deaf.unheard =
            Some(Unheard { why, next: "restart it: openclaw gateway restart".to_owned() });
        let text = text(&deaf, Paint::Plain);
        let line = "  cannot be asked over its RPC (deaf): it says\\x1b[2J nothing; \
                    restart it: openclaw gateway restart\n";
        assert!(text.contains(line), "{text}");
        let json = json(&deaf);
        assert_eq!(json["unheard"]["fault"], "deaf");
        assert_eq!(json["unheard"]["next"], "restart it: openclaw gateway restart");
    }

    #[test]
    fn lanes_that_nobody_could_look_at_are_not_counted_as_none() {
        let mut blind = report(vec![]);
        blind.lanes = None;
        let text = text(&blind, Paint::Plain);
        assert!(text.contains("; looked at 1 lock\n"), "{text}");
        assert!(json(&blind)["seen"]["lanes"].is_null());
    }

    #[test]
    fn the_json_has_the_documented_shape() {
        let json = json(&report(vec![entry(act(), true, Some(Outcome::Done))]));
        assert!(json.to_string().starts_with(r#"{"schema":"clawarden.pass/v1","pass_id":"p""#));
        let verdict = &json["verdicts"][0];
        assert_eq!(verdict["subject"]["kind"], "lock");
        assert_eq!(verdict["reason"]["code"], "holder_dead");
        assert_eq!(verdict["action"]["kind"], "release_lock");
        assert_eq!((&verdict["outcome"], &verdict["action_id"]), (&"done".into(), &3.into()));
        assert_eq!(json["summary"]["acted"], 1);
    }
}
