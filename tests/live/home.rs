//! An isolated home directory: state, temp directory, configuration and environment of one gateway.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::lab::{self, Lab};
use crate::process::{self, Process};
use crate::provider::Provider;

/// The home of one gateway; it and every process with its mark end with this value.
pub(crate) struct Home {
    pub(crate) lab: Lab,
    pub(crate) provider: Provider,
    pub(crate) port: u16,
    mark: (&'static str, String),
    /// Ends every process with the mark once its standard input is closed, even by a SIGKILL of
    /// the tests: no parent ends an orphan.
    leash: Child,
    dir: TempDir,
}

impl Home {
    /// Lays out a home for the gateway of `lab`, with a provider that answers.
    pub(crate) fn new(lab: Lab) -> Self {
        let dir = tempfile::Builder::new().prefix("clawarden-live-").tempdir().unwrap();
        for name in [".openclaw", "tmp", "lab"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let provider = Provider::start(&lab, &dir.path().join("lab"));
        let mark = ("CLAWARDEN_LIVE_HOME", dir.path().display().to_string());
        let leash = leash(&mark);
        let home = Self { lab, provider, port: free_ports(), mark, leash, dir };
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

    /// Whether the gateways of this version lock their transcripts.
    pub(crate) fn has_locks(&self) -> bool {
        self.sessions().join("sessions.json").exists()
    }

    /// Whether a run holds the lock on the transcript of `row`.
    pub(crate) fn holds_lock(&self, row: &Value) -> bool {
        let id = row["sessionId"].as_str().expect("a session id");
        self.sessions().join(format!("{id}.jsonl.lock")).exists()
    }

    pub(crate) fn token_file(&self) -> PathBuf {
        self.path().join("lab/token")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path().join("lab/gateway.log")
    }

    /// Where agents work, with their records.
    pub(crate) fn workspace(&self) -> PathBuf {
        self.state().join("workspace")
    }

    /// A path for notes and scripts of the test itself.
    pub(crate) fn note(&self, name: &str) -> PathBuf {
        self.path().join("lab").join(name)
    }

    /// Changes the gateway's configuration, before its start.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Value)) {
        let file = self.state().join("openclaw.json");
        let mut config = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        change(&mut config);
        fs::write(file, config.to_string()).unwrap();
    }

    /// Every process that was started in this home.
    pub(crate) fn processes(&self) -> Vec<Process> {
        let (name, value) = &self.mark;
        let is_ours = |process: &Process| process.variable(name).as_ref() == Some(value);
        process::all().into_iter().filter(is_ours).collect()
    }

    /// Gives `command` the environment of the gateway's user, and nothing of the test's own.
    pub(crate) fn dress<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .current_dir(self.path())
            .env_clear()
            .env("PATH", self.lab.path())
            .env("HOME", self.path())
            .env("TMPDIR", self.path().join("tmp"))
            .env("NO_COLOR", "1")
            .env(self.mark.0, &self.mark.1);
        if self.lab.has_agents { self.dress_agents(command) } else { command }
    }

    /// What `npx` and `claude` need: a cache instead of a network, and the provider of the test.
    fn dress_agents<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .env("npm_config_cache", self.lab.npm_cache())
            .env("npm_config_offline", "true")
            .env("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{}", self.provider.port))
            .env("ANTHROPIC_API_KEY", "sk-ant-fake")
            // Else `claude` refuses to run for root with all permissions.
            .env("IS_SANDBOX", "1")
            // A tool of a test runs until the test ends it.
            .env("BASH_DEFAULT_TIMEOUT_MS", "900000")
            .env("BASH_MAX_TIMEOUT_MS", "900000")
            .env("DISABLE_AUTOUPDATER", "1")
            .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
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
        let mut config = json!({
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
        if self.lab.spawns_agents() {
            self.allow_agents(&mut config);
        }
        fs::write(self.state().join("openclaw.json"), config.to_string()).unwrap();
    }

    fn allow_agents(&self, config: &mut Value) {
        // The gateway tries `codex` at its start, to see whether ACP works at all.
        let [tried, silent] = [self.lab.old_adapter(), lab::script("silent_agent.mjs")]
            .map(|script| format!("{} {}", self.lab.node_path().display(), script.display()));
        config["acp"] = json!({
            "enabled": true, "backend": "acpx", "defaultAgent": "claude",
            "allowedAgents": ["claude", "opencode"],
        });
        config["plugins"]["entries"]["acpx"] = json!({ "enabled": true, "config": {
            "permissionMode": "approve-all", "timeoutSeconds": 900,
            "agents": { "codex": { "command": tried }, "opencode": { "command": silent } },
        } });
        config["gateway"]["tools"] = json!({ "allow": ["sessions_spawn"] });
        config["tools"] = json!({
            "profile": "full", "exec": { "host": "gateway", "security": "full", "ask": "off" },
        });
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        let ended = self.leash.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.log()).unwrap_or_default();
            let tail: Vec<_> = log.lines().rev().take(30).collect();
            eprintln!("home kept: {}; the gateway's last words:", self.path().display());
            tail.iter().rev().for_each(|line| eprintln!("  {line}"));
            self.dir.disable_cleanup(true);
        } else {
            assert!(ended.unwrap().success(), "every process of the home ends");
        }
    }
}

/// A port with nine free ones after it: gateways also take the next few.
fn free_ports() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Each run of the tests begins elsewhere: others may run at the same time.
    let begin = u16::try_from(std::process::id() % 100).unwrap();
    for _ in 0..100 {
        let block = (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 100;
        let first = 22_600 + 10 * block;
        if (first..first + 10).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no ten free ports in a row from 22600 to 23600");
}

/// Starts what ends every process with `mark` when the tests end.
fn leash((name, value): &(&'static str, String)) -> Child {
    // In a session of its own: Ctrl-C must not reach it before the tests have ended.
    let mut command = Command::new("setsid");
    command.arg("python3").arg(lab::script("leash.py")).arg(format!("{name}={value}"));
    command.env_remove(name).stdin(Stdio::piped()).spawn().unwrap()
}
