//! ACP sessions of a gateway: what it starts, and what it writes down about that.

use std::fs;
use std::path::PathBuf;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::gateway::{Gateway, uuid_like};
use crate::home::Home;
use crate::wait::{seconds, until};

/// The lane that the operator types commands into.
const OPERATOR: &str = "agent:main:operator";

impl Gateway<'_> {
    /// Has the main agent start a oneshot run with `task`; returns the key of its session.
    #[track_caller]
    pub(crate) fn spawn_oneshot(&self, task: &str) -> String {
        let args = json!({ "runtime": "acp", "agentId": "claude", "task": task, "mode": "run" });
        let said = self.tool("sessions_spawn", &args);
        key_in(&said.to_string(), "claude").unwrap_or_else(|| panic!("no session: {said}"))
    }

    /// Has the operator start a session that stays; returns its key.
    #[track_caller]
    pub(crate) fn spawn_persistent(&self) -> String {
        let said = self.command("/acp spawn claude --mode persistent --bind off --thread off");
        key_in(&said, "claude").unwrap_or_else(|| panic!("no session: {said}"))
    }

    /// Has the operator close a session.
    #[track_caller]
    pub(crate) fn close(&self, key: &str) {
        let said = self.command(&format!("/acp close {key}"));
        assert!(said.contains("Closed ACP session"), "{said}");
    }

    /// The answer to a command that the operator types.
    #[track_caller]
    fn command(&self, text: &str) -> String {
        let before = self.said_by_operator_lane().len();
        let id = uuid_like();
        let params = json!({ "sessionKey": OPERATOR, "message": text, "idempotencyKey": id });
        self.call("chat.send", &params);
        until("the gateway answers a command", seconds(90), || {
            self.said_by_operator_lane().into_iter().nth(before)
        })
    }

    fn said_by_operator_lane(&self) -> Vec<String> {
        let history = self.call("chat.history", &json!({ "sessionKey": OPERATOR }));
        let messages = history["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| message["content"].to_string()).collect()
    }
}

/// The status of every task that ran in the ACP session `key`.
#[track_caller]
pub(crate) fn tasks(home: &Home, key: &str) -> Vec<String> {
    let file = home.state().join("tasks/runs.sqlite");
    let Ok(tasks) = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY) else {
        return Vec::new();
    };
    let query = "select status from task_runs where child_session_key = ?";
    let mut query = tasks.prepare(query).unwrap();
    query.query_map([key], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// Every acpx record of the session `key`, by file.
#[track_caller]
pub(crate) fn records(home: &Home, key: &str) -> Vec<(PathBuf, Value)> {
    let Ok(entries) = fs::read_dir(home.workspace().join("state/sessions")) else {
        return Vec::new();
    };
    let files = entries.map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "json"));
    // A record that is being replaced is there at the next look.
    let read = files.filter_map(|path| {
        let record: Value = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        Some((path, record))
    });
    read.filter(|(_, record)| record["name"] == key).collect()
}

/// A record says now that it is closed, as acpx itself does it, and nothing else of it has changed.
#[track_caller]
pub(crate) fn assert_only_closed(before: &Value, now: &Value) {
    let mut expected = before.clone();
    expected["closed"] = json!(true);
    expected["closed_at"] = now["closed_at"].clone();
    expected["acpx"]["reset_on_next_ensure"] = json!(true);
    assert!(now["closed_at"].is_string(), "{now}");
    assert_eq!(*now, expected);
}

/// The key of an ACP session of `agent` somewhere in `text`.
pub(crate) fn key_in(text: &str, agent: &str) -> Option<String> {
    let begin = format!("agent:{agent}:acp:");
    let from = text.find(&begin)?;
    text.get(from..from + begin.len() + 36).map(str::to_owned)
}
