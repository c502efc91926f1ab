//! Who may know whom, what stays pure, and how long a file may get.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The core: total functions of their arguments.
const PURE: [&str; 4] = ["format", "model", "plan", "policy"];

/// Modules of the standard library that reach outside.
const STD_IMPURE: [&str; 6] = ["env", "fs", "net", "os", "process", "thread"];
/// Names that reach outside, or read a clock.
const IMPURE: [&str; 10] = [
    "Instant",
    "SystemTime",
    "nix",
    "notify",
    "rusqlite",
    "rustix",
    "signal_hook",
    "sysinfo",
    "tokio",
    "tracing",
];

/// Which modules each one knows beside itself.
const ARROWS: [(&str, &[&str]); 19] = [
    ("model", &[]),
    ("format", &["model"]),
    ("policy", &["model"]),
    ("plan", &["model"]),
    ("text", &[]),
    ("error", &[]),
    ("exit", &[]),
    ("clock", &["model"]),
    ("logging", &["text"]),
    ("config", &["model", "plan", "policy"]),
    ("observe", &["error", "format", "gateway", "model", "text"]),
    ("gateway", &["clock", "format", "model", "text"]),
    ("act", &["clock", "format", "gateway", "model"]),
    ("journal", &["model"]),
    ("report", &["exit", "model", "text"]),
    ("daemon", &["exit", "model", "observe", "text"]),
    (
        "pass",
        &[
            "act", "clock", "config", "error", "gateway", "journal", "model", "observe", "plan",
            "policy", "report", "text",
        ],
    ),
    (
        "cli",
        &[
            "act", "clock", "config", "daemon", "error", "exit", "gateway", "journal", "logging",
            "model", "observe", "pass", "report", "text",
        ],
    ),
    ("main", &["cli"]),
];

const LINES_MAX: usize = 400;

#[test]
fn the_core_is_pure() {
    for source in sources().iter().filter(|source| PURE.contains(&source.module.as_str())) {
        let outside: Vec<_> =
            paths(&source.code, "std").into_iter().filter(|m| STD_IMPURE.contains(m)).collect();
        assert!(outside.is_empty(), "{}: std::{outside:?}", source.path.display());
        let words = words(&source.code);
        let found: Vec<_> = IMPURE.iter().filter(|name| words.contains(*name)).collect();
        assert!(found.is_empty(), "{}: {found:?}", source.path.display());
        assert!(!flat(&source.code).contains("::now("), "{}: ::now(", source.path.display());
    }
}

#[test]
fn modules_know_only_what_lies_below_them() {
    for source in sources().iter().filter(|source| source.module != "lib") {
        let arrows = ARROWS.iter().find(|(module, _)| *module == source.module);
        let (module, allowed) = arrows.unwrap_or_else(|| panic!("{}: unlisted", source.module));
        for root in ["crate", "clawarden"] {
            for known in paths(&source.code, root) {
                assert!(
                    known == *module || allowed.contains(&known),
                    "{}: {module} must not know {known}",
                    source.path.display()
                );
            }
        }
    }
}

#[test]
fn every_arrow_is_needed() {
    let sources = sources();
    let mut idle = Vec::new();
    for (module, allowed) in ARROWS {
        let of_module = || sources.iter().filter(|source| source.module == module);
        assert!(of_module().next().is_some(), "no module {module}");
        for known in allowed {
            let needs = |source: &Source| {
                ["crate", "clawarden"].iter().any(|root| paths(&source.code, root).contains(known))
            };
            if !of_module().any(needs) {
                idle.push(format!("{module} -> {known}"));
            }
        }
    }
    assert!(idle.is_empty(), "{idle:?}");
}

#[test]
fn no_file_is_longer_than_a_person_reads_in_one_go() {
    for source in sources() {
        let lines = source.code.lines().count();
        assert!(lines <= LINES_MAX, "{}: {lines} lines", source.path.display());
    }
}

#[test]
fn lints_are_excepted_with_a_reason_and_nothing_is_unsafe_or_printed_past_the_output() {
    for source in sources() {
        let at = source.path.display();
        let words = words(&source.code);
        for word in ["unsafe", "println", "eprintln", "print", "eprint", "dbg", "todo", "transmute"]
        {
            let is_used =
                words.contains(word) && (word == "unsafe" || is_macro(&source.code, word));
            assert!(!is_used, "{at}: {word}");
        }
        let flat = flat(&source.code);
        for allow in ["#[allow(", "#![allow("] {
            assert!(!flat.contains(allow), "{at}: {allow}");
        }
        for expect in flat.split("[expect(").skip(1) {
            let end = expect.find(")]").unwrap_or(expect.len());
            assert!(expect[..end].contains("reason="), "{at}: an exception without a reason");
        }
    }
}

