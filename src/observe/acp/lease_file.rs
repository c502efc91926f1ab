//! `acpx/process-leases.json` and `gateway-instance-id` (2026.5.28).

use std::fmt;
use std::io::{BufReader, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;

use super::lease::{LeaseSeed, Part};
use crate::format::Loose;
use crate::model::Field;
use crate::observe::files::Guard;

/// Largest file of leases. One lease has about 600 bytes, and 100,000 are kept.
const LEASES_BYTES_MAX: u64 = 128 << 20;

/// How much of it is in memory at a time.
const BUFFER_BYTES: usize = 64 << 10;

/// Largest file with the id of a gateway, which is a UUID.
const INSTANCE_BYTES_MAX: u64 = 4096;

/// The only version of the file there ever was.
const VERSION: i64 = 1;

/// Reads `{version: 1, leases: […]}`.
///
/// # Errors
///
/// Returns the reason, without quoting the file. The gateway reads a broken file as an empty one
/// and writes over it; here it must never look like "no leases".
pub(super) fn leases(file: impl Read, bytes: u64) -> Result<Part, String> {
    if bytes > LEASES_BYTES_MAX {
        return Err(format!("larger than {} MiB", LEASES_BYTES_MAX >> 20));
    }
    let guarded = Guard::new(file.take(LEASES_BYTES_MAX));
    let reader = BufReader::with_capacity(BUFFER_BYTES, guarded);
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let file = deserializer.deserialize_map(LeaseFile::default()).map_err(why)?;
    deserializer.end().map_err(why)?;
    match file.version {
        Field::Absent | Field::Value(VERSION) => {}
        Field::Value(version) => return Err(format!("is of the unknown version {version}")),
        Field::Malformed => return Err("is of an unknown version".to_owned()),
    }
    file.leases.ok_or_else(|| "has no leases".to_owned())
}

/// Reads the id of a gateway, alone in its file. An empty file has none: the gateway makes
/// another.
///
/// # Errors
///
/// Returns the reason, without quoting the file.
pub(super) fn instance(file: impl Read, bytes: u64) -> Result<Part, String> {
    if bytes > INSTANCE_BYTES_MAX {
        return Err(format!("larger than {INSTANCE_BYTES_MAX} bytes"));
    }
    let mut text = String::new();
    let read = file.take(INSTANCE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| error.to_string())?;
    let mut part = Part::default();
    part.add_instance(&text);
    Ok(part)
}

fn why(error: serde_json::Error) -> String {
    match error.classify() {
        Category::Data => "not a file of leases".to_owned(),
        _ => format!("not JSON: {error}"),
    }
}

#[derive(Default)]
struct LeaseFile {
    version: Field<i64>,
    leases: Option<Part>,
}

impl<'de> Visitor<'de> for LeaseFile {
    type Value = LeaseFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file of leases")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<LeaseFile, A::Error> {
        while let Some(name) = map.next_key::<Loose<'de>>()? {
            match name.text().as_deref() {
                Some("version") => self.version = map.next_value::<Loose<'_>>()?.integer(),
                Some("leases") => self.leases = Some(map.next_value_seed(Entries)?),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self)
    }
}

struct Entries;

impl<'de> DeserializeSeed<'de> for Entries {
    type Value = Part;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Part, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries {
    type Value = Part;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of leases")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Part, A::Error> {
        let mut part = Part::default();
        while let Some((id, lease)) = seq.next_element_seed(LeaseSeed)? {
            if let Some(id) = id {
                part.add(&id, lease);
            }
        }
        Ok(part)
    }
}

#[cfg(test)]
mod tests {
    use super::super::lease::{LEASES_MAX, LeaseState};
    use super::*;

