use std::time::Duration;

use super::*;
use crate::model::{Configured, Era, Gateway, Status};
use crate::observe::process::captured::Captured;

const NOW: UnixMillis = UnixMillis(1_795_159_292_734);
const GATEWAY: ProcessId = ProcessId { pid: 10, start_ticks: 100 };
const MIB: u64 = 1 << 20;

fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

fn sight(id: Option<ProcessId>, locked_at: Option<UnixMillis>) -> Sight {
    let process = id.map(|id| GatewayProcess {
        id,
        started_at: NOW.minus(minutes(600)),
        locked_at,
        shares_pid_namespace: true,
    });
    let gateway = Gateway {
        state_dir: "/s".into(),
        era: Era::Files,
        version: None,
        status: Status::Up,
        why: String::new(),
        process,
        port: None,
        configured: Configured::default(),
    };
    Sight {
        gateway,
        maintenance: None,
        other_runners: Vec::new(),
        duplicates: Vec::new(),
        gateway_children: Vec::new(),
        gaps: Vec::new(),
    }
}

fn look_at(watch: &mut Watch, captured: &Captured, sight: &Sight, now: UnixMillis) -> Vitals {
    let (table, ledger) = (captured.table(), Ledger::default());
    watch.look(&Scene { table: &table, sight, ledger: &ledger, now })
}

/// Looks once a minute, from `NOW` on, at these amounts of memory in MiB.
fn lows(amounts: impl IntoIterator<Item = u64>) -> Vec<u64> {
    let mut memory = Memory::default();
    for (minute, amount) in (0..).zip(amounts) {
        memory.see(amount * MIB, NOW.plus(minutes(minute)));
    }
    memory.lows.iter().map(|low| low / MIB).collect()
}

#[test]
fn the_least_of_every_five_minutes_is_kept() {
    assert_eq!(lows([9, 7, 8, 9, 9]), [] as [u64; 0]);
    assert_eq!(lows([9, 7, 8, 9, 9, 5]), [7]);
    assert_eq!(lows([9, 7, 8, 9, 9, 5, 4, 6, 6, 6, 8]), [7, 4]);
    assert_eq!(lows(0..10_000).len(), WINDOWS_MAX);
}

#[test]
fn a_clock_that_was_set_or_a_host_that_slept_begins_anew() {
    let mut memory = Memory::default();
    for minute in 0..12 {
        memory.see(MIB, NOW.plus(minutes(minute)));
    }
    assert_eq!(memory.lows.len(), 2);
    memory.see(MIB, NOW.plus(minutes(600)));
    assert_eq!(memory.lows.len(), 0);
    memory.see(MIB, NOW.plus(minutes(605)));
    assert_eq!(memory.lows.len(), 1);
    memory.see(MIB, NOW);
    assert_eq!(memory.lows.len(), 0);
}

#[test]
fn memory_state_and_zombies_are_those_of_the_gateway() {
    let captured = Captured::new();
    captured.process(10, 1, 100, b"openclaw-gateway").file("10/statm", b"9 2 0 0 0 0 0");
    captured.state(10, 'T', 1, 100);
    captured.state(11, 'Z', 10, 200).state(12, 'Z', 10, 200).state(13, 'Z', 1, 200);
    captured.process(14, 10, 200, b"child");
    let mut watch = Watch::default();
    let vitals = look_at(&mut watch, &captured, &sight(Some(GATEWAY), None), NOW);
    assert_eq!((vitals.state, vitals.zombies), (Some('T'), 2));
    assert_eq!(vitals.resident.map(|bytes| bytes % 2), Some(0));
    let vitals = look_at(&mut watch, &captured, &sight(None, None), NOW);
    assert_eq!(vitals, Vitals::default());
}

