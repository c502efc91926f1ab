//! `dead_lock`: release transcript locks whose holder is gone (#68823, #49603, #86311).
//!
//! The gateway takes `<session>.jsonl.lock` for a run and removes it afterwards. A process that
//! was killed leaves it behind, and every turn of that session waits for a process that no
//! longer exists. A gateway cleans its own dead locks when it starts; what is left for us are
//! locks of other processes, such as a killed `openclaw agent --local`, beside a live gateway.

use std::time::Duration;

use crate::model::{
    ActReason, Action, Claim, Decision, Evidence, HoldReason, Lock, Looks, Mode, Payload, Sighting,
    Source, Subject, SubjectKind, UnixMillis, Verdict,
};

use super::ground::ground;
use super::settings::DeadLock;
use super::{Context, Holder, holder};

/// An incomplete payload younger than this is one being written. 2026.6.11 and later allow the
/// writer 30 s, earlier versions less.
const WRITING: Duration = Duration::from_secs(30);

/// Judges every lock, in the snapshot's order.
pub(super) fn evaluate(context: Context<'_>, rule: &DeadLock) -> Vec<Verdict> {
    context.snapshot.locks.iter().filter_map(|lock| verdict(context, rule, lock)).collect()
}

/// Returns nothing for a healthy lock where those are not wanted: most are, and there may be thousands.
fn verdict(context: Context<'_>, rule: &DeadLock, lock: &Lock) -> Option<Verdict> {
    let judged = judge(context, rule, lock);
    (judged.suspect || context.explains_healthy).then(|| Verdict {
        policy: crate::model::Policy::DeadLock,
        subject: Subject { kind: SubjectKind::Lock, id: lock.path.to_string_lossy().into_owned() },
        incarnation: incarnation(lock),
        suspect: judged.suspect,
        looks: judged.looks,
        decision: judged.decision,
        evidence: evidence(context, lock),
    })
}

struct Judged {
    suspect: bool,
    looks: Looks,
    decision: Decision,
}

fn judge(context: Context<'_>, rule: &DeadLock, lock: &Lock) -> Judged {
    let now = context.snapshot.taken_at;
    let hold = |suspect, why| Judged { suspect, looks: Looks::One, decision: Decision::Hold(why) };
    let Payload::Claim(claim, seen) = lock.payload else {
        let suspect = now.since(lock.modified_at) >= WRITING;
        return hold(suspect, HoldReason::PayloadIncomplete);
    };
    let (reason, looks) = match holder_of(context, &claim, &seen) {
        Holder::Alive(id) => return hold(false, HoldReason::HolderAlive { id }),
        Holder::Unknown => return hold(true, HoldReason::HolderUnknown),
        Holder::Dead => (ActReason::HolderDead { pid: claim.pid }, Looks::One),
        Holder::Recycled => (ActReason::HolderRecycled { pid: claim.pid }, Looks::One),
        Holder::SeemsRecycled => (ActReason::HolderRecycled { pid: claim.pid }, Looks::Confirmed),
    };
    match release(context, rule, lock, &claim) {
        Err(why) => hold(true, why),
        Ok(action) => Judged {
            suspect: true,
            looks,
            decision: match rule.mode {
                Mode::Enforce => Decision::Act(action, reason),
                Mode::Observe | Mode::Off => Decision::Observe(action, reason),
            },
        },
    }
}

fn holder_of(context: Context<'_>, claim: &Claim, seen: &Sighting) -> Holder {
    let booted_at = context.snapshot.host.booted_at;
    let steady_since =
        context.history.host.as_ref().map_or(UnixMillis(i64::MAX), |host| host.steady_since);
    holder(claim, seen, booted_at, steady_since)
}

