//! The two locks of a watch folder: one daemon or pass at a time, one action at a time.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use thiserror::Error;

use super::error::advice;
use super::home::private_file;

/// How often a taken action lock is tried again: short beside what a person notices.
const RETRY: Duration = Duration::from_millis(20);

/// Why a lock was not taken.
#[derive(Debug, Error)]
pub enum InstanceError {
    /// Another clawarden watches this state directory.
    #[error("take `{path}`: clawarden already runs{}; let it do the work, or stop it first", holder(*.pid))]
    AlreadyRunning {
        /// The lock.
        path: PathBuf,
        /// Who holds it, if its file says so.
        pid: Option<i32>,
    },
    /// Another clawarden is acting right now.
    #[error("take `{path}`: another clawarden is acting{}; try again", holder(*.pid))]
    Acting {
        /// The lock.
        path: PathBuf,
        /// Who holds it, if its file says so.
        pid: Option<i32>,
    },
    /// The lock's file could not be used.
    #[error("take `{path}`{}", advice(.source.kind()))]
    Take {
        /// The lock.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The right to be the only daemon or pass of one watch folder. Ends when it is dropped, or
/// with the process.
#[derive(Debug)]
pub struct Instance {
    dir: PathBuf,
    _lock: Flock<File>,
}

impl Instance {
    /// Takes `<dir>/lock`, without waiting.
    ///
    /// # Errors
    ///
    /// Returns an error if another process has it or its file cannot be used.
    pub fn take(dir: &Path) -> Result<Instance, InstanceError> {
        let path = dir.join("lock");
        match attempt(&path)? {
            Attempt::Taken(lock) => Ok(Instance { dir: dir.to_owned(), _lock: lock }),
            Attempt::Held(pid) => Err(InstanceError::AlreadyRunning { path, pid }),
        }
    }

    /// Returns the pid that has `<dir>/lock`, `None` if nobody is seen to have it.
    ///
    /// Only looks: to try the lock would keep it, for a moment, from a daemon that starts.
    #[must_use]
    pub fn holder(dir: &Path) -> Option<i32> {
        let path = dir.join("lock");
        let inode = std::fs::symlink_metadata(&path).ok()?.ino();
        let signed = signature(&mut File::open(&path).ok()?)?;
        let locks = std::fs::read_to_string("/proc/locks").ok()?;
        locks.lines().any(|line| is_lock(line, signed, inode)).then_some(signed)
    }

    /// Returns the watch folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

/// The right to act or undo, beside a daemon that may do so too.
#[derive(Debug)]
pub struct ActionLock {
    _lock: Flock<File>,
}

impl ActionLock {
    /// Takes `<dir>/action.lock`, waiting up to `wait` for whoever has it.
    ///
    /// # Errors
    ///
    /// Returns an error if another process keeps it or its file cannot be used.
    pub fn take(dir: &Path, wait: Duration) -> Result<ActionLock, InstanceError> {
        let path = dir.join("action.lock");
        let mut waited = Duration::ZERO;
        loop {
            match attempt(&path)? {
                Attempt::Taken(lock) => return Ok(ActionLock { _lock: lock }),
                Attempt::Held(pid) if waited >= wait => {
                    return Err(InstanceError::Acting { path, pid });
                }
                // The kernel has no lock with a time limit.
                Attempt::Held(_) => std::thread::sleep(RETRY),
            }
            waited += RETRY;
        }
    }
}

enum Attempt {
    Taken(Flock<File>),
    Held(Option<i32>),
}

fn attempt(path: &Path) -> Result<Attempt, InstanceError> {
    let take = |source| InstanceError::Take { path: path.to_owned(), source };
    let file = private_file(path).map_err(take)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            sign(&mut lock).map_err(take)?;
            Ok(Attempt::Taken(lock))
        }
        Err((mut file, Errno::EWOULDBLOCK)) => Ok(Attempt::Held(signature(&mut file))),
        Err((_, errno)) => Err(take(errno.into())),
    }
}

/// Whether a line of `/proc/locks`, such as `1: FLOCK  ADVISORY  WRITE 41 fe:00:77 0 EOF`, is
/// that lock. Devices are left out: some file systems name others here than in `stat`.
fn is_lock(line: &str, pid: i32, inode: u64) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    let [_, "FLOCK", _, _, holder, place, ..] = words[..] else { return false };
    let of = place.rsplit(':').next();
    holder.parse() == Ok(pid) && of.and_then(|inode| inode.parse().ok()) == Some(inode)
}

