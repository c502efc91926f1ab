//! Processes that look like orphans of the gateway in every way but one, on a busy machine, beside
//! the daemon of a host that nobody watches: every one of them must live.

mod cast;
mod people;

use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::{self, Lab};
use crate::process::Process;
use crate::report::Report;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

use cast::Cast;
use people::People;

const LANE: &str = "agent:main:main";
const PASSES: usize = 10;

#[test]
fn leaves_everything_alone_that_only_looks_like_an_orphan() {
    let Some(lab) = Lab::with_agents("2026.4.15") else { return };
    let home = Home::new(lab);
    let gateway = Gateway::start(&home);
    gateway.turn(LANE);
    let watchdog = Watchdog::unattended(&home);
    let daemon = watchdog.daemon();
    daemon.wait_for_passes(1);
    let mut cast = Cast::start(&home, &gateway);
    let people = People::start(&home);
    let tracer = trace(cast.named("traced"));
    cast.named("stopped").signal(Signal::STOP);
    // So that it has seen them all below the gateway: there is no better proof of ownership.
    daemon.wait_for_passes(2);
    cast.leave();

    let load = Load::start();
    daemon.wait_for_passes(PASSES);
    drop(load);
    let survivors = [cast.lookalikes(), people.all()].concat();
    survivors.iter().for_each(|process| assert!(process.is_alive(), "{process}"));
    // The same in everything, but without what saved the others.
    cast.controls().iter().for_each(|process| assert!(!process.is_alive(), "{process}"));
    let reasons = watchdog.plan_of_all();
    cast.assert_reasons(&reasons);
    people.assert_reasons(&reasons);

    drop(tracer);
    cast.named("stopped").signal(Signal::CONT);
    let saved_so_far = [cast.named("traced"), cast.named("stopped")];
    until("what saved them is gone, and so are they", seconds(60), || {
        saved_so_far.iter().all(|process| !process.is_alive()).then_some(())
    });
    gateway.turn(LANE);
    let passes = Daemon::stop(daemon);
    let mut ended: Vec<_> = passes.iter().flat_map(Report::acts).collect();
    let expected = [cast.controls(), saved_so_far.to_vec()].concat();
    let mut expected: Vec<_> = expected.iter().map(Process::subject).collect();
    ended.sort_unstable();
    expected.sort_unstable();
    assert_eq!(ended, expected);
    for process in survivors.iter().filter(|process| !saved_so_far.contains(process)) {
        assert!(process.is_alive(), "{process}");
    }
}

/// A debugger on a process; it ends with this value.
struct Tracer(Child);

#[track_caller]
fn trace(process: Process) -> Tracer {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "python3"]).arg(lab::script("trace.py"));
    let tracer = Tracer(command.arg(process.pid.to_string()).spawn().unwrap());
    until("the process is traced", seconds(20), || process.is_traced().then_some(()));
    tracer
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// More work than this machine has processors for; it ends with this value.
struct Load(Vec<Child>);

impl Load {
    fn start() -> Self {
        let processors = std::thread::available_parallelism().unwrap().get();
        let busy = |_| {
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "sh", "-c", "while :; do :; done"]);
            command.stdin(Stdio::null()).spawn().unwrap()
        };
        Self((0..2 * processors).map(busy).collect())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for busy in &mut self.0 {
            let _ = busy.kill();
            let _ = busy.wait();
        }
    }
}
