//! The table, version by version.

use super::*;
use crate::model::Rung;

const MINUTE: u64 = 60;
const TESTED: [&str; 7] =
    ["2026.3.24", "2026.4.15", "2026.5.7", "2026.5.28", "2026.6.11", "2026.7.1", "2026.9.6"];
const MAIN: &str = "agent:main:main";
const CHANNEL: &str = "agent:main:slack:channel:c1";
const CRON: &str = "agent:main:cron:j1";
const SUBAGENT: &str = "agent:main:subagent:s1";
const ACP: &str = "agent:opencode:acp:a1";

fn of(version: &str) -> Capabilities {
    Capabilities::of(Version::parse(version).unwrap())
}

/// One line per version, in the order of [`TESTED`].
#[track_caller]
fn check(fact: impl Fn(&Capabilities) -> String, want: [&str; 7]) {
    let got: Vec<_> = TESTED.iter().map(|version| fact(&of(version))).collect();
    assert_eq!(got, want);
}

#[test]
fn every_version_that_was_run_has_its_own_facts() {
    check(|facts| facts.facts_of.to_string(), TESTED);
    for version in TESTED {
        assert!(of(version).is_tested, "{version}");
    }
    check(|facts| facts.protocol.to_string(), ["3", "3", "3", "4", "4", "4", "4"]);
}

#[test]
fn another_version_is_only_shown_what_the_nearest_older_one_has() {
    let cases = [
        ("2025.12.1", "2026.3.24"),
        ("2026.4.14", "2026.3.24"),
        ("2026.4.16", "2026.4.15"),
        ("2026.8.1", "2026.7.1"),
        ("2026.9.5", "2026.7.1"),
        ("2026.9.7", "2026.9.6"),
        ("2027.1.1", "2026.9.6"),
    ];
    for (version, facts) in cases {
        let known = of(version);
        assert_eq!((known.facts_of.to_string().as_str(), known.is_tested), (facts, false));
    }
}

#[test]
fn no_active_run_proves_something_from_2026_7_1_on_and_there_not_for_cron() {
    let proves = |facts: &Capabilities| {
        format!(
            "{:?}",
            [MAIN, CHANNEL, ACP, SUBAGENT, CRON].map(|key| facts.proves_idle(&key.into()))
        )
    };
    let none = "[false, false, false, false, false]";
    let but_cron = "[true, true, true, true, false]";
    check(proves, [none, none, none, none, none, but_cron, "[true, true, true, true, true]"]);
}

#[test]
fn abort_reaches_what_each_version_keeps_a_controller_for() {
    check(
        |facts| format!("{:?}", facts.abort),
        ["Chat", "Chat", "ChatAndAgent", "ChatAndAgent", "ChatAndAgent", "ChatAndAgent", "All"],
    );
    for kind in [RunKind::Agent, RunKind::Channel, RunKind::Cron] {
        assert!(!of("2026.4.15").abort.covers(kind), "{kind:?}");
    }
    for kind in [RunKind::Channel, RunKind::Cron] {
        assert!(!of("2026.7.1").abort.covers(kind), "{kind:?}");
    }
}

#[track_caller]
fn effects(rung: Rung, key: &str, want: [&str; 7]) {
    check(|facts| format!("{:?}", facts.effect(rung, &key.into())), want);
}

const WORKS: &str = "Works";
const LOCK: &str = "NotBesideALock";
const UNPROVEN: &str = "Unproven";
const ABSENT: &str = "Absent";

#[test]
fn an_abort_works_on_lanes_whose_run_it_may_reach() {
    let [n, w, drops] = [UNPROVEN, WORKS, "LosesWaiting"];
    effects(Rung::Abort, MAIN, [w, w, drops, drops, drops, drops, w]);
    effects(Rung::Abort, ACP, [n, n, drops, drops, drops, drops, w]);
    effects(Rung::Abort, CRON, [n, n, n, n, n, n, w]);
    effects(Rung::Abort, SUBAGENT, [n, n, drops, drops, drops, n, w]);
}

