//! An isolated home directory: state, temp directory, configuration and environment of one gateway.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::lab::Lab;
use crate::provider::Provider;

/// The home of one gateway; it and every process with its mark end with this value.
pub(crate) struct Home {
    pub(crate) lab: Lab,
    pub(crate) provider: Provider,
    pub(crate) port: u16,
    mark: String,
    dir: TempDir,
}

impl Home {
    /// Lays out a home for the gateway of `lab`, with a provider that answers.
    pub(crate) fn new(lab: Lab) -> Self {
        let dir = tempfile::Builder::new().prefix("clawarden-live-").tempdir().unwrap();
        for name in [".openclaw", "tmp", "lab", "own-state"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let provider = Provider::start(&lab, &dir.path().join("lab"));
        let mark = format!("CLAWARDEN_LIVE_HOME={}", dir.path().display());
        let home = Self { lab, provider, port: free_ports(), mark, dir };
        home.write_config();
        home
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path().join(".openclaw")
    }

    /// Where the main agent keeps its rows, transcripts and locks.
    pub(crate) fn sessions(&self) -> PathBuf {
        self.state().join("agents/main/sessions")
    }

    /// Every row of the main agent's store, as the file has it.
    pub(crate) fn rows(&self) -> Map<String, Value> {
        let text = fs::read_to_string(self.sessions().join("sessions.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.path().join("lab/token")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("lab/gateway.log")
    }

    /// Gives `command` the environment of the gateway's user, and nothing of the test's own.
    pub(crate) fn dress<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        let (mark, value) = self.mark.split_once('=').unwrap();
        command
            .current_dir(self.path())
            .env_clear()
            .env("PATH", self.lab.path())
            .env("HOME", self.path())
            .env("TMPDIR", self.path().join("tmp"))
            .env("NO_COLOR", "1")
            .env(mark, value)
    }

    fn write_config(&self) {
        let name = self.path().file_name().unwrap().to_string_lossy();
        let token = format!("token-of-{name}");
        fs::write(self.token_file(), &token).unwrap();
        let model = json!({
            "id": "fake-1", "name": "Fake 1", "reasoning": false, "input": ["text"],
            "contextWindow": 128_000, "maxTokens": 4096,
            "cost": { "input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0 },
        });
        let config = json!({
            "gateway": {
                "mode": "local", "port": self.port, "bind": "loopback",
                "auth": { "mode": "token", "token": token },
            },
            "models": { "providers": { "fake": {
                "baseUrl": format!("http://127.0.0.1:{}/v1", self.provider.port),
                "apiKey": "sk-fake", "api": "openai-completions", "models": [model],
            } } },
            "agents": { "defaults": {
                "model": { "primary": "fake/fake-1" }, "skipBootstrap": true,
                "heartbeat": { "every": "0m" }, "maxConcurrent": 16,
            } },
            "plugins": { "enabled": true },
            "update": { "checkOnStart": false },
        });
        fs::write(self.state().join("openclaw.json"), config.to_string()).unwrap();
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        end_marked(&self.mark);
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("home kept: {}; the gateway's last words:", self.path().display());
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
            self.dir.disable_cleanup(true);
        }
    }
}

/// A port with nine free ones after it: gateways also take the next few.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(22_600);
    loop {
        let first = NEXT.fetch_add(10, Ordering::Relaxed);
        assert!(first < 23_600, "no ten free ports in a row from 22600 to 23600");
        if (first..first + 10).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
}

/// Ends every process that was started with `mark` in its environment.
fn end_marked(mark: &str) {
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        // The descriptor first: from here on the signal reaches this process or nobody.
        let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { continue };
        let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environ.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let _ = pidfd_send_signal(&process, Signal::KILL);
        }
    }
}
