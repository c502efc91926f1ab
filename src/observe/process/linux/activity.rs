//! What a process has done up to now, in numbers that only grow.

use std::io;

use super::super::Activity;
use super::after_boot;
use super::files::{Directory, gone, malformed};
use super::stat::{STAT_BYTES_MAX, Stat};
use crate::model::ProcessId;

/// Seven lines of a word and a number each.
const IO_BYTES_MAX: usize = 1024;

/// Reads through the directory of `process`, which has this number, so that all is of one life.
pub(super) fn activity(process: &Directory, pid: i32) -> io::Result<Activity> {
    let mut text = Vec::new();
    process.read("stat", STAT_BYTES_MAX, &mut text).map_err(gone)?;
    let stat = Stat::parse(&text).ok_or_else(|| malformed(pid, "stat"))?;
    let id = ProcessId { pid, start_ticks: stat.start_ticks };
    let cpu = after_boot(stat.cpu_ticks);
    // Refused for other users' processes, and for those that may not be traced.
    let io = process.read("io", IO_BYTES_MAX, &mut text).ok().and_then(|()| transferred(&text));
    Ok(Activity { id, has_ended: stat.has_ended(), cpu, io })
}

/// Returns the bytes that were read and written by any means but messages on sockets, those of
/// children that were waited for included.
fn transferred(io: &[u8]) -> Option<u64> {
    let number = |key: &[u8]| -> Option<u64> {
        let line = io.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(key))?;
        std::str::from_utf8(line).ok()?.trim().parse().ok()
    };
    Some(number(b"rchar:")?.wrapping_add(number(b"wchar:")?))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::time::Duration;

    use crate::observe::process::captured::Captured;

    use super::*;

    const IO: &[u8] = b"rchar: 40\nwchar: 2\nsyscr: 9\nsyscw: 9\nread_bytes: 9\nwrite_bytes: 9\n";

    fn of(captured: &Captured) -> io::Result<Activity> {
        let table = Directory::open(captured.root()).unwrap();
        activity(&table.process(7)?, 7)
    }

    #[test]
    fn processor_time_and_what_was_read_and_written_are_told() {
        let captured = Captured::new();
        captured.process(7, 1, 100, b"x").file("7/io", IO);
        let found = of(&captured).unwrap();
        assert_eq!((found.io, found.has_ended), (Some(42), false));
        assert_eq!((found.id.start_ticks, found.cpu), (100, after_boot(3)));
        assert!(found.cpu > Duration::ZERO);
    }

    #[test]
    fn what_may_not_be_read_or_makes_no_sense_is_unknown() {
        let captured = Captured::new();
        captured.process(7, 1, 100, b"x");
        assert_eq!(of(&captured).unwrap().io, None, "no file");
        for io in [&b""[..], b"rchar: 40\n", b"rchar: 40\nwchar: -1\n", b"rchar: x\nwchar: 2\n"] {
            captured.file("7/io", io);
            assert_eq!(of(&captured).unwrap().io, None, "{}", io.escape_ascii());
        }
        captured.file("7/stat", b"torn (");
        assert_eq!(of(&captured).unwrap_err().kind(), ErrorKind::InvalidData);
        captured.without(7);
        assert_eq!(of(&captured).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
