//! Processes that are looked at by their numbers: nothing can be held.

use std::io;
use std::path::{Path, PathBuf};

use super::super::{Activity, Ask, Facts};
use super::program::{control_group, cwd, facts, is_tool_shell};
use super::stdio::{Sockets, stdio};
use crate::model::Stdio;

/// Where they are looked for.
#[derive(Debug)]
pub(in super::super) struct Inspector {
    root: PathBuf,
    is_live: bool,
}

impl Inspector {
    pub(in super::super) fn new(root: &Path, is_live: bool) -> Inspector {
        Inspector { root: root.to_owned(), is_live }
    }

    pub(in super::super) fn process(&self, pid: i32) -> Inspection<'_> {
        Inspection { of: self, pid }
    }
}

/// A process by its number.
#[derive(Debug)]
pub(in super::super) struct Inspection<'a> {
    of: &'a Inspector,
    pid: i32,
}

impl Inspection<'_> {
    pub(in super::super) fn facts(&self) -> io::Result<Facts> {
        facts(&self.of.root, self.of.is_live, self.pid)
    }

    /// What is read and written is counted for disks only, which says nothing of the rest.
    pub(in super::super) fn activity(&self) -> io::Result<Activity> {
        let facts = self.facts()?;
        Ok(Activity { id: facts.id, has_ended: facts.has_ended, cpu: facts.cpu, io: None })
    }

    pub(in super::super) fn cwd(&self) -> io::Result<PathBuf> {
        cwd(&self.of.root, self.pid)
    }

    pub(in super::super) fn control_group(&self) -> io::Result<String> {
        control_group(&self.of.root, self.pid)
    }

    pub(in super::super) fn stdio(&self, sockets: &Sockets, ask: Ask) -> Stdio {
        stdio(&self.of.root, self.of.is_live, self.pid, sockets, ask)
    }

    pub(in super::super) fn has_our_namespace(&self) -> bool {
        super::shares_pid_namespace(&self.of.root, self.of.is_live, self.pid)
    }

    pub(in super::super) fn is_tool_shell(&self) -> io::Result<bool> {
        is_tool_shell(&self.of.root, self.pid)
    }
}
