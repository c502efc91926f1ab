//! Globs over session keys.

use std::fmt;

use crate::model::SessionKey;

/// A glob over session keys. `*` stands for any run of characters, `:` included, and for none.
///
/// No other character is special. Case does not matter: the gateway writes its keys in lower
/// case, and an override that silently matched nothing would be worse than one that matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LanePattern {
    text: String,
    /// What lies between the stars, in lower case.
    parts: Vec<String>,
}

impl LanePattern {
    /// Reads a glob. Every text is one; the empty one matches no key.
    #[must_use]
    pub fn new(text: &str) -> LanePattern {
        let parts = text.to_ascii_lowercase().split('*').map(str::to_owned).collect();
        LanePattern { text: text.to_owned(), parts }
    }

    /// Returns true if the whole key matches. Takes time linear in pattern and key.
    #[must_use]
    pub fn matches(&self, key: &SessionKey) -> bool {
        let key = key.0.to_ascii_lowercase();
        let Some((first, rest)) = self.parts.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return key == *first };
        let inner = key.strip_prefix(first.as_str());
        let Some(mut inner) = inner.and_then(|key| key.strip_suffix(last.as_str())) else {
            return false;
        };
        // The leftmost place of each part leaves the most for the parts after it, so no
        // choice ever needs to be taken back.
        for part in middle {
            match inner.find(part.as_str()) {
                Some(at) => inner = &inner[at + part.len()..],
                None => return false,
            }
        }
        true
    }
}

impl fmt::Display for LanePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_and_nothing_else_is_special() {
        check("agent:main:main", "agent:main:main", true);
        check("agent:main:main", "agent:main:main2", false);
        check("agent:main", "xagent:main", false);
        check("*", "", true);
        check("*", "agent:main:main", true);
        check("agent:*:cron:*", "agent:main:cron:42:run:7", true);
        check("agent:*:cron:*", "agent:main:cron", false);
        check("*:slack:*", "agent:main:slack:c1", true);
        check("a?c", "abc", false);
        check("a[b]c", "abc", false);
        check("", "agent:main:main", false);
    }

    #[test]
    fn parts_do_not_share_characters() {
        check("ab*ba", "aba", false);
        check("ab*ba", "abba", true);
        check("*aa*aa*", "aaa", false);
        check("*aa*aa*", "aaaa", true);
        check("a**b", "ab", true);
    }

    #[test]
    fn case_does_not_matter() {
        check("agent:Main:*", "agent:main:main", true);
    }

    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        let pattern = "a*".repeat(2_000) + "b";
        check(&pattern, &"a".repeat(100_000), false);
        check("*é*", "agent:é:x", true);
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_the_obvious_matcher(pattern in "[ab*]{0,8}", key in "[ab]{0,10}") {
            let want = obvious(pattern.as_bytes(), key.as_bytes());
            proptest::prop_assert_eq!(LanePattern::new(&pattern).matches(&SessionKey(key)), want);
        }
    }

    fn obvious(pattern: &[u8], key: &[u8]) -> bool {
        match pattern.split_first() {
            None => key.is_empty(),
            Some((b'*', rest)) => (0..=key.len()).any(|at| obvious(rest, &key[at..])),
            Some((byte, rest)) => key.first() == Some(byte) && obvious(rest, &key[1..]),
        }
    }

    #[track_caller]
    fn check(pattern: &str, key: &str, want: bool) {
        assert_eq!(LanePattern::new(pattern).matches(&SessionKey(key.to_owned())), want);
    }
}
