//! A healthy gateway first, then one thing at a time.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::sample::{self, GATEWAY, GRACE, NOW, ago};
use crate::model::{
    Answers, EventLoop, Gap, History, LogSign, Lost, Mode, ProcessId, Rpc, RpcFailure, RpcFault,
    Snapshot, Status, Version,
};

const RULE: GatewayHealth =
    GatewayHealth { mode: Mode::Observe, after: Duration::from_secs(120), starts: 3, zombies: 50 };
const LIFE: &str = "4711@100000";

/// A gateway that answers, with everything just below its limit.
fn healthy() -> Snapshot {
    let mut snapshot = sample::snapshot();
    snapshot.rpc = answered(true, 199, 999);
    let vitals = &mut snapshot.vitals;
    vitals.state = Some('S');
    vitals.zombies = 50;
    vitals.starts = vec![ago(3_000), ago(901), ago(900), ago(800), ago(700), ago(1)];
    vitals.memory_lows = vec![500 << 20, 700 << 20, 600 << 20, 650 << 20];
    snapshot
}

fn answered(is_degraded: bool, p99_ms: u64, max_ms: u64) -> Rpc {
    let event_loop = EventLoop {
        is_degraded,
        delay_p99: Duration::from_millis(p99_ms),
        delay_max: Duration::from_millis(max_ms),
    };
    Rpc::Answered(Box::new(Answers {
        version: Some(Version::new(2026, 4, 15)),
        protocol: 3,
        boot_id: None,
        state_dir: None,
        lanes: Vec::new().into(),
        is_complete: true,
        took: Duration::ZERO,
        event_loop: Some(event_loop),
        lost: Lost::default(),
    }))
}

fn failed(fault: RpcFault) -> Rpc {
    Rpc::Failed(RpcFailure { fault, text: "in words".to_owned() })
}

/// What was seen of one condition: first, last, and in how many looks.
fn seen(id: &str, incarnation: &str, first_s: u64, last_s: u64, looks: u32) -> History {
    let seen = SubjectHistory {
        incarnation: incarnation.to_owned(),
        first_seen: ago(first_s),
        last_seen: ago(last_s),
        looks,
        last_look: ago(last_s),
        last_acted: None,
        acted_incarnation: None,
        ineffective: 0,
    };
    let subjects = [((Policy::GatewayHealth, subject(id)), seen)].into();
    History { subjects, ..sample::history() }
}

fn judged(snapshot: &Snapshot, history: &History, explains_healthy: bool) -> Vec<Verdict> {
    let context = Context { snapshot, history, explains_healthy, start_grace: GRACE };
    evaluate(context, RULE)
}

#[track_caller]
fn check(snapshot: &Snapshot, history: &History, want: &[&str]) {
    let line = |verdict: &Verdict| {
        assert!(matches!(verdict.decision, Decision::Hold(_)), "{verdict:?}");
        let mark = if verdict.suspect { "!" } else { "-" };
        format!("{mark} {} {}", verdict.subject.id, verdict.decision.code())
    };
    let lines: Vec<_> = judged(snapshot, history, false).iter().map(line).collect();
    assert_eq!(lines, want);
}

fn with(change: impl FnOnce(&mut Snapshot)) -> Snapshot {
    let mut snapshot = healthy();
    change(&mut snapshot);
    snapshot
}

fn down() -> Snapshot {
    with(|snapshot| {
        snapshot.gateway.status = Status::Down;
        snapshot.gateway.why = "no live lock".to_owned();
        snapshot.gateway.process = None;
        snapshot.rpc = failed(RpcFault::Refused);
    })
}

fn deaf() -> Snapshot {
    with(|snapshot| snapshot.rpc = failed(RpcFault::Deaf))
}

#[test]
fn a_healthy_gateway_is_not_mentioned() {
    check(&healthy(), &sample::history(), &[]);
    assert_eq!(judged(&healthy(), &sample::history(), true), []);
}

fn losing(times: u32, ago_s: Option<u64>) -> Snapshot {
    with(|snapshot| {
        let Rpc::Answered(answers) = &mut snapshot.rpc else { panic!() };
        answers.lost = Lost { times, last: ago_s.map(ago) };
    })
}

