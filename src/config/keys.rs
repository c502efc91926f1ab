//! What a key is, and how it is found in the table of all of them.

use std::time::Duration;

use super::bounds::Bounds;
use super::limit::Bytes;
pub(super) use super::table::{KEYS, NAMED};

/// The name of a section that the user names.
pub(super) const ANY: &str = "{}";

/// One key.
#[derive(Debug)]
pub(super) struct Key {
    /// Its path. An item of a list is `[]`, a section under a name of the user's choice `{}`.
    pub(super) path: &'static str,
    /// What may stand there.
    pub(super) kind: Kind,
    /// What holds without it, as one would write it. `None`: nothing, or found out at run time.
    pub(super) default: Option<&'static str>,
    /// True if its section makes no sense without it. A section under a name that the default or
    /// an earlier file gives is there already, and needs nothing.
    pub(super) is_required: bool,
    /// What it means, in one line.
    pub(super) doc: &'static str,
}

impl Key {
    /// Returns the last part of the path.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit_once('.').map_or(self.path, |(_, name)| name)
    }

    /// Returns true if it stands for every name that is not fixed.
    pub(super) fn is_any(&self) -> bool {
        self.name() == ANY
    }

    /// Returns true if it is there once, and not for each item or name.
    pub(super) fn is_single(&self) -> bool {
        !self.path.contains("[]") && !self.path.contains(ANY)
    }

    /// Returns the path of its section.
    pub(super) fn parent(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(parent, _)| parent)
    }
}

/// What may stand under a key.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Fixed keys, or any name.
    Section,
    /// A list of sections, each with what it applies to and what is different there. Those of a
    /// later file come after.
    Overrides,
    /// A list of sections, each a way to recognise a process. The list of a later file replaces it.
    Processes,
    /// A duration with a unit.
    Duration(Bounds<Duration>),
    /// A whole number.
    Count(Bounds<u32>),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words, each at most once, in this order: what costs less comes first.
    Choices(&'static [&'static str]),
    /// An absolute folder, or one below the home directory.
    Folder,
    /// An absolute file, or one below the home directory.
    File,
    /// The address of a gateway.
    Url,
    /// The name of a variable.
    Name,
    /// A glob over session keys.
    Lanes,
    /// A share of a processor and a time.
    Cpu,
    /// An amount of memory.
    Memory(Bounds<Bytes>),
    /// `off`, or a limit.
    Limit(&'static Kind),
    /// The file name of an executable, or a list of them.
    Programs,
    /// The end of an argument.
    Ending,
    /// The name of a variable, with or without its value.
    Variable,
}

/// Returns the key that stands for `name` in a section: that very one, or the one for any name.
pub(super) fn find(section: &str, name: &str) -> Option<&'static Key> {
    within(section).find(|key| key.name() == name || key.is_any())
}

/// Returns the names that a section has without any file.
pub(super) fn names(section: &str) -> impl Iterator<Item = &'static str> + Clone {
    NAMED.iter().filter_map(move |(path, _)| {
        path.strip_prefix(section)?.strip_prefix('.')?.split_once('.').map(|(name, _)| name)
    })
}

/// Returns what holds without any file at a path in which every name is written out.
pub(super) fn default(path: &str) -> Option<&'static str> {
    let named = NAMED.iter().find(|(named, _)| *named == path);
    named.map(|(_, value)| *value).or_else(|| at(path)?.default)
}

/// Returns the key of a path in which every name is written out.
fn at(path: &str) -> Option<&'static Key> {
    let mut names = path.split('.');
    let first = find("", names.next()?)?;
    names.try_fold(first, |section, name| find(section.path, name))
}

/// Returns the key of that path; items of lists are written `[]`.
#[cfg(test)]
pub(super) fn named(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// Returns the keys of one section, in their order. The file itself is the section "".
pub(super) fn within(section: &str) -> impl Iterator<Item = &'static Key> + Clone {
    KEYS.iter().filter(move |key| key.parent() == section)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_distinct_and_every_parent_is_a_section() {
        for (at, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..at].iter().all(|other| other.path != key.path), "{}", key.path);
            let (parent, wants_list) = match key.parent().strip_suffix("[]") {
                Some(list) => (list, true),
                None => (key.parent(), false),
            };
            let is_list = |kind| matches!(kind, Kind::Overrides | Kind::Processes);
            let fits = named(parent).map_or(parent.is_empty(), |key| match key.kind {
                Kind::Section => !wants_list,
                kind => wants_list && is_list(kind),
            });
            assert!(fits, "{}", key.path);
            assert!(key.doc.ends_with('.'), "{}", key.path);
        }
    }

    #[test]
    fn a_section_has_fixed_keys_or_any_name() {
        for key in KEYS.iter().filter(|key| key.is_any()) {
            assert!(matches!(key.kind, Kind::Section), "{}", key.path);
            assert_eq!(within(key.parent()).count(), 1, "{}", key.path);
        }
    }

    #[test]
    fn every_known_family_has_its_default_in_the_same_order() {
        let known = crate::policy::families::built_in();
        let known: Vec<_> = known.iter().map(|family| family.name.as_str()).collect();
        assert_eq!(names("policies.orphan_process.families").collect::<Vec<_>>(), known);
        assert_eq!(NAMED.len(), known.len());
    }
}
