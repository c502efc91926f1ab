//! The pass report, as its readers see it (`clawarden.pass/v1`).

use serde::Deserialize;
use serde_json::Value;

use crate::process::Process;

/// One pass.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    schema: String,
    pub(crate) gateway: GatewayFacts,
    pub(crate) gaps: Vec<Value>,
    pub(crate) verdicts: Vec<Verdict>,
    summary: Summary,
    /// All of it, as it was said.
    #[serde(skip)]
    text: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct GatewayFacts {
    pub(crate) status: String,
    pub(crate) pid: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) policy: String,
    pub(crate) subject: Subject,
    pub(crate) decision: String,
    pub(crate) reason: Reason,
    pub(crate) outcome: Option<String>,
    pub(crate) note: Option<String>,
    #[serde(default)]
    pub(crate) evidence: Value,
    action_id: Option<Value>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Subject {
    pub(crate) id: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Reason {
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
struct Summary {
    acted: u64,
    failed: u64,
    #[serde(default)]
    unverified: u64,
}

impl Report {
    /// A pass in which every repair was seen to have its effect.
    #[track_caller]
    pub(crate) fn parse(text: &str) -> Self {
        let report = Self::of_a_climb(text);
        assert_eq!(report.summary.unverified, 0, "{report:#?}");
        report
    }

    /// A pass in which a repair may have had no effect, as the lower rungs of a ladder may.
    #[track_caller]
    pub(crate) fn of_a_climb(text: &str) -> Self {
        let mut report: Self =
            serde_json::from_str(text).unwrap_or_else(|e| panic!("no pass report ({e}): {text}"));
        text.clone_into(&mut report.text);
        assert_eq!(report.schema, "clawarden.pass/v1");
        assert_eq!(report.summary.failed, 0, "{report:#?}");
        report.without_records()
    }

    /// What is only written down of ACP sessions changes nothing of the gateway's.
    fn without_records(mut self) -> Self {
        let is_record = |verdict: &Verdict| verdict.policy == "tombstone";
        let done =
            |verdict: &&Verdict| is_record(verdict) && verdict.outcome.as_deref() == Some("done");
        self.summary.acted -= self.verdicts.iter().filter(done).count() as u64;
        self.verdicts.retain(|verdict| !is_record(verdict));
        self
    }

    /// Exactly these subjects of `policy` were repaired and verified; nothing else was done.
    ///
    /// A subject is named by its id, or by the end of it where the id is a path.
    #[track_caller]
    pub(crate) fn assert_acted(&self, policy: &str, subjects: &[&str]) {
        let acts: Vec<_> = self.verdicts.iter().filter(|v| v.decision == "act").collect();
        let known = |v: &&&Verdict| v.policy == policy && v.names_one_of(subjects);
        assert_eq!(acts.len(), subjects.len(), "{self:#?}");
        assert!(acts.iter().filter(known).count() == subjects.len(), "{self:#?}");
        assert!(acts.iter().all(|v| v.outcome.as_deref() == Some("done")), "{self:#?}");
        assert_eq!(self.summary.acted, subjects.len() as u64, "{self:#?}");
    }

    /// Nothing was done.
    #[track_caller]
    pub(crate) fn assert_idle(&self) {
        self.assert_acted("any", &[]);
    }

    /// Exactly these processes were ended and verified, each with what is below it; nothing else was
    /// done.
    #[track_caller]
    pub(crate) fn assert_ended(&self, tops: &[Process]) {
        let subjects: Vec<_> = tops.iter().map(Process::subject).collect();
        let subjects: Vec<_> = subjects.iter().map(String::as_str).collect();
        self.assert_acted("orphan_process", &subjects);
        for subject in subjects {
            let verdict = self.verdict("orphan_process", subject);
            assert_eq!(verdict.reason.code, "unreachable", "{verdict:#?}");
        }
    }

    /// This process was ended and verified, with what is below it.
    #[track_caller]
    pub(crate) fn assert_ended_too(&self, top: Process) {
        let verdict = self.verdict("orphan_process", &top.subject());
        let done = (verdict.decision.as_str(), verdict.outcome.as_deref());
        assert_eq!(done, ("act", Some("done")), "{verdict:#?}");
    }

    /// Everything that was ended comes with the memory that this gave back.
    #[track_caller]
    pub(crate) fn assert_says_freed_memory(&self) {
        for verdict in self.verdicts.iter().filter(|verdict| verdict.decision == "act") {
            let note = verdict.note.as_deref().unwrap_or_default();
            let freed = note.split_once(" MiB freed").and_then(|(said, _)| said.rsplit(' ').next());
            let freed = freed.and_then(|mib| mib.parse::<u64>().ok());
            assert!(freed.is_some_and(|mib| mib > 20), "{verdict:#?}");
        }
    }

    /// Whether it says this word anywhere.
    pub(crate) fn says(&self, word: &str) -> bool {
        self.text.contains(word)
    }

    /// The subjects of everything that was done.
    pub(crate) fn acts(&self) -> Vec<&str> {
        let acts = self.verdicts.iter().filter(|verdict| verdict.decision == "act");
        acts.map(|verdict| &*verdict.subject.id).collect()
    }

    /// The subjects of everything that `policy` did and saw to be done.
    pub(crate) fn done(&self, policy: &str) -> Vec<&str> {
        let done = |v: &&Verdict| v.policy == policy && v.outcome.as_deref() == Some("done");
        self.verdicts.iter().filter(done).map(|verdict| &*verdict.subject.id).collect()
    }

    /// What `policy` said of `subject`, if it said anything.
    pub(crate) fn of(&self, policy: &str, subject: &str) -> Option<&Verdict> {
        self.verdicts.iter().find(|v| v.policy == policy && v.names_one_of(&[subject]))
    }

    /// `policy` saw `subject` and left it alone; returns the reason code.
    #[track_caller]
    pub(crate) fn held(&self, policy: &str, subject: &str) -> &str {
        let verdict = self.verdict(policy, subject);
        assert_eq!(verdict.decision, "hold", "{verdict:#?}");
        &verdict.reason.code
    }

    /// The reason code of what `policy` said of `subject`, if it said anything.
    pub(crate) fn code(&self, policy: &str, subject: &str) -> Option<&str> {
        self.of(policy, subject).map(|verdict| &*verdict.reason.code)
    }

    /// The id that `undo` takes, of what `policy` did to `subject`.
    #[track_caller]
    pub(crate) fn action_id(&self, policy: &str, subject: &str) -> String {
        match &self.verdict(policy, subject).action_id {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            other => panic!("no action id: {other:?}"),
        }
    }

    #[track_caller]
    fn verdict(&self, policy: &str, subject: &str) -> &Verdict {
        let mut found =
            self.verdicts.iter().filter(|v| v.policy == policy && v.names_one_of(&[subject]));
        let verdict = found.next().unwrap_or_else(|| panic!("{policy} {subject}: {self:#?}"));
        assert!(found.next().is_none(), "{policy} judged {subject} twice: {self:#?}");
        verdict
    }
}

impl Verdict {
    fn names_one_of(&self, subjects: &[&str]) -> bool {
        subjects
            .iter()
            .any(|s| self.subject.id == *s || self.subject.id.ends_with(&format!("/{s}")))
    }
}
