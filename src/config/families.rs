//! What the files say about families of agents, and the checked rules that follow from it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::written::Written;
use crate::model::{self, Argument, Family, Mode, Pattern};
use crate::policy::families;
use crate::policy::settings::FamilyRule;

/// Times are written with their unit.
type Time = Written<Duration>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FamilySection {
    mode: Mode,
    min_age: Option<Time>,
    term_wait: Option<Time>,
    confirm: Option<u32>,
    #[serde(default)]
    processes: Vec<ProcessItem>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProcessItem {
    exe: Programs,
    argument: Option<String>,
    position: usize,
    part: Part,
    environment: Option<Written<model::Mark>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Part {
    Adapter,
    Agent,
    Wrapper,
}

/// One file name, or a list of them.
struct Programs(Vec<String>);

/// Returns the rules of the known families in their order, with what the files add to them, and
/// then those of the others by name. The patterns of a known family stay the first, so that an
/// added one takes no mark from what they fit.
pub(super) fn rules(mut said: BTreeMap<String, FamilySection>) -> Vec<FamilyRule> {
    let known = families::built_in().into_iter();
    let known: Vec<_> = known.map(|family| (said.remove(&family.name), family)).collect();
    let known = known.into_iter().filter_map(|(section, family)| Some(section?.rule(family)));
    let own = said.into_iter().map(|(name, section)| {
        let family = Family { name, patterns: Vec::new() };
        section.rule(family)
    });
    known.chain(own).collect()
}

impl FamilySection {
    fn rule(self, mut family: Family) -> FamilyRule {
        family.patterns.extend(self.processes.into_iter().map(ProcessItem::pattern));
        FamilyRule {
            family,
            mode: self.mode,
            min_age: self.min_age.map(|age| age.0),
            term_wait: self.term_wait.map(|wait| wait.0),
            looks: self.confirm,
        }
    }
}

impl ProcessItem {
    fn pattern(self) -> Pattern {
        let position = self.position;
        let part = match self.part {
            Part::Adapter => model::Part::Adapter,
            Part::Agent => model::Part::Agent,
            Part::Wrapper => model::Part::Wrapper,
        };
        Pattern {
            part,
            exe: self.exe.0,
            argument: self.argument.map(|ends_with| Argument { position, ends_with }),
            mark: self.environment.map(|variable| variable.0),
        }
    }
}

impl<'de> Deserialize<'de> for Programs {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(OneOrMore).map(Programs)
    }
}

struct OneOrMore;

impl<'de> de::Visitor<'de> for OneOrMore {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file name, or a list of them")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Vec<String>, E> {
        Ok(vec![name.to_owned()])
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<Vec<String>, A::Error> {
        let mut all = Vec::new();
        while let Some(name) = names.next_element()? {
            all.push(name);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_problems, compile};
    use super::*;
    use crate::policy::settings::OrphanProcess;

    #[test]
    fn a_family_of_ones_own_observes_unless_it_says_otherwise() {
        let of = orphan_process(&[&families("zed: {processes: [{exe: zed}]}")]);
        let zed = of.families.last().unwrap();
        let pattern = Pattern {
            part: model::Part::Adapter,
            exe: vec!["zed".to_owned()],
            argument: None,
            mark: None,
        };
        assert_eq!(zed.family, Family { name: "zed".to_owned(), patterns: vec![pattern] });
        let all = FamilyRule {
            family: zed.family.clone(),
            mode: Mode::Observe,
            min_age: None,
            term_wait: None,
            looks: None,
        };
        assert_eq!(*zed, all);
    }

    #[test]
    fn every_key_of_a_family_arrives() {
        let of = orphan_process(&[&families(
            "zed: {mode: enforce, min_age: 5m, term_wait: 1m, confirm: 4, processes: [{exe: [node, \
             bun], argument: zed/main.js, position: 2, part: wrapper, environment: Z=}]}",
        )]);
        let zed = of.families.last().unwrap();
        assert_eq!((zed.mode, zed.looks), (Mode::Enforce, Some(4)));
        assert_eq!(zed.min_age, Some(Duration::from_mins(5)));
        assert_eq!(zed.term_wait, Some(Duration::from_mins(1)));
        let pattern = Pattern {
            part: model::Part::Wrapper,
            exe: vec!["node".to_owned(), "bun".to_owned()],
            argument: Some(Argument { position: 2, ends_with: "zed/main.js".to_owned() }),
            mark: Some(model::Mark { name: "Z".to_owned(), value: Some(String::new()) }),
        };
        assert_eq!(zed.family.patterns, [pattern]);
    }

    #[test]
    fn an_argument_is_the_first_unless_it_says_otherwise() {
        let of = orphan_process(&[&families("zed: {processes: [{exe: zed, argument: serve}]}")]);
        let argument = of.families.last().unwrap().family.patterns[0].argument.clone();
        assert_eq!(argument, Some(Argument { position: 1, ends_with: "serve".to_owned() }));
    }

    #[test]
    fn a_known_family_keeps_what_is_known_of_it_first() {
        let of = orphan_process(&[&families("claude: {processes: [{exe: claude-2}]}")]);
        let known = families::built_in().remove(0);
        let claude = &of.families[0];
        assert_eq!((claude.family.name.as_str(), claude.mode), ("claude", Mode::Enforce));
        let (kept, added) = claude.family.patterns.split_at(known.patterns.len());
        assert_eq!(kept, known.patterns);
        assert_eq!((added.len(), added[0].exe[0].as_str()), (1, "claude-2"));
    }

    #[test]
    fn files_merge_by_name_and_key_and_replace_processes() {
        let of = orphan_process(&[
            &families(
                "zed: {min_age: 5m, processes: [{exe: za}, {exe: zb}]}, codex: {mode: enforce}",
            ),
            &families(
                "zed: {mode: enforce, processes: [{exe: zc}]}, alpha: {processes: [{exe: alpha}]}",
            ),
            "policies: {orphan_process: {mode: observe}}",
        ]);
        let shown: Vec<_> =
            of.families.iter().map(|rule| (rule.family.name.as_str(), rule.mode)).collect();
        assert_eq!(
            shown,
            [
                ("claude", Mode::Enforce),
                ("codex", Mode::Enforce),
                ("gemini", Mode::Observe),
                ("opencode", Mode::Observe),
                ("alpha", Mode::Observe),
                ("zed", Mode::Enforce),
            ]
        );
        let zed = &of.families[5];
        assert_eq!(zed.min_age, Some(Duration::from_mins(5)));
        assert_eq!(zed.family.patterns.len(), 1);
        assert_eq!(of.family("zed").unwrap().mode, Mode::Observe, "no further than the policy");
    }

    #[test]
    fn a_family_that_is_not_known_says_which_its_processes_are() {
        let missing = "`processes` is missing; write `processes: [{ exe: my-agent }]`";
        check("zed: {mode: enforce}", &[&format!("40 zed: {missing}")]);
        check("cluade: {mode: off}", &[&format!("40 cluade: {missing}; did you mean `claude`?")]);
        check(
            "zed: {}",
            &["40 zed: empty; remove it, or write `zed: { processes: [{ exe: my-agent }] }`"],
        );
        check("claude: ~", &["40 claude: empty; remove it, or write `claude: { mode: observe }`"]);
        check("claude: enforce", &["48 claude: expected keys and values, got the text `enforce`"]);
        check(
            "zed: {processes: zed}",
            &[
                "57 zed.processes: expected a list of patterns, such as `[{ exe: my-agent }]`, got the text `zed`",
            ],
        );
        check(
            "zed: {processes: [zed]}",
            &["58 zed.processes[0]: expected keys and values, got something else"],
        );
    }

    #[test]
    fn a_name_is_plain() {
        for name in ["a", "my-agent", "0day", &"a".repeat(32)] {
            check(&format!("{name}: {{processes: [{{exe: zed}}]}}"), &[]);
        }
        let names = "expected 1 to 32 of `a` to `z`, `0` to `9` and `-`";
        for name in ["zed.x", "z_d", "zöd", "123", "1e5", "0x1f", "true", "z d", &"a".repeat(33)] {
            check(
                &format!("{name}: {{processes: [{{exe: zed}}]}}"),
                &[&format!("40 {} is no name, {names}", super::super::value::quoted(name))],
            );
        }
        check(
            "Claude: {mode: off}",
            &[&format!("40 `Claude` is no name, {names}; did you mean `claude`?")],
        );
        check(
            "claude: {mode: off}, claude: {mode: off}",
            &["61 duplicate key `claude`, first on line 1"],
        );
    }

    #[test]
    fn every_mistake_in_a_family_has_its_place() {
        check(
            "zed: {mode: on, min_age: 59s, term_wait: 3m, confirm: 0, process: [], mode: off}",
            &[
                "40 zed: `processes` is missing; write `processes: [{ exe: my-agent }]`",
                "52 zed.mode: unknown value `on`, expected one of `off`, `observe`, `enforce`",
                "65 zed.min_age: must be at least 1m (got 59s); a gateway may still be starting it",
                "81 zed.term_wait: must be at most 2m (got 3m); nothing else is repaired while one tree is waited for",
                "94 zed.confirm: must be at least 1 (got 0); nothing can be judged unseen",
                "97 zed: unknown key `process`, expected one of `mode`, `min_age`, `term_wait`, `confirm`, `processes`; did you mean `processes`?",
                "110 zed: duplicate key `mode`, first on line 1",
            ],
        );
        assert_problems(
            &["policies: {orphan_process: {processes: []}}"],
            &[
                "0.yaml:1:29 policies.orphan_process: unknown key `processes`, expected one of `mode`, \
               `min_age`, `term_wait`, `families`; did you mean \
               `policies.orphan_process.families.NAME.processes`?",
            ],
        );
        assert_problems(
            &["policies: {orphan_process: {families: ~}}"],
            &["0.yaml:1:29 policies.orphan_process.families: empty; remove it, or write \
               `families: { claude: { mode: observe } }`"],
        );
    }

    #[test]
    fn times_have_their_floors_and_only_tests_go_below() {
        check("claude: {min_age: 1m, term_wait: 1s, confirm: 100}", &[]);
        check("claude: {min_age: 30d, term_wait: 2m}", &[]);
        let short = families("claude: {min_age: 59s, term_wait: 999ms}");
        let below = "an agent that is told to end writes its files first";
        check(
            "claude: {term_wait: 999ms}",
            &[&format!("60 claude.term_wait: must be at least 1s (got 999ms); {below}")],
        );
        assert_problems(&[&short, "allow_short: true"], &[]);
        assert_problems(
            &["policies: {orphan_process: {min_age: 59s}, leaked_process: {after: 59s}}"],
            &[
                "0.yaml:1:38 policies.orphan_process.min_age: must be at least 1m (got 59s); a \
                 gateway may still be starting it",
                "0.yaml:1:68 policies.leaked_process.after: must be at least 1m (got 59s); the \
                 gateway may still be ending it",
            ],
        );
        let least = "policies: {orphan_process: {min_age: 60s}, leaked_process: {after: 1m}}";
        assert_problems(&[least], &[]);
    }

    /// Each problem has its column and the path below `families`, if it has one.
    #[track_caller]
    fn check(text: &str, want: &[&str]) {
        let path = "policies.orphan_process.families";
        let want: Vec<_> = want
            .iter()
            .map(|want| {
                let (column, text) = want.split_once(' ').unwrap();
                let is_of_family = text.split(' ').next().unwrap().ends_with(':');
                format!("0.yaml:1:{column} {path}{}{text}", if is_of_family { "." } else { ": " })
            })
            .collect();
        let want: Vec<_> = want.iter().map(String::as_str).collect();
        assert_problems(&[&families(text)], &want);
    }

    fn families(text: &str) -> String {
        format!("policies: {{orphan_process: {{families: {{{text}}}}}}}")
    }

    fn orphan_process(texts: &[&str]) -> OrphanProcess {
        compile(texts)
            .unwrap_or_else(|problems| panic!("{problems}"))
            .config
            .policies
            .orphan_process
    }
}
