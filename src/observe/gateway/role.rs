//! What an OpenClaw process is, told by its title or command line.

use crate::observe::process::Process;

/// What an OpenClaw process is doing, as far as its command line tells.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Titled `openclaw-gateway`: the gateway (2026.3.24, 2026.4.15, 2026.7.1, 2026.9.6), or for
    /// a second any `openclaw gateway …` command (all versions).
    GatewayTitle,
    /// Titled `openclaw`: the gateway of 2026.5.7, 2026.5.28 and 2026.6.11, the parent of that of
    /// 2026.4.15, or any command that did not name itself yet.
    Bare,
    /// Node still runs the entry file with the argument `gateway`: a gateway that starts.
    GatewayStart {
        /// The argument of `--profile`.
        profile: Option<String>,
    },
    /// Another command, such as `doctor` or `agent`.
    Command(String),
}

/// Files that start OpenClaw: the gateway's own list (2026.9.6), and the link to it in `PATH`.
const ENTRIES: [&str; 7] = [
    "openclaw",
    "openclaw.mjs",
    "dist/entry.js",
    "dist/index.js",
    "scripts/run-node.mjs",
    "src/entry.ts",
    "src/index.ts",
];
/// Options before the command that take a value.
const WITH_VALUE: [&str; 3] = ["--profile", "--log-level", "--container"];
/// Commands that rewrite stores by themselves.
const MAINTENANCE: [&str; 5] = ["update", "doctor", "triage", "migrate", "database"];

impl Role {
    /// Returns the role of `process`, `None` if it is none of OpenClaw's.
    pub(super) fn of(process: &Process) -> Option<Role> {
        // Most processes are none of OpenClaw's, and this is asked of all.
        if !process.cmdline.starts_with(b"openclaw") && !process.argv().any(is_entry) {
            return None;
        }
        let argv: Vec<String> = process
            .argv()
            .map(|arg| String::from_utf8_lossy(arg).trim().to_owned())
            .filter(|arg| !arg.is_empty())
            .collect();
        match argv.as_slice() {
            [] => None,
            [title] => titled(title),
            [_, ..] => started(&argv),
        }
    }

    /// Returns true if a process of this role may be a gateway.
    pub(super) fn may_be_gateway(&self) -> bool {
        !matches!(self, Role::Command(_))
    }

    /// Returns true if a process of this role rewrites stores by itself.
    pub(super) fn is_maintenance(&self) -> bool {
        matches!(self, Role::Command(name) if MAINTENANCE.contains(&name.as_str()))
    }
}

/// `process.title = "openclaw-" + command` (2026.3.24 to 2026.9.6).
fn titled(title: &str) -> Option<Role> {
    match title.strip_prefix("openclaw")? {
        "" => Some(Role::Bare),
        "-gateway" => Some(Role::GatewayTitle),
        rest => rest.strip_prefix('-').map(|name| Role::Command(name.to_owned())),
    }
}

/// Returns true if `process` is one of OpenClaw's beyond doubt: by its title, the name of what it
/// runs, or because it starts a gateway. A script named `dist/index.js` alone is everybody's.
pub(crate) fn is_of_openclaw(process: &Process) -> bool {
    process.is_openclaw() || matches!(Role::of(process), Some(Role::GatewayStart { .. }))
}

fn started(argv: &[String]) -> Option<Role> {
    let entry = argv.iter().position(|arg| is_entry(arg.as_bytes()))?;
    let is_named = names_openclaw(&argv[entry]);
    let mut rest = argv[entry + 1..].iter();
    let mut profile = None;
    while let Some(arg) = rest.next() {
        if let Some(name) = arg.strip_prefix("--profile=") {
            profile = Some(name.to_owned());
        } else if arg == "--dev" {
            profile = Some("dev".to_owned());
        } else if WITH_VALUE.contains(&arg.as_str()) {
            let value = rest.next().cloned();
            profile = if arg == "--profile" { value } else { profile };
        } else if !arg.starts_with('-') {
            return match arg.as_str() {
                "gateway" => Some(Role::GatewayStart { profile }),
                command if is_named || is_known(command) => Some(Role::Command(command.to_owned())),
                _ => None,
            };
        }
    }
    is_named.then(|| Role::Command(String::new()))
}

