//! Processes for captured tables.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

/// A process of this user that sleeps. Unless said otherwise it has neither a terminal nor an
/// environment, and somebody has the other ends of its input and output.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) start_ticks: u64,
    /// What stands in brackets in its stat.
    pub(crate) name: Vec<u8>,
    /// Its executable.
    pub(crate) exe: Vec<u8>,
    /// Its arguments, each with its NUL.
    pub(crate) cmdline: Vec<u8>,
    /// Its environment, likewise.
    pub(crate) environ: Vec<u8>,
    pub(crate) cwd: Vec<u8>,
    pub(crate) tty: u32,
    pub(crate) resident_kib: u32,
    /// Whether somebody has the other ends.
    pub(crate) is_attached: bool,
}

impl Listed {
    /// One that started an hour after the gateway of a stage.
    pub(crate) fn new(pid: i32, parent: i32, argv: &[&str]) -> Listed {
        let exe = format!("/usr/bin/{}", argv[0]);
        Listed {
            pid,
            parent,
            start_ticks: 25_560_000 + u64::from(pid.unsigned_abs()),
            name: argv[0].into(),
            exe: exe.into_bytes(),
            cmdline: lines(argv),
            environ: Vec::new(),
            cwd: b"/".to_vec(),
            tty: 0,
            resident_kib: 1024,
            is_attached: true,
        }
    }

    /// `claude-agent-acp` as 2026.4.15 starts it.
    pub(crate) fn adapter(pid: i32, parent: i32) -> Listed {
        Listed::new(pid, parent, &["node", "/x/node_modules/.bin/claude-agent-acp"])
            .env(&["OPENCLAW_CLI=1", "HOME=/home/user"])
    }

    /// The `claude` that it starts.
    pub(crate) fn claude(pid: i32, parent: i32) -> Listed {
        Listed::new(pid, parent, &["claude", "--output-format", "stream-json"]).env(&[
            "OPENCLAW_CLI=1",
            "HOME=/home/user",
            "CLAUDE_CODE_ENTRYPOINT=sdk-ts",
        ])
    }

    pub(crate) fn env(self, environ: &[&str]) -> Listed {
        Listed { environ: lines(environ), ..self }
    }

    /// What a report calls it.
    pub(crate) fn id(&self) -> String {
        format!("{}@{}", self.pid, self.start_ticks)
    }

    /// Writes a process of which no more is known than that it runs.
    pub(crate) fn put_bare(proc: &Path, pid: i32, parent: i32) {
        let of = proc.join(pid.to_string());
        fs::create_dir_all(&of).unwrap();
        fs::write(of.join("stat"), stat(b"x", pid, parent, 0, 1000)).unwrap();
        fs::write(of.join("cmdline"), "x\0").unwrap();
    }

    /// Writes it into the table `proc`.
    pub(crate) fn put(&self, proc: &Path) -> &Listed {
        let Listed { pid, parent, start_ticks, tty, .. } = self;
        let of = proc.join(pid.to_string());
        fs::create_dir_all(of.join("fd")).unwrap();
        fs::write(of.join("stat"), stat(&self.name, *pid, *parent, *tty, *start_ticks)).unwrap();
        let uid = nix::unistd::geteuid();
        let status = format!(
            "Name:\tx\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{parent}\n\
             TracerPid:\t0\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nNSpid:\t{pid}\nVmRSS:\t{} kB\n",
            self.resident_kib
        );
        fs::write(of.join("status"), status).unwrap();
        fs::write(of.join("cmdline"), &self.cmdline).unwrap();
        fs::write(of.join("environ"), &self.environ).unwrap();
        let peer = if self.is_attached { "alive" } else { "dead" };
        let mut sockets =
            fs::File::options().create(true).append(true).open(proc.join("sockets")).unwrap();
        for descriptor in 0..2 {
            let inode = pid * 10 + descriptor;
            let end = match self.tty {
                0 => format!("socket:[{inode}]"),
                _ => "/dev/pts/3".to_owned(),
            };
            symlink(end, of.join(format!("fd/{descriptor}"))).unwrap();
            writeln!(sockets, "{inode} {peer}").unwrap();
        }
        for (name, target) in [("exe", &self.exe), ("cwd", &self.cwd)] {
            symlink(OsStr::from_bytes(target), of.join(name)).unwrap();
        }
        self
    }
}

fn stat(name: &[u8], pid: i32, parent: i32, tty: u32, start_ticks: u64) -> Vec<u8> {
    let rest =
        format!("S {parent} {pid} {pid} {tty} -1 4194560 0 0 0 0 9 3 0 0 20 0 11 0 {start_ticks}");
    [format!("{pid} (").as_bytes(), name, b") ", rest.as_bytes(), b" 0 0\n"].concat()
}

fn lines(texts: &[&str]) -> Vec<u8> {
    texts.iter().flat_map(|text| text.bytes().chain([0])).collect()
}
