//! Ordinary load on a gateway, and how it bore it.

use std::process::{Child, Stdio};

use serde::Deserialize;

use crate::home::Home;
use crate::lab;

/// Four lanes that talk; they end with this value.
pub(crate) struct Load(Child);

/// What became of the turns.
#[derive(Debug, Deserialize)]
pub(crate) struct Tally {
    pub(crate) ok: u64,
    pub(crate) failed: Vec<String>,
    /// How long each turn took that its provider answered at once.
    quick_ms: Vec<u64>,
}

impl Load {
    /// Talks for so many seconds, and then until every lane has its last answer.
    pub(crate) fn start(home: &Home, seconds: u64) -> Self {
        let mut command = home.lab.node();
        command.arg(lab::script("busy.mjs")).arg(home.port.to_string()).arg(home.token_file());
        Self(command.arg(seconds.to_string()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Waits for the last answer.
    #[track_caller]
    pub(crate) fn end(mut self) -> Tally {
        let mut said = String::new();
        let mut stdout = self.0.stdout.take().expect("a pipe");
        std::io::Read::read_to_string(&mut stdout, &mut said).unwrap();
        assert!(self.0.wait().unwrap().success(), "the load ends well");
        serde_json::from_str(&said).unwrap()
    }
}

impl Tally {
    /// Half of the quick turns took at most so long.
    #[track_caller]
    pub(crate) fn median_ms(&self) -> u64 {
        let mut sorted = self.quick_ms.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied().expect("quick turns")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // A no-op after `end`.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
