//! The installed programs: Node, one gateway version, and ACP agents.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Node and the gateway of one version are installed.
pub(crate) struct Lab {
    pub(crate) version: &'static str,
    pub(crate) has_agents: bool,
    installed: PathBuf,
}

impl Lab {
    /// Installs what is missing. `None`, said aloud, where live tests were not asked for.
    pub(crate) fn open(version: &'static str) -> Option<Self> {
        Self::install(version, false)
    }

    /// [`Lab::open`], with the ACP agents that a gateway starts.
    pub(crate) fn with_agents(version: &'static str) -> Option<Self> {
        Self::install(version, true)
    }

    fn install(version: &'static str, has_agents: bool) -> Option<Self> {
        if std::env::var_os("CLAWARDEN_LIVE").is_none_or(|value| value != "1") {
            skip("set CLAWARDEN_LIVE=1 to run live tests");
            return None;
        }
        let setup = Command::new(script("setup"))
            .args(has_agents.then_some("--acp"))
            .arg(version)
            .stderr(Stdio::inherit())
            .output()
            .expect("bash runs tests/live/lab/setup");
        assert!(setup.status.success(), "setup of openclaw {version} failed");
        let installed = PathBuf::from(String::from_utf8(setup.stdout).unwrap().trim());
        Some(Self { version, has_agents, installed })
    }

    /// Whether this gateway itself starts agents here. Later ones want a plugin that npm has not.
    pub(crate) fn spawns_agents(&self) -> bool {
        self.has_agents && self.version == "2026.4.15"
    }

    /// A command of this Node that does not outlive the test.
    ///
    /// `setpriv` gives it a parent-death signal, so that nothing is left when the tests are killed.
    pub(crate) fn node(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(self.node_path());
        command
    }

    /// Node itself.
    pub(crate) fn node_path(&self) -> PathBuf {
        self.installed.join("node/bin/node")
    }

    /// The package of the gateway.
    pub(crate) fn package(&self) -> PathBuf {
        self.installed.join(format!("openclaw-{}", self.version)).join("node_modules/openclaw")
    }

    /// The program of the gateway and of its command line.
    pub(crate) fn openclaw(&self) -> PathBuf {
        self.package().join("openclaw.mjs")
    }

    /// An adapter that does not end when its parent does: what leaks are made of.
    pub(crate) fn old_adapter(&self) -> PathBuf {
        self.agent("@zed-industries/claude-agent-acp/dist/index.js")
    }

    /// The command line of acpx.
    pub(crate) fn acpx(&self) -> PathBuf {
        self.agent("acpx/dist/cli.js")
    }

    /// The native `claude` that a person runs.
    pub(crate) fn claude(&self) -> PathBuf {
        let program = format!("claude-agent-sdk-linux-{}/claude", arch());
        self.installed.join("acp/agentclientprotocol/node_modules/@anthropic-ai").join(program)
    }

    /// The same as a script, from before it was a program of its own.
    pub(crate) fn script_claude(&self) -> PathBuf {
        let program = "node_modules/@anthropic-ai/claude-agent-sdk/cli.js";
        self.installed.join("acp/zed-industries").join(program)
    }

    /// npm's cache, from which `npx` starts an adapter without a network.
    pub(crate) fn npm_cache(&self) -> PathBuf {
        self.installed.join("acp/npm-cache")
    }

    fn agent(&self, file: &str) -> PathBuf {
        let vendor = file.split('/').next().unwrap().trim_start_matches('@');
        self.installed.join("acp").join(vendor).join("node_modules").join(file)
    }

    /// `PATH` with this Node in front.
    pub(crate) fn path(&self) -> String {
        let own = self.installed.join("node/bin");
        format!("{}:{}", own.display(), std::env::var("PATH").unwrap_or_default())
    }
}

/// Says aloud that a test did not run, and what it needs.
pub(crate) fn skip(needs: &str) {
    // The handle itself, because the test harness hides what the macros print.
    std::io::stderr().write_all(format!("skipped: {needs}\n").as_bytes()).unwrap();
}

/// How Node names this processor.
fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" }
}

/// One of the scripts beside these tests.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/lab").join(name)
}
