//! What lives below a real process that stands for the gateway.

use std::time::Duration;

use super::*;
use crate::observe::process::family::Family;

/// Looks at what lives below `family`, `seconds` after the beginning.
fn look(stage: &Stage, agents: &mut Agents, family: &Family, seconds: i64) -> Vec<Child> {
    let mut table = Table::new(Path::new("/proc"));
    table.refresh(Captured::BOOTED_AT).unwrap();
    let gateway = table.get(family.lineage(&[]).root.pid).map(|process| process.id);
    let now = UnixMillis(NOW.0 + seconds * 1_000);
    stage.with_scene(now, |scene| {
        agents.look_at_children(&Scene { table: &table, gateway, ..*scene })
    })
}

fn idle(children: &[Child], pid: i32) -> Option<Duration> {
    children.iter().find(|child| child.id.pid == pid).and_then(|child| child.idle)
}

#[test]
fn a_child_that_sleeps_is_idle_and_one_that_starts_another_is_not() {
    let (stage, mut family) = (Stage::new(), Family::new());
    let mut agents = stage.agents();
    let sleeper = family.child();
    // Until it has become `sleep`, and that has settled down.
    let mut settles = |second: &i64| {
        let found = look(&stage, &mut agents, &family, *second);
        let child = found.iter().find(|child| child.id.pid == sleeper).expect("it lives");
        assert!(!child.is_agent);
        child.what == "sleep" && child.idle > Some(Duration::ZERO)
    };
    let second = (0..10_000).find(|second| settles(second)).expect("it falls asleep");
    let before = idle(&look(&stage, &mut agents, &family, second + 10), sleeper);
    let (parent, grandchild) = family.child_with_child();
    let found = look(&stage, &mut agents, &family, second + 20);
    assert_eq!(idle(&found, sleeper), before.map(|idle| idle + Duration::from_secs(10)));
    for pid in [parent, grandchild] {
        assert_eq!(idle(&found, pid), Some(Duration::ZERO), "{pid} is new");
    }
}

#[test]
fn children_that_come_and_go_meanwhile_are_told_or_left_out() {
    let (stage, mut family) = (Stage::new(), Family::new());
    let mut agents = stage.agents();
    let lasting = family.child();
    let churn = family.churn();
    for second in 0..50 {
        let found = look(&stage, &mut agents, &family, second);
        let pids: Vec<_> = found.iter().map(|child| child.id.pid).collect();
        assert!(pids.contains(&lasting) && pids.contains(&churn), "{pids:?}");
        assert!(found.iter().all(|child| !child.is_agent), "{found:?}");
    }
}
