//! Standard input and output of one process.

use std::path::Path;

use libproc::file_info::ProcFDType;

use super::super::Ask;
use super::super::darwin::descriptor::{closed, file, pipe, unreadable};
use super::super::darwin::socket::socket;
use super::descriptors::{File, Pipe, Socket, list, read};
use crate::model::{End, Stdio};

/// Answers who has the other end of a socket. The kernel of macOS tells it with the descriptor, so
/// that there is nothing to keep during a pass.
#[derive(Debug)]
pub struct Sockets {
    is_live: bool,
}

impl Sockets {
    pub(in super::super) fn new(_root: &Path, is_live: bool) -> Sockets {
        Sockets { is_live }
    }

    /// Returns why sockets could not be judged, if that is so. Not that nothing is ever proven
    /// here: that is said of each descriptor.
    #[must_use]
    pub fn gap(&self) -> Option<String> {
        (!self.is_live).then(|| super::on_linux_only("the descriptors").to_string())
    }
}

pub(super) fn stdio(_root: &Path, is_live: bool, pid: i32, _sockets: &Sockets, _ask: Ask) -> Stdio {
    let listed = if is_live { list(pid) } else { Err(super::on_linux_only("the descriptors")) };
    match listed {
        Ok(listed) => Stdio { input: end(pid, 0, &listed), output: end(pid, 1, &listed) },
        Err(error) => {
            let end = || unreadable(&error.to_string());
            Stdio { input: end(), output: end() }
        }
    }
}

fn end(pid: i32, descriptor: i32, listed: &[(i32, ProcFDType)]) -> End {
    let Some((_, kind)) = listed.iter().find(|(number, _)| *number == descriptor) else {
        return closed();
    };
    let end = match kind {
        ProcFDType::Socket => read(pid, descriptor).map(|Socket(bytes)| socket(&bytes)),
        ProcFDType::Pipe => read(pid, descriptor).map(|Pipe(bytes)| pipe(&bytes)),
        ProcFDType::VNode => read(pid, descriptor).map(|File(bytes)| file(&bytes)),
        other => return unreadable(&format!("it is of the kind {other:?}")),
    };
    end.unwrap_or_else(|error| unreadable(&error.to_string()))
}
