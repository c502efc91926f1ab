//! The shipped files, and whole files of mistakes.

use std::fs;

use proptest::prelude::*;

use super::keys::{KEYS, Kind};
use super::*;
use crate::model::{Mode, Rung};
use crate::policy::families;
use crate::policy::settings::{self, LaneRepair};

#[test]
fn the_default_file_says_what_holds_without_a_file() {
    let shipped = shipped("clawarden.yaml");
    let built_in = layer::compile(Vec::new(), None).unwrap();
    assert_eq!(shipped.config, built_in.config);
    assert_eq!(built_in.files, [] as [PathBuf; 0]);
    for (said, held) in shipped.origins.iter().zip(&built_in.origins) {
        assert_eq!((&said.key, &said.value), (&held.key, &held.value));
        assert_eq!(held.from, "built-in default");
    }
    assert_eq!(shipped.origins.len(), built_in.origins.len());
}

#[test]
fn the_default_file_spells_out_every_key() {
    let silent = |key: &str| key.starts_with("gateway.");
    for origin in shipped("clawarden.yaml").origins {
        let is_written = origin.from.starts_with("clawarden.yaml:");
        assert_eq!(is_written, !silent(&origin.key), "{origin}");
    }
    let lines = SHIPPED[0].1;
    for key in KEYS.iter().filter(|key| !matches!(key.kind, Kind::Section)) {
        assert!(lines.contains(&format!("{}:", key.name())), "{} is not shown", key.path);
    }
}

#[test]
fn the_example_in_the_default_file_works() {
    let example: String = SHIPPED[0]
        .1
        .lines()
        .skip_while(|line| !line.starts_with("#   overrides:"))
        .map_while(|line| line.strip_prefix("#   "))
        .fold(String::new(), |text, line| text + line + "\n");
    let config = compiled(&example).unwrap().config;
    let cron = config.policies.stale_lane_for(&"agent:main:cron:1".into());
    assert_eq!(cron.after, Duration::from_hours(2));
    let cron = config.policies.hung_lane_for(&"agent:main:cron:1".into());
    assert_eq!(cron.after, Duration::from_hours(2));
}

#[test]
fn the_family_in_the_default_file_works() {
    let example = SHIPPED[0].1.lines().skip_while(|line| !line.starts_with("      #   my-agent:"));
    let example = example.map_while(|line| line.strip_prefix("      #   "));
    let example: String = example.map(|line| format!("    {line}\n")).collect();
    let text = format!("policies:\n  orphan_process:\n   families:\n{example}");
    let orphan_process = compiled(&text).unwrap().config.policies.orphan_process;
    let family = orphan_process.families.last().unwrap();
    assert_eq!((family.family.name.as_str(), family.family.patterns.len()), ("my-agent", 2));
    let settings = orphan_process.family("my-agent").unwrap();
    assert_eq!((settings.mode, settings.looks), (Mode::Observe, Some(3)));
}

#[test]
fn observe_does_nothing_and_unattended_loses_nothing() {
    let observe = shipped("observe.yaml").config.policies;
    let modes = (observe.stale_lane.mode, observe.stale_lane.silence, observe.dead_lock.mode);
    assert_eq!(modes, (Mode::Observe, Mode::Observe, Mode::Observe));

    let unattended = shipped("unattended.yaml").config.policies;
    let stale_lane = unattended.stale_lane_for(&"agent:main:main".into());
    assert_eq!((stale_lane.mode, stale_lane.silence), (Mode::Enforce, Mode::Enforce));
    assert_eq!(stale_lane.repair, [LaneRepair::Settle]);
    assert_eq!(unattended.dead_lock.mode, Mode::Enforce);
}

#[test]
fn observe_asks_the_gateway_for_nothing_and_unattended_only_to_abort() {
    let runs = |name| {
        let policies = shipped(name).config.policies;
        let hung_lane = policies.hung_lane_for(&"agent:main:main".into());
        assert!(!hung_lane.tell && !policies.held_lock.tell);
        let modes = (hung_lane.mode, policies.held_lock.mode, policies.gateway_health.mode);
        (modes, hung_lane.repair, policies.held_lock.repair)
    };
    let abort = || vec![Rung::Abort];
    for name in ["clawarden.yaml", "observe.yaml"] {
        assert_eq!(runs(name), ((Mode::Observe, Mode::Observe, Mode::Observe), abort(), abort()));
    }
    let modes = (Mode::Enforce, Mode::Enforce, Mode::Observe);
    assert_eq!(runs("unattended.yaml"), (modes, abort(), abort()));
}

