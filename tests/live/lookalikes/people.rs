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
    /// Name, processes, and why they are left alone. `None`: they may not be mentioned at all.
    running: Vec<(&'static str, Vec<Process>, Option<&'static str>)>,
    _owners: Vec<Owner>,
}

/// What an agent of another gateway of the same user has in its environment.
const OTHER_PROFILE: [(&str, &str); 2] = [("OPENCLAW_CLI", "1"), ("OPENCLAW_PROFILE", "other")];

impl People {
    #[track_caller]
    pub(super) fn start(home: &Home) -> Self {
        let editor = |name, changes: &'static [(&str, &str)]| {
            Owner::editor(home, name, |command| {
                command.current_dir(home.workspace()).envs(changes.iter().copied());
            })
        };
        let live = editor("editor", &[("OPENCLAW_CLI", "1")]);
        let mut ended = editor("editor-ended", &[]);
        let mut profile = editor("other-profile", &OTHER_PROFILE);
        let acpx = Owner::acpx(home, "acpx-of-a-person");
        let running = vec![
            ("tmux", in_terminal(home), None),
            ("editor", agents(&live), None),
            ("editor-ended", orphans(&mut ended), Some("not_owned")),
            ("other-profile", orphans(&mut profile), Some("other_state_dir")),
            ("acpx", [vec![acpx.process()], agents(&acpx)].concat(), None),
        ];
        for (name, processes, _) in &running {
            processes.iter().for_each(|process| eprintln!("  {name}: {process}"));
        }
        Self { running, _owners: vec![live, ended, profile, acpx] }
    }

    pub(super) fn all(&self) -> Vec<Process> {
        self.running.iter().flat_map(|(_, processes, _)| processes.clone()).collect()
    }

    /// What is an orphan, but nobody's business, is said to be just that.
    #[track_caller]
    pub(super) fn assert_reasons(&self, pass: &Report) {
        for (name, processes, reason) in &self.running {
            let said = |process: &Process| pass.code("orphan_process", &process.subject());
            eprintln!("  {name}: {:?}", processes.iter().map(said).collect::<Vec<_>>());
            if reason.is_some() {
                assert_eq!(said(&of_role(processes, "adapter")[0]), *reason, "{name}");
            }
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
        assert!(tmux.status().unwrap().success(), "tmux runs");
    }
    let found = until("two people talk to `claude`", seconds(60), || {
        let new = of_role(&process::without(home.processes(), &before), "claude");
        (new.len() == 2).then_some(new)
    });
    found.iter().for_each(|claude| assert!(claude.has_terminal(), "{claude}"));
    found
}
