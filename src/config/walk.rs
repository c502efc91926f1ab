//! The walk over a marked tree: every key and value of one file against the table of keys.

use super::earlier::Earlier;
use super::example::{example, unknown};
use super::keys::{self, Key, Kind};
use super::nearest::nearest;
use super::problem::Mark;
use super::process;
use super::tree::{Entry, Flaw, Node, Shape};
use super::value::{self, Terms, meant, quoted};

/// One value that a file sets.
#[derive(Debug)]
pub(super) struct Setting {
    /// The key path, with the number of a list's item in brackets.
    pub(super) path: String,
    /// The value as written, without quotes; lists in brackets.
    pub(super) text: String,
    /// Where the value stands.
    pub(super) mark: Mark,
}

/// Returns what a file sets, and what is wrong with it; `earlier` learns what it gives.
pub(super) fn walk(root: &Node, earlier: &mut Earlier, terms: Terms) -> (Vec<Setting>, Vec<Flaw>) {
    let mut walk = Walk { earlier, terms, settings: Vec::new(), flaws: Vec::new() };
    match &root.shape {
        Shape::Broken => {}
        _ if root.is_empty() => walk.flaws.push((root.mark, EMPTY.to_owned())),
        Shape::Map(entries) => walk.entries("", "", entries),
        Shape::Text { .. } | Shape::List(_) => {
            let text = "expected sections such as `policies:`, got something else";
            walk.flaws.push((root.mark, text.to_owned()));
        }
    }
    (walk.settings, walk.flaws)
}

/// A file that was cut off by a full disk is empty too, and may have said `observe`.
pub(super) const EMPTY: &str = "the file is empty; remove it, or write `interval: 30s`";

/// A section of a file.
struct Section<'a> {
    /// Its path in the table.
    section: &'a str,
    /// Its path in the file.
    path: &'a str,
    mark: Mark,
    is_cut: bool,
    entries: &'a [Entry],
}

impl Section<'_> {
    /// Returns true if it has a name of the user's choice.
    fn is_named(&self) -> bool {
        self.section.ends_with(keys::ANY)
    }

    /// Returns the known name that its own was probably meant to be.
    fn known_name(&self) -> Option<&'static str> {
        let (parent, _) = self.section.rsplit_once('.').filter(|_| self.is_named())?;
        nearest(self.path.rsplit('.').next()?, keys::names(parent))
    }
}

struct Walk<'a> {
    earlier: &'a mut Earlier,
    terms: Terms<'a>,
    settings: Vec<Setting>,
    flaws: Vec<Flaw>,
}

