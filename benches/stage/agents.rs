//! Processes that an adapter and its `claude` cannot be told from: executable, arguments,
//! environment, and sockets for standard input and output.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The part that a process of [`play`] has.
const PART: &str = "CLAWARDEN_BENCH_PART";
const SCRIPT: &str = "lib/node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js";

/// Programs called `node` and `claude`: this one, under other names.
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    pub(crate) fn install(folder: PathBuf) -> Programs {
        fs::create_dir_all(&folder).unwrap();
        let ourselves = std::env::current_exe().unwrap();
        for name in ["node", "claude"] {
            let path = folder.join(name);
            // Another filesystem has no link to it.
            fs::hard_link(&ourselves, &path)
                .or_else(|_| fs::copy(&ourselves, &path).map(drop))
                .unwrap();
        }
        Programs { folder }
    }

    pub(crate) fn at(folder: PathBuf) -> Programs {
        Programs { folder }
    }

    /// Starts an adapter that starts its `claude`, both in `workspace`. They end when the value is
    /// dropped.
    pub(crate) fn pair(&self, workspace: &Path) -> Pair {
        let mut command = Command::new(self.folder.join("node"));
        command
            .arg0("node")
            .arg(self.folder.join(SCRIPT))
            .current_dir(workspace)
            .env("OPENCLAW_CLI", "1")
            .env(PART, "adapter");
        let mut pair = Pair::start(&mut command);
        // Says that its `claude` runs.
        pair.output.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        pair
    }
}

/// A child, and the other ends of its standard input and output.
pub(crate) struct Pair {
    child: Child,
    input: Option<UnixStream>,
    output: Option<UnixStream>,
}

impl Pair {
    /// What Node calls a pipe is a socket.
    fn start(command: &mut Command) -> Pair {
        let [(input, theirs_in), (output, theirs_out)] =
            [(); 2].map(|()| UnixStream::pair().unwrap());
        let stdio = |end: UnixStream| Stdio::from(OwnedFd::from(end));
        let child = command.stdin(stdio(theirs_in)).stdout(stdio(theirs_out)).spawn().unwrap();
        // The command would keep their ends open for as long as it lives.
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Pair { child, input: Some(input), output: Some(output) }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        (self.input, self.output) = (None, None);
        let _ = self.child.wait();
    }
}

/// Plays an adapter or an agent if that is what this process was started for; returns when its
/// standard input has ended.
pub(crate) fn play() -> bool {
    let Some(part) = std::env::var_os(PART) else { return false };
    let _claude = (part == "adapter").then(|| {
        let folder = std::env::current_exe().unwrap().parent().unwrap().to_owned();
        let mut command = Command::new(folder.join("claude"));
        command
            .args(["--output-format", "stream-json", "--input-format", "stream-json"])
            .env("CLAUDE_CODE_ENTRYPOINT", "sdk-ts")
            .env(PART, "agent");
        Pair::start(&mut command)
    });
    std::io::stdout().write_all(b"!").unwrap();
    std::io::stdout().flush().unwrap();
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    true
}
