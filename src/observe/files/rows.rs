//! All rows of a store, of which few are kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};

use crate::format::{RowFields, RowSeed, no_raw_control};
use crate::model::{AcpSession, Row, SessionKey};

use super::AgentPath;

/// Most rows that are kept of one store. A gateway runs a handful at a time; a store with more
/// is broken or hostile.
const KEPT_MAX: usize = 20_000;

/// Most text that is kept of one store: 20,000 rows of the usual length fit.
const KEPT_BYTES_MAX: usize = 8 << 20;

/// Longest session key that is kept. The gateway's have about 100 bytes.
const KEY_BYTES_MAX: usize = 1024;

/// Most sessions of ACP agents that are kept of one store. The gateway makes one for each run, and
/// removes them with age.
const ACP_MAX: usize = 10_000;

/// Which rows of a store become lanes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Keep {
    /// Those whose status is `running`.
    Running,
    /// Those, and the row of one key whatever its status.
    RunningAnd(SessionKey),
    /// Those of these keys, whatever their status, and no other.
    Only(Arc<BTreeSet<SessionKey>>),
    /// Every row.
    All,
}

impl Keep {
    fn wants(&self, key: &[u8], is_running: bool) -> bool {
        match self {
            Keep::Running => is_running,
            Keep::RunningAnd(focus) => is_running || focus.0.as_bytes() == key,
            Keep::Only(keys) => std::str::from_utf8(key).is_ok_and(|key| keys.contains(key)),
            Keep::All => true,
        }
    }
}

/// The rows of one store, while it is read and after.
pub(super) struct Rows<'a> {
    keep: &'a Keep,
    /// Entries of the object; a repeated key counts each time.
    pub(super) total: usize,
    /// Why the store has too much to keep, if it has.
    pub(super) too_much: Option<String>,
    kept: Vec<Option<(SessionKey, Row)>>,
    places: HashMap<String, usize>,
    bytes: usize,
    key: Vec<u8>,
    /// The store, where the sessions of ACP agents are wanted, too.
    seeks_acp: Option<&'a AgentPath>,
    acp: BTreeMap<SessionKey, AcpSession>,
    acp_bytes: usize,
    /// Whether there were more of these than are kept.
    pub(super) acp_is_cut: bool,
}

impl<'a> Rows<'a> {
    /// Makes an empty set that keeps what `keep` says, and the sessions of ACP agents of the store
    /// `seeks_acp`.
    pub(super) fn new(keep: &'a Keep, seeks_acp: Option<&'a AgentPath>) -> Rows<'a> {
        Rows {
            keep,
            total: 0,
            too_much: None,
            kept: Vec::new(),
            places: HashMap::new(),
            bytes: 0,
            key: Vec::new(),
            seeks_acp,
            acp: BTreeMap::new(),
            acp_bytes: 0,
            acp_is_cut: false,
        }
    }

    /// Returns the sessions of ACP agents, by key.
    pub(super) fn take_acp(&mut self) -> Vec<Arc<AcpSession>> {
        std::mem::take(&mut self.acp).into_values().map(Arc::new).collect()
    }

    /// Returns the kept rows in order of position. Of a repeated key, the last one.
    pub(super) fn into_kept(self) -> impl Iterator<Item = (SessionKey, Row)> {
        self.kept.into_iter().flatten()
    }

    /// Takes the entry whose key was just read; `row` is `None` if it is no object.
    fn take(&mut self, mut row: Option<RowFields<'_>>) -> Result<(), String> {
        self.total += 1;
        if self.key.len() > KEY_BYTES_MAX {
            return Ok(());
        }
        if let Some(at) = self.seeks_acp {
            self.take_session(row.as_mut(), at);
        }
        let row = row.filter(|row| self.keep.wants(&self.key, row.is_running()));
        if row.is_none() && self.places.is_empty() {
            return Ok(());
        }
        let key = String::from_utf8_lossy(&self.key);
        if let Some(place) = self.places.remove(&*key)
            && let Some(earlier) = self.kept.get_mut(place)
        {
            *earlier = None;
        }
        let key = key.into_owned();
        row.map_or(Ok(()), |row| self.put(key, row.into_row()))
    }

    /// Keeps the session if an ACP agent works or worked for it.
    fn take_session(&mut self, row: Option<&mut RowFields<'_>>, at: &AgentPath) {
        let row = row.filter(|row| row.has_acp() || is_acp(&self.key));
        if row.is_none() && self.acp.is_empty() {
            return;
        }
        let key = SessionKey(String::from_utf8_lossy(&self.key).into_owned());
        let earlier = self.acp.remove(&key);
        self.acp_bytes -= earlier.as_ref().map_or(0, text_bytes);
        let Some(row) = row else { return };
        let session = row.take_session(key.clone(), at.agent.clone(), at.path.clone());
        self.acp_bytes += text_bytes(&session);
        if self.acp.len() >= ACP_MAX || self.acp_bytes > KEPT_BYTES_MAX {
            self.acp_bytes -= text_bytes(&session);
            self.acp_is_cut = true;
            return;
        }
        self.acp.insert(key, session);
    }

    fn put(&mut self, key: String, row: Row) -> Result<(), String> {
        let session_id = row.session_id.as_ref().map_or(0, |id| id.0.len());
        let session_file = row.session_file.as_ref().map_or(0, |file| file.as_os_str().len());
        self.bytes += key.len() + session_id + session_file;
        // The vector also counts rows that a repeated key replaced: they take room too.
        if self.kept.len() >= KEPT_MAX || self.bytes > KEPT_BYTES_MAX {
            return Err(self.limit());
        }
        self.places.insert(key.clone(), self.kept.len());
        self.kept.push(Some((SessionKey(key), row)));
        Ok(())
    }

    fn limit(&self) -> String {
        let what = match self.keep {
            Keep::Running | Keep::RunningAnd(_) => "running rows",
            Keep::Only(_) | Keep::All => "rows",
        };
        if self.kept.len() >= KEPT_MAX {
            return format!("more than {KEPT_MAX} {what}");
        }
        format!("{what} with more than {} MiB of names", KEPT_BYTES_MAX >> 20)
    }
}

