//! One row of a session store, by the fields a judgement needs.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::acp::{AcpFields, AcpSeed};
use super::loose::Loose;
use crate::model::{
    AcpSession, AgentId, Field, LaneStatus, Residue, Row, SessionId, SessionKey, UnixMillis,
};

/// Reads one row from its JSON, as it stands in a store.
///
/// `None`: it is no object, or no JSON. Fields of another shape than the gateway's are
/// [`Field::Malformed`], [`LaneStatus::Unknown`] or `None`; unknown fields are ignored; of a
/// repeated field the last counts, as in JavaScript.
#[must_use]
pub fn read_row(json: &[u8]) -> Option<Row> {
    row_fields(json).map(RowFields::into_row)
}

/// Reads the fields of one row from its JSON; `None` as for [`read_row`].
pub(crate) fn row_fields(json: &[u8]) -> Option<RowFields<'_>> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let fields = RowSeed.deserialize(&mut deserializer).ok()??;
    deserializer.end().ok()?;
    Some(fields)
}

/// The fields of a row, borrowed from the store where possible: most rows are not kept.
#[derive(Default)]
pub(crate) struct RowFields<'de> {
    session_id: Option<Cow<'de, str>>,
    session_file: Option<Cow<'de, str>>,
    status: LaneStatus,
    started_at: Field<UnixMillis>,
    ended_at: Field<UnixMillis>,
    updated_at: Field<UnixMillis>,
    aborted_last_run: bool,
    restart_recovery: bool,
    pending_final_delivery: bool,
    quota_suspension: bool,
    spawned_by: Option<Cow<'de, str>>,
    parent: Option<Cow<'de, str>>,
    acp: Option<Box<AcpFields<'de>>>,
}

impl RowFields<'_> {
    /// Returns true if a run began and has not been seen to end.
    pub(crate) fn is_running(&self) -> bool {
        self.status == LaneStatus::Running
    }

    /// Returns true if the gateway keeps something of an ACP agent in it.
    pub(crate) fn has_acp(&self) -> bool {
        self.acp.is_some()
    }

    /// Returns the row as a session that an ACP agent works or worked for, as far as it says itself
    /// which one it is.
    pub(crate) fn take_session(
        &mut self,
        key: SessionKey,
        agent: AgentId,
        store: PathBuf,
    ) -> AcpSession {
        let named = |text: &Option<Cow<'_, str>>| text.as_deref().map(SessionKey::from);
        AcpSession {
            key,
            agent,
            store,
            session_id: self.session_id.as_deref().map(SessionId::from),
            status: self.status.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
            updated_at: self.updated_at,
            spawned_by: named(&self.spawned_by),
            parent: named(&self.parent),
            metadata: self.acp.take().map(|fields| fields.into_metadata()),
        }
    }

    /// Returns the row, owned.
    pub(crate) fn into_row(self) -> Row {
        let residue = [
            (self.aborted_last_run, Residue::AbortedLastRun),
            (self.restart_recovery, Residue::RestartRecovery),
            (self.pending_final_delivery, Residue::PendingFinalDelivery),
            (self.quota_suspension, Residue::QuotaSuspension),
        ];
        Row {
            session_id: self.session_id.map(|id| SessionId(id.into_owned())),
            status: self.status,
            started_at: self.started_at,
            ended_at: self.ended_at,
            updated_at: self.updated_at,
            session_file: self.session_file.map(|file| PathBuf::from(file.into_owned())),
            residue: residue.into_iter().filter_map(|(set, what)| set.then_some(what)).collect(),
        }
    }
}

/// Reads one entry of a store; `None` if it is no object.
pub(crate) struct RowSeed;

impl<'de> DeserializeSeed<'de> for RowSeed {
    type Value = Option<RowFields<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RowSeed {
    type Value = Option<RowFields<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut row = RowFields::default();
        while let Some(name) = map.next_key_seed(NameSeed)? {
            read_field(name, &mut row, &mut map)?;
        }
        Ok(Some(row))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(seq)?;
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }
}

