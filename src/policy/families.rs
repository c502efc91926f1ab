//! The families of agents that are known without a configuration.

use crate::model::{Argument, Family, Mark, Part, Pattern};

/// Programs that run JavaScript.
const JS: [&str; 2] = ["node", "bun"];

/// Returns the families that are always there.
#[must_use]
pub fn built_in() -> Vec<Family> {
    vec![claude(), codex(), gemini(), opencode()]
}

/// `claude-agent-acp` of Zed and of agentclientprotocol, and the `claude` it starts: a native
/// program from SDK 0.3 on, before that a script that overwrites its title (measured).
fn claude() -> Family {
    let agent = |exe: &[&str], argument| Pattern {
        mark: Some(Mark {
            name: "CLAUDE_CODE_ENTRYPOINT".to_owned(),
            value: Some("sdk-ts".to_owned()),
        }),
        ..pattern(Part::Agent, exe, argument)
    };
    let patterns = [
        scripts(Part::Wrapper, &["acpx/claude-agent-acp-wrapper.mjs"]),
        scripts(
            Part::Adapter,
            &["claude-agent-acp/dist/index.js", ".bin/claude-agent-acp", "bin/claude-agent-acp"],
        ),
        vec![agent(&["claude"], None), agent(&JS, Some((0, "claude")))],
        vec![agent(&JS, Some((1, "claude-agent-sdk/cli.js")))],
    ];
    Family { name: "claude".to_owned(), patterns: patterns.concat() }
}

/// `codex-acp`, and the `codex app-server` of the gateway (not measured; #86119, #132610).
fn codex() -> Family {
    let patterns = [
        scripts(Part::Wrapper, &["acpx/codex-acp-wrapper.mjs"]),
        scripts(Part::Adapter, &[".bin/codex-acp", "codex-acp/bin/codex-acp.js"]),
        vec![pattern(Part::Adapter, &["codex-acp"], None)],
        vec![pattern(Part::Agent, &["codex"], Some((1, "app-server")))],
    ];
    Family { name: "codex".to_owned(), patterns: patterns.concat() }
}

/// `gemini --experimental-acp` (not measured).
fn gemini() -> Family {
    let scripts = [".bin/gemini", "gemini-cli/dist/index.js", "gemini-cli/bundle/gemini.js"];
    Family { name: "gemini".to_owned(), patterns: self::scripts(Part::Adapter, &scripts) }
}

/// `opencode acp` (not measured).
fn opencode() -> Family {
    let patterns = vec![pattern(Part::Adapter, &["opencode"], Some((1, "acp")))];
    Family { name: "opencode".to_owned(), patterns }
}

/// Scripts that a JavaScript program runs, at position 1 or, behind one option, 2.
fn scripts(part: Part, ends: &[&str]) -> Vec<Pattern> {
    let at = |position| ends.iter().map(move |end| pattern(part, &JS, Some((position, end))));
    at(1).chain(at(2)).collect()
}

fn pattern(part: Part, exe: &[&str], argument: Option<(usize, &str)>) -> Pattern {
    let argument = argument.map(|(position, end)| Argument { position, ends_with: end.to_owned() });
    let exe = exe.iter().map(|name| (*name).to_owned()).collect();
    Pattern { part, exe, argument, mark: None }
}
