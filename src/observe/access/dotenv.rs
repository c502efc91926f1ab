//! The files from which the gateway completes its environment.
//!
//! Source: `loadDotEnv` of 2026.3.24, `loadGlobalRuntimeDotEnvFiles` of 2026.4.15 and later: `.env` in
//! the state directory, then `gateway.env` in the home directory. A variable that is set stays.

use std::fs::File;
use std::io::Read;
use std::path::Path;

const BYTES_MAX: u64 = 64 << 10;

/// Returns the variables of a file; none where it is missing or is no file.
pub(super) fn read(path: &Path) -> Vec<(String, String)> {
    let is_file = std::fs::metadata(path).is_ok_and(|about| about.is_file());
    let mut text = String::new();
    let whole = is_file
        && File::open(path)
            .is_ok_and(|file| file.take(BYTES_MAX).read_to_string(&mut text).is_ok());
    if whole { parse(&text) } else { Vec::new() }
}

fn parse(text: &str) -> Vec<(String, String)> {
    text.lines().filter_map(line).collect()
}

/// `NAME=value`, also with `export`, quotes and a comment behind it. What goes over several lines
/// is no token.
fn line(line: &str) -> Option<(String, String)> {
    let line = line.trim_start();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.is_empty() || !name.bytes().all(is_name) {
        return None;
    }
    Some((name.to_owned(), unquoted(value.trim()).to_owned()))
}

fn unquoted(value: &str) -> &str {
    for quote in ['\'', '"', '`'] {
        if let Some(rest) = value.strip_prefix(quote)
            && let Some(end) = rest.find(quote)
        {
            return &rest[..end];
        }
    }
    value.split('#').next().unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_a_shell_would_set() {
        for (text, want) in [
            ("A=b", Some(("A", "b"))),
            ("  export A = b c  # comment", Some(("A", "b c"))),
            ("A='b # c' # d", Some(("A", "b # c"))),
            ("A=\"b\"", Some(("A", "b"))),
            ("A=", Some(("A", ""))),
            ("# A=b", None),
            ("A b=c", None),
            ("A", None),
        ] {
            let want: Vec<_> =
                want.map(|(a, b)| (a.to_owned(), b.to_owned())).into_iter().collect();
            assert_eq!(parse(text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_file_has_no_variables() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()), []);
        assert_eq!(read(&dir.path().join("none")), []);
        assert_eq!(read(Path::new("/dev/zero")), []);
    }
}
