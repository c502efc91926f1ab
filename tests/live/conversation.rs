//! What a lane's conversation has, as the gateway itself tells it, and its transcript file where the
//! version has one.

use std::fs;

use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::home::Home;

/// A conversation as it was at one instant.
pub(crate) struct Conversation {
    key: String,
    session: String,
    messages: Vec<String>,
    transcript: Option<String>,
}

impl Conversation {
    #[track_caller]
    pub(crate) fn read(home: &Home, gateway: &Gateway, key: &str) -> Self {
        let row = gateway.row(key);
        let session = row["sessionId"].as_str().expect("a session id").to_owned();
        let history = gateway.call("chat.history", &json!({ "sessionKey": key, "limit": 200 }));
        let messages = history["messages"].as_array().cloned().unwrap_or_default();
        let messages = messages.iter().map(identity).collect();
        let transcript = home.sessions().join(format!("{session}.jsonl"));
        let transcript = fs::read_to_string(transcript).ok();
        Self { key: key.to_owned(), session, messages, transcript }
    }

    /// It is still the same conversation: everything that was there is there, in its order, and what
    /// has come since stands behind it.
    #[track_caller]
    pub(crate) fn assert_kept(&self, home: &Home, gateway: &Gateway) {
        let now = Self::read(home, gateway, &self.key);
        let key = &self.key;
        assert_eq!(now.session, self.session, "{key}: the session is another one");
        let kept = now.messages.get(..self.messages.len());
        assert_eq!(kept, Some(&*self.messages), "{key}: {:#?}", now.messages);
        if let Some(before) = &self.transcript {
            let after = now.transcript.as_deref().unwrap_or_default();
            assert!(after.starts_with(before), "{key}: the transcript was rewritten");
        }
    }
}

/// What a message says and who said it, and its id where the version gives one.
fn identity(message: &Value) -> String {
    let id = &message["__openclaw"]["id"];
    format!("{} {} {id}", message["role"], message["content"])
}
