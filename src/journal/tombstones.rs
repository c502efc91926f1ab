//! To whom backing sessions belong: what happened to each, never changed and never deleted.
//!
//! Everything is written twice, to `tombstones.jsonl` (see [`super::copy`]) before the transaction
//! here ends: what the database has, the copy has, too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, Row, Transaction, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::copy::Copied;
use super::row::{millis, named};
use super::{Journal, JournalError, schema};
use crate::model::{BackingId, TombstoneEvent, Tombstones, UnixMillis};

/// When a session was last seen may be this much out of date on disk.
const LAZY: Duration = Duration::from_secs(60 * 60);

const WHAT: &str = "the tombstones";

/// What the database has, kept in memory.
#[derive(Debug, Default)]
pub(super) struct Kept {
    all: Arc<Tombstones>,
    /// The newest event that is in it.
    newest: i64,
    seen: BTreeMap<BackingId, UnixMillis>,
    /// What the copy has and the database has lost.
    lost: Vec<TombstoneEvent>,
    /// Lines of the copy that were not believed, for people.
    problems: Vec<String>,
}

impl Journal {
    /// Returns all tombstones. Where the database has none, as after it was lost, those of the copy.
    /// One that cannot be read is a problem, and no error: it must not hold up repairs.
    ///
    /// # Errors
    ///
    /// Returns an error if the database cannot be read. They are then not known to be none.
    pub fn tombstones(&mut self) -> Result<Arc<Tombstones>, JournalError> {
        let mut kept = self.tombstones.take().unwrap_or_default();
        let newest = kept.newest;
        let events = self.read(WHAT, |db| events(db, newest))?;
        if newest == 0 {
            kept.seen = self.read(WHAT, sightings)?;
        }
        if events.is_empty() && newest == 0 && kept.lost.is_empty() {
            let read = self.copy.read();
            let Copied { events, problems } = read.unwrap_or_else(|error| Copied {
                events: Vec::new(),
                problems: vec![format!("failed to {error}")],
            });
            kept.problems = problems;
            add(&mut kept.all, events.iter());
            kept.lost = events;
        }
        if !events.is_empty() && !kept.lost.is_empty() {
            // Another process has brought back what was lost: with that, the database has it all.
            kept = Kept { seen: kept.seen, problems: kept.problems, ..Kept::default() };
        }
        kept.newest = events.last().map_or(newest, |(id, _)| *id);
        add(&mut kept.all, events.iter().map(|(_, event)| event));
        let all = Arc::clone(&kept.all);
        self.tombstones = Some(kept);
        Ok(all)
    }

    /// Returns when each backing session was last seen, at most an hour out of date.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read.
    pub fn last_seen(&self) -> Result<BTreeMap<BackingId, UnixMillis>, JournalError> {
        self.read(WHAT, sightings)
    }

    /// Returns which lines of the copy were not believed when it was last read, for people.
    #[must_use]
    pub fn tombstone_problems(&self) -> &[String] {
        self.tombstones.as_ref().map_or(&[], |kept| &kept.problems)
    }

    /// Adds what happened, all or nothing, and with it what the copy has and the database has lost. It
    /// is on disk, twice, when this returns.
    ///
    /// # Errors
    ///
    /// Returns an error if the database has nothing of it. If the very end of the transaction failed,
    /// the copy has it; the same said again does no harm.
    pub fn record_tombstones(&mut self, events: &[TombstoneEvent]) -> Result<(), JournalError> {
        self.tombstones()?;
        let copy = self.copy.clone();
        let lost = self.tombstones.as_ref().map(|kept| kept.lost.clone()).unwrap_or_default();
        self.write(WHAT, |tx| {
            // Another process may have brought back what was lost, just now.
            let is_empty = "SELECT NOT EXISTS (SELECT 1 FROM tombstone_events)";
            let is_empty: bool = tx.query_row(is_empty, [], |row| row.get(0))?;
            let lost = lost.iter().filter(|_| is_empty);
            lost.chain(events).try_for_each(|event| insert(tx, event))?;
            copy.append(events).map_err(foreign)
        })?;
        self.tombstones().map(drop)
    }

