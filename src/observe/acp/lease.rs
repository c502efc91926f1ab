//! Leases of agent processes: what the gateway writes before it starts a wrapper (2026.5.28 and
//! later).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::pid_of;
use crate::format::Loose;
use crate::model::SessionKey;

/// Most leases of one source. 2026.5.28 never removes one; 2026.7.1 keeps at most 4,096.
pub(super) const LEASES_MAX: usize = 100_000;

/// Most text of one source that is kept. 100,000 leases of a gateway have 16 MiB.
const TEXT_BYTES_MAX: usize = 32 << 20;

/// Longest id that is kept. The gateway's are UUIDs.
const ID_BYTES_MAX: usize = 128;

/// What the gateway wrote about one agent process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Lease {
    /// The session the process works for.
    pub session_key: Option<SessionKey>,
    /// The pid of the wrapper; `None` before it is started.
    pub root_pid: Option<i32>,
    /// What the gateway thinks of it.
    pub state: LeaseState,
    /// The wrapper script.
    pub wrapper_path: Option<PathBuf>,
}

/// What the gateway thinks of a leased process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum LeaseState {
    /// In use.
    Open,
    /// Being ended.
    Closing,
    /// Ended. 2026.7.1 deletes such leases.
    Closed,
    /// Its process was not found. 2026.7.1 deletes such leases.
    Lost,
    /// Something else.
    #[default]
    Unknown,
}

/// All leases of a state directory, and the ids of its gateway.
///
/// The id of a gateway belongs to the state directory and survives restarts. A copy of a state
/// directory has the leases and the id of the original: the place that a process names tells
/// them apart.
#[derive(Clone, Debug, Default)]
pub struct Leases {
    /// What counts first comes first.
    parts: Vec<Arc<Part>>,
}

/// What one source says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Part {
    pub(super) instance_ids: BTreeSet<String>,
    pub(super) leases: BTreeMap<String, Lease>,
    /// More leases, or longer ones, than are kept.
    pub(super) is_cut: bool,
    text_bytes: usize,
}

impl Leases {
    /// Makes leases of what sources say, the one that counts most first.
    pub(super) fn new(parts: Vec<Arc<Part>>) -> Leases {
        Leases { parts }
    }

    /// Returns the lease with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Lease> {
        self.parts.iter().find_map(|part| part.leases.get(id))
    }

    /// Returns true if a gateway of this state directory has, or had, this id.
    #[must_use]
    pub fn has_instance(&self, id: &str) -> bool {
        self.parts.iter().any(|part| part.instance_ids.contains(id))
    }

    /// Returns the leases by id. One that two sources name comes twice, the one that counts first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Lease)> {
        self.parts.iter().flat_map(|part| &part.leases).map(|(id, lease)| (id.as_str(), lease))
    }

    /// Returns the ids of the gateway.
    pub fn instance_ids(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().flat_map(|part| &part.instance_ids).map(String::as_str)
    }
}

impl Lease {
    fn text_bytes(&self) -> usize {
        let path = self.wrapper_path.as_ref().map_or(0, |path| path.as_os_str().len());
        self.session_key.as_ref().map_or(0, |key| key.0.len()) + path
    }
}

impl Part {
    /// Takes a lease, unless there are too many. One without a usable id is none, as for the
    /// gateway.
    pub(super) fn add(&mut self, id: &str, lease: Lease) {
        let Some(id) = usable_id(id) else { return };
        let text_bytes = self.text_bytes + id.len() + lease.text_bytes();
        let has_room = self.leases.len() < LEASES_MAX || self.leases.contains_key(id);
        if has_room && text_bytes <= TEXT_BYTES_MAX {
            self.text_bytes = text_bytes;
            self.leases.insert(id.to_owned(), lease);
        } else {
            self.is_cut = true;
        }
    }

    /// Takes an id of the gateway.
    pub(super) fn add_instance(&mut self, id: &str) {
        self.instance_ids.extend(usable_id(id).map(str::to_owned));
    }
}

/// Returns an id without the blanks around it, if it can identify anything.
pub(super) fn usable_id(id: &str) -> Option<&str> {
    let id = id.trim();
    (!id.is_empty() && id.len() <= ID_BYTES_MAX).then_some(id)
}

/// Reads one lease, with its `leaseId` if it has one; nothing of it if it is no object.
///
/// `startedAt` is when it was saved, seconds after the process began (measured on 2026.7.1), and
/// identifies nothing.
pub(super) struct LeaseSeed;

