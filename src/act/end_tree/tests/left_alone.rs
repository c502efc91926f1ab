//! What must run on, and who must never notice anything.

use std::cell::Cell;
use std::fs;

use rustix::process::Signal;

use super::note;
use super::world::{
    self, Bent, CLOSED, Grove, ID, RECORD, SENTINEL, Stage, THREE, record, signal, until,
};
use crate::act::end_tree::pinned::{Pin, pin};
use crate::act::end_tree::*;

#[test]
fn a_guard_on_what_a_handler_of_sigterm_starts_leaves_the_rest_alone() {
    let script = r#"trap 'sleep 600 &' TERM; echo > "$DIR/ready"; while :; do sleep 0.1; done"#;
    let (grove, stage) = (Grove::grow(script, 2), Stage::new());
    until("the trap is set", || grove.path("ready").exists());
    let end = TreeEnd { term_wait: Duration::from_millis(500), ..grove.tree_end() };
    let is_told = Cell::new(false);
    let census = Bent {
        bend: &|_, tree| {
            if let Some(last) = tree.last_mut().filter(|_| is_told.get()) {
                last.guards.push(Guard::ToolShell);
            }
        },
        ..Bent::default()
    };
    let before = |step| is_told.set(is_told.get() || step == Step::Continue);
    let performed = stage.end_with(&end, &census, &before).unwrap();
    assert_eq!(performed.outcome, Outcome::Unverified, "{performed:?}");
    assert!(
        note(&performed).ends_with("is a tool that runs, or its shell, so the rest was left alone")
    );
    assert!(!grove.look().is_empty());
    grove.check_nothing_stands_still();
}

#[test]
fn another_boot_or_a_judgement_that_does_not_hold_signals_nobody() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let mut end = grove.tree_end();
    let census = Bent { judge: &|_| Err("it has been reached".to_owned()), ..Bent::default() };
    let performed = stage.end_with(&end, &census, &|step| panic!("{step:?}")).unwrap();
    assert_eq!(performed, Performed::changed("it has been reached"));
    end.boot = crate::model::BootId("another".to_owned());
    let performed = stage.end_with(&end, &Bent::default(), &|step| panic!("{step:?}")).unwrap();
    assert_eq!(performed, Performed::changed("the host has been started anew"));
    grove.check_unharmed();
}

#[test]
fn a_guard_on_any_of_them_at_any_look_leaves_all_of_them_running() {
    for (nth, at) in [(1, 0), (1, 2), (2, 1), (3, 0), (3, 2)] {
        let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
        let census = Bent {
            bend: &|look, tree| {
                if look == nth {
                    tree[at].guards.push(Guard::Terminal);
                }
            },
            ..Bent::default()
        };
        let performed = stage.end_with(&grove.tree_end(), &census, &|_| {}).unwrap();
        let pid = grove.ids()[at].pid;
        assert_eq!(performed, Performed::changed(format!("pid {pid} has a terminal")));
        grove.check_unharmed();
    }
}

#[test]
fn a_process_table_that_cannot_be_read_leaves_all_of_them_running() {
    struct Blind(Bent<'static>, Cell<usize>, usize);
    impl crate::act::Census for Blind {
        fn judge(&self, end: &TreeEnd, held: &[ProcessId]) -> Result<(), String> {
            self.0.judge(end, held)
        }
        fn tree(&self, known: &[ProcessId], held: &[ProcessId]) -> Result<Vec<Member>, String> {
            self.1.set(self.1.get() + 1);
            if self.1.get() == self.2 { Err("no".to_owned()) } else { self.0.tree(known, held) }
        }
        fn memory(&self, id: ProcessId) -> Option<u64> {
            self.0.memory(id)
        }
    }
    for nth in 1..=3 {
        let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
        let census = Blind(Bent::default(), Cell::new(0), nth);
        let performed = stage.end_with(&grove.tree_end(), &census, &|_| {}).unwrap();
        assert_eq!(performed, Performed::changed("no"));
        grove.check_unharmed();
    }
}

#[test]
fn a_root_that_is_reached_while_it_stands_still_runs_on() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let mut end = grove.tree_end();
    let close = record(grove.folder.path());
    let census = Bent {
        judge: &|nth| {
            if nth == 1 {
                return Ok(());
            }
            assert!(grove.look().iter().all(|(_, state)| *state == 'T'), "all stand still");
            assert_eq!(fs::read_to_string(&close.path).unwrap(), CLOSED);
            Err("somebody can hear it".to_owned())
        },
        ..Bent::default()
    };
    end.record = Some(close.clone());
    let performed = stage.end_with(&end, &census, &|_| {}).unwrap();
    assert_eq!(performed, Performed::changed("somebody can hear it"));
    grove.check_unharmed();
    assert_eq!(fs::read_to_string(&close.path).unwrap(), RECORD);
    assert_eq!(crate::act::file::stamp(&close.path).unwrap(), close.expected, "the very file");
}

