//! The command line of a process, for people.

/// Longest command line that is shown, in bytes.
const SHOWN_BYTES_MAX: usize = 4096;

/// What stands for a secret.
const HIDDEN: &str = "***";

/// Parts of names whose values are secret, in capitals.
const SECRET_PARTS: [&str; 9] = [
    "TOKEN",
    "KEY",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "CREDENTIAL",
    "AUTHORIZATION",
    "COOKIE",
];

/// Words of names, likewise, that are too short to be looked for anywhere.
const SECRET_WORDS: [&str; 2] = ["AUTH", "PASS"];

/// How names of what people wrote end, likewise: that is nobody else's business.
const TEXT_ENDS: [&str; 2] = ["PROMPT", "MESSAGE"];

/// How well-known secrets begin.
const SECRET_STARTS: [&str; 12] = [
    "sk-",
    "sk_live_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "AIza",
];

/// Returns the arguments joined by spaces, at most 4 KiB of them, with `***` for what looks like a
/// secret. What is not UTF-8 is replaced; nothing is escaped: [`super::escape`] does that where it
/// is shown.
///
/// Hidden are prompts, the values of options and variables whose name says so, also inside of a script or
/// JSON that is one argument, HTTP credentials, users and passwords in URLs, and tokens that are
/// known by their beginning. It rather hides too much.
#[must_use]
pub fn command<'a>(argv: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut out = String::new();
    let mut next = Next::Anything;
    for argument in argv {
        if !out.is_empty() {
            out.push(' ');
        }
        let argument = String::from_utf8_lossy(argument);
        next = match next {
            Next::Secret if !argument.starts_with("--") => {
                out.push_str(HIDDEN);
                Next::Anything
            }
            Next::User if argument.contains(':') => {
                out.push_str(argument.split(':').next().unwrap_or_default());
                out.push(':');
                out.push_str(HIDDEN);
                Next::Anything
            }
            _ => redact(&argument, &mut out),
        };
        if out.len() > SHOWN_BYTES_MAX {
            return cut(out);
        }
    }
    out
}

fn cut(mut out: String) -> String {
    const MARK: &str = "…";
    let mut end = SHOWN_BYTES_MAX - MARK.len();
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    out + MARK
}

/// What the argument after this one is.
#[derive(Clone, Copy)]
enum Next {
    Anything,
    Secret,
    /// `user:password`.
    User,
}

fn redact(argument: &str, out: &mut String) -> Next {
    if matches!(argument, "-u" | "--user" | "--proxy-user") {
        out.push_str(argument);
        return Next::User;
    }
    let mut rest = argument;
    while let Some(at) = rest.find(is_name) {
        out.push_str(&rest[..at]);
        let (name, after) = split(&rest[at..], |c| !is_name(c));
        rest = if let Some(after) = after.strip_prefix("://") {
            out.push_str(name);
            out.push_str("://");
            url(after, out)
        } else if is_secret(name) {
            out.push_str(HIDDEN);
            split(after, |c| !is_name(c) && !"+/=".contains(c)).1
        } else if name.eq_ignore_ascii_case("bearer") && after.starts_with(' ') {
            out.push_str(name);
            hide(after, Gap { length: after.len() - after.trim_start().len(), quote: None }, out)
        } else if !names_secret(name) {
            out.push_str(name);
            after
        } else if let Some(gap) = gap(after, name.starts_with('-')) {
            out.push_str(name);
            hide(after, gap, out)
        } else if name.starts_with('-') && after.is_empty() {
            out.push_str(name);
            return Next::Secret;
        } else {
            out.push_str(name);
            after
        };
    }
    out.push_str(rest);
    Next::Anything
}

/// Hides user and password of a URL, of which `after` follows the scheme.
fn url<'a>(after: &'a str, out: &mut String) -> &'a str {
    let (authority, _) = split(after, |c| "/?#\"'\\".contains(c) || c.is_whitespace());
    match authority.rfind('@') {
        Some(at) => {
            out.push_str(HIDDEN);
            &after[at..]
        }
        None => after,
    }
}

/// What stands between a name and its value.
#[derive(Clone, Copy)]
struct Gap {
    /// In bytes.
    length: usize,
    /// The quote that opens the value; `\` for one that is itself escaped.
    quote: Option<char>,
}