/// Whether a key is `agent:<id>:acp:…`.
fn is_acp(key: &[u8]) -> bool {
    key.splitn(3, |byte| *byte == b':').nth(2).is_some_and(|rest| rest.starts_with(b"acp:"))
}

/// The texts of a session that can be long.
fn text_bytes(session: &AcpSession) -> usize {
    let keys = [Some(&session.key), session.spawned_by.as_ref(), session.parent.as_ref()];
    let metadata = session.metadata.as_ref().map_or(0, |metadata| {
        let ids: usize = metadata.backing_ids.iter().map(|id| id.0.len()).sum();
        let cwd = metadata.cwd.as_ref().map_or(0, |cwd| cwd.as_os_str().len());
        ids + cwd + metadata.family.len() + metadata.state.len()
    });
    keys.into_iter().flatten().map(|key| key.0.len()).sum::<usize>() + metadata
}

impl<'de> DeserializeSeed<'de> for &mut Rows<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &mut Rows<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of session rows")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(KeySeed(&mut self.key))?.is_some() {
            let row = map.next_value_seed(RowSeed)?;
            if let Err(limit) = self.take(row) {
                self.too_much = Some(limit);
                return Err(A::Error::custom("too much to keep"));
            }
        }
        Ok(())
    }
}

/// Copies a key into a buffer that is used again: most keys are only counted. Of a key that is
/// too long, one byte more than the limit is copied.
struct KeySeed<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        // As bytes: half a surrogate pair in a key is then no error.
        deserializer.deserialize_bytes(self)
    }
}

