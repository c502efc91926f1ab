//! `stale_lane`: end the rows of runs that are dead (#59878).
//!
//! A row says `running` from the start of a run to its end. When the end is never written, the
//! lane looks busy for ever; on 2026.3.24 and 2026.4.15 nothing re-derives it, on later versions
//! only some rows are recovered. What it takes to call a run dead is in [`proof`].

mod ask;
mod hold;
mod proof;
#[cfg(test)]
mod rpc_tests;
mod told;

use crate::model::{
    ActReason, Action, Decision, Era, Evidence, HoldReason, Lane, LaneStatus, Mode, Policy,
    ProcessId, RowEdit, Snapshot, Subject, SubjectKind, Transcript, UnixMillis, Verdict, Version,
    WriteProtocol,
};

use super::Context;
use super::ground::ground;
use super::ladder;
use super::run::{Lanes, Run};
use super::settings::{LaneRepair, Policies, StaleLane};
use ask::Judged;
pub(super) use proof::{clock_holds, predates};

/// Judges every lane that says `running`: rows of files in the snapshot's order, and where rows are
/// in SQLite what the gateway tells of them, by key.
pub(super) fn evaluate(
    context: Context<'_>,
    policies: &Policies,
    lanes: &Lanes<'_>,
) -> Vec<Verdict> {
    let rule = |key| Some(policies.stale_lane_for(key)).filter(|rule| rule.mode != Mode::Off);
    let snapshot = context.snapshot;
    let of_files = snapshot.lanes.iter().filter(|lane| lane.row.status == LaneStatus::Running);
    let of_files = of_files
        .filter_map(|lane| Some(verdict(context, &rule(&lane.key)?, lane, lanes.get(&lane.key))));
    let told = lanes.told().filter(|_| snapshot.gateway.era == Era::Sqlite);
    let told = told.filter_map(|run| told::verdict(context, &rule(run.key)?, lanes, &run));
    of_files.chain(told).filter(|verdict| context.wants(verdict)).collect()
}

fn verdict(context: Context<'_>, rule: &StaleLane, lane: &Lane, run: Option<Run<'_>>) -> Verdict {
    let judged = judge(context, rule, lane, run).unwrap_or_else(Judged::held);
    let suspect = suspect(context, rule, lane, &judged.decision);
    let evidence = if suspect || context.explains_healthy {
        ladder::explain(evidence(context, lane), judged.step.as_ref(), &judged.decision)
    } else {
        Evidence::new()
    };
    let name = proof::incarnation(lane);
    Verdict {
        policy: Policy::StaleLane,
        subject: Subject { kind: SubjectKind::Lane, id: lane.key.0.clone() },
        incarnation: match &judged.step {
            Some(step) => ladder::incarnation(&name, Some(step)),
            None => name,
        },
        suspect,
        looks: judged.looks,
        decision: judged.decision,
        evidence,
    }
}

/// The order of the questions is the order in which their answers help: first what makes any
/// judgement void, then what the row itself says, then who may still be alive, then the proof.
fn judge(
    context: Context<'_>,
    rule: &StaleLane,
    lane: &Lane,
    run: Option<Run<'_>>,
) -> Result<Judged, HoldReason> {
    hold::unreadable(context.snapshot, lane)?;
    let gateway = ground(context)?;
    let started_at = hold::started_at(context.snapshot, lane)?;
    hold::residue(lane)?;
    let age = context.snapshot.taken_at.since(started_at);
    if age < rule.after {
        return Err(HoldReason::TooYoung { age, after: rule.after });
    }
    hold::alive(context.snapshot, lane, started_at, rule.after)?;
    hold::resumed(context.snapshot, lane, &gateway, rule.after)?;
    let run = run.filter(|run| run.live.is_some());
    if run.is_some_and(|run| run.is_said_active()) {
        return Err(HoldReason::RunActive);
    }
    let reason = proof::proof(context, rule, lane, run.as_ref(), started_at, &gateway)?;
    if !rule.repair.contains(&LaneRepair::Settle) {
        return ask::instead_of_settling(context, rule, lane, run.as_ref(), reason);
    }
    let protocol = protocol(context.snapshot.gateway.version);
    hold::unwritable(context.snapshot, lane, protocol)?;
    let edit = edit(context.snapshot, lane, protocol, gateway.id);
    let action = Action::Settle(Box::new(edit));
    let looks = ask::looks(&reason);
    let decision = match mode(rule, &reason) {
        Mode::Enforce => Decision::Act(action, reason),
        Mode::Observe | Mode::Off => Decision::Observe(action, reason),
    };
    Ok(Judged { decision, looks, step: None })
}

