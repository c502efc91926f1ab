//! Arguments and environment, which the kernel tells in one piece.
//!
//! `KERN_PROCARGS2` gives the number of arguments, then all strings: arguments first. sysinfo takes
//! so many strings for arguments and the rest for the environment, but leaves out empty ones. A
//! title that was written over the arguments, and an empty argument, leave too few: then it takes
//! variables for arguments, with whatever secrets they hold. So arguments at the end that look like
//! variables count as such. What is lost are arguments at the end like those of `make A=1`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// As for Linux: what is of interest is far shorter, and a hostile one may be longer.
const CMDLINE_BYTES_MAX: usize = 64 * 1024;

/// As for Linux. The kernel allows 1 MiB for both.
const ENVIRON_BYTES_MAX: usize = 256 * 1024;

/// Arguments and environment of one process.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct Arguments {
    /// The arguments with NULs between, without padding at the end.
    pub(in super::super) cmdline: Vec<u8>,
    /// Names and values. Empty also where macOS withholds them.
    pub(in super::super) environ: Vec<(Vec<u8>, Vec<u8>)>,
    /// The file name of the executable; empty if it is not known.
    pub(in super::super) program: Vec<u8>,
}

impl Arguments {
    /// Takes what sysinfo took for arguments and for the environment.
    pub(in super::super) fn new<'a>(
        arguments: impl IntoIterator<Item = &'a [u8]>,
        environ: impl IntoIterator<Item = &'a [u8]>,
    ) -> Arguments {
        let arguments: Vec<&[u8]> = arguments.into_iter().collect();
        // The first one is a program or a title whatever it looks like.
        let own = arguments
            .iter()
            .rposition(|argument| !is_variable(argument))
            .map_or(arguments.len().min(1), |last| last + 1);
        let (own, misplaced) = arguments.split_at(own);
        let mut cmdline = own.join(&0);
        cmdline.truncate(CMDLINE_BYTES_MAX);
        let end = cmdline.iter().rposition(|byte| !matches!(byte, 0 | b' '));
        cmdline.truncate(end.map_or(0, |last| last + 1));
        let environ = misplaced.iter().copied().chain(environ);
        Arguments { cmdline, environ: variables(environ), program: Vec::new() }
    }
}

impl Arguments {
    /// With the executable of this path.
    pub(in super::super) fn of(mut self, exe: &Path) -> Arguments {
        self.program = exe.file_name().map(|name| name.as_bytes().to_vec()).unwrap_or_default();
        self
    }
}

/// Splits at the first `=`, up to the bound.
fn variables<'a>(strings: impl Iterator<Item = &'a [u8]>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut left = ENVIRON_BYTES_MAX;
    let mut found = Vec::new();
    for string in strings {
        let Some(rest) = left.checked_sub(string.len() + 1) else { break };
        left = rest;
        let equals = string.iter().position(|&byte| byte == b'=').filter(|at| *at > 0);
        found.extend(equals.map(|at| (string[..at].to_vec(), string[at + 1..].to_vec())));
    }
    found
}

/// Returns true for `NAME=value`, where the name is none of an option, a path or a text.
fn is_variable(string: &[u8]) -> bool {
    let Some(equals) = string.iter().position(|&byte| byte == b'=') else { return false };
    let name = &string[..equals];
    let is_other = |byte: &u8| matches!(byte, b'/' | b' ' | b'\t' | b'\n');
    !name.is_empty() && name[0] != b'-' && !name.iter().any(is_other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(arguments: &[&str], environ: &[&str]) -> Arguments {
        Arguments::new(
            arguments.iter().map(|string| string.as_bytes()),
            environ.iter().map(|string| string.as_bytes()),
        )
    }

    #[track_caller]
    fn check(given: (&[&str], &[&str]), cmdline: &str, environ: &[(&str, &str)]) {
        let got = arguments(given.0, given.1);
        assert_eq!(got.cmdline, cmdline.as_bytes(), "{}", got.cmdline.escape_ascii());
        let environ: Vec<_> = environ
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        assert_eq!(got.environ, environ);
    }

    #[test]
    fn what_was_not_overwritten_stays_as_it_is() {
        check(
            (&["node", "/x/openclaw.mjs", "--port=1"], &["HOME=/Users/a", "A=b=c", "E="]),
            "node\0/x/openclaw.mjs\0--port=1",
            &[("HOME", "/Users/a"), ("A", "b=c"), ("E", "")],
        );
        check((&[], &[]), "", &[]);
    }

    /// `node openclaw.mjs gateway` with its title set: three strings are taken for arguments.
    #[test]
    fn a_title_does_not_turn_variables_into_arguments() {
        check(
            (&["openclaw-gateway", "HOME=/Users/a", "TOKEN=secret"], &["Z=1"]),
            "openclaw-gateway",
            &[("HOME", "/Users/a"), ("TOKEN", "secret"), ("Z", "1")],
        );
        check((&["claude", "OPENCLAW_CLI=1"], &[]), "claude", &[("OPENCLAW_CLI", "1")]);
        check((&["openclaw-gateway   "], &[]), "openclaw-gateway", &[]);
    }

    /// `claude -p ""`: the empty argument is left out, and a variable moves up.
    #[test]
    fn an_empty_argument_does_not_turn_a_variable_into_one() {
        check((&["claude", "-p", "A=1"], &["B=2"]), "claude\0-p", &[("A", "1"), ("B", "2")]);
    }

    #[test]
    fn only_arguments_at_the_end_can_be_variables() {
        check((&["env", "A=1", "node"], &[]), "env\0A=1\0node", &[]);
        check((&["A=1", "B=2"], &[]), "A=1", &[("B", "2")]);
        for argument in ["--a=1", "-Da=1", "/a=1", "=1", "a b=1", "a/b=1", "plain"] {
            check((&["x", argument], &[]), &format!("x\0{argument}"), &[]);
        }
    }

    #[test]
    fn hostile_sizes_are_cut() {
        let long = "x".repeat(CMDLINE_BYTES_MAX + 9);
        assert_eq!(arguments(&[&long], &[]).cmdline.len(), CMDLINE_BYTES_MAX);
        let half = format!("A={}", "x".repeat(ENVIRON_BYTES_MAX / 2));
        let environ = arguments(&["x"], &["B=1", &half, &half, "C=1"]).environ;
        assert_eq!(environ.len(), 2, "what reaches beyond the bound is left out whole");
        let junk = arguments(&["x"], &["title", "=x", "A=1"]).environ;
        assert_eq!(junk, [(b"A".to_vec(), b"1".to_vec())]);
    }
}
