//! Processes that are looked at through their directories, each of which is opened once.

use std::cell::OnceCell;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::{Activity, Ask, Facts};
use super::files::Directory;
use super::link::link;
use super::namespace::{Links, Own};
use super::stdio::Sockets;
use super::{activity, control_group, facts, shell, stdio};
use crate::model::Stdio;

/// The table that is looked into, held open.
#[derive(Debug)]
pub(in super::super) struct Inspector {
    root: PathBuf,
    is_live: bool,
    table: Result<Directory, Errno>,
    own: OnceCell<Own>,
}

impl Inspector {
    pub(in super::super) fn new(root: &Path, is_live: bool) -> Inspector {
        let table = Directory::open(root);
        Inspector { root: root.to_owned(), is_live, table, own: OnceCell::new() }
    }

    pub(in super::super) fn process(&self, pid: i32) -> Inspection<'_> {
        let opened = self.table.as_ref().map_err(|errno| *errno);
        let at = opened.and_then(|table| Ok((table, table.process(pid)?)));
        Inspection { of: self, pid, at }
    }
}

/// A process by its directory, which is of this one life for ever, and the table it is in.
#[derive(Debug)]
pub(in super::super) struct Inspection<'a> {
    of: &'a Inspector,
    pid: i32,
    at: Result<(&'a Directory, Directory), Errno>,
}

impl Inspection<'_> {
    pub(in super::super) fn facts(&self) -> io::Result<Facts> {
        let Inspector { root, is_live, .. } = self.of;
        match self.at.as_ref().map(|(_, process)| facts::read(process, self.pid)) {
            Ok(Ok(facts)) => Ok(facts),
            // Whether it has ended, is hidden, or is another one by now, is told by asking again.
            Ok(Err(_)) | Err(_) => facts::facts(root, *is_live, self.pid),
        }
    }

    pub(in super::super) fn activity(&self) -> io::Result<Activity> {
        activity::activity(self.process()?, self.pid)
    }

    pub(in super::super) fn cwd(&self) -> io::Result<PathBuf> {
        link(self.process()?, "cwd")
    }

    pub(in super::super) fn control_group(&self) -> io::Result<String> {
        control_group::control_group(self.process()?, self.pid)
    }

    pub(in super::super) fn stdio(&self, sockets: &Sockets, ask: Ask) -> Stdio {
        let at = self.at.as_ref().map(|(table, process)| (*table, process));
        stdio::stdio(at.map_err(|errno| *errno), self.of.is_live, sockets, ask)
    }

    pub(in super::super) fn has_our_namespace(&self) -> bool {
        let Ok((table, process)) = &self.at else { return false };
        let own = self.of.own.get_or_init(|| Own::read(table, self.of.is_live));
        matches!(own.compare(process.link("ns/pid")), Links::Same | Links::NotCaptured)
    }

    pub(in super::super) fn is_tool_shell(&self) -> io::Result<bool> {
        shell::is_tool_shell(self.process()?, self.pid)
    }

    fn process(&self) -> io::Result<&Directory> {
        match &self.at {
            Ok((_, process)) => Ok(process),
            Err(errno) => Err((*errno).into()),
        }
    }
}
