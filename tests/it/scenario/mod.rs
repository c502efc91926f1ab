//! Whole reports and whole repairs on captured states of real gateways.
//!
//! The expectations are those of `tests/fixtures/README.md`, not what the program happens to say.

mod coverage;
mod dead_lock;
mod processes;
mod reports;
mod restore;
mod stale_lane;
mod tombstone;
mod undone;
mod zombie_task;