/// Returns the gap between a name and its value: `=` or `:`, in JSON with quotes around, behind an
/// option also a blank, or a comma between quotes.
fn gap(after: &str, is_option: bool) -> Option<Gap> {
    let (closing, rest) = quote(after);
    let marks = rest.trim_start();
    let rest = marks.trim_start_matches([':', '=']);
    let rest = match marks.len() - rest.len() {
        1 | 2 => rest,
        0 if is_option && closing.is_some() => rest.strip_prefix(',')?,
        0 if is_option && rest.len() < after.len() => rest,
        _ => return None,
    };
    let (quote, value) = quote(rest.trim_start());
    (!value.is_empty()).then_some(Gap { length: after.len() - value.len(), quote })
}

/// Splits a quote from the beginning.
fn quote(text: &str) -> (Option<char>, &str) {
    match text.as_bytes() {
        [b'\\', b'"', ..] => (Some('\\'), &text[2..]),
        [b'"', ..] => (Some('"'), &text[1..]),
        [b'\'', ..] => (Some('\''), &text[1..]),
        _ => (None, text),
    }
}

/// Writes the gap and hides the value behind it. Returns what follows.
fn hide<'a>(after: &'a str, gap: Gap, out: &mut String) -> &'a str {
    let (between, value) = after.split_at(gap.length);
    out.push_str(between);
    let rest = match gap.quote {
        Some('\\') => split(value, |c| "\\\"".contains(c)).1,
        Some(quote) => &value[quoted(value, quote)..],
        None => {
            let (word, rest) = split(value, ends_word);
            let more = rest.trim_start();
            if is_scheme(word) && more.len() < rest.len() { split(more, ends_word).1 } else { rest }
        }
    };
    if rest.len() < value.len() {
        out.push_str(HIDDEN);
    }
    rest
}

/// Returns the length of the text up to the quote that closes it.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if c == quote => return at,
            _ => {}
        }
    }
    text.len()
}

fn split(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

fn ends_word(c: char) -> bool {
    c.is_whitespace() || ",;&|<>\"'\\)}]".contains(c)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_-.".contains(c)
}

fn names_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_PARTS.iter().any(|part| name.contains(part))
        || TEXT_ENDS.iter().any(|end| name.ends_with(end))
        || name.split(['-', '_', '.']).any(|word| SECRET_WORDS.contains(&word))
}

