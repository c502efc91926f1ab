//! What a process runs, where, and what for.

use std::io;
use std::path::{Path, PathBuf};

use libproc::pid_rusage::{RUsageInfoV0, pidrusage};
use libproc::proc_pid::{pidinfo, pidpath};

use super::super::Facts;
use super::super::darwin::descriptor::{failure, folder};
use super::super::darwin::{captured, facts as told};
use super::super::shell::{has_command, may_be_shell};
use super::descriptors::Folders;
use super::kernel::{self, Darwin};
use super::{is_live, on_linux_only};

pub(super) fn facts(_root: &Path, is_live: bool, pid: i32) -> io::Result<Facts> {
    if is_live { told::facts(&Darwin, pid) } else { Err(on_linux_only("the facts")) }
}

pub(in super::super) fn exe(root: &Path, pid: i32) -> io::Result<PathBuf> {
    if !is_live(root) {
        return captured::link(root, pid, "exe");
    }
    pidpath(pid).map(PathBuf::from).map_err(|error| failure(pid, "executable", &error))
}

pub(super) fn cwd(root: &Path, pid: i32) -> io::Result<PathBuf> {
    if !is_live(root) {
        return captured::link(root, pid, "cwd");
    }
    let Folders(bytes) =
        pidinfo(pid, 0).map_err(|error| failure(pid, "working directory", &error))?;
    folder(&bytes).ok_or_else(|| io::ErrorKind::NotFound.into())
}

pub(super) fn control_group(_root: &Path, _pid: i32) -> io::Result<String> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "there are no control groups on macOS"))
}

/// Returns the footprint: what would be free without the process.
pub(in super::super) fn memory(root: &Path, pid: i32) -> Option<u64> {
    let usage = is_live(root).then(|| pidrusage::<RUsageInfoV0>(pid))?;
    usage.ok().map(|usage| usage.ri_phys_footprint)
}

/// Returns what is resident.
pub(in super::super) fn resident(root: &Path, pid: i32) -> Option<u64> {
    let usage = is_live(root).then(|| pidrusage::<RUsageInfoV0>(pid))?;
    usage.ok().map(|usage| usage.ri_resident_size)
}

pub(super) fn is_tool_shell(root: &Path, pid: i32) -> io::Result<bool> {
    if !is_live(root) {
        return Err(on_linux_only("tool shells"));
    }
    let exe = exe(root, pid)?;
    let Some(program) = exe.file_name().filter(|name| may_be_shell(name)) else { return Ok(false) };
    let strings = kernel::strings(pid)?;
    if !has_command(program, &strings.cmdline) {
        return Ok(false);
    }
    if told::facts(&Darwin, pid)?.session == pid {
        return Ok(true);
    }
    let environ = super::environ(root, pid)?;
    Ok(environ.iter().any(|(name, value)| name == b"CLAUDECODE" && value == b"1"))
}
