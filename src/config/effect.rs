//! What is asked for and can have no effect, judged over all files together.

use super::access::two_secrets;
use super::effective::{Effective, Said};
use super::keys;
use super::layer::{Layer, Numbered};
use super::problem::PROBLEMS_MAX;
use super::written::OFF;

const ENFORCE: &str = "enforce";
const FAMILIES: &str = "policies.orphan_process.families";
const LIMITS: [&str; 3] =
    ["policies.runaway_agent.cpu", "policies.runaway_agent.memory", "policies.runaway_agent.age"];
const NOTHING: &str = "[]";

/// Policies with a list of repairs, and the one of them that costs least.
const REPAIRS: [(&str, &str); 3] =
    [("stale_lane", "settle"), ("hung_lane", "abort"), ("held_lock", "abort")];

/// Finds what has no effect, and says at the last place that made it so what would.
pub(super) fn without_effect(layers: &[(usize, Layer)]) -> Vec<Numbered> {
    let effective = Effective::new(layers);
    let mut found = no_repair(layers, &effective);
    found.extend(two_secrets(&effective));
    found.extend(no_limit(&effective));
    found.extend(no_family(&effective));
    found.extend(no_process(&effective));
    found.extend(no_more_looks(&effective));
    found
}

/// A policy is to repair, and no repair is allowed.
fn no_repair(layers: &[(usize, Layer)], effective: &Effective) -> Vec<Numbered> {
    REPAIRS
        .iter()
        .flat_map(|(policy, least)| unrepaired(policy, least, layers, effective))
        .collect()
}

fn unrepaired(
    policy: &str,
    least: &str,
    layers: &[(usize, Layer)],
    effective: &Effective,
) -> Vec<Numbered> {
    let path = format!("policies.{policy}.repair");
    let Some(repair) = effective.said(&path).filter(|said| said.setting.text == NOTHING) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    if effective.text(&format!("policies.{policy}.mode")) == ENFORCE {
        let text = format!(
            "empty, so `mode: enforce` repairs nothing; write `repair: [{least}]`, or \
             `mode: observe`"
        );
        found.push(problem(repair, &text));
    }
    let override_mode = format!("].{policy}.mode");
    for (number, layer) in layers {
        let enforced = layer
            .settings
            .iter()
            .filter(|setting| setting.path.ends_with(&override_mode) && setting.text == ENFORCE);
        found.extend(enforced.take(PROBLEMS_MAX + 1).map(|setting| {
            let text = format!("`enforce` repairs nothing, because `{path}` is empty");
            problem(Said { number: *number, layer, setting }, &text)
        }));
    }
    found
}

/// Every limit on an agent is off.
fn no_limit(effective: &Effective) -> Option<Numbered> {
    let mode = effective.text("policies.runaway_agent.mode");
    if mode == OFF || LIMITS.iter().any(|path| effective.text(path) != OFF) {
        return None;
    }
    let last = last(LIMITS.iter().filter_map(|path| effective.said(path)))?;
    let text = format!(
        "the last limit is off, so `mode: {mode}` finds nothing; set `cpu`, `memory` or `age`, or \
         write `mode: off`"
    );
    Some(problem(last, &text))
}

/// Every family is off.
fn no_family(effective: &Effective) -> Option<Numbered> {
    let mode = effective.text("policies.orphan_process.mode");
    let modes = each(effective, "mode");
    if mode == OFF || modes.iter().any(|path| effective.text(path) != OFF) {
        return None;
    }
    let last = last(modes.iter().filter_map(|path| effective.said(path)))?;
    let text = format!(
        "the last family is off, so `mode: {mode}` of `policies.orphan_process` finds nothing; \
         write `mode: off` there"
    );
    Some(problem(last, &text))
}

/// A family of the user's own has no process. One that is known has what is known of it.
fn no_process(effective: &Effective) -> Vec<Numbered> {
    let is_known = |path: &str| {
        let mut known = keys::names(FAMILIES);
        known.any(|name| path.strip_prefix(FAMILIES) == Some(&format!(".{name}.processes")))
    };
    let lists = each(effective, "processes").into_iter().filter(|path| !is_known(path));
    let said = lists.filter_map(|path| effective.said(&path).filter(|s| s.setting.path == path));
    let empty = said.filter(|said| said.setting.text == NOTHING);
    let text = "empty, so the family has no process; write `processes: [{ exe: my-agent }]`";
    empty.take(PROBLEMS_MAX + 1).map(|said| problem(said, text)).collect()
}

/// A family is to be looked at less often than all are.
fn no_more_looks(effective: &Effective) -> Vec<Numbered> {
    let general = effective.text("confirm.looks");
    let least: u32 = general.parse().unwrap_or(0);
    let looks = each(effective, "confirm").into_iter().filter_map(|path| effective.said(&path));
    let fewer = looks.filter(|said| said.setting.text.parse().is_ok_and(|own: u32| own < least));
    let text =
        format!("fewer than `confirm: {{ looks: {general} }}`, which holds for every family");
    fewer.take(PROBLEMS_MAX + 1).map(|said| problem(said, &text)).collect()
}

/// Returns the path of one key in every family.
fn each(effective: &Effective, name: &str) -> Vec<String> {
    let families = effective.names(FAMILIES).into_iter();
    families.map(|family| format!("{FAMILIES}.{family}.{name}")).collect()
}

fn last<'a>(said: impl Iterator<Item = Said<'a>>) -> Option<Said<'a>> {
    said.max_by_key(|said| (said.number, said.setting.mark))
}

