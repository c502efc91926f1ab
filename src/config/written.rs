//! Values that a file gives as one word with a unit.

use std::fmt;
use std::marker::PhantomData;

use serde::{Deserialize, Deserializer, de};

/// The word for a limit that is not set.
pub(super) const OFF: &str = "off";

/// What can be read from one word.
pub(super) trait Word: Sized {
    /// What to write, for messages.
    const EXPECTED: &'static str;

    /// Reads a word; `None` for everything else.
    fn read(text: &str) -> Option<Self>;
}

/// A value in a configuration file. A bare number is refused: nobody can tell seconds from
/// milliseconds in it.
#[derive(Clone, Debug)]
pub(super) struct Written<T>(pub(super) T);

impl<'de, T: Word> Deserialize<'de> for Written<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Text(PhantomData)).map(Written)
    }
}

/// A limit, or `off`.
#[derive(Clone, Debug)]
pub(super) struct Limit<T>(pub(super) Option<T>);

impl<T: Word> Word for Limit<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn read(text: &str) -> Option<Self> {
        if text == OFF { Some(Limit(None)) } else { T::read(text).map(|value| Limit(Some(value))) }
    }
}

struct Text<T>(PhantomData<T>);

impl<T: Word> de::Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::read(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}
