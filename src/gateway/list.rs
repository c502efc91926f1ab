//! What the gateway tells of its lanes.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::format::Loose;
use crate::model::{Field, LaneStatus, LiveLane, RunId, SessionId, SessionKey, UnixMillis};

/// More lanes than any gateway that was seen; the rest is left out, and that is said.
pub(super) const LANES_MAX: usize = 20_000;
/// The longest name that is kept.
const NAME_BYTES_MAX: usize = 512;
/// More runs at once than a lane has: it is a queue.
pub(super) const RUNS_MAX: usize = 16;

/// An answer to `sessions.list`.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The lanes.
    pub(super) lanes: Vec<LiveLane>,
    /// Whether nothing was left out.
    pub(super) is_complete: bool,
    /// Where the next page begins, if there is one.
    pub(super) next_offset: Option<i64>,
}

/// Reads the payload of `sessions.list`; `None` if it has another shape.
pub(super) fn read(payload: &RawValue) -> Option<Listed> {
    let list: Payload<'_> = serde_json::from_str(payload.get()).ok()?;
    let rows = list.sessions?;
    let is_complete = !rows.is_cut && !list.has_more.is_set();
    let next_offset = match list.next_offset {
        Loose::Integer(offset) => Some(offset).filter(|_| list.has_more.is_set()),
        _ => None,
    };
    Some(Listed { lanes: rows.lanes, is_complete, next_offset })
}

/// Reads one lane as an event tells it; `None` if it has another shape.
pub(super) fn read_lane(row: &RawValue) -> Option<LiveLane> {
    serde_json::from_str::<Row<'_>>(row.get()).ok()?.into_lane()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'a> {
    sessions: Option<Rows>,
    #[serde(borrow, default)]
    has_more: Loose<'a>,
    #[serde(borrow, default)]
    next_offset: Loose<'a>,
}

/// The fields of a lane that is listed, or told by an event.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row<'a> {
    #[serde(borrow, default)]
    key: Loose<'a>,
    #[serde(borrow, default)]
    session_id: Loose<'a>,
    #[serde(borrow, default)]
    status: Loose<'a>,
    #[serde(borrow, default)]
    started_at: Loose<'a>,
    #[serde(borrow, default)]
    ended_at: Loose<'a>,
    #[serde(borrow, default)]
    updated_at: Loose<'a>,
    #[serde(borrow, default)]
    aborted_last_run: Loose<'a>,
    #[serde(borrow, default)]
    has_active_run: Loose<'a>,
    #[serde(borrow, default)]
    active_run_ids: Option<&'a RawValue>,
    #[serde(borrow, default)]
    spawned_by: Loose<'a>,
    #[serde(borrow, default)]
    parent_session_key: Loose<'a>,
    #[serde(borrow, default)]
    main_restart_recovery: Option<&'a RawValue>,
    #[serde(borrow, default)]
    queued_count: Loose<'a>,
}

#[derive(Deserialize)]
struct Recovery<'a> {
    #[serde(borrow, default)]
    tombstone: Loose<'a>,
}

impl Row<'_> {
    /// Reads a lane whose fields stand in the event itself (2026.4.15, for most reasons); `None` if
    /// they say nothing of its run.
    pub(super) fn of_event(payload: &RawValue, key: &SessionKey) -> Option<LiveLane> {
        let row: Row<'_> = serde_json::from_str(payload.get()).ok()?;
        if row.status == Loose::Null {
            return None;
        }
        Row { key: Loose::Text((&*key.0).into()), ..row }.into_lane()
    }

    fn into_lane(self) -> Option<LiveLane> {
        let parent = name(self.spawned_by).or_else(|| name(self.parent_session_key));
        let recovery = self.main_restart_recovery;
        let recovery: Option<Recovery<'_>> =
            recovery.and_then(|raw| serde_json::from_str(raw.get()).ok());
        Some(LiveLane {
            key: SessionKey(name(self.key)?),
            session_id: name(self.session_id).map(SessionId),
            status: status(&self.status),
            started_at: millis(&self.started_at),
            ended_at: millis(&self.ended_at),
            updated_at: millis(&self.updated_at),
            aborted_last_run: self.aborted_last_run == Loose::Bool(true),
            has_active_run: flag(&self.has_active_run),
            runs: self.active_run_ids.map(runs).unwrap_or_default(),
            last_event_at: None,
            last_step_at: None,
            begun_again_at: None,
            heard_since: None,
            queued: match self.queued_count {
                Loose::Integer(count) => u32::try_from(count).ok(),
                _ => None,
            },
            parent: parent.map(SessionKey),
            is_tombstoned: recovery.is_some_and(|recovery| recovery.tombstone.is_filled()),
        })
    }
}

/// A name of a bounded length; an empty one names nothing.
pub(super) fn name(value: Loose<'_>) -> Option<String> {
    let text = value.text().filter(|text| !text.is_empty() && text.len() <= NAME_BYTES_MAX)?;
    Some(text.into_owned())
}

fn millis(value: &Loose<'_>) -> Option<UnixMillis> {
    match value.millis() {
        Field::Value(at) => Some(at),
        Field::Absent | Field::Malformed => None,
    }
}

fn flag(value: &Loose<'_>) -> Option<bool> {
    match value {
        Loose::Bool(flag) => Some(*flag),
        _ => None,
    }
}

pub(super) fn status(value: &Loose<'_>) -> LaneStatus {
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

fn runs(ids: &RawValue) -> Vec<RunId> {
    let ids: Vec<Loose<'_>> = serde_json::from_str(ids.get()).unwrap_or_default();
    ids.into_iter().filter_map(name).take(RUNS_MAX).map(RunId).collect()
}

/// The lanes of a list, and whether something was left out.
#[derive(Default)]
struct Rows {
    lanes: Vec<LiveLane>,
    is_cut: bool,
}

impl<'de> Deserialize<'de> for Rows {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RowsVisitor)
    }
}

struct RowsVisitor;

impl<'de> Visitor<'de> for RowsVisitor {
    type Value = Rows;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of sessions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut rows = Rows::default();
        while rows.lanes.len() < LANES_MAX {
            match seq.next_element::<Row<'de>>()?.map(Row::into_lane) {
                Some(Some(lane)) => rows.lanes.push(lane),
                Some(None) => rows.is_cut = true,
                None => return Ok(rows),
            }
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {
            rows.is_cut = true;
        }
        Ok(rows)
    }
}
