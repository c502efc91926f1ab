//! Runs that hang in the provider, begun in every way.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung::{By, Hung};
use crate::matrix::{Matrix, Row};
use crate::report::Report;
use crate::rpc_matrix::acts;
use crate::rpc_matrix::versions::{Cure, Facts};
use crate::wait::{seconds, until};

pub(super) struct HungLanes([(By, Hung); 3]);

#[track_caller]
pub(super) fn begin(home: &Home, gateway: &Gateway) -> HungLanes {
    let ways = [(By::Chat, "hung-chat"), (By::Agent, "hung-agent"), (By::Cron, "hung-cron")];
    HungLanes(ways.map(|(by, name)| (by, Hung::begin(home, gateway, by, name))))
}

impl HungLanes {
    #[track_caller]
    pub(super) fn wait_until_free(&self, home: &Home, gateway: &Gateway, limit: Duration) {
        until("every hung lane is freed", limit, || {
            self.0.iter().all(|(_, hung)| hung.is_free(home, gateway)).then_some(())
        });
    }

    /// The watchdog freed those that its version lets it free, each once, and touched nothing else;
    /// all of them answer, and nothing was lost.
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
        assert_eq!(done.len(), expected.len(), "each once: {done:?}");
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), expected);
        let acts: BTreeSet<_> = acts(passes).into_iter().collect();
        assert_eq!(acts, expected, "nothing else was touched");
        for (by, hung) in &self.0 {
            let row = gateway.row(&hung.key);
            matrix.add(table_row(*by, facts.freed(*by), row["status"].as_str()));
            hung.assert_answers(home, gateway, *by);
        }
    }

    fn ours(&self, facts: &Facts) -> impl Iterator<Item = &str> {
        let is_ours = |by| matches!(facts.freed(by), Cure::Abort | Cure::Steer);
        self.0.iter().filter(move |(by, _)| is_ours(*by)).map(|(_, hung)| &*hung.key)
    }
}

impl Hung {
    /// The conversation is as it was, the next message is answered, and then it is again.
    #[track_caller]
    pub(super) fn assert_answers(&self, home: &Home, gateway: &Gateway, by: By) {
        self.before.assert_kept(home, gateway);
        if by == By::Cron {
            return;
        }
        gateway.turn(&self.key);
        until("the row has ended", seconds(30), || {
            (gateway.row(&self.key)["status"] == "done").then_some(())
        });
        self.before.assert_kept(home, gateway);
    }
}

fn table_row(by: By, freed: Cure, status: Option<&str>) -> Row {
    let repair = match freed {
        Cure::Abort => "abort",
        Cure::Steer => "abort (`no-active-run`), then steer",
        Cure::Gateway => "left to the gateway, which ends it",
        Cure::Nothing => "none; reported",
    };
    let next = if by == By::Cron { "the next job runs" } else { "the next message is answered" };
    Row {
        fault: by.fault(),
        verdict: "`hung_lane`: `no_progress`".to_owned(),
        repair: repair.to_owned(),
        afterwards: format!("row `{}`; {next}", status.unwrap_or("without status")),
        lost: "nothing",
    }
}
