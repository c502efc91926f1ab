//! What holds after all files: the last word on every key.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::keys;
use super::layer::Layer;
use super::walk::Setting;

/// A setting and its file.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    /// The number of the file, from the weakest.
    pub(super) number: usize,
    pub(super) layer: &'a Layer,
    pub(super) setting: &'a Setting,
}

/// The last word of all files on every key; of a list, the last word on any of it.
pub(super) struct Effective<'a>(BTreeMap<&'a str, Said<'a>>);

impl<'a> Effective<'a> {
    pub(super) fn new(layers: &'a [(usize, Layer)]) -> Effective<'a> {
        let said = layers.iter().flat_map(|(number, layer)| {
            layer.settings.iter().map(|setting| Said { number: *number, layer, setting })
        });
        Effective(said.map(|said| (root(&said.setting.path), said)).collect())
    }

    /// Returns what was said last at that path, in which every name is written out.
    pub(super) fn said(&self, path: &str) -> Option<Said<'a>> {
        self.0.get(path).copied()
    }

    /// Returns what holds at that path, as one would write it; empty if nothing does.
    pub(super) fn text(&self, path: &str) -> &'a str {
        let said = self.said(path).map(|said| said.setting.text.as_str());
        said.or_else(|| keys::default(path)).unwrap_or_default()
    }

    /// Returns the names in a section: those of the default, then those of the files by name.
    pub(super) fn names(&self, section: &str) -> Vec<&'a str> {
        let before = format!("{section}.");
        let from = (Bound::Included(before.as_str()), Bound::Unbounded);
        let below = self.0.range::<str, _>(from).map(|(path, _)| *path);
        let below = below.map_while(|path| path.strip_prefix(before.as_str()));
        let said: BTreeSet<_> = below.filter_map(|path| path.split('.').next()).collect();
        let known: Vec<_> = keys::names(section).collect();
        let own = said.into_iter().filter(|name| !known.contains(name));
        known.iter().copied().chain(own).collect()
    }

    /// Returns the settings of the list at that path, which are all of one file.
    pub(super) fn list(&self, path: &str) -> Vec<Said<'a>> {
        let Some(last) = self.said(path) else { return Vec::new() };
        let is_of_list = |setting: &&Setting| {
            let rest = setting.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        };
        let settings = last.layer.settings.iter().filter(is_of_list);
        settings.map(|setting| Said { setting, ..last }).collect()
    }
}

/// Returns the path without what belongs to single items of a list.
fn root(path: &str) -> &str {
    path.split('[').next().unwrap_or(path)
}