/// The release of a lock whose holder is dead, or what still stands against it.
fn release(
    context: Context<'_>,
    rule: &DeadLock,
    lock: &Lock,
    claim: &Claim,
) -> Result<Action, HoldReason> {
    let snapshot = context.snapshot;
    if let Some(gap) = snapshot.gap_at(Source::Locks, &lock.path) {
        return Err(HoldReason::Gap { source: gap.source.name(), reason: gap.reason.clone() });
    }
    let gateway = ground(context)?;
    // What is kept of an action names the file as text. The gateway's own names are UUIDs.
    if lock.path.to_str().is_none() {
        return Err(HoldReason::Malformed { field: "its name" });
    }
    let age = snapshot.taken_at.since(claim.created_at.max(lock.modified_at));
    if age < rule.min_age {
        return Err(HoldReason::TooYoung { age, after: rule.min_age });
    }
    for uid in [lock.uid, lock.folder_uid] {
        if uid != snapshot.host.euid {
            return Err(HoldReason::NotOwner { uid });
        }
    }
    Ok(Action::ReleaseLock {
        path: lock.path.clone(),
        holder_pid: claim.pid,
        expected: lock.stamp.clone(),
        gateway: gateway.id,
    })
}

fn incarnation(lock: &Lock) -> String {
    let claimed = match lock.payload {
        Payload::Claim(claim, _) => claim.created_at.0,
        Payload::Incomplete => lock.modified_at.0,
    };
    format!("{}:{}:{claimed}", lock.stamp.dev, lock.stamp.ino)
}