#[test]
fn every_repair_arrives_in_its_order() {
    let ladder = "[abort, steer, recover, reset, new]";
    let text = format!(
        "policies: {{stale_lane: {{repair: [settle, abort, recover, reset, new]}}, hung_lane: \
         {{after: 17m, repair: {ladder}, tell: true}}, held_lock: {{after: 18m, repair: [abort, \
         steer, reset, new], tell: true}}, gateway_health: {{mode: off, after: 40s, starts: 2, \
         zombies: 1}}}}"
    );
    let policies = compiled(&text).unwrap().config.policies;
    let asked = [Rung::Abort, Rung::Recover, Rung::Reset, Rung::New].map(LaneRepair::Ask);
    assert_eq!(policies.stale_lane.repair[0], LaneRepair::Settle);
    assert_eq!(policies.stale_lane.repair[1..], asked);
    assert_eq!((policies.hung_lane.repair, policies.hung_lane.tell), (Rung::ALL.to_vec(), true));
    assert_eq!(policies.hung_lane.after, Duration::from_mins(17));
    let held_lock = policies.held_lock;
    assert_eq!(held_lock.repair, [Rung::Abort, Rung::Steer, Rung::Reset, Rung::New]);
    assert_eq!((held_lock.after, held_lock.tell), (Duration::from_mins(18), true));
    let health = policies.gateway_health;
    assert_eq!((health.mode, health.after), (Mode::Off, Duration::from_secs(40)));
    assert_eq!((health.starts, health.zombies), (2, 1));
}

#[test]
fn a_run_that_compacts_and_a_lock_within_its_limit_are_left_alone() {
    let after = |policy: &str, after: &str| format!("policies: {{{policy}: {{after: {after}}}}}");
    for (policy, short, want) in [
        ("hung_lane", "1019s", "17m (got 1019s); a healthy compaction may take as long"),
        ("held_lock", "1079s", "18m (got 1079s); until then the gateway may release it by itself"),
        ("gateway_health", "39s", "40s (got 39s); a restart takes as long"),
    ] {
        let column = 22 + policy.len();
        let want = format!("0.yaml:1:{column} policies.{policy}.after: must be at least {want}");
        assert_problems(&[&after(policy, short)], &[&want]);
        let allowed = format!("allow_short: true\n{}", after(policy, "0s"));
        assert!(compiled(&allowed).is_ok(), "{policy}");
    }
    assert_problems(
        &["overrides: [{match: {lane: a}, hung_lane: {after: 5m}}]"],
        &["0.yaml:1:51 overrides[0].hung_lane.after: must be at least 17m (got 5m); a healthy \
           compaction may take as long"],
    );
}

#[test]
fn observe_ends_no_agent_and_unattended_only_what_nobody_can_reach() {
    let names = || families::built_in().into_iter().map(|family| family.name);
    let modes = |policies: &Policies| {
        let family = |name: String| policies.orphan_process.family(&name).unwrap().mode;
        let families: Vec<_> = names().map(family).collect();
        (families, policies.leaked_process.mode, policies.runaway_agent.mode)
    };
    let all = |mode| names().map(|_| mode).collect::<Vec<_>>();
    let observe = shipped("observe.yaml").config.policies;
    assert_eq!(modes(&observe), (all(Mode::Observe), Mode::Observe, Mode::Observe));
    let unattended = shipped("unattended.yaml").config.policies;
    assert_eq!(modes(&unattended), (all(Mode::Enforce), Mode::Observe, Mode::Observe));
}

#[test]
fn the_built_in_default_is_what_the_policies_are_tested_with() {
    assert_eq!(compile(&[]).unwrap().config.policies, settings::sample());
}

#[test]
fn ten_mistakes_are_ten_problems() {
    let text = "\
intervall: 30s
confirm: { looks: 0, gap: 10 }
start_grace: 1m
allow_short: yes
limits:
journal: { keep: 90 days }
policies:
  stale_lane:
    mode: enforced
    after: 20m
    after: 30m
  dead_lock: [mode, off]
";
    let want = "\
c.yaml:1:1: unknown key `intervall`, expected one of `gateway`, `interval`, `confirm`, `start_grace`, `allow_short`, `limits`, `journal`, `policies`, `overrides`; did you mean `interval`?
 1 | intervall: 30s
   | ^^^^^^^^^
c.yaml:2:19: confirm.looks: must be at least 1 (got 0); nothing can be judged unseen
 2 | confirm: { looks: 0, gap: 10 }
   |                   ^
c.yaml:2:27: confirm.gap: expected a duration with a unit, such as `90s`, `10m` or `2h`, got the number `10`
 2 | confirm: { looks: 0, gap: 10 }
   |                           ^^
c.yaml:3:14: start_grace: must be at least 5m (got 1m); until then the gateway's own restart recovery is at work
 3 | start_grace: 1m
   |              ^^
c.yaml:4:14: allow_short: expected `true` or `false`, got `yes`; did you mean `true`?
 4 | allow_short: yes
   |              ^^^
c.yaml:5:1: limits: empty; remove it, or write `limits: { actions_per_pass: 5 }`
 5 | limits:
   | ^^^^^^
c.yaml:6:18: journal.keep: expected a duration with a unit, such as `90s`, `10m` or `2h`, got the text `90 days`
 6 | journal: { keep: 90 days }
   |                  ^^^^^^^
c.yaml:9:11: policies.stale_lane.mode: unknown value `enforced`, expected one of `off`, `observe`, `enforce`; did you mean `enforce`?
 9 |     mode: enforced
   |           ^^^^^^^^
c.yaml:11:5: policies.stale_lane: duplicate key `after`, first on line 10
 11 |     after: 30m
    |     ^^^^^
c.yaml:12:14: policies.dead_lock: expected keys and values, got a list
 12 |   dead_lock: [mode, off]
    |              ^
10 problems in the configuration";
    assert_eq!(compiled(text).unwrap_err().to_string(), want);
}

