//! Which command lines are those of a shell that was given a command.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use super::openclaw::{arguments, file_name};

/// Returns true if the executable is a shell, or may be one.
pub(super) fn may_be_shell(program: &OsStr) -> bool {
    is_shell(program.as_bytes()) || program == "busybox"
}

fn is_shell(name: &[u8]) -> bool {
    matches!(name, b"sh" | b"ash" | b"bash" | b"dash" | b"zsh" | b"fish")
}

/// Returns true if a shell was given a command: `-c`, alone or among other letters, as the first
/// option or the second.
pub(super) fn has_command(program: &OsStr, cmdline: &[u8]) -> bool {
    let mut arguments = arguments(cmdline);
    let name = arguments.next().unwrap_or_default();
    // Busybox is the shell that it was called as, by name or by its first argument.
    if program == "busybox" && !is_shell(file_name(name)) && !arguments.next().is_some_and(is_shell)
    {
        return false;
    }
    arguments.take(2).take_while(|option| option.starts_with(b"-")).any(is_command_option)
}

fn is_command_option(option: &[u8]) -> bool {
    let letters = &option[1..];
    letters.contains(&b'c') && letters.iter().all(u8::is_ascii_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(program: &str, cmdline: &[u8], want: bool) {
        let name = OsStr::new(program);
        let found = may_be_shell(name) && has_command(name, cmdline);
        assert_eq!(found, want, "{}", cmdline.escape_ascii());
    }

    #[test]
    fn a_shell_with_a_command_is_told_by_exe_and_position() {
        check("bash", b"/bin/bash\0-c\0source x && eval 'y'\0", true);
        check("bash", b"/bin/bash\0-c\0-l\0x\0", true);
        check("zsh", b"/bin/zsh\0-l\0-c\0x\0", true);
        check("bash", b"bash\0-lc\0x\0", true);
        check("fish", b"-fish\0-c\0x", true);
        check("busybox", b"sh\0-c\0x", true);
        check("busybox", b"/bin/busybox\0ash\0-c\0x", true);
        check("sh", b"\xff\0-c\0\x1b[2J", true);
    }

    #[test]
    fn anything_else_is_none() {
        check("bash", b"-bash\0", false);
        check("bash", b"bash\0./setup\0-c\0", false);
        check("bash", b"bash\0--norc\0x\0-c\0", false);
        check("bash", b"bash\0--rcfile\0", false);
        check("bash", b"bash\0-l\0-i\0-c\0", false);
        check("bash", b"bash\0-\0-5c\0", false);
        check("busybox", b"busybox\0wc\0-c\0x", false);
        check("busybox", b"busybox", false);
        check("node", b"sh\0-c\0x", false);
        check("mybash", b"bash\0-c\0x", false);
        check("bash", b"", false);
    }
}
