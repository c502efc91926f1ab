//! Reading rows strictly: a value that we never write is an error that names it.

use rusqlite::Row;
use rusqlite::types::Type;
use serde::de::DeserializeOwned;
use serde::de::value::{Error, StrDeserializer};
use thiserror::Error as ThisError;

use crate::model::{ProcessId, Subject, UnixMillis};

#[derive(Debug, ThisError)]
#[error(
    "`{column}` has the unknown name `{name}`; a later clawarden may have written it: install \
     that one, or move the file away to begin anew"
)]
struct UnknownName {
    column: &'static str,
    name: String,
}

/// Returns the value whose name the column holds.
pub(super) fn named<T: DeserializeOwned>(
    row: &Row<'_>,
    column: &'static str,
) -> rusqlite::Result<T> {
    let name: String = row.get(column)?;
    T::deserialize(StrDeserializer::<Error>::new(&name)).map_err(|_| {
        // The name may be hostile: it is shown escaped, and not at length.
        let name = name.chars().take(40).flat_map(char::escape_debug).collect();
        let unknown = Box::new(UnknownName { column, name });
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, unknown)
    })
}

/// Returns the subject that the row is about.
pub(super) fn subject(row: &Row<'_>) -> rusqlite::Result<Subject> {
    Ok(Subject { kind: named(row, "subject_kind")?, id: row.get("subject_id")? })
}

/// Returns an instant.
pub(super) fn millis(row: &Row<'_>, column: &str) -> rusqlite::Result<UnixMillis> {
    row.get(column).map(UnixMillis)
}

/// Returns an instant that may be absent.
pub(super) fn maybe_millis(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<UnixMillis>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(UnixMillis))
}

/// Returns an unsigned number, which is stored as its 64 bits.
pub(super) fn bits(row: &Row<'_>, column: &str) -> rusqlite::Result<u64> {
    row.get(column).map(i64::cast_unsigned)
}

/// Returns the process that two columns identify. Numbers that mean process groups are none.
pub(super) fn process(
    row: &Row<'_>,
    pid_column: &str,
    ticks_column: &str,
) -> rusqlite::Result<ProcessId> {
    let pid: i32 = row.get(pid_column)?;
    if pid < 1 {
        return Err(rusqlite::Error::IntegralValueOutOfRange(0, pid.into()));
    }
    Ok(ProcessId { pid, start_ticks: bits(row, ticks_column)? })
}