impl<'de> Visitor<'de> for KeySeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a session key")
    }

    fn visit_borrowed_bytes<E: Error>(self, key: &'de [u8]) -> Result<(), E> {
        no_raw_control(key)?;
        self.visit_bytes(key)
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<(), E> {
        self.0.clear();
        self.0.extend(key.iter().take(KEY_BYTES_MAX + 1));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(json: &str, keep: &Keep) -> (Vec<String>, usize) {
        let mut rows = Rows::new(keep, None);
        let mut deserializer = serde_json::Deserializer::from_str(json);
        rows.deserialize(&mut deserializer).unwrap();
        let total = rows.total;
        (rows.into_kept().map(|(key, _)| key.0).collect(), total)
    }

    #[track_caller]
    fn check(json: &str, want: &[&str], total: usize) {
        let want: Vec<_> = want.iter().map(|&key| key.to_owned()).collect();
        assert_eq!(keys(json, &Keep::Running), (want, total), "{json}");
    }

    #[test]
    fn keeps_running_rows_in_order_and_counts_the_rest() {
        check("{}", &[], 0);
        check(
            r#"{"b":{"status":"running"},"x":{"status":"done"},"a":{"status":"running"}}"#,
            &["b", "a"],
            3,
        );
    }

    #[test]
    fn an_entry_that_is_no_object_is_counted_and_nothing_more() {
        check(r#"{"a":null,"b":[1],"c":"running","d":7,"e":{"status":"running"}}"#, &["e"], 5);
    }

    #[test]
    fn of_a_repeated_key_the_last_row_counts() {
        check(r#"{"a":{"status":"running"},"a":{"status":"done"}}"#, &[], 2);
        check(r#"{"a":{"status":"running"},"a":null}"#, &[], 2);
        check(r#"{"a":{"status":"done"},"a":{"status":"running"}}"#, &["a"], 2);
        let again =
            r#"{"a":{"status":"running"},"b":{"status":"running"},"a":{"status":"running"}}"#;
        check(again, &["b", "a"], 3);
    }

    #[test]
    fn keys_are_kept_as_they_are_however_ugly() {
        let ugly = "{\"a\\nforged\\u001b[31m\":{\"status\":\"running\"},\
                    \"half \\ud83d\":{\"status\":\"running\"}}";
        check(ugly, &["a\nforged\u{1b}[31m", "half \u{fffd}\u{fffd}\u{fffd}"], 2);
    }

    #[test]
    fn a_key_of_more_than_1024_bytes_is_only_counted() {
        let (fits, long) = ("k".repeat(KEY_BYTES_MAX), "k".repeat(KEY_BYTES_MAX + 1));
        let json =
            format!(r#"{{"{fits}":{{"status":"running"}},"{long}":{{"status":"running"}}}}"#);
        check(&json, &[&fits], 2);
    }

    #[test]
    fn a_focus_is_kept_whatever_its_status() {
        let json = r#"{"a":{"status":"done"},"b":{"status":"running"},"c":{}}"#;
        let focus = Keep::RunningAnd("a".into());
        assert_eq!(keys(json, &focus), (vec!["a".to_owned(), "b".to_owned()], 3));
        assert_eq!(keys(json, &Keep::All).0.len(), 3);
    }

    #[test]
    fn more_running_rows_than_any_gateway_has_are_refused() {
        let row = r#":{"status":"running"}"#;
        for (count, want) in
            [(KEPT_MAX, None), (KEPT_MAX + 1, Some("more than 20000 running rows"))]
        {
            let rows: Vec<_> = (0..count).map(|n| format!("\"{n}\"{row}")).collect();
            let json = format!("{{{}}}", rows.join(","));
            let mut rows = Rows::new(&Keep::Running, None);
            let result = rows.deserialize(&mut serde_json::Deserializer::from_str(&json));
            assert_eq!(result.is_ok(), want.is_none());
            assert_eq!(rows.too_much.as_deref(), want);
        }
    }

    #[test]
    fn kept_text_is_bounded_too() {
        let file = "f".repeat(4000);
        let row = format!(r#":{{"status":"running","sessionFile":"{file}"}}"#);
        let rows: Vec<_> = (0..2500).map(|n| format!("\"{n}\"{row}")).collect();
        let json = format!("{{{}}}", rows.join(","));
        let mut rows = Rows::new(&Keep::Running, None);
        assert!(rows.deserialize(&mut serde_json::Deserializer::from_str(&json)).is_err());
        let why = "running rows with more than 8 MiB of names";
        assert_eq!(rows.too_much.as_deref(), Some(why));
    }

    #[test]
    fn sessions_of_acp_agents_are_kept_whatever_their_status_and_only_if_sought() {
        let json = r#"{"agent:a:acp:2":{"status":"done"},"agent:a:main":{"acp":{},"spawnedBy":"p"},
            "agent:a:telegram:acp:1":{},"agent:a:acp:1":{},"agent:a:acp:1":7,"acp:x":{}}"#;
        let at = AgentPath { path: "/s".into(), agent: "a".into() };
        for (sought, want) in [(None, vec![]), (Some(&at), vec!["agent:a:acp:2", "agent:a:main"])] {
            let mut rows = Rows::new(&Keep::Running, sought);
            rows.deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap();
            let sessions = rows.take_acp();
            let keys: Vec<_> = sessions.iter().map(|session| session.key.0.as_str()).collect();
            assert_eq!(keys, want);
        }
    }

    #[test]
    fn more_sessions_of_acp_agents_than_any_gateway_has_are_cut_and_cost_no_lane() {
        let rows: Vec<_> = (0..=ACP_MAX).map(|n| format!("\"agent:a:acp:{n}\":{{}}")).collect();
        let json = format!("{{{},\"z\":{{\"status\":\"running\"}}}}", rows.join(","));
        let at = AgentPath { path: "/s".into(), agent: "a".into() };
        let mut set = Rows::new(&Keep::Running, Some(&at));
        set.deserialize(&mut serde_json::Deserializer::from_str(&json)).unwrap();
        assert_eq!((set.take_acp().len(), set.acp_is_cut), (ACP_MAX, true));
        assert_eq!(set.into_kept().count(), 1);
    }
}