#[test]
fn a_gateway_that_keeps_losing_events_is_said_to_and_one_loss_is_not() {
    let events = |last, looks| seen("events", LIFE, last + 121, last, looks);
    check(&losing(0, None), &sample::history(), &[]);
    check(&losing(1, Some(300)), &events(30, 9), &[]);
    check(&losing(1, Some(1)), &sample::history(), &["- events not_for_long"]);
    check(&losing(9, Some(1)), &events(30, 1), &["- events not_for_long"]);
    check(&losing(9, Some(299)), &events(30, 2), &["! events loses_events"]);
    let verdicts = judged(&losing(9, Some(1)), &events(30, 2), false);
    let evidence = &verdicts[0].evidence.0;
    assert!(evidence["next"].as_str().unwrap().contains("restart it"), "{evidence:?}");
    assert_eq!(evidence["lost_times"], 9);
}

#[test]
fn a_gateway_that_restarts_in_time_was_never_down() {
    check(&down(), &sample::history(), &["- down not_for_long"]);
    check(&down(), &seen("down", "", 119, 30, 4), &["- down not_for_long"]);
    check(&down(), &seen("down", "", 120, 30, 4), &["! down is_down"]);
    let starting = with(|snapshot| snapshot.gateway.status = Status::Starting);
    check(&starting, &seen("down", "", 600, 30, 9), &[]);
}

#[test]
fn what_has_not_lasted_is_remembered_and_not_reported() {
    let verdict = judged(&down(), &sample::history(), false).remove(0);
    assert!(verdict.is_noted() && !verdict.suspect);
}

#[test]
fn an_incident_has_its_begin_its_length_and_what_helps() {
    let mut snapshot = down();
    let verdict = judged(&snapshot, &seen("down", "", 300, 30, 9), false).remove(0);
    let text = |verdict: &Verdict, name: &str| verdict.evidence.0[name].to_string();
    assert_eq!(verdict.decision.text(), format!("down since {}: no live lock", ago(300)));
    assert_eq!(text(&verdict, "lasted_s"), "300");
    assert!(text(&verdict, "next").contains("the way it is always started"));
    snapshot.vitals.restart_command = Some("systemctl --user restart x".to_owned());
    let verdict = judged(&snapshot, &seen("down", "", 300, 30, 9), false).remove(0);
    assert!(text(&verdict, "next").ends_with(": systemctl --user restart x\""));
}

#[test]
fn a_gateway_that_cannot_be_told_is_not_called_down() {
    let unknown = with(|snapshot| {
        snapshot.gateway.status = Status::Unknown;
        snapshot.gateway.process = None;
    });
    check(&unknown, &seen("down", "", 600, 30, 9), &[]);
    for source in [Source::Host, Source::Processes, Source::Gateway] {
        let mut blind = down();
        blind.gaps = vec![sample::gap(source, "/proc")];
        check(&blind, &seen("down", "", 600, 30, 9), &[]);
    }
    let log = vec![Gap { source: Source::Log, path: "/l".into(), reason: "x".to_owned() }];
    let blind = Snapshot { gaps: log, ..down() };
    check(&blind, &seen("down", "", 600, 30, 9), &["! down is_down"]);
}

#[test]
fn deaf_needs_three_looks_and_its_time() {
    let life = |first, looks| seen("deaf", LIFE, first, 30, looks);
    check(&deaf(), &sample::history(), &["- deaf not_for_long"]);
    check(&deaf(), &life(119, 9), &["- deaf not_for_long"]);
    check(&deaf(), &life(120, 1), &["- deaf not_for_long"]);
    check(&deaf(), &life(120, 2), &["! deaf is_deaf"]);
    check(&deaf(), &seen("deaf", "4711@99", 600, 30, 9), &["- deaf not_for_long"]);
}

#[test]
fn a_gateway_within_its_grace_is_not_deaf() {
    for at in [ago(359), NOW] {
        let young = |snapshot: &mut Snapshot| {
            snapshot.rpc = failed(RpcFault::Deaf);
            snapshot.gateway.process.as_mut().unwrap().locked_at = Some(at);
        };
        check(&with(young), &seen("deaf", LIFE, 300, 30, 9), &[]);
    }
    let mut late = seen("deaf", LIFE, 300, 30, 9);
    late.not_up = Some((GATEWAY, ago(100)));
    check(&deaf(), &late, &[]);
}

