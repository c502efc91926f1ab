//! Opens what commands work on: configuration, state directory, journal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Failure, Global};
use crate::act::Reach;
use crate::clock::{Clock, FROZEN};
use crate::config::{self, Loaded};
use crate::exit::Exit;
use crate::gateway::{Bounds, Link, LinkSettings, Scope};
use crate::journal::{self, Instance, Journal};
use crate::model::{ProcessId, SessionKey, Sighting, UnixMillis};
use crate::observe::files::Keep;
use crate::observe::locate::{Install, Request, locate};
use crate::observe::process::{Table, listens_alone, owns_listener};
use crate::observe::{Observer, PROC};
use crate::pass::Passes;

/// The configuration and the state directory that a command line means.
pub(super) struct Setup {
    pub(super) loaded: Loaded,
    pub(super) install: Install,
    pub(super) clock: Clock,
    home: PathBuf,
    proc_root: PathBuf,
}

pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Reads the clock of judgements.
pub(super) fn clock() -> Result<Clock, Failure> {
    Clock::from_env().map_err(|text| {
        let text = crate::text::escape(&text).into_owned();
        Failure::new(Exit::Usage, format!("{FROZEN}={text} is no RFC 3339 time"))
    })
}

/// Finds configuration and state directory. Changes nothing.
pub(super) fn setup(global: &Global) -> Result<Setup, Failure> {
    let clock = clock()?;
    let loaded = config::load(global.config.as_deref(), &env)?;
    let state_dir = global.state_dir.clone().or_else(|| loaded.config.state_dir.clone());
    let install = locate(&Request { state_dir, env: &env })?;
    let home = journal::state_home(&|name| std::env::var_os(name))?;
    let proc_root = global.proc_root.clone().unwrap_or_else(|| PROC.into());
    Ok(Setup { loaded, install, clock, home, proc_root })
}

impl Setup {
    /// The current instant of judgements.
    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// The subject that a command line means: reports cut the state directory from the path of
    /// a lock, and no session key looks like what is left; a pid means the process that has it
    /// now, unless a lane is called so.
    pub(super) fn subject(&self, text: &str) -> String {
        if text.starts_with("agents/") && text.ends_with(".lock") {
            return self.install.state_dir.join(text).to_string_lossy().into_owned();
        }
        let process = self.process(text).filter(|_| !self.is_lane(text));
        process.map_or_else(|| text.to_owned(), |id| id.subject_id())
    }

    /// The live process whose pid a text is.
    fn process(&self, text: &str) -> Option<ProcessId> {
        let pid = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        match Table::new(&self.proc_root).sight(pid) {
            Sighting::Present { id, .. } => Some(id),
            Sighting::Absent | Sighting::Hidden => None,
        }
    }

    /// Whether a lane is called so, running or not.
    fn is_lane(&self, text: &str) -> bool {
        let key: SessionKey = text.into();
        let mut observer = self.observer();
        observer.keep(Keep::RunningAnd(key.clone()));
        let snapshot = observer.look(self.now());
        snapshot.is_ok_and(|snapshot| snapshot.lanes.iter().any(|lane| lane.key == key))
    }

    fn observer(&self) -> Observer {
        Observer::new(self.install.clone(), &self.proc_root, Box::new(env))
    }

    /// Our own folder for this state directory, existing or not.
    pub(super) fn dir(&self) -> Result<PathBuf, Failure> {
        Ok(journal::watch_dir(&self.home, &self.install.state_dir)?)
    }

    /// Our own folder for this state directory, made if it is missing.
    pub(super) fn made_dir(&self) -> Result<PathBuf, Failure> {
        Ok(journal::prepare(&self.home, &self.install.state_dir)?)
    }

    /// Passes that only look: nothing is written anywhere.
    pub(super) fn looking(self) -> Result<Passes, Failure> {
        let dir = self.dir()?;
        let journal = Journal::open_read_only(&dir)?;
        Ok(self.passes(dir, journal, Reach::DryRun, Ear::Asks))
    }

    /// One pass that acts, and the lock that makes us the only ones.
    pub(super) fn acting(self) -> Result<Acting, Failure> {
        self.owning(Ear::Asks)
    }

    /// Passes that act, and listen to the gateway in between.
    pub(super) fn watching(self) -> Result<Acting, Failure> {
        self.owning(Ear::Listens)
    }

    fn owning(self, ear: Ear) -> Result<Acting, Failure> {
        let dir = self.made_dir()?;
        let instance = Instance::take(&dir)?;
        let opened = Journal::open(&instance, self.now())?;
        let passes = self.passes(dir, opened.journal, Reach::Live, ear);
        Ok(Acting { passes, set_aside: opened.set_aside, instance })
    }

    /// Actions beside a daemon that may be running, such as `undo`.
    pub(super) fn beside(self) -> Result<Passes, Failure> {
        let dir = self.made_dir()?;
        let journal = Journal::open_beside(&dir)?;
        Ok(self.passes(dir, journal, Reach::Live, Ear::Asks))
    }

    /// Connects when a pass first asks.
    fn link(&self, dir: &Path, reach: Reach, ear: Ear) -> Link {
        let proc_root = self.proc_root.clone();
        Link::new(LinkSettings {
            folder: dir.to_owned(),
            keeps_key: reach == Reach::Live,
            state_dir: self.install.state_dir.clone(),
            stays: ear == Ear::Listens,
            clock: self.clock,
            bounds: Bounds::default(),
            is_right: Arc::new(move |scope, process, port| match scope {
                Scope::Read => listens_alone(&proc_root, process, port),
                Scope::Write | Scope::Admin => owns_listener(&proc_root, process, port),
            }),
        })
    }

    fn passes(self, dir: PathBuf, journal: Journal, reach: Reach, ear: Ear) -> Passes {
        let observer = self.observer();
        let link = self.link(&dir, reach, ear);
        let passes = Passes::new(self.loaded.config, observer, journal, dir, reach, self.clock);
        Passes { speak: Some(Box::new(link)), ..passes }
    }
}

/// How the gateway is asked.
#[derive(Clone, Copy, PartialEq)]
enum Ear {
    /// When a pass wants to know.
    Asks,
    /// All the time, over one connection.
    Listens,
}

/// Passes that act.
pub(super) struct Acting {
    pub(super) passes: Passes,
    /// Where a damaged journal lies that had to be replaced.
    set_aside: Option<PathBuf>,
    /// Held for as long as the passes live.
    pub(super) instance: Instance,
}

impl Acting {
    /// What must be told about a journal that had to be replaced.
    pub(super) fn loss(&self) -> Option<String> {
        let path = self.set_aside.as_ref()?.to_string_lossy();
        let path = crate::text::escape(&path);
        Some(format!(
            "the journal was damaged; it lies in {path} and a new one was begun; pauses and \
             protections are forgotten"
        ))
    }
}
