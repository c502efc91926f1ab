//! The configuration commands on what the user names: families of agents, and their limits.

use super::stage::Stage;

const OWN: &str = "\
policies:
  orphan_process:
    families:
      my-agent:
        processes:
          - { exe: [node, bun], argument: my-agent/dist/index.js }
  runaway_agent: { cpu: off, age: 2d }
";

#[test]
fn a_family_of_ones_own_is_shown_with_its_place() {
    let stage = Stage::healthy();
    stage.configure(OWN);
    stage.run(&["check-config"]).exits(0);
    let shown = stage.run(&["config", "show", "--origin"]).exits(0).stdout;
    let families = "policies.orphan_process.families";
    for (line, from) in [
        (format!("{families}.claude.mode: enforce"), "built-in default"),
        (format!("{families}.opencode.mode: observe"), "built-in default"),
        (format!("{families}.my-agent.mode: observe"), "built-in default"),
        (format!("{families}.my-agent.processes[0].exe: [node, bun]"), "clawarden.yaml:6"),
        ("policies.runaway_agent.cpu: off".to_owned(), "clawarden.yaml:7"),
        ("policies.runaway_agent.memory: 2GiB".to_owned(), "built-in default"),
        ("policies.leaked_process.after: 10m".to_owned(), "built-in default"),
    ] {
        let found =
            shown.lines().any(|l| l.starts_with(&format!("{line}  # ")) && l.ends_with(from));
        assert!(found, "{line} from {from} in:\n{shown}");
    }
}

#[test]
fn a_family_may_be_spread_over_drop_ins() {
    let stage = Stage::healthy();
    stage.configure(OWN);
    let drop_in = |name: &str| stage.path(&format!("home/.config/clawarden/clawarden.d/{name}"));
    let enforce = "policies: {orphan_process: {families: {my-agent: {mode: enforce}}}}\n";
    stage.write(&drop_in("a.yaml"), enforce, 0);
    let shown = stage.run(&["config", "show"]).exits(0).stdout;
    assert!(shown.contains("families.my-agent.mode: enforce\n"), "{shown}");
    assert!(shown.contains("families.my-agent.processes[0].argument: my-agent"), "{shown}");

    stage.write(&drop_in("b.yaml"), &enforce.replace("my-agent", "my-agnt"), 0);
    let refused = stage.run(&["check-config"]).exits(78).stdout;
    assert!(refused.contains("b.yaml:1:40: "), "{refused}");
    assert!(refused.contains("families.my-agnt: `processes` is missing"), "{refused}");
}

#[test]
fn every_shipped_file_is_good_where_it_is_written() {
    for like in ["default", "observe", "unattended"] {
        let stage = Stage::healthy();
        stage.run(&["config", "init", "--like", like]).exits(0);
        stage.run(&["check-config"]).exits(0);
        let shown = stage.run(&["config", "show", "--origin"]).exits(0).stdout;
        let mode = shown.lines().find(|line| line.starts_with("policies.orphan_process.mode: "));
        assert!(mode.is_some_and(|line| line.contains("clawarden.yaml:")), "{like}: {shown}");
    }
}

#[test]
fn an_editor_is_told_what_a_family_of_any_name_may_say() {
    let stage = Stage::healthy();
    let schema = stage.run(&["config", "schema"]).exits(0).json();
    let policies = &schema["properties"]["policies"]["properties"];
    let families = &policies["orphan_process"]["properties"]["families"];
    let family = &families["additionalProperties"]["properties"];
    assert_eq!(family["mode"]["enum"][2], "enforce");
    assert_eq!(family["processes"]["items"]["required"][0], "exe");
    assert_eq!(families["additionalProperties"]["additionalProperties"], false);
    assert_eq!(policies["runaway_agent"]["properties"]["memory"]["anyOf"][1]["const"], "off");
}
