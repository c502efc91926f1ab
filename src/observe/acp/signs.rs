//! The signs that a gateway of this state directory started a process, one function each.
//!
//! None of them asks the kernel about a process; paths in files are followed to their real place.
//! Absent is the safe answer: a sign that is not seen never ends anything.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::fit::fits;
use super::lease::Leases;
use super::origin::Origin;
use crate::model::{AcpxRecord, Ledger, Place, ProcessId, Seen, UnixMillis};
use crate::observe::locate::same_place;

/// How far the start in a record may be from that of its process. Measured: within a second
/// (2026.4.15 to 2026.7.1).
const START_TOLERANCE: Duration = Duration::from_secs(3);

/// A process whose owner is looked for. What could not be read of it is the reason why.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its identity.
    pub id: ProcessId,
    /// Its start by the wall clock.
    pub started_at: UnixMillis,
    /// Whether the wall clock has not been set since its start.
    pub clock_is_steady: bool,
    /// Its process group.
    pub group: i32,
    /// Its session.
    pub session: i32,
    /// Its arguments.
    pub argv: &'a [&'a [u8]],
    /// Its executable.
    pub exe: Result<&'a Path, &'a str>,
    /// Its working directory.
    pub cwd: Result<&'a Path, &'a str>,
}

const CLOCK_WAS_SET: &str = "the clock was set since it started";

/// [`crate::model::Sign::Ledger`]: it was seen below a verified gateway. The ledger is that of this
/// boot.
#[must_use]
pub fn ledger(id: ProcessId, ledger: &Ledger) -> Seen {
    match ledger.descents.get(&id) {
        Some(descent) => Seen::Present(format!(
            "seen below the gateway, pid {}, on {}",
            descent.gateway.pid, descent.first_seen
        )),
        None => Seen::Absent,
    }
}

/// [`crate::model::Sign::Lease`]: its environment names a lease, or the gateway, of this state
/// directory.
#[must_use]
pub fn lease(origin: Result<&Origin, &str>, leases: &Leases) -> Seen {
    let origin = match origin {
        Ok(origin) => origin,
        Err(why) => return Seen::Unreadable(why.to_owned()),
    };
    let lease = origin.lease_id.as_deref();
    if let Some(id) = lease.filter(|id| leases.get(id).is_some()) {
        return Seen::Present(format!("lease {} of this state directory", short(id)));
    }
    match origin.instance_id.as_deref() {
        Some(id) if leases.has_instance(id) => {
            Seen::Present(format!("gateway instance {} of this state directory", short(id)))
        }
        Some(id) => Seen::Differs(format!("gateway instance {} is not this one's", short(id))),
        None => lease.map_or(Seen::Absent, |id| {
            Seen::Differs(format!("lease {} is none of this state directory", short(id)))
        }),
    }
}

/// [`crate::model::Sign::Record`]: a record names its pid with its start, its folder and its
/// command. Returns that record, too.
#[must_use]
pub fn record<'r>(
    candidate: &Candidate<'_>,
    records: &'r [Arc<AcpxRecord>],
) -> (Seen, Option<&'r Arc<AcpxRecord>>) {
    let mut nearest = Seen::Absent;
    for record in records.iter().filter(|record| record.pid == Some(candidate.id.pid)) {
        match compare(candidate, record) {
            Seen::Present(text) => return (Seen::Present(text), Some(record)),
            other if nearest == Seen::Absent => nearest = other,
            _ => {}
        }
    }
    (nearest, None)
}

/// Returns true if the record names this process by its pid and the time of its start. Nothing else
/// is compared: behind `npx` that is a launcher, whose folder and arguments are its own.
#[must_use]
pub fn names(record: &AcpxRecord, id: ProcessId, started_at: UnixMillis) -> bool {
    let is_near =
        |named: UnixMillis| named.since(started_at).max(started_at.since(named)) <= START_TOLERANCE;
    record.pid == Some(id.pid) && record.agent_started_at.is_some_and(is_near)
}

