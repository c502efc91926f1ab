//! Which verdicts may be carried out now.
//!
//! Pure. Every veto is a reason in the verdict, never a silent skip. The order of what goes in
//! does not change what comes out.

mod remember;
pub mod settings;

pub use remember::{acted, remember};

use std::time::Duration;

use crate::model::{
    Action, Decision, History, HoldReason, Looks, Policy, ProcessId, SubjectKind, UnixMillis,
    Verdict,
};

use settings::{Confirm, Limits};

/// Returns all verdicts, in the order in which they are to be carried out, each `act` that may
/// not be carried out now turned into a hold.
#[must_use]
pub fn plan(
    mut verdicts: Vec<Verdict>,
    history: &History,
    limits: Limits,
    confirm: Confirm,
    now: UnixMillis,
) -> Vec<Verdict> {
    verdicts.sort_by(|a, b| order(a).cmp(&order(b)));
    let mut budget = Budget::new(history, limits, now);
    for verdict in &mut verdicts {
        // What is only written down touches nothing: neither a pause nor a budget holds it.
        if verdict.is_record() || !matches!(verdict.decision, Decision::Act(..)) {
            continue;
        }
        let veto = veto(verdict, history, limits, confirm, now);
        if let Err(why) = veto.and_then(|()| budget.spend()) {
            verdict.decision = Decision::Hold(why);
        }
    }
    verdicts
}

/// Locks before lanes: a lane whose lock is released now is judged without it next time. Processes
/// by their pids.
fn order(verdict: &Verdict) -> (usize, Option<ProcessId>, &str, &str) {
    let rank = Policy::ALL.iter().position(|policy| *policy == verdict.policy);
    let process = ProcessId::from_subject_id(&verdict.subject.id)
        .filter(|_| verdict.subject.kind == SubjectKind::Process);
    (rank.unwrap_or(usize::MAX), process, &verdict.subject.id, &verdict.incarnation)
}

fn veto(
    verdict: &Verdict,
    history: &History,
    limits: Limits,
    confirm: Confirm,
    now: UnixMillis,
) -> Result<(), HoldReason> {
    let Decision::Act(_, proof) = &verdict.decision else { return Ok(()) };
    if let Some(until) = history.controls.paused_at(now) {
        return Err(HoldReason::Paused { until });
    }
    let protected = history.controls.protects(&verdict.subject.id, now);
    if let Some(until) = protected.or_else(|| protected_member(verdict, history, now)) {
        return Err(HoldReason::Protected { until });
    }
    let seen = history.subjects.get(&(verdict.policy, verdict.subject.clone()));
    if let Some(seen) = seen {
        let same = seen.acted_incarnation.as_deref() == Some(&verdict.incarnation);
        if same && seen.ineffective >= limits.give_up_after {
            return Err(HoldReason::GaveUp { tries: seen.ineffective });
        }
        let left = seen.last_acted.map(|at| left(limits.cooldown, at, now)).unwrap_or_default();
        if !left.is_zero() {
            return Err(HoldReason::CoolingDown { left });
        }
    }
    let needed = match verdict.looks {
        Looks::One => 1,
        Looks::Confirmed => confirm.looks,
        Looks::AtLeast(looks) => looks.max(confirm.looks),
    };
    if needed > 1 {
        let same = seen.filter(|seen| seen.incarnation == verdict.incarnation);
        let looks = same.map_or(0, |seen| {
            let counts = now.since(seen.last_look) >= confirm.gap;
            seen.looks + u32::from(counts)
        });
        let looks = looks.max(1);
        if looks < needed {
            return Err(HoldReason::NotConfirmed { proof: proof.clone(), looks, needed });
        }
    }
    Ok(())
}

/// A protection of one process holds for the whole tree it is part of.
fn protected_member(verdict: &Verdict, history: &History, now: UnixMillis) -> Option<UnixMillis> {
    let Decision::Act(Action::EndTree(end), _) = &verdict.decision else { return None };
    let until = |id: &ProcessId| history.controls.protects(&id.subject_id(), now);
    end.members.iter().filter_map(until).max()
}

/// An action in the future means that the clock was set back: the whole pause counts.
fn left(pause: Duration, since: UnixMillis, now: UnixMillis) -> Duration {
    pause.saturating_sub(now.since(since))
}

struct Budget {
    pass: u32,
    hour: u32,
    limits: Limits,
}

impl Budget {
    fn new(history: &History, limits: Limits, now: UnixMillis) -> Budget {
        let hour_ago = now.minus(Duration::from_secs(3600));
        let acted = history.acted_at.iter().filter(|at| **at > hour_ago).count();
        Budget { pass: 0, hour: u32::try_from(acted).unwrap_or(u32::MAX), limits }
    }

