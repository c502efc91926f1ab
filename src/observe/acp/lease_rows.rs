//! Leases in `state/openclaw.sqlite` (2026.6.11 and later).

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde::de::DeserializeSeed;

use super::lease::{LEASES_MAX, Lease, LeaseSeed, Part};
use crate::format::Loose;

/// Longest value that is read. The gateway's have about 500 bytes.
const VALUE_BYTES_MAX: i64 = 16 << 10;

/// Returns the leases and the id of the gateway. Where the table is missing there are none.
///
/// The key of a lease is its id. A value that is too long, or no JSON, leaves a lease of which no
/// more than that is known.
///
/// # Errors
///
/// Returns an error if the database cannot be read, or the table has other columns.
pub(super) fn read(db: &Connection) -> rusqlite::Result<Part> {
    const TABLE: &str =
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'plugin_state_entries'";
    let mut part = Part::default();
    if !db.prepare(TABLE)?.exists([])? {
        return Ok(part);
    }
    each(db, "process-leases", |id, json| part.add(id, json.map(lease).unwrap_or_default()))?;
    each(db, "gateway-instance", |key, json| {
        if key == "current"
            && let Some(id) = json.and_then(instance)
        {
            part.add_instance(&id);
        }
    })?;
    Ok(part)
}

/// Calls `take` with key and value of each entry. A value that is too long, or no text, is `None`.
fn each(
    db: &Connection,
    namespace: &str,
    mut take: impl FnMut(&str, Option<&str>),
) -> rusqlite::Result<()> {
    const ROWS: &str = "SELECT entry_key,
            CASE WHEN octet_length(value_json) <= ?2 THEN value_json END
        FROM plugin_state_entries WHERE plugin_id = 'acpx' AND namespace = ?1 LIMIT ?3";
    // One more than are kept, so that a cut shows.
    let most = i64::try_from(LEASES_MAX).unwrap_or(i64::MAX).saturating_add(1);
    let mut statement = db.prepare(ROWS)?;
    let mut rows = statement.query((namespace, VALUE_BYTES_MAX, most))?;
    while let Some(row) = rows.next()? {
        if let Some(key) = text(row.get_ref(0)?) {
            take(key, text(row.get_ref(1)?));
        }
    }
    Ok(())
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

fn lease(json: &str) -> Lease {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    match LeaseSeed.deserialize(&mut deserializer) {
        Ok((_, lease)) if deserializer.end().is_ok() => lease,
        _ => Lease::default(),
    }
}

/// Reads `{instanceId, createdAt}`.
fn instance(json: &str) -> Option<String> {
    let fields: std::collections::HashMap<String, Loose<'_>> = serde_json::from_str(json).ok()?;
    fields.into_iter().find_map(|(name, value)| {
        let text = value.text().filter(|_| name == "instanceId")?;
        Some(text.into_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::super::lease::LeaseState;
    use super::*;

    /// As in 2026.7.1; 2026.9.6 adds `STRICT`.
    const TABLE: &str = "CREATE TABLE plugin_state_entries (
        plugin_id TEXT NOT NULL, namespace TEXT NOT NULL, entry_key TEXT NOT NULL,
        value_json TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER,
        PRIMARY KEY (plugin_id, namespace, entry_key))";

    /// What the code of 2026.7.1 wrote, below another home directory.
    const REAL: &str = r#"INSERT INTO plugin_state_entries VALUES
        ('acpx', 'gateway-instance', 'current',
         '{"instanceId":"cec3abfb-c8a7-4528-9253-98b01b08340c","createdAt":1795178742217}',
         1795178742218, NULL),
        ('acpx', 'process-leases', 'acad837d-f25d-462f-88d9-0d30cd78a787',
         '{"leaseId":"acad837d-f25d-462f-88d9-0d30cd78a787","gatewayInstanceId":"cec3abfb-c8a7-4528-9253-98b01b08340c","sessionKey":"agent:claude:acp:9f99de5b-fe26-4974-91f8-ab14ff68eeb7","wrapperRoot":"/home/user/.openclaw/acpx","wrapperPath":"/home/user/.openclaw/acpx/claude-agent-acp-wrapper.mjs","rootPid":9705,"commandHash":"592561a1d81bf0e3611e1f1a2db3017de9ac031be4db3cd03e9fe9f9f4e1cf15","startedAt":1795178743557,"state":"open"}',
         1795178743558, NULL)"#;

    fn db(sql: &str) -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(sql).unwrap();
        db
    }

    #[test]
    fn reads_what_2026_7_1_writes() {
        let part = read(&db(&format!("{TABLE}; {REAL};"))).unwrap();
        let lease = &part.leases["acad837d-f25d-462f-88d9-0d30cd78a787"];
        assert_eq!((lease.root_pid, lease.state), (Some(9705), LeaseState::Open));
        let ids: Vec<_> = part.instance_ids.iter().collect();
        assert_eq!(ids, ["cec3abfb-c8a7-4528-9253-98b01b08340c"]);
    }

    #[test]
    fn the_rows_of_other_plugins_and_keys_are_nobodys() {
        let part = read(&db(&format!(
            r#"{TABLE}; INSERT INTO plugin_state_entries VALUES
               ('other', 'process-leases', 'a', '{{}}', 0, NULL),
               ('acpx', 'other', 'a', '{{}}', 0, NULL),
               ('acpx', 'gateway-instance', 'former', '{{"instanceId":"i"}}', 0, NULL);"#
        )));
        assert_eq!(part.unwrap(), Part::default());
    }

    #[test]
    fn of_an_odd_row_what_can_be_read_is_kept() {
        let part = read(&db(&format!(
            r#"{TABLE}; INSERT INTO plugin_state_entries VALUES
               ('acpx', 'process-leases', 'torn', '{{"rootPid":7', 0, NULL),
               ('acpx', 'process-leases', 'twice', '{{"rootPid":7}}{{}}', 0, NULL),
               ('acpx', 'process-leases', 'blob', x'7b7d', 0, NULL),
               ('acpx', 'process-leases', 'long', printf('%.*c', 20000, ' '), 0, NULL),
               ('acpx', 'process-leases', x'ff', '{{}}', 0, NULL),
               ('acpx', 'process-leases', 'expired', '{{"rootPid":8}}', 0, 1),
               ('acpx', 'gateway-instance', 'current', '{{"instanceId":7}}', 0, NULL);"#
        )))
        .unwrap();
        let pids: Vec<_> = part.leases.iter().map(|(id, l)| (id.as_str(), l.root_pid)).collect();
        let none = ["blob", "long", "torn", "twice"].map(|id| (id, None));
        assert_eq!(pids, [none[0], ("expired", Some(8)), none[1], none[2], none[3]]);
        assert!(part.instance_ids.is_empty());
    }

    #[test]
    fn a_missing_table_has_no_leases_and_another_one_is_an_error() {
        assert_eq!(read(&db("")).unwrap(), Part::default());
        assert!(read(&db("CREATE TABLE plugin_state_entries (entry_key TEXT)")).is_err());
    }

    #[test]
    fn a_hundred_thousand_rows_are_read_and_one_more_is_told() {
        for (more, is_cut) in [(0, false), (1, true)] {
            let count = LEASES_MAX + more;
            let part = read(&db(&format!(
                "{TABLE}; WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL
                    SELECT i + 1 FROM n WHERE i < {count})
                 INSERT INTO plugin_state_entries
                    SELECT 'acpx', 'process-leases', 'lease-' || i, '{{}}', 0, NULL FROM n;"
            )))
            .unwrap();
            assert_eq!((part.leases.len(), part.is_cut), (LEASES_MAX, is_cut));
        }
    }
}