#[test]
fn the_reader_of_this_file_reads_rust() {
    let code = r##"
//! std::fs in a comment
use std::{collections::{BTreeMap, fs}, net::IpAddr}; /* use std::env; /* nested */ */
const A: &str = "use std::process \" still";
const B: &str = r#"std::thread "quoted" "#;
const C: (char, char, &'static str) = ('"', '\'', "x");
fn f<'a>(now: &'a str) -> std :: os :: Fd { nix() }
"##;
    let code = bare(code);
    let found = paths(&code, "std");
    assert_eq!(found, BTreeSet::from(["collections", "net", "os"]));
    let words = words(&code);
    assert!(words.contains("nix") && words.contains("now") && !words.contains("still"));
    assert!(is_macro("a! { println ! () }", "println") && !is_macro("println()", "println"));
}

/// One file of the product, without comments, text and tests.
struct Source {
    path: PathBuf,
    /// The top-level module it belongs to.
    module: String,
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    let texts: Vec<_> =
        files.into_iter().map(|path| (fs::read_to_string(&path).unwrap(), path)).collect();
    let tests: BTreeSet<PathBuf> =
        texts.iter().flat_map(|(text, path)| test_files(text, path)).collect();
    let found: Vec<_> = texts
        .into_iter()
        .filter(|(_, path)| !tests.contains(path))
        .map(|(text, path)| {
            let inside = path.strip_prefix(&root).unwrap();
            let module = inside.iter().next().unwrap().to_string_lossy();
            let module = module.trim_end_matches(".rs").to_owned();
            let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let product = product.split("#[cfg(test)]\n#[cfg(target_os = \"linux\")]\nmod tests {");
            Source { module, code: bare(product.into_iter().next().unwrap()), path }
        })
        .collect();
    assert!(found.len() > 100, "{} files", found.len());
    found
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The files of modules that are compiled for tests only.
fn test_files(text: &str, path: &Path) -> Vec<PathBuf> {
    let stem = path.file_stem().unwrap();
    let own = ["mod", "lib", "main"].iter().any(|name| stem == *name);
    let folder = if own { path.parent().unwrap().to_owned() } else { path.with_extension("") };
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            continue;
        }
        let mut named = None;
        for line in lines.by_ref() {
            if let Some(name) = line.strip_prefix("#[path = \"") {
                named = name.strip_suffix("\"]").map(|name| path.parent().unwrap().join(name));
            } else if !line.starts_with("#[") {
                let name = line.rsplit(' ').next().unwrap().strip_suffix(';');
                if let Some(name) = name.filter(|_| line.contains("mod ")) {
                    found.push(named.unwrap_or_else(|| folder.join(format!("{name}.rs"))));
                }
                break;
            }
        }
    }
    found
}

/// The code with every comment and literal blanked; lines stay.
fn bare(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal(rest, out.chars().next_back()).unwrap_or(0);
        if length > 0 {
            out.extend(rest[..length].chars().filter(|c| *c == '\n'));
            out.push(' ');
            rest = &rest[length..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// The length of the comment or literal that `rest` begins with.
fn literal(rest: &str, before: Option<char>) -> Option<usize> {
    if rest.starts_with("//") {
        return rest.find('\n').or(Some(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block(rest));
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if let Some(raw) = rest.strip_prefix('r').filter(|_| !in_word) {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = 1 + hashes + 1;
            return Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()));
        }
    }
    match rest.as_bytes()[0] {
        b'"' => Some(quoted(rest, '"')),
        // A lifetime has no second quote right after its first character.
        b'\'' if rest[1..].starts_with('\\') => Some(quoted(rest, '\'')),
        b'\'' => {
            let width = rest[1..].chars().next()?.len_utf8();
            rest[1 + width..].starts_with('\'').then_some(width + 2)
        }
        _ => None,
    }
}

fn block(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        let step = match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => 1,
            [b'*', b'/', ..] => -1,
            _ => 0,
        };
        depth += step;
        at += if step == 0 { 1 } else { 2 };
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            _ if character == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

fn words(code: &str) -> BTreeSet<&str> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_').collect()
}

fn flat(code: &str) -> String {
    code.split_whitespace().collect()
}

fn is_macro(code: &str, name: &str) -> bool {
    let flat = flat(code);
    flat.match_indices(&format!("{name}!")).any(|(at, _)| {
        !flat[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

/// What comes right after `root::`, singly or in braces.
fn paths<'a>(code: &'a str, root: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices(root) {
        let is_whole =
            !code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_');
        let after = code[at + root.len()..].trim_start().strip_prefix("::");
        let Some(after) = after.filter(|_| is_whole).map(str::trim_start) else { continue };
        match after.strip_prefix('{') {
            None => found.extend(head(after)),
            Some(group) => found.extend(heads(group)),
        }
    }
    found
}

fn head(path: &str) -> Option<&str> {
    let path = path.trim_start();
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    Some(&path[..end]).filter(|head| !head.is_empty())
}

/// The first name of each path of a `{…}` group, up to its closing brace.
fn heads(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0, 0, Vec::new());
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(head(&group[start..at]));
                start = at + 1;
                if character == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}
