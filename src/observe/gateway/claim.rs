//! The gateway's lock files.
//!
//! Up to 2026.7.1: `<tmp>/openclaw-<uid>/gateway.<h>.lock`. 2026.9.6: the same and
//! `gateway.state.lock` in `<state>/tmp/openclaw-<uid>`. `h` is the beginning of the SHA-256 of
//! the configuration's path. A SIGKILL leaves them behind.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::UnixMillis;

/// Longest payload that is looked at. A real one has up to 480 bytes (2026.9.6 pads it).
const PAYLOAD_BYTES_MAX: u64 = 8192;
/// Most entries of a lock folder that are looked at.
const ENTRIES_MAX: usize = 10_000;
const STATE_LOCK: &str = "gateway.state.lock";

/// What a lock file says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Claim {
    pub path: PathBuf,
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`, where the gateway could read it.
    pub start_ticks: Option<u64>,
    pub created_at: Option<UnixMillis>,
    pub config_path: PathBuf,
    /// From 2026.9.6.
    pub state_dir: Option<PathBuf>,
    /// From 2026.7.1.
    pub port: Option<u16>,
    /// False for embedded runs and maintenance, which take the same lock on 2026.9.6.
    pub is_gateway: bool,
    /// The owner of the file.
    pub uid: u32,
}

/// The lock files of some folders.
#[derive(Debug, Default)]
pub(super) struct Claims {
    pub found: Vec<Claim>,
    /// Lock files without a readable payload: being written, or broken.
    pub torn: Vec<PathBuf>,
    /// What could not be looked at, and why.
    pub blind: Vec<(PathBuf, String)>,
}

impl Claims {
    /// Adds the gateway locks in `dir`. A folder that does not exist has none.
    pub(super) fn search(&mut self, dir: &Path) {
        match fs::symlink_metadata(dir) {
            Ok(meta) if meta.is_dir() => {}
            Ok(_) => return self.blind.push((dir.to_owned(), "not a folder".to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.blind.push((dir.to_owned(), error.to_string())),
        }
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) => return self.blind.push((dir.to_owned(), error.to_string())),
        };
        for entry in entries.take(ENTRIES_MAX).flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("gateway.") && name.ends_with(".lock") {
                self.read(&entry.path(), &name);
            }
        }
    }

    fn read(&mut self, path: &Path, name: &str) {
        match read(path) {
            Ok((bytes, uid)) => match parse(&bytes, path, uid) {
                // A name that is not its content's was not made by a gateway.
                Some(claim) if name == STATE_LOCK || name == lock_name(&claim.config_path) => {
                    self.found.push(claim);
                }
                Some(_) => {}
                None => self.torn.push(path.to_owned()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.blind.push((path.to_owned(), error.to_string())),
        }
    }
}

/// Returns the name of the lock file for a configuration path.
pub(super) fn lock_name(config_path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let hash = Sha256::digest(config_path.as_os_str().as_bytes());
    let hex: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("gateway.{hex}.lock")
}

fn read(path: &Path) -> io::Result<(Vec<u8>, u32)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(PAYLOAD_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok((bytes, meta.uid()))
}

fn parse(bytes: &[u8], path: &Path, uid: u32) -> Option<Claim> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let pid = value.get("pid")?.as_i64().and_then(|pid| i32::try_from(pid).ok())?;
    Some(Claim {
        path: path.to_owned(),
        // 0 and negative numbers address groups; nobody's lock names init.
        pid: (pid > 1).then_some(pid)?,
        start_ticks: value.get("startTime").and_then(Value::as_u64),
        created_at: text("createdAt").and_then(UnixMillis::from_rfc3339),
        config_path: text("configPath")?.into(),
        state_dir: text("stateDir").map(PathBuf::from),
        port: value
            .get("port")
            .and_then(Value::as_u64)
            .and_then(|port| u16::try_from(port).ok())
            .filter(|&port| port > 0),
        is_gateway: text("role").is_none_or(|role| role == "gateway"),
        uid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "/home/user/.openclaw/openclaw.json";

    fn claims(files: &[(&str, &str)]) -> Claims {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let mut claims = Claims::default();
        claims.search(dir.path());
        claims
    }

    #[test]
    fn the_name_is_the_hash_of_the_configuration() {
        assert_eq!(lock_name(Path::new(CONFIG)), "gateway.94e6aae2.lock");
    }

    #[test]
    fn reads_the_locks_of_old_and_new_versions() {
        let old = format!(
            r#"{{"pid":13331,"createdAt":"2026-11-20T07:20:16.841Z","configPath":"{CONFIG}","startTime":63199}}"#
        );
        let new = format!(
            r#"{{"pid":12947,"ownerId":"x","createdAt":"2026-11-20T07:19:48.967Z","configPath":"{CONFIG}","stateDir":"/home/user/.openclaw","port":21110,"startTime":61646}}{}"#,
            " ".repeat(200)
        );
        let found = claims(&[("gateway.94e6aae2.lock", &old), ("gateway.state.lock", &new)]).found;
        let by_pid = |pid: i32| found.iter().find(|claim| claim.pid == pid).unwrap();
        assert_eq!(by_pid(13331).start_ticks, Some(63199));
        assert_eq!(by_pid(13331).created_at, Some(UnixMillis(1_795_159_216_841)));
        assert_eq!((by_pid(12947).port, by_pid(12947).is_gateway), (Some(21110), true));
        assert!(by_pid(12947).state_dir.is_some());
    }

    #[test]
    fn an_embedded_run_is_no_gateway() {
        let text = format!(r#"{{"pid":7,"configPath":"{CONFIG}","role":"agent-embedded"}}"#);
        assert!(!claims(&[("gateway.state.lock", &text)]).found[0].is_gateway);
    }

    #[test]
    fn hostile_and_torn_payloads_make_no_claim() {
        let cut = format!(r#"{{"pid":7,"configPath":"{CONFIG}""#);
        let group = format!(r#"{{"pid":-1,"configPath":"{CONFIG}"}}"#);
        let deep = "[".repeat(8000);
        for text in ["", "{}", "null", &cut, &group, &deep] {
            let claims = claims(&[("gateway.94e6aae2.lock", text)]);
            assert_eq!((claims.found.len(), claims.torn.len()), (0, 1), "{text}");
        }
    }

    #[test]
    fn a_name_that_is_not_its_contents_is_ignored() {
        let text = format!(r#"{{"pid":7,"configPath":"{CONFIG}"}}"#);
        let claims = claims(&[("gateway.00000000.lock", &text), ("gateway.state.lock.sqlite", "")]);
        assert_eq!((claims.found.len(), claims.torn.len(), claims.blind.len()), (0, 0, 0));
    }

    #[test]
    fn symlinks_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        fs::write(&target, format!(r#"{{"pid":7,"configPath":"{CONFIG}"}}"#)).unwrap();
        let link = dir.path().join("gateway.94e6aae2.lock");
        std::os::unix::fs::symlink(&target, link).unwrap();
        let mut claims = Claims::default();
        claims.search(dir.path());
        assert_eq!((claims.found.len(), claims.blind.len()), (0, 1));
        let folder = dir.path().join("folder");
        std::os::unix::fs::symlink(dir.path(), &folder).unwrap();
        claims.search(&folder);
        assert_eq!((claims.found.len(), claims.blind.len()), (0, 2));
        claims.search(&dir.path().join("none"));
        assert_eq!(claims.blind.len(), 2);
    }
}
