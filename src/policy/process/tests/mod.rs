//! What is ended, what is left alone, and why.

mod orphan;
mod others;
mod property;

use super::sample::{orphan, world};
use crate::model::sample::{self as model_sample, GRACE};
use crate::model::{Action, Agent, Decision, Guard, Snapshot, TreeEnd, Verdict};
use crate::policy::Context;
use crate::policy::settings::{Policies, sample};

fn judge_with(world: &Snapshot, policies: &Policies) -> Vec<Verdict> {
    let history = model_sample::history();
    let context =
        Context { snapshot: world, history: &history, explains_healthy: true, start_grace: GRACE };
    super::evaluate(context, policies)
}

fn lines(verdicts: &[Verdict]) -> Vec<String> {
    let line = |verdict: &Verdict| {
        let suspect = if verdict.suspect { "" } else { "healthy " };
        let (decision, code) = (verdict.decision.name(), verdict.decision.code());
        format!("{} {suspect}{decision} {code}", verdict.policy)
    };
    verdicts.iter().map(line).collect()
}

#[track_caller]
fn check(agent: Agent, want: &str) {
    check_in(agent, |_| {}, want);
}

#[track_caller]
fn check_in(agent: Agent, change: impl Fn(&mut Snapshot), want: &str) {
    let mut world = world(agent);
    change(&mut world);
    let found = lines(&judge_with(&world, &sample()));
    assert_eq!(found.first().map(String::as_str), Some(want), "{found:?}");
}

fn with(change: impl FnOnce(&mut Agent)) -> Agent {
    let mut agent = orphan();
    change(&mut agent);
    agent
}

fn guarded(place: usize, guard: Guard) -> Agent {
    with(|agent| agent.tree[place].guards.push(guard))
}

fn end_of(verdict: &Verdict) -> &TreeEnd {
    match &verdict.decision {
        Decision::Act(Action::EndTree(end), _) | Decision::Observe(Action::EndTree(end), _) => end,
        other => panic!("{other:?}"),
    }
}
