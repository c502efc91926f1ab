//! `/proc/PID/cgroup`.

use std::io;

use super::files::{Directory, gone, malformed};

/// A line per hierarchy, of which v1 has a dozen, with a path of at most 4 KiB each.
const CGROUP_BYTES_MAX: usize = 64 * 1024;

/// Returns the control group of `process`, which has this number.
pub(super) fn control_group(process: &Directory, pid: i32) -> io::Result<String> {
    let mut text = Vec::new();
    process.read("cgroup", CGROUP_BYTES_MAX, &mut text).map_err(gone)?;
    parse(&text).ok_or_else(|| malformed(pid, "cgroup"))
}

/// Lines are `ID:CONTROLLERS:PATH`; v2 is the one without an id and without controllers.
fn parse(text: &[u8]) -> Option<String> {
    let path_of =
        |start: &[u8]| text.split(|&byte| byte == b'\n').find_map(|l| l.strip_prefix(start));
    let of_systemd = || {
        text.split(|&byte| byte == b'\n').find_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            line[colon..].strip_prefix(b":name=systemd:")
        })
    };
    let path = path_of(b"0::").or_else(of_systemd)?;
    let path = std::str::from_utf8(path).ok()?;
    path.starts_with('/').then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<&str>) {
        assert_eq!(parse(text.as_bytes()).as_deref(), want);
    }

    #[test]
    fn the_unified_hierarchy_comes_before_that_of_systemd() {
        check("0::/user.slice/a.service\n", Some("/user.slice/a.service"));
        check("1:name=systemd:/old\n0::/new\n", Some("/new"));
        check(
            "12:pids:/x\n1:name=systemd:/system.slice/a:b.service\n",
            Some("/system.slice/a:b.service"),
        );
    }

    #[test]
    fn other_hierarchies_and_malformed_lines_are_none() {
        for text in ["", "12:pids:/x\n", "0::\n", "0::x\n", "1:name=systemd\n", "10::/x\n"] {
            check(text, None);
        }
        assert_eq!(parse(b"0::/\xff\n"), None);
    }
}