/// Compares a process with a record that names its pid.
fn compare(candidate: &Candidate<'_>, record: &AcpxRecord) -> Seen {
    let key = &record.session_key;
    let differs = |how: &str| {
        let pid = candidate.id.pid;
        Seen::Differs(format!("record {key} names pid {pid}, but {how}"))
    };
    if !candidate.clock_is_steady {
        return Seen::Unreadable(CLOCK_WAS_SET.to_owned());
    }
    let Some(named) = record.agent_started_at else {
        return differs("not when it started");
    };
    let apart = named.since(candidate.started_at).max(candidate.started_at.since(named));
    if apart > START_TOLERANCE {
        return differs(&format!("one that started at {named}"));
    }
    match candidate.cwd {
        Ok(cwd) if same_place(cwd, &record.cwd) => {}
        Ok(_) => return differs("its working directory is another one"),
        Err(why) => return Seen::Unreadable(format!("working directory: {why}")),
    }
    if !fits(&record.command, candidate.argv) {
        return differs("its command is another one");
    }
    Seen::Present(format!(
        "record {key} names pid {} and its start, {:.1} s apart",
        candidate.id.pid,
        apart.as_secs_f64()
    ))
}

/// [`crate::model::Sign::Wrapper`]: node or bun runs a wrapper script in `acpx` of the state
/// directory (2026.5.28 and later).
#[must_use]
pub fn wrapper(candidate: &Candidate<'_>, state_dir: &Path) -> Seen {
    let scripts = candidate.argv.iter().skip(1).take(2);
    let Some(script) = scripts.filter_map(|argument| wrapper_script(argument)).next() else {
        return Seen::Absent;
    };
    let lies_there = script.is_absolute()
        && script.parent().is_some_and(|folder| same_place(folder, &state_dir.join("acpx")));
    if !lies_there {
        return Seen::Differs("it runs a wrapper of another folder".to_owned());
    }
    match candidate.exe {
        Ok(exe) if is_runtime(exe) => {
            let name = script.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Seen::Present(format!("it runs {name} of this state directory"))
        }
        Ok(_) => Seen::Differs("it names a wrapper, but is neither node nor bun".to_owned()),
        Err(why) => Seen::Unreadable(format!("executable: {why}")),
    }
}

fn wrapper_script(argument: &[u8]) -> Option<&Path> {
    let path = Path::new(std::str::from_utf8(argument).ok()?);
    let name = path.file_name()?.to_str()?;
    name.strip_suffix("-acp-wrapper.mjs").filter(|rest| !rest.is_empty()).map(|_| path)
}

/// An executable that was replaced while it ran is shown as deleted.
fn is_runtime(exe: &Path) -> bool {
    let name = exe.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name.strip_suffix(" (deleted)").unwrap_or(name), "node" | "nodejs" | "bun")
}

/// [`crate::model::Sign::ControlGroup`]: it is in the control group of the gateway's service.
///
/// `unit` is what the gateway's environment names as its unit (`OPENCLAW_SYSTEMD_UNIT`), if it does.
/// A service that is not the gateway's own may hold anything: that of a terminal, of a scheduler,
/// of a process manager; and so may the one that clawarden itself runs in.
#[must_use]
pub fn control_group(
    process: Result<&str, &str>,
    gateway: Result<&str, &str>,
    own: Result<&str, &str>,
    unit: Option<&str>,
) -> Seen {
    let (process, gateway, own) = match (process, gateway, own) {
        (Ok(process), Ok(gateway), Ok(own)) => (process, gateway, own),
        (Err(why), ..) => return Seen::Unreadable(format!("its control group: {why}")),
        (_, Err(why), _) => return Seen::Unreadable(format!("the gateway's: {why}")),
        (.., Err(why)) => return Seen::Unreadable(format!("our own: {why}")),
    };
    if process != gateway {
        return Seen::Absent;
    }
    let name = gateway.rsplit('/').next().unwrap_or_default();
    let Some(stem) = name.strip_suffix(".service") else { return Seen::Absent };
    let is_its_own = stem.starts_with("openclaw")
        || unit.is_some_and(|unit| unit.strip_suffix(".service").unwrap_or(unit) == stem);
    if process == own {
        Seen::Differs(format!("{name}, in which clawarden runs, too"))
    } else if stem.starts_with("user@") || !is_its_own {
        Seen::Differs(format!("{name}, which is not the gateway's own"))
    } else {
        Seen::Present(format!("in {name} as the gateway is"))
    }
}

