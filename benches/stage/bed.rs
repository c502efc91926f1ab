//! A state directory, and the passes of whoever runs the program for it.

use std::path::Path;

use clawarden::act::Reach;
use clawarden::clock::Clock;
use clawarden::config::{self, Config};
use clawarden::journal::{Instance, Journal};
use clawarden::observe::Observer;
use clawarden::observe::locate::{Request, locate};
use clawarden::pass::Passes;

pub(crate) struct Bed<'a> {
    /// Has the `home` and the `tmp` of the user.
    pub(crate) root: &'a Path,
    pub(crate) state_dir: &'a Path,
    pub(crate) proc: &'a Path,
}

impl Bed<'_> {
    /// Returns passes that change nothing.
    pub(crate) fn looking(&self, config: Config) -> Passes {
        let journal = Journal::open_read_only(&self.root.join("ours")).unwrap();
        self.passes("ours", journal, Reach::DryRun, config)
    }

    /// Returns passes that act, and remember in a folder called `name`.
    pub(crate) fn acting(&self, name: &str, config: Config) -> Passes {
        let dir = self.root.join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let instance = Instance::take(&dir).unwrap();
        let journal = Journal::open(&instance, Clock::Wall.now()).unwrap().journal;
        self.passes(name, journal, Reach::Live, config)
    }

    fn passes(&self, name: &str, journal: Journal, reach: Reach, config: Config) -> Passes {
        let (home, tmp) = (self.root.join("home"), self.root.join("tmp"));
        let env = move |name: &str| match name {
            "HOME" => Some(home.display().to_string()),
            "TMPDIR" => Some(tmp.display().to_string()),
            _ => None,
        };
        let state_dir = Some(self.state_dir.to_owned());
        let install = locate(&Request { state_dir, env: &env }).unwrap();
        let observer = Observer::new(install, self.proc, Box::new(env));
        Passes::new(config, observer, journal, self.root.join(name), reach, Clock::Wall)
    }
}

/// Returns what holds without any file.
pub(crate) fn shipped() -> Config {
    config::load(None, &|_| None).unwrap().config
}
