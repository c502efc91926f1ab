//! One session lane before and after a repair.

use std::fs;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::gateway::Gateway;
use crate::home::Home;

/// The only fields of a row that settling may write.
const SETTLED_FIELDS: [&str; 3] = ["endedAt", "runtimeMs", "status"];

/// A lane as its files had it at one instant.
pub(crate) struct Lane {
    key: String,
    row: Value,
    transcript: Option<Vec<u8>>,
}

impl Lane {
    #[track_caller]
    pub(crate) fn read(home: &Home, key: &str) -> Self {
        let row = home.rows().get(key).unwrap_or_else(|| panic!("no row {key}")).clone();
        let id = row["sessionId"].as_str().expect("a session id");
        let transcript = fs::read(home.sessions().join(format!("{id}.jsonl"))).ok();
        Self {
            key: key.to_owned(),
            row,
            transcript: transcript.map(|b| Sha256::digest(b).to_vec()),
        }
    }

    /// The fault itself: a row that still says `running`.
    #[track_caller]
    pub(crate) fn assert_running(&self) {
        assert_eq!(self.row["status"], "running", "{}: {}", self.key, self.row);
    }

    /// The row of the lane has ended, in the file and for the gateway, and nothing else changed.
    #[track_caller]
    pub(crate) fn assert_settled(&self, home: &Home, gateway: &Gateway) {
        let now = Self::read(home, &self.key);
        for field in self.changed_fields(&now) {
            assert!(SETTLED_FIELDS.contains(&&*field), "{}: `{field}` was written", self.key);
        }
        assert_eq!(now.row["status"], "failed");
        match self.row["endedAt"].as_u64() {
            Some(already) => assert_eq!(now.row["endedAt"], already, "a known end is kept"),
            None => assert!(now.row["endedAt"].as_u64() >= self.row["startedAt"].as_u64()),
        }
        assert!(now.transcript == self.transcript, "the transcript of {} changed", self.key);
        let listed = gateway.row(&self.key);
        assert_eq!(listed["status"], "failed", "the gateway shows the end: {listed}");
        assert_eq!(listed["endedAt"], now.row["endedAt"], "{listed}");
        assert_eq!(listed["sessionId"], self.row["sessionId"], "{listed}");
    }

    /// The lane is exactly as it was.
    #[track_caller]
    pub(crate) fn assert_unchanged(&self, home: &Home) {
        let now = Self::read(home, &self.key);
        assert_eq!(now.row, self.row, "{}", self.key);
        assert!(now.transcript == self.transcript, "the transcript of {} changed", self.key);
    }

    /// The next message is answered, in the same session.
    #[track_caller]
    pub(crate) fn assert_answers(&self, gateway: &Gateway) {
        gateway.turn(&self.key);
        let listed = gateway.row(&self.key);
        assert_eq!(listed["status"], "done", "{listed}");
        assert_eq!(listed["sessionId"], self.row["sessionId"], "{listed}");
    }

    fn changed_fields(&self, now: &Self) -> Vec<String> {
        let [before, after] = [&self.row, &now.row].map(|row| row.as_object().unwrap());
        let names = before.keys().chain(after.keys());
        names.filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
    }
}
