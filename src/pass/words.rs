//! What a pass tells the journal and the log about one verdict.

use tracing::{info, warn};

use crate::act::{self, Performed};
use crate::error::chain;
use crate::journal::{Conclusion, Intent, VerdictNote};
use crate::model::{Action, ActionId, Outcome, Snapshot, UnixMillis, Verdict};
use crate::report::{self, Done};
use crate::text::escape;

pub(super) fn note(verdict: &Verdict) -> VerdictNote<'_> {
    VerdictNote {
        policy: verdict.policy,
        subject: &verdict.subject,
        decision: verdict.decision.name(),
        code: verdict.decision.code(),
        text: match report::next(verdict) {
            Some(next) => format!("{}; {next}", verdict.decision.text()),
            None => verdict.decision.text(),
        },
    }
}

pub(super) fn intent(
    verdict: &Verdict,
    action: &Action,
    snapshot: &Snapshot,
    pass_id: &str,
) -> Intent {
    let detail = serde_json::json!({
        "action": report::action(action),
        "evidence": verdict.evidence,
    });
    Intent {
        pass_id: pass_id.to_owned(),
        boot_id: snapshot.host.boot_id.clone(),
        policy: verdict.policy,
        subject: verdict.subject.clone(),
        incarnation: verdict.incarnation.clone(),
        kind: action.kind().to_owned(),
        detail: detail.to_string(),
        reason_code: verdict.decision.code().to_owned(),
        reason_text: verdict.decision.text(),
        intended_at: snapshot.taken_at,
        undo_of: None,
    }
}

/// What the journal keeps of an action that is over.
pub(super) fn conclusion(done: &Done, at: UnixMillis) -> Conclusion {
    let Done { outcome, error, note, .. } = done.clone();
    Conclusion { outcome, error, note, at }
}

pub(super) fn done(
    action_id: Option<ActionId>,
    performed: Result<Performed, act::ActError>,
) -> Done {
    match performed {
        Ok(Performed { outcome, note }) => Done { outcome, action_id, note, error: None },
        Err(error) => {
            let error = Some(chain(&error));
            Done { outcome: Outcome::Failed, action_id, note: None, error }
        }
    }
}

/// One complete line: what was done to what, why, and how to find and undo it.
pub(super) fn log_action(verdict: &Verdict, action: &Action, done: &Done) {
    let id = done.action_id.map(|id| id.to_string()).unwrap_or_default();
    let (kind, subject) = (verdict.subject.kind.name(), escape(&verdict.subject.id));
    let (policy, code) = (verdict.policy, verdict.decision.code());
    let (action, outcome) = (action.kind(), done.outcome);
    let text = verdict.decision.text();
    let more = done.error.as_deref().map(|error| format!("failed to {error}"));
    let more = more.or_else(|| done.note.clone()).unwrap_or(text);
    let line = format!(
        "{action} {kind} {subject}: {outcome}: {} policy={policy} code={code} action={id}",
        escape(&more)
    );
    match outcome {
        Outcome::Failed | Outcome::Unverified => warn!("{line}"),
        _ => info!("{line}"),
    }
}
