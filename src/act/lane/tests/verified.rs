//! What is believed of a repair, and what is not.

use super::*;

#[test]
fn an_abort_names_the_run_and_is_done_when_gateway_and_disk_say_so() {
    let world = World::new(hung(), vec![hung(), hung(), ended()]);
    check(
        &world,
        &abort(),
        "done: the gateway says that it ended, and its lock is gone; the conversation is kept, \
         2 messages waited before and 0 now, 750ms after the call; the gateway answered aborted",
    );
    assert_eq!(world.calls(), [Call::Abort { key: KEY.into(), run: Some(run("r1")) }]);
}

#[test]
fn a_run_that_only_the_last_look_named_is_the_one_that_is_ended() {
    let world = World::new(hung(), vec![ended()]);
    let judged = LaneCall { run: None, ..abort() };
    assert!(line(perform(&world, &judged, |_| {})).starts_with("done"));
    assert_eq!(world.calls(), [Call::Abort { key: KEY.into(), run: Some(run("r1")) }]);

    let two = hung().but(|state| {
        state.live().runs.push(run("r2"));
        state.live().queued = Some(0);
    });
    let world = World::new(two, vec![ended()]);
    perform(&world, &judged, |_| {}).unwrap();
    assert_eq!(world.calls(), [Call::Abort { key: KEY.into(), run: None }]);
}

#[test]
fn on_2026_4_15_the_row_stays_running_for_ever_and_the_lock_tells() {
    let freed = hung_4_15().but(|state| state.sight.locks.clear());
    check(
        &World::new(hung_4_15(), vec![hung_4_15(), freed]),
        &abort_4_15(),
        "done: its lock is gone; the conversation is kept, 250ms after the call; the gateway \
         answered aborted",
    );
    check(
        &World::new(hung_4_15(), vec![hung_4_15()]),
        &abort_4_15(),
        "unverified: the gateway answered aborted; its lock is still there after 20s",
    );
}

#[test]
fn without_a_lock_the_row_alone_does_not_tell_that_a_run_of_2026_4_15_ended() {
    let lockless = hung_4_15().but(|state| state.sight.locks.clear());
    let mut world = World::new(lockless.clone(), vec![lockless]);
    world.judged.locks.clear();
    let judged = LaneCall { lock: None, ..abort_4_15() };
    let want = "unverified: the gateway answered aborted; its row still says running after 20s";
    check(&world, &judged, want);
}

#[test]
fn a_queued_message_may_begin_the_next_run_at_once() {
    let next = hung().but(|state| {
        state.live().started_at = Some(NOW);
        state.live().runs = vec![run("r2")];
        state.sight.locks = [(LOCK.into(), stamp(2))].into();
        state.sight.transcript = transcript(20);
    });
    let said = line(perform(&World::new(hung(), vec![next]), &abort(), |_| {}));
    assert!(said.starts_with("done: the next run has begun; the conversation is kept"), "{said}");
}

#[test]
fn ok_alone_proves_nothing() {
    let active = ended().but(|state| state.live().has_active_run = Some(true));
    let locked = ended().but(|state| state.sight.locks = hung().sight.locks);
    let gone = ended().but(|state| state.live = None);
    for (after, why) in [
        (hung(), "its lock is still there"),
        (locked, "its lock is still there"),
        (active, "the gateway still names it active"),
        (gone, "the gateway does not list the lane"),
    ] {
        let want = format!("unverified: the gateway answered aborted; {why} after 20s");
        check(&World::new(hung(), vec![after]), &abort(), &want);
    }
}

#[test]
fn has_active_run_that_was_false_before_proves_nothing_afterwards() {
    let uncovered = || {
        hung().but(|state| {
            state.live().has_active_run = Some(false);
            state.live().runs.clear();
            state.live().queued = Some(0);
        })
    };
    let unlocked = || uncovered().but(|state| state.sight.locks.clear());
    let judged = LaneCall { run: None, version: Version::new(2026, 5, 7), ..abort() };
    let said = line(perform(&World::new(uncovered(), vec![uncovered()]), &judged, |_| {}));
    assert!(said.starts_with("unverified"), "{said}");
    let said = line(perform(&World::new(uncovered(), vec![unlocked()]), &judged, |_| {}));
    assert!(said.starts_with("done: its lock is gone"), "{said}");
}

#[test]
fn no_active_run_although_alive_is_ineffective_and_not_waited_for_long() {
    let world = World::new(hung_4_15(), vec![hung_4_15()]).answering(no_run());
    let want = "unverified: the gateway answered no-active-run; its lock is still there after 3s";
    check(&world, &abort_4_15(), want);
    let freed = hung_4_15().but(|state| state.sight.locks.clear());
    let world = World::new(hung_4_15(), vec![freed]).answering(no_run());
    check(
        &world,
        &abort_4_15(),
        "already_gone: it ended by itself: its lock is gone; the conversation is kept",
    );
}

