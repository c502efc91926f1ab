//! Which shells run a tool for an agent.

use std::io;

use super::super::shell::{has_command, may_be_shell};
use super::environ::ENVIRON_BYTES_MAX;
use super::files::{Directory, gone, malformed};
use super::link::link;
use super::reading::CMDLINE_BYTES_MAX;
use super::stat::{STAT_BYTES_MAX, Stat};

/// Returns true if `process`, which has this number, is such a shell.
pub(super) fn is_tool_shell(process: &Directory, pid: i32) -> io::Result<bool> {
    let exe = link(process, "exe")?;
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

#[cfg(test)]
mod tests {
    use crate::observe::process::captured::Captured;

    use super::*;

    fn shell(session: i32, environ: Option<&[u8]>) -> Captured {
        let captured = Captured::new();
        let stat = format!("7 (sh) S 1 7 {session} 0 -1 0 0 0 0 0 1 2 0 0 20 0 1 0 5");
        captured.link("7/exe", "/bin/bash").file("7/cmdline", b"/bin/bash\0-c\0x\0");
        captured.file("7/stat", stat.as_bytes());
        if let Some(environ) = environ {
            captured.file("7/environ", environ);
        }
        captured
    }

    #[track_caller]
    fn decide(captured: &Captured) -> Option<bool> {
        let process = Directory::open(captured.root()).unwrap().process(7).ok()?;
        is_tool_shell(&process, 7).ok()
    }

    #[test]
    fn it_leads_a_session_or_is_marked() {
        assert_eq!(decide(&shell(7, Some(b""))), Some(true));
        assert_eq!(decide(&shell(3, Some(b"A=1\0CLAUDECODE=1\0"))), Some(true));
        assert_eq!(
            decide(&shell(3, Some(b"CLAUDECODE=0\0XCLAUDECODE=1\0CLAUDECODE=11\0"))),
            Some(false)
        );
        assert_eq!(decide(&shell(3, Some(b""))), Some(false), "as npx starts an adapter");
    }

    #[test]
    fn what_cannot_be_read_is_not_no() {
        let mut long = vec![b'x'; ENVIRON_BYTES_MAX];
        assert_eq!(decide(&shell(3, Some(&long))), Some(false));
        long.push(b'x');
        assert_eq!(decide(&shell(3, Some(&long))), None);
        assert_eq!(decide(&shell(3, None)), None);
        assert_eq!(decide(&shell(7, None)), Some(true), "not needed");
        assert_eq!(decide(&Captured::new()), None);
        for (name, contents) in [("7/stat", &b"torn"[..]), ("7/cmdline", b"")] {
            let captured = shell(3, Some(b""));
            captured.file(name, contents);
            assert_eq!(decide(&captured), None, "{name}");
        }
    }
}