fn read_field<'de, A: MapAccess<'de>>(
    name: Name,
    row: &mut RowFields<'de>,
    map: &mut A,
) -> Result<(), A::Error> {
    match name {
        Name::SessionId => row.session_id = name_of(map.next_value()?),
        Name::SessionFile => row.session_file = name_of(map.next_value()?),
        Name::Status => row.status = status(&map.next_value()?),
        Name::StartedAt => row.started_at = map.next_value::<Loose<'_>>()?.millis(),
        Name::EndedAt => row.ended_at = map.next_value::<Loose<'_>>()?.millis(),
        Name::UpdatedAt => row.updated_at = map.next_value::<Loose<'_>>()?.millis(),
        Name::AbortedLastRun => row.aborted_last_run = map.next_value::<Loose<'_>>()?.is_set(),
        Name::QuotaSuspension => {
            row.quota_suspension = map.next_value::<Loose<'_>>()? != Loose::Null;
        }
        // Several fields share one residue; one of them is enough.
        Name::RestartRecovery => {
            row.restart_recovery |= map.next_value::<Loose<'_>>()?.is_filled();
        }
        Name::PendingDelivery => {
            row.pending_final_delivery |= map.next_value::<Loose<'_>>()?.is_set();
        }
        Name::PendingDeliveryText => {
            row.pending_final_delivery |= map.next_value::<Option<IgnoredAny>>()?.is_some();
        }
        Name::SpawnedBy => row.spawned_by = name_of(map.next_value()?),
        Name::Parent => row.parent = name_of(map.next_value()?),
        Name::Acp => row.acp = map.next_value_seed(AcpSeed)?,
        Name::Other => {
            map.next_value::<IgnoredAny>()?;
        }
    }
    Ok(())
}

/// Returns a text that names something; an empty one names nothing.
fn name_of(value: Loose<'_>) -> Option<Cow<'_, str>> {
    value.text().filter(|text| !text.is_empty())
}

fn status(value: &Loose<'_>) -> LaneStatus {
    match value {
        Loose::Null => LaneStatus::Absent,
        Loose::Text(text) => lane_status(text),
        _ => LaneStatus::Unknown,
    }
}

/// Returns the status that the gateway calls so.
pub(crate) fn lane_status(text: &str) -> LaneStatus {
    match text {
        "running" => LaneStatus::Running,
        "done" | "failed" | "killed" | "timeout" => LaneStatus::Ended,
        _ => LaneStatus::Unknown,
    }
}

enum Name {
    SessionId,
    SessionFile,
    Status,
    StartedAt,
    EndedAt,
    UpdatedAt,
    AbortedLastRun,
    QuotaSuspension,
    RestartRecovery,
    PendingDelivery,
    /// A field that carries text of a message. JavaScript may have cut it inside a surrogate
    /// pair, which serde_json takes for an error unless it only skips the text.
    PendingDeliveryText,
    SpawnedBy,
    Parent,
    Acp,
    Other,
}

struct NameSeed;

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        // As bytes: a lone surrogate in a name is then no error.
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_borrowed_bytes<E: Error>(self, name: &'de [u8]) -> Result<Name, E> {
        no_raw_control(name)?;
        self.visit_bytes(name)
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Name, E> {
        Ok(match name {
            b"sessionId" => Name::SessionId,
            b"sessionFile" => Name::SessionFile,
            b"status" => Name::Status,
            b"startedAt" => Name::StartedAt,
            b"endedAt" => Name::EndedAt,
            b"updatedAt" => Name::UpdatedAt,
            b"abortedLastRun" => Name::AbortedLastRun,
            b"quotaSuspension" => Name::QuotaSuspension,
            b"mainRestartRecovery" => Name::RestartRecovery,
            b"spawnedBy" => Name::SpawnedBy,
            b"parentSessionKey" => Name::Parent,
            b"acp" => Name::Acp,
            _ if name.starts_with(b"restartRecovery") => Name::RestartRecovery,
            _ if name.starts_with(b"pendingFinalDelivery") => pending(name),
            _ => Name::Other,
        })
    }
}

/// Refuses a name that was borrowed, so that nothing in it is escaped, and has a control character.
/// That is no JSON, and the gateway reads a store with it as empty, but serde_json lets it pass in
/// bytes.
///
/// # Errors
///
/// Returns an error if there is one.
pub(crate) fn no_raw_control<E: Error>(name: &[u8]) -> Result<(), E> {
    if name.iter().any(|&byte| byte < b' ') {
        return Err(E::custom("a control character in a name"));
    }
    Ok(())
}

fn pending(name: &[u8]) -> Name {
    if name.ends_with(b"Text") || name.ends_with(b"Error") {
        return Name::PendingDeliveryText;
    }
    Name::PendingDelivery
}

#[cfg(test)]
mod tests;
