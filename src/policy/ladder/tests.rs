//! Which rung is due, and when there is none.

use super::*;
use crate::model::sample::{GRACE, ago};
use crate::model::{Child, History, LiveLane, RunId, Snapshot, SubjectHistory, Version};
use crate::policy::ground::reach;
use crate::policy::run::Lanes;
use crate::policy::run::sample::{
    BEGAN, KEY, answer, child, held, history, hung, hung_in_sqlite, live, on, says,
};

const NAME: &str = "s1@1";

fn seen(rung: &str, ineffective: u32) -> History {
    let subject = lane_subject(&KEY.into());
    let seen = SubjectHistory {
        incarnation: String::new(),
        first_seen: ago(60),
        last_seen: ago(30),
        looks: 1,
        last_look: ago(30),
        last_acted: Some(ago(1_000)),
        acted_incarnation: Some(format!("{NAME}#{rung}")),
        ineffective,
    };
    History { subjects: [((Policy::HungLane, subject), seen)].into(), ..history() }
}

struct Case {
    world: Snapshot,
    repair: Vec<Rung>,
    is_dead: bool,
    names_all: bool,
}

fn case(version: (u8, u16)) -> Case {
    let mut world = hung();
    on(&mut world, Version::new(2026, version.0, version.1));
    Case { world, repair: Rung::ALL.to_vec(), is_dead: false, names_all: false }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Snapshot)) -> Case {
        change(&mut self.world);
        self
    }

    fn only(self, repair: &[Rung]) -> Case {
        Case { repair: repair.to_vec(), ..self }
    }

    /// As if the version named every run.
    fn naming_all(self) -> Case {
        Case { names_all: true, ..self }
    }

    fn due(&self, history: &History) -> Result<Rung, HoldReason> {
        let context =
            Context { snapshot: &self.world, history, explains_healthy: true, start_grace: GRACE };
        let lanes = Lanes::of(&self.world);
        let key = KEY.into();
        let (run, subject) = (lanes.get(&key).unwrap(), lane_subject(&key));
        let climb = Climb {
            policy: Policy::HungLane,
            subject: &subject,
            name: NAME,
            repair: &self.repair,
            run: &run,
            is_dead: self.is_dead,
        };
        let mut reach = reach(context).unwrap();
        if self.names_all {
            reach.facts.run_ids = crate::model::Reaches::All;
        }
        step(context, &reach, &climb).rung
    }

    #[track_caller]
    fn check(&self, history: &History, want: &str) {
        let found = match self.due(history) {
            Ok(rung) => rung.name().to_owned(),
            Err(why) => format!("hold {}", why.code()),
        };
        assert_eq!(found, want);
    }
}

#[test]
fn begins_with_the_first_that_helps_and_goes_on_once_that_did_not() {
    let case = case((4, 15));
    case.check(&history(), "abort");
    // One that keeps the conversation comes after one try.
    case.check(&seen("abort", 0), "steer");
    case.check(&seen("abort", 1), "steer");
    // One that loses it only after two.
    case.check(&seen("steer", 1), "steer");
    case.check(&seen("steer", 2), "reset");
    case.check(&seen("reset", 1), "reset");
    case.check(&seen("reset", 2), "hold ladder_done");
}

#[test]
fn a_later_rung_never_comes_before_an_earlier_one_was_tried() {
    let case = case((4, 15)).only(&[Rung::Abort, Rung::Reset]);
    case.check(&history(), "abort");
    case.check(&seen("abort", 1), "abort");
    case.check(&seen("abort", 2), "reset");
    // Of another run.
    let mut other = seen("abort", 2);
    for seen in other.subjects.values_mut() {
        seen.acted_incarnation = Some("s1@2#abort".to_owned());
    }
    case.check(&other, "abort");
    for odd in ["s1@1", "s1@1#", "s1@1#settle", "#abort"] {
        let mut odd_history = seen("abort", 2);
        for seen in odd_history.subjects.values_mut() {
            seen.acted_incarnation = Some(odd.to_owned());
        }
        case.check(&odd_history, "abort");
    }
}

#[test]
fn what_the_user_took_out_since_is_not_tried_again() {
    let case = case((4, 15)).only(&[Rung::Steer, Rung::Reset]);
    case.check(&seen("abort", 2), "steer");
    case.check(&seen("new", 2), "hold ladder_done");
}

