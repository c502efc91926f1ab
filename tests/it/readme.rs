//! The README stays true: every code, command, flag and file it names exists, and none is missing.

use std::fs;
use std::path::Path;

use clawarden::model::{ActReason, HoldReason, Policy};

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn the_table_of_codes_is_the_list_of_codes() {
    let readme = readme();
    let section = readme.split("## Why something is left alone").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let mut documented: Vec<_> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(str::to_owned)
        .collect();
    let mut codes: Vec<_> =
        [ActReason::CODES, HoldReason::CODES].concat().into_iter().map(str::to_owned).collect();
    documented.sort();
    codes.sort();
    assert_eq!(documented, codes);
}

#[test]
fn every_policy_has_its_section() {
    for policy in Policy::ALL {
        assert!(readme().contains(&format!("\n### {}\n", policy.name())), "{policy}");
    }
}

#[test]
fn every_command_and_flag_exists_and_every_command_is_named() {
    let readme = readme();
    let cli = clawarden::cli::command();
    let mut flags: Vec<String> = long_flags(&cli);
    for command in cli.get_subcommands() {
        flags.extend(long_flags(command));
        flags.extend(command.get_subcommands().flat_map(long_flags));
        if command.get_name() != "help" {
            assert!(readme.contains(command.get_name()), "{} is not named", command.get_name());
        }
    }
    // Of cargo, systemctl and openclaw.
    let foreign = [
        "--release",
        "--locked",
        "--now",
        "--user",
        "--path",
        "--open",
        "--local",
        "--test",
        "--nocapture",
    ];
    flags.extend(foreign.map(str::to_owned));
    for word in readme.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
        if word.starts_with("--") && word.chars().any(|c| c != '-') {
            assert!(flags.iter().any(|flag| flag == word), "{word} does not exist");
        }
    }
}

fn long_flags(command: &clap::Command) -> Vec<String> {
    command
        .get_arguments()
        .filter_map(|argument| argument.get_long())
        .map(|long| format!("--{long}"))
        .collect()
}

#[test]
fn every_file_it_links_or_copies_exists() {
    let readme = readme();
    for word in readme.split(|c: char| c.is_whitespace() || "()`[]".contains(c)) {
        let is_ours = ["config/", "packaging/"].iter().any(|folder| word.starts_with(folder));
        assert!(!is_ours || root().join(word).exists(), "{word}");
    }
}

#[test]
fn every_yaml_it_shows_is_a_configuration() {
    let readme = readme();
    let shown = readme.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shown.yaml");
    for text in shown {
        fs::write(&file, text).unwrap();
        let checked = clawarden::config::check(&file, &|_| None);
        assert!(checked.is_ok(), "{text}{}", checked.unwrap_err());
    }
}
