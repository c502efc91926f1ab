//! `sessions.json.lock`, as gateways up to 2026.4.x take it around every write of a store.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::act::file;
use crate::clock::Clock;
use crate::model::ProcessId;

/// The lock, held. Released when dropped.
#[derive(Debug)]
pub(super) struct StoreLock {
    store: PathBuf,
    payload: String,
}

/// The payload by which a gateway knows that the holder lives: pid and start ticks, as in its own
/// locks. It takes over a lock whose pid is dead or recycled, or that is older than 30 s.
pub(super) fn payload(own: Option<ProcessId>, clock: Clock) -> String {
    let pid = own.map_or_else(|| i64::from(std::process::id()), |own| i64::from(own.pid));
    let created_at = clock.now().to_string();
    match own {
        Some(own) => json!({ "pid": pid, "createdAt": created_at, "starttime": own.start_ticks }),
        None => json!({ "pid": pid, "createdAt": created_at }),
    }
    .to_string()
}

/// Takes the lock beside `store`; `None` if somebody else holds it. The gateway holds it for less
/// than 100 ms, so it is not waited for: the next pass comes soon enough.
pub(super) fn take(store: &Path, payload: &str) -> io::Result<Option<StoreLock>> {
    match file::create_with(&beside(store), payload.as_bytes(), 0o600) {
        Ok(()) => Ok(Some(StoreLock { store: store.to_owned(), payload: payload.to_owned() })),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes the lock beside `store` if it is the one with exactly this payload. A waiter may have
/// taken it over while we were stopped or the host slept.
pub(super) fn release(store: &Path, payload: &str) {
    let path = beside(store);
    let found = file::lock_stamp(&path, payload.len());
    if found.is_ok_and(|stamp| stamp.bytes == payload.as_bytes()) {
        // One that cannot be removed names a pid that is about to end: the gateway takes it over.
        let _ = file::remove(&path);
    }
}

fn beside(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        release(&self.store, &self.payload);
    }
}