#[test]
fn steering_is_proven_up_to_2026_4_15() {
    let n = UNPROVEN;
    effects(Rung::Steer, CHANNEL, [WORKS, WORKS, n, n, n, n, n]);
    effects(Rung::Steer, CRON, [n, WORKS, n, n, n, n, n]);
    effects(Rung::Steer, ACP, [n; 7]);
}

#[test]
fn recover_is_there_from_2026_9_6_on() {
    let n = ABSENT;
    effects(Rung::Recover, MAIN, [n, n, n, n, n, n, WORKS]);
}

#[test]
fn a_reset_beside_a_lock_is_refused_where_it_would_empty_the_conversation() {
    let n = UNPROVEN;
    effects(Rung::Reset, MAIN, [LOCK, LOCK, LOCK, n, n, WORKS, WORKS]);
    for key in [CRON, SUBAGENT, ACP] {
        effects(Rung::Reset, key, [n, n, n, n, n, n, WORKS]);
    }
    effects(Rung::New, MAIN, [n, n, n, n, n, WORKS, WORKS]);
    effects(Rung::New, CRON, [n; 7]);
}

#[test]
fn a_dead_lane_is_cleared_by_reset_and_by_nothing_cheaper() {
    let dead = |rung: Rung, key: &'static str| {
        move |facts: &Capabilities| format!("{:?}", facts.effect_without_run(rung, &key.into()))
    };
    let [n, w, absent] = [UNPROVEN, WORKS, ABSENT];
    check(dead(Rung::Abort, MAIN), [n; 7]);
    check(dead(Rung::Steer, MAIN), [n; 7]);
    check(dead(Rung::Recover, MAIN), [absent, absent, absent, absent, absent, absent, w]);
    check(dead(Rung::Reset, MAIN), [w, w, w, n, n, w, w]);
    check(dead(Rung::Reset, ACP), [n, n, n, n, n, n, w]);
    check(dead(Rung::New, MAIN), [w, w, n, n, n, w, n]);
}

#[track_caller]
fn ends(configured: Configured, want: [[Option<u64>; 3]; 7]) {
    for (version, want) in TESTED.iter().zip(want) {
        let facts = of(version);
        let got = [Work::Model, Work::Tool, Work::Other]
            .map(|work| facts.ends_stuck(work, configured).least().map(|least| least.as_secs()));
        assert_eq!(got, want, "{version}");
    }
}

const NEVER: [Option<u64>; 3] = [None; 3];

fn all(seconds: u64) -> [Option<u64>; 3] {
    [Some(seconds); 3]
}

const FIXED: [Option<u64>; 3] = [Some(360), Some(900), Some(360)];

#[test]
fn runs_are_ended_after_the_time_of_each_version() {
    let of_5_7 = [None, None, Some(600)];
    ends(Configured::default(), [NEVER, NEVER, of_5_7, all(360), all(360), all(360), FIXED]);
    for version in TESTED {
        let facts = of(version);
        let other = facts.ends_stuck(Work::Other, Configured::default());
        assert_eq!(facts.stuck_run_after, other.least(), "{version}");
    }
}

#[test]
fn what_is_configured_counts_from_2026_5_7_to_2026_7_1() {
    let seconds = Duration::from_secs;
    let warn = Configured { warn: Some(seconds(300)), ..Configured::default() };
    let of_5_7 = [None, None, Some(1_500)];
    ends(warn, [NEVER, NEVER, of_5_7, all(900), all(900), all(900), FIXED]);
    let abort = Configured { abort: Some(seconds(30 * MINUTE)), ..Configured::default() };
    let of_5_7 = [None, None, Some(600)];
    ends(abort, [NEVER, NEVER, of_5_7, all(1_800), all(1_800), all(1_800), FIXED]);
    let low = Configured { abort: Some(seconds(30)), ..Configured::default() };
    ends(low, [NEVER, NEVER, of_5_7, all(120), all(120), all(120), FIXED]);
}

#[test]
fn what_the_gateway_would_not_take_is_as_if_absent() {
    for warn in [Duration::ZERO, Duration::from_millis(999), Duration::from_secs(86_401)] {
        let configured =
            Configured { warn: Some(warn), abort: Some(Duration::ZERO), ..Configured::default() };
        assert_eq!(
            of("2026.7.1").ends_stuck(Work::Model, configured),
            Deadline::After(Duration::from_secs(360))
        );
    }
}

