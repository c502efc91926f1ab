//! The program, as a person, a script and a service manager use it.

mod config;
mod daemon;
mod demo;
mod exit_codes;
mod output;
mod processes;
mod reaper;
pub(crate) mod stage;
mod switches;
