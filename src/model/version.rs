//! Gateway versions.

use std::fmt;

/// A released gateway version, such as `2026.4.15`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// The calendar year.
    pub year: u16,
    /// The month of the release line.
    pub month: u8,
    /// The release within the month.
    pub patch: u16,
}

impl Version {
    /// The first version whose gateway writes `sessions.json` without `sessions.json.lock`.
    pub const STORE_WITHOUT_LOCK: Version = Version::new(2026, 5, 2);
    /// The first version that resumes interrupted runs after a restart by itself.
    pub const RECOVERS_RUNS: Version = Version::new(2026, 5, 2);
    /// The first version that looks for agents it left behind, those of its own wrapper (read in
    /// 2026.5.28 to 2026.7.1).
    pub const REAPS_AGENTS: Version = Version::new(2026, 5, 28);
    /// The first version on which a reset was seen not to be undone by the run that it ends: up to
    /// 2026.5.7 that one wrote the old session id back; those in between were not run.
    pub const RESETS_CLEANLY: Version = Version::new(2026, 7, 1);
    /// The oldest version that was run for real.
    pub const OLDEST_TESTED: Version = Version::new(2026, 3, 24);
    /// The newest version whose file stores were run for real.
    pub const NEWEST_TESTED: Version = Version::new(2026, 9, 6);

    /// Makes a version from its three numbers.
    #[must_use]
    pub const fn new(year: u16, month: u8, patch: u16) -> Version {
        Version { year, month, patch }
    }

    /// Reads `2026.4.15`, with or without a leading `v` and a suffix such as `-beta.1`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Version> {
        let text = text.trim().trim_start_matches('v');
        let text = text.split(['-', '+', ' ']).next()?;
        let mut parts = text.split('.');
        let year = parts.next()?.parse().ok().filter(|year| (2020..2100).contains(year))?;
        let month = parts.next()?.parse().ok().filter(|month| (1..=12).contains(month))?;
        let patch = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Version { year, month, patch })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.year, self.month, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_by_number_and_not_by_text() {
        let [a, b] = ["2026.4.15", "2026.10.2"].map(|text| Version::parse(text).unwrap());
        assert!(a < b);
        assert_eq!(Version::parse("v2026.7.2-beta.1"), Some(Version::new(2026, 7, 2)));
    }

    #[test]
    fn refuses_what_is_no_version() {
        for text in ["", "2026", "2026.4", "1.2.3", "2026.13.1", "2026.4.15.1", "latest"] {
            assert_eq!(Version::parse(text), None, "{text}");
        }
    }
}
