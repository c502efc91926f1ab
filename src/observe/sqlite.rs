//! Reads a SQLite database of the gateway without leaving a trace.
//!
//! Measured on 2026.9.6: a plain read-only open beside a live gateway is right and harmless; of
//! a database without `-wal` and `-shm` it creates both; of one that a killed gateway left it
//! rewrites `-shm`, which 2026.9.6 takes for tampering (#140467); `immutable=1` ignores a WAL;
//! opening read-write after a SIGKILL checkpoints and deletes the WAL.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use thiserror::Error;

use super::byte_lock;

/// Most bytes of database and WAL together that are copied when there is no other way.
const COPY_BYTES_MAX: u64 = 256 << 20;
/// How long a query waits for the gateway. Readers of a WAL database wait for nobody but a
/// recovery.
const BUSY_TIMEOUT: Duration = Duration::from_millis(250);
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Why a database could not be read.
#[derive(Debug, Error)]
pub enum SqliteError {
    /// It is not there.
    #[error("find database `{path}`")]
    Missing {
        /// The database.
        path: PathBuf,
    },
    /// A symlink, a folder, a device: never opened.
    #[error("read database `{path}`: it is not a regular file")]
    NotRegular {
        /// The database, or its WAL.
        path: PathBuf,
    },
    /// It has no SQLite header.
    #[error("read database `{path}`: it is not a SQLite database")]
    NotDatabase {
        /// The database.
        path: PathBuf,
    },
    /// It changed while it was read in a way that leaves no trace. The next look may succeed.
    #[error("read database `{path}`: it changed meanwhile")]
    Changed {
        /// The database.
        path: PathBuf,
    },
    /// It would have to be copied and is larger than 256 MiB.
    #[error("copy database `{path}`: it has {bytes} bytes")]
    TooLarge {
        /// The database.
        path: PathBuf,
        /// Database and WAL.
        bytes: u64,
    },
    /// There is no place for a private copy.
    #[error("copy database `{path}` to a folder such as `{dir}`")]
    NoRoom {
        /// The database.
        path: PathBuf,
        /// The folder that could not be made.
        dir: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The files could not be read.
    #[error("read database `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// SQLite refused.
    #[error("query database `{path}`")]
    Query {
        /// The database.
        path: PathBuf,
        /// The cause.
        source: rusqlite::Error,
    },
}

/// What tells one state of a database from the next: unchanged stamps, unchanged content.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stamp {
    /// The database file, `None` if it is absent.
    pub db: Option<FileStamp>,
    /// Its `-wal` file, `None` if it is absent.
    pub wal: Option<FileStamp>,
}

/// Identity, size and modification time of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FileStamp {
    /// The inode.
    pub ino: u64,
    /// The size in bytes.
    pub size: u64,
    /// The modification time, nanoseconds since the epoch.
    pub mtime_ns: i128,
}

/// Returns the stamp of the database at `path`.
///
/// # Errors
///
/// Returns an error if a file is there and is not a regular one, or cannot be looked at.
pub fn stamp(path: &Path) -> Result<Stamp, SqliteError> {
    Ok(Stamp { db: file_stamp(path)?, wal: file_stamp(&beside(path, "-wal"))? })
}

/// Returns `PRAGMA user_version`.
///
/// # Errors
///
/// Returns an error if the database is absent or could not be read by the rules of this module.
pub fn user_version(path: &Path) -> Result<u32, SqliteError> {
    let header = header(path)?;
    if plain(path)? {
        return Ok(u32::from_be_bytes([header[60], header[61], header[62], header[63]]));
    }
    query(path, |db| db.query_row("PRAGMA user_version", [], |row| row.get(0)))
}