#[test]
fn after_a_sleep_nothing_new_is_said_and_what_was_said_stays() {
    let resumed = |mut history: History| {
        history.host.as_mut().unwrap().resumed_at = Some(ago(10));
        history
    };
    check(&deaf(), &resumed(seen("deaf", LIFE, 30_000, 29_990, 2)), &["- deaf resume_grace"]);
    check(&deaf(), &resumed(seen("deaf", LIFE, 30_000, 20_000, 9)), &["! deaf is_deaf"]);
    let mut stepped = seen("down", "", 119, 30, 9);
    stepped.host.as_mut().unwrap().stepped_at = Some(ago(10));
    check(&down(), &stepped, &["- down clock_grace"]);
}

#[test]
fn a_clock_that_was_set_back_makes_nothing_last() {
    let mut history = seen("down", "", 0, 0, 9);
    let seen = history.subjects.values_mut().next().unwrap();
    (seen.first_seen, seen.last_seen) = (NOW.plus(Duration::from_hours(9)), NOW);
    check(&down(), &history, &["- down not_for_long"]);
}

#[test]
fn a_stopped_gateway_is_stopped_and_not_deaf() {
    for state in ['T', 't'] {
        let stopped = with(|snapshot| {
            snapshot.rpc = failed(RpcFault::Deaf);
            snapshot.vitals.state = Some(state);
        });
        check(&stopped, &seen("stopped", LIFE, 120, 30, 4), &["! stopped is_stopped"]);
        let verdict = judged(&stopped, &seen("stopped", LIFE, 120, 30, 4), false).remove(0);
        let next = verdict.evidence.0["next"].as_str().unwrap();
        assert_eq!(next.contains("kill -CONT 4711"), state == 'T', "{next}");
    }
}

#[test]
fn a_look_that_asked_nothing_ends_nothing() {
    let silent = with(|snapshot| snapshot.rpc = Rpc::NotAsked("captured".to_owned()));
    check(&silent, &sample::history(), &[]);
    check(&silent, &seen("deaf", LIFE, 600, 30, 9), &["! deaf is_deaf"]);
    let refused = format!("{LIFE} unauthorized");
    check(&silent, &seen("rpc", &refused, 600, 30, 9), &["! rpc cannot_ask"]);
    check(&healthy(), &seen("deaf", LIFE, 600, 30, 9), &[]);
}

#[test]
fn a_busy_event_loop_without_delay_is_at_work() {
    let late = |is_degraded, p99, max| with(|s| s.rpc = answered(is_degraded, p99, max));
    let history = seen("event_loop", LIFE, 120, 30, 1);
    check(&late(true, 199, 999), &history, &[]);
    check(&late(false, 9_000, 9_000), &history, &[]);
    check(&late(true, 200, 300), &history, &["! event_loop event_loop_late"]);
    check(&late(true, 0, 1_000), &history, &["! event_loop event_loop_late"]);
    check(&late(true, 200, 300), &sample::history(), &["- event_loop not_for_long"]);
}

#[test]
fn a_fourth_start_in_a_quarter_of_an_hour_is_a_loop() {
    let starts =
        |seconds: &[u64]| with(|s| s.vitals.starts = seconds.iter().map(|s| ago(*s)).collect());
    let check = |seconds: &[u64], want: &[&str]| check(&starts(seconds), &sample::history(), want);
    check(&[900, 800, 700, 600], &[]);
    check(&[899, 800, 700, 600], &["! crash_loop crash_loop"]);
    check(&[800, 700, 600], &[]);
}

#[test]
fn two_gateways_are_named_once_they_stay() {
    let two = |snapshot: &mut Snapshot| {
        snapshot.gateway.status = Status::Unknown;
        snapshot.gateway.process = None;
        let other = ProcessId { pid: 9, start_ticks: 8 };
        snapshot.vitals.duplicates = vec![GATEWAY, other];
    };
    check(&with(two), &sample::history(), &["- duplicate not_for_long"]);
    let history = seen("duplicate", "4711@100000 9@8", 120, 30, 4);
    let verdict = judged(&with(two), &history, false).remove(0);
    assert_eq!((verdict.suspect, verdict.decision.code()), (true, "duplicate_gateways"));
    assert!(verdict.decision.text().ends_with("pid 4711, pid 9"), "{verdict:?}");
}

