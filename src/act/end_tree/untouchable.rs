//! Where pids mean something, and which are never signalled, whatever anybody else says.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use super::stat::Stat;
use crate::act::Realm;
use crate::model::{BootId, ProcessId};

/// Most ancestors. Deeper is no real process tree.
const ANCESTORS_MAX: usize = 1024;

/// Returns where our own pids mean something.
pub(super) fn here() -> io::Result<Realm> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let namespace = fs::read_link("/proc/self/ns/pid")?;
    Ok(Realm {
        boot: BootId(boot.trim().to_owned()),
        pid_namespace: namespace.to_string_lossy().into_owned(),
    })
}

/// Returns pid 1 and 2, ourselves and everything above us. The last line of defence: it asks
/// nobody but the kernel.
///
/// # Errors
///
/// Returns an error if one of these cannot be told. Then nothing may be signalled.
pub(super) fn pids(own: Option<ProcessId>) -> io::Result<BTreeSet<i32>> {
    let own_pid = i32::try_from(std::process::id()).map_err(io::Error::other)?;
    // In the `/proc` of another pid namespace we have another pid, or none.
    if fs::read_link("/proc/self")?.to_str() != Some(own_pid.to_string().as_str()) {
        return Err(io::Error::other("`/proc` is that of another pid namespace"));
    }
    let mut pids = BTreeSet::from([1, 2, own_pid]);
    pids.extend(own.map(|own| own.pid));
    let mut pid = own_pid;
    for _ in 0..ANCESTORS_MAX {
        let stat = Stat::of(pid)?.ok_or(io::ErrorKind::NotFound)?;
        if stat.parent == 0 {
            return Ok(pids);
        }
        pid = stat.parent;
        pids.insert(pid);
    }
    Err(io::Error::other("our ancestors have no end"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn we_are_ourselves_and_our_parents_are_above_us() {
        let own = i32::try_from(std::process::id()).unwrap();
        let said = ProcessId { pid: 3_999_999, start_ticks: 1 };
        let pids = pids(Some(said)).unwrap();
        let parent = i32::try_from(std::os::unix::process::parent_id()).unwrap();
        for pid in [1, 2, own, parent, said.pid] {
            assert!(pids.contains(&pid), "{pid}");
        }
    }

    #[test]
    fn here_is_always_the_same() {
        assert_eq!(here().unwrap(), here().unwrap());
    }
}
