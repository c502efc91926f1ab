//! The fake model provider of one home.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::Value;

use crate::lab::{self, Lab};
use crate::wait::{seconds, until};

/// A running provider; it ends with this value.
pub(crate) struct Provider {
    child: Child,
    pub(crate) port: u16,
    mode: PathBuf,
    stats: PathBuf,
}

impl Provider {
    /// Starts one that answers; its files lie in `dir`.
    pub(crate) fn start(lab: &Lab, dir: &Path) -> Self {
        let [mode, stats, port] = ["mode", "stats", "port"].map(|name| dir.join(name));
        fs::write(&mode, "ok").unwrap();
        let script = lab::script("provider.mjs");
        let child = lab.node().arg(script).args([&mode, &stats, &port]).spawn().unwrap();
        let port = until("the provider listens", seconds(20), || {
            fs::read_to_string(&port).ok().map(|text| text.parse().unwrap())
        });
        Self { child, port, mode, stats }
    }

    /// What it does with every request that carries no mark of its own.
    pub(crate) fn set_mode(&self, mode: &str) {
        fs::write(&self.mode, mode).unwrap();
    }

    /// Requests of the gateway that it has taken and not yet answered.
    pub(crate) fn open_requests(&self) -> u64 {
        self.open("chat")
    }

    /// Waits until a request of an agent hangs.
    #[track_caller]
    pub(crate) fn wait_for_agent(&self) {
        until("an agent waits for its model", seconds(90), || {
            (self.open("claude") > 0).then_some(())
        });
    }

    fn open(&self, format: &str) -> u64 {
        let stats: Value = serde_json::from_str(&fs::read_to_string(&self.stats).unwrap()).unwrap();
        stats[format]["open"].as_u64().unwrap()
    }

    /// Waits until at least `count` requests hang.
    #[track_caller]
    pub(crate) fn wait_for_open(&self, count: u64) {
        until("requests hang in the provider", seconds(90), || {
            (self.open_requests() >= count).then_some(())
        });
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
