//! What the gateway writes about the agents it starts, and what shows whose a process is.
//!
//! What sessions they work for, and for whom, is said by the session stores and databases
//! ([`AcpReader`]). Whose a process is has three sources: leases ([`LeaseReader`]), the session
//! records of acpx ([`RecordReader`]), and the environment that a process was started with
//! ([`Origin`]). [`signs`] compares them with one process. None of it is a judgement: several signs make a proof, and none of them says that a
//! process is not needed any more.

mod fit;
mod glance;
mod lease;
mod lease_file;
mod lease_rows;
mod leases;
mod origin;
mod record;
mod records;
mod sessions;
pub mod signs;
mod workspaces;

pub use lease::{Lease, LeaseState, Leases};
pub use leases::LeaseReader;
pub use origin::{Origin, mark};
pub use records::{RecordReader, RecordsRead};
pub use sessions::AcpReader;
pub use workspaces::{RecordFolder, WorkspaceReader, Workspaces};

use super::files::PID_MAX;
use crate::format::Loose;

/// Returns the pid that a number in a file names. 0, 1 and negative numbers address groups and
/// init, and no system gives one above 4,194,304.
fn pid_of(value: &Loose<'_>) -> Option<i32> {
    let pid = i32::try_from(value.integer().value()?).ok()?;
    (pid > 1 && pid <= PID_MAX).then_some(pid)
}
