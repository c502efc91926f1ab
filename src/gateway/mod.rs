//! Speaks with the gateway, over its WebSocket RPC.
//!
//! Knows no policy and judges nothing. Message text is neither parsed, kept nor logged.

mod speak;

pub use speak::{Call, CallError, Reply, Scope, Speak};
