//! One process, read whole.

use super::super::Process;
use super::files::{Directory, Failure};
use super::stat::{STAT_BYTES_MAX, Stat};
use crate::model::ProcessId;

/// Titles and command lines of interest are far shorter; a hostile one may be megabytes.
pub(super) const CMDLINE_BYTES_MAX: usize = 64 * 1024;

/// A process, and what tells whether it changed.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) process: Process,
    pub(super) stat: Stat,
    /// The inode of its directory.
    pub(super) inode: u64,
}

/// Reads `pid` through its own directory, so that all parts are of one process.
pub(super) fn read(table: &Directory, pid: i32, buffer: &mut Vec<u8>) -> Result<Reading, Failure> {
    let directory = table.process(pid)?;
    let (inode, uid) = directory.stamp()?;
    directory.read("stat", STAT_BYTES_MAX, buffer)?;
    let stat = Stat::parse(buffer).ok_or(Failure::Unreadable)?;
    // A kernel thread has none, a zombie's is empty: neither is a reason to know nothing.
    let cmdline = match directory.read("cmdline", CMDLINE_BYTES_MAX, buffer) {
        Ok(()) => without_padding(buffer).to_vec(),
        Err(_) => Vec::new(),
    };
    let process = Process {
        id: ProcessId { pid, start_ticks: stat.start_ticks },
        parent: stat.parent,
        group: stat.group,
        session: stat.session,
        tty: stat.tty,
        uid,
        state: stat.state,
        cmdline,
        program: program(&directory),
    };
    Ok(Reading { process, stat, inode })
}

/// Reads only the stat of `pid`.
pub(super) fn read_stat(
    table: &Directory,
    pid: i32,
    buffer: &mut Vec<u8>,
) -> Result<Stat, Failure> {
    table.read_of(pid, "stat", STAT_BYTES_MAX, buffer)?;
    Stat::parse(buffer).ok_or(Failure::Unreadable)
}

/// Returns the name of the executable. A file that was replaced by an update is still called so.
fn program(directory: &Directory) -> Vec<u8> {
    let Ok(exe) = directory.link("exe") else { return Vec::new() };
    let exe = exe.strip_suffix(b" (deleted)").unwrap_or(&exe);
    exe.rsplit(|&byte| byte == b'/').next().unwrap_or_default().to_vec()
}

/// An overwritten title is padded up to the length of the arguments that it replaced.
fn without_padding(cmdline: &[u8]) -> &[u8] {
    let end = cmdline.iter().rposition(|byte| !matches!(byte, 0 | b' ')).map_or(0, |last| last + 1);
    &cmdline[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_padding_at_the_end_is_taken_off() {
        for (cmdline, want) in [
            (&b"openclaw-gateway\0\0\0  \0"[..], &b"openclaw-gateway"[..]),
            (b"node\0\0a b\0", b"node\0\0a b"),
            (b"\0 \0", b""),
            (b"", b""),
        ] {
            assert_eq!(without_padding(cmdline), want);
        }
    }
}
