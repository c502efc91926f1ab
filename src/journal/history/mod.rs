//! What passes remember, stored only where it changed.

mod rows;

use std::time::Duration;

use rusqlite::{Transaction, params};

use super::stored::Difference;
use super::{Intent, Journal, JournalError};
use crate::model::{History, HostRecord, Policy, Subject, SubjectHistory, UnixMillis};

use rows::{acted_at, put, put_host, stored};

/// The budget of actions is per hour.
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);
/// When a subject was last seen may be this much out of date on disk: writes cost, and after a
/// loss it only looks older.
const LAZY: Duration = Duration::from_secs(5 * 60);
/// So many looks are counted exactly; no confirmation asks for more. Losing one means looking
/// once more.
const LOOKS_EXACT: u32 = 16;
/// How far clock readings of one state differ from look to look: the kernel rounds the boot
/// time to seconds.
const JITTER: Duration = Duration::from_secs(1);

impl Journal {
    /// Returns what earlier passes remembered, with the actions of the last hour, whatever
    /// became of them, and the off switches that hold at `now`.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read. It is then not known to be empty: no action.
    pub fn load_history(&mut self, now: UnixMillis) -> Result<History, JournalError> {
        let stored = self.read("the history", stored)?;
        let mut history = stored.clone();
        self.stored = Some(stored);
        self.refresh_history(&mut history, now)?;
        Ok(history)
    }

    /// Updates what other processes may have changed since `history` was loaded: the actions
    /// of the last hour, and the off switches.
    ///
    /// # Errors
    ///
    /// Returns an error if it cannot be read; `history` is then unchanged.
    pub fn refresh_history(
        &self,
        history: &mut History,
        now: UnixMillis,
    ) -> Result<(), JournalError> {
        let acted_at = self.read("the actions of the last hour", |db| acted_at(db, now))?;
        let controls = self.controls(now)?;
        history.acted_at = acted_at;
        history.controls = controls;
        Ok(())
    }

    /// Stores subjects and host where they changed; if nothing did, nothing is written. How
    /// often and when a subject was last seen may lag behind by minutes once it was seen often,
    /// and the boot time by a second. Actions and off switches have their own functions, and a
    /// host that is `None` leaves the stored one.
    ///
    /// # Errors
    ///
    /// Returns an error if nothing was stored; the next call tries the same again.
    pub fn save_history(&mut self, history: &History) -> Result<(), JournalError> {
        let compare = |stored: &History| Changes::between(stored, history);
        self.save("the history", |journal| &mut journal.stored, stored, compare).map(drop)
    }
}

/// What must be written to get from the stored history to another.
struct Changes<'a> {
    changed: Vec<(&'a (Policy, Subject), &'a SubjectHistory)>,
    gone: Vec<(Policy, Subject)>,
    host: Option<&'a HostRecord>,
}

impl<'a> Changes<'a> {
    fn between(stored: &History, wanted: &'a History) -> Changes<'a> {
        let same = |key, new| stored.subjects.get(key).is_some_and(|old| !differs(old, new));
        let changed = wanted.subjects.iter().filter(|(key, new)| !same(*key, new)).collect();
        let gone = stored.subjects.keys().filter(|key| !wanted.subjects.contains_key(key));
        let moved = |new: &&HostRecord| stored.host.as_ref().is_none_or(|old| has_moved(old, new));
        Changes { changed, gone: gone.cloned().collect(), host: wanted.host.as_ref().filter(moved) }
    }
}

impl Difference<History> for Changes<'_> {
    fn is_empty(&self) -> bool {
        self.changed.is_empty() && self.gone.is_empty() && self.host.is_none()
    }

    fn write(&self, tx: &Transaction<'_>) -> rusqlite::Result<()> {
        for ((policy, subject), state) in &self.changed {
            put(tx, *policy, subject, state)?;
        }
        for (policy, subject) in &self.gone {
            let sql =
                "DELETE FROM subjects WHERE policy = ?1 AND subject_kind = ?2 AND subject_id = ?3";
            tx.execute(sql, params![policy.name(), subject.kind.name(), subject.id])?;
        }
        self.host.map_or(Ok(()), |host| put_host(tx, host))
    }

