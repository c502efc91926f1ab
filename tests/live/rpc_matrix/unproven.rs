//! What is not provably the gateway of the watched state directory, or does not answer: said, and
//! nothing is done, although lanes hang and are due.

use std::net::TcpListener;

use rustix::process::Signal;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::report::Report;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

/// A daemon that looks for its gateway in the wrong place, or with the wrong token.
pub(super) struct Misled {
    daemon: Daemon,
    name: &'static str,
    /// What it must say.
    word: &'static str,
}

/// One daemon for each way to be wrong, all beside the one gateway. `other`: the home of another
/// gateway, which would let them in.
#[track_caller]
pub(super) fn daemons(home: &Home, config: &str, other: Option<&Home>) -> Vec<Misled> {
    std::fs::write(home.note("other-token"), "not the token").unwrap();
    let token = home.note("other-token").display().to_string();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = |port: u16| format!("url: ws://127.0.0.1:{port}");
    let mut cases = vec![
        ("wrong-token", format!("token_file: {token}"), "unauthorized"),
        ("http", url(home.provider.port), "not_a_gateway"),
        ("closed", url(closed), "refused"),
    ];
    cases.extend(other.map(|other| {
        let token = other.token_file().display().to_string();
        ("other", format!("{}, token_file: {token}", url(other.port)), "wrong_gateway")
    }));
    let start = |(name, gateway, word): (&'static str, String, &'static str)| {
        // None of them has to be quick.
        let config = config.replace("interval: 2s", "interval: 10s");
        let config = format!("{config}gateway: {{ {gateway} }}\n");
        Misled { daemon: Watchdog::with(home, name, &config).daemon(), name, word }
    };
    cases.into_iter().map(start).collect()
}

impl Misled {
    /// It has done nothing in all that time, and says why.
    #[track_caller]
    pub(super) fn assert_harmless(self) {
        let Self { daemon, name, word } = self;
        let passes = daemon.stop();
        passes.iter().for_each(Report::assert_idle);
        let last = passes.last().unwrap_or_else(|| panic!("{name}: no pass"));
        assert!(last.says(word), "{name}: {last:#?}");
    }
}

/// A stopped gateway accepts connections and says nothing; a daemon says that, of the lanes that it sees
/// on disk or of the process, and does nothing.
#[track_caller]
pub(super) fn deaf(gateway: &Gateway, daemon: &Daemon) {
    gateway.process().signal(Signal::STOP);
    // It misses two ticks of half a minute, and then the answer to another hello; that its process was
    // stopped is told after two minutes.
    let is_told = |pass: &Report| pass.says("deaf") || pass.says("is_stopped");
    until("the daemon calls it deaf or stopped", seconds(300), || {
        daemon.passes().last().is_some_and(is_told).then_some(())
    });
    gateway.process().signal(Signal::CONT);
}
