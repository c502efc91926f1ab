//! Transcript locks: the `*.jsonl.lock` files of a sessions folder.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::open::{is_below, is_gone, modified_at, oddity, open_regular};
use super::{AgentPath, LockCache, gap, read_claim};
use crate::model::{AgentId, Gap, Lane, Lock, LockStamp, Payload, Sighting, Source, UnixMillis};

/// Longest payload that is read. A real one has about 100 bytes.
const PAYLOAD_BYTES_MAX: u64 = 4096;

/// Most names of one folder that are looked at: busy agents have some thousand transcripts.
const NAMES_MAX: usize = 100_000;

/// Most locks of one folder. A gateway holds one for each lane that runs.
const LOCKS_MAX: usize = 10_000;

/// The locks of one or more folders.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LocksRead {
    /// The locks, sorted by path.
    pub locks: Vec<Lock>,
    /// Folders that could not be listed, and names of locks that are no readable small files.
    pub gaps: Vec<Gap>,
}

/// Reads all locks of the sessions folder `at.path`; `sight` looks at the pids they name.
///
/// A folder that is missing has no locks. A lock that goes between listing and look is none.
#[must_use]
pub fn read_locks(root: &Path, at: &AgentPath, sight: &dyn Fn(i32) -> Sighting) -> LocksRead {
    let now = UnixMillis::default();
    LockCache::default().read_all(root, std::slice::from_ref(at), now, sight)
}

/// Returns the locks beside transcripts of `lanes` that are not among the `listed` ones, as gaps:
/// a row may name a transcript in a folder that is none of the state directory's. Their holders
/// are not looked at.
#[must_use]
pub fn unlisted_locks(lanes: &[Lane], listed: &[Lock]) -> Vec<Gap> {
    let beside = |lane: &Lane| lane.row.lock_beside_transcript();
    lanes
        .iter()
        .filter(|lane| !listed.iter().any(|lock| lock.guards(lane)))
        .filter_map(beside)
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| gap(Source::Locks, &path, "in a folder that is not looked at"))
        .collect()
}

/// Returns the paths of all locks in the folder, sorted.
///
/// # Errors
///
/// Returns the reason, for people.
pub(super) fn list(root: &Path, at: &AgentPath) -> Result<Vec<PathBuf>, String> {
    let real = fs::canonicalize(&at.path).map_err(|error| error.to_string())?;
    if !is_below(root, &at.path, &real) {
        return Err("a link out of the state directory".to_owned());
    }
    let entries = fs::read_dir(&real).map_err(|error| error.to_string())?;
    names(entries, &at.path)
}

fn names(entries: fs::ReadDir, folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut paths = Vec::new();
    for (count, entry) in entries.enumerate() {
        let name = entry.map_err(|error| error.to_string())?.file_name();
        if count >= NAMES_MAX {
            return Err(format!("more than {NAMES_MAX} files"));
        }
        if !is_lock_name(&name) {
            continue;
        }
        if paths.len() >= LOCKS_MAX {
            return Err(format!("more than {LOCKS_MAX} locks"));
        }
        paths.push(folder.join(name));
    }
    paths.sort();
    Ok(paths)
}

fn is_lock_name(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".jsonl.lock")
}

/// Reads the lock at `path`. Its holder, if it claims one, is not looked at yet.
///
/// Descriptor first, everything else from it: identity and bytes belong to one file.
/// `Ok(None)`: it is gone.
///
/// # Errors
///
/// Returns a gap if it is no regular file, larger than a lock, or unreadable.
pub(super) fn read_lock(
    path: &Path,
    agent: &AgentId,
    folder_uid: u32,
) -> Result<Option<Lock>, Gap> {
    let refused = |reason: String| Err(gap(Source::Locks, path, reason));
    let (file, meta) = match open_lock(path) {
        Ok(Ok(opened)) => opened,
        Ok(Err(what)) => return refused(what.to_owned()),
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return refused(error.to_string()),
    };
    let mut bytes = Vec::with_capacity(256);
    if let Err(error) = file.take(PAYLOAD_BYTES_MAX + 1).read_to_end(&mut bytes) {
        return refused(error.to_string());
    }
    if bytes.len() as u64 > PAYLOAD_BYTES_MAX {
        return refused(format!("larger than {PAYLOAD_BYTES_MAX} bytes"));
    }
    let payload = read_claim(&bytes)
        .map_or(Payload::Incomplete, |claim| Payload::Claim(claim, Sighting::Hidden));
    Ok(Some(Lock {
        path: path.to_owned(),
        agent: agent.clone(),
        stamp: LockStamp { dev: meta.dev(), ino: meta.ino(), bytes },
        modified_at: modified_at(&meta),
        uid: meta.uid(),
        folder_uid,
        payload,
    }))
}