    fn apply(&self, stored: &mut History) {
        for (key, state) in &self.changed {
            stored.subjects.insert((*key).clone(), (*state).clone());
        }
        for key in &self.gone {
            stored.subjects.remove(key);
        }
        if let Some(host) = self.host {
            stored.host = Some(host.clone());
        }
    }
}

fn differs(old: &SubjectHistory, new: &SubjectHistory) -> bool {
    let counted = |state: &SubjectHistory| state.looks.min(LOOKS_EXACT);
    old.incarnation != new.incarnation
        || old.first_seen != new.first_seen
        || old.last_acted != new.last_acted
        || old.acted_incarnation != new.acted_incarnation
        || old.ineffective != new.ineffective
        || counted(old) != counted(new)
        || apart(old.last_seen, new.last_seen) >= LAZY
        || apart(old.last_look, new.last_look) >= LAZY
}

fn has_moved(old: &HostRecord, new: &HostRecord) -> bool {
    let slept = match (old.slept, new.slept) {
        (Some(old), Some(new)) => old.abs_diff(new) > JITTER,
        (old, new) => old != new,
    };
    old.boot_id != new.boot_id
        || old.steady_since != new.steady_since
        || old.resumed_at != new.resumed_at
        || old.stepped_at != new.stepped_at
        || apart(old.booted_at, new.booted_at) > JITTER
        || slept
}

/// Returns how far two instants are apart, whichever is the earlier.
pub(super) fn apart(one: UnixMillis, other: UnixMillis) -> Duration {
    one.since(other).max(other.since(one))
}

/// Stores that a subject is acted on, together with the intent: a cool-down that is stored
/// after its action is lost with a crash in between.
pub(super) fn note_acted(tx: &Transaction<'_>, intent: &Intent) -> rusqlite::Result<()> {
    let sql = "UPDATE subjects SET last_acted = ?4, acted_incarnation = ?5
        WHERE policy = ?1 AND subject_kind = ?2 AND subject_id = ?3";
    let Intent { policy, subject, incarnation, intended_at, .. } = intent;
    let key = (policy.name(), subject.kind.name(), &subject.id);
    match tx.execute(sql, params![key.0, key.1, key.2, intended_at.0, incarnation])? {
        0 => put(tx, *policy, subject, &first_acted(intent)),
        _ => Ok(()),
    }
}

/// Does to the stored history in memory what [`note_acted`] did on disk.
pub(super) fn remember_acted(stored: Option<&mut History>, intent: &Intent) {
    let Some(stored) = stored else { return };
    let key = (intent.policy, intent.subject.clone());
    let state = stored.subjects.entry(key).or_insert_with(|| first_acted(intent));
    state.last_acted = Some(intent.intended_at);
    state.acted_incarnation = Some(intent.incarnation.clone());
}