#[test]
fn one_that_somebody_else_has_stopped_stays_so_and_the_rest_runs_on() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let ids = grove.ids();
    // The look does not see it: it is stopped after that.
    let census = Bent {
        bend: &|_, tree| tree.iter_mut().for_each(|member| member.guards.clear()),
        ..Bent::default()
    };
    let end = grove.tree_end();
    signal(ids[2], Signal::STOP);
    until("it stands still", || grove.look()[2].1 == 'T');
    let performed = stage.end_with(&end, &census, &|_| {}).unwrap();
    let want = format!("pid {} was stopped by somebody", ids[2].pid);
    assert_eq!(performed, Performed::changed(want));
    let states: Vec<_> = grove.look().into_iter().map(|(_, state)| state).collect();
    assert!(states[0] != 'T' && states[1] != 'T' && states[2] == 'T', "{states:?}");
}

#[test]
fn a_pid_that_belongs_to_another_process_now_is_never_signalled() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let stranger = Grove::grow("trap 'echo > $DIR/hit' CONT TERM; while :; do sleep 0.1; done", 2);
    let recycled = ProcessId { start_ticks: stranger.root.start_ticks - 1, ..stranger.root };
    for look in [1, 2, 3] {
        let census = Bent {
            bend: &|nth, tree| {
                if nth >= look {
                    let last = tree.last().unwrap().clone();
                    tree.push(Member { id: recycled, ..last });
                }
            },
            ..Bent::default()
        };
        let performed = stage.end_with(&grove.tree_end(), &census, &|_| {}).unwrap();
        let want = format!("pid {} is another process now", recycled.pid);
        assert_eq!(performed, Performed::changed(want));
        grove.check_unharmed();
        fs::remove_dir_all(stage.quarantine.path().join("7")).unwrap();
    }
    assert!(!stranger.path("hit").exists());
    stranger.check_nothing_stands_still();
}

#[test]
fn neither_init_nor_ourselves_nor_what_is_above_us_is_ever_signalled() {
    let own = i32::try_from(std::process::id()).unwrap();
    let parent = Stat::of(own).unwrap().unwrap().parent;
    let said = Grove::grow("exec sleep 600", 1);
    for pid in [1, 2, own, parent, said.root.pid] {
        let Some(stat) = Stat::of(pid).unwrap() else { continue };
        let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
        let id = ProcessId { pid, start_ticks: stat.start_ticks };
        let census = Bent {
            bend: &|_, tree| {
                let last = tree.last().unwrap().clone();
                tree.push(Member { id, ..last });
            },
            ..Bent::default()
        };
        let actuator = stage.actuator(&census, &|_| {});
        let actuator = Actuator { own: Some(said.root), ..actuator };
        let performed = actuator.perform(ID, &world::action(&grove.tree_end())).unwrap();
        let want = format!("pid {pid} is clawarden or above it");
        assert_eq!(performed, Performed::changed(want));
        grove.check_unharmed();
    }
    said.check_unharmed();
}

#[test]
fn what_has_ended_is_gone_reaped_or_not() {
    let grove = Grove::grow("exec sleep 600", 1);
    assert!(matches!(pin(grove.root), Ok(Pin::Held(..))));
    signal(grove.root, Signal::KILL);
    until("it is a zombie", || Stat::of(grove.root.pid).unwrap().unwrap().state == 'Z');
    assert!(matches!(pin(grove.root), Ok(Pin::Gone)));
    let id = grove.root;
    drop(grove);
    // Unless somebody has got its pid already.
    assert!(matches!(pin(id), Ok(Pin::Gone | Pin::Another)));
}

#[test]
fn a_thread_of_another_process_is_never_signalled() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let (send, receive) = std::sync::mpsc::channel::<()>();
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        let thread = fs::read_link("/proc/thread-self").unwrap();
        tell.send(thread.file_name().unwrap().to_str().unwrap().parse::<i32>().unwrap()).unwrap();
        receive.recv().unwrap();
    });
    let pid = told.recv().unwrap();
    let start_ticks = Stat::of(pid).unwrap().unwrap().start_ticks;
    let census = Bent {
        bend: &|_, tree| {
            let last = tree.last().unwrap().clone();
            tree.push(Member { id: ProcessId { pid, start_ticks }, ..last });
        },
        ..Bent::default()
    };
    let performed = stage.end_with(&grove.tree_end(), &census, &|_| {}).unwrap();
    assert_eq!(performed, Performed::changed(format!("pid {pid} is another process now")));
    grove.check_unharmed();
    send.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_tree_with_too_many_processes_is_left_alone() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let census = Bent {
        bend: &|look, tree| {
            let last = tree.last().unwrap().clone();
            if look > 1 {
                tree.resize(frozen::MEMBERS_MAX + 1, last);
            }
        },
        ..Bent::default()
    };
    let performed = stage.end_with(&grove.tree_end(), &census, &|_| {}).unwrap();
    assert_eq!(performed, Performed::changed("it has more than 512 processes"));
    grove.check_unharmed();
}

