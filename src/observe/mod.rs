//! Looks at the world. Changes nothing, judges nothing.

mod access;
pub mod acp;
mod agents;
mod byte_lock;
mod columns;
pub mod era;
pub mod files;
pub mod gateway;
mod holders;
pub mod host;
mod kept;
mod lane_rows;
pub mod ledger;
pub mod locate;
mod log;
mod memory;
mod observer;
pub mod process;
mod settings;
pub mod sqlite;
mod tasks;
mod vitals;
pub mod watch;

pub use access::Access;
pub use memory::{Memory, memory};
pub use observer::{LanePlace, ObserveError, Observer, PROC, Sought, Variables};
