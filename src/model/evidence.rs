//! What a judgement rests on, as named values.

use serde::Serialize;
use serde_json::{Map, Value};

/// Named facts for and against a verdict, in the order they were looked at.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Evidence(pub Map<String, Value>);

impl Evidence {
    /// Starts an empty list.
    #[must_use]
    pub fn new() -> Evidence {
        Evidence::default()
    }

    /// Adds a fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Evidence {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a fact if it is known.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<impl Into<Value>>) -> Evidence {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}
