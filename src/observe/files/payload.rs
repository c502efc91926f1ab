//! The payload of a transcript lock.

use std::fmt;

use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::format::Loose;
use crate::model::{Claim, Field, UnixMillis};

/// Highest pid that any supported system gives: `PID_MAX_LIMIT` of Linux. No process can ever be
/// seen under a higher one, so that its absence proves nothing.
pub(in crate::observe) const PID_MAX: i32 = 1 << 22;

/// Reads what a lock's payload claims.
///
/// Up to 2026.5.7 it is `{pid, createdAt, starttime?}`, from 2026.5.28 also `maxHoldMs`
/// (measured); `createdAt` is an ISO instant, `starttime` field 22 of `/proc/PID/stat`, which
/// macOS does not have. Unknown fields are ignored. `None`: torn, without a usable pid or
/// instant, or with one of these fields in an unknown shape.
#[must_use]
pub fn read_claim(payload: &[u8]) -> Option<Claim> {
    let mut deserializer = serde_json::Deserializer::from_slice(payload);
    let fields = deserializer.deserialize_map(Fields::default()).ok()?;
    deserializer.end().ok()?;
    // 0 and 1 and negative numbers address groups and init: no lock holder has such a pid.
    let pid = i32::try_from(fields.pid.value()?).ok();
    let pid = pid.filter(|&pid| pid > 1 && pid <= PID_MAX)?;
    Some(Claim {
        pid,
        created_at: fields.created_at?,
        start_ticks: count(fields.start_ticks)?,
        max_hold_ms: count(fields.max_hold_ms)?,
    })
}

#[derive(Default)]
struct Fields {
    pid: Field<i64>,
    created_at: Option<UnixMillis>,
    start_ticks: Field<i64>,
    max_hold_ms: Field<i64>,
}

impl<'de> Visitor<'de> for Fields {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a lock's payload")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Fields, A::Error> {
        while let Some(name) = map.next_key::<Loose<'de>>()? {
            match name.text().as_deref() {
                Some("pid") => self.pid = map.next_value::<Loose<'_>>()?.integer(),
                Some("createdAt") => self.created_at = instant(map.next_value()?),
                Some("starttime") => self.start_ticks = map.next_value::<Loose<'_>>()?.integer(),
                Some("maxHoldMs") => self.max_hold_ms = map.next_value::<Loose<'_>>()?.integer(),
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(self)
    }
}

fn instant(value: Loose<'_>) -> Option<UnixMillis> {
    match value.millis() {
        Field::Value(millis) => Some(millis),
        Field::Absent | Field::Malformed => UnixMillis::from_rfc3339(&value.text()?),
    }
}

/// Returns a number that may be missing; the outer `None` means an unknown shape.
fn count(field: Field<i64>) -> Option<Option<u64>> {
    match field {
        Field::Absent => Some(None),
        Field::Value(number) => u64::try_from(number).ok().map(Some),
        Field::Malformed => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: UnixMillis = UnixMillis(1_795_159_770_010);

    #[track_caller]
    fn check(payload: &str, want: Option<(i32, Option<u64>, Option<u64>)>) {
        let want = want.map(|(pid, start_ticks, max_hold_ms)| Claim {
            pid,
            created_at: AT,
            start_ticks,
            max_hold_ms,
        });
        assert_eq!(read_claim(payload.as_bytes()), want, "{payload}");
    }

    #[test]
    fn reads_the_payloads_of_2026_4_15_and_2026_6_11() {
        check(
            "{\n  \"pid\": 13331,\n  \"createdAt\": \"2026-11-20T07:29:30.010Z\",\n  \
             \"starttime\": 63199\n}",
            Some((13331, Some(63199), None)),
        );
        check(
            "{\n  \"pid\": 29099,\n  \"createdAt\": \"2026-11-20T07:29:30.010Z\",\n  \
             \"maxHoldMs\": 300000,\n  \"starttime\": 115195\n}\n",
            Some((29099, Some(115_195), Some(300_000))),
        );
    }

    #[test]
    fn reads_what_it_can_and_ignores_what_it_does_not_know() {
        let at = r#""createdAt":"2026-11-20T07:29:30.010Z""#;
        check(&format!(r#"{{"pid":41,{at}}}"#), Some((41, None, None)));
        check(&format!(r#"{{"pid":41.0,{at},"starttime":null}}"#), Some((41, None, None)));
        check(&format!(r#"{{"pid":4194304,{at}}}"#), Some((PID_MAX, None, None)));
        check(&format!(r#"{{"new":{{"pid":7}},"pid":41,{at},"x":[]}}"#), Some((41, None, None)));
        check(&format!(r#"{{"pid":7,{at},"pid":41}}"#), Some((41, None, None)));
        check(r#"{"pid":41,"createdAt":1795159770010}"#, Some((41, None, None)));
    }

    #[test]
    fn a_payload_that_is_torn_or_of_another_shape_claims_nothing() {
        let at = r#""createdAt":"2026-11-20T07:29:30.010Z""#;
        let numbers = ["0", "1", "-1", "-41", "41.5", "4194305", "2147483647", "2147483648"];
        for pid in numbers.into_iter().chain(["\"41\"", "null", "[41]", "true"]) {
            check(&format!(r#"{{"pid":{pid},{at}}}"#), None);
        }
        for other in [
            format!(r#"{{"pid":41,{at},"starttime":"7"}}"#),
            format!(r#"{{"pid":41,{at},"starttime":-7}}"#),
            format!(r#"{{"pid":41,{at},"maxHoldMs":{{}}}}"#),
            format!(r#"{{"pid":41,{at}}}}}"#),
            format!(r#"[41,{at}]"#).replace("\"createdAt\":", ""),
            format!(r#"{{{at}}}"#),
            r#"{"pid":41}"#.to_owned(),
            r#"{"pid":41,"createdAt":"yesterday"}"#.to_owned(),
            "null".to_owned(),
            "41".to_owned(),
            "[".repeat(4096),
            "{\"a\":".repeat(800),
        ] {
            check(&other, None);
        }
    }

    #[test]
    fn no_torn_prefix_claims_anything() {
        let whole = r#"{"pid":41,"createdAt":"2026-11-20T07:29:30.010Z","starttime":63199}"#;
        for end in 0..whole.len() {
            check(&whole[..end], None);
        }
        check(whole, Some((41, Some(63199), None)));
        assert_eq!(read_claim(b"{\"pid\":41,\"x\":\"\xff\"}"), None);
    }
}
