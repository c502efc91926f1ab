//! Runs that hang in the provider, begun in every way.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung::{By, Hung, Job};
use crate::matrix::{Matrix, Row};
use crate::report::{Reason, Report, Verdict};
use crate::rpc_matrix::acts;
use crate::rpc_matrix::versions::{Cure, Facts};
use crate::wait::{seconds, until};
use crate::watchdog::Daemon;

pub(super) struct HungLanes {
    listed: Vec<(By, Hung)>,
    unlisted: Option<Unlisted>,
}

#[track_caller]
pub(super) fn begin(home: &Home, gateway: &Gateway, facts: &Facts) -> HungLanes {
    let ways = [(By::Chat, "hung-chat"), (By::Agent, "hung-agent"), (By::Cron, "hung-cron")];
    let (unlisted, listed): (Vec<_>, Vec<_>) =
        ways.into_iter().partition(|(by, _)| facts.freed(*by) == Cure::Unlisted);
    let begin = |(by, name)| (by, Hung::begin(home, gateway, by, name));
    let listed = listed.into_iter().map(begin).collect();
    let unlisted = unlisted.first().map(|(_, name)| Unlisted::begin(home, gateway, name));
    HungLanes { listed, unlisted }
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
                Cure::Withheld => {
                    passes.iter().any(|pass| pass.code("hung_lane", key) == Some(WITHHELD))
                }
                Cure::Nothing => {
                    passes.iter().any(|pass| pass.code("hung_lane", key) == Some("ladder_done"))
                }
                Cure::Gateway | Cure::Unlisted => {
                    let is_told = |pass: &Report| pass.of("hung_lane", key).is_some();
                    passes.iter().any(is_told) && passes.last().is_some_and(|pass| !is_told(pass))
                }
            };
            let all = self.listed.iter().all(|(by, hung)| is_done(*by, &hung.key));
            let seen = |unlisted: &Unlisted| passes.iter().any(|pass| unlisted.of(pass).is_some());
            (all && self.unlisted.as_ref().is_none_or(seen)).then_some(())
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
        let mine: BTreeSet<_> = self.listed.iter().map(|(_, hung)| &*hung.key).collect();
        let acts: BTreeSet<_> = acts(passes).into_iter().collect();
        assert!(acts.is_subset(&mine), "nothing else was touched: {acts:?}");
        for (by, hung) in &self.listed {
            let row = gateway.row(&hung.key);
            let reason = said(passes, &hung.key);
            matrix.add(table_row(*by, facts.freed(*by), &reason.code, row["status"].as_str()));
            if facts.freed(*by) == Cure::Nothing {
                assert!(reason.text.contains("openclaw gateway restart"), "{reason:?}");
                hung.before.assert_kept(home, gateway);
                continue;
            }
            if facts.freed(*by) == Cure::Withheld {
                hung.stop(home, gateway, reason);
            }
            assert!(hung.is_free(home, gateway), "{row}");
            if *by == By::Chat && facts.freed(*by) == Cure::Abort {
                hung.assert_told(gateway, passes);
            }
            hung.assert_answers(home, gateway);
        }
        if let Some(unlisted) = &self.unlisted {
            match facts.frees_itself() {
                true => unlisted.assert_ended(gateway, passes, matrix),
                false => unlisted.assert_left_alone(passes, matrix),
            }
        }
    }

    /// Waits until the gateway itself has ended the run that it does not list.
    #[track_caller]
    pub(super) fn wait_for_unlisted(&self, gateway: &Gateway, limit: Duration) {
        let is_running = |unlisted: &Unlisted| unlisted.0.is_running(gateway);
        until("the unlisted run has ended", limit, || {
            (!self.unlisted.as_ref().is_some_and(is_running)).then_some(())
        });
    }

    fn ours(&self, facts: &Facts) -> impl Iterator<Item = &str> {
        let is_ours = |by| matches!(facts.freed(by), Cure::Abort | Cure::Steer);
        self.listed.iter().filter(move |(by, _)| is_ours(*by)).map(|(_, hung)| &*hung.key)
    }
}

/// A run of a schedule of which only events tell: 2026.5.7 to 2026.7.1 list its session, and write its
/// row, when it has ended.
struct Unlisted(Job);

impl Unlisted {
    #[track_caller]
    fn begin(home: &Home, gateway: &Gateway, name: &str) -> Unlisted {
        home.provider.set_mode("drip");
        let open = home.provider.open_requests();
        let job = Job::run(gateway, name);
        home.provider.wait_for_open(open + 1);
        assert!(job.is_running(gateway), "it runs");
        Unlisted(job)
    }

