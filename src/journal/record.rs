//! One action in the journal: its intent, its conclusion, and the row that holds both.

use rusqlite::{Row, Transaction, params};

use super::row::{maybe_millis, millis, named, subject};
use crate::model::{ActionId, BootId, Outcome, Policy, Subject, UnixMillis};

/// What is about to be done, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Intent {
    /// The pass, or the command, that decided it.
    pub pass_id: String,
    /// The boot it was decided in.
    pub boot_id: BootId,
    /// Who decided it. An undo has the policy of what it undoes.
    pub policy: Policy,
    /// What is changed.
    pub subject: Subject,
    /// The incarnation of it that was judged.
    pub incarnation: String,
    /// The name of the action.
    pub kind: String,
    /// The action and its evidence, as JSON. The journal does not look into it.
    pub detail: String,
    /// The stable code of the reason.
    pub reason_code: String,
    /// The reason in words.
    pub reason_text: String,
    /// When it was decided.
    pub intended_at: UnixMillis,
    /// The action that it undoes, if it is an undo.
    pub undo_of: Option<ActionId>,
}

/// What became of an intent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conclusion {
    /// The outcome.
    pub outcome: Outcome,
    /// Why it failed, if it did.
    pub error: Option<String>,
    /// What a later look found, if the outcome was in doubt until then.
    pub note: Option<String>,
    /// When.
    pub at: UnixMillis,
}

/// One action, as the journal has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Its number.
    pub id: ActionId,
    /// What was to be done.
    pub intent: Intent,
    /// What became of it. `None`: in doubt, or being done right now.
    pub conclusion: Option<Conclusion>,
    /// The action that undid it.
    pub undone_by: Option<ActionId>,
}

/// Adds the row of an intent.
pub(super) fn insert(tx: &Transaction<'_>, intent: &Intent) -> rusqlite::Result<ActionId> {
    let sql = "INSERT INTO actions (
            pass_id, boot_id, policy, subject_kind, subject_id, incarnation, kind, detail,
            reason_code, reason_text, intended_at, undo_of
        ) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    tx.execute(
        sql,
        params![
            intent.pass_id,
            intent.boot_id.0,
            intent.policy.name(),
            intent.subject.kind.name(),
            intent.subject.id,
            intent.incarnation,
            intent.kind,
            intent.detail,
            intent.reason_code,
            intent.reason_text,
            intent.intended_at.0,
            intent.undo_of.map(|id| id.0),
        ],
    )?;
    Ok(ActionId(tx.last_insert_rowid()))
}

/// Reads a row strictly.
pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let id = |column| row.get::<_, Option<i64>>(column).map(|id| id.map(ActionId));
    let conclusion = match maybe_millis(row, "concluded_at")? {
        None => None,
        Some(at) => Some(Conclusion {
            outcome: named(row, "outcome")?,
            error: row.get("error")?,
            note: row.get("note")?,
            at,
        }),
    };
    let intent = Intent {
        pass_id: row.get("pass_id")?,
        boot_id: BootId(row.get("boot_id")?),
        policy: named(row, "policy")?,
        subject: subject(row)?,
        incarnation: row.get("incarnation")?,
        kind: row.get("kind")?,
        detail: row.get("detail")?,
        reason_code: row.get("reason_code")?,
        reason_text: row.get("reason_text")?,
        intended_at: millis(row, "intended_at")?,
        undo_of: id("undo_of")?,
    };
    Ok(Record { id: ActionId(row.get("id")?), intent, conclusion, undone_by: id("undone_by")? })
}
