//! What the kernel says about a process or thread, as far as signalling it needs that.

use std::fs;
use std::io;
use std::path::Path;

use rustix::io::Errno;

/// One look at `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stat {
    /// The state letter: `T` stopped, `t` held by a tracer, `Z` ended and not reaped.
    pub state: char,
    /// Its parent's pid; zero if that is outside of our pid namespace.
    pub parent: i32,
    /// Clock ticks between boot and its start.
    pub start_ticks: u64,
}

impl Stat {
    /// Looks at a process; `None` if nothing is listed under the pid.
    pub(super) fn of(pid: i32) -> io::Result<Option<Stat>> {
        Stat::read(&Path::new("/proc").join(pid.to_string()))
    }

    /// Looks at every thread of a process that is listed at that moment.
    pub(super) fn of_threads(pid: i32) -> io::Result<Vec<Stat>> {
        let mut threads = Vec::new();
        let Some(entries) = present(fs::read_dir(format!("/proc/{pid}/task")))? else {
            return Ok(threads);
        };
        for entry in entries {
            // The listing, too, ends in the middle with the process.
            let Some(entry) = present(entry)? else { break };
            threads.extend(Stat::read(&entry.path())?);
        }
        Ok(threads)
    }

    fn read(folder: &Path) -> io::Result<Option<Stat>> {
        let Some(line) = present(fs::read(folder.join("stat")))? else { return Ok(None) };
        let stat = Stat::parse(&line).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Some(stat))
    }

    /// Parses one line. The name in brackets may hold anything, so the line is split at the last
    /// bracket.
    fn parse(line: &[u8]) -> Option<Stat> {
        let bracket = line.iter().rposition(|&byte| byte == b')')?;
        let text = std::str::from_utf8(&line[bracket + 1..]).ok()?;
        // From the third field of proc(5) on.
        let mut fields = text.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start_ticks = fields.nth(17)?.parse().ok()?;
        Some(Stat { state, parent, start_ticks })
    }
}

/// A process that has ended is a fact, not an error.
fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_shifts_no_field() {
        for name in ["sleep", "a b", ") Z 9 ", "x) T 1 (y\n"] {
            let line = format!("7 ({name}) S 1 7 8 0 -1 4 1 0 0 0 1 2 0 0 20 0 3 0 4242 1 1");
            let want = Stat { state: 'S', parent: 1, start_ticks: 4242 };
            assert_eq!(Stat::parse(line.as_bytes()), Some(want), "{name}");
        }
        for line in ["", ")", "7 (a) S 1 7", "7 (a) S x 7 8 0 -1 4 1 0 0 0 1 2 0 0 20 0 3 0 4242"] {
            assert_eq!(Stat::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn looks_at_ourselves_and_at_nobody() {
        let own = i32::try_from(std::process::id()).unwrap();
        let stat = Stat::of(own).unwrap().unwrap();
        assert!(stat.parent > 0 && stat.start_ticks > 0);
        let threads = Stat::of_threads(own).unwrap();
        assert!(threads.iter().any(|thread| thread.start_ticks == stat.start_ticks));
        assert_eq!(Stat::of(i32::MAX).unwrap(), None);
        assert!(Stat::of_threads(i32::MAX).unwrap().is_empty());
    }
}