/// [`crate::model::Sign::Environment`]: its environment has a mark of a gateway, and leads to this
/// state directory.
#[must_use]
pub fn environment(origin: Result<&Origin, &str>) -> Seen {
    let origin = match origin {
        Ok(origin) => origin,
        Err(why) => return Seen::Unreadable(why.to_owned()),
    };
    let mark = match origin.shell.as_deref() {
        _ if origin.is_cli => "OPENCLAW_CLI=1",
        Some("acp") => "OPENCLAW_SHELL=acp",
        _ => return Seen::Absent,
    };
    match &origin.place {
        Place::Ours => Seen::Present(format!("{mark} and this state directory")),
        Place::Other(path) => {
            Seen::Differs(format!("{mark}, but state directory {}", path.display()))
        }
        Place::Unknown(why) => Seen::Unreadable(why.clone()),
    }
}

/// [`crate::model::Sign::Group`]: its process group or session is that of a gateway in the ledger.
///
/// The kernel gives no pid to another process as long as a group or session has its number. So the
/// number is the gateway's if that was alive when the process began, and if nothing else lives
/// under it now; `live` says what does.
#[must_use]
pub fn group(
    candidate: &Candidate<'_>,
    ledger: &Ledger,
    live: &dyn Fn(i32) -> Option<ProcessId>,
) -> Seen {
    let mut nearest = Seen::Absent;
    for (gateway, last_seen) in &ledger.gateways {
        let which = match gateway.pid {
            pid if pid < 2 || *gateway == candidate.id => continue,
            pid if pid == candidate.group => "process group",
            pid if pid == candidate.session => "session",
            _ => continue,
        };
        let pid = gateway.pid;
        nearest = if live(pid).is_some_and(|now| now != *gateway) {
            Seen::Differs(format!("its {which} {pid} is another process now"))
        } else if gateway.start_ticks > candidate.id.start_ticks {
            Seen::Differs(format!("the gateway, pid {pid}, is younger than it"))
        } else if !candidate.clock_is_steady {
            Seen::Unreadable(CLOCK_WAS_SET.to_owned())
        } else if *last_seen < candidate.started_at {
            Seen::Differs(format!("the gateway, pid {pid}, was last seen before it started"))
        } else {
            return Seen::Present(format!("its {which} is that of the gateway, pid {pid}"));
        };
    }
    nearest
}

/// [`crate::model::Sign::Workspace`]: it works in one of `workspaces`, which are those inside the
/// state directory, after symlinks.
#[must_use]
pub fn workspace(candidate: &Candidate<'_>, workspaces: &[impl AsRef<Path>]) -> Seen {
    let cwd = match candidate.cwd {
        Ok(cwd) => cwd,
        Err(why) => return Seen::Unreadable(format!("working directory: {why}")),
    };
    match workspaces.iter().map(AsRef::as_ref).find(|workspace| cwd.starts_with(workspace)) {
        Some(workspace) => Seen::Present(format!("it works in {}", workspace.display())),
        None => Seen::Absent,
    }
}

/// The start of an id, which is enough for people.
fn short(id: &str) -> String {
    const SHOWN: usize = 8;
    match id.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &id[..end]),
        None => id.to_owned(),
    }
}

#[cfg(test)]
mod tests;
