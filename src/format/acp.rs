//! What the gateway keeps of the agent behind a session: the `acp` block of a row, or the columns of
//! `acp_sessions`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::base64::from_base64url;
use super::loose::Loose;
use super::row::no_raw_control;
use crate::model::{AcpMetadata, BackingId, RecordMode, SessionKey, UnixMillis};

/// How `runtimeSessionName` begins if the rest is base64url of an object (2026.4.15 to 2026.7.1).
const ENCODED: &str = "acpx:v2:";

/// The fields of an `acp` block, borrowed where possible.
#[derive(Debug, Default)]
pub(crate) struct AcpFields<'de>([Loose<'de>; SLOTS]);

/// Where a field of the block is kept.
#[derive(Clone, Copy)]
enum Slot {
    Agent,
    RuntimeName,
    Mode,
    State,
    Cwd,
    LastActivityAt,
    IdentityState,
    RecordId,
    AcpxSessionId,
    AgentSessionId,
    LastUpdatedAt,
}

const SLOTS: usize = Slot::LastUpdatedAt as usize + 1;

/// What the columns of one row of `acp_sessions` say.
#[derive(Debug, Default)]
pub(crate) struct AcpColumns<'a> {
    pub(crate) agent: Option<&'a str>,
    pub(crate) runtime_session_name: Option<&'a str>,
    pub(crate) mode: Option<&'a str>,
    pub(crate) state: Option<&'a str>,
    pub(crate) cwd: Option<&'a str>,
    pub(crate) last_activity_at: Option<i64>,
    /// `identity_json`. What is no JSON says nothing.
    pub(crate) identity: Option<&'a str>,
}

impl<'de> AcpColumns<'de> {
    /// Returns what the gateway keeps of the agent.
    pub(crate) fn metadata(&self) -> AcpMetadata {
        let mut fields = AcpFields::default();
        if let Some(json) = self.identity {
            let seed = BlockSeed { part: Part::Identity, fields: &mut fields };
            if seed.deserialize(&mut serde_json::Deserializer::from_str(json)).is_err() {
                fields = AcpFields::default();
            }
        }
        let texts = [
            (Slot::Agent, self.agent),
            (Slot::RuntimeName, self.runtime_session_name),
            (Slot::Mode, self.mode),
            (Slot::State, self.state),
            (Slot::Cwd, self.cwd),
        ];
        for (slot, text) in texts {
            let bounded = text.filter(|text| text.len() <= super::loose::TEXT_BYTES_MAX);
            fields.0[slot as usize] = bounded.map(Cow::Borrowed).map_or(Loose::Null, Loose::Text);
        }
        if let Some(at) = self.last_activity_at {
            fields.0[Slot::LastActivityAt as usize] = Loose::Integer(at);
        }
        fields.into_metadata()
    }
}

impl AcpFields<'_> {
    /// Returns what they say, owned. What is of another shape than the gateway's says nothing.
    pub(crate) fn into_metadata(mut self) -> AcpMetadata {
        let name = self.text(Slot::RuntimeName).unwrap_or_default();
        let mut name = Name::read(&name);
        let ids = [
            self.text(Slot::AgentSessionId),
            self.text(Slot::AcpxSessionId),
            name.take("backendSessionId"),
        ];
        let mut backing_ids = Vec::new();
        for id in ids.into_iter().flatten().filter(|id| !id.is_empty()).map(BackingId) {
            if !backing_ids.contains(&id) {
                backing_ids.push(id);
            }
        }
        let mode = self.text(Slot::Mode).or_else(|| name.take("mode"));
        let updated_at = [Slot::LastUpdatedAt, Slot::LastActivityAt].map(|slot| self.millis(slot));
        AcpMetadata {
            family: self.text(Slot::Agent).or_else(|| name.take("agent")).unwrap_or_default(),
            mode: match mode.as_deref() {
                Some("oneshot") => RecordMode::Oneshot,
                _ => RecordMode::Persistent,
            },
            state: self.text(Slot::State).unwrap_or_default(),
            cwd: self.text(Slot::Cwd).or_else(|| name.take("cwd")).map(Into::into),
            backing_ids,
            record_id: self.text(Slot::RecordId).or_else(|| name.take("acpxRecordId")),
            is_resolved: self.text(Slot::IdentityState).as_deref() == Some("resolved"),
            is_current: true,
            updated_at: updated_at.into_iter().flatten().next(),
        }
    }

    fn text(&mut self, slot: Slot) -> Option<String> {
        let text = std::mem::take(&mut self.0[slot as usize]).text()?;
        Some(text.into_owned()).filter(|text| !text.is_empty())
    }

    fn millis(&self, slot: Slot) -> Option<UnixMillis> {
        self.0[slot as usize].millis().value()
    }
}