#[test]
fn memory_and_zombies_are_said_beyond_their_limits() {
    let grown = with(|s| s.vitals.memory_lows = (0..7).map(|n| (600 + 50 * n) << 20).collect());
    check(&grown, &sample::history(), &["! memory memory_grows"]);
    let zombies = with(|s| s.vitals.zombies = 51);
    check(&zombies, &sample::history(), &["- zombies not_for_long"]);
    check(&zombies, &seen("zombies", LIFE, 120, 30, 4), &["! zombies zombie_children"]);
}

#[test]
fn a_gateway_that_lives_and_listens_on_nothing_is_said() {
    let silent = with(|snapshot| snapshot.gateway.status = Status::Unknown);
    check(&silent, &sample::history(), &["- starting not_for_long"]);
    check(&silent, &seen("starting", LIFE, 120, 30, 4), &["! starting not_listening"]);
}

#[test]
fn every_refusal_has_its_next_step_and_says_what_is_off() {
    let mut steps = BTreeSet::new();
    for fault in RpcFault::ALL.into_iter().filter(|fault| *fault != RpcFault::Deaf) {
        let snapshot = with(|snapshot| snapshot.rpc = failed(fault));
        let incarnation = format!("{LIFE} {}", fault.name());
        // Somebody has to change something, and `plan` looks only once.
        let at_once = matches!(
            fault,
            RpcFault::NoCredentials
                | RpcFault::Unauthorized
                | RpcFault::PairingRequired
                | RpcFault::MissingScope
                | RpcFault::ProtocolMismatch
        );
        let early = if at_once { "! rpc cannot_ask" } else { "- rpc not_for_long" };
        check(&snapshot, &sample::history(), &[early]);
        check(&snapshot, &seen("rpc", &incarnation, 119, 30, 9), &[early]);
        let history = seen("rpc", &incarnation, 120, 30, 1);
        check(&snapshot, &history, &["! rpc cannot_ask"]);
        let verdict = judged(&snapshot, &history, false).remove(0);
        let text = |name: &str| verdict.evidence.0[name].as_str().unwrap().to_owned();
        assert!(text("without").contains("hung lanes"));
        steps.insert(text("next"));
        assert!(verdict.decision.text().contains(fault.name()));
    }
    assert!(steps.len() >= 8, "{steps:?}");
}

#[test]
fn the_log_is_evidence_and_never_an_incident() {
    let sign = LogSign {
        fault: "event_loop_late",
        what: "event loop late".to_owned(),
        lane: None,
        at: ago(60),
        count: 3,
    };
    let logged = |mut snapshot: Snapshot| {
        snapshot.log = vec![sign.clone()];
        snapshot
    };
    check(&logged(healthy()), &sample::history(), &[]);
    let verdict = judged(&logged(deaf()), &seen("deaf", LIFE, 120, 30, 4), false).remove(0);
    let log = verdict.evidence.0["log"][0].as_str().unwrap();
    assert!(log.starts_with("event loop late (3x, last at "), "{log}");
}

proptest! {
    #[test]
    fn nothing_is_ever_done(
        status in prop::sample::select(vec![
            Status::Up, Status::Starting, Status::Down, Status::Unknown,
        ]),
        fault in prop::sample::select(RpcFault::ALL.to_vec()),
        state in prop::sample::select(vec!['S', 'R', 'D', 'T', 't', 'Z']),
        (zombies, lows) in (any::<u32>(), prop::collection::vec(any::<u64>(), 0..30)),
        starts in prop::collection::vec(any::<i64>(), 0..9),
    ) {
        let snapshot = with(|snapshot| {
            snapshot.gateway.status = status;
            snapshot.rpc = failed(fault);
            snapshot.vitals.state = Some(state);
            snapshot.vitals.zombies = zombies;
            snapshot.vitals.memory_lows = lows;
            snapshot.vitals.starts = starts.into_iter().map(UnixMillis).collect();
        });
        for verdict in judged(&snapshot, &sample::history(), true) {
            prop_assert!(matches!(verdict.decision, Decision::Hold(_)));
            prop_assert_eq!(verdict.subject.kind, SubjectKind::Gateway);
        }
    }
}