#[test]
fn the_first_minutes_of_a_gateway_say_nothing_of_its_memory() {
    let captured = Captured::new();
    captured.process(10, 1, 100, b"openclaw-gateway").file("10/statm", b"9 2 0 0 0 0 0");
    let mut watch = Watch::default();
    let mut young = sight(Some(GATEWAY), None);
    young.gateway.process.as_mut().unwrap().started_at = NOW;
    look_at(&mut watch, &captured, &young, NOW.plus(minutes(9)));
    assert_eq!(watch.memory.open, None);
    look_at(&mut watch, &captured, &young, NOW.plus(minutes(10)));
    assert!(watch.memory.open.is_some());
    let other = sight(Some(ProcessId { start_ticks: 101, ..GATEWAY }), None);
    look_at(&mut watch, &Captured::new(), &other, NOW.plus(minutes(11)));
    assert_eq!(watch.memory.open, None, "another process has another memory");
}

#[test]
fn starts_of_processes_come_from_the_ledger_and_those_in_place_from_the_lock() {
    let captured = Captured::new();
    captured.process(10, 1, 100, b"openclaw-gateway");
    let table = captured.table();
    let booted = Captured::BOOTED_AT;
    let now = booted.plus(minutes(60));
    let ticks = |minute: u64| minute * 60 * 100;
    let mut ledger = Ledger::default();
    for (pid, minute) in [(7, 59), (8, 30), (9, 0)] {
        ledger.see_gateway(ProcessId { pid, start_ticks: ticks(minute) }, now);
    }
    let mut watch = Watch::default();
    let mut starts = |locked_at: UnixMillis| {
        let sight = sight(Some(GATEWAY), Some(locked_at));
        watch.look(&Scene { table: &table, sight: &sight, ledger: &ledger, now }).starts
    };
    let of_processes = [booted.plus(minutes(30)), booted.plus(minutes(59))];
    assert_eq!(starts(booted.plus(minutes(20))), of_processes, "what is an hour old is left out");
    assert_eq!(starts(booted.plus(Duration::from_millis(1_200_500))), of_processes, "rounded");
    let again = booted.plus(minutes(40));
    assert_eq!(starts(again), [of_processes[0], again, of_processes[1]]);
    assert_eq!(starts(again).len(), 3);
}

#[cfg(target_os = "linux")]
mod live {
    #![expect(clippy::disallowed_methods, reason = "waits for its own children, with a bound")]

    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    struct Parent(Child);

    impl Drop for Parent {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn children_that_nobody_reaps_are_counted_and_a_stopped_parent_is_seen() {
        // After exec, `sleep` has children of which it knows nothing. They end when our pipe does.
        let script = "exec 3<&0; for i in 1 2 3; do cat <&3 >/dev/null & done; exec sleep 600 3<&-";
        let mut command = Command::new("/bin/sh");
        let child = command.args(["-c", script]).stdin(Stdio::piped()).spawn();
        let mut parent = Parent(child.unwrap());
        let pid = i32::try_from(parent.0.id()).unwrap();
        let (mut table, end) = (Table::new(Path::new("/proc")), Instant::now() + minutes(1));
        let mut watch = Watch::default();
        loop {
            table.refresh(UnixMillis(0)).unwrap();
            if table.get(pid).is_some_and(|process| process.cmdline.starts_with(b"sleep")) {
                break;
            }
            assert!(Instant::now() < end, "no exec");
            std::thread::sleep(Duration::from_millis(5));
        }
        parent.0.stdin = None;
        let mut wait_for = |want: (u32, Option<char>)| loop {
            table.refresh(UnixMillis(0)).unwrap();
            let id = table.get(pid).map(|process| process.id);
            let (sight, ledger) = (sight(id, None), Ledger::default());
            let vitals =
                watch.look(&Scene { table: &table, sight: &sight, ledger: &ledger, now: NOW });
            if (vitals.zombies, vitals.state) == want {
                return vitals;
            }
            assert!(Instant::now() < end, "{vitals:?}");
            std::thread::sleep(Duration::from_millis(5));
        };
        let vitals = wait_for((3, Some('S')));
        assert!(vitals.resident.is_some_and(|bytes| bytes > 100_000), "{vitals:?}");
        let nix_pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(nix_pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
        wait_for((3, Some('T')));
    }
}
