//! What is no longer what was judged.

use super::*;

#[test]
fn a_lane_that_has_moved_since_it_was_judged() {
    let changed = |change: fn(&mut State), want: &str| {
        left_alone(hung().but(change), &abort(), &format!("changed: {want}"));
    };
    changed(
        |state| state.live().session_id = Some("s2".into()),
        "the lane has another session id now",
    );
    changed(|state| state.live().session_id = None, "the lane has another session id now");
    changed(|state| state.live().started_at = Some(at(1)), "another run has begun");
    changed(|state| state.live().started_at = None, "another run has begun");
    changed(|state| state.live().runs = vec![run("r2")], "another run is active");
    changed(|state| state.live().last_step_at = Some(NOW), "its run has made a step");
    changed(|state| state.sight.transcript = transcript(11), "the transcript has been written");
    changed(
        |state| {
            let modified_at = at(2_999);
            state.sight.transcript = Some(Transcript::Present { bytes: 10, modified_at });
        },
        "the transcript has been written",
    );
    changed(
        |state| state.sight.transcript = Some(Transcript::Unreadable),
        "the transcript has been written",
    );
    changed(|state| state.sight.trajectory = transcript(1), "the trajectory has been written");
    changed(
        |state| state.sight.locks = [(LOCK.into(), stamp(2))].into(),
        "its lock was taken anew, or another one is there",
    );
    changed(
        |state| drop(state.sight.locks.insert("/s/s1-topic-1.jsonl.lock".into(), stamp(3))),
        "its lock was taken anew, or another one is there",
    );
    changed(
        |state| state.newcomer = Some(ProcessId { pid: 9, start_ticks: 8 }),
        "pid 9 (started at tick 8) was started below the gateway meanwhile",
    );
}

#[test]
fn a_lane_whose_run_is_over() {
    let gone = |change: fn(&mut State), want: &str| {
        left_alone(hung().but(change), &abort(), &format!("already_gone: {want}"));
    };
    gone(|state| state.live = None, "the gateway does not list the lane any more");
    gone(
        |state| {
            state.live().status = LaneStatus::Ended;
            state.live().has_active_run = Some(false);
        },
        "its run has ended",
    );
    gone(
        |state| {
            state.live().has_active_run = Some(false);
            state.live().runs.clear();
        },
        "its run has ended",
    );
    gone(|state| state.sight.locks.clear(), "its lock s1.jsonl.lock is gone");
    let of_4_15 = hung_4_15().but(|state| state.live().status = LaneStatus::Ended);
    left_alone(of_4_15, &abort_4_15(), "already_gone: its run has ended");
}

#[test]
fn a_session_that_is_not_given_up_is_not_recovered() {
    let want = "changed: the session is not given up";
    left_alone(hung(), &rung(Rung::Recover, (2026, 9, 6)), want);
}

#[test]
fn a_transcript_that_was_not_judged_counts_as_written_if_it_is_newer() {
    for (modified_at, want) in
        [(at(1), "would_do"), (NOW, "changed: the transcript has been written")]
    {
        let written = Some(Transcript::Present { bytes: 1, modified_at });
        let state = hung().but(|state| state.sight.transcript = written);
        let mut world = World::new(state, Vec::new());
        (world.judged.transcript, world.judged.trajectory) = (None, None);
        let performed = perform(&world, &abort(), |actuator| actuator.reach = Reach::DryRun);
        assert_eq!(line(performed), want);
    }
}

#[test]
fn a_lane_of_a_gateway_that_has_ended_cannot_be_asked_or_cannot_be_seen() {
    let world = World::new(hung(), Vec::new());
    let performed = perform(&world, &abort(), |actuator| actuator.is_alive = &|_| false);
    assert_eq!(line(performed), "changed: the gateway has ended or restarted");

    #[derive(Debug)]
    struct Deaf;
    impl Speak for Deaf {
        fn lanes(&self, _: ProcessId, _: &dyn Fn() -> bool) -> Result<Vec<LiveLane>, RpcFailure> {
            Err(RpcFailure { fault: RpcFault::Deaf, text: "it says nothing".to_owned() })
        }
        fn call(
            &self,
            _: ProcessId,
            call: &Call,
            _: &dyn Fn() -> bool,
        ) -> Result<Reply, CallError> {
            panic!("{call:?} is said to a gateway that does not answer")
        }
    }
    let performed = perform(&world, &abort(), |actuator| actuator.speak = Some(&Deaf));
    assert_eq!(line(performed), "changed: the gateway could not be asked again: it says nothing");

    let performed = perform(&world, &abort(), |actuator| actuator.lanes = &NoLaneCensus);
    assert_eq!(line(performed), "changed: nobody looks at lanes here");
    assert_eq!(world.calls(), []);
}

