//! `/proc/PID/environ`.

use std::io;
use std::path::Path;

use super::files::Directory;

/// The kernel allows megabytes; ours are a few kilobytes, and agents' below 100.
pub(super) const ENVIRON_BYTES_MAX: usize = 256 * 1024;

pub(in super::super) fn environ(root: &Path, pid: i32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut text = Vec::new();
    Directory::open(root)?.read_of(pid, "environ", ENVIRON_BYTES_MAX + 1, &mut text)?;
    Ok(parse(&text, ENVIRON_BYTES_MAX))
}

/// Splits at NULs, and at the first `=`. What reaches beyond `most` bytes is cut off as a whole:
/// half a value would be a wrong one.
fn parse(text: &[u8], most: usize) -> Vec<(Vec<u8>, Vec<u8>)> {
    let whole = match text.get(..most) {
        Some(start) if text.len() > most => {
            let end = start.iter().rposition(|&byte| byte == 0).unwrap_or(0);
            &start[..end]
        }
        _ => text,
    };
    whole
        .split(|&byte| byte == 0)
        .filter_map(|variable| {
            let equals = variable.iter().position(|&byte| byte == b'=')?;
            (equals > 0).then(|| (variable[..equals].to_vec(), variable[equals + 1..].to_vec()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &[u8], most: usize, want: &[(&str, &str)]) {
        let want: Vec<_> = want
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect();
        assert_eq!(parse(text, most), want);
    }

    #[test]
    fn names_and_values_are_split_at_the_first_equals_sign() {
        check(b"A=1\0B=x=y\0C=\0", 99, &[("A", "1"), ("B", "x=y"), ("C", "")]);
        check(b"", 99, &[]);
    }

    #[test]
    fn what_is_no_variable_is_left_out() {
        check(b"title\0=x\0\0A=1", 99, &[("A", "1")]);
    }

    #[test]
    fn a_variable_beyond_the_bound_is_cut_off_whole() {
        check(b"A=1\0B=2\0", 8, &[("A", "1"), ("B", "2")]);
        check(b"A=1\0B=23", 7, &[("A", "1")]);
        check(b"A=12345", 3, &[]);
    }
}
