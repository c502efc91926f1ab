//! The facts and decisions that cross module boundaries.
//!
//! Plain values only. Nothing in this module reads a clock, a file or a process table, so
//! every type here can be built by hand in a test.

mod acp;
mod action;
mod agent;
mod call;
mod capability;
mod evidence;
mod family;
mod field;
mod gateway;
mod guard;
mod history;
mod host;
mod id;
mod lane;
mod ledger;
mod lock;
mod process;
mod purge;
mod reach;
mod reason;
mod record;
mod restore;
mod rpc;
#[cfg(test)]
pub(crate) mod sample;
mod snapshot;
mod span;
mod task;
mod time;
mod tombstone;
mod verdict;
mod version;
mod vitals;

pub use acp::{AcpMetadata, AcpSession, BackingId};
pub use action::{
    Action, EndCause, FileStamp, Outcome, RecordClose, RowEdit, TreeEnd, WriteProtocol,
};
pub use agent::{
    Agent, Bond, Contact, Cpu, End, EndKind, Member, Ownership, Peer, Place, Recent, Seen, Sign,
    Stdio,
};
pub use call::{LaneCall, LaneSight, Rung, Waiting};
pub use capability::{Capabilities, Configured, Deadline, Effect, Reaches, RunKind, Work};
pub use evidence::Evidence;
pub use family::{Argument, Family, Kind, Mark, Part, Pattern};
pub use field::Field;
pub use gateway::{Era, Gateway, GatewayProcess, Status};
pub use guard::{Guard, Guarded};
pub use history::{Controls, History, HostRecord, Protection, SubjectHistory};
pub use host::{BootId, Host};
pub use id::{ActionId, AgentId, SessionId, SessionKey};
pub use lane::{Lane, LaneStatus, Residue, Row, Store, StoreFacts, Transcript};
pub use ledger::{Descent, Ledger};
pub use lock::{Claim, Lock, LockStamp, Payload};
pub use process::{ProcessId, Sighting};
pub use purge::{Cell, RowCopy, TaskPurge};
pub use reach::{GatewayUrl, Given, SecretPlace};
pub use reason::{ActReason, HoldReason};
pub use record::{AcpxRecord, RecordMode};
pub use restore::{Authority, Restore};
pub use rpc::{
    Answers, LiveLane, LiveLanes, Lost, Rpc, RpcFailure, RpcFault, RunId, other_lane_of,
};
pub use snapshot::{Gap, Snapshot, Source};
pub(crate) use span::span;
pub use task::{ChildRow, Delivery, SubagentRun, Task, TaskId, TaskRuntime, TaskStatus};
pub use time::UnixMillis;
pub use tombstone::{
    BackingFacts, Tombstone, TombstoneEvent, TombstoneEventKind, TombstoneState, Tombstones,
};
pub use verdict::{Decision, Looks, Mode, Policy, Subject, SubjectKind, Verdict};
pub use version::Version;
pub use vitals::{Child, EndedTool, EventLoop, LogSign, Vitals};
