//! A table of faults and versions, as one run has seen it.
//!
//! Every row is written where `lab/matrix` finds it, which puts the whole into the README and says
//! with `--check` whether it still holds.

use std::fs;
use std::path::Path;

/// What became of one fault on one version.
pub(crate) struct Row {
    /// The fault, for people.
    pub(crate) fault: &'static str,
    /// What was said about it: `policy` and reason.
    pub(crate) verdict: String,
    /// What was done.
    pub(crate) repair: String,
    /// What the gateway says afterwards.
    pub(crate) afterwards: String,
    /// What the conversation has lost.
    pub(crate) lost: &'static str,
}

/// The rows of one version.
pub(crate) struct Matrix {
    table: &'static str,
    version: &'static str,
    rows: Vec<Row>,
}

impl Matrix {
    /// Of what hangs on a live gateway.
    pub(crate) fn of(version: &'static str) -> Self {
        Self::in_table("matrix", version)
    }

    /// Of the table that `lab/matrix` knows by this name.
    pub(crate) fn in_table(table: &'static str, version: &'static str) -> Self {
        Self { table, version, rows: Vec::new() }
    }

    /// Adds a row, and says it.
    pub(crate) fn add(&mut self, row: Row) {
        eprintln!("  {}", self.line(&row));
        self.rows.push(row);
    }

    /// Keeps all rows for `lab/matrix`.
    pub(crate) fn keep(&self) {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(self.table);
        fs::create_dir_all(&folder).unwrap();
        let lines: Vec<_> = self.rows.iter().map(|row| self.line(row)).collect();
        fs::write(folder.join(self.version), lines.join("\n") + "\n").unwrap();
    }

    fn line(&self, row: &Row) -> String {
        let Row { fault, verdict, repair, afterwards, lost } = row;
        format!("| {} | {fault} | {verdict} | {repair} | {afterwards} | {lost} |", self.version)
    }
}
