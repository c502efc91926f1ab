//! Whether a process shows the command that a session record says it was started with.

/// Returns true if `argv` can be what became of `command`, the `agent_command` of a record.
///
/// All words count, in order. Three things may stand between the two, each seen on 2026.4.15 to
/// 2026.7.1: an interpreter in front of a script, the lease at the end of a wrapper's arguments,
/// and a package runner, which shows a title of its own, or is left out by acpx.
pub(super) fn fits(command: &str, argv: &[&[u8]]) -> bool {
    let Some(words) = split(command) else { return false };
    let Some(shown) = shown(argv) else { return false };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    let (words, shown) = (without_lease(without_env(&words)), without_lease(&shown));
    match words {
        [] => false,
        [program, arguments @ ..] if file_name(program) == "npx" => {
            ends_with(shown, program, arguments) || fits_package(arguments, shown)
        }
        [program, arguments @ ..] => ends_with(shown, program, arguments),
    }
}

/// Splits a command as acpx does: blanks separate, quotes and backslashes keep.
fn split(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote, mut is_escaped) = (vec![], String::new(), None, false);
    for c in command.chars() {
        match (quote, c) {
            _ if is_escaped => {
                word.push(c);
                is_escaped = false;
            }
            (None | Some('"'), '\\') => is_escaped = true,
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            (None, _) if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => word.push(c),
        }
    }
    word.extend(is_escaped.then_some('\\'));
    if !word.is_empty() {
        words.push(word);
    }
    quote.is_none().then_some(words)
}

/// Returns the words that a process shows: its arguments, or those of the title it has taken.
fn shown(argv: &[&[u8]]) -> Option<Vec<String>> {
    let texts: Result<Vec<&str>, _> = argv.iter().map(|word| std::str::from_utf8(word)).collect();
    Some(match texts.ok()?.as_slice() {
        [title] => title.split_whitespace().map(str::to_owned).collect(),
        words => words.iter().map(|&word| word.to_owned()).collect(),
    })
}

/// `env NAME=value … program` becomes the program, by exec.
fn without_env<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
    match words {
        [env, rest @ ..] if file_name(env) == "env" => {
            let variables = rest.iter().take_while(|word| word.contains('=')).count();
            &rest[variables..]
        }
        _ => words,
    }
}

