//! `demo`: the real thing on a made-up state directory.
//!
//! Everything runs as in production: the same readers, rules, actions and journal. Only the
//! state directory and the process table are made up, in a temporary folder that is gone
//! afterwards. No gateway, no network, no process of yours is looked at.

mod stage;

use super::open::clock;
use super::{Failure, Global, output};
use crate::act::{self, Reach};
use crate::config;
use crate::exit::Exit;
use crate::journal::{self, Instance, Journal};
use crate::model::{ActionId, Outcome};
use crate::observe::Observer;
use crate::observe::files::Keep;
use crate::observe::locate::{Request, locate};
use crate::pass::Passes;
use crate::report::{self, PassReport};
use stage::Stage;

/// A run on a made-up state directory
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Demo {}

const INTRODUCTION: &str = "\
A made-up OpenClaw 2026.4.15: its gateway was killed yesterday and restarted two hours ago.
  agent:main:telegram   says running since before the restart: it looks busy for ever (#59878)
  agent:main:nightly    locked by a command-line run that was killed
  agent:main:main       a healthy run, busy right now
Everything is in a temporary folder. Nothing of yours is looked at.
";

pub(super) fn demo(global: &Global, _: &Demo) -> Result<Exit, Failure> {
    let now = clock()?.now();
    let stage = Stage::set(now).map_err(|error| {
        Failure::new(Exit::State, format!("failed to make a temporary folder: {error}"))
    })?;
    if global.json {
        let report = pass(&stage, Reach::Live)?;
        output(&format!("{}\n", report::json(&report)))?;
        return Ok(exit(&report));
    }
    output(INTRODUCTION)?;
    command("clawarden plan --all")?;
    let paint = global.color.paint();
    show(&report::text(&pass(&stage, Reach::DryRun)?, paint), &stage)?;
    command("clawarden run --once")?;
    let mut report = pass(&stage, Reach::Live)?;
    report.all = false;
    show(&report::text(&report, paint), &stage)?;
    command("clawarden undo 2")?;
    undo(&stage)?;
    output(
        "\nThat was all of it; the temporary folder is gone.\nOn your own gateway, begin with:  clawarden plan\n",
    )?;
    Ok(exit(&report))
}

fn command(line: &str) -> Result<(), Failure> {
    output(&format!("\n$ {line}\n"))
}

/// Paths of the temporary folder would only distract.
fn show(text: &str, stage: &Stage) -> Result<(), Failure> {
    output(&text.replace(&stage.home().to_string_lossy().into_owned(), "~"))
}

/// The demonstration is also a self-test: it fails if anything but the two faults is repaired.
fn exit(report: &PassReport) -> Exit {
    let summary = report.summary();
    if summary.acted == 2 && summary.failed + summary.unverified == 0 {
        Exit::Success
    } else {
        Exit::ActionFailed
    }
}

fn pass(stage: &Stage, reach: Reach) -> Result<PassReport, Failure> {
    with_passes(stage, reach, |passes| {
        passes.observer.keep(Keep::All);
        let mut report = passes.run(&|| false)?;
        report.all = true;
        Ok(report)
    })
}

fn undo(stage: &Stage) -> Result<(), Failure> {
    let performed = with_passes(stage, Reach::Live, |passes| {
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

fn with_passes<T>(
    stage: &Stage,
    reach: Reach,
    work: impl FnOnce(&mut Passes) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let loaded = config::load(None, &|_| None)?;
    let env = stage.env();
    let state_dir = Some(stage.state_dir().to_owned());
    let install = locate(&Request { state_dir, env: &*env })?;
    let dir = journal::prepare(&stage.own_state(), &install.state_dir)?;
    let instance = Instance::take(&dir)?;
    let journal = Journal::open(&instance, stage.now)?.journal;
    let observer = Observer::new(install, &stage.proc_root(), env);
    let clock = crate::clock::Clock::Frozen(stage.now);
    let mut passes = Passes::new(loaded.config, observer, journal, dir, reach, clock);
    work(&mut passes)
}