    /// What the code of 2026.5.28 wrote, below another home directory.
    const REAL: &str = r#"{
  "version": 1,
  "leases": [
    {
      "leaseId": "7b287165-7516-4adf-a053-b2afb7b81a41",
      "gatewayInstanceId": "6e497573-5298-47e0-91e6-7164d256ae62",
      "sessionKey": "agent:claude:acp:b5b7e238-a9fc-4c23-8673-61ff206a639d",
      "wrapperRoot": "/home/user/.openclaw/acpx",
      "wrapperPath": "/home/user/.openclaw/acpx/claude-agent-acp-wrapper.mjs",
      "rootPid": 10296,
      "commandHash": "273f8e07ef89c90b3ea5e91e198e8dbe874ee72c3ce4638fbe15341603522faa",
      "startedAt": 1795178753745,
      "state": "open"
    }
  ]
}
"#;

    fn read(json: &[u8]) -> Result<Part, String> {
        leases(json, json.len() as u64)
    }

    #[test]
    fn reads_what_2026_5_28_writes() {
        let part = read(REAL.as_bytes()).unwrap();
        let lease = &part.leases["7b287165-7516-4adf-a053-b2afb7b81a41"];
        assert_eq!((lease.root_pid, lease.state), (Some(10296), LeaseState::Open));
        let key = lease.session_key.as_ref().map(|key| key.0.as_str());
        assert_eq!(key, Some("agent:claude:acp:b5b7e238-a9fc-4c23-8673-61ff206a639d"));
        assert!(lease.wrapper_path.as_ref().unwrap().ends_with("claude-agent-acp-wrapper.mjs"));
        assert!(part.instance_ids.is_empty(), "an id is only what the gateway calls its own");
    }

    #[test]
    fn a_lease_of_an_unknown_shape_hides_no_other() {
        let json = br#"{"leases":[null,7,"x",[{}],{},{"leaseId":7},{"leaseId":"a"}],"new":{}}"#;
        assert_eq!(read(json).unwrap().leases.keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_is_not_understood_is_an_error_and_never_no_leases() {
        #[track_caller]
        fn check(json: &[u8], want: &str) {
            assert_eq!(read(json).unwrap_err(), want, "{}", json.escape_ascii());
        }
        assert_eq!(read(br#"{"version":1,"leases":[]}"#), Ok(Part::default()));
        check(b"{}", "has no leases");
        check(br#"{"version":2,"leases":[]}"#, "is of the unknown version 2");
        check(br#"{"version":"1","leases":[]}"#, "is of an unknown version");
        check(br#"{"leases":{}}"#, "not a file of leases");
        check(b"[]", "not a file of leases");
        check(b"", "not JSON: EOF while parsing a value at line 1 column 0");
        assert!(read(b"{\"leases\":[]}x").unwrap_err().starts_with("not JSON: trailing"));
        assert!(read(b"{\"leases\":[{\"leaseId\":\"\xff\"}]}").is_err());
        assert!(leases(&b"{}"[..], LEASES_BYTES_MAX + 1).unwrap_err().starts_with("larger"));
        for end in 0..REAL.trim_end().len() {
            assert!(read(&REAL.as_bytes()[..end]).is_err(), "{end}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        let deep = format!("{{\"leases\":{}", "[".repeat(100_000));
        assert!(read(deep.as_bytes()).unwrap_err().contains("nested"));
        let long = format!("{{\"leases\":[{{\"leaseId\":\"{}\"}}]}}", "a".repeat(5 << 20));
        assert!(read(long.as_bytes()).unwrap_err().contains("4 MiB"));
    }

    #[test]
    fn a_hundred_thousand_leases_are_read_and_one_more_is_told() {
        let entry = |n: usize| format!("{{\"leaseId\":\"{n}\",\"rootPid\":{n}}}");
        for (count, is_cut) in [(LEASES_MAX, false), (LEASES_MAX + 1, true)] {
            let entries: Vec<_> = (0..count).map(entry).collect();
            let json = format!("{{\"leases\":[{}]}}", entries.join(","));
            let part = read(json.as_bytes()).unwrap();
            assert_eq!((part.leases.len(), part.is_cut), (LEASES_MAX, is_cut));
        }
    }

    #[test]
    fn the_id_of_a_gateway_is_alone_in_its_file() {
        let read = |bytes: &[u8]| instance(bytes, bytes.len() as u64);
        let ids = |bytes: &[u8]| read(bytes).unwrap().instance_ids.into_iter().collect::<Vec<_>>();
        let id = "6e497573-5298-47e0-91e6-7164d256ae62";
        assert_eq!(ids(format!("{id}\n").as_bytes()), [id]);
        assert!(ids(b"").is_empty() && ids(b" \n").is_empty() && ids(&[b'x'; 4000]).is_empty());
        assert!(read(b"\xff").is_err());
        assert!(read(&[b'x'; 5000]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, at in 0..REAL.len(), with: u8) {
            let _ = (read(&bytes), instance(&bytes[..], bytes.len() as u64));
            let mut whole = REAL.as_bytes().to_vec();
            whole[at] = with;
            let _ = read(&whole);
        }
    }
}
