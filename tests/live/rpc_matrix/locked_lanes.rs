//! Several lanes whose runs hang with the locks of their transcripts in the gateway's hand (#68823):
//! one cause, named once, and every lane answers again.

use std::collections::BTreeSet;
use std::path::Path;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung::{By, Hung};
use crate::matrix::{Matrix, Row};
use crate::report::Report;
use crate::rpc_matrix::acts;
use crate::rpc_matrix::versions::Facts;
use crate::wait::{seconds, until};
use crate::watchdog::Watchdog;

pub(super) struct LockedLanes([Hung; 3]);

#[track_caller]
pub(super) fn begin(home: &Home, gateway: &Gateway) -> LockedLanes {
    let names = ["held-one", "held-two", "held-three"];
    LockedLanes(names.map(|name| Hung::begin(home, gateway, By::Chat, name)))
}

impl LockedLanes {
    /// Every lock but `protected` is let go; what the lanes had they have, and they answer.
    #[track_caller]
    pub(super) fn check(
        &self,
        home: &Home,
        gateway: &Gateway,
        facts: &Facts,
        protected: &Path,
        matrix: &mut Matrix,
    ) {
        let locks: BTreeSet<_> = self.0.iter().map(|hung| hung.lock(home)).collect();
        locks.iter().for_each(|lock| assert!(lock.exists(), "{}", lock.display()));
        let watchdog = Watchdog::with(home, "held", &facts.config_for_locks());
        watchdog.protect(&protected.display().to_string());
        let daemon = watchdog.daemon().climbing();
        until("every lock is let go", facts.own_deadline + seconds(120), || {
            locks.iter().all(|lock| !lock.exists()).then_some(())
        });
        daemon.wait_for_passes(2);
        let passes = daemon.stop();
        let done: Vec<_> = acts(&passes).into_iter().map(Path::new).collect();
        assert_eq!(done.len(), locks.len(), "each once: {done:?}");
        let locks: BTreeSet<_> = locks.iter().map(|lock| lock.as_path()).collect();
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), locks);
        assert!(protected.exists(), "what is protected stays");
        self.assert_names_the_cause(home, &passes);
        for hung in &self.0 {
            assert!(hung.is_free(home, gateway), "{}", hung.key);
            hung.assert_answers(home, gateway, By::Chat);
        }
        matrix.add(Row {
            fault: "three hung runs with their locks (#68823)",
            verdict: "`held_lock`: `held_too_long`".to_owned(),
            repair: "abort of each, oldest first".to_owned(),
            afterwards: "no lock is left; every lane answers".to_owned(),
            lost: "nothing",
        });
    }

    /// What is done first names the oldest lock as the cause, and every lane that is blocked.
    #[track_caller]
    fn assert_names_the_cause(&self, home: &Home, passes: &[Report]) {
        let oldest = self.0[0].lock(home).display().to_string();
        let first = passes.iter().find_map(|pass| {
            pass.verdicts.iter().find(|v| v.policy == "held_lock" && v.decision == "act")
        });
        let first = first.expect("an act");
        assert_eq!(first.subject.id, oldest, "the oldest goes first");
        assert_eq!(first.evidence["root_cause"], *oldest, "{first:#?}");
        let cascade = first.evidence["cascade"].as_array().expect("all that is blocked");
        let blocked: BTreeSet<_> =
            cascade.iter().filter_map(|one| one["blocks"].as_str()).collect();
        for hung in &self.0 {
            assert!(blocked.contains(&*hung.key), "{} of {blocked:?}", hung.key);
        }
        assert!(first.reason.text.contains("it is the oldest of"), "{first:#?}");
    }
}