#[test]
fn a_single_rung_has_two_tries() {
    let case = case((4, 15)).only(&[Rung::Abort]);
    case.check(&history(), "abort");
    case.check(&seen("abort", 1), "abort");
    case.check(&seen("abort", 2), "hold ladder_done");
    case.only(&[]).check(&history(), "hold no_repair");
}

#[test]
fn the_user_is_told_what_is_left_to_him() {
    let case = case((5, 7)).only(&[Rung::Abort, Rung::Steer]);
    let case = case.with(|world| world.vitals.restart_command = Some("systemctl x".to_owned()));
    let text = case.due(&seen("abort", 2)).unwrap_err().to_string();
    assert_eq!(
        text,
        "no repair is left (abort had no effect, 2 times; steer: nothing proves that it helps here \
         on this version); what is left is a restart of the gateway, by you: systemctl x"
    );
}

#[test]
fn of_a_silent_agent_the_user_is_told_which_process_to_end() {
    let key: SessionKey = "agent:opencode:acp:1".into();
    let text = |children: &[(i32, u64)]| {
        let mut world = hung();
        on(&mut world, Version::new(2026, 4, 15));
        world.vitals.restart_command = Some("systemctl x".to_owned());
        let lane = LiveLane { has_active_run: None, ..live(&key.0, "s9") };
        answer(&mut world, |answers| answers.lanes.push(lane));
        let agent = |(pid, age): &(i32, u64)| Child { lane: None, ..child(*pid, *age) };
        world.children = children.iter().map(agent).collect();
        let history = history();
        let (snapshot, history) = (&world, &history);
        let context = Context { snapshot, history, explains_healthy: true, start_grace: GRACE };
        let run = Lanes::of(&world).get(&key).unwrap();
        left_to_the_user(context, &reach(context).unwrap(), &run)
    };
    let restart = "a restart of the gateway, by you: systemctl x";
    let kill = "what frees this lane alone is the end of its agent, by you: kill 77";
    assert_eq!(text(&[(77, BEGAN)]), format!("{kill}; else {restart}"));
    // It was there before the run, so it may be another's.
    assert_eq!(text(&[(77, BEGAN + 600)]), format!("what is left is {restart}"));
    let of_two = text(&[(77, BEGAN), (78, 9)]);
    assert!(of_two.contains("one of the 2 between pid 77 and pid 78"), "{of_two}");
}

#[test]
fn what_does_nothing_on_a_version_is_skipped() {
    let due = |version, repair: &[Rung]| case(version).only(repair).due(&history());
    assert_eq!(due((5, 7), &[Rung::Steer, Rung::Reset]), Ok(Rung::Reset));
    assert_eq!(due((4, 15), &[Rung::Recover, Rung::Steer]), Ok(Rung::Steer));
    assert_eq!(due((7, 1), &[Rung::Steer, Rung::Recover, Rung::New]), Ok(Rung::New));
    // Not run between the races and the clean resets.
    assert!(matches!(due((5, 28), &[Rung::Reset]), Err(HoldReason::LadderDone { .. })));
    // Recover is for what restart recovery has given up.
    let sqlite = Case { world: hung_in_sqlite(), ..case((9, 6)) };
    sqlite.only(&[Rung::Recover]).check(&history(), "hold ladder_done");
}

#[test]
fn a_reset_waits_for_the_lock_where_it_would_empty_the_conversation() {
    let locked = |world: &mut Snapshot| world.locks = vec![held("s1.jsonl.lock", BEGAN)];
    for version in [(3, 24), (4, 15), (5, 7)] {
        let case = case(version).only(&[Rung::Reset]);
        case.check(&history(), "reset");
        case.with(locked).check(&history(), "hold lock_beside_reset");
    }
    case((7, 1)).only(&[Rung::Reset]).with(locked).check(&history(), "reset");
}

#[test]
fn an_abort_names_its_run_or_it_is_known_why_not() {
    let several = |world: &mut Snapshot| {
        says(world, |lane| lane.runs.push(crate::model::RunId("r2".to_owned())));
    };
    case((5, 7)).with(several).check(&history(), "hold run_unknown");
    let none = |world: &mut Snapshot| says(world, |lane| lane.runs.clear());
    case((5, 7)).with(none).check(&history(), "abort");
    case((5, 7)).with(none).naming_all().check(&history(), "hold run_unknown");
    case((5, 7)).naming_all().check(&history(), "abort");
    let case = case((5, 7)).with(several).only(&[Rung::Steer, Rung::Reset]);
    case.check(&history(), "reset");
}

