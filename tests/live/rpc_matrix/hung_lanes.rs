//! Runs that hang in the provider, begun in every way.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung::{By, Hung};
use crate::matrix::{Matrix, Row};
use crate::report::{Reason, Report};
use crate::rpc_matrix::acts;
use crate::rpc_matrix::versions::{Cure, Facts};
use crate::wait::{seconds, until};
use crate::watchdog::Daemon;

pub(super) struct HungLanes(Vec<(By, Hung)>);

#[track_caller]
pub(super) fn begin(home: &Home, gateway: &Gateway) -> HungLanes {
    let schedule = (By::Cron, Hung::begin(home, gateway, By::Cron, "hung-cron"));
    let HungLanes(mut lanes) = begin_two(home, gateway);
    lanes.push(schedule);
    HungLanes(lanes)
}

/// [`begin`], without the run of a schedule.
#[track_caller]
pub(super) fn begin_two(home: &Home, gateway: &Gateway) -> HungLanes {
    let ways = [(By::Chat, "hung-chat"), (By::Agent, "hung-agent")];
    HungLanes(ways.map(|(by, name)| (by, Hung::begin(home, gateway, by, name))).into())
}

impl HungLanes {
    /// Waits until the watchdog has said the last word about each: freed, or nothing helps.
    #[track_caller]
    pub(super) fn wait_until_seen_to(&self, facts: &Facts, daemon: &Daemon, limit: Duration) {
        until("every hung lane is seen to", limit, || {
            let passes = daemon.passes();
            let is_done = |by: By, key: &str| match facts.freed(by) {
                Cure::Abort | Cure::Steer => {
                    passes.iter().any(|pass| pass.done("hung_lane").contains(&key))
                }
                Cure::Nothing => {
                    passes.iter().any(|pass| pass.code("hung_lane", key) == Some("ladder_done"))
                }
                Cure::Gateway => {
                    let is_told = |pass: &Report| pass.of("hung_lane", key).is_some();
                    passes.iter().any(is_told) && passes.last().is_some_and(|pass| !is_told(pass))
                }
            };
            self.0.iter().all(|(by, hung)| is_done(*by, &hung.key)).then_some(())
        });
    }

    /// The watchdog freed those that its version lets it free, each once, and touched nothing else;
    /// what it freed answers, and nothing was lost.
    #[track_caller]
    pub(super) fn assert_freed(
        &self,
        home: &Home,
        gateway: &Gateway,
        facts: &Facts,
        passes: &[Report],
        matrix: &mut Matrix,
    ) {
        let expected: BTreeSet<_> = self.ours(facts).collect();
        let done: Vec<_> = passes.iter().flat_map(|pass| pass.done("hung_lane")).collect();
        let done_set: BTreeSet<_> = done.iter().copied().collect();
        assert_eq!(done.len(), done_set.len(), "each once: {done:?}");
        assert!(expected.is_subset(&done_set), "{done:?} of {expected:?}");
        let mine: BTreeSet<_> = self.0.iter().map(|(_, hung)| &*hung.key).collect();
        let acts: BTreeSet<_> = acts(passes).into_iter().collect();
        assert!(acts.is_subset(&mine), "nothing else was touched: {acts:?}");
        for (by, hung) in &self.0 {
            let row = gateway.row(&hung.key);
            let reason = said(passes, &hung.key);
            matrix.add(table_row(*by, facts.freed(*by), &reason.code, row["status"].as_str()));
            if facts.freed(*by) == Cure::Nothing {
                assert!(reason.text.contains("openclaw gateway restart"), "{reason:?}");
                hung.before.assert_kept(home, gateway);
                continue;
            }
            assert!(hung.is_free(home, gateway), "{row}");
            if *by == By::Chat && facts.freed(*by) == Cure::Abort {
                hung.assert_told(gateway, passes);
            }
            hung.assert_answers(home, gateway);
        }
    }

    fn ours(&self, facts: &Facts) -> impl Iterator<Item = &str> {
        let is_ours = |by| matches!(facts.freed(by), Cure::Abort | Cure::Steer);
        self.0.iter().filter(move |(by, _)| is_ours(*by)).map(|(_, hung)| &*hung.key)
    }
}

/// Why something was done about the lane, or else was not in the end.
#[track_caller]
fn said<'p>(passes: &'p [Report], key: &str) -> &'p Reason {
    let told = || passes.iter().rev().filter_map(|pass| pass.of("hung_lane", key));
    let done = told().find(|verdict| verdict.decision == "act");
    &done.or_else(|| told().next()).expect("a word about the lane").reason
}

impl Hung {
    /// Who looks at the chat sees what was stopped and why.
    #[track_caller]
    fn assert_told(&self, gateway: &Gateway, passes: &[Report]) {
        let history = gateway.call("chat.history", &json!({ "sessionKey": self.key, "limit": 50 }));
        let notes = passes.iter().filter_map(|pass| pass.of("hung_lane", &self.key)?.note.clone());
        let notes: Vec<_> = notes.collect();
        let line = "clawarden stopped a run here that had made no progress for";
        assert!(history.to_string().contains(line), "{notes:?}: {history:#}");
    }

    /// The conversation is as it was, the next message is answered, and then it is again.
    #[track_caller]
    pub(super) fn assert_answers(&self, home: &Home, gateway: &Gateway) {
        self.before.assert_kept(home, gateway);
        if let Some(job) = &self.job {
            job.assert_runs_again(gateway);
            return;
        }
        gateway.turn(&self.key);
        until("the row has ended", seconds(30), || {
            (gateway.row(&self.key)["status"] == "done").then_some(())
        });
        self.before.assert_kept(home, gateway);
    }
}

fn table_row(by: By, freed: Cure, code: &str, status: Option<&str>) -> Row {
    let repair = match freed {
        Cure::Abort => "abort",
        Cure::Steer if by == By::Cron => "steer",
        Cure::Steer => "abort (`no-active-run`), then steer",
        Cure::Gateway => "left to the gateway, which ends it",
        Cure::Nothing => "none; reported",
    };
    let next = match (by, freed) {
        (_, Cure::Nothing) => "the user is told the restart command",
        (By::Cron, _) => "the next run ends well",
        _ => "the next message is answered",
    };
    Row {
        fault: by.fault(),
        verdict: format!("`hung_lane`: `{code}`"),
        repair: repair.to_owned(),
        afterwards: format!("row `{}`; {next}", status.unwrap_or("without status")),
        lost: "nothing",
    }
}
