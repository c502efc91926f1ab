//! How a configuration may describe a process: by its executable and one argument, narrowly.
//!
//! A pattern that fits more than was meant is the worst mistake this file can hold: everything
//! it fits is an agent. So what would fit any program of an interpreter is refused.

use super::problem::{Mark, is_unsafe};
use super::tree::{Entry, Node, Shape};
use super::value::{UNPRINTABLE, quoted};
use super::written::Word;
use crate::model;

/// Longest name of a file (`NAME_MAX` of Linux).
const PROGRAM_MAX: usize = 255;

/// Shortest argument. Shorter ones, such as `-c`, `run` or `.js`, say nothing.
pub(super) const ENDING_MIN: usize = 4;

/// Longest argument. Paths of packages are a few dozen characters.
const ENDING_MAX: usize = 512;

/// Longest variable with its value.
const VARIABLE_MAX: usize = 512;

/// Programs that run other programs; a version may follow.
const INTERPRETERS: &[&str] = &[
    "ash", "bash", "bun", "bunx", "busybox", "csh", "dash", "deno", "dotnet", "electron", "env",
    "fish", "gjs", "java", "julia", "ksh", "lua", "luajit", "nice", "node", "nodejs", "nohup",
    "npm", "npx", "perl", "php", "pnpm", "pwsh", "pypy", "python", "ruby", "setsid", "sh", "ssh",
    "sudo", "tclsh", "tcsh", "timeout", "tini", "ts-node", "tsx", "uv", "uvx", "wine", "xargs",
    "yarn", "zsh",
];

/// Names that files and folders of any program have.
const COMMON: &[&str] = &[
    ".bin", "__main__", "app", "bin", "build", "bundle", "cjs", "cli", "dist", "esm", "index",
    "lib", "main", "mod", "out", "run", "scripts", "server", "src", "start", "usr", "worker",
];

/// What is wrong with a pattern as a whole: the key, its place, and what to do.
pub(super) type Objection = (&'static str, Mark, String);

/// Judges the keys of one pattern together. Each has been judged by itself.
pub(super) fn objections(entries: &[Entry]) -> Vec<Objection> {
    let value = |name| entries.iter().find(|entry| entry.key == name).map(|entry| &entry.value);
    let argument = value("argument");
    let mut found = Vec::new();
    if let (Some(position), None) = (value("position"), argument) {
        let text = "of which argument? add `argument`, or remove it".to_owned();
        found.push(("position", position.mark, text));
    }
    let interpreter = value("exe").and_then(interpreter);
    let Some((exe, program)) = interpreter else { return found };
    match argument.map(|node| (node.mark, &node.shape)) {
        None => {
            let text = format!(
                "{} runs programs of every kind, and each would fit; say which by `argument: \
                 my-agent/dist/index.js`",
                quoted(program)
            );
            found.push(("exe", exe, text));
        }
        Some((mark, Shape::Text { text, .. })) if is_common(text) => {
            let text = format!(
                "{} fits programs of every kind that {} runs; begin with the folder of the \
                 package, such as `my-agent/dist/index.js`",
                quoted(text),
                quoted(program)
            );
            found.push(("argument", mark, text));
        }
        Some(_) => {}
    }
    found
}

/// Checks the name of an executable.
///
/// # Errors
///
/// Returns what is wrong with it.
pub(super) fn program(text: &str) -> Result<(), String> {
    if text.contains('/') {
        let name = text.rsplit('/').find(|name| !name.is_empty()).unwrap_or("my-agent");
        let hint = quoted(name);
        return Err(format!("must be a file name without its folder; did you mean {hint}?"));
    }
    printable(text, PROGRAM_MAX)
}

/// Checks the end of an argument.
///
/// # Errors
///
/// Returns what is wrong with it.
pub(super) fn ending(text: &str) -> Result<(), String> {
    if text.chars().count() < ENDING_MIN {
        return Err(format!(
            "must be at least {ENDING_MIN} characters long (got {}); a shorter one fits too much",
            quoted(text)
        ));
    }
    let relative = text.strip_prefix('/').unwrap_or(text);
    if relative.split('/').any(|name| matches!(name, "" | "." | "..")) {
        return Err(format!(
            "must be a path as the process shows it, such as `my-agent/dist/index.js` (got {}); \
             it is compared name by name",
            quoted(text)
        ));
    }
    printable(text, ENDING_MAX)
}

impl Word for model::Mark {
    const EXPECTED: &'static str = "a variable of the environment, such as `NAME` or `NAME=value`";

    fn read(text: &str) -> Option<model::Mark> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let is_start = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_name = name.starts_with(is_start)
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let is_plain = text.len() <= VARIABLE_MAX && !text.contains(is_unsafe);
        (is_name && is_plain).then(|| model::Mark { name: name.to_owned(), value })
    }
}

