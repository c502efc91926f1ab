//! A background task that is taken out of every place that names it, with its gateway stopped.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{FileStamp, TaskId};

/// Everything that names one task and the others of its run, as it was found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaskPurge {
    /// The task by which it is named.
    pub id: TaskId,
    /// The rows, by database.
    pub rows: Vec<(PathBuf, Vec<RowCopy>)>,
    /// The members of JSON objects: the file as it was read, and the keys that lead there.
    pub members: Vec<(PathBuf, FileStamp, Vec<String>)>,
    /// Files that are about nothing else.
    pub files: Vec<(PathBuf, FileStamp)>,
}

impl TaskPurge {
    /// Returns each place, for people.
    #[must_use]
    pub fn places(&self) -> Vec<String> {
        let rows = self.rows.iter().flat_map(|(path, rows)| {
            rows.iter().map(move |row| format!("{} {} {}", path.display(), row.table, row.id))
        });
        let members = self.members.iter().map(|(path, _, keys)| {
            format!("{} {}", path.display(), keys.last().map_or("", String::as_str))
        });
        let files = self.files.iter().map(|(path, _)| path.display().to_string());
        rows.chain(members).chain(files).collect()
    }
}

/// One row of a database, by what names it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RowCopy {
    /// The table.
    pub table: String,
    /// The column that names it.
    pub column: String,
    /// What that column says.
    pub id: String,
    /// Every cell by its column, in their order.
    pub cells: Vec<(String, Cell)>,
}

/// What a cell holds, to the last bit.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cell {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// The bits of any other number.
    Real(u64),
    /// Text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}