#[test]
fn a_tree_that_grows_faster_than_it_is_stopped_runs_on() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let others: Vec<_> = (0..17).map(|_| Grove::grow("exec sleep 600", 1)).collect();
    let census = Bent {
        bend: &|look, tree| {
            let last = tree.last().unwrap().clone();
            let more = others.iter().take(look).map(|other| other.root);
            tree.extend(more.map(|id| Member { id, ..last.clone() }));
        },
        ..Bent::default()
    };
    let performed = stage.end_with(&grove.tree_end(), &census, &|_| {}).unwrap();
    assert_eq!(performed, Performed::changed("it keeps starting processes"));
    grove.check_unharmed();
    others.iter().for_each(Grove::check_unharmed);
}

#[test]
fn a_hurry_before_anything_was_told_to_end_leaves_all_of_them_running() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let census = Bent::default();
    let asked = Cell::new(0);
    let hurry = || {
        asked.set(asked.get() + 1);
        asked.get() > 1
    };
    let actuator = Actuator { hurry: &hurry, ..stage.actuator(&census, &|_| {}) };
    let performed = actuator.perform(ID, &world::action(&grove.tree_end())).unwrap();
    assert_eq!(performed, Performed::changed("asked to stop"));
    grove.check_unharmed();
}

#[test]
fn a_record_that_the_gateway_writes_at_any_step_keeps_its_processes() {
    for at in [Step::Begin, Step::WriteAside, Step::Move, Step::Compare, Step::Stop] {
        let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
        let close = record(grove.folder.path());
        let theirs = RECORD.replace("[]", "[1]");
        let before = |step| {
            if step == at {
                let temporary = grove.path("x.tmp");
                fs::write(&temporary, &theirs).unwrap();
                fs::rename(temporary, &close.path).unwrap();
            }
        };
        let end = TreeEnd { record: Some(close.clone()), ..grove.tree_end() };
        let performed = stage.end_with(&end, &Bent::default(), &before).unwrap();
        assert_eq!(performed.outcome, Outcome::Changed, "{at:?} {performed:?}");
        grove.check_unharmed();
        assert_eq!(fs::read_to_string(&close.path).unwrap(), theirs, "{at:?}");
        assert_eq!(fs::read_dir(grove.folder.path()).unwrap().count(), 1, "{at:?}");
    }
}

#[test]
fn a_record_that_cannot_be_edited_keeps_its_processes() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    let close =
        crate::model::RecordClose { record_id: "x".to_owned(), ..record(grove.folder.path()) };
    let end = TreeEnd { record: Some(close), ..grove.tree_end() };
    let error = stage.end_with(&end, &Bent::default(), &|step| panic!("{step:?}")).unwrap_err();
    assert!(matches!(error, ActError::EditRecord { .. }), "{error}");
    grove.check_unharmed();
}

#[test]
fn without_a_note_on_disk_nobody_is_stopped() {
    let (grove, stage) = (Grove::grow(THREE, 3), Stage::new());
    fs::write(stage.quarantine.path().join("7"), "in the way").unwrap();
    let error = stage.end(&grove.tree_end()).unwrap_err();
    assert!(matches!(error, ActError::Quarantine { .. }), "{error}");
    grove.check_unharmed();
}

#[test]
fn a_bystander_in_the_same_process_group_notices_nothing() {
    check_bystander("", "; 2 had to be killed");
    check_bystander("trap '' TERM", "; 4 had to be killed");
}

/// The bystander has lost its parent, so it is no part of the tree; the root, which first does
/// `trap`, is all that binds their group to its session.
#[track_caller]
fn check_bystander(trap: &str, killed: &str) {
    let bystander = format!(r#"echo $$ > "$DIR/by" && mv "$DIR/by" "$DIR/pid"; {SENTINEL}"#);
    let script = format!(
        r#"sh -c "sh $DIR/bystander &"; {trap}
        sh -c 'trap "" TERM; sleep 600; :' & sleep 600 & wait"#
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bystander"), bystander).unwrap();
    let grove = Grove::grow_in(folder, &script, 4);
    until("the bystander has come", || grove.path("beats").exists());
    let pid = fs::read_to_string(grove.path("pid")).unwrap().trim().parse().unwrap();
    let start_ticks = Stat::of(pid).unwrap().unwrap().start_ticks;
    let _cleared = Cleared(ProcessId { pid, start_ticks });

    let end = TreeEnd { term_wait: Duration::from_millis(300), ..grove.tree_end() };
    let performed = Stage::new().end(&end).unwrap();
    assert_eq!(performed.outcome, Outcome::Done, "{performed:?}");
    assert!(note(&performed).ends_with(killed), "{performed:?}");
    grove.check_gone();
    grove.check_unnoticed();
}

/// Ends with the test.
struct Cleared(ProcessId);

impl Drop for Cleared {
    fn drop(&mut self) {
        signal(self.0, Signal::KILL);
    }
}
