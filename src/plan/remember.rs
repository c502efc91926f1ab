//! What a pass leaves to the next one.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{Action, Decision, History, Outcome, SubjectHistory, UnixMillis, Verdict};

use super::settings::{Confirm, Limits};

/// How long a repaired subject is remembered at least. A repair that does not last may take
/// hours to show: the row must first grow old again.
const MEMORY: Duration = Duration::from_secs(86_400);

/// Returns the history after a look: what is wrong, or may become so, is remembered with its looks
/// counted, what is not is forgotten, unless it was acted on within a day.
#[must_use]
pub fn remember(
    mut history: History,
    verdicts: &[Verdict],
    limits: Limits,
    confirm: Confirm,
    now: UnixMillis,
) -> History {
    let mut subjects = BTreeMap::new();
    for verdict in verdicts.iter().filter(|verdict| verdict.is_noted()) {
        let key = (verdict.policy, verdict.subject.clone());
        let earlier = history.subjects.remove(&key);
        subjects.insert(key, look(earlier, verdict, confirm, now));
    }
    let memory = limits.cooldown.max(MEMORY);
    let recent = |seen: &SubjectHistory| seen.last_acted.is_some_and(|at| now.since(at) < memory);
    subjects.extend(history.subjects.into_iter().filter(|(_, seen)| recent(seen)));
    History { subjects, ..history }
}

fn look(
    earlier: Option<SubjectHistory>,
    verdict: &Verdict,
    confirm: Confirm,
    now: UnixMillis,
) -> SubjectHistory {
    let fresh = SubjectHistory {
        incarnation: verdict.incarnation.clone(),
        first_seen: now,
        last_seen: now,
        looks: 1,
        last_look: now,
        last_acted: None,
        acted_incarnation: None,
        ineffective: 0,
    };
    let Some(earlier) = earlier else { return fresh };
    if earlier.incarnation != verdict.incarnation {
        let SubjectHistory { last_acted, acted_incarnation, ineffective, .. } = earlier;
        return SubjectHistory { last_acted, acted_incarnation, ineffective, ..fresh };
    }
    let counts = now.since(earlier.last_look) >= confirm.gap;
    SubjectHistory {
        last_seen: now,
        looks: earlier.looks.saturating_add(u32::from(counts)),
        last_look: if counts { now } else { earlier.last_look },
        ..earlier
    }
}

/// Returns the history after `verdict` was carried out with `outcome`.
///
/// A repair is ineffective if the very thing that was repaired is there again, or if its effect
/// was not seen. A subject that was gone or had changed was not repaired at all: it takes no place
/// among the actions of the hour, and what changed is looked at once more before it is tried again.
#[must_use]
pub fn acted(
    mut history: History,
    verdict: &Verdict,
    outcome: Outcome,
    now: UnixMillis,
) -> History {
    if counts(&verdict.decision, outcome) {
        history.acted_at.push(now);
    }
    let key = (verdict.policy, verdict.subject.clone());
    let Some(seen) = history.subjects.get_mut(&key) else { return history };
    let again = seen.acted_incarnation.as_deref() == Some(&verdict.incarnation);
    match outcome {
        Outcome::Changed => (seen.looks, seen.last_look) = (0, now),
        // Nothing was repaired, so the next look may try again at once.
        Outcome::WouldDo | Outcome::AlreadyGone => {}
        Outcome::Done | Outcome::Failed | Outcome::Unverified => {
            let failed = outcome != Outcome::Done;
            let before = if again { seen.ineffective } else { 0 };
            seen.ineffective = before + u32::from(again) + u32::from(failed && !again);
            seen.last_acted = Some(now);
            seen.acted_incarnation = Some(verdict.incarnation.clone());
        }
    }
    history
}

/// Whether an outcome is one of an action, and not of a look at what was no more as it had been judged.
/// A tree of processes stood still meanwhile, whatever became of it.
fn counts(decision: &Decision, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Changed | Outcome::AlreadyGone => {
            matches!(decision, Decision::Act(Action::EndTree(_), _))
        }
        Outcome::WouldDo | Outcome::Done | Outcome::Failed | Outcome::Unverified => true,
    }
}