#[test]
fn without_diagnostics_nothing_is_ever_ended() {
    ends(Configured { is_off: true, ..Configured::default() }, [NEVER; 7]);
}

#[test]
fn the_gateway_has_its_turn_first() {
    let seconds =
        |work| TESTED.map(|version| of(version).defers(work, Configured::default()).as_secs());
    // 2026.4.15: a silent model is asked twice, for two minutes each.
    assert_eq!(seconds(Work::Model), [0, 255, 645, 405, 405, 405, 405]);
    assert_eq!(seconds(Work::Other), seconds(Work::Model), "nobody can tell them apart");
    assert_eq!(seconds(Work::Tool), [0, 255, 645, 405, 405, 405, 945]);
    let far = Configured { abort: Some(Duration::MAX), ..Configured::default() };
    assert_eq!(of("2026.7.1").defers(Work::Model, far), Duration::MAX);
    // Without its recovery the gateway still gives up a silent model.
    let off = Configured { is_off: true, ..Configured::default() };
    let left = TESTED.map(|version| of(version).defers(Work::Model, off).as_secs());
    assert_eq!(left, [0, 255, 255, 255, 255, 255, 1_215]);
}

#[test]
fn a_compaction_has_its_time() {
    let seconds = |version| of(version).compacts_within(Configured::default()).as_secs();
    assert_eq!(TESTED.map(seconds), [1_020, 1_020, 1_020, 1_020, 300, 300, 300]);
    let configured =
        Configured { compaction: Some(Duration::from_secs(1_800)), ..Configured::default() };
    assert_eq!(of("2026.7.1").compacts_within(configured).as_secs(), 1_920);
    let held = |seconds| {
        let compaction = Some(Duration::from_secs(seconds));
        of("2026.4.15").holds_within(Configured { compaction, ..Configured::default() }).as_secs()
    };
    assert_eq!([0, 1, 180, 181, 1_800].map(held), [1_020, 300, 300, 301, 1_920]);
}

#[test]
fn interrupted_runs_are_resumed_from_2026_5_7_on() {
    let resumes = |facts: &Capabilities| {
        format!("{:?} {}", facts.resumes_within.map(|d| d.as_secs()), facts.resumes_one_by_one)
    };
    let [none, some] = ["None false", "Some(300) false"];
    check(resumes, [none, none, some, some, some, some, "Some(300) true"]);
}

#[test]
fn explains_what_the_gateway_does_itself() {
    let lane = |version| of(version).says_itself(false, Configured::default());
    assert_eq!(lane("2026.3.24"), "2026.3.24 never ends a run that makes no progress");
    assert_eq!(
        lane("2026.4.15"),
        "2026.4.15 never ends a run that makes no progress, but a model that says nothing is given \
         up after 2m and tried once more; one that trickles is waited for"
    );
    assert_eq!(
        lane("2026.5.7"),
        "2026.5.7 ends a run without progress after 10m, but not one that waits for a model or a \
         tool; a model that says nothing is given up after 2m and tried once more; one that \
         trickles is waited for"
    );
    assert!(lane("2026.7.1").starts_with("2026.7.1 ends a run without progress after 6m, also"));
    assert!(lane("2026.9.6").contains("after 6m, one that waits for a tool after 15m, and waits"));
    assert!(lane("2026.9.6").contains("says nothing is given up after 10m and tried once more"));
    assert!(lane("2026.9.7").starts_with("like 2026.9.6, the nearest older version that was run"));
}

#[test]
fn explains_what_becomes_of_a_held_lock() {
    let lock = |version| of(version).says_itself(true, Configured::default());
    assert!(lock("2026.4.15").ends_with("a message that waits for it fails after 10s"));
    assert!(lock("2026.7.1").ends_with("a message that waits for it fails after 1m"));
    assert_eq!(lock("2026.9.6"), "2026.9.6 has no such locks");
}
