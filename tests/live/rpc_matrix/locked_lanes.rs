//! Several lanes whose runs hang with the locks of their transcripts in the gateway's hand (#68823):
//! one cause, named once, and every lane answers again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung::{By, Hung};
use crate::matrix::{Matrix, Row};
use crate::report::{Report, Verdict};
use crate::rpc_matrix::acts;
use crate::rpc_matrix::hung_lanes::WITHHELD;
use crate::rpc_matrix::versions::{Cure, Facts};
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

pub(super) struct LockedLanes<'h> {
    watchdog: Watchdog<'h>,
    daemon: Daemon,
    lanes: [Hung; 3],
    locks: BTreeSet<PathBuf>,
}

/// Three lanes, and a daemon of their own that listens from before them on.
#[track_caller]
pub(super) fn begin<'h>(home: &'h Home, gateway: &Gateway, facts: &Facts) -> LockedLanes<'h> {
    let watchdog = Watchdog::with(home, "held", &facts.config_for_locks());
    let daemon = watchdog.daemon().climbing();
    let names = ["held-one", "held-two", "held-three"];
    let lanes = names.map(|name| Hung::begin(home, gateway, By::Chat, name));
    let locks: BTreeSet<_> = lanes.iter().map(|hung| hung.lock(home)).collect();
    locks.iter().for_each(|lock| assert!(lock.exists(), "{}", lock.display()));
    let locked = LockedLanes { watchdog, daemon, lanes, locks };
    // Else it is ended before the others are due.
    locked.protect(&locked.lanes[0].lock(home));
    locked
}

impl LockedLanes<'_> {
    /// Leaves the run that holds this lock to others.
    #[track_caller]
    pub(super) fn protect(&self, lock: &Path) {
        self.watchdog.protect(&lock.display().to_string());
    }

    /// Every lock but `protected` is let go; what the lanes had they have, and they answer.
    #[track_caller]
    pub(super) fn check(
        self,
        home: &Home,
        gateway: &Gateway,
        facts: &Facts,
        protected: &Path,
        matrix: &mut Matrix,
    ) {
        if facts.freed(By::Chat) == Cure::Withheld {
            return self.check_withheld(home, gateway, matrix);
        }
        let Self { watchdog, daemon, lanes, locks } = self;
        let oldest = lanes[0].lock(home).display().to_string();
        until("every lock is due", Facts::patience(facts.holds_locks_for()), || {
            let last = daemon.passes().pop()?;
            let verdict = last.of("held_lock", &oldest)?;
            let all = lanes.iter().all(|hung| blocked(verdict).contains(&*hung.key));
            (all && verdict.reason.code == "protected").then_some(())
        });
        assert!(locks.iter().all(|lock| lock.exists()), "none goes before the oldest");
        watchdog.unprotect(&oldest);
        until("every lock is let go", seconds(240), || {
            locks.iter().all(|lock| !lock.exists()).then_some(())
        });
        daemon.wait_for_passes(2);
        let passes = daemon.stop();
        let done: Vec<_> = acts(&passes).into_iter().map(Path::new).collect();
        assert_eq!(done.len(), locks.len(), "each once: {done:?}");
        let locks: BTreeSet<_> = locks.iter().map(|lock| lock.as_path()).collect();
        assert_eq!(done.into_iter().collect::<BTreeSet<_>>(), locks);
        assert!(protected.exists(), "what is protected stays");
        assert_names_the_cause(&oldest, &lanes, &passes);
        for hung in &lanes {
            assert!(hung.is_free(home, gateway), "{}", hung.key);
            hung.assert_answers(home, gateway);
        }
        matrix.add(Row {
            fault: "three hung runs with their locks (#68823)",
            verdict: "`held_lock`: `held_too_long`".to_owned(),
            repair: "abort of each, oldest first".to_owned(),
            afterwards: "no lock is left; every lane answers".to_owned(),
            lost: "nothing",
        });
    }

    /// Every lock is named with its lane, none is touched, and what the user is told to do helps.
    #[track_caller]
    fn check_withheld(self, home: &Home, gateway: &Gateway, matrix: &mut Matrix) {
        let Self { daemon, lanes, .. } = self;
        let said = |pass: &Report, hung: &Hung| {
            let lock = hung.lock(home).display().to_string();
            pass.code("held_lock", &lock) == Some(WITHHELD)
        };
        until("every lock is reported", Facts::patience(seconds(360)), || {
            let last = daemon.passes().pop()?;
            lanes.iter().all(|hung| said(&last, hung)).then_some(())
        });
        let passes = daemon.stop();
        passes.iter().for_each(Report::assert_idle);
        let last = passes.last().expect("a pass");
        for hung in &lanes {
            let lock = hung.lock(home).display().to_string();
            let verdict = last.of("held_lock", &lock).expect("a word about each lock");
            lanes
                .iter()
                .for_each(|of| assert!(blocked(verdict).contains(&*of.key), "{verdict:#?}"));
            hung.stop(home, gateway, &verdict.reason);
            hung.assert_answers(home, gateway);
        }
        matrix.add(Row {
            fault: "three hung runs with their locks (#68823)",
            verdict: format!("`held_lock`: held, `{WITHHELD}`"),
            repair: "none; the user is told to send `/stop`".to_owned(),
            afterwards: "after `/stop` no lock is left; every lane answers".to_owned(),
            lost: "nothing",
        });
    }
}

/// What is done first names the oldest lock as the cause, and every lane that is blocked.
#[track_caller]
fn assert_names_the_cause(oldest: &str, lanes: &[Hung], passes: &[Report]) {
    let first = passes.iter().find_map(|pass| {
        pass.verdicts.iter().find(|v| v.policy == "held_lock" && v.decision == "act")
    });
    let first = first.expect("an act");
    assert_eq!(first.subject.id, oldest, "the oldest goes first");
    assert_eq!(first.evidence["root_cause"], oldest, "{first:#?}");
    for hung in lanes {
        assert!(blocked(first).contains(&*hung.key), "{}: {first:#?}", hung.key);
    }
    assert!(first.reason.text.contains("it is the oldest of"), "{first:#?}");
}

/// Every lane that it says is blocked, by whatever lock.
fn blocked(verdict: &Verdict) -> BTreeSet<&str> {
    let cascade = verdict.evidence["cascade"].as_array();
    cascade.into_iter().flatten().filter_map(|one| one["blocks"].as_str()).collect()
}
