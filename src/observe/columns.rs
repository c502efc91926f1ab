//! Columns of a foreign table by name: versions differ in what they have.

use std::collections::BTreeSet;

use rusqlite::Connection;

/// Returns, for each of `wanted`, its name if `table` has such a column, else `NULL`; `None` if there
/// is no such table.
///
/// # Errors
///
/// Returns an error if the database cannot be read.
pub(super) fn columns<const N: usize>(
    db: &Connection,
    table: &str,
    wanted: [&'static str; N],
) -> rusqlite::Result<Option<[&'static str; N]>> {
    let mut statement = db.prepare("SELECT name FROM pragma_table_xinfo(?1)")?;
    let names: rusqlite::Result<BTreeSet<String>> =
        statement.query_map([table], |row| row.get(0))?.collect();
    let names = names?;
    let pick = |name: &'static str| if names.contains(name) { name } else { "NULL" };
    Ok((!names.is_empty()).then(|| wanted.map(pick)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_that_is_missing_is_null_and_a_table_that_is_missing_is_none() {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE t (a, b)").unwrap();
        assert_eq!(columns(&db, "t", ["b", "c"]).unwrap(), Some(["b", "NULL"]));
        assert_eq!(columns(&db, "u", ["b"]).unwrap(), None);
    }
}