impl<'de> DeserializeSeed<'de> for LeaseSeed {
    type Value = (Option<String>, Lease);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LeaseSeed {
    type Value = (Option<String>, Lease);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lease")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut id, mut lease) = (None, Lease::default());
        while let Some(name) = map.next_key::<Loose<'de>>()? {
            match name.text().as_deref() {
                Some("leaseId") => id = text(map.next_value()?),
                Some("sessionKey") => lease.session_key = text(map.next_value()?).map(SessionKey),
                Some("rootPid") => lease.root_pid = pid_of(&map.next_value()?),
                Some("state") => lease.state = state(map.next_value()?),
                Some("wrapperPath") => {
                    lease.wrapper_path = text(map.next_value()?).map(PathBuf::from);
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((id, lease))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(seq)?;
        Ok((None, Lease::default()))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok((None, Lease::default()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok((None, Lease::default()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok((None, Lease::default()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok((None, Lease::default()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok((None, Lease::default()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok((None, Lease::default()))
    }
}

fn text(value: Loose<'_>) -> Option<String> {
    value.text().map(std::borrow::Cow::into_owned).filter(|text| !text.is_empty())
}

fn state(value: Loose<'_>) -> LeaseState {
    match value.text().as_deref() {
        Some("open") => LeaseState::Open,
        Some("closing") => LeaseState::Closing,
        Some("closed") => LeaseState::Closed,
        Some("lost") => LeaseState::Lost,
        _ => LeaseState::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> (Option<String>, Lease) {
        LeaseSeed.deserialize(&mut serde_json::Deserializer::from_str(json)).unwrap()
    }

    fn part(ids: &[&str], state: LeaseState) -> Arc<Part> {
        let mut part = Part::default();
        for id in ids {
            part.add(id, Lease { state, ..Lease::default() });
        }
        Arc::new(part)
    }

    #[test]
    fn what_has_another_shape_is_left_out_of_a_lease() {
        let odd = r#"{"leaseId":7,"rootPid":"7","state":1,"wrapperPath":[],"sessionKey":null}"#;
        assert_eq!(read(odd), (None, Lease::default()));
        for other in ["[[1]]", "null", "true", "-1", "1", "1.5", "\"x\"", "{}"] {
            assert_eq!(read(other), (None, Lease::default()), "{other}");
        }
        for pid in ["0", "1", "-1", "4194305", "9e99"] {
            assert_eq!(read(&format!(r#"{{"rootPid":{pid}}}"#)).1.root_pid, None, "{pid}");
        }
    }

    #[test]
    fn the_last_of_a_repeated_field_counts() {
        let (id, lease) = read(r#"{"leaseId":"a","leaseId":"b","rootPid":7,"rootPid":0}"#);
        assert_eq!((id.as_deref(), lease.root_pid), (Some("b"), None));
    }

    #[test]
    fn the_first_source_counts_and_every_gateway_id_does() {
        let mut legacy = Part::clone(&part(&["a", "b"], LeaseState::Closed));
        legacy.add_instance(" old\n");
        let mut rows = Part::clone(&part(&["a"], LeaseState::Open));
        rows.add_instance("new");
        let leases = Leases::new(vec![Arc::new(rows), Arc::new(legacy)]);
        let state = |id| leases.get(id).map(|lease| lease.state);
        assert_eq!(state("a"), Some(LeaseState::Open));
        assert_eq!(state("b"), Some(LeaseState::Closed));
        assert_eq!(state("c"), None);
        assert!(leases.has_instance("old") && leases.has_instance("new"));
        assert!(!leases.has_instance(""));
    }

    #[test]
    fn an_id_that_identifies_nothing_is_none() {
        let long = "x".repeat(ID_BYTES_MAX + 1);
        let mut part = Part::default();
        for id in ["", " ", "\n", &long] {
            part.add(id, Lease::default());
            part.add_instance(id);
        }
        assert_eq!(part, Part::default());
    }

    #[test]
    fn leases_are_bounded() {
        let mut part = Part::default();
        for n in 0..LEASES_MAX {
            part.add(&n.to_string(), Lease::default());
        }
        part.add("7", Lease { root_pid: Some(7), ..Lease::default() });
        assert!(!part.is_cut && part.leases["7"].root_pid == Some(7), "one that is known");
        part.add("x", Lease::default());
        assert!(part.is_cut && part.leases.len() == LEASES_MAX);
        let (mut part, long) = (Part::default(), "x".repeat(1 << 20));
        for n in 0..100 {
            let session_key = Some(SessionKey(long.clone()));
            part.add(&n.to_string(), Lease { session_key, ..Lease::default() });
        }
        assert!(part.is_cut && part.leases.len() == 31);
    }
}