/// A `*` would be compared like any other character, which nobody means.
fn printable(text: &str, bytes_max: usize) -> Result<(), String> {
    if text.contains(is_unsafe) {
        return Err(UNPRINTABLE.to_owned());
    }
    if text.contains('*') {
        return Err(format!("has a `*` (got {}); write the name out", quoted(text)));
    }
    if text.len() > bytes_max {
        return Err(format!("must be at most {bytes_max} bytes long; no real one is longer"));
    }
    Ok(())
}

/// Returns the first interpreter among the executables, and its place.
fn interpreter(exe: &Node) -> Option<(Mark, &str)> {
    let nodes = match &exe.shape {
        Shape::List(items) => items.as_slice(),
        Shape::Text { .. } | Shape::Map(_) | Shape::Broken => std::slice::from_ref(exe),
    };
    nodes.iter().find_map(|node| match &node.shape {
        Shape::Text { text, .. } => is_interpreter(text).then_some((node.mark, text.as_str())),
        Shape::List(_) | Shape::Map(_) | Shape::Broken => None,
    })
}

fn is_interpreter(program: &str) -> bool {
    let name = program.to_ascii_lowercase();
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS.contains(&name)
}

/// Returns true for an option, and for a path of nothing but names that every program has.
fn is_common(argument: &str) -> bool {
    let is_common = |name: &str| {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        COMMON.contains(&name) || COMMON.contains(&stem) || is_interpreter(name)
    };
    argument.starts_with('-') || argument.trim_start_matches('/').split('/').all(is_common)
}

#[cfg(test)]
mod tests {
    use super::super::tests::assert_problems;
    use super::*;

