//! How errors are shown.
//!
//! Messages are lower-case fragments that read well after "failed to". Each names its object and
//! leaves the cause to `source()`: the top prints the whole chain once, so no message repeats the
//! one below it.

use std::error::Error;
use std::fmt::Write as _;

/// Renders an error and its causes on one line: `a: b: c`.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_names_object_then_cause() {
        let source = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
        let error = crate::act::ActError::MoveLock { path: "/s/a.lock".into(), source };
        assert_eq!(chain(&error), "move lock `/s/a.lock` out of the way: permission denied");
    }
}
