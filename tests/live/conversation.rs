//! What a lane's conversation has, as the gateway itself tells it, and its transcript: a file, or,
//! from 2026.8.1 on, rows of a database.

use std::fs;

use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::home::Home;

/// A conversation as it was at one instant.
pub(crate) struct Conversation {
    key: String,
    session: String,
    messages: Vec<Message>,
    transcript: String,
}

impl Conversation {
    #[track_caller]
    pub(crate) fn read(home: &Home, gateway: &Gateway, key: &str) -> Self {
        let row = gateway.row(key);
        let session = row["sessionId"].as_str().expect("a session id").to_owned();
        let history = gateway.call("chat.history", &json!({ "sessionKey": key, "limit": 200 }));
        let messages = history["messages"].as_array().cloned().unwrap_or_default();
        let messages = messages.iter().map(Message::of).collect();
        let transcript = transcript(home, &session);
        Self { key: key.to_owned(), session, messages, transcript }
    }

    /// Whether the agent has said something since.
    #[track_caller]
    pub(crate) fn is_answered(&self, home: &Home, gateway: &Gateway) -> bool {
        let now = Self::read(home, gateway, &self.key);
        let later = now.messages.get(self.messages.len()..).unwrap_or_default();
        now.session == self.session && later.iter().any(|said| said.role == "assistant")
    }

    /// It is still the same conversation: everything that was there is there, in its order, and what
    /// has come since stands behind it.
    #[track_caller]
    pub(crate) fn assert_kept(&self, home: &Home, gateway: &Gateway) {
        self.assert_still(home, gateway, |now, before| now == before);
    }

    /// The same, but for a last message without an answer: a gateway that resumes such a run says a
    /// message of its own there. The transcript has it in any case; returns whether the gateway still
    /// tells it, in its place or within its own (2026.5.7 to 2026.6.11).
    #[track_caller]
    pub(crate) fn assert_resumable(&self, home: &Home, gateway: &Gateway) -> bool {
        let is_users = |said: &&Message| said.role == "user";
        let asked = self.messages.last().filter(is_users);
        let earlier = self.messages.len() - usize::from(asked.is_some());
        self.assert_still(home, gateway, |now, before| {
            now.len() == before.len()
                && now.get(..earlier) == before.get(..earlier)
                && now.last().filter(is_users).is_some() == asked.is_some()
        });
        let now = Self::read(home, gateway, &self.key);
        asked.is_none_or(|asked| now.messages.iter().any(|said| said.text.contains(&asked.text)))
    }

    #[track_caller]
    fn assert_still(
        &self,
        home: &Home,
        gateway: &Gateway,
        is_same: impl Fn(&[Message], &[Message]) -> bool,
    ) {
        let now = Self::read(home, gateway, &self.key);
        let key = &self.key;
        assert_eq!(now.session, self.session, "{key}: the session is another one");
        let kept = now.messages.get(..self.messages.len()).unwrap_or_default();
        let before = &self.messages;
        assert!(is_same(kept, before), "{key}: {before:#?} became {:#?}", now.messages);
        assert!(
            now.transcript.starts_with(&self.transcript),
            "{key}: the transcript was rewritten"
        );
    }
}

fn transcript(home: &Home, session: &str) -> String {
    if home.has_locks() {
        let file = home.sessions().join(format!("{session}.jsonl"));
        return fs::read_to_string(file).unwrap_or_default();
    }
    let file = home.state().join("agents/main/agent/openclaw-agent.sqlite");
    let database = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let query = "select event_json from transcript_events where session_id = ? order by seq";
    let mut query = database.prepare(query).unwrap();
    let events = query.query_map([session], |row| row.get::<_, Option<String>>(0)).unwrap();
    events.map(|event| event.unwrap().unwrap_or_default() + "\n").collect()
}

/// What a message says and who said it, and its id where the version gives one.
#[derive(Debug, Eq, PartialEq)]
struct Message {
    role: String,
    /// Without what surrounds it.
    text: String,
    content: String,
    id: String,
}

impl Message {
    fn of(message: &Value) -> Self {
        let content = &message["content"];
        let parts = content.as_array().into_iter().flatten();
        let parts: String = parts.filter_map(|part| part["text"].as_str()).collect();
        Self {
            role: message["role"].as_str().unwrap_or_default().to_owned(),
            text: content.as_str().map_or(parts, str::to_owned),
            content: content.to_string(),
            id: message["__openclaw"]["id"].to_string(),
        }
    }
}