    /// Takes in that these were seen at `now`. At most once an hour for each, that is written.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was written; the next call tries the same again.
    pub fn see_tombstones(
        &mut self,
        ids: &BTreeSet<&BackingId>,
        now: UnixMillis,
    ) -> Result<(), JournalError> {
        let Some(kept) = &self.tombstones else { return Ok(()) };
        let is_late = |id: &BackingId| {
            kept.all.get(id).is_some() && kept.seen.get(id).is_none_or(|at| now.since(*at) > LAZY)
        };
        let late: Vec<BackingId> =
            ids.iter().filter(|id| is_late(id)).map(|id| (*id).clone()).collect();
        if late.is_empty() {
            return Ok(());
        }
        self.write(WHAT, |tx| late.iter().try_for_each(|id| see(tx, id, now)))?;
        if let Some(kept) = &mut self.tombstones {
            kept.seen.extend(late.into_iter().map(|id| (id, now)));
        }
        Ok(())
    }
}

fn add<'a>(all: &mut Arc<Tombstones>, events: impl Iterator<Item = &'a TombstoneEvent>) {
    let mut events = events.peekable();
    if events.peek().is_some() {
        let all = Arc::make_mut(all);
        events.for_each(|event| all.apply(event));
    }
}

fn insert(tx: &Transaction<'_>, event: &TombstoneEvent) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tombstone_events (backing_id, at, kind, state, facts)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    let (kind, state) = (event.kind.name(), event.state.name());
    let facts = json(&event.facts)?;
    tx.execute(sql, params![event.backing_id.0, event.at.0, kind, state, facts])?;
    see(tx, &event.backing_id, event.at)
}

fn see(tx: &Transaction<'_>, id: &BackingId, at: UnixMillis) -> rusqlite::Result<()> {
    let sql = "INSERT INTO tombstone_sightings (backing_id, last_seen) VALUES (?1, ?2)
        ON CONFLICT DO UPDATE SET last_seen = max(last_seen, excluded.last_seen)";
    tx.execute(sql, params![id.0, at.0]).map(drop)
}

/// Reads the events after number `newest`. A database that could only be read may be from before them.
fn events(db: &Connection, newest: i64) -> rusqlite::Result<Vec<(i64, TombstoneEvent)>> {
    if schema::version(db)? < schema::TOMBSTONES {
        return Ok(Vec::new());
    }
    db.prepare("SELECT * FROM tombstone_events WHERE id > ?1 ORDER BY id")?
        .query_map([newest], |row| Ok((row.get("id")?, event(row)?)))?
        .collect()
}

fn event(row: &Row<'_>) -> rusqlite::Result<TombstoneEvent> {
    Ok(TombstoneEvent {
        backing_id: BackingId(row.get("backing_id")?),
        at: millis(row, "at")?,
        kind: named(row, "kind")?,
        state: named(row, "state")?,
        facts: from_json(&row.get::<_, String>("facts")?)?,
    })
}

fn sightings(db: &Connection) -> rusqlite::Result<BTreeMap<BackingId, UnixMillis>> {
    if schema::version(db)? < schema::TOMBSTONES {
        return Ok(BTreeMap::new());
    }
    db.prepare("SELECT * FROM tombstone_sightings")?
        .query_map([], |row| Ok((BackingId(row.get("backing_id")?), millis(row, "last_seen")?)))?
        .collect()
}

fn json(value: &impl Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value).map_err(foreign)
}

fn foreign(error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::ToSqlConversionFailure(Box::new(error))
}

fn from_json<T: DeserializeOwned>(text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(error))
    })
}

#[cfg(test)]
mod tests;
