//! What is ended, what is left alone, and why.

use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::sample::{CHILD, ROOT, end, leak, member, orphan, owned, record, world};
use crate::model::sample::{self as model_sample, GATEWAY, GRACE, ago, gap};
use crate::model::{
    Action, Agent, Bond, Contact, Decision, EndCause, EndKind, Guard, Kind, Looks, Mode, Ownership,
    Part, Peer, Place, ProcessId, Recent, RecordMode, Seen, Sign, Snapshot, Source, Status, Stdio,
    TreeEnd, UnixMillis, Verdict,
};
use crate::policy::settings::{Policies, sample};
use crate::policy::{Context, still_to_end};

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

#[test]
fn an_orphan_is_ended_with_its_tree_after_a_second_look() {
    let verdicts = judge_with(&world(orphan()), &sample());
    assert_eq!(lines(&verdicts), ["orphan_process act unreachable"]);
    assert_eq!(verdicts[0].looks, Looks::Confirmed);
    assert_eq!(verdicts[0].subject.id, "500@5000");
    let end = end_of(&verdicts[0]);
    assert_eq!((end.root, end.members.as_slice()), (ROOT, &[ROOT, CHILD][..]));
    assert_eq!((end.cause, end.term_wait), (EndCause::Orphan, Duration::from_secs(10)));
}

#[test]
fn who_can_be_reached_is_left_alone() {
    let stdio = |input, output| {
        with(|agent| agent.stdio = Stdio { input: end(input), output: end(output) })
    };
    let healthy = "orphan_process healthy hold contact_kept";
    check(stdio(Peer::Alive, Peer::Alive), healthy);
    check(stdio(Peer::Dead, Peer::Alive), healthy);
    check(stdio(Peer::Alive, Peer::Dead), healthy);
    let unknown = || Peer::Unknown("refused".to_owned());
    let held = "orphan_process hold contact_unknown";
    check(stdio(unknown(), Peer::Dead), held);
    check(stdio(Peer::Dead, unknown()), held);
    check(stdio(unknown(), unknown()), held);
}

#[test]
fn what_can_be_opened_again_proves_nothing() {
    for path in ["/dev/null", "/run/in.fifo"] {
        let agent = with(|agent| {
            agent.stdio.input.what = EndKind::Named(path.into());
            agent.stdio.input.peer = Peer::Unknown(String::new());
        });
        check(agent, "orphan_process hold contact_unknown");
    }
}

#[test]
fn ownership_needs_one_strong_sign_or_two_weak_ones() {
    let signs = |signs: &[Sign]| with(|agent| agent.ownership = owned(signs));
    check(signs(&[]), "orphan_process hold not_owned");
    for sign in Sign::ALL {
        let want = if sign.is_strong() { "act unreachable" } else { "hold not_owned" };
        check(signs(&[sign]), &format!("orphan_process {want}"));
    }
    check(signs(&[Sign::Environment, Sign::Workspace]), "orphan_process act unreachable");
}

#[test]
fn another_state_directory_is_none_of_ours_whatever_else_is_seen() {
    let agent = with(|agent| {
        agent.place = Place::Other("/home/other/.openclaw".into());
        agent.ownership = owned(&Sign::ALL);
    });
    check(agent, "orphan_process healthy hold other_state_dir");
    let unknown = with(|agent| agent.place = Place::Unknown("no HOME".to_owned()));
    check(unknown, "orphan_process act unreachable");
}

#[test]
fn without_its_familys_mark_somebody_may_have_started_it() {
    check(with(|agent| agent.mark = Seen::Absent), "orphan_process hold not_marked");
    let unreadable = with(|agent| agent.mark = Seen::Unreadable("EACCES".to_owned()));
    check(unreadable, "orphan_process hold gap");
}

#[test]
fn a_live_owner_above_keeps_it() {
    for is_ours in [true, false] {
        let bond = Bond::Attached { to: GATEWAY, role: "gateway", is_ours };
        check(with(|agent| agent.bond = bond), "orphan_process hold attached");
    }
    let parented = with(|agent| agent.bond = Bond::Parented { by: GATEWAY });
    check(parented, "orphan_process hold parented");
    let unseen = with(|agent| agent.bond = Bond::Unknown("hidden".to_owned()));
    check(unseen, "orphan_process hold gap");
}

