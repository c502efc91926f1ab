//! The calls.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::Duration;

use libproc::kinfo::KinfoProc;
use libproc::proc_pid::kproc_info_raw;
use libproc::processes::{ProcFilter, pids_by_type};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::super::darwin::arguments::Arguments;
use super::super::darwin::kinfo::Kinfo;
use super::super::darwin::{Kernel, Presence, Usage};

/// How often a list is taken that more processes joined than it has room for.
const ATTEMPTS: usize = 3;

/// The running kernel.
pub(super) struct Darwin;

impl Kernel for Darwin {
    fn pids(&self) -> io::Result<Vec<i32>> {
        for _ in 0..ATTEMPTS {
            let pids = pids_by_type(ProcFilter::All)?;
            // The kernel asks for room for 20 more than there are. What fills it may be cut.
            if pids.len() < pids.capacity() {
                return Ok(pids.into_iter().filter_map(|pid| i32::try_from(pid).ok()).collect());
            }
        }
        Err(io::Error::other("processes start faster than they can be listed"))
    }

    fn kinfo(&self, pid: i32) -> Option<Kinfo> {
        kproc_info_raw(pid).ok().map(|info| fields(&info))
    }

    fn presence(&self, pid: i32) -> Presence {
        let Some(pid) = Some(pid).filter(|pid| *pid > 0).and_then(Pid::from_raw) else {
            return Presence::Unknown;
        };
        match test_kill_process(pid) {
            Ok(()) | Err(Errno::PERM) => Presence::There,
            Err(Errno::SRCH) => Presence::Absent,
            Err(_) => Presence::Unknown,
        }
    }

    fn session(&self, pid: i32) -> Option<i32> {
        let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(pid)));
        session.ok().map(nix::unistd::Pid::as_raw)
    }

    fn arguments(&self, pids: &[i32]) -> Vec<(i32, Arguments)> {
        let kind = ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always);
        read(pids, kind.with_exe(UpdateKind::Always))
    }

    fn usage(&self, pid: i32) -> Option<Usage> {
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory();
        let system = refreshed(&[pid], kind)?;
        let process = system.process(sysinfo_pid(pid)?)?;
        let cpu = Duration::from_millis(process.accumulated_cpu_time());
        // What lives has memory: nothing means that it may not be read.
        let resident = Some(process.memory()).filter(|bytes| *bytes > 0)?;
        Some(Usage { cpu, resident })
    }
}

/// Reads the environment. An empty one is none: macOS withholds those of its own programs.
pub(super) fn environ(pid: i32) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let environ = strings(pid)?.environ;
    if environ.is_empty() { Err(untold(pid, "environment")) } else { Ok(environ) }
}

/// Reads arguments and environment.
///
/// # Errors
///
/// Returns an error if there are no arguments: every process has one at least.
pub(super) fn strings(pid: i32) -> io::Result<Arguments> {
    let kind =
        ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).with_environ(UpdateKind::Always);
    let found = read(&[pid], kind).pop().map(|(_, found)| found);
    found.filter(|found| !found.cmdline.is_empty()).ok_or_else(|| untold(pid, "arguments"))
}

fn untold(pid: i32, what: &str) -> io::Error {
    let text = format!("macOS does not tell the {what} of pid {pid}");
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

fn read(pids: &[i32], kind: ProcessRefreshKind) -> Vec<(i32, Arguments)> {
    let Some(system) = refreshed(pids, kind) else { return Vec::new() };
    let arguments = |&pid: &i32| {
        let process = system.process(sysinfo_pid(pid)?)?;
        let cmd = process.cmd().iter().map(|argument| argument.as_bytes());
        let environ = process.environ().iter().map(|variable| variable.as_bytes());
        let exe = process.exe().unwrap_or(Path::new(""));
        Some((pid, Arguments::new(cmd, environ).of(exe)))
    };
    pids.iter().filter_map(arguments).collect()
}

fn refreshed(pids: &[i32], kind: ProcessRefreshKind) -> Option<System> {
    let wanted: Vec<_> = pids.iter().filter_map(|pid| sysinfo_pid(*pid)).collect();
    let mut system = System::new().ok()?;
    system.refresh_processes_specifics(ProcessesToUpdate::Some(&wanted), false, kind);
    Some(system)
}

fn sysinfo_pid(pid: i32) -> Option<sysinfo::Pid> {
    usize::try_from(pid).ok().map(sysinfo::Pid::from)
}

fn fields(info: &KinfoProc) -> Kinfo {
    let (process, more) = (&info.kp_proc, &info.kp_eproc);
    Kinfo {
        pid: process.p_pid,
        start: (process.p_un.tv_sec, process.p_un.tv_usec),
        flags: process.p_flag,
        status: process.p_stat,
        name: process.p_comm.map(i8::cast_unsigned),
        parent: more.e_ppid,
        group: more.e_pgid,
        terminal: more.e_tdev,
        uid: more.e_ucred.cr_uid,
    }
}
