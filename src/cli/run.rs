//! `run`, `run --once` and `plan`.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::open::{Acting, Setup, setup};
use super::{Failure, Global};
use crate::config;
use crate::daemon::{self, PassSummary, Settings, Wake};
use crate::exit::Exit;
use crate::journal::InstanceError;
use crate::model::{Decision, HoldReason, Mode, ProcessId};
use crate::observe::process::Lineage;
use crate::observe::watch::WatchSet;
use crate::pass::{PassError, Passes};
use crate::report::{self, PassReport};

/// Watch and repair until told to stop
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Run {
    /// Run exactly one pass, then exit
    #[arg(long)]
    pub(super) once: bool,
    /// Check every action as far as possible, and take none
    #[arg(long, requires = "once")]
    pub(super) dry_run: bool,
    #[command(flatten)]
    pub(super) listing: Listing,
}

/// Show what would be done
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Plan {
    #[command(flatten)]
    listing: Listing,
}

#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct Listing {
    /// List healthy lanes and locks too
    #[arg(long)]
    pub(super) all: bool,
    /// Exit 10 if something is wrong and nothing was done about it, 11 if all of it was repaired
    #[arg(long)]
    pub(super) detailed_exit_code: bool,
}

/// `plan` is `run --once --dry-run`.
pub(super) fn plan(global: &Global, command: &Plan) -> Result<Exit, Failure> {
    let run = Run { once: true, dry_run: true, listing: command.listing.clone() };
    self::run(global, &run)
}

pub(super) fn run(global: &Global, command: &Run) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    if !command.once {
        return watch(global, setup);
    }
    if command.dry_run {
        return once(global, &command.listing, &mut setup.looking()?, Vec::new());
    }
    let acting = setup.acting()?;
    if let Some(loss) = acting.loss() {
        let _ = writeln!(std::io::stderr(), "clawarden: {loss}");
    }
    let Acting { mut passes, instance: _instance, .. } = acting;
    let recovered = passes.recover()?;
    let exit = once(global, &command.listing, &mut passes, recovered)?;
    passes.prune()?;
    Ok(exit)
}

/// One pass; more looks if the first left something that one look cannot prove.
fn once(
    global: &Global,
    listing: &Listing,
    passes: &mut Passes,
    recovered: Vec<report::Recovered>,
) -> Result<Exit, Failure> {
    passes.explains_healthy = listing.all;
    let mut report = passes.run(&|| false)?;
    for earlier in 0..LOOKS_MAX {
        if !wants_another_look(&report, earlier) {
            break;
        }
        let gap = passes.config.confirm.gap;
        progress(&format!("looking again in {} s, to be sure", gap.as_secs()));
        passes.wait(gap);
        report = passes.run(&|| false)?;
    }
    report.all = listing.all;
    report.invocation = global.invocation();
    report.recovered = recovered;
    print(global, &report)?;
    Ok(report.exit(listing.detailed_exit_code))
}

/// What wants more looks than this is left to the daemon.
const LOOKS_MAX: usize = 9;

fn wants_another_look(report: &PassReport, earlier: usize) -> bool {
    report.entries.iter().any(|entry| match entry.verdict.decision {
        Decision::Hold(HoldReason::NotConfirmed { .. }) => true,
        // What a process uses is only known at the second look.
        Decision::Hold(HoldReason::NotIdle) => earlier == 0,
        Decision::Act(..) | Decision::Observe(..) | Decision::Hold(_) => false,
    })
}

