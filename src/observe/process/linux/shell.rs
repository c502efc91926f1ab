//! Which shells run a tool for an agent.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use super::super::openclaw::{arguments, file_name};
use super::environ::ENVIRON_BYTES_MAX;
use super::files::{Directory, gone, malformed};
use super::link::link;
use super::reading::CMDLINE_BYTES_MAX;
use super::stat::{STAT_BYTES_MAX, Stat};

pub(in super::super) fn is_tool_shell(root: &Path, pid: i32) -> io::Result<bool> {
    let process = Directory::open(root)?.process(pid)?;
    let exe = link(&process, "exe")?;
    let Some(program) = exe.file_name().filter(|name| may_be_shell(name)) else { return Ok(false) };
    let mut buffer = Vec::new();
    process.read("cmdline", CMDLINE_BYTES_MAX, &mut buffer).map_err(gone)?;
    if buffer.is_empty() {
        return Err(malformed(pid, "cmdline"));
    }
    if !has_command(program, &buffer) {
        return Ok(false);
    }
    process.read("stat", STAT_BYTES_MAX, &mut buffer).map_err(gone)?;
    let stat = Stat::parse(&buffer).ok_or_else(|| malformed(pid, "stat"))?;
    if stat.session == pid {
        return Ok(true);
    }
    process.read("environ", ENVIRON_BYTES_MAX + 1, &mut buffer).map_err(gone)?;
    let is_marked = buffer.split(|&byte| byte == 0).any(|variable| variable == b"CLAUDECODE=1");
    if !is_marked && buffer.len() > ENVIRON_BYTES_MAX {
        return Err(malformed(pid, "environ"));
    }
    Ok(is_marked)
}

fn may_be_shell(program: &OsStr) -> bool {
    is_shell(program.as_bytes()) || program == "busybox"
}

fn is_shell(name: &[u8]) -> bool {
    matches!(name, b"sh" | b"ash" | b"bash" | b"dash" | b"zsh" | b"fish")
}

/// Returns true if a shell was given a command: `-c`, alone or among other letters, as the first
/// option or the second.
fn has_command(program: &OsStr, cmdline: &[u8]) -> bool {
    let mut arguments = arguments(cmdline).peekable();
    let name = arguments.next().unwrap_or_default();
    // Busybox is the shell that it was called as, by name or by its first argument.
    let is_called_shell = |name: &[u8]| is_shell(file_name(name).trim_ascii_start());
    if program == "busybox"
        && !is_called_shell(name)
        && arguments.next().is_none_or(|applet| !is_called_shell(applet))
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
    use crate::observe::process::captured::Captured;

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

    fn shell(session: i32, environ: &[u8]) -> Captured {
        let captured = Captured::new();
        let stat = format!("7 (sh) S 1 7 {session} 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 5");
        captured.link("7/exe", "/bin/bash").file("7/cmdline", b"/bin/bash\0-c\0x\0");
        captured.file("7/stat", stat.as_bytes()).file("7/environ", environ);
        captured
    }

    #[track_caller]
    fn decide(captured: &Captured) -> Option<bool> {
        is_tool_shell(captured.root(), 7).ok()
    }

    #[test]
    fn it_leads_a_session_or_is_marked() {
        assert_eq!(decide(&shell(7, b"")), Some(true));
        assert_eq!(decide(&shell(3, b"A=1\0CLAUDECODE=1\0")), Some(true));
        assert_eq!(decide(&shell(3, b"CLAUDECODE=0\0XCLAUDECODE=1\0CLAUDECODE=11\0")), Some(false));
        assert_eq!(decide(&shell(3, b"")), Some(false), "as npx starts an adapter");
    }

    #[test]
    fn what_cannot_be_read_is_not_no() {
        let mut long = vec![b'x'; ENVIRON_BYTES_MAX];
        assert_eq!(decide(&shell(3, &long)), Some(false));
        long.push(b'x');
        assert_eq!(decide(&shell(3, &long)), None);
        assert_eq!(decide(&Captured::new()), None);
        for (name, contents) in [("7/stat", &b"torn"[..]), ("7/cmdline", b"")] {
            let captured = shell(3, b"");
            captured.file(name, contents);
            assert_eq!(decide(&captured), None, "{name}");
        }
    }
}