fn is_secret(word: &str) -> bool {
    const BODY_MIN: usize = 8;
    let long = |rest: &str| rest.len() >= BODY_MIN;
    SECRET_STARTS.iter().any(|start| word.strip_prefix(start).is_some_and(long))
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "digest"].iter().any(|scheme| word.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `|` separates arguments.
    #[track_caller]
    fn check(argv: &str, want: &str) {
        assert_eq!(command(argv.split('|').map(str::as_bytes)), want);
    }

    #[test]
    fn what_is_no_secret_stays() {
        for argv in [
            "node /x/claude-agent-acp/dist/index.js",
            "claude --output-format stream-json --session-id=ab-1 --permission-prompt-tool=stdio",
            "npm exec @agentclientprotocol/claude-agent-acp@^0.25.0",
            "psql postgres://db.example/x?y=1 user@host",
            "bash -c echo 'a: b' > /tmp/keys.txt; basic sk-learn",
            "git commit --author=me",
        ] {
            check(argv, argv);
        }
        assert_eq!(command([]), "");
        assert_eq!(command([&b"a\xffb"[..], b""]), "a\u{fffd}b ");
    }

    #[test]
    fn the_value_of_an_option_is_hidden() {
        check("x|--token|hunter2|y", "x --token *** y");
        check("x|--api-key=hunter2|y", "x --api-key=*** y");
        check("x|--password|-hunter2", "x --password ***");
        check("x|--password|--other", "x --password --other");
        check("x|--token", "x --token");
        check("x|--token=|y", "x --token= y");
        check("curl|-u|me:hunter2|--user|me", "curl -u me:*** --user me");
        check("claude|--append-system-prompt|be nice|-p", "claude --append-system-prompt *** -p");
        check("x|--auth|hunter2|--pass|hunter2", "x --auth *** --pass ***");
    }

    #[test]
    fn the_value_of_a_variable_is_hidden() {
        check("env|ANTHROPIC_API_KEY=hunter2|A=1|node", "env ANTHROPIC_API_KEY=*** A=1 node");
        check("sh|-c|export MY_SECRET='a b'; x", "sh -c export MY_SECRET='***'; x");
        check("sh|-c|DB_PASSWORD=\"a \\\" b\" x", "sh -c DB_PASSWORD=\"***\" x");
        check("sh|-c|x --token hunter2 y", "sh -c x --token *** y");
        check("sh|-c|x --token 'a b' y", "sh -c x --token '***' y");
        check("sh|-c|A_TOKEN=a&&B_TOKEN=b", "sh -c A_TOKEN=***&&B_TOKEN=***");
    }

    #[test]
    fn credentials_of_http_are_hidden() {
        check("curl|-H|Authorization: Bearer a.b-c|x", "curl -H Authorization: *** x");
        check("curl|--header=authorization: Basic YTpi", "curl --header=authorization: ***");
        check("curl|-H|X-Api-Key: hunter2", "curl -H X-Api-Key: ***");
        check("x|Bearer a/b+c==|y", "x Bearer *** y");
        check("sh|-c|curl -H 'Cookie: a=b; c=d' u", "sh -c curl -H 'Cookie: ***; c=d' u");
        check("git|clone|https://me:hunter2@h/x", "git clone https://***@h/x");
        check("x|https://hunter2@h:1/x@y?z=https://a:b@c", "x https://***@h:1/x@y?z=https://***@c");
    }

    #[test]
    fn known_tokens_are_hidden_wherever_they_are() {
        check("x|sk-ant-api03-abc_DEF|y", "x *** y");
        check("x|--a=ghp_0123456789ab", "x --a=***");
        check("x|(github_pat_0123456789)", "x (***)");
        check("x|AKIAIOSFODNN7EXAMPLE/x+y=", "x ***");
    }

    #[test]
    fn secrets_in_json_are_hidden() {
        check(
            r#"claude|--mcp-config|{"env":{"API_KEY":"hunter2","A":"b"},"args":["--token","c"]}"#,
            r#"claude --mcp-config {"env":{"API_KEY":"***","A":"b"},"args":["--token","***"]}"#,
        );
        check(
            r#"x|"{\"password\": \"hunter2\", \"a\":1}""#,
            r#"x "{\"password\": \"***\", \"a\":1}""#,
        );
        check(r#"x|{"apiKey" : 7, "b":1}"#, r#"x {"apiKey" : ***, "b":1}"#);
    }

    #[test]
    fn a_long_command_is_cut_after_its_secrets_are_hidden() {
        let long = "é".repeat(3000);
        let shown = command([long.as_bytes(), b"--token", b"hunter2"]);
        assert!(shown.len() <= SHOWN_BYTES_MAX && shown.ends_with("é…"), "{}", shown.len());
        let fits = "x".repeat(SHOWN_BYTES_MAX);
        assert_eq!(command([fits.as_bytes()]), fits);
        let at_the_edge = format!("{} https://me:{}@h", "x".repeat(4000), "hunter2".repeat(99));
        assert!(!command([at_the_edge.as_bytes()]).contains("hunter2"));
    }

    proptest! {
        #[test]
        fn no_secret_survives(
            before in "[ a-z\"'=:,{}/@-]{0,12}",
            name in "(API_KEY|--token|apiSecret|X-PASSWORD)",
            gap in "(=|: |=\"|\": \"|':')",
            secret in "[A-Za-z0-9+/_.-]{6,20}",
        ) {
            let text = format!("{before} {name}{gap}Z{secret}");
            let shown = command([text.as_bytes()]);
            prop_assert!(!shown.contains(&secret), "{text} as {shown}");
        }

        #[test]
        fn any_bytes_are_shown_in_bounds(argv: Vec<Vec<u8>>) {
            let shown = command(argv.iter().map(Vec::as_slice));
            prop_assert!(shown.len() <= SHOWN_BYTES_MAX);
        }
    }
}