#[test]
fn one_guard_anywhere_in_the_tree_keeps_all_of_it() {
    let guards = [
        Guard::Ourselves,
        Guard::Init,
        Guard::OpenClaw,
        Guard::Service("acpx queue owner"),
        Guard::OtherUser(0),
        Guard::OtherNamespace,
        Guard::Terminal,
        Guard::Traced(9),
        Guard::Stopped,
        Guard::Uninterruptible,
        Guard::Protected(ago(0)),
        Guard::Unreadable("EACCES".to_owned()),
    ];
    for guard in guards {
        for place in [0, 1] {
            check(guarded(place, guard.clone()), "orphan_process hold guarded");
        }
    }
    check(guarded(1, Guard::ToolShell), "orphan_process hold tool_running");
}

#[test]
fn a_listening_socket_keeps_all_but_claude() {
    check(guarded(0, Guard::Listening), "orphan_process act unreachable");
    let mut policies = sample();
    for rule in &mut policies.orphan_process.families {
        rule.mode = Mode::Enforce;
    }
    let mut agent = guarded(1, Guard::Listening);
    agent.kind = Some(Kind { family: "codex".to_owned(), part: Part::Adapter });
    let verdicts = judge_with(&world(agent), &policies);
    assert_eq!(lines(&verdicts), ["orphan_process hold guarded"]);
}

#[test]
fn the_young_and_those_from_the_future_are_left_alone() {
    let aged = |at| with(|agent| agent.started_at = at);
    check(aged(ago(119)), "orphan_process hold too_young");
    check(aged(ago(120)), "orphan_process act unreachable");
    let future = UnixMillis(ago(0).0 + 1);
    check(aged(future), "orphan_process hold in_future");
}

#[test]
fn a_gateway_that_is_down_is_no_hindrance_and_one_that_starts_is() {
    let status = |status| {
        move |world: &mut Snapshot| {
            world.gateway.status = status;
            if status == Status::Down {
                world.gateway.process = None;
            }
        }
    };
    check_in(orphan(), status(Status::Down), "orphan_process act unreachable");
    check_in(orphan(), status(Status::Starting), "orphan_process hold gateway_starting");
    check_in(orphan(), status(Status::Unknown), "orphan_process hold gateway_unknown");
    let young = |world: &mut Snapshot| {
        if let Some(process) = &mut world.gateway.process {
            process.locked_at = Some(ago(359));
        }
    };
    check_in(orphan(), young, "orphan_process hold start_grace");
    let elsewhere = |world: &mut Snapshot| {
        if let Some(process) = &mut world.gateway.process {
            process.shares_pid_namespace = false;
        }
    };
    check_in(orphan(), elsewhere, "orphan_process hold foreign_namespace");
}

#[test]
fn a_gap_in_what_the_judgement_rests_on_holds() {
    for source in [Source::Host, Source::Processes, Source::Gateway, Source::Records] {
        check_in(orphan(), |world| world.gaps = vec![gap(source, "/x")], "orphan_process hold gap");
    }
    let leases = |world: &mut Snapshot| world.gaps = vec![gap(Source::Leases, "/x")];
    check_in(orphan(), leases, "orphan_process act unreachable");
}

#[test]
fn an_agent_below_another_is_judged_with_it() {
    check(with(|agent| agent.top = Some(GATEWAY)), "orphan_process healthy hold part_of_tree");
}

#[test]
fn what_is_no_agent_is_reported_and_never_ended() {
    check(with(|agent| agent.kind = None), "orphan_process hold not_an_agent");
    let used = with(|agent| {
        agent.kind = None;
        agent.stdio.output.peer = Peer::Alive;
    });
    check(used, "orphan_process healthy hold not_an_agent");
}

#[test]
fn only_the_open_record_of_a_oneshot_session_is_closed() {
    let closes = |agent: Agent| {
        let verdicts = judge_with(&world(agent), &sample());
        end_of(&verdicts[0]).record.as_ref().map(|record| record.record_id.clone())
    };
    let recorded = |mode, closed_at| with(|agent| agent.record = Some(record(mode, closed_at)));
    assert_eq!(closes(recorded(RecordMode::Oneshot, None)), Some("a".to_owned()));
    assert_eq!(closes(recorded(RecordMode::Oneshot, Some(ago(9)))), None);
    assert_eq!(closes(recorded(RecordMode::Persistent, None)), None);
    let foreign = with(|agent| {
        let mut record = record(RecordMode::Oneshot, None);
        record.folder_uid = 0;
        agent.record = Some(record);
    });
    check(foreign, "orphan_process hold not_owner");
}