fn first_acted(intent: &Intent) -> SubjectHistory {
    SubjectHistory {
        incarnation: intent.incarnation.clone(),
        first_seen: intent.intended_at,
        last_seen: intent.intended_at,
        looks: 0,
        last_look: intent.intended_at,
        last_acted: Some(intent.intended_at),
        acted_incarnation: Some(intent.incarnation.clone()),
        ineffective: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Folder, NOW, at, check_not_written, fill, intent, lane};
    use super::*;
    use crate::model::{ActionId, BootId, Outcome};

    fn seen(looks: u32, last: UnixMillis) -> SubjectHistory {
        SubjectHistory {
            incarnation: "i1".to_owned(),
            first_seen: NOW,
            last_seen: last,
            looks,
            last_look: last,
            last_acted: None,
            acted_incarnation: None,
            ineffective: 0,
        }
    }

    fn host() -> HostRecord {
        HostRecord {
            boot_id: BootId("b1".to_owned()),
            booted_at: at(-500),
            slept: Some(Duration::from_millis(1_500)),
            steady_since: at(-400),
            resumed_at: None,
            stepped_at: Some(at(-300)),
        }
    }

    fn key(id: &str) -> (Policy, Subject) {
        (Policy::StaleLane, lane(id))
    }

    fn some_history() -> History {
        let acted = SubjectHistory {
            last_acted: Some(at(-9)),
            acted_incarnation: Some("i0".to_owned()),
            ineffective: 2,
            ..seen(3, at(-5))
        };
        let subjects = [(key("a"), seen(1, NOW)), (key("b"), acted)].into();
        History { subjects, host: Some(host()), ..History::default() }
    }

    #[test]
    fn the_first_start_remembers_nothing() {
        assert_eq!(Folder::new().open().load_history(NOW).unwrap(), History::default());
    }

    #[test]
    fn what_was_saved_is_loaded_by_the_next_process() {
        let folder = Folder::new();
        folder.open().save_history(&some_history()).unwrap();
        assert_eq!(folder.open().load_history(NOW).unwrap(), some_history());
        let mut fewer = some_history();
        fewer.subjects.remove(&key("a"));
        folder.open().save_history(&fewer).unwrap();
        assert_eq!(folder.open().load_history(NOW).unwrap(), fewer);
    }

    /// Returns what is on disk after `change` was made to a history that is on disk already,
    /// and whether that took a write.
    fn saved(change: impl FnOnce(&mut History)) -> (History, bool) {
        let folder = Folder::new();
        let mut journal = folder.open();
        let mut history = some_history();
        journal.save_history(&history).unwrap();
        let before = journal.db.total_changes();
        change(&mut history);
        journal.save_history(&history).unwrap();
        let wrote = journal.db.total_changes() != before;
        (folder.open().load_history(NOW).unwrap(), wrote)
    }

    #[track_caller]
    fn check_look(from: (u32, i64), to: (u32, i64), want: bool) {
        let (old, new) = (seen(from.0, at(from.1)), seen(to.0, at(to.1)));
        assert_eq!(differs(&old, &new), want);
    }

    #[test]
    fn an_idle_pass_writes_nothing() {
        let (on_disk, wrote) = saved(|_| {});
        assert_eq!((on_disk, wrote), (some_history(), false));
        let (on_disk, wrote) = saved(|history| {
            history
                .subjects
                .insert(key("a"), SubjectHistory { last_seen: at(299), ..seen(1, NOW) });
            history.acted_at.push(NOW);
            history.controls.paused = Some((at(60), String::new()));
        });
        assert_eq!((on_disk, wrote), (some_history(), false));
    }

    #[test]
    fn sightings_are_stored_late_and_looks_only_while_they_count() {
        check_look((1, 0), (1, 299), false);
        check_look((1, 0), (1, 300), true);
        check_look((1, 0), (1, -300), true);
        check_look((1, 0), (2, 1), true);
        check_look((15, 0), (16, 1), true);
        check_look((16, 0), (17, 1), false);
        check_look((90, 0), (1, 1), true);
    }

    #[test]
    fn whatever_limits_an_action_is_stored_at_once() {
        let changes: [fn(&mut SubjectHistory); 5] = [
            |state| state.incarnation = "i2".to_owned(),
            |state| state.first_seen = at(1),
            |state| state.last_acted = Some(at(1)),
            |state| state.acted_incarnation = Some("i2".to_owned()),
            |state| state.ineffective = 1,
        ];
        for change in changes {
            let (on_disk, wrote) =
                saved(|history| change(history.subjects.get_mut(&key("a")).unwrap()));
            let mut want = some_history();
            change(want.subjects.get_mut(&key("a")).unwrap());
            assert_eq!((on_disk, wrote), (want, true));
        }
    }

    #[test]
    fn a_host_is_stored_when_more_than_jitter_moved_it() {
        let moved = |change: fn(&mut HostRecord)| {
            let mut new = host();
            change(&mut new);
            has_moved(&host(), &new)
        };
        assert!(!moved(|host| host.booted_at = at(-499)));
        assert!(moved(|host| host.booted_at = UnixMillis(at(-499).0 + 1)));
        assert!(!moved(|host| host.slept = Some(Duration::from_millis(2_500))));
        assert!(moved(|host| host.slept = Some(Duration::from_millis(2_501))));
        assert!(moved(|host| host.slept = None));
        assert!(moved(|host| host.boot_id = BootId("b2".to_owned())));
        assert!(moved(|host| host.steady_since = at(0)));
        assert!(moved(|host| host.resumed_at = Some(NOW)));
        assert!(moved(|host| host.stepped_at = None));
    }

    #[test]
    fn a_crash_after_the_intent_keeps_the_cool_down() {
        let folder = Folder::new();
        let mut journal = folder.open();
        journal.save_history(&some_history()).unwrap();
        journal.intend(&intent("a", at(7))).unwrap();
        journal.intend(&intent("never seen", at(8))).unwrap();
        drop(journal);
        let history = folder.open().load_history(at(9)).unwrap();
        for (id, when) in [("a", 7), ("never seen", 8)] {
            let state = &history.subjects[&key(id)];
            assert_eq!(state.last_acted, Some(at(when)));
            assert_eq!(state.acted_incarnation.as_deref(), Some("i1"));
        }
        assert_eq!(history.subjects[&key("a")].looks, 1);
        assert_eq!(history.acted_at, [at(7), at(8)]);
    }

    #[test]
    fn the_journal_knows_what_its_intents_stored() {
        let folder = Folder::new();
        let mut journal = folder.open();
        journal.load_history(NOW).unwrap();
        journal.intend(&intent("a", NOW)).unwrap();
        let known = folder.beside().load_history(NOW).unwrap().subjects;
        assert_eq!(journal.stored.as_ref().unwrap().subjects, known);
        // A pass that forgets the subject deletes it.
        journal.save_history(&History::default()).unwrap();
        assert!(folder.beside().load_history(NOW).unwrap().subjects.is_empty());
    }

    #[test]
    fn an_undo_is_no_repair_of_its_subject_but_counts_as_an_action() {
        let folder = Folder::new();
        let mut journal = folder.open();
        journal.intend(&intent("a", NOW)).unwrap();
        journal.conclude(ActionId(1), Outcome::Done, None, NOW).unwrap();
        journal.intend(&Intent { undo_of: Some(ActionId(1)), ..intent("a", at(5)) }).unwrap();
        let history = journal.load_history(at(6)).unwrap();
        assert_eq!(history.subjects[&key("a")].last_acted, Some(NOW));
        assert_eq!(history.acted_at, [NOW, at(5)]);
    }

    #[test]
    fn every_intent_of_the_last_hour_counts_and_the_future_as_now() {
        let folder = Folder::new();
        let mut journal = folder.open();
        for when in [-3_600, -3_599, 86_400, 86_401, 0] {
            journal.intend(&intent("a", at(when))).unwrap();
        }
        journal.conclude(ActionId(2), Outcome::Failed, None, NOW).unwrap();
        let mut history = History::default();
        journal.refresh_history(&mut history, NOW).unwrap();
        assert_eq!(history.acted_at, [at(-3_599), at(0), at(86_400)]);
        journal.conclude(ActionId(3), Outcome::Changed, None, NOW).unwrap();
        journal.conclude(ActionId(5), Outcome::AlreadyGone, None, NOW).unwrap();
        journal.refresh_history(&mut history, NOW).unwrap();
        assert_eq!(history.acted_at, [at(-3_599)], "what was not touched is no action");
        journal.refresh_history(&mut history, UnixMillis(i64::MAX)).unwrap();
        assert_eq!(history.acted_at, []);
    }

    #[test]
    fn a_failed_save_is_tried_again() {
        let folder = Folder::new();
        let mut journal = folder.open();
        journal.load_history(NOW).unwrap();
        fill(&journal);
        let mut large = some_history();
        large.subjects.insert(key(&"x".repeat(100_000)), seen(1, NOW));
        check_not_written(journal.save_history(&large), "free space");
        assert_eq!(folder.beside().load_history(NOW).unwrap(), History::default());
        journal.db.pragma_update(None, "max_page_count", 100_000).unwrap();
        journal.save_history(&large).unwrap();
        assert_eq!(folder.beside().load_history(NOW).unwrap(), large);
    }

    #[test]
    fn values_out_of_range_are_errors() {
        let folder = Folder::new();
        folder.open().save_history(&some_history()).unwrap();
        for sql in ["UPDATE subjects SET looks = -1", "UPDATE host SET slept_ms = -1"] {
            let raw = folder.raw();
            raw.execute_batch(&format!("BEGIN; {sql};")).unwrap();
            raw.execute_batch("COMMIT").unwrap();
            let error = folder.open().load_history(NOW).unwrap_err();
            assert!(matches!(error, JournalError::Read { .. }), "{error}");
            raw.execute("UPDATE subjects SET looks = 1", []).unwrap();
        }
    }
}