#[test]
fn a_call_without_an_answer_is_looked_at_and_never_repeated() {
    let unknown = || failed(RpcFault::Deaf, true);
    let world = World::new(hung(), vec![hung(), ended()]).answering(unknown());
    let said = line(perform(&world, &abort(), |_| {}));
    assert!(said.starts_with("done: the gateway says that it ended"), "{said}");
    assert!(said.ends_with("no answer came (deaf)"), "{said}");
    assert_eq!(world.calls().len(), 1);

    let world = World::new(hung(), vec![hung()]).answering(unknown());
    let want = "unverified: no answer came (deaf); its lock is still there after 20s";
    check(&world, &abort(), want);
    assert_eq!(world.calls().len(), 1);
}

#[test]
fn a_conversation_that_is_not_what_it_was_is_never_called_kept() {
    let lost = |change: fn(&mut State), want: &str| {
        let world = World::new(hung(), vec![ended().but(change)]);
        check(&world, &abort(), &format!("unverified: the gateway answered aborted, BUT {want}"));
    };
    lost(|state| state.live().session_id = Some("s2".into()), "its session id is `s2` now");
    lost(|state| state.live().session_id = None, "its session id is none now");
    lost(|state| state.sight.transcript = transcript(9), "its transcript shrank from 10 to 9");
    lost(|state| state.sight.transcript = Some(Transcript::Missing), "its transcript is gone");
}

#[test]
fn a_steer_is_done_when_the_next_run_has_begun_in_the_same_conversation() {
    let steered = hung_4_15().but(|state| {
        state.live().started_at = Some(NOW);
        state.sight.locks = [(LOCK.into(), stamp(2))].into();
    });
    let world = World::new(hung_4_15(), vec![hung_4_15(), steered]).answering(Ok(Reply::default()));
    let judged = LaneCall { rung: Rung::Steer, ..abort_4_15() };
    let said = line(perform(&world, &judged, |_| {}));
    assert!(said.starts_with("done: the next run has begun; the conversation is kept"), "{said}");
    assert!(matches!(&world.calls()[..], [Call::Steer { key, .. }] if key.0 == KEY));
}

/// As seen on 2026.4.15: the row tells the end of the old run with the time at which that began at
/// first, before its retry, and the new run has the lock.
#[test]
fn a_steered_run_may_be_told_to_have_begun_earlier_than_was_judged() {
    let told = hung_4_15().but(|state| {
        let live = state.live();
        (live.status, live.started_at) = (LaneStatus::Ended, Some(at(3_720)));
        state.sight.locks = [(LOCK.into(), stamp(2))].into();
    });
    let world = World::new(hung_4_15(), vec![told]).answering(Ok(Reply::default()));
    let judged = LaneCall { rung: Rung::Steer, ..abort_4_15() };
    let said = line(perform(&world, &judged, |_| {}));
    assert!(said.starts_with("done: the gateway says that it ended; the conversation"), "{said}");
}

/// As seen on 2026.4.15, whenever a model stays silent for 120 s.
#[test]
fn a_retry_of_the_same_run_is_not_its_end() {
    let anew = |started_at| {
        hung_4_15().but(|state| {
            state.live().started_at = Some(started_at);
            state.sight.locks = [(LOCK.into(), stamp(2))].into();
        })
    };
    // The lock is taken anew before the row says so.
    let retry = || vec![anew(at(3_600)), anew(NOW)];
    for (answer, said, after) in [
        (no_run(), "the gateway answered no-active-run", "3s"),
        (failed(RpcFault::Deaf, true), "no answer came (deaf)", "20s"),
    ] {
        let want =
            format!("unverified: {said}; it runs, perhaps as the same run anew after {after}");
        check(&World::new(hung_4_15(), retry()).answering(answer), &abort_4_15(), &want);
    }
}

#[test]
fn a_recovery_is_done_when_its_successor_is_listed() {
    let given_up = || {
        ended().but(|state| {
            state.live().is_tombstoned = true;
            state.sight.locks = hung().sight.locks;
        })
    };
    let successor: SessionKey = "agent:main:dashboard:1".into();
    let answer = || Ok(Reply { successor: Some(successor.clone()), ..Reply::default() });
    let recover = rung(Rung::Recover, (2026, 9, 6));
    let listed = given_up().but(|state| state.live().key = successor.clone());
    let said =
        line(perform(&World::new(given_up(), vec![listed]).answering(answer()), &recover, |_| {}));
    assert!(
        said.starts_with("done: the conversation goes on as `agent:main:dashboard:1`"),
        "{said}"
    );
    let world = World::new(given_up(), vec![given_up()]).answering(answer());
    let said = line(perform(&world, &recover, |_| {}));
    assert!(said.contains("its successor `agent:main:dashboard:1` is not listed"), "{said}");
}

