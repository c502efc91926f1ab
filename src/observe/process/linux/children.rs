//! `/proc/PID/task/TID/children`.

use std::io;
use std::path::Path;

use rustix::io::Errno;

use super::files::{Directory, gone, malformed};
use super::stat::{STAT_BYTES_MAX, Stat};
use crate::model::ProcessId;

/// Room for 100,000 children.
const CHILDREN_BYTES_MAX: usize = 1024 * 1024;

pub(in super::super) fn direct_children(root: &Path, id: ProcessId) -> io::Result<Vec<i32>> {
    let process = Directory::open(root)?.process(id.pid).map_err(gone)?;
    let mut buffer = Vec::new();
    check(&process, id, &mut buffer)?;
    let tasks = process.directory("task").map_err(gone)?;
    let mut threads = Vec::new();
    tasks.list(&mut threads, &mut buffer)?;
    let mut children = Vec::new();
    let mut files = 0;
    for thread in threads {
        match tasks.read_of(thread.pid, "children", CHILDREN_BYTES_MAX + 1, &mut buffer) {
            Ok(()) => {
                files += 1;
                let text = Some(&buffer).filter(|text| text.len() <= CHILDREN_BYTES_MAX);
                let found = text.and_then(|text| parse(text));
                children.append(&mut found.ok_or_else(|| malformed(id.pid, "children"))?);
            }
            // The thread has ended, or this kernel has no such file.
            Err(Errno::NOENT | Errno::SRCH) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    if files == 0 {
        check(&process, id, &mut buffer)?;
        return Err(io::ErrorKind::Unsupported.into());
    }
    children.sort_unstable();
    Ok(children)
}

/// Makes sure that the process is the one that is meant.
fn check(process: &Directory, id: ProcessId, buffer: &mut Vec<u8>) -> io::Result<()> {
    process.read("stat", STAT_BYTES_MAX, buffer).map_err(gone)?;
    let stat = Stat::parse(buffer).ok_or_else(|| malformed(id.pid, "stat"))?;
    if stat.start_ticks == id.start_ticks { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
}

fn parse(text: &[u8]) -> Option<Vec<i32>> {
    std::str::from_utf8(text).ok()?.split_ascii_whitespace().map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use crate::observe::process::captured::Captured;

    use super::*;

    #[track_caller]
    fn of(captured: &Captured, start_ticks: u64) -> Result<Vec<i32>, io::ErrorKind> {
        direct_children(captured.root(), ProcessId { pid: 7, start_ticks })
            .map_err(|error| error.kind())
    }

    #[test]
    fn the_children_of_all_threads_are_found() {
        let captured = Captured::new();
        captured.process(7, 1, 100, b"x");
        captured.file("7/task/7/children", b"12 9 ").file("7/task/8/children", b"");
        captured.file("7/task/9/children", b"10 ").file("7/task/11/comm", b"");
        assert_eq!(of(&captured, 100), Ok(vec![9, 10, 12]));
    }

    #[test]
    fn another_life_of_the_number_is_gone() {
        let captured = Captured::new();
        assert_eq!(of(&captured, 100), Err(io::ErrorKind::NotFound));
        captured.process(7, 1, 100, b"x").file("7/task/7/children", b"9 ");
        assert_eq!(of(&captured, 99), Err(io::ErrorKind::NotFound));
    }

    #[test]
    fn a_kernel_without_the_file_and_nonsense_are_errors() {
        let captured = Captured::new();
        captured.process(7, 1, 100, b"x").file("7/task/7/comm", b"");
        assert_eq!(of(&captured, 100), Err(io::ErrorKind::Unsupported));
        for text in [&b"9 x"[..], b"99999999999", b"\xff", &vec![b' '; CHILDREN_BYTES_MAX + 1]] {
            captured.file("7/task/7/children", text);
            assert_eq!(of(&captured, 100), Err(io::ErrorKind::InvalidData));
        }
    }
}