#[test]
fn a_syntax_error_hides_nothing_in_other_sections() {
    let problems = compiled(
        "limits: { cooldown: 1s\npolicies:\n  dead_lock: { mode: \"off }\ninterval: 0s\nz: 1\n",
    )
    .unwrap_err();
    let lines: Vec<_> = problems.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 5], "{problems}");
}

#[test]
fn a_named_file_that_cannot_be_read_is_a_problem() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("no.yaml");
    let problems = load(Some(&path), &|_| None).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert_eq!((problem.line, problem.column, problems.iter().count()), (1, 1, 1));
    assert!(problem.text.starts_with("cannot be read: "), "{problem}");
    assert!(load(Some(home.path()), &|_| None).is_err(), "a folder is no file");
}

#[test]
fn drop_ins_lie_over_the_file() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("clawarden.yaml");
    fs::create_dir(home.path().join("clawarden.d")).unwrap();
    fs::write(&path, "interval: 10s\nstart_grace: 7m\n").unwrap();
    fs::write(home.path().join("clawarden.d/a.yaml"), "interval: 20s\n").unwrap();
    let loaded = load(Some(&path), &|_| None).unwrap();
    assert_eq!(loaded.config.interval, Duration::from_secs(20));
    assert_eq!(loaded.config.start_grace, Duration::from_mins(7));
    assert_eq!(loaded.files.len(), 2);
    assert_eq!(check(&path, &|_| None).unwrap().config.interval, Duration::from_secs(10));

    fs::write(home.path().join("clawarden.d/b.yaml"), "interval: 0s\n").unwrap();
    assert!(load(Some(&path), &|_| None).is_err(), "one bad drop-in voids it all");
}

#[test]
fn no_file_of_64_kib_takes_long() {
    let lines = |line: &str| line.repeat(65_000 / line.len());
    let numbered: String = (0..7_000).map(|n| format!("k{n}: 1\n")).collect();
    let families = |section: &str| {
        let count = 60_000 / (section.len() + 9);
        let each: String = (0..count).map(|n| format!("a{n}: {section}, ")).collect();
        format!("{FAMILIES}{each}}}}}}}")
    };
    let cases = [
        lines("["),
        lines("{"),
        lines("- "),
        lines("? "),
        lines("?\n"),
        lines("a: "),
        lines("a: 1\n"),
        lines("interval: 1\n"),
        lines("a: @\n"),
        lines("a: [\n"),
        lines("\ta: 1\n"),
        lines("\u{1b}\n"),
        lines("'"),
        lines("\""),
        lines("*a "),
        lines("&a "),
        lines("!"),
        lines("---\n"),
        lines("%a\n"),
        lines("|\n"),
        lines(" "),
        lines("{a: "),
        format!("a: [{}]", lines("a,")),
        format!("overrides: [{}]", lines("{match: {lane: a}},")),
        format!("policies: {{stale_lane: {{repair: [{}]}}}}", lines("settle,")),
        format!("policies: {{hung_lane: {{repair: [{}]}}}}", lines("new,abort,")),
        numbered,
        families("{mode: off}"),
        families("{processes: [{exe: abcd}]}"),
        families("{processes: []}"),
        format!("{FAMILIES}a: {{processes: [{}]}}}}}}}}", lines("{exe: abcd},")),
        format!("{FAMILIES}a: {{processes: [{{exe: [{}]}}]}}}}}}}}", lines("b,")),
    ];
    for text in cases {
        let begun = cpu_time();
        let name: String = text.chars().take(12).collect();
        judge(text.into_bytes());
        let took = cpu_time().saturating_sub(begun);
        assert!(took < Duration::from_secs(5), "{name:?} took {took:?}");
    }
}