/// Opens the database, runs `read` outside of any transaction, and closes it.
///
/// Never call this while this process has the same database open: closing any descriptor of
/// a file drops all POSIX locks that the process holds on it.
///
/// # Errors
///
/// Returns an error if the database is absent, could not be read by the rules of this module,
/// or if `read` fails.
pub fn query<T>(
    path: &Path,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, SqliteError> {
    header(path)?;
    let before = stamp(path)?;
    if plain(path)? {
        let found = run(path, "immutable=1", path, read)?;
        let same = stamp(path)? == before;
        return same.then_some(found).ok_or_else(|| SqliteError::Changed { path: path.into() });
    }
    if is_open_elsewhere(path)? {
        return run(path, "mode=ro", path, read);
    }
    let copy = Copy::of(path, before)?;
    run(&copy.db, "mode=ro", path, read)
}

/// True if all content is in the main file and opening it normally would create files: the
/// WAL is absent, or it is empty and there is no `-shm` that a live gateway may have open.
fn plain(path: &Path) -> Result<bool, SqliteError> {
    let shm = file_stamp(&beside(path, "-shm"))?.is_some();
    Ok(match file_stamp(&beside(path, "-wal"))? {
        None => true,
        Some(wal) => wal.size == 0 && !shm,
    })
}

/// True if another process has the database open: every connection to a WAL database holds a
/// shared lock on this byte of `-shm` (`UNIX_SHM_DMS` in `os_unix.c` of SQLite).
fn is_open_elsewhere(path: &Path) -> Result<bool, SqliteError> {
    const DEAD_MANS_SWITCH: i64 = 128;
    let shm = beside(path, "-shm");
    if file_stamp(&shm)?.is_none() {
        return Ok(false);
    }
    byte_lock::holder(&shm, DEAD_MANS_SWITCH, 1)
        .map(|holder| holder.is_some())
        .map_err(|source| SqliteError::Io { path: shm, source })
}

/// `named` is what errors name: not the copy, which is gone by then.
fn run<T>(
    path: &Path,
    mode: &str,
    named: &Path,
    read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> Result<T, SqliteError> {
    let query = |source| SqliteError::Query { path: named.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
        | OpenFlags::SQLITE_OPEN_URI
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(uri(path, mode), flags).map_err(query)?;
    db.busy_timeout(BUSY_TIMEOUT).map_err(query)?;
    // `trusted_schema`: a hostile schema must not call functions with side effects.
    db.execute_batch("PRAGMA query_only=1; PRAGMA trusted_schema=0;").map_err(query)?;
    read(&db).map_err(query)
}

fn uri(path: &Path, mode: &str) -> String {
    let mut uri = "file:".to_owned();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    format!("{uri}?{mode}")
}

/// Reads the first 100 bytes, and closes the file before SQLite opens it.
fn header(path: &Path) -> Result<[u8; 100], SqliteError> {
    if file_stamp(path)?.is_none() {
        return Err(SqliteError::Missing { path: path.to_owned() });
    }
    let mut header = [0; 100];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) if header.starts_with(MAGIC) => Ok(header),
        Ok(()) => Err(SqliteError::NotDatabase { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            Err(SqliteError::NotDatabase { path: path.to_owned() })
        }
        Err(source) => Err(SqliteError::Io { path: path.to_owned(), source }),
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(OsStr::new(suffix));
    name.into()
}

fn file_stamp(path: &Path) -> Result<Option<FileStamp>, SqliteError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => Ok(Some(FileStamp {
            ino: meta.ino(),
            size: meta.len(),
            mtime_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        })),
        Ok(_) => Err(SqliteError::NotRegular { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(SqliteError::Io { path: path.to_owned(), source }),
    }
}

/// A private copy of a database and its WAL, removed when dropped.
struct Copy {
    dir: PathBuf,
    db: PathBuf,
}

impl Copy {
    fn of(path: &Path, before: Stamp) -> Result<Copy, SqliteError> {
        let size = |file: Option<FileStamp>| file.map_or(0, |file| file.size);
        let bytes = size(before.db).saturating_add(size(before.wal));
        if bytes > COPY_BYTES_MAX {
            return Err(SqliteError::TooLarge { path: path.to_owned(), bytes });
        }
        let io = |path: &Path, source| SqliteError::Io { path: path.to_owned(), source };
        let dir = private_dir().map_err(|(dir, source)| SqliteError::NoRoom {
            path: path.to_owned(),
            dir,
            source,
        })?;
        let copy = Copy { db: dir.join("copy.sqlite"), dir };
        for suffix in ["", "-wal"] {
            let (from, to) = (beside(path, suffix), beside(&copy.db, suffix));
            copy_bounded(&from, &to).map_err(|source| io(&from, source))?;
        }
        // Two files are not copied at one instant; the same stamps say that nobody wrote.
        let same = stamp(path)? == before;
        same.then_some(copy).ok_or_else(|| SqliteError::Changed { path: path.to_owned() })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::debug!(dir = %self.dir.display(), %error, "left a temporary folder behind");
        }
    }
}

fn copy_bounded(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?.take(COPY_BYTES_MAX);
    io::copy(&mut source, &mut File::create_new(to)?).map(drop)
}

/// Makes a folder in the first temp directory that takes one. `TMPDIR` may name a directory that
/// is not there, such as that of the gateway before a reboot; that must not hide a database.
fn private_dir() -> Result<PathBuf, (PathBuf, io::Error)> {
    private_dir_in(&[std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()])
}

/// Fails with what was said of the first of `bases`.
fn private_dir_in(bases: &[PathBuf]) -> Result<PathBuf, (PathBuf, io::Error)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    const TRIES: usize = 100;
    let mut first = None;
    for base in bases {
        for _ in 0..TRIES {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let dir = base.join(format!("clawarden-{}-{number}", std::process::id()));
            // `create` fails if the name is taken, by whomever.
            match fs::DirBuilder::new().mode(0o700).create(&dir) {
                Ok(()) => return Ok(dir),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    first.get_or_insert((dir, error));
                    break;
                }
            }
        }
    }
    let none = || (PathBuf::new(), io::Error::other("every name is taken"));
    Err(first.unwrap_or_else(none))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names, sizes and times of a folder: what must not change.
    fn listing(dir: &Path) -> Vec<(PathBuf, FileStamp)> {
        let mut files: Vec<_> = fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| (path.clone(), file_stamp(&path).unwrap().unwrap()))
            .collect();
        files.sort_by(|a, b| a.0.cmp(&b.0));
        files
    }

    fn writer(dir: &Path) -> (Connection, PathBuf) {
        let path = dir.join("x y?%.sqlite");
        let db = Connection::open(&path).unwrap();
        db.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA user_version=3;
             CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (7);",
        )
        .unwrap();
        (db, path)
    }

    #[track_caller]
    fn check_reads(dir: &Path, path: &Path) {
        let before = listing(dir);
        check_content(path);
        assert_eq!(listing(dir), before);
    }

    #[track_caller]
    fn check_content(path: &Path) {
        assert_eq!(user_version(path).unwrap(), 3);
        let seven: i64 =
            query(path, |db| db.query_row("SELECT n FROM t", [], |r| r.get(0))).unwrap();
        assert_eq!(seven, 7);
    }

    const CHILD: &str = "CLAWARDEN_TEST_WRITER";

    /// In the child that the next test starts: a writer that lives until its stdin ends.
    #[test]
    fn plays_the_writer_in_a_child() {
        let Some(dir) = std::env::var_os(CHILD) else { return };
        let (_db, _) = writer(Path::new(&dir));
        println!("written");
        io::copy(&mut io::stdin(), &mut io::sink()).unwrap();
    }

    #[test]
    fn reads_beside_a_live_writer_and_does_not_copy() {
        use std::io::BufRead as _;
        let dir = tempfile::tempdir().unwrap();
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "observe::sqlite::tests::plays_the_writer_in_a_child", "--nocapture"])
            .env(CHILD, dir.path())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = io::BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("written")));
        let path = dir.path().join("x y?%.sqlite");
        assert!(is_open_elsewhere(&path).unwrap());
        // A reader marks its place in the `-shm` of a live database, as it must.
        let but_shm = |mut files: Vec<(PathBuf, FileStamp)>| {
            files.retain(|(path, _)| !path.to_string_lossy().ends_with("-shm"));
            files
        };
        let before = but_shm(listing(dir.path()));
        check_content(&path);
        assert_eq!(but_shm(listing(dir.path())), before);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!is_open_elsewhere(&path).unwrap());
        check_reads(dir.path(), &path);
    }

    #[test]
    fn reads_what_a_killed_writer_left_with_and_without_shm() {
        let (live, dead) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (_db, path) = writer(live.path());
        for suffix in ["", "-wal", "-shm"] {
            let copy = beside(&dead.path().join("dead.sqlite"), suffix);
            fs::copy(beside(&path, suffix), copy).unwrap();
        }
        check_reads(dead.path(), &dead.path().join("dead.sqlite"));
        let bare = tempfile::tempdir().unwrap();
        for suffix in ["", "-wal"] {
            fs::copy(beside(&path, suffix), beside(&bare.path().join("b.sqlite"), suffix)).unwrap();
        }
        check_reads(bare.path(), &bare.path().join("b.sqlite"));
    }

    #[test]
    fn reads_a_closed_database_without_creating_files() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = writer(dir.path());
        db.close().unwrap();
        assert_eq!(listing(dir.path()).len(), 1);
        check_reads(dir.path(), &path);
        File::create(beside(&path, "-wal")).unwrap();
        check_reads(dir.path(), &path);
    }

    #[test]
    fn refuses_to_write() {
        let dir = tempfile::tempdir().unwrap();
        let (_db, path) = writer(dir.path());
        let error = query(&path, |db| db.execute("INSERT INTO t VALUES (8)", [])).unwrap_err();
        assert!(matches!(error, SqliteError::Query { .. }));
    }

    #[test]
    fn refuses_what_is_no_database() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        assert!(matches!(user_version(&file), Err(SqliteError::Missing { .. })));
        assert!(matches!(user_version(dir.path()), Err(SqliteError::NotRegular { .. })));
        for bytes in [&b""[..], b"SQLite format 3\0", &[0; 200]] {
            fs::write(&file, bytes).unwrap();
            assert!(matches!(user_version(&file), Err(SqliteError::NotDatabase { .. })));
        }
        let (_db, path) = writer(dir.path());
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(query(&link, |_| Ok(())), Err(SqliteError::NotRegular { .. })));
    }

    #[test]
    fn the_stamp_moves_with_the_wal() {
        let dir = tempfile::tempdir().unwrap();
        let (db, path) = writer(dir.path());
        let before = stamp(&path).unwrap();
        assert_eq!(stamp(&path).unwrap(), before);
        db.execute("INSERT INTO t VALUES (8)", []).unwrap();
        assert_ne!(stamp(&path).unwrap(), before);
        assert_eq!(stamp(&dir.path().join("none")).unwrap(), Stamp::default());
    }

    #[test]
    fn a_temp_directory_that_is_not_there_is_passed_over() {
        let base = tempfile::tempdir().unwrap();
        let (missing, there) = (base.path().join("none"), base.path().to_owned());
        let dir = private_dir_in(&[missing.clone(), there.clone()]).unwrap();
        assert_eq!(dir.parent(), Some(there.as_path()));
        let (dir, error) = private_dir_in(std::slice::from_ref(&missing)).unwrap_err();
        assert_eq!((dir.parent(), error.kind()), (Some(&*missing), io::ErrorKind::NotFound));
        assert!(private_dir_in(&[]).is_err());
    }
}