/// A server of somebody else's may be called `dist/index.js` as well (`claude-agent-acp`, and many
/// MCP servers, are): such a path must name OpenClaw, unless the command does.
fn names_openclaw(entry: &str) -> bool {
    let mut above = entry.rsplit('/');
    let file = above.next().unwrap_or_default();
    let package = above.nth(1).unwrap_or_default();
    [file, package].iter().any(|name| name.to_ascii_lowercase().starts_with("openclaw"))
}

fn is_known(command: &str) -> bool {
    command == "agent" || MAINTENANCE.contains(&command)
}

fn is_entry(arg: &[u8]) -> bool {
    let ends_with = |entry: &&str| {
        let before = arg.strip_suffix(entry.as_bytes());
        before.is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
    };
    ENTRIES.iter().any(ends_with)
}

#[cfg(test)]
mod tests {
    use super::super::fake;
    use super::*;

    #[track_caller]
    fn check(argv: &[&str], want: Option<Role>) {
        let process = fake::process(7, 1, argv.join("\0").into_bytes());
        assert_eq!(Role::of(&process), want, "{argv:?}");
    }

    fn command(name: &str) -> Option<Role> {
        Some(Role::Command(name.to_owned()))
    }

    #[test]
    fn titles_of_every_version() {
        check(&["openclaw-gateway"], Some(Role::GatewayTitle));
        check(&["openclaw-gateway   "], Some(Role::GatewayTitle));
        check(&["openclaw"], Some(Role::Bare));
        check(&["openclaw-doctor"], command("doctor"));
        check(&["openclaw-node-worker"], command("node-worker"));
        check(&["openclawed"], None);
        check(&[""], None);
    }

    #[test]
    fn command_lines_before_the_title() {
        let start = |profile: Option<&str>| {
            Some(Role::GatewayStart { profile: profile.map(str::to_owned) })
        };
        check(&["node", "/x/openclaw.mjs", "gateway", "run"], start(None));
        check(
            &["node", "--no-warnings", "/x/dist/index.js", "gateway", "--port", "1"],
            start(None),
        );
        check(&["node", "/usr/bin/openclaw", "--profile", "w", "gateway"], start(Some("w")));
        check(&["node", "/x/openclaw.mjs", "--profile=w", "gateway"], start(Some("w")));
        check(&["node", "/x/openclaw.mjs", "--dev", "gateway"], start(Some("dev")));
        check(&["node", "/x/openclaw.mjs", "--log-level", "debug", "doctor"], command("doctor"));
        check(&["node", "/x/notopenclaw.mjs", "gateway"], None);
        check(&["vim", "gateway"], None);
        check(&["node", "/usr/lib/node_modules/openclaw/dist/entry.js", "tui"], command("tui"));
        check(&["node", "/opt/oc/dist/entry.js", "doctor"], command("doctor"));
    }

    #[test]
    fn a_server_that_has_the_name_of_an_entry_file_is_none_of_openclaws() {
        check(&["node", "/home/openclaw/x/claude-agent-acp/dist/index.js"], None);
        check(&["node", "/x/mcp-server-files/dist/index.js", "/home/me"], None);
        check(&["node", "dist/index.js"], None);
    }

    #[test]
    fn only_commands_that_rewrite_stores_are_maintenance() {
        for (name, want) in [("doctor", true), ("update", true), ("agent", false), ("", false)] {
            assert_eq!(Role::Command(name.to_owned()).is_maintenance(), want, "{name}");
        }
        assert!(!Role::GatewayTitle.is_maintenance());
    }
}
