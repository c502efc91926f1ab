//! `demo`: the real thing on made-up state directories.
//!
//! Everything runs as in production: the same readers, rules, actions and journal. The state
//! directories are made up, in temporary folders that are gone afterwards. So are the processes of
//! the first; the last act ends a real one, which the demonstration starts itself.

#[cfg(target_os = "linux")]
mod reap;
#[cfg(not(target_os = "linux"))]
#[path = "reap_none.rs"]
mod reap;
mod stage;

use std::io;

use serde_json::{Value, json};

use super::open::clock;
use super::{Failure, Global, output};
use crate::act::{self, Reach};
use crate::config::{self, Config};
use crate::exit::Exit;
use crate::journal::{self, Instance, Journal};
use crate::model::{ActionId, Mode, Outcome};
use crate::observe::Observer;
use crate::observe::files::Keep;
use crate::observe::locate::{Request, locate};
use crate::pass::Passes;
use crate::report::{self, PassReport};
use reap::Reaping;
use stage::Stage;

/// A run on made-up state directories
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Demo {
    /// Start the process that the last act is about, and end it with the demonstration
    #[arg(long, hide = true, value_name = "SECONDS")]
    orphan: Option<String>,
}

const INTRODUCTION: &str = "\
A made-up OpenClaw 2026.4.15: its gateway was killed yesterday and restarted two hours ago.
  agent:main:telegram   says running since before the restart: it looks busy for ever (#59878)
  agent:main:nightly    locked by a command-line run that was killed
  agent:main:main       a healthy run, busy right now
Everything is in temporary folders. Nothing of yours is touched.
";

const END: &str = "
That was all of it; the temporary folders are gone.
On your own gateway, begin with:  clawarden plan
";

pub(super) fn demo(global: &Global, command: &Demo) -> Result<Exit, Failure> {
    if let Some(argument) = &command.orphan {
        return reap::guard(argument);
    }
    let now = clock()?.now();
    let stage = Stage::restarted(now).map_err(no_folder)?;
    if global.json {
        let first = pass(&stage, Reach::Live)?;
        let (last, exit) = json_of_last();
        let mut object = report::json(&first);
        object["last_act"] = last;
        output(&format!("{object}\n"))?;
        return Ok(worse(exit_of_first(&first), exit));
    }
    let first = first_act(global, &stage)?;
    let exit = last_act(global)?;
    output(END)?;
    Ok(worse(first, exit))
}

fn no_folder(error: io::Error) -> Failure {
    Failure::new(Exit::State, format!("failed to make a temporary folder: {error}"))
}

fn first_act(global: &Global, stage: &Stage) -> Result<Exit, Failure> {
    output(INTRODUCTION)?;
    command("clawarden plan --all")?;
    let paint = global.color.paint();
    show(&report::text(&pass(stage, Reach::DryRun)?, paint), stage)?;
    command("clawarden run --once")?;
    let mut report = pass(stage, Reach::Live)?;
    report.all = false;
    show(&report::text(&report, paint), stage)?;
    command("clawarden undo 2")?;
    undo(stage)?;
    Ok(exit_of_first(&report))
}

/// What this host does not allow is said in a line, and is no failure.
fn last_act(global: &Global) -> Result<Exit, Failure> {
    let stage = Stage::crashed().map_err(no_folder)?;
    let reaping = match Reaping::prepare(&stage) {
        Ok(reaping) => reaping,
        Err(why) => return left_out(&why),
    };
    output(&reaping.introduction())?;
    command("clawarden run --once")?;
    let paint = global.color.paint();
    match watched(&stage, &reaping) {
        Err(why) => left_out(&why),
        Ok((report, is_over)) => {
            show(&report::text(&report, paint), &stage)?;
            if is_over {
                output(&format!("\nThe kernel says that pid {} is gone.\n", reaping.pid()))?;
            }
            Ok(exit_of_last(&report, is_over))
        }
    }
}

fn left_out(why: &str) -> Result<Exit, Failure> {
    let why = crate::text::escape(why);
    output(&format!("\nThis host does not let the end of a process be shown: {why}.\n"))?;
    Ok(Exit::Success)
}

fn json_of_last() -> (Value, Exit) {
    let played = || {
        let stage = Stage::crashed().map_err(|error| error.to_string())?;
        watched(&stage, &Reaping::prepare(&stage)?)
    };
    match played() {
        Ok((report, is_over)) => (report::json(&report), exit_of_last(&report, is_over)),
        Err(why) => (json!({ "left_out": why }), Exit::Success),
    }
}

/// Returns what became of the process, and whether it is gone.
fn watched(stage: &Stage, reaping: &Reaping) -> Result<(PassReport, bool), String> {
    let watch = |passes: &mut Passes| {
        let report = reaping.watch(passes);
        Ok(report.map(|report| (report, reaping.is_over(passes))))
    };
    let watched = with_passes(stage, reaping.config.clone(), Reach::Live, watch);
    watched.unwrap_or_else(|failure| Err(failure.to_string()))
}

fn command(line: &str) -> Result<(), Failure> {
    output(&format!("\n$ {line}\n"))
}

/// Paths of the temporary folder would only distract.
fn show(text: &str, stage: &Stage) -> Result<(), Failure> {
    output(&text.replace(&stage.home().to_string_lossy().into_owned(), "~"))
}

/// The demonstration is also a self-test: it fails if anything but the two faults is repaired.
fn exit_of_first(report: &PassReport) -> Exit {
    let summary = report.summary();
    if summary.acted == 2 && summary.failed + summary.unverified == 0 {
        Exit::Success
    } else {
        Exit::ActionFailed
    }
}

/// The end of the process, where it was tried.
fn exit_of_last(report: &PassReport, is_over: bool) -> Exit {
    if report.summary().acted == 1 && is_over { Exit::Success } else { Exit::ActionFailed }
}

fn worse(first: Exit, second: Exit) -> Exit {
    if first == Exit::Success { second } else { first }
}

fn pass(stage: &Stage, reach: Reach) -> Result<PassReport, Failure> {
    with_passes(stage, configuration(stage)?, reach, |passes| {
        passes.observer.keep(Keep::All);
        let mut report = passes.run(&|| false)?;
        report.all = true;
        Ok(report)
    })
}

fn undo(stage: &Stage) -> Result<(), Failure> {
    let performed = with_passes(stage, configuration(stage)?, Reach::Live, |passes| {
        let undo = |actuator: act::Actuator<'_>| act::undo(&actuator, ActionId(2), ActionId(3));
        passes
            .with_actuator(&|_| true, undo)
            .map_err(|error| Failure::failed_to(Exit::ActionFailed, &error))
    })?;
    match performed.outcome {
        Outcome::Done => output("action 2 is undone; everything is as it was before\n"),
        other => Err(Failure::new(Exit::ActionFailed, format!("the undo ended as {other}"))),
    }
}

fn configuration(stage: &Stage) -> Result<Config, Failure> {
    let mut config = config::check(&stage.configuration(), &|_| None)?.config;
    // A made-up gateway cannot be asked: they could only say so, of everything that is healthy.
    config.policies.hung_lane.mode = Mode::Off;
    config.policies.held_lock.mode = Mode::Off;
    config.policies.gateway_health.mode = Mode::Off;
    Ok(config)
}

fn with_passes<T>(
    stage: &Stage,
    config: Config,
    reach: Reach,
    work: impl FnOnce(&mut Passes) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let env = stage.env();
    let state_dir = Some(stage.state_dir());
    let install = locate(&Request { state_dir, env: &*env })?;
    let dir = journal::prepare(&stage.own_state(), &install.state_dir)?;
    let instance = Instance::take(&dir)?;
    let journal = Journal::open(&instance, stage.clock.now())?.journal;
    let observer = Observer::new(install, &stage.proc_root, env);
    let mut passes = Passes::new(config, observer, journal, dir, reach, stage.clock);
    work(&mut passes)
}
