//! Families of agents: which processes are an agent's.

use std::fmt;

/// Processes that belong to one kind of agent software.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Family {
    /// Its name, such as `claude`.
    pub name: String,
    /// How its processes are recognised; the first pattern that fits says which part one is.
    pub patterns: Vec<Pattern>,
}

/// One way to recognise a process: by its executable and one argument, never by a substring of the
/// whole command line. A tool that matched substrings killed a test runner and two editors.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Pattern {
    /// Which part of the family it is.
    pub part: Part,
    /// File names of the executable, one of which it must have.
    pub exe: Vec<String>,
    /// The argument it must have.
    pub argument: Option<Argument>,
    /// A variable its environment must have, else it is somebody's own.
    pub mark: Option<Mark>,
}

/// An argument by its place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Argument {
    /// 0 is the program's name, as the process shows it.
    pub position: usize,
    /// What it must be, or end with after a `/`.
    pub ends_with: String,
}

/// A variable of the environment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// Its value; `None`: any.
    pub value: Option<String>,
}

/// The parts of a tree of agent processes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Part {
    /// A script of the gateway that starts the adapter (2026.5.28 to 2026.7.1).
    Wrapper,
    /// Speaks ACP with the gateway and starts the agent.
    Adapter,
    /// Talks to a model.
    Agent,
}

impl Part {
    /// Returns the name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Wrapper => "wrapper",
            Part::Adapter => "adapter",
            Part::Agent => "agent",
        }
    }
}

/// Which family a process is of, and which part of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Kind {
    /// The name of the family.
    pub family: String,
    /// The part.
    pub part: Part,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.part.name())
    }
}

impl Argument {
    /// Returns true if `argument` is, or ends after a `/` with, what is wanted.
    #[must_use]
    pub fn fits(&self, argument: &[u8]) -> bool {
        let wanted = self.ends_with.as_bytes();
        argument.strip_suffix(wanted).is_some_and(|rest| rest.is_empty() || rest.ends_with(b"/"))
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_fits_whole_or_from_a_slash_on() {
        let argument = Argument { position: 1, ends_with: ".bin/claude-agent-acp".to_owned() };
        assert!(argument.fits(b"/x/node_modules/.bin/claude-agent-acp"));
        assert!(argument.fits(b".bin/claude-agent-acp"));
        assert!(!argument.fits(b"/x/node_modules/evil.bin/claude-agent-acp"));
        assert!(!argument.fits(b"/x/.bin/claude-agent-acp.md"));
        assert!(!argument.fits(b""));
    }
}