/// The processor time of this thread: what else runs on the machine does not count.
fn cpu_time() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(spent).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_cause_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        judge(bytes);
    }

    #[test]
    fn no_yaml_like_text_causes_a_panic(text in "[a-c:\\- \n\t{}\\[\\],\"'#&*!|>?%@~é0-9]{0,200}") {
        judge(text.into_bytes());
    }

    #[test]
    fn no_change_of_a_good_file_causes_a_panic(
        changes in prop::collection::vec((0..6_000_usize, 0..5_usize, "[ -~\n\té]{0,4}"), 1..6),
    ) {
        let mut text: Vec<char> = FULL.chars().collect();
        for (at, cut, new) in changes {
            let at = at % (text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, new.chars());
        }
        judge(text.into_iter().collect::<String>().into_bytes());
    }
}

const FAMILIES: &str = "policies: {orphan_process: {families: {";

const FULL: &str = "\
gateway: { state_dir: ~/.openclaw }
interval: 30s
confirm: { looks: 2, gap: 10s }
allow_short: false
limits:
  cooldown: 15m
  give_up_after: 3
policies:
  stale_lane:
    mode: enforce
    after: 20m
    repair: [settle]
    silence: observe
  dead_lock: { mode: enforce, min_age: 30s }
  orphan_process:
    mode: enforce
    term_wait: 10s
    families:
      claude: { mode: enforce, min_age: 2m, term_wait: 5s, confirm: 3 }
      codex: { processes: [{ exe: codex }] }
      my-agent:
        processes:
          - { exe: [node, bun], argument: my-agent/dist/index.js, position: 2 }
          - exe: my-agent
            part: agent
            environment: MY_AGENT=\"1 2\"
  hung_lane: { mode: enforce, after: 30m, repair: [abort, steer], tell: true }
  held_lock: { after: 20m, repair: [abort] }
  leaked_process: { after: 10m }
  runaway_agent: { cpu: 90% for 15m, memory: 2GiB, age: off }
overrides:
  - match: { lane: \"agent:*:cron:*\" }
    stale_lane: { after: 2h }
  - match: { lane: agent:main:main }
    stale_lane: { mode: off }
    hung_lane: { after: 2h }
";

/// Two parsers read each file. What both accept they must understand alike.
fn judge(bytes: Vec<u8>) {
    let source = Source::new(Path::new("c.yaml"), bytes);
    let yaml = source.as_ref().map(|source| source.yaml.clone()).unwrap_or_default();
    match layer::compile(vec![source], Some("/h")) {
        Ok(loaded) => {
            let whole: serde_yaml::Value = serde_yaml::from_str(&yaml).unwrap();
            for origin in loaded.origins.iter().filter(|origin| origin.from.starts_with("c.yaml")) {
                assert_eq!(text_at(&whole, &origin.key), origin.value, "{origin}");
            }
        }
        Err(problems) => {
            let text = problems.to_string();
            assert!(problems.iter().count() > 0 && text.len() < 100_000, "{text}");
        }
    }
}

fn text_at(whole: &serde_yaml::Value, path: &str) -> String {
    let mut value = whole;
    for name in path.split(['.', '[']) {
        value = match name.strip_suffix(']') {
            Some(index) => &value[index.parse::<usize>().unwrap()],
            None => &value[name],
        };
    }
    let words = |items: &[serde_yaml::Value]| {
        items.iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(", ")
    };
    match value {
        serde_yaml::Value::Sequence(items) => format!("[{}]", words(items)),
        serde_yaml::Value::String(text) => text.clone(),
        other => serde_yaml::to_string(other).unwrap().trim_end().to_owned(),
    }
}

fn shipped(name: &str) -> Loaded {
    let (_, text) = SHIPPED.iter().find(|(known, _)| *known == name).unwrap();
    let source = Source::new(Path::new(name), text.as_bytes().to_vec());
    layer::compile(vec![source], Some("/h")).unwrap_or_else(|problems| panic!("{problems}"))
}

pub(super) fn compiled(text: &str) -> Result<Loaded, Problems> {
    let source = Source::new(Path::new("c.yaml"), text.as_bytes().to_vec());
    layer::compile(vec![source], Some("/h"))
}

/// Compiles files named `0.yaml`, `1.yaml` and so on.
pub(super) fn compile(texts: &[&str]) -> Result<Loaded, Problems> {
    let sources = texts.iter().enumerate().map(|(number, text)| {
        Source::new(Path::new(&format!("{number}.yaml")), text.as_bytes().to_vec())
    });
    layer::compile(sources.collect(), Some("/h"))
}

#[track_caller]
pub(super) fn assert_problems(texts: &[&str], want: &[&str]) {
    let problems = compile(texts).err();
    let problems = problems.iter().flatten();
    let got: Vec<_> = problems
        .map(|p| format!("{}:{}:{} {}", p.file.display(), p.line, p.column, p.text))
        .collect();
    assert_eq!(got, want);
}