impl Walk<'_> {
    /// `section` is the path in the table, `path` the one in this file.
    fn entries(&mut self, section: &str, path: &str, entries: &[Entry]) {
        for (index, entry) in entries.iter().enumerate() {
            let first = entries[..index].iter().find(|earlier| earlier.key == entry.key);
            match (first, keys::find(section, &entry.key)) {
                (Some(first), _) => {
                    let line = first.mark.line;
                    let text =
                        format!("duplicate key {}, first on line {line}", quoted(&entry.key));
                    self.refuse(entry.mark, path, &text);
                }
                (None, None) => self.refuse(entry.mark, path, &unknown(section, &entry.key)),
                (None, Some(key)) if key.is_any() => self.named(key, path, entry),
                (None, Some(key)) => self.entry(key, &join(path, key.name()), entry),
            }
        }
    }

    /// A section under a name of the user's choice.
    fn named(&mut self, key: &Key, path: &str, entry: &Entry) {
        match value::name(&entry.key) {
            Ok(()) => self.entry(key, &join(path, &entry.key), entry),
            Err(problem) => {
                let hint = meant(nearest(&entry.key, keys::names(key.parent())));
                self.refuse(entry.mark, path, &(problem + &hint));
                let path = join(path, &quoted(&entry.key));
                // What it would need is no other mistake.
                self.earlier.names.insert(path.clone());
                self.entry(key, &path, entry);
            }
        }
    }

    fn entry(&mut self, key: &Key, path: &str, entry: &Entry) {
        let node = &entry.value;
        if node.is_empty() {
            let text = format!("empty; remove it, or write `{}`", example(key, &entry.key));
            return self.refuse(entry.mark, path, &text);
        }
        match (key.kind, &node.shape) {
            (_, Shape::Broken) => {}
            (Kind::Section, Shape::Map(entries)) => {
                let (section, mark, is_cut) = (key.path, entry.mark, node.is_cut);
                self.section(&Section { section, path, mark, is_cut, entries });
            }
            (Kind::Overrides | Kind::Processes, Shape::List(items)) => {
                self.sections(key, path, node, items);
            }
            (Kind::Choices(_), Shape::List(items)) => self.words(key, path, node, items),
            (Kind::Programs, Shape::List(items)) if !items.is_empty() => {
                self.words(key, path, node, items);
            }
            (kind, Shape::Map(_)) => {
                self.refuse(node.mark, path, &value::wrong(kind, "keys and values"));
            }
            (kind, Shape::List(items)) => {
                let got = if items.is_empty() { "an empty list" } else { "a list" };
                self.refuse(node.mark, path, &value::wrong(kind, got));
            }
            (kind @ Kind::Choices(_), Shape::Text { text, .. }) => {
                self.refuse(node.mark, path, &value::wrong(kind, &quoted(text)));
            }
            (kind, Shape::Text { text, is_plain }) => {
                match value::check(kind, text, *is_plain, self.terms) {
                    Ok(()) => self.set(path, text.clone(), node.mark),
                    Err(problem) => self.refuse(node.mark, path, &problem),
                }
            }
        }
    }

    fn section(&mut self, part: &Section) {
        self.entries(part.section, part.path, part.entries);
        if !part.is_cut && !self.earlier.names.contains(part.path) {
            self.missing(part);
        }
        if part.is_named() {
            self.earlier.names.insert(part.path.to_owned());
        }
    }

    fn missing(&mut self, part: &Section) {
        let has = |key: &&Key| part.entries.iter().any(|entry| entry.key == key.name());
        for key in keys::within(part.section).filter(|key| key.is_required && !has(key)) {
            let (name, hint) = (key.name(), meant(part.known_name()));
            let text = format!("`{name}` is missing; write `{}`{hint}", example(key, name));
            self.refuse(part.mark, part.path, &text);
        }
    }

    fn sections(&mut self, key: &Key, path: &str, node: &Node, items: &[Node]) {
        let adds = matches!(key.kind, Kind::Overrides);
        let first = if adds { self.earlier.overrides } else { 0 };
        for (index, item) in items.iter().enumerate() {
            self.item(key, &format!("{path}[{}]", first + index), item);
        }
        if adds {
            self.earlier.overrides += items.len();
        }
        if items.is_empty() {
            self.set(path, "[]".to_owned(), node.mark);
        }
    }

    fn item(&mut self, key: &Key, path: &str, item: &Node) {
        let section = format!("{}[]", key.path);
        match &item.shape {
            Shape::Broken => {}
            Shape::Map(entries) => {
                let (mark, is_cut) = (item.mark, item.is_cut);
                let part = Section { section: &section, path, mark, is_cut, entries };
                self.section(&part);
                self.whole(key.kind, &part);
            }
            Shape::Text { .. } | Shape::List(_) => {
                let text = value::wrong(Kind::Section, "something else");
                self.refuse(item.mark, path, &text);
            }
        }
    }

    /// What the keys of an item say together.
    fn whole(&mut self, kind: Kind, part: &Section) {
        match kind {
            _ if part.is_cut => {}
            Kind::Processes => {
                for (name, mark, problem) in process::objections(part.entries) {
                    self.refuse(mark, &join(part.path, name), &problem);
                }
            }
            _ => self.effect(part),
        }
    }

    /// An item that only says what it applies to changes nothing.
    fn effect(&mut self, part: &Section) {
        let known = || keys::within(part.section);
        let is_subject =
            |entry: &Entry| known().any(|key| key.is_required && key.name() == entry.key);
        let mut optional = known().filter(|key| !key.is_required);
        if let (true, Some(key)) = (part.entries.iter().all(is_subject), optional.next()) {
            let example = example(key, key.name());
            let text = format!("changes nothing; remove it, or add `{example}`");
            self.refuse(part.mark, part.path, &text);
        }
    }

    fn words(&mut self, key: &Key, path: &str, node: &Node, items: &[Node]) {
        let mut words: Vec<&str> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let problem = match &item.shape {
                Shape::Broken => continue,
                Shape::Text { text, .. } if words.contains(&text.as_str()) => {
                    Err(format!("{} is listed twice", quoted(text)))
                }
                Shape::Text { text, is_plain } => {
                    let order = value::order(key.kind, words.last().copied(), text);
                    words.push(text);
                    value::check(key.kind, text, *is_plain, self.terms).and(order)
                }
                Shape::List(_) | Shape::Map(_) => Err("expected a word".to_owned()),
            };
            if let Err(problem) = problem {
                self.refuse(item.mark, &path, &problem);
            }
        }
        self.set(path, format!("[{}]", words.join(", ")), node.mark);
    }

    fn set(&mut self, path: &str, text: String, mark: Mark) {
        self.settings.push(Setting { path: path.to_owned(), text, mark });
    }

    fn refuse(&mut self, mark: Mark, path: &str, problem: &str) {
        let text = if path.is_empty() { problem.to_owned() } else { format!("{path}: {problem}") };
        self.flaws.push((mark, text));
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::super::tree;
    use super::*;

    #[test]
    fn reads_what_is_set_and_where() {
        let (settings, flaws) = read(
            "interval: 30s\npolicies:\n  stale_lane: { after: \"20m\", repair: [settle] }\n\
             overrides:\n  - match: { lane: \"*\" }\n    stale_lane: { mode: off }\n",
        );
        assert_eq!(flaws, Vec::<String>::new());
        let settings: Vec<_> = settings
            .iter()
            .map(|s| format!("{}:{} {} = {}", s.mark.line, s.mark.column, s.path, s.text))
            .collect();
        assert_eq!(
            settings,
            [
                "1:11 interval = 30s",
                "3:24 policies.stale_lane.after = 20m",
                "3:39 policies.stale_lane.repair = [settle]",
                "5:20 overrides[4].match.lane = *",
                "6:25 overrides[4].stale_lane.mode = off",
            ]
        );
    }

    #[test]
    fn an_unknown_key_names_the_known_ones_and_the_nearest() {
        check(
            "policies:\n  dead_lock:\n    min_aeg: 10m\n",
            "3:5 policies.dead_lock: unknown key `min_aeg`, expected one of `mode`, `min_age`; did you mean `min_age`?",
        );
        check(
            "policies: { dead_lock: { mode: off }, zombie_tasks: { mode: off } }",
            "1:39 policies: unknown key `zombie_tasks`, expected one of `stale_lane`, `hung_lane`, \
             `dead_lock`, `held_lock`, `orphan_process`, `leaked_process`, `runaway_agent`, \
             `zombie_task`, `gateway_health`, `tombstone`; did you mean `zombie_task`?",
        );
        check(
            "dead_lock: { mode: off }",
            "1:1 unknown key `dead_lock`, expected one of `gateway`, `interval`, `confirm`, \
             `start_grace`, `allow_short`, `limits`, `journal`, `policies`, `overrides`; \
             did you mean `policies.dead_lock`?",
        );
    }

    #[test]
    fn a_duplicate_key_names_both_lines() {
        check("interval: 30s\n\ninterval: 1m\n", "3:1 duplicate key `interval`, first on line 1");
    }

    #[test]
    fn nothing_is_left_empty() {
        check("", "1:1 the file is empty; remove it, or write `interval: 30s`");
        check("{}", "1:1 the file is empty; remove it, or write `interval: 30s`");
        let policies = "remove it, or write `policies: { stale_lane: { mode: enforce } }`";
        check("policies:\n", &format!("1:1 policies: empty; {policies}"));
        check("interval: ~", "1:1 interval: empty; remove it, or write `interval: 30s`");
        check(
            "policies:\n  dead_lock: {}\n",
            "2:3 policies.dead_lock: empty; remove it, or write `dead_lock: { mode: enforce }`",
        );
    }

    #[test]
    fn a_value_of_another_type_is_refused_where_it_stands() {
        check("- a", "1:1 expected sections such as `policies:`, got something else");
        check("limits: 5", "1:9 limits: expected keys and values, got the number `5`");
        check("limits: [5]", "1:9 limits: expected keys and values, got a list");
        check(
            "interval: { a: b }",
            "1:11 interval: expected a duration with a unit, such as `90s`, `10m` or `2h`, got keys and values",
        );
        check("overrides: x", "1:12 overrides: expected a list of sections, got the text `x`");
        check("overrides: [x]", "1:13 overrides[4]: expected keys and values, got something else");
        check(
            "policies: { stale_lane: { repair: settle } }",
            "1:35 policies.stale_lane.repair: expected a list of one of `settle`, `abort`, \
             `recover`, `reset`, `new`, got `settle`",
        );
        check(
            "policies: { stale_lane: { repair: [settle, settle] } }",
            "1:44 policies.stale_lane.repair[1]: `settle` is listed twice",
        );
    }

    #[test]
    fn what_costs_less_is_tried_first() {
        check(
            "policies: { hung_lane: { repair: [abort, reset, steer] } }",
            "1:49 policies.hung_lane.repair[2]: `steer` costs less than `reset`; write it before",
        );
    }

    #[test]
    fn an_override_says_for_which_lanes_and_what() {
        check(
            "overrides:\n  - stale_lane: { mode: off }\n",
            "2:5 overrides[4]: `match` is missing; write `match: { lane: \"agent:*:cron:*\" }`",
        );
        check(
            "overrides:\n  - match: { lane: \"*\" }\n",
            "2:5 overrides[4]: changes nothing; remove it, or add `stale_lane: { mode: off or observe or enforce }`",
        );
    }

    #[test]
    fn a_section_cut_off_by_an_error_is_not_called_incomplete() {
        let (root, flaws) = tree::read("overrides:\n  - match: { lane: @ }\n");
        let terms = Terms { allow_short: false, home: None };
        assert_eq!(flaws.len(), 1);
        assert!(walk(&root.unwrap(), &mut Earlier::built_in(), terms).1.is_empty());
    }

    fn read(text: &str) -> (Vec<Setting>, Vec<String>) {
        let (root, flaws) = tree::read(text);
        assert!(flaws.is_empty(), "{flaws:?}");
        let terms = Terms { allow_short: false, home: Some("/h") };
        let mut earlier = Earlier::built_in();
        earlier.overrides = 4;
        let (settings, flaws) = root.map_or_else(
            || (Vec::new(), vec![(Mark::START, EMPTY.to_owned())]),
            |root| walk(&root, &mut earlier, terms),
        );
        let flaws = flaws.iter().map(|(at, text)| format!("{}:{} {text}", at.line, at.column));
        (settings, flaws.collect())
    }

    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(read(text).1, [want]);
    }
}