#[test]
fn a_familys_own_settings_hold_for_it() {
    let mut policies = sample();
    let claude = &mut policies.orphan_process.families[0];
    claude.min_age = Some(Duration::from_secs(7_200));
    let verdicts = judge_with(&world(orphan()), &policies);
    assert_eq!(lines(&verdicts), ["orphan_process hold too_young"]);

    let claude = &mut policies.orphan_process.families[0];
    (claude.min_age, claude.looks, claude.mode) = (None, Some(5), Mode::Observe);
    let verdicts = judge_with(&world(orphan()), &policies);
    assert_eq!(lines(&verdicts), ["orphan_process observe unreachable"]);
    assert_eq!(verdicts[0].looks, Looks::AtLeast(5));

    policies.orphan_process.families[0].mode = Mode::Off;
    assert!(judge_with(&world(orphan()), &policies).is_empty());
    policies.orphan_process.families[0].mode = Mode::Enforce;
    policies.orphan_process.mode = Mode::Observe;
    assert_eq!(
        lines(&judge_with(&world(orphan()), &policies)),
        ["orphan_process observe unreachable"]
    );
}

#[test]
fn a_leak_is_reported_and_not_ended_by_default() {
    let verdicts = judge_with(&world(leak()), &sample());
    let want = ["orphan_process healthy hold contact_kept", "leaked_process observe record_closed"];
    assert_eq!(lines(&verdicts), want);
    assert_eq!(end_of(&verdicts[1]).cause, EndCause::Leak);
}

#[track_caller]
fn check_leak(change: impl FnOnce(&mut Agent), want: Option<&str>) {
    let mut policies = sample();
    policies.leaked_process.mode = Mode::Enforce;
    let mut agent = leak();
    let idle = Recent { used: Duration::ZERO, over: Duration::from_secs(10) };
    agent.cpu.recent = Some(idle);
    change(&mut agent);
    let verdicts = judge_with(&world(agent), &policies);
    assert_eq!(lines(&verdicts).get(1).map(String::as_str), want);
}

#[test]
fn a_leak_is_ended_only_where_it_is_ours_idle_and_long_closed() {
    check_leak(|_| {}, Some("leaked_process act record_closed"));
    check_leak(|agent| agent.cpu.recent = None, Some("leaked_process hold not_idle"));
    let busy = Recent { used: Duration::from_millis(101), over: Duration::from_secs(10) };
    check_leak(|agent| agent.cpu.recent = Some(busy), Some("leaked_process hold not_idle"));
    let closed =
        |at| move |agent: &mut Agent| agent.record = Some(record(RecordMode::Persistent, at));
    check_leak(closed(Some(ago(599))), Some("leaked_process hold too_young"));
    check_leak(closed(Some(UnixMillis(ago(0).0 + 1))), Some("leaked_process hold in_future"));
    check_leak(closed(None), None);
    let others = Bond::Attached { to: GATEWAY, role: "gateway", is_ours: false };
    check_leak(|agent| agent.bond = others, None);
    check_leak(
        |agent| agent.tree[1].guards.push(Guard::ToolShell),
        Some("leaked_process hold tool_running"),
    );
}

#[track_caller]
fn check_runaway(change: impl FnOnce(&mut Agent), want: Option<&str>) {
    let mut agent = leak();
    agent.record = None;
    change(&mut agent);
    let verdicts = judge_with(&world(agent), &sample());
    assert_eq!(lines(&verdicts).get(1).map(String::as_str), want);
}

#[test]
fn too_much_memory_processor_time_or_age_is_reported() {
    check_runaway(|_| {}, None);
    let memory = |bytes| move |agent: &mut Agent| agent.tree[1].resident = Some(bytes);
    let limit = (2 << 30) - (100 << 20);
    check_runaway(memory(limit), None);
    check_runaway(memory(limit + 1), Some("runaway_agent observe uses_memory"));
    let used = |seconds, over| {
        move |agent: &mut Agent| {
            let (used, over) = (Duration::from_secs(seconds), Duration::from_secs(over));
            agent.cpu.recent = Some(Recent { used, over });
        }
    };
    check_runaway(used(809, 900), None);
    check_runaway(used(810, 900), Some("runaway_agent observe uses_processor"));
    check_runaway(used(600, 600), None);
    let total = |agent: &mut Agent| agent.cpu.total = Duration::from_secs(3_300);
    check_runaway(total, Some("runaway_agent observe uses_processor"));
    check_runaway(
        |agent| {
            total(agent);
            agent.ownership = Ownership::default();
        },
        None,
    );
}