/// Silence is the weakest proof: it acts only where the user enforces it by its own name.
fn mode(rule: &StaleLane, reason: &ActReason) -> Mode {
    match (reason, rule.mode) {
        (ActReason::Silent { .. }, Mode::Enforce) => rule.silence,
        (_, mode) => mode,
    }
}

/// A young live run is healthy. Anything that is proven wrong, or runs for longer than the rule
/// allows, or runs without a gateway, is worth a line.
fn suspect(context: Context<'_>, rule: &StaleLane, lane: &Lane, decision: &Decision) -> bool {
    let old = |at: UnixMillis| context.snapshot.taken_at.since(at) >= rule.after;
    match decision {
        Decision::Act(..) | Decision::Observe(..) => true,
        Decision::Hold(HoldReason::GatewayDown | HoldReason::Malformed { .. }) => true,
        Decision::Hold(_) => {
            lane.row.ended_at.is_present()
                || lane.row.started_at.value().is_none_or(old)
                || proof::predates_gateway(context, lane)
        }
    }
}

fn edit(snapshot: &Snapshot, lane: &Lane, protocol: WriteProtocol, gateway: ProcessId) -> RowEdit {
    let started_at = lane.row.started_at.value().unwrap_or_default();
    let written = lane.transcript.modified_at().unwrap_or(started_at);
    let last_sign = started_at.max(written).min(snapshot.taken_at);
    let ended_at = lane.row.ended_at.value().unwrap_or(last_sign);
    RowEdit {
        store: lane.store.path.clone(),
        key: lane.key.clone(),
        expected: lane.row.clone(),
        transcript: lane.transcript,
        ended_at,
        runtime_ms: ended_at.0.saturating_sub(started_at.0).max(0),
        protocol,
        gateway,
    }
}

/// 2026.5.0 and 2026.5.1 lie between the last version measured with the lock and the first
/// without: they get both.
fn protocol(version: Option<Version>) -> WriteProtocol {
    const LAST_LINE_WITH_LOCK: Version = Version::new(2026, 5, 0);
    match version {
        Some(version) if version < LAST_LINE_WITH_LOCK => WriteProtocol::LockFile,
        Some(version) if version >= Version::STORE_WITHOUT_LOCK => WriteProtocol::QuietStore,
        _ => WriteProtocol::Both,
    }
}

