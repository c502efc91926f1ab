//! Processes that own agents, or carry them, without being a gateway.

use crate::observe::process::Process;

const SPAWN_BROKER: &str = "spawn broker";
const DATABASE_READER: &str = "database reader";

/// Scripts by their place in the package, and what they are (2026.9.6; relays and anchors are
/// legitimate even in numbers).
const SCRIPTS: [(&str, &str); 7] = [
    ("spawn-broker/worker.js", SPAWN_BROKER),
    ("spawn-broker/worker.mjs", SPAWN_BROKER),
    ("supervisor/service-child-relay.js", "relay"),
    ("supervisor/service-child-relay.mjs", "relay"),
    ("supervisor/service-child-group-anchor.js", "anchor"),
    ("supervisor/service-child-group-anchor.mjs", "anchor"),
    ("infra/sqlite-readonly-location.worker.js", DATABASE_READER),
];

/// Scripts of the `acpx` command line.
const ACPX: [&str; 4] = [".bin/acpx", "acpx/dist/cli.js", "acpx/dist/cli.mjs", "bin/acpx"];

/// Returns what `process` is to the agents below it; `None` if it is none of these.
///
/// A queue owner is detached by design: its parent is pid 1 and its input is closed while it lives
/// (acpx 0.3.1 and 0.19.1, measured).
pub(super) fn service(process: &Process) -> Option<&'static str> {
    if !matches!(process.program.as_slice(), b"node" | b"nodejs" | b"bun" | b"acpx") {
        return None;
    }
    let mut is_acpx = process.program == b"acpx";
    for argument in process.argv().take(64) {
        if argument == b"__queue-owner" {
            return Some("acpx queue owner");
        }
        is_acpx |= ACPX.iter().any(|script| ends_with(argument, script));
        if let Some((_, role)) = SCRIPTS.iter().find(|(script, _)| ends_with(argument, script)) {
            return Some(role);
        }
    }
    is_acpx.then_some("acpx command")
}

/// Returns true if `process` works for the gateway itself and not for any one agent or run.
pub(super) fn is_of_gateway(process: &Process) -> bool {
    matches!(service(process), Some(SPAWN_BROKER | DATABASE_READER))
}

fn ends_with(argument: &[u8], script: &str) -> bool {
    let before = argument.strip_suffix(script.as_bytes());
    before.is_some_and(|before| before.is_empty() || before.ends_with(b"/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProcessId;

    fn process(program: &str, cmdline: &[u8]) -> Process {
        Process {
            id: ProcessId { pid: 7, start_ticks: 70 },
            parent: 1,
            group: 7,
            session: 7,
            tty: 0,
            uid: 1000,
            state: 'S',
            cmdline: cmdline.to_vec(),
            program: program.as_bytes().to_vec(),
        }
    }

    #[track_caller]
    fn check(program: &str, cmdline: &[u8], want: Option<&str>) {
        assert_eq!(service(&process(program, cmdline)), want, "{}", cmdline.escape_ascii());
    }

    #[test]
    fn owners_and_carriers_are_told_by_the_place_of_their_script() {
        let owner = b"node\0/x/node_modules/.bin/acpx\0--ttl\x0020\0__queue-owner";
        check("node", owner, Some("acpx queue owner"));
        check("node", b"node\0/x/node_modules/.bin/acpx\0prompt", Some("acpx command"));
        let relay = b"node\0/x/dist/process/supervisor/service-child-relay.js\0--id";
        check("node", relay, Some("relay"));
        check("node", b"node\0/x/dist/process/spawn-broker/worker.js", Some("spawn broker"));
        let reader = b"node\0/x/dist/infra/sqlite-readonly-location.worker.js\0--openclaw";
        check("node", reader, Some("database reader"));
    }

    #[test]
    fn others_that_only_name_such_a_script_are_none() {
        check("tail", b"tail\0-f\0/x/.bin/acpx", None);
        check("node", b"node\0/x/claude-agent-acp/dist/index.js", None);
        check("node", b"node\0/x/my-acpx", None);
        check("vim", b"vim\0__queue-owner", None);
    }
}