fn without_lease<'a>(words: &'a [&'a str]) -> &'a [&'a str] {
    match words {
        [words @ .., "--openclaw-acpx-lease-id", _, "--openclaw-gateway-instance-id", _] => words,
        _ => words,
    }
}

/// The program with its arguments, behind the interpreter of a script and one option of that.
fn ends_with(shown: &[&str], program: &str, arguments: &[&str]) -> bool {
    let Some(before) = shown.strip_suffix(arguments) else { return false };
    let word = match before {
        [word] => word,
        [interpreter, word] | [interpreter, _, word] if is_interpreter(interpreter) => word,
        _ => return false,
    };
    // A program without a path is looked up, and a script then shows where it was found.
    *word == program || (!program.contains('/') && file_name(word) == program)
}

fn is_interpreter(program: &str) -> bool {
    matches!(file_name(program), "node" | "nodejs" | "bun" | "deno" | "sh" | "bash" | "dash")
        || file_name(program).starts_with("python")
}

/// `npx -y PACKAGE ARGUMENTS…` by its title, by the bridge of acpx, or by the installed package.
fn fits_package(arguments: &[&str], shown: &[&str]) -> bool {
    let options = arguments.iter().take_while(|word| matches!(**word, "-y" | "--yes")).count();
    let [spec, rest @ ..] = &arguments[options..] else { return false };
    if spec.starts_with('-') {
        return false;
    }
    let name = spec.char_indices().skip(1).filter(|(_, c)| *c == '@').last();
    let name = name.map_or(*spec, |(at, _)| &spec[..at]);
    let bin = file_name(name);
    match shown {
        ["npm", "exec", what, more @ ..] => (what == spec || *what == bin) && more == rest,
        [_, _, "exec", "--yes", package, "--", what, more @ ..] => {
            package.strip_prefix("--package=") == Some(spec) && *what == bin && more == rest
        }
        [_, script, more @ ..] => {
            script.contains(&format!("/node_modules/{name}/")) && more == rest
        }
        _ => false,
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(command: &str, shown: &str, want: bool) {
        let argv: Vec<&[u8]> = shown.split('|').map(str::as_bytes).collect();
        assert_eq!(fits(command, &argv), want, "{command} as {shown}");
    }

    const NPX: &str = "npx -y @agentclientprotocol/claude-agent-acp@^0.25.0";

    #[test]
    fn a_command_that_was_run_as_it_stands_fits() {
        check("/usr/bin/node /opt/agent.mjs", "/usr/bin/node|/opt/agent.mjs", true);
        check("node /opt/a.mjs --acp", "node|/opt/a.mjs|--acp", true);
        check("\"/a b/node\" '/x y/z.mjs'", "/a b/node|/x y/z.mjs", true);
        check("env A=1 B=2 node /a.mjs", "node|/a.mjs", true);
        check("gemini --acp", "node|/usr/local/bin/gemini|--acp", true);
        check("/opt/gemini --acp", "node|--x|/opt/gemini|--acp", true);
    }

    #[test]
    fn what_was_measured_fits() {
        let (node, wrapper) = ("/n/bin/node", "/h/.openclaw/acpx/claude-agent-acp-wrapper.mjs");
        // 2026.5.28 and 2026.7.1.
        let lease = "--openclaw-acpx-lease-id|acad837d|--openclaw-gateway-instance-id|cec3abfb";
        let quoted = format!("\"{node}\" \"{wrapper}\"");
        check(&quoted, &format!("{node}|{wrapper}|{lease}"), true);
        // 2026.4.15 with npx, with the npm beside its Node, and with the package beside it.
        check(NPX, "npm exec @agentclientprotocol/claude-agent-acp@^0.25.0", true);
        check(NPX, "npm exec claude-agent-acp", true);
        let bridge = "exec|--yes|--package=@agentclientprotocol/claude-agent-acp@^0.25.0|--";
        check(NPX, &format!("{node}|/n/npm-cli.js|{bridge}|claude-agent-acp"), true);
        let installed = "node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js";
        check(NPX, &format!("{node}|/x/{installed}"), true);
        check(NPX, &format!("node|/usr/bin/{}", NPX.replace(' ', "|")), true);
    }

    #[test]
    fn another_command_does_not_fit() {
        check("/usr/bin/node /opt/agent.mjs", "/usr/bin/node|/opt/other.mjs", false);
        check("/usr/bin/node /opt/agent.mjs", "vim|/opt/agent.mjs", false);
        check("/usr/bin/node /opt/agent.mjs", "/usr/bin/node|/opt/agent.mjs|--more", false);
        check("/usr/bin/node /opt/agent.mjs", "bash|-c|node /opt/agent.mjs", false);
        check("/opt/gemini --acp", "node|/usr/local/bin/gemini|--acp", false);
        check("gemini --acp", "node|/usr/local/bin/gemini", false);
        check("gemini", "less|-R|/tmp/gemini", false);
        check("node a b", "a|b", false);
        check("", "", false);
        check(" ", "node", false);
        check("env A=1", "node", false);
        check("node 'a", "node|a", false);
        check("node \u{fffd}", "node|\u{fffe}", false);
        assert!(!fits("node \u{fffd}", &[b"node", b"\xff"]));
        assert!(!fits("node", &[]));
    }

    #[test]
    fn another_package_does_not_fit() {
        check(NPX, "npm exec @agentclientprotocol/claude-agent-acp@^0.26.0", false);
        check(NPX, "npm exec @agentclientprotocol/claude-agent-acp@^0.25.0 --more", false);
        check(NPX, "npm exec @upstash/context7-mcp", false);
        check(NPX, "npm install @agentclientprotocol/claude-agent-acp@^0.25.0", false);
        check(NPX, "npm exec claude-agent-acp-evil", false);
        check(NPX, "node|/x/node_modules/@agentclientprotocol/other/dist/index.js", false);
        check(NPX, "node|/x/_npx/c8a5d52d/node_modules/.bin/claude-agent-acp", false);
        check("npx -p a b", "npm exec b", false);
        check("npx -y", "npm exec", false);
        check("npx", "npm exec", false);
    }

    #[test]
    fn words_are_split_as_acpx_splits_them() {
        let words = |command: &str| split(command).unwrap_or_default().join("|");
        for (command, want) in [
            ("a  b\tc ", "a|b|c"),
            (r#"a "b c" 'd "e"'"#, r#"a|b c|d "e""#),
            (r"a\ b '\' c\", r"a b|\|c\"),
            (r#"x"y"z"#, "xyz"),
            ("\"\"", ""),
            ("'open", ""),
        ] {
            assert_eq!(words(command), want, "{command}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_command_and_no_arguments_panic(command: String, argv: Vec<Vec<u8>>) {
            let argv: Vec<&[u8]> = argv.iter().map(Vec::as_slice).collect();
            fits(&command, &argv);
            fits(&format!("npx -y {command}"), &argv);
        }
    }
}
