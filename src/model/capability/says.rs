//! What a version repairs by itself, in words.

use super::{Capabilities, Configured, Deadline, Work};
use crate::model::span;

impl Capabilities {
    /// Returns what the gateway itself does about a run without progress and the lock that it holds,
    /// and when, in one line for people. `locks`: whether the subject is the lock.
    #[must_use]
    pub fn says_itself(&self, locks: bool, configured: Configured) -> String {
        let name = match self.is_tested {
            true => self.facts_of.to_string(),
            false => format!("like {}, the nearest older version that was run, it", self.facts_of),
        };
        let line = match (ends(self, configured), self.provider()) {
            (None, None) => format!("{name} never ends a run that makes no progress"),
            (None, Some(gives_up)) => {
                format!("{name} never ends a run that makes no progress, but {gives_up}")
            }
            (Some(ends), None) => format!("{name} {ends}"),
            (Some(ends), Some(gives_up)) => format!("{name} {ends}; {gives_up}"),
        };
        match (locks, self.waits_for_lock) {
            (false, _) => line,
            (true, None) => format!("{name} has no such locks"),
            (true, Some(wait)) => format!(
                "{line}; the lock goes with the run, and a message that waits for it fails after {}",
                span(wait)
            ),
        }
    }

    /// What the run does about a provider that says nothing at all.
    fn provider(&self) -> Option<String> {
        let silence = self.provider_silence?;
        Some(format!(
            "a model that says nothing is given up after {} and tried once more; one that trickles \
             is waited for",
            span(silence)
        ))
    }
}

fn ends(facts: &Capabilities, configured: Configured) -> Option<String> {
    let by = |work| facts.ends_stuck(work, configured);
    let (model, tool, other) = (by(Work::Model), by(Work::Tool), by(Work::Other));
    match (model, tool, other) {
        (Deadline::Never, _, other) => other.least().map(|least| {
            format!(
                "ends a run without progress after {}, but not one that waits for a model or a tool",
                span(least)
            )
        }),
        (Deadline::NotBefore(model), tool, _) => Some(format!(
            "ends a run without progress after {}, one that waits for a tool after {}, and waits \
             longer where the request or the tool has a longer limit of its own",
            span(model),
            span(tool.least().unwrap_or_default())
        )),
        (Deadline::After(model), ..) => {
            Some(format!("ends a run without progress after {}, also within a tool", span(model)))
        }
    }
}