fn evidence(context: Context<'_>, lock: &Lock) -> Evidence {
    let now = context.snapshot.taken_at;
    let evidence = Evidence::new()
        .with("agent", lock.agent.0.clone())
        .with("modified_at", lock.modified_at.to_string());
    let Payload::Claim(claim, seen) = lock.payload else {
        return evidence.with("payload_bytes", lock.stamp.bytes.len());
    };
    let evidence = evidence
        .with("holder_pid", claim.pid)
        .maybe("holder_start_ticks", claim.start_ticks)
        .with("created_at", claim.created_at.to_string())
        .with("age_s", now.since(claim.created_at).as_secs())
        .maybe("max_hold_ms", claim.max_hold_ms);
    match seen {
        Sighting::Absent => evidence.with("seen", "no such process"),
        Sighting::Hidden => evidence.with("seen", "cannot be told"),
        Sighting::Present { id, is_openclaw, .. } => evidence
            .with("seen", if is_openclaw { "an OpenClaw process" } else { "another program" })
            .with("seen_start_ticks", id.start_ticks),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::sample::{self, GRACE, ago, gap, lock, snapshot};
    use crate::model::{Era, History, HostRecord, ProcessId, Snapshot, Status};

    const GONE: Sighting = Sighting::Absent;

    fn born_at_tick(start_ticks: u64) -> Sighting {
        let id = ProcessId { pid: 7, start_ticks };
        Sighting::Present { id, started_at: ago(90_000), is_openclaw: true }
    }

    fn judge_in(snapshot: &Snapshot, history: &History) -> Verdict {
        let rule = DeadLock { mode: Mode::Enforce, min_age: Duration::from_secs(30) };
        let context = Context { snapshot, history, explains_healthy: true, start_grace: GRACE };
        let mut verdicts = evaluate(context, &rule);
        assert_eq!(verdicts.len(), 1, "one verdict for one lock");
        verdicts.remove(0)
    }

    fn line(verdict: &Verdict) -> String {
        format!("{} {}", verdict.decision.name(), verdict.decision.code())
    }

    #[track_caller]
    fn check(lock: Lock, want: &str) {
        check_in(lock, |_| {}, want);
    }

    #[track_caller]
    fn check_in(lock: Lock, change: impl Fn(&mut Snapshot), want: &str) {
        let mut world = snapshot();
        world.locks = vec![lock];
        change(&mut world);
        assert_eq!(line(&judge_in(&world, &sample::history())), want);
    }

    #[test]
    fn releases_the_lock_of_a_dead_holder_once_it_is_old_enough() {
        check(lock("a.jsonl.lock", GONE, 29), "hold too_young");
        check(lock("a.jsonl.lock", GONE, 30), "act holder_dead");
        check(lock("a.jsonl.lock", GONE, 999_999), "act holder_dead");
    }

    #[test]
    fn both_the_claim_and_the_file_must_be_old() {
        let rewritten = Lock { modified_at: ago(5), ..lock("a.jsonl.lock", GONE, 600) };
        check(rewritten, "hold too_young");
    }

    #[test]
    fn is_not_fooled_by_a_reused_pid() {
        check(lock("a.jsonl.lock", born_at_tick(98), 30), "act holder_recycled");
    }

    #[test]
    fn leaves_the_lock_of_a_live_holder_however_old() {
        let old = lock("a.jsonl.lock", born_at_tick(99), 999_999);
        // Before this boot: the ticks agree, but the times do not.
        check(old, "hold holder_unknown");
        check(lock("a.jsonl.lock", born_at_tick(99), 90_000), "hold holder_alive");
    }

    #[test]
    fn leaves_a_lock_it_cannot_judge() {
        check(lock("a.jsonl.lock", Sighting::Hidden, 9_999), "hold holder_unknown");
        let torn = Lock { payload: Payload::Incomplete, ..lock("a.jsonl.lock", GONE, 9_999) };
        check(torn, "hold payload_incomplete");
    }

    #[test]
    fn treats_a_lock_from_the_future_as_new() {
        let mut future = lock("a.jsonl.lock", GONE, 9_999);
        if let Payload::Claim(claim, _) = &mut future.payload {
            claim.created_at = sample::NOW.plus(Duration::from_secs(60));
        }
        check(future, "hold too_young");
    }

    #[test]
    fn never_without_a_gateway_that_is_up() {
        for (status, want) in [
            (Status::Down, "hold gateway_down"),
            (Status::Starting, "hold gateway_starting"),
            (Status::Unknown, "hold gateway_unknown"),
        ] {
            check_in(lock("a.jsonl.lock", GONE, 600), |world| world.gateway.status = status, want);
        }
        let unproven = |world: &mut Snapshot| world.gateway.process = None;
        check_in(lock("a.jsonl.lock", GONE, 600), unproven, "hold gateway_unknown");
    }

    #[test]
    fn never_across_pid_namespaces() {
        let foreign = |world: &mut Snapshot| {
            world.gateway.process.as_mut().unwrap().shares_pid_namespace = false;
        };
        check_in(lock("a.jsonl.lock", GONE, 600), foreign, "hold foreign_namespace");
    }

    #[test]
    fn never_within_start_grace_of_process_or_lock() {
        let started = |process: u64, locked: u64| {
            move |world: &mut Snapshot| {
                let gateway = world.gateway.process.as_mut().unwrap();
                gateway.started_at = ago(process);
                gateway.locked_at = Some(ago(locked));
            }
        };
        let old = || lock("a.jsonl.lock", GONE, 600);
        check_in(old(), started(361, 360), "act holder_dead");
        check_in(old(), started(360, 359), "hold start_grace");
        // An in-process restart keeps the process and takes the lock anew.
        check_in(old(), started(90_000, 10), "hold start_grace");
    }

    #[test]
    fn a_slow_start_counts_from_when_the_gateway_was_last_seen_not_to_be_up() {
        let mut world = snapshot();
        world.locks = vec![lock("a.jsonl.lock", GONE, 600)];
        let check = |not_up, want: &str| {
            let history = History { not_up, ..sample::history() };
            assert_eq!(line(&judge_in(&world, &history)), want);
        };
        check(Some((sample::GATEWAY, ago(359))), "hold start_grace");
        check(Some((sample::GATEWAY, ago(360))), "act holder_dead");
        let before = ProcessId { pid: 4711, start_ticks: 1 };
        check(Some((before, ago(1))), "act holder_dead");
    }

    #[test]
    fn never_just_after_a_resume_or_a_clock_step() {
        let mut world = snapshot();
        world.locks = vec![lock("a.jsonl.lock", GONE, 600)];
        let host = sample::history().host.unwrap();
        let check = |host: HostRecord, want: &str| {
            let history = History { host: Some(host), ..History::default() };
            assert_eq!(line(&judge_in(&world, &history)), want);
        };
        check(HostRecord { resumed_at: Some(ago(359)), ..host.clone() }, "hold resume_grace");
        check(HostRecord { resumed_at: Some(ago(360)), ..host.clone() }, "act holder_dead");
        check(HostRecord { stepped_at: Some(ago(359)), ..host }, "hold clock_grace");
    }

    #[test]
    fn never_on_an_era_that_is_not_understood() {
        let old = || lock("a.jsonl.lock", GONE, 600);
        let newer = Era::Newer { what: String::new() };
        let unknown = Era::Unknown { why: String::new() };
        check_in(old(), |world| world.gateway.era = newer.clone(), "hold era_newer");
        check_in(old(), |world| world.gateway.era = unknown.clone(), "hold era_unknown");
        check_in(old(), |world| world.gateway.era = Era::Hybrid, "act holder_dead");
    }

    #[test]
    fn never_on_a_gap_in_what_it_rests_on() {
        let old = || lock("a.jsonl.lock", GONE, 600);
        for source in [Source::Host, Source::Processes, Source::Gateway] {
            check_in(old(), |world| world.gaps.push(gap(source, "/proc")), "hold gap");
        }
        let folder = "/s/agents/main/sessions";
        check_in(old(), |world| world.gaps.push(gap(Source::Locks, folder)), "hold gap");
        let elsewhere = "/s/agents/other/sessions";
        check_in(old(), |world| world.gaps.push(gap(Source::Locks, elsewhere)), "act holder_dead");
    }

    #[test]
    fn never_a_file_or_folder_of_another_user() {
        let theirs = Lock { uid: 0, ..lock("a.jsonl.lock", GONE, 600) };
        check(theirs, "hold not_owner");
        let in_theirs = Lock { folder_uid: 0, ..lock("a.jsonl.lock", GONE, 600) };
        check(in_theirs, "hold not_owner");
    }

    #[test]
    fn never_while_openclaw_maintenance_runs() {
        let doctor = |world: &mut Snapshot| {
            world.maintenance = Some(ProcessId { pid: 9, start_ticks: 9 });
        };
        check_in(lock("a.jsonl.lock", GONE, 600), doctor, "hold maintenance_running");
    }

    #[test]
    fn what_only_clocks_tell_wants_a_second_look() {
        let mut untimed = lock("a.jsonl.lock", born_at_tick(98), 95_000);
        if let Payload::Claim(claim, _) = &mut untimed.payload {
            claim.start_ticks = None;
        }
        let mut world = snapshot();
        world.locks = vec![untimed];
        let verdict = judge_in(&world, &sample::history());
        assert_eq!(
            (line(&verdict).as_str(), verdict.looks),
            ("act holder_recycled", Looks::Confirmed)
        );
    }

    #[test]
    fn a_live_lock_is_healthy_and_a_dead_one_is_not() {
        let suspect = |lock: Lock| {
            let mut world = snapshot();
            world.locks = vec![lock];
            judge_in(&world, &sample::history()).suspect
        };
        assert!(!suspect(lock("a.jsonl.lock", born_at_tick(99), 90_000)));
        assert!(suspect(lock("a.jsonl.lock", GONE, 1)));
        let torn = |age| Lock { payload: Payload::Incomplete, ..lock("a.jsonl.lock", GONE, age) };
        assert!(!suspect(torn(29)));
        assert!(suspect(torn(30)));
    }

    #[test]
    fn a_file_whose_name_is_no_text_is_left_alone() {
        use std::os::unix::ffi::OsStrExt;
        let mut lock = lock("x.jsonl.lock", Sighting::Absent, 3_600);
        check(lock.clone(), "act holder_dead");
        let name = std::ffi::OsStr::from_bytes(b"x\xff.jsonl.lock");
        lock.path = lock.path.with_file_name(name);
        check(lock, "hold malformed");
    }
}
