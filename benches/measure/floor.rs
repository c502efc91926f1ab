//! What no program can do without that looks at the same things: written by hand, in the plainest
//! way that is not wasteful.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{CWD, Mode, OFlags, openat};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

/// Lists the processes.
pub(crate) fn list(root: &Path) -> Vec<u32> {
    let mut pids = Vec::new();
    names(root, |_, name| {
        pids.extend(std::str::from_utf8(name).ok().and_then(|n| n.parse::<u32>().ok()))
    });
    pids
}

/// Lists the processes and reads the stat of each.
pub(crate) fn stat_all(root: &Path) -> usize {
    list(root).into_iter().filter(|pid| stat(root, *pid).is_some()).count()
}

/// Lists the processes and reads of each what it takes to find a gateway: stat and command line.
pub(crate) fn identify_all(root: &Path) -> usize {
    let cmdline = |pid| {
        let mut buffer = [0; 4096];
        let file = File::open(root.join(format!("{pid}/cmdline")));
        file.and_then(|mut file| file.read(&mut buffer)).ok()
    };
    let all = list(root).into_iter().filter(|pid| stat(root, *pid).is_some());
    all.filter_map(cmdline).sum()
}

/// Returns the start ticks.
pub(crate) fn stat(root: &Path, pid: u32) -> Option<u64> {
    let mut buffer = [0; 4096];
    // It may have ended since the listing.
    let length = File::open(root.join(format!("{pid}/stat"))).ok()?.read(&mut buffer).ok()?;
    let bracket = buffer[..length].iter().rposition(|&byte| byte == b')').unwrap_or(0);
    let fields = std::str::from_utf8(&buffer[bracket..length]).unwrap_or("");
    fields.split(' ').nth(20).and_then(|field| field.parse().ok())
}

/// Reads the children of every thread of `root`, and of the first thread of each of `others`.
pub(crate) fn children(root: u32, others: impl Iterator<Item = u32>) -> usize {
    let mut buffer = [0; 4096];
    let mut read = |pid: u32, thread: u32| {
        let file = File::open(format!("/proc/{pid}/task/{thread}/children"));
        file.and_then(|mut file| file.read(&mut buffer)).unwrap_or(0)
    };
    let threads = list(Path::new(&format!("/proc/{root}/task")));
    let of_root: usize = threads.into_iter().map(|thread| read(root, thread)).sum();
    of_root + others.map(|pid| read(pid, pid)).sum::<usize>()
}

/// Looks at the modification time of each.
pub(crate) fn stamps(paths: &[PathBuf]) -> u64 {
    paths.iter().filter_map(|path| fs::metadata(path).ok()).map(|meta| meta.len()).sum()
}

/// Lists each folder and reads each lock in it.
pub(crate) fn read_locks(folders: &[PathBuf]) -> usize {
    let mut bytes = 0;
    for path in folders {
        names(path, |folder, name| {
            if name.ends_with(b".jsonl.lock") {
                let file = openat(folder, name, OFlags::RDONLY, Mode::empty()).unwrap();
                let mut payload = [0; 4096];
                bytes += rustix::io::read(&file, &mut payload[..]).unwrap();
            }
        });
    }
    bytes
}

fn open(folder: &Path) -> OwnedFd {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, folder, flags, Mode::empty()).unwrap()
}

#[cfg(target_os = "linux")]
fn names(folder: &Path, mut each: impl FnMut(&OwnedFd, &[u8])) {
    let folder = open(folder);
    let mut buffer = [std::mem::MaybeUninit::uninit(); 32 << 10];
    let mut entries = rustix::fs::RawDir::new(&folder, &mut buffer);
    while let Some(entry) = entries.next() {
        each(&folder, entry.unwrap().file_name().to_bytes());
    }
}

#[cfg(not(target_os = "linux"))]
fn names(folder: &Path, mut each: impl FnMut(&OwnedFd, &[u8])) {
    use std::os::unix::ffi::OsStrExt as _;
    let held = open(folder);
    for entry in fs::read_dir(folder).unwrap().flatten() {
        each(&held, entry.file_name().as_bytes());
    }
}

/// Reads a session store at once and takes the least out of it.
pub(crate) fn store(path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    serde_json::Deserializer::from_slice(&bytes).deserialize_map(Count).unwrap()
}

/// Reads a session store piece by piece.
pub(crate) fn store_streamed(path: &Path) -> usize {
    let reader = BufReader::with_capacity(64 << 10, File::open(path).unwrap());
    serde_json::Deserializer::from_reader(reader).deserialize_map(Count).unwrap()
}

/// What any reader must at least take from a row.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only parsed")]
struct Minimal<'a> {
    #[serde(borrow)]
    status: Option<std::borrow::Cow<'a, str>>,
    started_at: Option<i64>,
    ended_at: Option<i64>,
}

struct Count;

impl<'de> Visitor<'de> for Count {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("rows")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<usize, A::Error> {
        let mut count = 0;
        while map.next_entry::<std::borrow::Cow<'de, str>, Minimal<'de>>()?.is_some() {
            count += 1;
        }
        Ok(count)
    }
}
