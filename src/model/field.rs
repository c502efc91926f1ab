//! A field of foreign JSON.

/// What a foreign object says under one key.
///
/// "Not there" and "there, but not of a shape we know" are different facts: the second is
/// never treated as the first.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Field<T> {
    /// The key is missing, or its value is `null`.
    #[default]
    Absent,
    /// The value, in the shape the gateway writes.
    Value(T),
    /// A value of another shape, such as text where a number belongs.
    Malformed,
}

impl<T: Copy> Field<T> {
    /// Returns the value, if there is one of the known shape.
    #[must_use]
    pub fn value(&self) -> Option<T> {
        match self {
            Field::Value(value) => Some(*value),
            Field::Absent | Field::Malformed => None,
        }
    }
}

impl<T> Field<T> {
    /// Returns true if the key is there, in whatever shape.
    #[must_use]
    pub fn is_present(&self) -> bool {
        !matches!(self, Field::Absent)
    }
}