fn evidence(context: Context<'_>, lane: &Lane) -> Evidence {
    let now = context.snapshot.taken_at;
    let row = &lane.row;
    let text = |at: UnixMillis| at.to_string();
    let evidence = Evidence::new()
        .with("store", lane.store.path.to_string_lossy().into_owned())
        .maybe("session_id", row.session_id.as_ref().map(|id| id.0.clone()))
        .with("status", "running")
        .maybe("started_at", row.started_at.value().map(text))
        .maybe("age_s", row.started_at.value().map(|at| now.since(at).as_secs()))
        .maybe("ended_at", row.ended_at.value().map(text));
    let evidence = match lane.transcript {
        Transcript::Present { modified_at, .. } => {
            evidence.with("transcript_quiet_s", now.since(modified_at).as_secs())
        }
        Transcript::Missing => evidence.with("transcript", "missing"),
        Transcript::Unreadable => evidence.with("transcript", "unreadable"),
    };
    evidence.maybe(
        "gateway_started_at",
        context.snapshot.gateway.process.map(|process| text(process.started_at)),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::sample::{self, GRACE, NOW, ago, gap, lane, lock, snapshot};
    use crate::model::{
        Era, Field, History, ProcessId, Residue, Sighting, Snapshot, Source, Store, SubjectHistory,
    };
    use crate::policy::settings::sample as sample_policies;

    const DAYS_AGO: u64 = 200_000;
    const AFTER: u64 = 1_200;

    fn rule() -> StaleLane {
        StaleLane {
            mode: Mode::Enforce,
            after: Duration::from_secs(AFTER),
            repair: vec![LaneRepair::Settle],
            silence: Mode::Observe,
        }
    }

    fn judge_with(rule: StaleLane, world: &Snapshot, history: &History) -> Verdict {
        let policies = Policies { stale_lane: rule, ..sample_policies() };
        let context =
            Context { snapshot: world, history, explains_healthy: true, start_grace: GRACE };
        let mut verdicts = super::evaluate(context, &policies, &Lanes::of(world));
        assert_eq!(verdicts.len(), 1, "one verdict for one running lane");
        verdicts.remove(0)
    }

    fn world(lane: Lane) -> Snapshot {
        Snapshot { lanes: vec![lane], lanes_total: 1, ..snapshot() }
    }

    fn line(verdict: &Verdict) -> String {
        format!("{} {}", verdict.decision.name(), verdict.decision.code())
    }

    #[track_caller]
    fn check(lane: Lane, want: &str) {
        check_in(lane, |_| {}, want);
    }

    #[track_caller]
    fn check_in(lane: Lane, change: impl Fn(&mut Snapshot), want: &str) {
        let mut world = world(lane);
        change(&mut world);
        assert_eq!(line(&judge_with(rule(), &world, &sample::history())), want);
    }

    fn with_row(mut lane: Lane, change: impl Fn(&mut crate::model::Row)) -> Lane {
        change(&mut lane.row);
        lane
    }

    /// Older than the gateway, which started 86,400 s ago.
    fn stale() -> Lane {
        lane("agent:main:main", DAYS_AGO)
    }

    fn ended(started_s_ago: u64) -> Lane {
        with_row(lane("agent:main:main", started_s_ago), |row| {
            row.ended_at = Field::Value(ago(started_s_ago - 10));
        })
    }

    fn settled(verdict: &Verdict) -> (i64, i64) {
        match &verdict.decision {
            Decision::Act(Action::Settle(edit), _) => (edit.ended_at.0, edit.runtime_ms),
            other => panic!("a settle, not {other:?}"),
        }
    }

    #[test]
    fn a_run_older_than_its_gateway_is_settled() {
        check(stale(), "act older_than_gateway");
        check(lane("agent:main:main", 86_401), "act older_than_gateway");
        check(lane("agent:main:main", 86_400), "hold silent_so_far");
    }

    #[test]
    fn a_row_with_an_end_is_settled_without_any_restart() {
        check(ended(AFTER), "act ended_but_running");
        check(ended(AFTER - 1), "hold too_young");
    }

    #[test]
    fn a_live_run_is_left_alone_however_old() {
        let mut world = world(lane("agent:main:main", 80_000));
        let alive =
            Sighting::Present { id: sample::GATEWAY, started_at: ago(86_400), is_openclaw: true };
        world.locks = vec![lock("s1.jsonl.lock", alive, 80_000)];
        assert_eq!(line(&judge_with(rule(), &world, &sample::history())), "hold lane_locked");
    }

    #[test]
    fn any_lock_of_the_lane_counts_even_a_dead_one() {
        for lane in [stale(), ended(DAYS_AGO)] {
            for name in ["s1.jsonl.lock", "s1-topic-a.jsonl.lock"] {
                let dead = lock(name, Sighting::Absent, DAYS_AGO);
                let add = |world: &mut Snapshot| world.locks.push(dead.clone());
                check_in(lane.clone(), add, "hold lane_locked");
            }
            let other = lock("s2.jsonl.lock", Sighting::Absent, DAYS_AGO);
            let add = |world: &mut Snapshot| world.locks.push(other.clone());
            let want = line(&judge_with(rule(), &world(lane.clone()), &sample::history()));
            check_in(lane, add, &want);
        }
    }

    #[test]
    fn a_lock_of_the_lane_counts_in_whatever_folder() {
        let mut elsewhere = lock("s1.jsonl.lock", Sighting::Absent, DAYS_AGO);
        elsewhere.path = "/s/agents/main/elsewhere/s1.jsonl.lock".into();
        check_in(stale(), |world| world.locks.push(elsewhere.clone()), "hold lane_locked");
        let outside = with_row(stale(), |row| row.session_file = Some("/out/x.jsonl".into()));
        check(outside.clone(), "act older_than_gateway");
        let unlisted = gap(Source::Locks, "/out/x.jsonl.lock");
        check_in(outside, |world| world.gaps.push(unlisted.clone()), "hold gap");
    }

    #[test]
    fn age_is_taken_from_the_start_and_never_from_the_last_message() {
        let busy = with_row(stale(), |row| row.updated_at = Field::Value(NOW));
        check(busy, "act older_than_gateway");
        let quiet = with_row(ended(60), |row| row.updated_at = Field::Value(ago(DAYS_AGO)));
        check(quiet, "hold too_young");
    }

    #[test]
    fn a_row_that_the_gateway_may_be_resuming_is_left_to_it() {
        let touched =
            |seconds| with_row(stale(), |row| row.updated_at = Field::Value(ago(seconds)));
        let recovers = |version| move |world: &mut Snapshot| world.gateway.version = version;
        for version in [Some(Version::new(2026, 5, 2)), Some(Version::new(2026, 7, 1)), None] {
            check_in(touched(AFTER - 1), recovers(version), "hold row_touched");
            check_in(touched(AFTER), recovers(version), "act older_than_gateway");
            check_in(touched(90_000), recovers(version), "act older_than_gateway");
            let odd = with_row(stale(), |row| row.updated_at = Field::Malformed);
            check_in(odd, recovers(version), "hold malformed");
        }
        let never = recovers(Some(Version::new(2026, 5, 1)));
        check_in(touched(1), never, "act older_than_gateway");
    }

    #[test]
    fn what_the_gateway_still_means_to_do_is_left_to_it() {
        for (residue, want) in [
            (Residue::AbortedLastRun, "hold aborted_last_run"),
            (Residue::RestartRecovery, "hold restart_recovery"),
            (Residue::RecoveryDelivery, "hold restart_recovery"),
            (Residue::PendingFinalDelivery, "hold pending_delivery"),
            (Residue::QuotaSuspension, "hold quota_suspended"),
        ] {
            for lane in [stale(), ended(DAYS_AGO)] {
                check(with_row(lane, |row| row.residue.push(residue)), want);
            }
        }
    }

    #[test]
    fn times_that_make_no_sense_are_left_alone() {
        let start = |at| with_row(stale(), |row| row.started_at = at);
        check(start(Field::Absent), "hold malformed");
        check(start(Field::Malformed), "hold malformed");
        check(start(Field::Value(UnixMillis(0))), "hold malformed");
        check(start(Field::Value(UnixMillis(-5))), "hold malformed");
        check(start(Field::Value(UnixMillis(i64::MAX))), "hold in_future");
        check(start(Field::Value(NOW.plus(Duration::from_secs(6)))), "hold in_future");
        let end = |at| with_row(stale(), |row| row.ended_at = at);
        check(end(Field::Malformed), "hold malformed");
        check(end(Field::Value(UnixMillis(i64::MAX))), "hold in_future");
        check(with_row(stale(), |row| row.session_id = None), "hold malformed");
    }

    #[test]
    fn a_transcript_that_moves_is_a_run_that_lives() {
        let written = |seconds| Transcript::Present { bytes: 1, modified_at: ago(seconds) };
        for lane in [stale(), ended(DAYS_AGO)] {
            check(Lane { transcript: written(59), ..lane.clone() }, "hold transcript_moving");
            check(Lane { trajectory: written(59), ..lane.clone() }, "hold transcript_moving");
            check(Lane { transcript: Transcript::Unreadable, ..lane.clone() }, "hold gap");
            let still = judge_with(
                rule(),
                &world(Lane { transcript: written(60), ..lane }),
                &sample::history(),
            );
            assert!(matches!(still.decision, Decision::Act(..)));
        }
    }

    #[test]
    fn a_gap_in_what_it_rests_on_holds() {
        let store = "/s/agents/main/sessions/sessions.json";
        let folder = "/s/agents/main/sessions";
        for (source, path) in [
            (Source::Sessions, store),
            (Source::Locks, folder),
            (Source::Locks, "/s/agents/main/sessions/x.jsonl.lock"),
            (Source::Processes, "/proc"),
            (Source::Gateway, "/tmp"),
            (Source::Host, "/proc/stat"),
            (Source::Config, "/s/openclaw.json"),
        ] {
            check_in(stale(), |world| world.gaps.push(gap(source, path)), "hold gap");
        }
        let other = gap(Source::Sessions, "/s/agents/other/sessions/sessions.json");
        check_in(stale(), |world| world.gaps.push(other.clone()), "act older_than_gateway");
    }

    #[test]
    fn a_subagent_with_an_open_run_is_left_to_the_registry() {
        let child = || lane("agent:main:subagent:x", DAYS_AGO);
        check(child(), "act older_than_gateway");
        let open = |world: &mut Snapshot| {
            world.open_subagents.insert("agent:main:subagent:x".into());
        };
        check_in(child(), open, "hold subagent_open");
        let unread = |world: &mut Snapshot| world.gaps.push(gap(Source::Subagents, "/s/subagents"));
        check_in(child(), unread, "hold gap");
        check_in(stale(), unread, "act older_than_gateway");
    }

    #[test]
    fn a_command_line_run_that_outlived_a_restart_of_the_gateway_is_left_alone() {
        let runner = |seconds| {
            move |world: &mut Snapshot| {
                world.other_runners.push((ProcessId { pid: 9, start_ticks: 9 }, ago(seconds)));
            }
        };
        check_in(stale(), runner(DAYS_AGO + 5), "hold other_runner");
        // Younger than the run: it cannot have begun it.
        check_in(stale(), runner(DAYS_AGO - 5), "act older_than_gateway");
    }

    #[test]
    fn a_clock_that_was_set_proves_nothing() {
        // A step forward moves the computed start of the process past its own lock.
        let stepped = |world: &mut Snapshot| {
            let process = world.gateway.process.as_mut().unwrap();
            process.started_at = ago(50_000);
            process.locked_at = Some(ago(86_398));
        };
        check_in(stale(), stepped, "hold clock_unproven");
        // A run of this gateway, begun after the lock and before the step.
        check_in(lane("agent:main:main", 80_000), stepped, "hold silent_so_far");

        let mut history = sample::history();
        history.host.as_mut().unwrap().stepped_at = Some(ago(80_000));
        let verdict = judge_with(rule(), &world(stale()), &history);
        assert_eq!(line(&verdict), "hold clock_unproven");
    }

    #[test]
    fn without_a_lock_of_the_gateway_only_our_own_watch_over_the_clock_will_do() {
        let mut world = world(stale());
        world.gateway.process.as_mut().unwrap().locked_at = None;
        let check = |steady_since, want: &str| {
            let mut history = sample::history();
            history.host.as_mut().unwrap().steady_since = steady_since;
            assert_eq!(line(&judge_with(rule(), &world, &history)), want);
        };
        check(ago(86_400), "act older_than_gateway");
        check(ago(86_399), "hold clock_unproven");
    }

    #[test]
    fn nothing_is_settled_without_a_gateway_that_is_up() {
        use crate::model::Status;
        for (status, want) in [
            (Status::Down, "hold gateway_down"),
            (Status::Starting, "hold gateway_starting"),
            (Status::Unknown, "hold gateway_unknown"),
        ] {
            for lane in [stale(), ended(DAYS_AGO)] {
                check_in(lane, |world| world.gateway.status = status, want);
            }
        }
        check_in(stale(), |world| world.gateway.era = Era::Sqlite, "hold era_read_only");
        let newer = Era::Newer { what: String::new() };
        check_in(stale(), |world| world.gateway.era = newer.clone(), "hold era_newer");
    }

    #[test]
    fn a_store_that_is_not_ours_to_write_is_left_alone() {
        let with_facts = |change: &dyn Fn(&mut crate::model::StoreFacts)| {
            let mut lane = stale();
            let mut store = Store::clone(&lane.store);
            change(&mut store.facts);
            lane.store = Arc::new(store);
            lane
        };
        check(with_facts(&|facts| facts.uid = 0), "hold not_owner");
        check(with_facts(&|facts| facts.folder_uid = 0), "hold not_owner");
        check(with_facts(&|facts| facts.is_symlink = true), "hold store_symlink");
        check(with_facts(&|facts| facts.bytes = 64 << 20), "act older_than_gateway");
        check(with_facts(&|facts| facts.bytes = (64 << 20) + 1), "hold store_too_large");
        // 2026.4.15 has a lock file; a store without one must be quiet.
        let busy = with_facts(&|facts| facts.modified_at = ago(1));
        check(busy.clone(), "act older_than_gateway");
        let busy = with_row(busy, |row| row.updated_at = Field::Value(ago(90_000)));
        for version in [Some(Version::new(2026, 5, 2)), Some(Version::new(2026, 5, 1)), None] {
            let set = |world: &mut Snapshot| world.gateway.version = version;
            check_in(busy.clone(), set, "hold store_busy");
        }
    }

    #[test]
    fn each_version_is_written_as_it_wants() {
        let of = |version| protocol(version);
        assert_eq!(of(Some(Version::new(2026, 4, 29))), WriteProtocol::LockFile);
        assert_eq!(of(Some(Version::new(2026, 5, 1))), WriteProtocol::Both);
        assert_eq!(of(Some(Version::new(2026, 5, 2))), WriteProtocol::QuietStore);
        assert_eq!(of(Some(Version::new(2026, 7, 1))), WriteProtocol::QuietStore);
        assert_eq!(of(None), WriteProtocol::Both);
    }

    #[test]
    fn the_end_is_the_last_sign_of_life_and_never_later_than_now() {
        let sign = |transcript| {
            let lane = Lane { transcript, ..stale() };
            settled(&judge_with(rule(), &world(lane), &sample::history()))
        };
        let start = ago(DAYS_AGO).0;
        assert_eq!(sign(Transcript::Missing), (start, 0));
        let written = |at: UnixMillis| sign(Transcript::Present { bytes: 1, modified_at: at });
        assert_eq!(written(ago(DAYS_AGO - 30)), (start + 30_000, 30_000));
        assert_eq!(written(ago(DAYS_AGO + 30)), (start, 0), "written before the run began");
        let verdict = judge_with(rule(), &world(ended(DAYS_AGO)), &sample::history());
        assert_eq!(settled(&verdict), (start + 10_000, 10_000), "an end that is there stays");
    }

    fn quiet_for(seconds: u64, lane: &Lane) -> History {
        let subject = Subject { kind: SubjectKind::Lane, id: lane.key.0.clone() };
        let seen = SubjectHistory {
            incarnation: proof::incarnation(lane),
            first_seen: ago(seconds),
            last_seen: ago(30),
            looks: 2,
            last_look: ago(30),
            last_acted: None,
            acted_incarnation: None,
            ineffective: 0,
        };
        let mut history = sample::history();
        history.subjects.insert((Policy::StaleLane, subject), seen);
        history
    }

    #[test]
    fn silence_proves_something_once_it_has_lasted_and_acts_only_by_name() {
        let lane = lane("agent:main:main", 5_000);
        let enforced = || StaleLane { silence: Mode::Enforce, ..rule() };
        let check = |rule, history: &History, want: &str| {
            assert_eq!(line(&judge_with(rule, &world(lane.clone()), history)), want);
        };
        check(rule(), &sample::history(), "hold silent_so_far");
        check(rule(), &quiet_for(AFTER - 1, &lane), "hold silent_so_far");
        check(rule(), &quiet_for(AFTER, &lane), "observe silent");
        check(enforced(), &quiet_for(AFTER, &lane), "act silent");
        let observed = StaleLane { mode: Mode::Observe, ..enforced() };
        check(observed, &quiet_for(AFTER, &lane), "observe silent");
    }

    #[test]
    fn any_growth_breaks_the_silence() {
        let lane = lane("agent:main:main", 5_000);
        let history = quiet_for(AFTER, &lane);
        let grown = Transcript::Present { bytes: 11, modified_at: ago(100) };
        let verdict = |lane: Lane| line(&judge_with(rule(), &world(lane), &history));
        assert_eq!(verdict(Lane { transcript: grown, ..lane.clone() }), "hold silent_so_far");
        assert_eq!(verdict(Lane { trajectory: grown, ..lane.clone() }), "hold silent_so_far");
        let rerun = with_row(lane, |row| row.started_at = Field::Value(ago(4_999)));
        assert_eq!(verdict(rerun), "hold silent_so_far");
    }

    #[test]
    fn silence_needs_everything_else_to_be_silent_too() {
        let lane = lane("agent:main:main", 5_000);
        let id = ProcessId { pid: 9, start_ticks: 9 };
        let check = |change: &dyn Fn(&mut Snapshot), want: &str| {
            let mut world = world(lane.clone());
            change(&mut world);
            assert_eq!(line(&judge_with(rule(), &world, &quiet_for(AFTER, &lane))), want);
        };
        check(&|world| world.gateway_children.push((id, ago(4_000))), "hold child_younger");
        check(&|world| world.gateway_children.push((id, ago(6_000))), "observe silent");
        check(&|world| world.other_runners.push((id, ago(10))), "hold other_runner");
        check(&|world| world.task_lanes = None, "hold gap");
        let task = |world: &mut Snapshot| {
            world.task_lanes = Some(["agent:main:main".into()].into());
        };
        check(&task, "hold task_active");
    }

    #[test]
    fn an_acp_run_may_be_silent_for_hours() {
        let lane = lane("agent:claude:acp:x", 5_000);
        let verdict = judge_with(rule(), &world(lane.clone()), &quiet_for(AFTER, &lane));
        assert_eq!(line(&verdict), "hold no_proof");
    }

    #[test]
    fn a_mode_that_observes_never_acts_and_no_repair_is_said() {
        let observe = StaleLane { mode: Mode::Observe, silence: Mode::Enforce, ..rule() };
        let verdict = judge_with(observe, &world(stale()), &sample::history());
        assert_eq!(line(&verdict), "observe older_than_gateway");
        let none = StaleLane { repair: Vec::new(), ..rule() };
        let verdict = judge_with(none, &world(stale()), &sample::history());
        assert_eq!(line(&verdict), "hold no_repair");
    }

    #[test]
    fn young_live_runs_are_healthy_and_old_or_proven_ones_are_not() {
        let suspect = |lane: Lane| judge_with(rule(), &world(lane), &sample::history()).suspect;
        assert!(!suspect(lane("agent:main:main", AFTER - 1)));
        assert!(suspect(lane("agent:main:main", AFTER)));
        assert!(suspect(ended(60)), "an end is wrong at any age");
        assert!(suspect(stale()));
    }

    #[test]
    fn rows_that_do_not_say_running_are_not_judged() {
        for status in [LaneStatus::Ended, LaneStatus::Absent, LaneStatus::Unknown] {
            let lane = with_row(stale(), |row| row.status = status.clone());
            let policies = Policies { stale_lane: rule(), ..sample_policies() };
            let (world, history) = (world(lane), sample::history());
            let context = Context {
                snapshot: &world,
                history: &history,
                explains_healthy: true,
                start_grace: GRACE,
            };
            assert!(super::evaluate(context, &policies, &Lanes::of(&world)).is_empty());
        }
    }
}