/// Writes who holds the lock, for people. The lock itself is the kernel's.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn signature(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn holder(pid: Option<i32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" as pid {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_instance_is_told_the_pid_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = Instance::take(dir.path()).unwrap();
        let ours = i32::try_from(std::process::id()).unwrap();
        let error = Instance::take(dir.path()).unwrap_err();
        assert!(
            matches!(error, InstanceError::AlreadyRunning { pid: Some(pid), .. } if pid == ours)
        );
        assert!(
            error
                .to_string()
                .ends_with(&format!("as pid {ours}; let it do the work, or stop it first")),
            "{error}"
        );
        drop(first);
        Instance::take(dir.path()).unwrap();
    }

    #[test]
    fn a_holder_is_seen_while_it_holds() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Instance::holder(dir.path()), None);
        let instance = Instance::take(dir.path()).unwrap();
        let ours = i32::try_from(std::process::id()).unwrap();
        assert_eq!(Instance::holder(dir.path()), Some(ours));
        drop(instance);
        assert_eq!(Instance::holder(dir.path()), None, "its signature is still there");
    }

    #[test]
    fn a_line_of_the_kernels_locks_is_told_from_others() {
        let check = |line: &str, want: bool| assert_eq!(is_lock(line, 41, 77), want, "{line}");
        check("1: FLOCK  ADVISORY  WRITE 41 fe:00:77 0 EOF", true);
        check("1: -> FLOCK  ADVISORY  WRITE 41 fe:00:77 0 EOF", false);
        check("1: POSIX  ADVISORY  WRITE 41 fe:00:77 0 EOF", false);
        check("1: FLOCK  ADVISORY  WRITE 42 fe:00:77 0 EOF", false);
        check("1: FLOCK  ADVISORY  WRITE 41 fe:00:177 0 EOF", false);
        check("", false);
    }

    #[test]
    fn a_file_left_by_a_dead_instance_is_no_lock() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("lock"), "4194303 and more text").unwrap();
        let _instance = Instance::take(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("lock")).unwrap();
        assert_eq!(text, format!("{}\n", std::process::id()));
    }

    #[test]
    fn an_unsigned_lock_holds_as_well() {
        let dir = tempfile::tempdir().unwrap();
        let file = File::create(dir.path().join("lock")).unwrap();
        let _held = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        let error = Instance::take(dir.path()).unwrap_err();
        assert!(matches!(error, InstanceError::AlreadyRunning { pid: None, .. }), "{error}");
    }

    #[test]
    fn an_action_waits_for_the_one_before_it_but_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let daemon = Instance::take(dir.path()).unwrap();
        let first = ActionLock::take(dir.path(), Duration::ZERO).unwrap();
        let error = ActionLock::take(dir.path(), RETRY * 2).unwrap_err();
        assert!(matches!(error, InstanceError::Acting { pid: Some(_), .. }), "{error}");
        let path = dir.path().to_owned();
        let second = std::thread::spawn(move || ActionLock::take(&path, Duration::from_secs(60)));
        drop(first);
        second.join().unwrap().unwrap();
        drop(daemon);
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let error = Instance::take(Path::new("/nonexistent/clawarden")).unwrap_err();
        assert_eq!(error.to_string(), "take `/nonexistent/clawarden/lock`");
    }
}
