//! The program, as a person, a script and a service manager use it.

mod config;
mod daemon;
mod exit_codes;
mod output;
pub(crate) mod stage;
mod switches;
