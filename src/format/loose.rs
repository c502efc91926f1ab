//! One value of foreign JSON, of whatever shape, in bounded memory.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::{Field, UnixMillis};

/// Longest text that is kept. The gateway's longest, a transcript's path, is below the 4,096
/// bytes that Linux allows a path.
pub(super) const TEXT_BYTES_MAX: usize = 4096;

/// A value, as far as any reader here looks at it. Containers are skipped, not kept: no depth
/// of nesting costs stack.
#[derive(Debug, Default, PartialEq)]
pub(crate) enum Loose<'de> {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, also one written as a float, as JavaScript cannot tell them apart.
    Integer(i64),
    /// A number that is not whole, or too large.
    OtherNumber,
    /// Text of a bounded length.
    Text(Cow<'de, str>),
    /// Text that is too long for anything the gateway writes here.
    LongText,
    /// `[]` or `{}`.
    EmptyContainer,
    /// Any other array or object.
    Container,
}

impl<'de> Loose<'de> {
    /// Returns the text, if it is one.
    pub(crate) fn text(self) -> Option<Cow<'de, str>> {
        match self {
            Loose::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the whole number, if it is one.
    pub(crate) fn integer(&self) -> Field<i64> {
        match self {
            Loose::Null => Field::Absent,
            Loose::Integer(number) => Field::Value(*number),
            _ => Field::Malformed,
        }
    }

    /// Returns the instant that a number of milliseconds names.
    pub(crate) fn millis(&self) -> Field<UnixMillis> {
        match self.integer() {
            Field::Absent => Field::Absent,
            Field::Value(millis) => Field::Value(UnixMillis(millis)),
            Field::Malformed => Field::Malformed,
        }
    }

    /// Returns true for anything but `null` and `false`.
    pub(crate) fn is_set(&self) -> bool {
        !matches!(self, Loose::Null | Loose::Bool(false))
    }

    /// Returns true for anything but `null`, `false`, `[]` and `{}`.
    pub(crate) fn is_filled(&self) -> bool {
        self.is_set() && *self != Loose::EmptyContainer
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Loose::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Loose::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Loose::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(i64::try_from(value).map_or(Loose::OtherNumber, Loose::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(whole(value).map_or(Loose::OtherNumber, Loose::Integer))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(bounded(value).map_or(Loose::LongText, |text| Loose::Text(Cow::Borrowed(text))))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(bounded(value).map_or(Loose::LongText, |text| Loose::Text(Cow::Owned(text.to_owned()))))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut shape = Loose::EmptyContainer;
        while seq.next_element::<IgnoredAny>()?.is_some() {
            shape = Loose::Container;
        }
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut shape = Loose::EmptyContainer;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            shape = Loose::Container;
        }
        Ok(shape)
    }
}

fn bounded(text: &str) -> Option<&str> {
    (text.len() <= TEXT_BYTES_MAX).then_some(text)
}

/// Returns the integer that `value` is, within the range where a double is exact.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within 2^53")]
    (value.fract() == 0.0 && value.abs() <= EXACT).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, want: Loose<'_>) {
        let got = serde_json::from_str::<Loose<'_>>(json).unwrap();
        assert_eq!(got, want, "{json}");
    }

    #[test]
    fn every_shape_has_its_place() {
        check("null", Loose::Null);
        check("true", Loose::Bool(true));
        check("-7", Loose::Integer(-7));
        check("7.0", Loose::Integer(7));
        check("1.795159303423e12", Loose::Integer(1_795_159_303_423));
        check("7.5", Loose::OtherNumber);
        check("1e300", Loose::OtherNumber);
        check("18446744073709551615", Loose::OtherNumber);
        check("\"a\\nb\"", Loose::Text(Cow::Borrowed("a\nb")));
        check("[]", Loose::EmptyContainer);
        check("{}", Loose::EmptyContainer);
        check("[null]", Loose::Container);
        check("{\"a\":{}}", Loose::Container);
    }

    #[test]
    fn text_is_kept_up_to_the_longest_path() {
        let longest = "a".repeat(TEXT_BYTES_MAX);
        check(&format!("\"{longest}\""), Loose::Text(Cow::Borrowed(&longest)));
        check(&format!("\"{longest}a\""), Loose::LongText);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        check(&deep, Loose::Container);
    }

    #[test]
    fn false_and_empty_are_not_filled_but_anything_else_is() {
        for (json, set, filled) in [
            ("null", false, false),
            ("false", false, false),
            ("[]", true, false),
            ("{}", true, false),
            ("0", true, true),
            ("\"\"", true, true),
            ("[null]", true, true),
        ] {
            let value: Loose<'_> = serde_json::from_str(json).unwrap();
            assert_eq!((value.is_set(), value.is_filled()), (set, filled), "{json}");
        }
    }
}
