//! Captured process tables, which are Linux's whatever system reads them: what `--proc-root` and
//! the demonstration need. The rest of a captured process is told on Linux only.

use std::ffi::OsString;
use std::fs::{self, File, read_link};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::super::Process;
use super::arguments::Arguments;
use super::look::Look;
use crate::model::ProcessId;

/// Start ticks per second of a captured table: that of nearly every Linux.
pub(super) const TICKS: u64 = 100;

/// As in the reader of a live Linux.
const STAT_BYTES_MAX: u64 = 4096;
const CMDLINE_BYTES_MAX: u64 = 64 * 1024;
const ENVIRON_BYTES_MAX: u64 = 256 * 1024;
const STATUS_BYTES_MAX: u64 = 1024 * 1024;

/// Reads all living processes, and the pids of those that cannot be read.
pub(in super::super) fn read(root: &Path) -> io::Result<(Vec<Process>, Vec<i32>)> {
    let (mut processes, mut unreadable) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(root)? {
        let Some(pid) = entry?.file_name().to_str().and_then(number) else { continue };
        match process(root, pid) {
            Ok(Some(process)) => processes.push(process),
            Ok(None) => {}
            // Captured when it had just ended.
            Err(error) if is_missing(&error) => {}
            Err(_) => unreadable.push(pid),
        }
    }
    unreadable.sort_unstable();
    Ok((processes, unreadable))
}

/// Looks at one pid. It is absent only if its directory is.
pub(in super::super) fn look(root: &Path, pid: i32) -> Look {
    if pid < 2 || !root.is_dir() {
        return Look::Hidden;
    }
    match fs::symlink_metadata(root.join(pid.to_string())) {
        Err(error) if is_missing(&error) => return Look::Absent,
        Err(_) => return Look::Hidden,
        Ok(_) => {}
    }
    match process(root, pid) {
        Ok(Some(process)) => Look::Present { id: process.id, cmdline: process.cmdline },
        Ok(None) => Look::Absent,
        Err(_) => Look::Hidden,
    }
}

/// Reads the environment. A variable that reaches beyond the bound is left out whole.
pub(in super::super) fn environ(root: &Path, pid: i32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut text = file(root, pid, "environ", ENVIRON_BYTES_MAX + 1)?;
    if text.len() as u64 > ENVIRON_BYTES_MAX {
        let end = text.iter().rposition(|&byte| byte == 0).unwrap_or(0);
        text.truncate(end);
    }
    let variable = |variable: &[u8]| {
        let equals = variable.iter().position(|&byte| byte == b'=').filter(|at| *at > 0)?;
        Some((variable[..equals].to_vec(), variable[equals + 1..].to_vec()))
    };
    Ok(text.split(|&byte| byte == 0).filter_map(variable).collect())
}

