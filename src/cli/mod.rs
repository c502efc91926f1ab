//! The command line. One file per command.

mod color;
mod config;
mod controls;
mod demo;
mod explain;
mod failure;
mod history;
mod open;
mod restore;
mod run;
mod status;
mod tasks;
mod tombstones;
mod undo;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use color::ColorChoice;
pub use failure::Failure;

use crate::exit::Exit;
use crate::logging;

/// A watchdog that runs beside an OpenClaw gateway and repairs what it leaves behind.
#[derive(Debug, Parser)]
#[command(name = "clawarden", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 an action failed or could not be verified, 10 findings and \
    nothing done, 11 acted and all verified (both with --detailed-exit-code), 64 wrong command line, \
    69 the state directory or the host cannot be looked at, 73 own state cannot be written, \
    75 another instance runs, 77 not permitted, 78 bad configuration."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
}

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// The configuration file [default: the user's, else the system's, else built in]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The gateway's state directory [default: found the way the gateway finds it]
    #[arg(long, global = true, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// One JSON object on standard output instead of text
    #[arg(long, global = true)]
    json: bool,
    /// Colour the output
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    /// Log more (twice: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Log less (twice: errors only)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    quiet: u8,
    /// Take every process fact from this captured table instead of the kernel
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true)]
    proc_root: Option<PathBuf>,
    /// Write log lines as text or JSON [default: the journal if connected to it, else text]
    #[arg(long, global = true, value_enum, hide_short_help = true)]
    log_format: Option<LogFormat>,
}

impl Global {
    /// How to call clawarden again for the same thing.
    fn invocation(&self) -> String {
        let mut words = "clawarden".to_owned();
        let named = [("--config", &self.config), ("--state-dir", &self.state_dir)];
        for (flag, path) in named {
            if let Some(path) = path {
                words.push_str(&format!(
                    " {flag} {}",
                    crate::report::quoted(&path.to_string_lossy())
                ));
            }
        }
        words
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch and repair until told to stop; with --once, one pass
    Run(run::Run),
    /// Show everything that would be done, and everything that is held and why; change nothing
    Plan(run::Plan),
    /// Say everything about one lane, lock, task or process: the evidence, the verdict, the next step
    Explain(explain::Explain),
    /// Show the gateway, what is held, what was done lately
    Status(status::Status),
    /// Background tasks: list them, say everything about one, take one out of every place
    Tasks(tasks::Tasks),
    /// Show what was found and done, from the journal
    History(history::History),
    /// Show to whom the conversations of ACP agents belong
    #[command(subcommand)]
    Tombstones(tombstones::Tombstones),
    /// Put back what an action moved or rewrote
    Undo(undo::Undo),
    /// Do nothing for a while
    Pause(controls::Pause),
    /// End a pause
    Resume,
    /// Leave one lane or lock alone for a while
    Protect(controls::Protect),
    /// End a protection
    Unprotect(controls::Unprotect),
    /// Check a configuration file: every mistake at once, with its place
    CheckConfig(config::Check),
    /// Show, describe or write the configuration
    #[command(subcommand)]
    Config(config::Config),
    /// A self-contained run on a made-up state directory; touches nothing of yours
    Demo(demo::Demo),
}

/// Runs the program.
#[must_use]
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are asked for, and come on standard output.
            let asked = !error.use_stderr();
            let _ = error.print();
            return if asked { Exit::Success } else { Exit::Usage };
        }
    };
    match dispatch(&cli) {
        Ok(exit) => exit,
        Err(failure) => failure.print(),
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    let daemon = match &cli.command {
        None => true,
        Some(Command::Run(run)) => !run.once,
        Some(_) => false,
    };
    start_logging(global, daemon)?;
    match &cli.command {
        None => run::run(global, &run::Run::default()),
        Some(Command::Run(command)) => run::run(global, command),
        Some(Command::Plan(command)) => run::plan(global, command),
        Some(Command::Explain(command)) => explain::explain(global, command),
        Some(Command::Status(command)) => status::status(global, command),
        Some(Command::Tasks(command)) => tasks::tasks(global, command),
        Some(Command::History(command)) => history::history(global, command),
        Some(Command::Tombstones(command)) => tombstones::tombstones(global, command),
        Some(Command::Undo(command)) => undo::undo(global, command),
        Some(Command::Pause(command)) => controls::pause(global, command),
        Some(Command::Resume) => controls::resume(global),
        Some(Command::Protect(command)) => controls::protect(global, command),
        Some(Command::Unprotect(command)) => controls::unprotect(global, command),
        Some(Command::CheckConfig(command)) => config::check(global, command),
        Some(Command::Config(command)) => config::config(global, command),
        Some(Command::Demo(command)) => demo::demo(global, command),
    }
}

/// A command says what it has to say on standard output; only the daemon has a log to tell.
fn start_logging(global: &Global, daemon: bool) -> Result<(), Failure> {
    let more = i8::try_from(global.verbose).unwrap_or(2) - i8::try_from(global.quiet).unwrap_or(2);
    let options = logging::Options {
        format: match global.log_format {
            None if daemon => logging::Format::Auto,
            None | Some(LogFormat::Text) => logging::Format::Text,
            Some(LogFormat::Json) => logging::Format::Json,
        },
        color: global.color.into(),
        verbosity: if daemon { more } else { more - 2 },
    };
    logging::init(&options).map_err(|error| Failure::usage(&error))
}

/// Reads a length of time from the command line, such as `90s`, `10m`, `2h` or `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    crate::config::parse_duration(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a time with a unit, such as `90s`, `10m`, `2h` or `7d`".to_owned())
}

/// The whole command line, for checks of the documentation.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Writes to standard output. A reader that has gone away, such as `head`, is no failure.
fn output(text: &str) -> Result<(), Failure> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let text = format!("failed to write to standard output: {error}");
            Err(Failure::new(Exit::ActionFailed, text))
        }
        _ => Ok(()),
    }
}