#[test]
fn what_is_to_end_is_judged_again_by_the_same_rule() {
    let history = model_sample::history();
    let again = |agent: Agent, cause| {
        let verdicts = judge_with(&world(orphan()), &sample());
        let end = TreeEnd { cause, ..end_of(&verdicts[0]).clone() };
        let world = world(agent);
        let context = Context {
            snapshot: &world,
            history: &history,
            explains_healthy: false,
            start_grace: GRACE,
        };
        still_to_end(context, &sample(), &end)
    };
    assert_eq!(again(orphan(), EndCause::Orphan), Ok(()));
    assert!(again(leak(), EndCause::Orphan).is_err(), "somebody talks to it again");
    assert!(again(orphan(), EndCause::Leak).is_err(), "another rule");
    let recycled = with(|agent| agent.id.start_ticks += 1);
    assert!(again(recycled, EndCause::Orphan).is_err(), "another process");
    assert!(again(leak(), EndCause::Leak).is_err(), "only observed");
}

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        2 => Just(Seen::Absent),
        1 => Just(Seen::Unreadable("no".to_owned())),
        3 => Just(Seen::Present(String::new())),
    ]
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![1 => Just(Peer::Alive), 1 => Just(Peer::Unknown(String::new())), 6 => Just(Peer::Dead)]
}

fn bond() -> impl Strategy<Value = Bond> {
    prop_oneof![
        9 => Just(Bond::Loose { parent: 1, name: String::new() }),
        1 => any::<bool>().prop_map(|is_ours| Bond::Attached { to: GATEWAY, role: "gateway", is_ours }),
        1 => Just(Bond::Parented { by: GATEWAY }),
        1 => Just(Bond::Unknown(String::new())),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        6 => Just(Place::Ours),
        1 => Just(Place::Other(PathBuf::from("/o"))),
        1 => Just(Place::Unknown(String::new())),
    ]
}

prop_compose! {
    fn any_agent()(
        signs in prop::collection::vec(seen(), Sign::ALL.len()),
        mark in seen(),
        (input, output) in (peer(), peer()),
        bond in bond(),
        place in place(),
        has_kind in prop::bool::weighted(0.9),
        has_top in prop::bool::weighted(0.1),
        guard in prop::option::weighted(0.2, 0..2_usize),
        age in 0..300_u64,
        gone in prop::bool::weighted(0.1),
    ) -> (Agent, bool) {
        let mut agent = orphan();
        agent.ownership = Ownership::new(Sign::ALL.into_iter().zip(signs));
        agent.stdio = Stdio { input: end(input), output: end(output) };
        (agent.mark, agent.bond, agent.place) = (mark, bond, place);
        agent.kind = agent.kind.filter(|_| has_kind);
        agent.top = has_top.then_some(GATEWAY);
        agent.started_at = ago(age);
        if let Some(place) = guard {
            agent.tree[place].guards.push(Guard::Terminal);
        }
        (agent, gone)
    }
}

proptest! {
    #[test]
    fn nothing_is_a_target_without_ownership_and_a_death_that_the_kernel_proves(
        (agent, blind) in any_agent()
    ) {
        let mut world = world(agent.clone());
        if blind {
            world.gaps = vec![gap(Source::Processes, "/proc")];
        }
        let verdicts = judge_with(&world, &sample());
        let acts = verdicts.iter().any(|verdict| matches!(verdict.decision, Decision::Act(..)));
        let strong = agent.ownership.iter().any(|(sign, seen)| sign.is_strong() && seen.is_present());
        let signs = agent.ownership.iter().filter(|(_, seen)| seen.is_present()).count();
        let provable = (strong || signs >= 2)
            && agent.stdio.contact() == Contact::Lost
            && agent.kind.is_some()
            && agent.top.is_none()
            && agent.mark.is_present()
            && matches!(agent.bond, Bond::Loose { .. })
            && !matches!(agent.place, Place::Other(_))
            && agent.tree.iter().all(|member| member.guards.is_empty())
            && agent.started_at <= ago(120)
            && !blind;
        prop_assert_eq!(acts, provable, "{:?}", lines(&verdicts));
    }
}

#[test]
fn evidence_names_every_sign_and_every_guard() {
    let mut agent = guarded(1, Guard::Traced(9));
    agent.ownership = Ownership::new([
        (Sign::Ledger, Seen::Present("seen below the gateway".to_owned())),
        (Sign::Lease, Seen::Unreadable("EACCES".to_owned())),
    ]);
    let verdicts = judge_with(&world(agent), &sample());
    let text = serde_json::to_string(&verdicts[0].evidence).unwrap();
    for sign in Sign::ALL {
        assert!(text.contains(sign.name()), "{}: {text}", sign.name());
    }
    for part in
        ["present: seen below the gateway", "unreadable: EACCES", "absent", "is traced by pid 9"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
}