/// A line for people who wait; programs do not see it.
fn progress(text: &str) {
    if std::io::stderr().is_terminal() {
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

fn print(global: &Global, report: &PassReport) -> Result<(), Failure> {
    let text = if global.json {
        format!("{}\n", report::json(report))
    } else {
        report::text(report, global.color.paint())
    };
    super::output(&text)
}

fn watch(global: &Global, setup: Setup) -> Result<Exit, Failure> {
    let interval = setup.loaded.config.interval;
    let files = config::watched(global.config.as_deref(), &super::open::env);
    let acting = setup.watching()?;
    if let Some(loss) = acting.loss() {
        tracing::error!("{loss}");
    }
    let Acting { mut passes, instance: _instance, .. } = acting;
    passes.recover()?;
    let settings = Settings { interval, config: files };
    passes.explains_healthy = false;
    let mut watchdog = Watchdog {
        passes,
        config: global.config.clone(),
        json: global.json,
        failing: None,
        gateway: String::new(),
        pruned: 0,
    };
    daemon::run(settings, &mut watchdog)
        .map_err(|error| Failure::new(Exit::ActionFailed, crate::error::chain(&error)))?;
    Ok(Exit::Success)
}

/// The passes of a daemon.
struct Watchdog {
    passes: Passes,
    config: Option<PathBuf>,
    /// Whether each pass is written to standard output.
    json: bool,
    /// What the last pass failed with: said once, not at every pass.
    failing: Option<String>,
    /// The gateway of the last pass, in words: said when it changes.
    gateway: String,
    /// At which pass the journal was pruned last.
    pruned: u64,
}

/// How many passes lie between two prunings of the journal: about a day at 30 s.
const PRUNE_EVERY: u64 = 2_880;

impl daemon::Pass for Watchdog {
    fn pass(&mut self, wake: &Wake, stop: &dyn Fn() -> bool) -> PassSummary {
        tracing::debug!("pass {}: {wake}", self.passes.count + 1);
        if self.failing.is_some() {
            // What the failed pass may have left in doubt is looked at before anything else.
            if let Err(error) = self.passes.recover() {
                tracing::debug!("failed to {}", crate::error::chain(&error));
            }
        }
        let result = self.passes.run(stop);
        self.prune();
        let watch = WatchSet { folders: self.passes.observer.folders() };
        match result {
            Ok(report) => {
                self.failing = None;
                self.tell_gateway(&report);
                if self.json {
                    // A reader that has gone away must not end the watch.
                    let _ = super::output(&format!("{}\n", report::json(&report)));
                }
                PassSummary {
                    status_line: report::status_line(&report),
                    watch,
                    holders: self.holders(&report),
                    lineage: self.lineage(&report),
                    next_look: next_look(&report, self.passes.config.confirm.gap),
                }
            }
            Err(error) => {
                let text = format!("failed to {}", crate::error::chain(&error));
                // An `undo` that takes long is no failure of ours, and a stop is none at all.
                let is_none = matches!(
                    error,
                    PassError::Busy(InstanceError::Acting { .. }) | PassError::Stopped
                );
                if self.failing.as_deref() != Some(&text) && !is_none {
                    tracing::error!("{text}; nothing is done until this is mended");
                }
                self.failing = Some(text.clone());
                PassSummary { status_line: text, watch, ..PassSummary::default() }
            }
        }
    }

    fn reload(&mut self) -> Result<Duration, String> {
        let loaded = config::load(self.config.as_deref(), &super::open::env)
            .map_err(|problems| problems.to_string())?;
        let interval = loaded.config.interval;
        self.passes.configure(loaded.config);
        Ok(interval)
    }
}

impl Watchdog {
    /// Says at the first pass what is watched, and later when the gateway comes or goes.
    fn tell_gateway(&mut self, report: &PassReport) {
        let gateway = report::gateway_words(&report.gateway);
        if self.gateway != gateway {
            tracing::info!("{gateway}");
            self.gateway = gateway;
        }
    }

    fn prune(&mut self) {
        let count = self.passes.count;
        if count > 1 && count - self.pruned < PRUNE_EVERY {
            return;
        }
        self.pruned = count;
        if let Err(error) = self.passes.prune() {
            tracing::warn!("failed to {}", crate::error::chain(&error));
        }
    }

    /// Processes whose end is worth a look at once: the gateway, and live holders of locks.
    fn holders(&self, report: &PassReport) -> Vec<ProcessId> {
        if !self.passes.observer.is_live() {
            return Vec::new();
        }
        let mut holders: Vec<_> = report.gateway.process.iter().map(|process| process.id).collect();
        holders.extend(&report.holders);
        holders.sort_unstable();
        holders.dedup();
        holders
    }

    /// The gateway and everything below it, if it matters who descends from it.
    fn lineage(&self, report: &PassReport) -> Option<Lineage> {
        let policies = &self.passes.config.policies;
        let modes = [
            policies.orphan_process.mode,
            policies.leaked_process.mode,
            policies.runaway_agent.mode,
        ];
        if !self.passes.observer.is_live() || modes == [Mode::Off; 3] {
            return None;
        }
        let root = report.gateway.process?.id;
        Some(Lineage { root, descendants: report.descendants.clone() })
    }
}

/// Returns when the first of what is held becomes due.
fn next_look(report: &PassReport, confirm_gap: Duration) -> Option<Duration> {
    let due = |entry: &report::Entry| match &entry.verdict.decision {
        Decision::Hold(HoldReason::NotConfirmed { .. }) => Some(confirm_gap),
        Decision::Hold(why) => why.due_in(),
        Decision::Act(..) | Decision::Observe(..) => None,
    };
    report.entries.iter().filter_map(due).min()
}
