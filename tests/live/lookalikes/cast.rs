//! Processes that an agent of the gateway has started, each with one trait that must save it.
//!
//! They are what an adapter is by program and argument, they were seen below the gateway, their
//! environment and folder are those of its agents, and nothing that started them is left.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab;
use crate::process::{Peer, Process};
use crate::report::Report;
use crate::wait::{seconds, until};

/// The lane whose agent starts them.
const LANE: &str = "agent:main:started-them";

/// One of them: its name, what its input and its output are, and why it is left alone.
type Part = (&'static str, &'static str, &'static str, &'static str);

/// Nothing saves these: they show that all the rest of it is enough.
const CONTROLS: [Part; 2] = [
    ("control", "closed", "closed", "unreachable"),
    ("control-pipe", "closed_pipe", "closed_pipe", "unreachable"),
];

const ADAPTERS: [Part; 10] = [
    // Its owner has said all it had to say, and listens.
    ("input-ended", "closed", "kept", "contact_kept"),
    ("input-ended-pipe", "closed_pipe", "kept_pipe", "contact_kept"),
    // Nobody listens, but somebody may still speak.
    ("output-ended", "kept", "closed", "contact_kept"),
    ("not-accepted-yet", "waiting", "waiting", "contact_unknown"),
    // A named pipe can be opened again.
    ("fifo", "fifo", "closed", "contact_unknown"),
    ("null", "null", "null", "contact_unknown"),
    ("nohup", "null", "file", "contact_unknown"),
    ("nohup-closed", "null", "closed", "contact_unknown"),
    ("traced", "closed", "closed", "guarded"),
    ("stopped", "closed", "closed", "guarded"),
];

/// Not agents at all. Their arguments say otherwise.
const IMPOSTORS: [Part; 3] = [
    ("argv-spoof", "closed", "closed", "not_an_agent"),
    ("title-spoof", "closed", "closed", "not_an_agent"),
    ("tail-wrapper", "closed", "closed", "not_an_agent"),
];

/// All of them, running.
pub(super) struct Cast {
    home: PathBuf,
    started_by: i32,
    running: Vec<(Part, Process)>,
}

impl Cast {
    /// Has an agent of `gateway` start them all, through its shell tool.
    #[track_caller]
    pub(super) fn start(home: &Home, gateway: &Gateway) -> Self {
        let folder = home.note("cast");
        let adapter = folder.join("claude-agent-acp/dist/index.js");
        fs::create_dir_all(adapter.parent().unwrap()).unwrap();
        // A real one without a session ends when its input does.
        fs::write(&adapter, "setInterval(() => {}, 1e6);\n").unwrap();
        let adapter = adapter.display().to_string();
        let parts = || CONTROLS.iter().chain(&ADAPTERS).chain(&IMPOSTORS);
        let cast: Vec<_> = parts().map(|part| spec(home, part, &adapter)).collect();
        fs::write(folder.join("cast.json"), Value::from(cast).to_string()).unwrap();
        let script = lab::script("cast.py");
        let shell = format!("python3 {} {}", script.display(), folder.display());
        gateway.send("chat.send", LANE, &format!("[[say:tool:{shell}]] go"));
        let started = until("the agent starts its processes", seconds(120), || {
            fs::read_to_string(folder.join("cast")).ok()
        });
        let pid_of = |name: &str| {
            let line = started.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
            Process::of(line.unwrap().parse().unwrap()).unwrap_or_else(|| panic!("{name} lives"))
        };
        let running: Vec<_> = parts().map(|part| (*part, pid_of(part.0))).collect();
        let started_by = running[0].1.parent();
        Self { home: folder, started_by, running }
    }

    /// Ends what started them; returns when it has, and everything about them is as it should be.
    #[track_caller]
    pub(super) fn leave(&mut self) {
        fs::write(self.home.join("leave"), "").unwrap();
        for (part @ (name, input, output, _), process) in &self.running {
            if CONTROLS.contains(part) {
                continue;
            }
            until("it is taken in", seconds(30), || {
                (process.parent() != self.started_by).then_some(())
            });
            let peers = process.peers().unwrap_or_else(|| panic!("{name} lives"));
            eprintln!("  {name}: {process} {peers:?}");
            assert_eq!(peers, [peer(input), peer(output)], "{name}");
            assert_eq!(process.variable("OPENCLAW_CLI").as_deref(), Some("1"), "{name}");
        }
    }

    #[track_caller]
    pub(super) fn named(&self, name: &str) -> Process {
        self.running.iter().find(|(part, _)| part.0 == name).expect("a part of that name").1
    }

    /// Those that nothing saves.
    pub(super) fn controls(&self) -> Vec<Process> {
        self.of(|part| CONTROLS.contains(part))
    }

    /// Those that must live.
    pub(super) fn lookalikes(&self) -> Vec<Process> {
        self.of(|part| !CONTROLS.contains(part))
    }

    /// Each was seen, and left alone for the very trait that it has.
    #[track_caller]
    pub(super) fn assert_reasons(&self, pass: &Report) {
        for ((name, _, _, reason), process) in &self.running {
            let said = pass.code("orphan_process", &process.subject());
            eprintln!("  {name}: {said:?}");
            if *reason != "unreachable" {
                assert_eq!(said, Some(*reason), "{name}");
            }
        }
    }

    fn of(&self, is_wanted: impl Fn(&Part) -> bool) -> Vec<Process> {
        let wanted = self.running.iter().filter(|(part, _)| is_wanted(part));
        wanted.map(|(_, process)| *process).collect()
    }
}

fn spec(home: &Home, (name, input, output, _): &Part, adapter: &str) -> Value {
    let node = home.lab.node_path();
    let wrapper = home.state().join("acpx/claude-agent-acp-wrapper.mjs");
    let (program, argv) = match *name {
        // The right name and the right first argument, and yet another program.
        "argv-spoof" => ("flock".to_owned(), json!(["node", adapter, "sleep", "3600"])),
        "title-spoof" => ("sleep".to_owned(), json!(["claude", "3600"])),
        "tail-wrapper" => {
            fs::create_dir_all(wrapper.parent().unwrap()).unwrap();
            fs::write(&wrapper, "").unwrap();
            ("tail".to_owned(), json!(["tail", "-fn0", wrapper]))
        }
        _ => (node.display().to_string(), json!([node, adapter])),
    };
    json!({ "name": name, "program": program, "argv": argv, "in": input, "out": output })
}

/// What the other end of such an end looks like.
fn peer(end: &str) -> Peer {
    match end {
        "closed" | "closed_pipe" => Peer::Closed,
        "kept" | "kept_pipe" | "waiting" => Peer::Open,
        _ => Peer::Named,
    }
}
