//! What the default and the files before give, for a file to build on.

use std::collections::BTreeSet;

use super::keys::{self, KEYS};

/// What there is before a file is walked over; the walk adds what that file gives.
#[derive(Debug)]
pub(super) struct Earlier {
    /// How many overrides there are.
    pub(super) overrides: usize,
    /// The paths of the sections under a name.
    pub(super) names: BTreeSet<String>,
}

impl Earlier {
    /// Returns what the default gives.
    pub(super) fn built_in() -> Earlier {
        let names = KEYS.iter().filter(|key| key.is_any()).flat_map(|key| {
            let section = key.parent();
            keys::names(section).map(move |name| format!("{section}.{name}"))
        });
        Earlier { overrides: 0, names: names.collect() }
    }
}
