//! The facts and decisions that cross module boundaries.
//!
//! Plain values only. Nothing in this module reads a clock, a file or a process table, so
//! every type here can be built by hand in a test.

mod action;
mod evidence;
mod field;
mod gateway;
mod history;
mod host;
mod id;
mod lane;
mod lock;
mod process;
#[cfg(test)]
pub(crate) mod sample;
mod snapshot;
mod time;
mod verdict;
mod version;

pub use action::{Action, FileStamp, Outcome, RowEdit, WriteProtocol};
pub use evidence::Evidence;
pub use field::Field;
pub use gateway::{Era, Gateway, GatewayProcess, Status};
pub use history::{Controls, History, HostRecord, Protection, SubjectHistory};
pub use host::{BootId, Host};
pub use id::{ActionId, AgentId, SessionId, SessionKey};
pub use lane::{Lane, LaneStatus, Residue, Row, Store, StoreFacts, Transcript};
pub use lock::{Claim, Lock, LockStamp, Payload};
pub use process::{ProcessId, Sighting};
pub use snapshot::{Gap, Snapshot, Source};
pub use time::UnixMillis;
pub(crate) use verdict::span;
pub use verdict::{ActReason, Decision, HoldReason, Mode, Policy, Subject, SubjectKind, Verdict};
pub use version::Version;