    fn spend(&mut self) -> Result<(), HoldReason> {
        if self.pass >= self.limits.actions_per_pass {
            return Err(HoldReason::PassBudget { limit: self.limits.actions_per_pass });
        }
        if self.hour >= self.limits.actions_per_hour {
            return Err(HoldReason::HourBudget { limit: self.limits.actions_per_hour });
        }
        self.pass += 1;
        self.hour += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::model::sample::{GATEWAY, NOW, ago};
    use crate::model::{
        ActReason, Action, Evidence, LockStamp, Outcome, Protection, Subject, SubjectHistory,
    };

    const LIMITS: Limits = Limits {
        actions_per_pass: 5,
        actions_per_hour: 30,
        cooldown: Duration::from_secs(900),
        give_up_after: 3,
    };
    const CONFIRM: Confirm = Confirm { looks: 2, gap: Duration::from_secs(10) };

    fn act(id: &str) -> Verdict {
        let action = Action::ReleaseLock {
            path: id.into(),
            holder_pid: 7,
            expected: LockStamp { dev: 1, ino: 2, bytes: Vec::new() },
            gateway: GATEWAY,
        };
        Verdict {
            policy: Policy::DeadLock,
            subject: Subject { kind: SubjectKind::Lock, id: id.to_owned() },
            incarnation: "1".to_owned(),
            suspect: true,
            looks: Looks::One,
            decision: Decision::Act(action, ActReason::HolderDead { pid: 7 }),
            evidence: Evidence::new(),
        }
    }

    fn line(verdict: &Verdict) -> String {
        format!("{} {}", verdict.decision.name(), verdict.decision.code())
    }

    fn planned(verdicts: Vec<Verdict>, history: &History) -> Vec<String> {
        plan(verdicts, history, LIMITS, CONFIRM, NOW).iter().map(line).collect()
    }

    #[track_caller]
    fn check(verdict: Verdict, history: &History, want: &str) {
        assert_eq!(planned(vec![verdict], history), [want]);
    }

    fn seen(change: impl FnOnce(&mut SubjectHistory)) -> History {
        let mut seen = SubjectHistory {
            incarnation: "1".to_owned(),
            first_seen: ago(60),
            last_seen: ago(30),
            looks: 1,
            last_look: ago(60),
            last_acted: None,
            acted_incarnation: None,
            ineffective: 0,
        };
        change(&mut seen);
        let verdict = act("a");
        History {
            subjects: [((verdict.policy, verdict.subject), seen)].into(),
            ..History::default()
        }
    }

    #[test]
    fn what_the_user_paused_or_protects_is_left_alone_until_then() {
        let paused = |until| {
            let mut history = History::default();
            history.controls.paused = Some((until, "moving house".to_owned()));
            history
        };
        check(act("a"), &paused(NOW.plus(Duration::from_millis(1))), "hold paused");
        check(act("a"), &paused(NOW), "act holder_dead");

        let mut history = History::default();
        let until = NOW.plus(Duration::from_secs(1));
        history.controls.protected = vec![Protection { id: "a".to_owned(), until }];
        check(act("a"), &history, "hold protected");
        check(act("b"), &history, "act holder_dead");
    }

    #[test]
    fn what_is_only_written_down_is_held_by_nothing_and_costs_nothing() {
        let record = |id: &str| {
            let decision = Decision::Act(Action::Record(Vec::new()), ActReason::BackingSeen);
            Verdict { policy: Policy::Tombstone, decision, ..act(id) }
        };
        let mut history = History { acted_at: vec![NOW; 30], ..History::default() };
        history.controls.paused = Some((NOW.plus(Duration::from_secs(9)), String::new()));
        let until = NOW.plus(Duration::from_secs(1));
        history.controls.protected = vec![Protection { id: "a".to_owned(), until }];
        check(record("a"), &history, "act backing_seen");

        let mut verdicts: Vec<_> = (0..100).map(|n| record(&n.to_string())).collect();
        verdicts.push(act("z"));
        let planned = planned(verdicts.clone(), &History::default());
        assert_eq!(planned.last().unwrap(), "act holder_dead", "after all that is written down");
        let after = remember(History::default(), &verdicts, LIMITS, CONFIRM, NOW);
        assert_eq!(after.subjects.len(), 1);
    }

    #[test]
    fn a_subject_cools_down_whatever_it_has_become() {
        let acted = |at| seen(|seen| seen.last_acted = Some(at));
        check(act("a"), &acted(ago(899)), "hold cooling_down");
        check(act("a"), &acted(ago(900)), "act holder_dead");
        check(act("a"), &acted(NOW.plus(Duration::from_secs(9))), "hold cooling_down");
        let other = Verdict { incarnation: "2".to_owned(), ..act("a") };
        check(other, &acted(ago(899)), "hold cooling_down");
    }

    #[test]
    fn repairs_that_do_not_last_end() {
        let tried = |times| {
            seen(|seen| {
                seen.acted_incarnation = Some("1".to_owned());
                seen.ineffective = times;
            })
        };
        check(act("a"), &tried(2), "act holder_dead");
        check(act("a"), &tried(3), "hold gave_up");
        let anew = Verdict { incarnation: "2".to_owned(), ..act("a") };
        check(anew, &tried(3), "act holder_dead");
    }

    #[test]
    fn a_doubtful_proof_needs_a_second_look_far_enough_apart() {
        let doubtful = || Verdict { looks: Looks::Confirmed, ..act("a") };
        check(doubtful(), &History::default(), "hold not_confirmed");
        check(doubtful(), &seen(|seen| seen.last_look = ago(9)), "hold not_confirmed");
        check(doubtful(), &seen(|seen| seen.last_look = ago(10)), "act holder_dead");
        let other = Verdict { incarnation: "2".to_owned(), ..doubtful() };
        check(other, &seen(|_| {}), "hold not_confirmed");
    }

    #[test]
    fn no_pass_and_no_hour_exceeds_its_budget() {
        let ids = ["g", "f", "e", "d", "c", "b", "a"];
        let planned_now = planned(ids.map(act).to_vec(), &History::default());
        let held = vec!["hold pass_budget"; 2];
        assert_eq!(planned_now, [vec!["act holder_dead"; 5], held].concat());

        let mut history = History { acted_at: vec![ago(3_599); 29], ..History::default() };
        let planned_then = planned(ids.map(act).to_vec(), &history);
        assert_eq!(planned_then[..2], ["act holder_dead", "hold hour_budget"]);
        history.acted_at = vec![ago(3_600); 30];
        assert_eq!(planned(vec![act("a")], &history), ["act holder_dead"]);
    }

    #[test]
    fn looks_are_counted_only_when_far_enough_apart() {
        let first = remember(History::default(), &[act("a")], LIMITS, CONFIRM, ago(60));
        let burst = remember(first, &[act("a")], LIMITS, CONFIRM, ago(59));
        let later = remember(burst.clone(), &[act("a")], LIMITS, CONFIRM, ago(49));
        let looks = |history: &History| history.subjects.values().next().unwrap().looks;
        assert_eq!((looks(&burst), looks(&later)), (1, 2));
        let other = Verdict { incarnation: "2".to_owned(), ..act("a") };
        let anew = remember(later, &[other], LIMITS, CONFIRM, NOW);
        let seen = anew.subjects.values().next().unwrap();
        assert_eq!((seen.looks, seen.first_seen), (1, NOW));
    }

    #[test]
    fn what_is_the_matter_with_the_gateway_is_remembered_before_it_is_said() {
        let passing = |policy| Verdict { policy, suspect: false, ..act("a") };
        let count = |policy| {
            let verdicts = [passing(policy)];
            remember(History::default(), &verdicts, LIMITS, CONFIRM, NOW).subjects.len()
        };
        assert_eq!((count(Policy::GatewayHealth), count(Policy::DeadLock)), (1, 0));
    }

    #[test]
    fn what_is_healthy_is_forgotten_unless_it_was_repaired_within_a_day() {
        let history = seen(|seen| seen.last_acted = Some(ago(86_399)));
        assert_eq!(remember(history, &[], LIMITS, CONFIRM, NOW).subjects.len(), 1);
        let history = seen(|seen| seen.last_acted = Some(ago(86_400)));
        assert_eq!(remember(history, &[], LIMITS, CONFIRM, NOW).subjects.len(), 0);
    }

    #[test]
    fn a_repair_is_ineffective_when_its_subject_is_back_unchanged() {
        let tries = |outcomes: &[Outcome]| {
            let mut history = seen(|_| {});
            for outcome in outcomes {
                history = acted(history, &act("a"), *outcome, NOW);
            }
            history.subjects.values().next().unwrap().ineffective
        };
        assert_eq!(tries(&[Outcome::Done]), 0);
        assert_eq!(tries(&[Outcome::Done, Outcome::Done]), 1);
        assert_eq!(tries(&[Outcome::Unverified]), 1);
        assert_eq!(tries(&[Outcome::Failed, Outcome::Failed, Outcome::Failed]), 3);
        assert_eq!(tries(&[Outcome::Changed, Outcome::AlreadyGone]), 0);
    }

    proptest! {
        #[test]
        fn the_order_of_verdicts_does_not_change_the_plan(
            ids in proptest::collection::btree_set("[a-z]{1,3}", 0..20), seed in any::<u64>()
        ) {
            let sorted: Vec<_> = ids.iter().map(|id| act(id)).collect();
            let mut shuffled = sorted.clone();
            let mut state = seed;
            for i in (1..shuffled.len()).rev() {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                shuffled.swap(i, (state >> 33) as usize % (i + 1));
            }
            let history = History { acted_at: vec![ago(10); 27], ..History::default() };
            let plan = |verdicts| plan(verdicts, &history, LIMITS, CONFIRM, NOW);
            let planned = plan(sorted);
            prop_assert_eq!(&planned, &plan(shuffled));
            let acts = planned.iter().filter(|v| matches!(v.decision, Decision::Act(..))).count();
            prop_assert!(acts <= 3, "the hour has room for three");
        }
    }
}