#[test]
fn what_moves_while_the_manifest_is_written_is_seen_right_before_the_call() {
    let world = World { written_at_look: Some(2), ..World::new(hung(), Vec::new()) };
    check(&world, &abort(), "changed: the transcript has been written");
    assert_eq!(world.calls(), []);
}

#[test]
fn a_lane_with_messages_that_an_abort_would_drop() {
    let want = "changed: 1 messages wait, and an abort that cannot name its run would drop them";
    let unnamed = || hung().but(|state| state.live().runs.clear());
    let judged = LaneCall { run: None, queued: None, ..abort() };
    let told = unnamed().but(|state| state.live().queued = Some(1));
    left_alone(told, &judged, want);
    let on_disk = unnamed().but(|state| {
        state.live().queued = Some(0);
        state.sight.waiting = Some(Waiting { queued: 1, dropped: 0 });
    });
    left_alone(on_disk, &judged, want);
    let untold = unnamed().but(|state| state.live().queued = None);
    left_alone(untold.clone(), &LaneCall { queued: Some(1), ..judged.clone() }, want);
    // There it runs next.
    let of_4_15 = LaneCall { queued: Some(1), version: Version::new(2026, 4, 15), ..judged };
    let world = World::new(untold, vec![ended()]);
    assert!(line(perform(&world, &of_4_15, |_| {})).starts_with("done"));
}

#[test]
fn a_run_without_a_start_is_the_judged_one_while_its_session_is_active() {
    let judged = LaneCall { started_at: None, run: None, ..abort() };
    let hung =
        || hung().but(|state| (state.live().started_at, state.live().queued) = (None, Some(0)));
    let world = World::new(hung(), Vec::new());
    let performed = perform(&world, &judged, |actuator| actuator.reach = Reach::DryRun);
    assert_eq!(line(performed), "would_do");
    let changed =
        |change: fn(&mut State), want: &str| left_alone(hung().but(change), &judged, want);
    changed(|state| state.live().started_at = Some(at(9)), "changed: another run has begun");
    for active in [Some(false), None] {
        let over = hung().but(|state| state.live().has_active_run = active);
        left_alone(over, &judged, "already_gone: its run has ended");
    }
    changed(
        |state| state.live().session_id = Some("s2".into()),
        "changed: the lane has another session id now",
    );
}

#[test]
fn a_lane_whose_waiting_messages_an_abort_drops_on_its_version() {
    let want = "changed: messages may wait, and on this version an abort would drop them";
    let judged = LaneCall { queued: Some(0), ..rung(Rung::Abort, (2026, 7, 1)) };
    for queued in [None, Some(1)] {
        left_alone(hung().but(|state| state.live().queued = queued), &judged, want);
    }
    let world = World::new(hung().but(|state| state.live().queued = Some(0)), Vec::new());
    let performed = perform(&world, &judged, |actuator| actuator.reach = Reach::DryRun);
    assert_eq!(line(performed), "would_do");
}

#[test]
fn a_lane_whose_turn_comes_after_a_stop_was_asked_for() {
    let world = World::new(hung(), Vec::new());
    let performed = perform(&world, &abort(), |actuator| actuator.hurry = &|| true);
    assert_eq!(line(performed), "changed: nothing was said to it: a stop was asked for");
    assert_eq!(world.calls(), []);
}

#[test]
fn a_run_that_another_lane_names_too() {
    #[derive(Debug)]
    struct Two(World, RefCell<u32>);
    impl Speak for Two {
        fn lanes(
            &self,
            process: ProcessId,
            _: &dyn Fn() -> bool,
        ) -> Result<Vec<LiveLane>, RpcFailure> {
            let mut lanes = self.0.lanes(process, &|| false)?;
            lanes.push(LiveLane { key: "agent:main:other".into(), ..lanes[0].clone() });
            Ok(lanes)
        }
        fn call(&self, _: ProcessId, _: &Call, _: &dyn Fn() -> bool) -> Result<Reply, CallError> {
            *self.1.borrow_mut() += 1;
            aborted()
        }
    }
    let two = Two(World::new(hung(), Vec::new()), RefCell::new(0));
    for judged in [abort(), LaneCall { run: None, ..abort() }] {
        let performed = perform(&two.0, &judged, |actuator| actuator.speak = Some(&two));
        assert_eq!(line(performed), "changed: another lane names the same run");
    }
    assert_eq!(*two.1.borrow(), 0);
}

#[test]
fn a_lane_in_which_another_run_is_under_way_on_disk() {
    let other = hung().but(|state| state.sight.run = Some(run("r2")));
    left_alone(other, &abort(), "changed: another run is active");
}
