//! What people run on the same host, as the same user, in the same folder.

use std::fs;
use std::process::Command;

use serde_json::json;

use crate::home::Home;
use crate::owner::Owner;
use crate::process::{self, Process, of_role};
use crate::report::Report;
use crate::wait::{seconds, until};

/// The programs of people, with the owners that end with this value.
pub(super) struct People {
    /// Name, processes, and why the topmost agent among these is left alone.
    running: Vec<(&'static str, Vec<Process>, &'static str)>,
    _owners: Vec<Owner>,
}

/// What an agent of this gateway has in its environment.
const AGENT: [(&str, &str); 1] = [("OPENCLAW_CLI", "1")];

impl People {
    #[track_caller]
    pub(super) fn start(home: &Home) -> Self {
        let other = home.path().join(".openclaw-other");
        fs::create_dir_all(&other).unwrap();
        // As `openclaw --profile other` has it.
        let other = [
            ("OPENCLAW_CLI", "1"),
            ("OPENCLAW_PROFILE", "other"),
            ("OPENCLAW_STATE_DIR", other.to_str().unwrap()),
        ];
        let editor = |name, link, changes: &[_]| Owner::editor(home, name, link, changes);
        let live = editor("editor", "pipes", &AGENT);
        let live_sockets = editor("editor-sockets", "sockets", &AGENT);
        let mut ended = editor("editor-ended", "pipes", &[]);
        let mut ended_sockets = editor("editor-sockets-ended", "sockets", &[]);
        let mut profile = editor("other-profile", "sockets", &other);
        let acpx = Owner::acpx(home, "acpx-of-a-person");
        let running = vec![
            ("tmux", in_terminal(home), "contact_unknown"),
            ("editor", agents(&live), "contact_kept"),
            ("editor-sockets", agents(&live_sockets), "contact_kept"),
            // Nobody asks a pipe of a process that is not ours.
            ("editor-ended", orphans(&mut ended), "contact_unknown"),
            ("editor-sockets-ended", orphans(&mut ended_sockets), "not_owned"),
            ("other-profile", orphans(&mut profile), "other_state_dir"),
            ("acpx", [vec![acpx.process()], agents(&acpx)].concat(), "contact_kept"),
        ];
        for (name, processes, _) in &running {
            processes.iter().for_each(|process| eprintln!("  {name}: {process}"));
        }
        Self { running, _owners: vec![live, live_sockets, ended, ended_sockets, profile, acpx] }
    }

    pub(super) fn all(&self) -> Vec<Process> {
        self.running.iter().flat_map(|(_, processes, _)| processes.clone()).collect()
    }

    #[track_caller]
    pub(super) fn assert_reasons(&self, pass: &Report) {
        for (name, processes, reason) in &self.running {
            let top = processes.iter().find(|p| ["adapter", "claude"].contains(&p.role())).unwrap();
            let said = pass.code("orphan_process", &top.subject());
            eprintln!("  {name}: {said:?}");
            assert_eq!(said, Some(*reason), "{name}");
        }
    }
}

#[track_caller]
fn agents(owner: &Owner) -> Vec<Process> {
    owner.wait_for("idle");
    owner.wait_for_roles(&["adapter", "claude"])
}

#[track_caller]
fn orphans(owner: &mut Owner) -> Vec<Process> {
    let agents = agents(owner);
    let top = of_role(&agents, "adapter")[0];
    owner.kill();
    until("nobody can reach the orphan", seconds(20), || top.is_unreachable().then_some(()));
    agents
}

/// Two people's own `claude` in tmux: the native one, and the script that gives itself the very
/// title of an old orphan, started from a shell that an agent's environment was copied into.
#[track_caller]
fn in_terminal(home: &Home) -> Vec<Process> {
    let before = home.processes();
    let accepted = json!({
        "hasCompletedOnboarding": true, "theme": "dark",
        "customApiKeyResponses": { "approved": ["sk-ant-fake"], "rejected": [] },
        "projects": { home.workspace().display().to_string(): { "hasTrustDialogAccepted": true } },
    });
    fs::write(home.path().join(".claude.json"), accepted.to_string()).unwrap();
    let node = home.lab.node_path().display().to_string();
    let native = home.lab.claude().display().to_string();
    let script = home.lab.script_claude().display().to_string();
    for (name, command) in [("native", vec![&native]), ("script", vec![&node, &script])] {
        let mut tmux = Command::new("tmux");
        home.dress(&mut tmux).env("TERM", "xterm-256color").env("OPENCLAW_CLI", "1");
        tmux.env("CLAUDE_CODE_ENTRYPOINT", "sdk-ts").env("TMUX_TMPDIR", home.path().join("tmp"));
        tmux.args(["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "-s", name]);
        tmux.arg("-c").arg(home.workspace()).args(command);
        assert!(tmux.status().expect("tmux is installed").success(), "tmux runs");
    }
    let found = until("two people talk to `claude`", seconds(60), || {
        let new = of_role(&process::without(home.processes(), &before), "claude");
        (new.len() == 2).then_some(new)
    });
    found.iter().for_each(|claude| assert!(claude.has_terminal(), "{claude}"));
    found
}
