//! The rows of the history.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, Transaction, params};

use super::HOUR;
use crate::journal::row::{maybe_millis, millis, named, subject};
use crate::model::{BootId, History, HostRecord, Policy, Subject, SubjectHistory, UnixMillis};

type Subjects = BTreeMap<(Policy, Subject), SubjectHistory>;

/// An action in the future counts as one of now, so that setting the clock back frees no
/// budget. Beyond a day, one wrong clock would keep repairs off for years.
const FUTURE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Stores what is remembered of one subject.
pub(super) fn put(
    tx: &Transaction<'_>,
    policy: Policy,
    subject: &Subject,
    state: &SubjectHistory,
) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO subjects (
            policy, subject_kind, subject_id, incarnation, first_seen, last_seen, looks,
            last_look, last_acted, acted_incarnation, ineffective
        ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let values = params![
        policy.name(),
        subject.kind.name(),
        subject.id,
        state.incarnation,
        state.first_seen.0,
        state.last_seen.0,
        state.looks,
        state.last_look.0,
        state.last_acted.map(|at| at.0),
        state.acted_incarnation,
        state.ineffective,
    ];
    tx.execute(sql, values).map(drop)
}

/// Stores the host at the last look.
pub(super) fn put_host(tx: &Transaction<'_>, host: &HostRecord) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO host (
            id, boot_id, booted_at, slept_ms, steady_since, resumed_at, stepped_at
        ) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6)";
    let slept_ms = host.slept.map(|slept| i64::try_from(slept.as_millis()).unwrap_or(i64::MAX));
    let values = params![
        host.boot_id.0,
        host.booted_at.0,
        slept_ms,
        host.steady_since.0,
        host.resumed_at.map(|at| at.0),
        host.stepped_at.map(|at| at.0),
    ];
    tx.execute(sql, values).map(drop)
}

/// Reads subjects and host; the rest of the history has other tables.
pub(super) fn stored(db: &Connection) -> rusqlite::Result<History> {
    let mut rows = db.prepare("SELECT * FROM subjects")?;
    let subjects = rows.query_map([], subject_row)?.collect::<rusqlite::Result<Subjects>>()?;
    let host = db.query_row("SELECT * FROM host", [], host_row).optional()?;
    Ok(History { subjects, host, ..History::default() })
}

fn subject_row(row: &Row<'_>) -> rusqlite::Result<((Policy, Subject), SubjectHistory)> {
    let state = SubjectHistory {
        incarnation: row.get("incarnation")?,
        first_seen: millis(row, "first_seen")?,
        last_seen: millis(row, "last_seen")?,
        looks: row.get("looks")?,
        last_look: millis(row, "last_look")?,
        last_acted: maybe_millis(row, "last_acted")?,
        acted_incarnation: row.get("acted_incarnation")?,
        ineffective: row.get("ineffective")?,
    };
    Ok(((named(row, "policy")?, subject(row)?), state))
}

fn host_row(row: &Row<'_>) -> rusqlite::Result<HostRecord> {
    let millis_slept = |ms: i64| {
        let bad = rusqlite::Error::IntegralValueOutOfRange(0, ms);
        u64::try_from(ms).map(Duration::from_millis).map_err(|_| bad)
    };
    Ok(HostRecord {
        boot_id: BootId(row.get("boot_id")?),
        booted_at: millis(row, "booted_at")?,
        slept: row.get::<_, Option<i64>>("slept_ms")?.map(millis_slept).transpose()?,
        steady_since: millis(row, "steady_since")?,
        resumed_at: maybe_millis(row, "resumed_at")?,
        stepped_at: maybe_millis(row, "stepped_at")?,
    })
}

/// Reads when actions were intended within the hour before `now`, oldest first; without those that found
/// their subject gone or changed and left it, which for a tree of processes takes stopping it.
pub(super) fn acted_at(db: &Connection, now: UnixMillis) -> rusqlite::Result<Vec<UnixMillis>> {
    let sql = "SELECT intended_at FROM actions
        WHERE intended_at > ?1 AND intended_at <= ?2
          AND (outcome IS NULL OR outcome NOT IN ('changed', 'already_gone') OR kind = 'end_tree')
        ORDER BY intended_at";
    let within = [now.minus(HOUR).0, now.plus(FUTURE_MAX).0];
    db.prepare(sql)?.query_map(within, |row| millis(row, "intended_at"))?.collect()
}
