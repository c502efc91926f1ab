//! A real process that starts others when told to, for tests.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Lineage;
use crate::model::ProcessId;

/// A shell. What it started ends with it, when this is dropped.
#[derive(Debug)]
pub(crate) struct Family {
    shell: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    started: Vec<i32>,
}

impl Family {
    pub(crate) fn new() -> Family {
        let mut shell = Command::new("sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = shell.stdin.take().unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        Family { shell, input, output, started: Vec::new() }
    }

    /// Returns the shell and `descendants`; start ticks do not matter here.
    pub(crate) fn lineage(&self, descendants: &[i32]) -> Lineage {
        let id = |pid| ProcessId { pid, start_ticks: 1 };
        let root = id(i32::try_from(self.shell.id()).unwrap());
        Lineage { root, descendants: descendants.iter().copied().map(id).collect() }
    }

    /// Starts a child and returns its pid.
    pub(crate) fn child(&mut self) -> i32 {
        self.start("sleep 60 & echo $!")
    }

    /// Starts a child with a child of its own, and returns the pids of both.
    pub(crate) fn child_with_child(&mut self) -> (i32, i32) {
        let grandchild = self.start("sh -c 'sleep 60 & echo $!; wait' &");
        (self.start("echo $!"), grandchild)
    }

    /// Starts a child that starts others all the time, and returns its pid.
    pub(crate) fn churn(&mut self) -> i32 {
        self.start("sh -c 'while :; do (:) & wait; done' & echo $!")
    }

    fn start(&mut self, command: &str) -> i32 {
        writeln!(self.input, "{command}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        self.started.push(line.trim().parse().unwrap());
        self.started[self.started.len() - 1]
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        for pid in &self.started {
            // They are the shell's own, so none of them can be another process by now.
            let _ = writeln!(self.input, "kill -9 {pid}");
        }
        let _ = writeln!(self.input, "exit");
        let _ = self.shell.wait();
    }
}