/// Returns where a symlink in the directory of a process leads, or led.
pub(in super::super) fn link(root: &Path, pid: i32, name: &str) -> io::Result<PathBuf> {
    let mut path = read_link(root.join(pid.to_string()).join(name))?.into_os_string().into_vec();
    if let Some(rest) = path.strip_suffix(b" (deleted)") {
        path.truncate(rest.len());
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

/// Returns true if both are in one pid namespace. Links that were not captured are those of one
/// view.
pub(in super::super) fn shares_pid_namespace(root: &Path, pid: i32) -> bool {
    let theirs = read_link(root.join(format!("{pid}/ns/pid")));
    let ours = read_link(root.join("self/ns/pid"));
    let numbers = numbers(root, pid);
    match (theirs, ours) {
        (Ok(theirs), Ok(ours)) => {
            theirs == ours && matches!(numbers, Ok(Some(ref n)) if n.len() == 1)
        }
        (Err(theirs), Err(ours)) if is_missing(&theirs) && is_missing(&ours) => {
            root.join(pid.to_string()).is_dir()
                && match numbers {
                    Ok(numbers) => numbers.is_some_and(|numbers| numbers.len() == 1),
                    Err(error) => is_missing(&error),
                }
        }
        _ => false,
    }
}

/// Returns true if some process of a nested pid namespace is `pid` there, or may be.
pub(in super::super) fn has_inner_pid<'a>(
    root: &Path,
    pid: i32,
    mut processes: impl Iterator<Item = &'a Process>,
) -> bool {
    processes.any(|process| match numbers(root, process.id.pid) {
        Ok(numbers) => numbers.is_some_and(|n| n.len() > 1 && n.last() == Some(&pid)),
        Err(error) => !is_missing(&error),
    })
}

/// The numbers of a process in its pid namespaces, from that of the table down.
fn numbers(root: &Path, pid: i32) -> io::Result<Option<Vec<i32>>> {
    let status = file(root, pid, "status", STATUS_BYTES_MAX)?;
    let mut lines = status.split(|&byte| byte == b'\n');
    let line = lines.find_map(|line| line.strip_prefix(b"NSpid:"));
    let text = line.and_then(|line| std::str::from_utf8(line).ok());
    Ok(text.map(|text| text.split_ascii_whitespace().filter_map(|n| n.parse().ok()).collect()))
}

/// Returns `None` for one that has ended.
fn process(root: &Path, pid: i32) -> io::Result<Option<Process>> {
    let uid = fs::metadata(root.join(pid.to_string()))?.uid();
    let stat = file(root, pid, "stat", STAT_BYTES_MAX)?;
    let mut cmdline = file(root, pid, "cmdline", CMDLINE_BYTES_MAX).unwrap_or_default();
    let end = cmdline.iter().rposition(|byte| !matches!(byte, 0 | b' '));
    cmdline.truncate(end.map_or(0, |last| last + 1));
    let program = Arguments::default().of(&link(root, pid, "exe").unwrap_or_default()).program;
    parse(pid, uid, &stat, (cmdline, program)).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Reads `PID (NAME) STATE PARENT …`. The name may itself hold brackets and spaces.
fn parse(
    pid: i32,
    uid: u32,
    stat: &[u8],
    (cmdline, program): (Vec<u8>, Vec<u8>),
) -> Option<Option<Process>> {
    let bracket = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&stat[bracket + 1..]).ok()?;
    // The first one is field 3 of proc(5).
    let fields: Vec<&str> = rest.split_ascii_whitespace().take(20).collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<i32>().ok();
    let state = fields.first()?.chars().next()?;
    let threads: i64 = fields.get(17)?.parse().ok()?;
    let process = Process {
        id: ProcessId { pid, start_ticks: fields.get(19)?.parse().ok()? },
        parent: number(4)?,
        group: number(5)?,
        session: number(6)?,
        tty: number(7)?,
        uid,
        state,
        cmdline,
        program,
    };
    let has_ended = matches!(state, 'X' | 'x') || (state == 'Z' && threads <= 1);
    Some((!has_ended).then_some(process))
}

fn file(root: &Path, pid: i32, name: &str, most: u64) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    let path = root.join(pid.to_string()).join(name);
    File::open(path)?.take(most).read_to_end(&mut contents)?;
    Ok(contents)
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn number(name: &str) -> Option<i32> {
    let is_plain = !name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| name.parse().ok())?
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use crate::model::Sighting;
    use crate::observe::process::captured::Captured;

    use super::*;

    fn status(pids: &str) -> Vec<u8> {
        format!("Name:\tx\nNSpid:\t{pids}\n").into_bytes()
    }

    /// What the reader of Linux says of the same table.
    #[track_caller]
    fn check(captured: &Captured) {
        let (root, table) = (captured.root(), captured.table());
        let (mut processes, unreadable) = read(root).unwrap();
        processes.sort_by_key(|process| process.id.pid);
        assert_eq!(processes.iter().collect::<Vec<_>>(), table.iter().collect::<Vec<_>>());
        assert_eq!(unreadable, table.unreadable());
        for pid in [-1, 0, 1, 4, 5, 6, 7, 8, 9, 99] {
            let ours = match look(root, pid) {
                Look::Absent => Sighting::Absent,
                Look::Hidden => Sighting::Hidden,
                Look::Present { id, cmdline } => Sighting::Present {
                    id,
                    started_at: table.started_at(id),
                    is_openclaw: cmdline == b"openclaw-gateway",
                },
            };
            assert_eq!(ours, table.sight(pid), "{pid}");
            assert_eq!(shares_pid_namespace(root, pid), table.shares_pid_namespace(pid), "{pid}");
            assert_eq!(environ(root, pid).ok(), table.environ(pid).ok(), "{pid}");
            let inner = has_inner_pid(root, pid, table.iter());
            assert_eq!(inner, table.has_inner_pid(pid), "{pid}");
            assert_eq!(link(root, pid, "exe").ok(), table.exe(pid).ok(), "{pid}");
        }
    }

    #[test]
    fn every_system_reads_a_captured_table_alike() {
        let captured = Captured::new();
        check(&captured);
        captured.process(4, 1, 100, b"openclaw-gateway\0  \0").process(5, 4, 1, b"");
        captured.process(6, 1, 1, b"a\0b\0").process(8, 1, u64::MAX, b"x");
        captured.state(5, 'Z', 1, 1).file("6/stat", b"torn (").file("7/cmdline", b"x");
        captured.file("12x/stat", b"").file("007/stat", b"").file("self/stat", b"");
        check(&captured);
        captured.file("4/environ", b"A=1\0B=x=y\0=z\0junk\0C=\0");
        captured.file("4/status", &status("4")).file("8/status", &status("8 9"));
        check(&captured);
        let long = [&b"A=1\0B="[..], &vec![b'x'; 300 * 1024]].concat();
        captured.file("4/environ", &long);
        captured.link("self/ns/pid", "pid:[1]").link("4/ns/pid", "pid:[1]");
        captured.link("8/ns/pid", "pid:[1]");
        captured.link("6/ns/pid", "pid:[2]").file("6/status", &status("6"));
        check(&captured);
        captured.link("4/exe", "/usr/bin/node (deleted)").link("8/exe", "/usr/bin/node");
        check(&captured);
        captured.without(4);
        check(&captured);
    }

    #[test]
    fn a_table_that_is_not_there_is_an_error_and_hides() {
        let captured = Captured::new();
        let none = captured.root().join("none");
        assert!(read(&none).is_err());
        assert_eq!(look(&none, 7), Look::Hidden);
        assert!(!shares_pid_namespace(&none, 7));
    }
}