    fn of<'r>(&self, pass: &'r Report) -> Option<&'r Verdict> {
        let is_its =
            |v: &&Verdict| v.policy == "hung_lane" && v.subject.id.starts_with(&self.0.key);
        pass.verdicts.iter().find(is_its)
    }

    /// It was reported for as long as it hung, its gateway has ended it, and the next run ends well.
    #[track_caller]
    fn assert_ended(&self, gateway: &Gateway, passes: &[Report], matrix: &mut Matrix) {
        let said =
            passes.iter().rev().find_map(|pass| self.of(pass)).expect("a word about the job");
        assert_eq!((&*said.decision, &*said.reason.code), ("hold", "malformed"), "{said:#?}");
        let ended = self.0.ended(gateway);
        self.0.assert_runs_again(gateway);
        matrix.add(Row {
            fault: By::Cron.fault(),
            verdict: "`hung_lane`: held, `malformed`".to_owned(),
            repair: "left to the gateway, which ends it".to_owned(),
            afterwards: format!("the run ended with `{ended}`; the next run ends well"),
            lost: "nothing",
        });
    }

    /// Its lock is reported for as long as it hangs: the lane itself only until the next list.
    #[track_caller]
    fn assert_left_alone(&self, passes: &[Report], matrix: &mut Matrix) {
        let said = passes.iter().rev().find_map(|pass| self.of(pass));
        let said = said.expect("a word about the job");
        assert_eq!((&*said.decision, &*said.reason.code), ("hold", "malformed"), "{said:#?}");
        let session = said.subject.id.rsplit(':').next().expect("a session");
        let lock = format!("{session}.jsonl.lock");
        let code = passes.last().and_then(|pass| pass.code("held_lock", &lock));
        assert_eq!(code, Some("lane_unknown"), "its lock is reported");
        matrix.add(Row {
            fault: By::Cron.fault(),
            verdict: "`held_lock`: held, `lane_unknown`".to_owned(),
            repair: "none; reported".to_owned(),
            afterwards: "no session of it is listed while it runs".to_owned(),
            lost: "nothing",
        });
    }
}

/// Why something was done about the lane, or else was not in the end.
#[track_caller]
fn said<'p>(passes: &'p [Report], key: &str) -> &'p Reason {
    let told = || passes.iter().rev().filter_map(|pass| pass.of("hung_lane", key));
    let done = told().find(|verdict| verdict.decision == "act");
    &done.or_else(|| told().next()).expect("a word about the lane").reason
}

/// Why a run is not aborted where that drops what waits behind it.
pub(super) const WITHHELD: &str = "would_lose_waiting";

impl Hung {
    /// Does what the user is told to do, and it helps.
    #[track_caller]
    pub(super) fn stop(&self, home: &Home, gateway: &Gateway, told: &Reason) {
        assert_eq!(told.code, WITHHELD, "{told:?}");
        assert!(told.text.contains("/stop in its chat"), "{told:?}");
        let stop =
            json!({ "sessionKey": self.key, "message": "/stop", "idempotencyKey": self.key });
        gateway.call("chat.send", &stop);
        until("the user has stopped it", seconds(60), || self.is_free(home, gateway).then_some(()));
    }

    /// Who looks at the chat sees what was stopped and why.
    #[track_caller]
    fn assert_told(&self, gateway: &Gateway, passes: &[Report]) {
        let history = gateway.call("chat.history", &json!({ "sessionKey": self.key, "limit": 50 }));
        let notes = passes.iter().filter_map(|pass| pass.of("hung_lane", &self.key)?.note.clone());
        let notes: Vec<_> = notes.collect();
        let line = "clawarden stopped a run here that had made no progress for";
        assert!(history.to_string().contains(line), "{notes:?}: {history:#}");
    }
}

fn table_row(by: By, freed: Cure, code: &str, status: Option<&str>) -> Row {
    let repair = match freed {
        Cure::Abort => "abort",
        Cure::Steer if by == By::Cron => "steer",
        Cure::Steer => "abort (`no-active-run`), then steer",
        Cure::Gateway => "left to the gateway, which ends it",
        Cure::Withheld => "none; the user is told to send `/stop`",
        Cure::Nothing | Cure::Unlisted => "none; reported",
    };
    let next = match (by, freed) {
        (_, Cure::Nothing) => "the user is told the restart command",
        (_, Cure::Withheld) => "after `/stop` the next message is answered",
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