/// The object inside a `runtimeSessionName`: `name`, `agent`, `cwd`, `mode`, `acpxRecordId`,
/// `backendSessionId`. Recoverable even when `identity` is gone.
#[derive(Debug, Default)]
struct Name(HashMap<String, String>);

impl Name {
    fn read(name: &str) -> Name {
        let bytes = name.strip_prefix(ENCODED).and_then(from_base64url).unwrap_or_default();
        let fields: HashMap<String, Loose<'_>> = serde_json::from_slice(&bytes).unwrap_or_default();
        let texts = fields.into_iter().filter_map(|(name, value)| {
            let text = value.text().filter(|text| !text.is_empty())?;
            Some((name, text.into_owned()))
        });
        Name(texts.collect())
    }

    fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }
}

/// Returns the session that the key of a row of `acp_sessions` means, and the agent in whose store it
/// is, where the key says so.
///
/// There are three forms: `@acp:v1:` and base64url of `[agent, key]` (2026.9.6), `@agent:<id>:<key>`,
/// and the key itself. What is none of them counts as the key itself.
#[must_use]
pub fn acp_session_key(text: &str) -> (Option<String>, SessionKey) {
    let itself = || (None, SessionKey(text.to_owned()));
    if let Some(encoded) = text.strip_prefix("@acp:v1:") {
        let pair = from_base64url(encoded)
            .and_then(|json| serde_json::from_slice::<(Option<String>, String)>(&json).ok());
        return pair.map_or_else(itself, |(agent, key)| (agent, SessionKey(key)));
    }
    match text.strip_prefix("@agent:").and_then(|rest| rest.split_once(':')) {
        Some((agent, key)) => (Some(agent.to_owned()), SessionKey(key.to_owned())),
        None => itself(),
    }
}

/// Reads an `acp` block; `None` if it is no object.
pub(crate) struct AcpSeed;

impl<'de> DeserializeSeed<'de> for AcpSeed {
    type Value = Option<Box<AcpFields<'de>>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        let mut fields = Box::<AcpFields<'de>>::default();
        let seed = BlockSeed { part: Part::Block, fields: &mut fields };
        Ok(seed.deserialize(deserializer)?.then_some(fields))
    }
}

/// Which of the two objects is read.
#[derive(Clone, Copy, PartialEq)]
enum Part {
    Block,
    Identity,
}

/// Reads one of them; false if it is no object. Of a repeated field the last counts.
struct BlockSeed<'f, 'de> {
    part: Part,
    fields: &'f mut AcpFields<'de>,
}

impl<'de> DeserializeSeed<'de> for BlockSeed<'_, 'de> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for BlockSeed<'_, 'de> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what is known of an ACP agent")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(field) = map.next_key_seed(FieldSeed(self.part))? {
            match field {
                AcpField::Kept(slot) => self.fields.0[slot as usize] = map.next_value()?,
                AcpField::Identity => {
                    map.next_value_seed(BlockSeed { part: Part::Identity, fields: self.fields })?;
                }
                AcpField::Other => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<bool, A::Error> {
        IgnoredAny.visit_seq(seq)?;
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }
}

enum AcpField {
    Kept(Slot),
    Identity,
    /// Among them `lastError`, which may be cut inside a surrogate pair.
    Other,
}

struct FieldSeed(Part);

impl<'de> DeserializeSeed<'de> for FieldSeed {
    type Value = AcpField;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<AcpField, D::Error> {
        // As bytes: a lone surrogate in a name is then no error.
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed {
    type Value = AcpField;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_bytes<E: Error>(self, name: &'de [u8]) -> Result<AcpField, E> {
        no_raw_control(name)?;
        self.visit_bytes(name)
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<AcpField, E> {
        Ok(match (self.0, name) {
            (Part::Block, b"agent") => AcpField::Kept(Slot::Agent),
            (Part::Block, b"runtimeSessionName") => AcpField::Kept(Slot::RuntimeName),
            (Part::Block, b"mode") => AcpField::Kept(Slot::Mode),
            (Part::Block, b"state") => AcpField::Kept(Slot::State),
            (Part::Block, b"cwd") => AcpField::Kept(Slot::Cwd),
            (Part::Block, b"lastActivityAt") => AcpField::Kept(Slot::LastActivityAt),
            (Part::Block, b"identity") => AcpField::Identity,
            (Part::Identity, b"state") => AcpField::Kept(Slot::IdentityState),
            (Part::Identity, b"acpxRecordId") => AcpField::Kept(Slot::RecordId),
            (Part::Identity, b"acpxSessionId") => AcpField::Kept(Slot::AcpxSessionId),
            (Part::Identity, b"agentSessionId") => AcpField::Kept(Slot::AgentSessionId),
            (Part::Identity, b"lastUpdatedAt") => AcpField::Kept(Slot::LastUpdatedAt),
            _ => AcpField::Other,
        })
    }
}

#[cfg(test)]
mod tests;