pub(super) fn problem(said: Said, text: &str) -> Numbered {
    let text = format!("{}: {text}", said.setting.path);
    (said.number, said.layer.source.problem(said.setting.mark, &text))
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_problems;

    #[test]
    fn a_policy_that_enforces_nothing_is_refused() {
        assert_problems(
            &["policies: {stale_lane: {repair: []}}"],
            &[
                "0.yaml:1:33 policies.stale_lane.repair: empty, so `mode: enforce` repairs nothing; \
               write `repair: [settle]`, or `mode: observe`",
            ],
        );
        assert_problems(&["policies: {stale_lane: {mode: observe, repair: []}}"], &[]);
        assert_problems(
            &[
                "policies: {stale_lane: {mode: observe, repair: []}}",
                "overrides: [{match: {lane: a}, stale_lane: {mode: enforce}}]",
            ],
            &["1.yaml:1:51 overrides[0].stale_lane.mode: `enforce` repairs nothing, because \
               `policies.stale_lane.repair` is empty"],
        );
        let repaired = "policies: {stale_lane: {repair: [settle]}}";
        assert_problems(&["policies: {stale_lane: {repair: []}}", repaired], &[]);
    }

    #[test]
    fn a_hung_lane_or_a_held_lock_is_not_enforced_without_a_repair() {
        for policy in ["hung_lane", "held_lock"] {
            let column = "policies: {".len() + policy.len() + 27;
            assert_problems(
                &[&format!("policies: {{{policy}: {{mode: enforce, repair: []}}}}")],
                &[&format!(
                    "0.yaml:1:{column} policies.{policy}.repair: empty, so `mode: enforce` repairs \
                     nothing; write `repair: [abort]`, or `mode: observe`"
                )],
            );
            assert_problems(&[&format!("policies: {{{policy}: {{repair: []}}}}")], &[]);
            assert_problems(&[&format!("policies: {{{policy}: {{mode: enforce}}}}")], &[]);
        }
        assert_problems(
            &[
                "policies: {hung_lane: {repair: []}}",
                "overrides: [{match: {lane: a}, hung_lane: {mode: enforce}}]",
            ],
            &["1.yaml:1:50 overrides[0].hung_lane.mode: `enforce` repairs nothing, because \
               `policies.hung_lane.repair` is empty"],
        );
    }

    #[test]
    fn an_agent_without_any_limit_is_never_a_runaway() {
        let off = "policies: {runaway_agent: {cpu: off, memory: off}}";
        let text = "the last limit is off, so `mode: observe` finds nothing; set `cpu`, `memory` \
                    or `age`, or write `mode: off`";
        assert_problems(&[off], &[&format!("0.yaml:1:46 policies.runaway_agent.memory: {text}")]);
        assert_problems(
            &["policies: {runaway_agent: {memory: off}}", "policies: {runaway_agent: {cpu: off}}"],
            &[&format!("1.yaml:1:33 policies.runaway_agent.cpu: {text}")],
        );
        assert_problems(&[off, "policies: {runaway_agent: {mode: off}}"], &[]);
        assert_problems(&[off, "policies: {runaway_agent: {age: 2d}}"], &[]);
        assert_problems(&["policies: {runaway_agent: {cpu: off}}"], &[]);
    }

    #[test]
    fn a_policy_whose_families_are_all_off_is_refused() {
        let families = "claude: {mode: off}, codex: {mode: off}, gemini: {mode: off}";
        let all = format!(
            "policies: {{orphan_process: {{families: {{{families}, opencode: {{mode: off}}}}}}}}"
        );
        assert_problems(
            &[&all],
            &["0.yaml:1:119 policies.orphan_process.families.opencode.mode: the last family is \
               off, so `mode: enforce` of `policies.orphan_process` finds nothing; write \
               `mode: off` there"],
        );
        assert_problems(&[&all, "policies: {orphan_process: {mode: off}}"], &[]);
        assert_problems(&[&all, &family("my-agent: {processes: [{exe: my-agent}]}")], &[]);
        assert_problems(&[&all.replace(", codex: {mode: off}", "")], &[]);
    }

    #[test]
    fn a_family_of_ones_own_has_a_process_in_the_end() {
        let text = "empty, so the family has no process; write `processes: [{ exe: my-agent }]`";
        let path = "policies.orphan_process.families.zed.processes";
        let empty = family("zed: {processes: []}");
        assert_problems(&[&empty], &[&format!("0.yaml:1:57 {path}: {text}")]);
        let full = family("zed: {processes: [{exe: zed}]}");
        assert_problems(&[&full, &empty], &[&format!("1.yaml:1:57 {path}: {text}")]);
        assert_problems(&[&empty, &full], &[]);
        assert_problems(&[&full, &family("zed: {mode: enforce}")], &[]);
        assert_problems(&[&family("claude: {processes: []}")], &[]);
    }

    #[test]
    fn no_family_is_looked_at_less_often_than_all() {
        let path = "policies.orphan_process.families.codex.confirm";
        let text = |looks| {
            format!("fewer than `confirm: {{ looks: {looks} }}`, which holds for every family")
        };
        assert_problems(
            &[&family("codex: {confirm: 1}")],
            &[&format!("0.yaml:1:57 {path}: {}", text(2))],
        );
        assert_problems(&[&family("codex: {confirm: 2}")], &[]);
        assert_problems(&["confirm: {looks: 1}", &family("codex: {confirm: 1}")], &[]);
        assert_problems(
            &[&family("codex: {confirm: 3}"), "confirm: {looks: 4}"],
            &[&format!("0.yaml:1:57 {path}: {}", text(4))],
        );
    }

    fn family(text: &str) -> String {
        format!("policies: {{orphan_process: {{families: {{{text}}}}}}}")
    }
}