fn open_lock(path: &Path) -> io::Result<Result<(File, Metadata), &'static str>> {
    // To open a device can already do something to it.
    if let Some(what) = oddity(fs::symlink_metadata(path)?.file_type()) {
        return Ok(Err(what));
    }
    open_regular(path)
}

/// Returns the lock with what is seen of its holder now.
pub(super) fn sighted(mut lock: Lock, sight: &dyn Fn(i32) -> Sighting) -> Lock {
    lock.payload = match lock.payload {
        Payload::Claim(claim, _) => Payload::Claim(claim, sight(claim.pid)),
        Payload::Incomplete => Payload::Incomplete,
    };
    lock
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use tempfile::{TempDir, tempdir};

    use super::*;

    const CLAIM: &str = r#"{"pid":41,"createdAt":"2026-11-20T07:29:30.010Z","starttime":7}"#;

    fn absent(_: i32) -> Sighting {
        Sighting::Absent
    }

    fn folder() -> (TempDir, AgentPath) {
        let dir = tempdir().unwrap();
        let path = dir.path().join("sessions");
        fs::create_dir(&path).unwrap();
        (dir, AgentPath { path, agent: "main".into() })
    }

    fn read(root: &Path, at: &AgentPath) -> (Vec<String>, Vec<String>) {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let read = read_locks(root, at, &absent);
        let locks = read.locks.iter().map(|lock| name(&lock.path)).collect();
        let gaps = read.gaps.iter().map(|gap| format!("{}: {}", name(&gap.path), gap.reason));
        (locks, gaps.collect())
    }

    #[test]
    fn reads_stamp_owner_and_claim_and_asks_for_the_holder() {
        let (dir, at) = folder();
        fs::write(at.path.join("a.jsonl.lock"), CLAIM).unwrap();
        fs::write(at.path.join("b.jsonl.lock"), "").unwrap();
        let locks = read_locks(dir.path(), &at, &absent).locks;
        let meta = fs::metadata(at.path.join("a.jsonl.lock")).unwrap();
        let claim = read_claim(CLAIM.as_bytes()).unwrap();
        let want = Lock {
            path: at.path.join("a.jsonl.lock"),
            agent: "main".into(),
            stamp: LockStamp { dev: meta.dev(), ino: meta.ino(), bytes: CLAIM.into() },
            modified_at: modified_at(&meta),
            uid: meta.uid(),
            folder_uid: fs::metadata(&at.path).unwrap().uid(),
            payload: Payload::Claim(claim, Sighting::Absent),
        };
        assert_eq!(locks[0], want);
        assert_eq!((locks.len(), locks[1].payload), (2, Payload::Incomplete));
    }

    #[test]
    fn only_files_that_end_in_jsonl_lock_are_locks_whatever_else_their_name_holds() {
        let (dir, at) = folder();
        for name in [
            "a.jsonl",
            "sessions.json.lock",
            "a.jsonl.lock.bak",
            ".jsonl.lock",
            "\n\u{1b}[2J.jsonl.lock",
        ] {
            fs::write(at.path.join(name), CLAIM).unwrap();
        }
        let raw = std::ffi::OsString::from_vec(b"\xff\xfe.jsonl.lock".to_vec());
        fs::write(at.path.join(&raw), CLAIM).unwrap();
        let locks = read_locks(dir.path(), &at, &absent).locks;
        let names: Vec<_> = locks.iter().map(|lock| lock.path.file_name().unwrap()).collect();
        assert_eq!(names, [OsStr::new("\n\u{1b}[2J.jsonl.lock"), OsStr::new(".jsonl.lock"), &raw]);
    }

    #[test]
    fn what_is_no_small_regular_file_is_a_gap_and_never_blocks() {
        let (dir, at) = folder();
        fs::write(dir.path().join("real"), CLAIM).unwrap();
        symlink(dir.path().join("real"), at.path.join("a.jsonl.lock")).unwrap();
        nix::unistd::mkfifo(&at.path.join("b.jsonl.lock"), Mode::S_IRWXU).unwrap();
        fs::create_dir(at.path.join("c.jsonl.lock")).unwrap();
        fs::write(at.path.join("d.jsonl.lock"), vec![b' '; 4097]).unwrap();
        fs::write(at.path.join("e.jsonl.lock"), vec![b' '; 4096]).unwrap();
        let gaps = [
            "a.jsonl.lock: a symbolic link",
            "b.jsonl.lock: a FIFO",
            "c.jsonl.lock: a directory",
            "d.jsonl.lock: larger than 4096 bytes",
        ];
        let (locks, found) = read(dir.path(), &at);
        assert_eq!(
            (locks, found.as_slice()),
            (vec!["e.jsonl.lock".to_owned()], &gaps.map(str::to_owned)[..])
        );
    }

    #[test]
    fn a_lock_that_goes_between_listing_and_look_is_none() {
        let (_dir, at) = folder();
        let gone = at.path.join("a.jsonl.lock");
        assert_eq!(read_lock(&gone, &at.agent, 0), Ok(None));
    }

    #[test]
    fn a_missing_folder_has_no_locks_but_an_odd_one_is_a_gap() {
        let (dir, at) = folder();
        let below = |name: &str| AgentPath { path: dir.path().join(name), agent: "x".into() };
        assert_eq!(read(dir.path(), &below("none")), (vec![], vec![]));
        fs::write(dir.path().join("file"), "").unwrap();
        assert_eq!(read_locks(dir.path(), &below("file"), &absent).gaps.len(), 1);
        let outside = tempdir().unwrap();
        fs::write(outside.path().join("a.jsonl.lock"), CLAIM).unwrap();
        symlink(outside.path(), dir.path().join("link")).unwrap();
        let want = vec!["link: a link out of the state directory".to_owned()];
        assert_eq!(read(dir.path(), &below("link")), (vec![], want));
        symlink(&at.path, dir.path().join("inside")).unwrap();
        assert_eq!(read(dir.path(), &below("inside")), (vec![], vec![]));
    }

    #[test]
    fn more_locks_than_any_gateway_holds_are_a_gap() {
        let (dir, at) = folder();
        for n in 0..=LOCKS_MAX {
            fs::write(at.path.join(format!("{n}.jsonl.lock")), "").unwrap();
        }
        let want = vec!["sessions: more than 10000 locks".to_owned()];
        assert_eq!(read(dir.path(), &at), (vec![], want));
    }

    #[test]
    fn a_lock_beside_a_transcript_elsewhere_is_a_gap_unless_it_is_listed() {
        use crate::model::sample;
        let dir = tempfile::tempdir().unwrap();
        let mut lane = sample::lane("agent:main:main", 60);
        lane.row.session_file = Some(dir.path().join("x.jsonl"));
        let lanes = [lane];
        assert_eq!(unlisted_locks(&lanes, &[]), []);
        let path = dir.path().join("x.jsonl.lock");
        fs::write(&path, "").unwrap();
        assert_eq!(unlisted_locks(&lanes, &[])[0].path, path);
        let mut listed = sample::lock("x.jsonl.lock", Sighting::Absent, 60);
        listed.path = "/by/another/name/x.jsonl.lock".into();
        assert_eq!(unlisted_locks(&lanes, &[listed]), []);
    }
}