/// A lane that was reset: nothing runs, and it has this session id.
fn reset_to(id: &str) -> State {
    ended().but(|state| {
        let live = state.live();
        (live.session_id, live.status) = (Some(id.into()), LaneStatus::Absent);
        live.started_at = None;
        state.sight.transcript = Some(Transcript::Missing);
    })
}

#[test]
fn a_reset_is_done_with_a_new_session_or_where_the_id_stays_with_a_cleared_status() {
    let of_7_1 = World::new(hung(), vec![reset_to("s2")]).answering(Ok(Reply::default()));
    let said = line(perform(&of_7_1, &rung(Rung::Reset, (2026, 7, 1)), |_| {}));
    assert!(said.starts_with("done: the conversation has begun anew"), "{said}");
    assert_eq!(
        of_7_1.calls(),
        [Call::Reset { key: KEY.into(), expected_session: Some("s1".into()) }]
    );
    let of_9_6 = World::new(hung(), vec![reset_to("s1")]).answering(Ok(Reply::default()));
    let said = line(perform(&of_9_6, &rung(Rung::New, (2026, 9, 6)), |_| {}));
    assert!(said.starts_with("done: the conversation has begun anew"), "{said}");
    assert_eq!(of_9_6.calls(), [Call::New { key: KEY.into() }]);
}

#[test]
fn up_to_2026_5_7_a_reset_is_believed_only_when_the_old_session_does_not_come_back() {
    let judged = LaneCall { rung: Rung::Reset, ..abort_4_15() };
    let perform = |after: Vec<State>| {
        let place = Place::new();
        // The archive of an earlier reset says nothing about this one.
        std::fs::write(place.path("s1.jsonl.reset.2026-11-19"), "x").unwrap();
        let archives = |step: Step| {
            if step == Step::Verify {
                std::fs::write(place.path("s1.jsonl.reset.2026-11-20"), "x").unwrap();
            }
        };
        let mut world = World::new(hung_4_15(), after).answering(Ok(Reply::default()));
        world.before.sight.file = Some(place.path("s1.jsonl"));
        line(super::perform(&world, &judged, |actuator| actuator.before = &archives))
    };
    let archive = "/s1.jsonl.reset.2026-11-20, its only copy";

    let lasting = perform(vec![reset_to("s2")]);
    assert!(lasting.starts_with("done: the conversation has begun anew"), "{lasting}");
    assert!(lasting.contains(archive) && lasting.contains("15s after the call"), "{lasting}");

    let written_back = perform(vec![reset_to("s2"), reset_to("s2"), reset_to("s1")]);
    assert!(written_back.starts_with("unverified"), "{written_back}");
    assert!(written_back.contains("has written the old session id back"), "{written_back}");
    assert!(written_back.contains(archive), "{written_back}");
}

#[test]
fn a_gateway_that_ends_meanwhile_or_somebody_who_waits_ends_the_look() {
    let world = World::new(hung(), vec![hung()]);
    let asked = Cell::new(0);
    let is_alive = |_: ProcessId| asked.replace(asked.get() + 1) < 3;
    let performed = perform(&world, &abort(), |actuator| actuator.is_alive = &is_alive);
    let want = "unverified: the gateway answered aborted; then the gateway has ended or restarted";
    assert_eq!(line(performed), want);

    let world = World::new(hung(), vec![hung()]);
    let hurry = || !world.calls().is_empty();
    let performed = perform(&world, &abort(), |actuator| actuator.hurry = &hurry);
    let want = "unverified: the gateway answered aborted; its lock is still there after 0ms";
    assert_eq!(line(performed), want);
}

/// As seen on 2026.9.6: its list names no run that is under way, and an abort without one cancels the
/// messages that wait.
#[test]
fn the_run_on_disk_is_named_where_the_list_names_none_so_that_nothing_that_waits_is_dropped() {
    let waiting = |queued, dropped| Some(Waiting { queued, dropped });
    let unnamed = || {
        hung().but(|state| {
            state.live().runs.clear();
            state.live().queued = None;
            state.sight.run = Some(run("r9"));
            state.sight.waiting = waiting(1, 1);
        })
    };
    let judged = LaneCall { run: None, queued: None, ..abort() };
    let next = unnamed().but(|state| {
        state.live().started_at = Some(NOW);
        state.sight.run = Some(run("r10"));
        state.sight.waiting = waiting(0, 1);
        state.sight.locks.clear();
    });
    let world = World::new(unnamed(), vec![next]);
    let said = line(perform(&world, &judged, |_| {}));
    assert!(said.contains("is kept, 1 messages waited before and 0 now"), "{said}");
    assert_eq!(world.calls(), [Call::Abort { key: KEY.into(), run: Some(run("r9")) }]);

    let dropped = ended().but(|state| state.sight.waiting = waiting(0, 2));
    check(
        &World::new(unnamed(), vec![dropped]),
        &judged,
        "unverified: the gateway answered aborted, BUT 1 messages that waited were dropped by the \
         gateway",
    );
}
