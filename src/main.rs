//! The `clawarden` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    clawarden::cli::main().into()
}