    #[test]
    fn a_process_is_described_narrowly() {
        for text in [
            "exe: my-agent",
            "exe: [my-agent, my-agent-2]",
            "exe: my-agent, environment: MY_AGENT_KEY",
            "exe: my-agent, environment: \"A=b c=d\"",
            "exe: my-agent, argument: serve, position: 0",
            "exe: my-agent, argument: --acp",
            "exe: node, argument: my-agent/dist/index.js",
            "exe: [node, bun], argument: .bin/my-agent, position: 2",
            "exe: node, argument: /opt/my-agent/index.js",
            "exe: python3.12, argument: my_agent.py, position: 8, part: agent",
            "exe: node, argument: my-agent, position: 0, part: wrapper",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn an_interpreter_alone_is_no_pattern() {
        for program in ["node", "bun", "python3", "python3.12", "Node22", "sh", "bash", "env"] {
            let text = format!(
                "exe: `{program}` runs programs of every kind, and each would fit; say which by \
                 `argument: my-agent/dist/index.js`"
            );
            check(&format!("exe: {program}"), &[&format!("6 {text}")]);
            check(&format!("exe: {program}, environment: KEY"), &[&format!("6 {text}")]);
            check(&format!("exe: [zed, {program}]"), &[&format!("12 {text}")]);
        }
    }

    #[test]
    fn what_every_program_of_an_interpreter_may_have_is_no_pattern() {
        for argument in ["index.js", "dist/index.js", "/usr/bin/node", "--eval", "node"] {
            let text = format!(
                "argument: `{argument}` fits programs of every kind that `node` runs; begin with \
                 the folder of the package, such as `my-agent/dist/index.js`"
            );
            check(&format!("exe: node, argument: {argument}"), &[&format!("22 {text}")]);
        }
    }

    #[test]
    fn each_key_has_its_own_rules() {
        check(
            "exe: /usr/bin/zed",
            &["6 exe: must be a file name without its folder; did you mean `zed`?"],
        );
        check("exe: zed/", &["6 exe: must be a file name without its folder; did you mean `zed`?"]);
        check("exe: zed*", &["6 exe: has a `*` (got `zed*`); write the name out"]);
        let program = "exe: expected the file name of an executable, or a list of them";
        check("exe: 7", &[&format!("6 {program}, got the number `7`")]);
        check("exe: True", &[&format!("6 {program}, got the text `True`")]);
        check("exe: \"\"", &[&format!("6 {program}, got the text ``")]);
        check("exe: []", &[&format!("6 {program}, got an empty list")]);
        check("exe: [zed, zed]", &["12 exe[1]: `zed` is listed twice"]);
        check("exe: [[zed]]", &["7 exe[0]: expected a word"]);
        check(
            "exe: zed, argument: .js",
            &[
                "21 argument: must be at least 4 characters long (got `.js`); a shorter one fits too much",
            ],
        );
        let path = "argument: must be a path as the process shows it, such as \
                    `my-agent/dist/index.js` (got";
        for ending in ["zed/", "a//zed", "../zed", "./zed", "a/../zed"] {
            let problem = format!("21 {path} `{ending}`); it is compared name by name");
            check(&format!("exe: zed, argument: {ending}"), &[&problem]);
        }
        check(
            "exe: zed, argument: 12345",
            &[
                "21 argument: expected the end of an argument, such as `my-agent/dist/index.js`, got \
               the number `12345`",
            ],
        );
        check(
            "exe: zed, argument: serve, position: 9",
            &["38 position: must be at most 8 (got 9); so far behind, an argument says no more \
               what the process is"],
        );
        check(
            "exe: zed, position: 2",
            &["21 position: of which argument? add `argument`, or remove it"],
        );
        check(
            "exe: zed, part: adaptor",
            &["17 part: unknown value `adaptor`, expected one of `adapter`, `agent`, `wrapper`; \
               did you mean `adapter`?"],
        );
        for variable in ["1A", "A-B", "=b", "A B", "\"\""] {
            let variable_got = variable.trim_matches('"');
            check(
                &format!("exe: zed, environment: {variable}"),
                &[&format!(
                    "24 environment: expected a variable of the environment, such as `NAME` \
                    or `NAME=value`, got the text `{variable_got}`"
                )],
            );
        }
    }

    #[test]
    fn a_pattern_names_the_executable_and_nothing_unknown() {
        check("argument: my-agent/dist/index.js", &["0 `exe` is missing; write `exe: my-agent`"]);
        check(
            "exe: zed, argv: serve",
            &["11 unknown key `argv`, expected one of `exe`, `argument`, `position`, `part`, \
               `environment`"],
        );
    }

    #[test]
    fn no_name_is_longer_than_a_real_one() {
        for (check, longest) in
            [(program as fn(&str) -> Result<(), String>, PROGRAM_MAX), (ending, ENDING_MAX)]
        {
            assert_eq!(check(&"a".repeat(longest)), Ok(()));
            assert!(check(&"a".repeat(longest + 1)).is_err());
            for text in ["abc\u{1b}def", "abc\u{202e}def", "abc\ndef"] {
                assert!(check(text).is_err(), "{text:?}");
            }
        }
        assert!(model::Mark::read(&"A".repeat(VARIABLE_MAX)).is_some());
        assert!(model::Mark::read(&"A".repeat(VARIABLE_MAX + 1)).is_none());
        assert!(model::Mark::read("A=\n").is_none());
    }

    /// Problems have their column in the pattern, from 1; of the pattern itself it is 0.
    #[track_caller]
    fn check(pattern: &str, want: &[&str]) {
        let before = "policies: {orphan_process: {families: {zed: {processes: [{";
        let path = "policies.orphan_process.families.zed.processes[0]";
        let want: Vec<_> = want
            .iter()
            .map(|want| {
                let (column, text) = want.split_once(' ').unwrap();
                let column = before.len() + column.parse::<usize>().unwrap();
                let is_of_key = text.split(' ').next().unwrap().ends_with(':');
                format!("0.yaml:1:{column} {path}{}{text}", if is_of_key { "." } else { ": " })
            })
            .collect();
        let want: Vec<_> = want.iter().map(String::as_str).collect();
        assert_problems(&[&format!("{before}{pattern}}}]}}}}}}}}")], &want);
    }
}
