//! A large state directory, and the processes around it.

#![allow(dead_code, reason = "shared by benches, each of which uses a part")]

pub(crate) mod agents;
pub(crate) mod bed;
pub(crate) mod processes;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clawarden::clock::Clock;

pub(crate) const AGENTS: usize = 200;
pub(crate) const FILES: usize = 500;
pub(crate) const LOCKS: usize = 10;
/// Rows of the largest store: 15 MB. The others have a fiftieth.
pub(crate) const ROWS: usize = 10_000;

/// A state directory.
pub(crate) struct State {
    pub(crate) dir: PathBuf,
    /// The sessions folders, by agent.
    pub(crate) folders: Vec<PathBuf>,
}

impl State {
    /// Makes one without agents.
    pub(crate) fn empty(dir: PathBuf, port: u16) -> State {
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("openclaw.json"), format!("{{gateway: {{port: {port}}}}}")).unwrap();
        State { dir, folders: Vec::new() }
    }

    /// Makes 200 agents with 500 files each, ten locks of `holder` beside them, and a store; that
    /// of the first agent has 15 MB. In ten of them a lane runs, under one of the locks.
    pub(crate) fn large(dir: PathBuf, port: u16, holder: (u32, u64)) -> State {
        let mut state = State::empty(dir, port);
        for number in 0..AGENTS {
            let folder = state.dir.join(format!("agents/agent-{number:03}/sessions"));
            agent(&folder, holder);
            let rows = if number == 0 { ROWS } else { ROWS / 50 };
            store(&folder.join("sessions.json"), rows, usize::from(number < 10));
            state.folders.push(folder);
        }
        state
    }

    pub(crate) fn stores(&self) -> Vec<PathBuf> {
        self.folders.iter().map(|folder| folder.join("sessions.json")).collect()
    }
}

/// Writes the sessions folder of one agent.
pub(crate) fn agent(folder: &Path, (pid, ticks): (u32, u64)) {
    fs::create_dir_all(folder).unwrap();
    for n in 0..FILES {
        File::create(folder.join(format!("{}.jsonl", session(n)))).unwrap();
    }
    // A lock that is older than its holder would be suspect.
    let now = Clock::Wall.now();
    for n in 0..LOCKS {
        let payload = format!(
            "{{\n  \"pid\": {pid},\n  \"createdAt\": \"{now}\",\n  \
             \"maxHoldMs\": 300000,\n  \"starttime\": {ticks}\n}}",
        );
        fs::write(folder.join(format!("{}.jsonl.lock", session(n))), payload).unwrap();
    }
}

/// Writes a store as the gateway does: pretty-printed, most of it bulk. The first rows run.
pub(crate) fn store(path: &Path, rows: usize, running: usize) {
    let folder = path.parent().unwrap().display();
    let mut file = BufWriter::new(File::create(path).unwrap());
    let skill = "Reads a file.\\nUse it when \\\"the user\\\" asks for it \u{2013} and only then. ";
    let prompt = skill.repeat(12);
    writeln!(file, "{{").unwrap();
    for n in 0..rows {
        let comma = if n + 1 == rows { "" } else { "," };
        let status = if n < running { "running" } else { "done" };
        let file_name = format!("{folder}/{}.jsonl", session(n));
        let row = row(&session(n), &file_name, status, &prompt);
        writeln!(file, "  \"agent:main:channel:{n:08}\": {row}{comma}").unwrap();
    }
    writeln!(file, "}}").unwrap();
    file.flush().unwrap();
}

fn session(n: usize) -> String {
    format!("{n:08x}-acb5-40e6-9df0-145c834c1399")
}

fn row(id: &str, file: &str, status: &str, prompt: &str) -> String {
    let started = Clock::Wall.now().0;
    format!(
        r#"{{
    "sessionId": "{id}",
    "updatedAt": 1795159438750,
    "skillsSnapshot": {{
      "prompt": "{prompt}",
      "skills": [{{ "name": "read", "primaryEnv": null }}, {{ "name": "write" }}]
    }},
    "sessionFile": "{file}",
    "status": "{status}",
    "startedAt": {started},
    "abortedLastRun": false,
    "deliveryContext": {{ "channel": "webchat", "to": "{id}" }},
    "contextTokens": 128000,
    "model": "fake-1",
    "inputTokens": 10,
    "estimatedCostUsd": 0.00125,
    "endedAt": 1795159424275,
    "runtimeMs": 12
  }}"#
    )
}
