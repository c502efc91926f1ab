//! The installed programs: Node and one gateway version.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Node and the gateway of one version are installed.
pub(crate) struct Lab {
    pub(crate) version: &'static str,
    installed: PathBuf,
}

impl Lab {
    /// Installs what is missing. `None`, said aloud, where live tests were not asked for.
    pub(crate) fn open(version: &'static str) -> Option<Self> {
        if std::env::var_os("CLAWARDEN_LIVE").is_none_or(|value| value != "1") {
            // The handle itself, because the test harness hides what the macros print.
            let skipped = b"skipped: set CLAWARDEN_LIVE=1 to run live tests\n";
            std::io::stderr().write_all(skipped).unwrap();
            return None;
        }
        let setup = Command::new(script("setup"))
            .arg(version)
            .stderr(Stdio::inherit())
            .output()
            .expect("bash runs tests/live/lab/setup");
        assert!(setup.status.success(), "setup of openclaw {version} failed");
        let installed = PathBuf::from(String::from_utf8(setup.stdout).unwrap().trim());
        Some(Self { version, installed })
    }

    /// A command of this Node that does not outlive the test.
    ///
    /// `setpriv` gives it a parent-death signal, so that nothing is left when the tests are killed.
    pub(crate) fn node(&self) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).arg(self.installed.join("node/bin/node"));
        command
    }

    /// The program of the gateway and of its command line.
    pub(crate) fn openclaw(&self) -> PathBuf {
        let home = format!("openclaw-{}", self.version);
        self.installed.join(home).join("node_modules/openclaw/openclaw.mjs")
    }

    /// `PATH` with this Node in front.
    pub(crate) fn path(&self) -> String {
        let own = self.installed.join("node/bin");
        format!("{}:{}", own.display(), std::env::var("PATH").unwrap_or_default())
    }
}

/// One of the scripts beside these tests.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/lab").join(name)
}