#[test]
fn no_abort_drops_the_messages_that_wait_behind_the_run() {
    let waiting =
        |count: Option<u32>| move |world: &mut Snapshot| says(world, |lane| lane.queued = count);
    for version in [(5, 7), (5, 28), (6, 11), (7, 1)] {
        for count in [None, Some(1), Some(7)] {
            case(version).with(waiting(count)).check(&history(), "hold would_lose_waiting");
        }
        case(version).with(waiting(Some(0))).check(&history(), "abort");
    }
    // These keep them.
    for version in [(3, 24), (4, 15)] {
        case(version).with(waiting(Some(2))).check(&history(), "abort");
    }
    let sqlite = Case { world: hung_in_sqlite(), ..case((9, 6)) };
    sqlite.with(waiting(Some(2))).check(&history(), "abort");
    let text = |count| case((7, 1)).with(waiting(count)).due(&history()).unwrap_err().to_string();
    assert!(text(Some(1)).starts_with("1 message waits behind its run, and on this version"));
    assert!(text(None).starts_with("it is not known how many messages wait behind its run"));
    assert!(text(None).contains("/stop"), "{}", text(None));
}

#[test]
fn a_run_that_another_lane_names_too_is_not_ended() {
    let also = |key: &'static str| {
        move |world: &mut Snapshot| {
            let mut other = live(key, "s2");
            other.runs = vec![RunId("r0".to_owned()), RunId("r1".to_owned())];
            answer(world, |answers| answers.lanes.push(other));
        }
    };
    for version in [(4, 15), (5, 7), (7, 1)] {
        let case = case(version).only(&[Rung::Abort]).with(also("agent:main:other"));
        case.check(&history(), "hold rpc_disagrees");
    }
    let several = [RunId("r1".to_owned())];
    let other = |key: &str, own: &str| {
        let lane = crate::model::LiveLane { runs: several.to_vec(), ..live(key, "s2") };
        crate::model::other_lane_of(&[lane], &several[0], &own.into()).is_some()
    };
    let (job, run) = ("agent:main:cron:j", "agent:main:cron:j:run:s");
    assert!(!other(job, run) && !other(run, job) && !other(job, job));
    assert!(other("agent:main:cron:k", job) && other("agent:main:cron:k:run:s", run));
}

#[test]
fn a_dead_lane_has_rungs_of_its_own() {
    let dead = |version, repair: &[Rung]| Case { is_dead: true, ..case(version).only(repair) };
    dead((4, 15), &[Rung::Abort, Rung::Reset]).check(&history(), "reset");
    dead((5, 7), &[Rung::New]).check(&history(), "hold ladder_done");
    let mut world = hung_in_sqlite();
    says(&mut world, |lane| lane.is_tombstoned = true);
    let tombstoned = Case { world, ..dead((9, 6), &[Rung::Reset, Rung::Recover]) };
    tombstoned.check(&history(), "recover");
}

#[test]
fn a_call_carries_what_it_was_judged_by() {
    let mut world = hung();
    world.locks = vec![held("s1.jsonl.lock", BEGAN)];
    answer(&mut world, |answers| answers.lanes.push(live("agent:main:other", "s2")));
    let history = history();
    let context =
        Context { snapshot: &world, history: &history, explains_healthy: true, start_grace: GRACE };
    let lanes = Lanes::of(&world);
    let key = KEY.into();
    let (run, subject) = (lanes.get(&key).unwrap(), lane_subject(&key));
    let repair = [Rung::Abort];
    let climb = Climb {
        policy: Policy::HungLane,
        subject: &subject,
        name: NAME,
        repair: &repair,
        run: &run,
        is_dead: false,
    };
    let reach = reach(context).unwrap();
    let call = call(context, &reach, &climb, Rung::Abort, None);
    assert_eq!(call.lock.as_deref(), Some(world.locks[0].path.as_path()));
    assert_eq!((call.queued, call.version), (Some(0), Version::new(2026, 5, 7)));
    assert_eq!(call.run, Some(RunId("r1".to_owned())));
    assert_eq!(call.gateway, crate::model::sample::GATEWAY);
    assert_eq!(call.session_id, Some("s1".into()));
    assert_eq!(call.settle_within, Duration::from_secs(30));
    assert_eq!(incarnation(NAME, Some(&step(context, &reach, &climb))), "s1@1#abort");
}
