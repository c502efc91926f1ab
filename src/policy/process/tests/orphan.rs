//! Orphans.

use std::time::Duration;

use super::super::sample::{CHILD, ROOT, end, orphan, owned, record, world};
use super::{check, check_in, end_of, guarded, judge_with, lines, with};
use crate::model::sample::{GATEWAY, ago, gap};
use crate::model::{
    Agent, Bond, EndCause, EndKind, Guard, Looks, Mode, Ownership, Peer, Place, RecordMode, Seen,
    Sign, Snapshot, Source, Status, Stdio, UnixMillis,
};
use crate::policy::settings::sample;

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
    let unknown = |sign| {
        with(|agent| {
            agent.place = Place::Unknown("no HOME".to_owned());
            agent.ownership = owned(&[sign]);
        })
    };
    check(unknown(Sign::Ledger), "orphan_process act unreachable");
    check(unknown(Sign::Lease), "orphan_process hold gap");
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
        Guard::Listening,
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
    for source in [Source::Host, Source::Processes, Source::Gateway] {
        check_in(orphan(), |world| world.gaps = vec![gap(source, "/x")], "orphan_process hold gap");
    }
    for source in [Source::Leases, Source::Records, Source::Sockets] {
        let change = |world: &mut Snapshot| world.gaps = vec![gap(source, "/x")];
        check_in(orphan(), change, "orphan_process act unreachable");
    }
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
