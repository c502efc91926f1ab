//! One row of a session store, by the fields a judgement needs.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::loose::Loose;
use crate::model::{Field, LaneStatus, Residue, Row, SessionId, UnixMillis};

/// Reads one row from its JSON, as it stands in a store.
///
/// `None`: it is no object, or no JSON. Fields of another shape than the gateway's are
/// [`Field::Malformed`], [`LaneStatus::Unknown`] or `None`; unknown fields are ignored; of a
/// repeated field the last counts, as in JavaScript.
#[must_use]
pub fn read_row(json: &[u8]) -> Option<Row> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let fields = RowSeed.deserialize(&mut deserializer).ok()??;
    deserializer.end().ok()?;
    Some(fields.into_row())
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
    recovery_delivery: bool,
    pending_final_delivery: bool,
    quota_suspension: bool,
}

impl RowFields<'_> {
    /// Returns true if a run began and has not been seen to end.
    pub(crate) fn is_running(&self) -> bool {
        self.status == LaneStatus::Running
    }

    /// Returns the row, owned.
    pub(crate) fn into_row(self) -> Row {
        let residue = [
            (self.aborted_last_run, Residue::AbortedLastRun),
            (self.restart_recovery, Residue::RestartRecovery),
            (self.recovery_delivery, Residue::RecoveryDelivery),
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
        Name::RecoveryDelivery => {
            row.recovery_delivery |= map.next_value::<Loose<'_>>()?.is_filled();
        }
        Name::PendingDelivery => {
            row.pending_final_delivery |= map.next_value::<Loose<'_>>()?.is_set();
        }
        Name::PendingDeliveryText => {
            row.pending_final_delivery |= map.next_value::<Option<IgnoredAny>>()?.is_some();
        }
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
        Loose::Text(text) => match &**text {
            "running" => LaneStatus::Running,
            "done" | "failed" | "killed" | "timeout" => LaneStatus::Ended,
            _ => LaneStatus::Unknown,
        },
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
    RecoveryDelivery,
    PendingDelivery,
    /// A field that carries text of a message. JavaScript may have cut it inside a surrogate
    /// pair, which serde_json takes for an error unless it only skips the text.
    PendingDeliveryText,
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
            _ if name.starts_with(b"restartRecoveryDelivery") => Name::RecoveryDelivery,
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
mod tests {
    use super::*;

    #[track_caller]
    fn row(json: &str) -> Row {
        read_row(json.as_bytes()).unwrap_or_else(|| panic!("no row: {json}"))
    }

    #[test]
    fn reads_a_row_of_2026_4_15() {
        let json = r#"{"sessionId": "26699f40-6bfd-4761-90ee-714c026735f2",
            "updatedAt": 1795159438750, "skillsSnapshot": {"skills": [{"name": "a"}]},
            "sessionFile": "/home/user/.openclaw/agents/main/sessions/26699f40.jsonl",
            "status": "running", "startedAt": 1795159303423, "abortedLastRun": false,
            "model": "fake-1", "estimatedCostUsd": 0, "endedAt": 1795159424275, "runtimeMs": 12}"#;
        let want = Row {
            session_id: Some("26699f40-6bfd-4761-90ee-714c026735f2".into()),
            status: LaneStatus::Running,
            started_at: Field::Value(UnixMillis(1_795_159_303_423)),
            ended_at: Field::Value(UnixMillis(1_795_159_424_275)),
            updated_at: Field::Value(UnixMillis(1_795_159_438_750)),
            session_file: Some("/home/user/.openclaw/agents/main/sessions/26699f40.jsonl".into()),
            residue: vec![],
        };
        assert_eq!(row(json), want);
    }

    #[test]
    fn reads_the_recovery_mark_of_2026_6_11() {
        let json = r#"{"restartRecoveryDeliveryRunId": "69dfd275-b020-48aa-a2c1-5aed73d5db81",
            "abortedLastRun": false, "status": "running", "startedAt": 1795159778039}"#;
        assert_eq!(row(json).residue, [Residue::RecoveryDelivery]);
    }

    #[test]
    fn a_status_of_another_shape_is_unknown_and_a_missing_one_is_absent() {
        for (json, want) in [
            ("{}", LaneStatus::Absent),
            (r#"{"status":null}"#, LaneStatus::Absent),
            (r#"{"status":"running"}"#, LaneStatus::Running),
            (r#"{"status":"done"}"#, LaneStatus::Ended),
            (r#"{"status":"failed"}"#, LaneStatus::Ended),
            (r#"{"status":"killed"}"#, LaneStatus::Ended),
            (r#"{"status":"timeout"}"#, LaneStatus::Ended),
            (r#"{"status":"RUNNING"}"#, LaneStatus::Unknown),
            (r#"{"status":""}"#, LaneStatus::Unknown),
            (r#"{"status":1}"#, LaneStatus::Unknown),
            (r#"{"status":["running"]}"#, LaneStatus::Unknown),
        ] {
            assert_eq!(row(json).status, want, "{json}");
        }
    }

    #[test]
    fn a_time_of_another_shape_is_malformed_not_absent() {
        for (json, want) in [
            (r#"{"startedAt":null}"#, Field::Absent),
            (r#"{"startedAt":-5}"#, Field::Value(UnixMillis(-5))),
            (r#"{"startedAt":5.0}"#, Field::Value(UnixMillis(5))),
            (r#"{"startedAt":5.5}"#, Field::Malformed),
            (r#"{"startedAt":"2026-04-15T10:00:00Z"}"#, Field::Malformed),
            (r#"{"startedAt":18446744073709551615}"#, Field::Malformed),
            (r#"{"startedAt":{"ms":[5]}}"#, Field::Malformed),
            (r#"{"startedAt":true}"#, Field::Malformed),
        ] {
            assert_eq!(row(json).started_at, want, "{json}");
        }
    }

    #[test]
    fn residue_is_whatever_the_gateway_may_still_act_on() {
        for (json, want) in [
            (r#"{"abortedLastRun":true}"#, &[Residue::AbortedLastRun][..]),
            (r#"{"abortedLastRun":false}"#, &[]),
            (r#"{"abortedLastRun":"yes"}"#, &[Residue::AbortedLastRun]),
            (r#"{"restartRecoveryRuns":[{"runId":"a"}]}"#, &[Residue::RestartRecovery]),
            (r#"{"restartRecoveryRuns":[]}"#, &[]),
            (r#"{"restartRecoveryDeliveryContext":{"a":1}}"#, &[Residue::RecoveryDelivery]),
            (r#"{"restartRecoveryDeliveryRunId":null}"#, &[]),
            (r#"{"restartRecoveryX":null,"restartRecoveryY":false}"#, &[]),
            (r#"{"mainRestartRecovery":{"cycleId":"a"}}"#, &[Residue::RestartRecovery]),
            (r#"{"mainRestartRecovery":{}}"#, &[]),
            (r#"{"mainRestartRecoveryNote":1}"#, &[]),
            (r#"{"restartRecoveryA":1,"restartRecoveryB":null}"#, &[Residue::RestartRecovery]),
            (r#"{"pendingFinalDelivery":true}"#, &[Residue::PendingFinalDelivery]),
            (r#"{"pendingFinalDelivery":false,"pendingFinalDeliveryText":null}"#, &[]),
            (r#"{"pendingFinalDeliveryText":"cut \ud83d"}"#, &[Residue::PendingFinalDelivery]),
            (r#"{"quotaSuspension":{"until":5}}"#, &[Residue::QuotaSuspension]),
            (r#"{"quotaSuspension":null}"#, &[]),
        ] {
            assert_eq!(row(json).residue, want, "{json}");
        }
    }

    #[test]
    fn of_a_repeated_field_the_last_counts() {
        let json = r#"{"status":"running","startedAt":1,"sessionId":"a",
            "status":"done","startedAt":null,"sessionId":7}"#;
        assert_eq!(row(json), Row { status: LaneStatus::Ended, ..Row::default() });
    }

    #[test]
    fn names_that_are_empty_or_endless_name_nothing() {
        let long = "a".repeat(5000);
        let json = format!(r#"{{"sessionId":"{long}","sessionFile":"","status":"{long}"}}"#);
        assert_eq!(row(&json), Row { status: LaneStatus::Unknown, ..Row::default() });
    }

    #[test]
    fn what_is_no_object_is_no_row() {
        for json in ["", "null", "7", "-7", "7.5", "\"a\"", "[{}]", "true", "{", "{}x"] {
            assert_eq!(read_row(json.as_bytes()), None, "{json}");
        }
    }

    #[test]
    fn half_an_emoji_in_a_field_or_a_name_that_is_ignored_is_no_error() {
        assert_eq!(row(r#"{"label":"cut \ud83d","\udc00":1}"#), Row::default());
    }
}
