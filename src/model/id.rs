//! Names that must not be mixed up.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
        )]
        #[serde(transparent)]
        pub struct $type(pub String);

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $type {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

name! {
    /// The lowercase key of a conversation, such as `agent:main:main`. One key is one lane.
    SessionKey
}
name! {
    /// The id of a conversation's current transcript. A reset gives the same key a new one.
    SessionId
}
name! {
    /// The folder name of an agent below `agents/`.
    AgentId
}

impl std::borrow::Borrow<str> for SessionKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl SessionKey {
    /// Returns true if the lane belongs to a spawned subagent (`agent:<id>:subagent:…`).
    #[must_use]
    pub fn is_subagent(&self) -> bool {
        self.kind() == Some("subagent")
    }

    /// Returns true if the lane belongs to an ACP session (`agent:<id>:acp:…`).
    #[must_use]
    pub fn is_acp(&self) -> bool {
        self.kind() == Some("acp")
    }

    /// Returns true if the lane belongs to a cron job (`agent:<id>:cron:…`).
    #[must_use]
    pub fn is_cron(&self) -> bool {
        self.kind() == Some("cron")
    }

    /// Returns the lane of the cron job, if this is the key of one run of it
    /// (`agent:<id>:cron:<job>:run:<session>`). On 2026.9.6 the events of a cron run have such a key,
    /// and its row that of the job; 2026.4.15 has rows of both (measured).
    #[must_use]
    pub fn cron_job(&self) -> Option<SessionKey> {
        let (job, _) = self.0.split_once(":run:").filter(|_| self.is_cron())?;
        Some(SessionKey(job.to_owned())).filter(SessionKey::is_cron)
    }

    /// Returns true if `key` is this lane's, or that of one run of its cron job.
    #[must_use]
    pub fn covers(&self, key: &SessionKey) -> bool {
        self == key || key.cron_job().as_ref() == Some(self)
    }

    fn kind(&self) -> Option<&str> {
        self.0.split(':').nth(2)
    }
}

/// The number of one action in the journal. Never used twice.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct ActionId(pub i64);

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
