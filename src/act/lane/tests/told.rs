//! What is said into the chat.

use super::*;

const LINE: &str = "stopped a run that made no progress";

fn telling(key: &str) -> LaneCall {
    LaneCall { key: key.into(), tell: Some(LINE.to_owned()), ..abort() }
}

fn of(key: &str, state: State) -> State {
    state.but(|state| state.live().key = key.into())
}

#[track_caller]
fn check(world: &World, call: &LaneCall, want: &str, calls: usize) {
    let said = line(perform(world, call, |_| {}));
    assert!(said.starts_with("done: ") && said.ends_with(want), "{said}");
    assert_eq!(world.calls().len(), calls, "{said}");
}

#[test]
fn after_a_verified_repair_the_chat_is_told_once() {
    let world = World::new(hung(), vec![ended()]);
    check(&world, &telling(KEY), "; the chat was told", 2);
    assert_eq!(world.calls()[1], Call::Tell { key: KEY.into(), text: LINE.to_owned() });
}

#[test]
fn a_row_that_stays_running_on_2026_4_15_does_not_keep_the_chat_from_being_told() {
    let freed = hung_4_15().but(|state| state.sight.locks.clear());
    let call = LaneCall { tell: Some(LINE.to_owned()), ..abort_4_15() };
    check(&World::new(hung_4_15(), vec![freed]), &call, "; the chat was told", 2);
}

#[test]
fn nobody_is_told_unless_the_user_wants_it_and_the_repair_is_verified() {
    let world = World::new(hung(), vec![ended()]);
    check(&world, &abort(), "the gateway answered aborted", 1);
    let world = World::new(hung(), vec![hung()]);
    assert!(line(perform(&world, &telling(KEY), |_| {})).starts_with("unverified"));
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn nobody_reads_the_lane_of_a_cron_job_a_subagent_or_an_acp_session() {
    for kind in ["cron", "subagent", "acp"] {
        let key = format!("agent:main:{kind}:1");
        let world = World::new(of(&key, hung()), vec![of(&key, ended())]);
        check(&world, &telling(&key), "; the chat was not told: nobody reads this lane", 1);
    }
}

#[test]
fn a_chat_whose_next_run_has_begun_is_left_alone() {
    let want = "; the chat was not told: its next run has begun, or is about to";
    let next = |change: fn(&mut State)| vec![ended(), ended().but(change)];
    let world = World::new(hung(), next(|state| state.live().has_active_run = Some(true)));
    check(&world, &telling(KEY), want, 1);
    let world = World::new(hung(), next(|state| state.live().runs = vec![run("r2")]));
    check(&world, &telling(KEY), want, 1);
    let world =
        World::new(hung(), next(|state| drop(state.sight.locks.insert(LOCK.into(), stamp(2)))));
    check(&world, &telling(KEY), want, 1);
    let waits = next(|state| state.sight.waiting = Some(Waiting { queued: 1, dropped: 0 }));
    check(&World::new(hung(), waits), &telling(KEY), want, 1);
    let begun = next(|state| {
        state.live().status = LaneStatus::Running;
        state.live().started_at = Some(NOW);
    });
    check(&World::new(hung(), begun), &telling(KEY), want, 1);
}

#[test]
fn a_chat_that_cannot_be_told_does_not_undo_the_repair() {
    let told = failed(RpcFault::MissingScope, false);
    let world = World { told, ..World::new(hung(), vec![ended()]) };
    check(&world, &telling(KEY), "; the chat was not told: missing_scope", 2);
}
