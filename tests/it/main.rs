//! Integration tests of the whole crate.
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod acp;
mod architecture;
mod capture;
mod cli;
mod crash;
mod hostile;
mod process;
#[cfg(target_os = "linux")]
#[path = "../live/proxy.rs"]
mod proxy;
mod race;
mod readme;
mod scenario;
mod table;
