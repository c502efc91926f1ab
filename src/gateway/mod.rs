//! Speaks with the gateway, over its WebSocket RPC.
//!
//! Knows no policy and judges nothing. Message text is neither parsed, kept nor logged.

mod backoff;
mod call;
mod conversation;
mod device;
mod encode;
mod errand;
#[cfg(test)]
mod fake;
mod fault;
mod frame;
mod hello;
mod keeper;
mod lanes;
mod line;
mod link;
mod list;
mod pinned;
mod ready;
#[cfg(test)]
mod replay;
mod socket;
mod spawn;
mod speak;
#[cfg(test)]
mod stop_tests;
mod target;
#[cfg(test)]
mod tests;

pub use link::{Bounds, IsRight, Link, LinkSettings};
pub use speak::{Call, CallError, Hear, Reply, Scope, Spawn, Speak};
pub use target::{Credentials, Pin, Secret, Target};
