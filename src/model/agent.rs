//! Agents: what a gateway starts to talk to a model, and what is known of one such process.
//!
//! Everything here is evidence. Whether it suffices is judged in `policy`.

use std::path::PathBuf;
use std::time::Duration;

use super::{AcpxRecord, Guard, Kind, ProcessId, SessionKey, UnixMillis};

/// A process of an agent family, or another one that a gateway of this state directory started
/// and that has lost its parent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Agent {
    /// Its identity.
    pub id: ProcessId,
    /// Its family and part; `None`: no agent, such as a server that an agent started.
    pub kind: Option<Kind>,
    /// Its start by the wall clock.
    pub started_at: UnixMillis,
    /// Its arguments joined by spaces: lossy, at most 4 KiB, secrets replaced.
    pub command: String,
    /// Its working directory; `None` if it cannot be read.
    pub cwd: Option<PathBuf>,
    /// The session it works or worked for, where a record, a lease or the ledger says so.
    pub session_key: Option<SessionKey>,
    /// What shows whose it is.
    pub ownership: Ownership,
    /// The state directory that its environment names.
    pub place: Place,
    /// Whether its environment has the mark that its family's pattern wants.
    pub mark: Seen,
    /// Its standard input and output.
    pub stdio: Stdio,
    /// Who lives above it.
    pub bond: Bond,
    /// The topmost process of an agent family above it; `None` if it is that itself. Such a one is
    /// judged with its tree, the others with it.
    pub top: Option<ProcessId>,
    /// It and everything below it, parents before their children.
    pub tree: Vec<Member>,
    /// The acpx record that names it, or the launcher between it and the gateway.
    pub record: Option<AcpxRecord>,
    /// The processor time it has used.
    pub cpu: Cpu,
}

impl Agent {
    /// Returns the subject id: `pid@start_ticks`.
    #[must_use]
    pub fn subject_id(&self) -> String {
        self.id.subject_id()
    }

    /// Returns true unless its environment leads to another state directory.
    #[must_use]
    pub fn place_is_not_other(&self) -> bool {
        !matches!(self.place, Place::Other(_))
    }

    /// Returns the memory of the whole tree in bytes, as far as it could be read. Shared pages are
    /// counted in each process.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.tree.iter().filter_map(|member| member.resident).sum()
    }
}

/// One process of a tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its identity.
    pub id: ProcessId,
    /// Its parent's pid.
    pub parent: i32,
    /// What it is, in a word or two: kind, or program.
    pub what: String,
    /// What forbids to end it, and with it the tree.
    pub guards: Vec<Guard>,
    /// Its resident memory in bytes; `None` if it cannot be read.
    pub resident: Option<u64>,
}

/// Processor time of one process.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Cpu {
    /// Since its start.
    pub total: Duration,
    /// How much of the time up to now it used; `None` if it was not looked at before.
    pub recent: Option<Recent>,
}

/// Processor time between two looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Recent {
    /// How much was used.
    pub used: Duration,
    /// In how long.
    pub over: Duration,
}

/// Whether something was seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// It is there; the text says what exactly.
    Present(String),
    /// It is not there.
    Absent,
    /// Something like it is there, but it is not what was looked for, and counts as absent; the
    /// text says how it differs.
    Differs(String),
    /// It could not be looked at; the text says why.
    Unreadable(String),
}

impl Seen {
    /// Returns true if it is there.
    #[must_use]
    pub fn is_present(&self) -> bool {
        matches!(self, Seen::Present(_))
    }
}

/// Signs that a process was started by a gateway of this state directory.
///
/// Never a sign: the text of the arguments, the name, the age, the memory, the parent being pid 1.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Sign {
    /// We saw it ourselves as a descendant of a verified gateway.
    Ledger,
    /// Its environment names a lease, or the gateway instance, of this state directory
    /// (2026.5.28 and later).
    Lease,
    /// An acpx record names its pid with its time of start, and folder and command fit.
    Record,
    /// It runs the gateway's own wrapper script (2026.5.28 to 2026.7.1).
    Wrapper,
    /// It is in the control group of the gateway's service. Proves descent, not orphanhood.
    ControlGroup,
    /// Its environment has a mark of a gateway and names this state directory.
    Environment,
    /// Its process group or session is that of a verified gateway, living or dead.
    Group,
    /// It works inside a workspace of this state directory.
    Workspace,
}

impl Sign {
    /// Every sign, strong ones first.
    pub const ALL: [Sign; 8] = [
        Sign::Ledger,
        Sign::Lease,
        Sign::Record,
        Sign::Wrapper,
        Sign::ControlGroup,
        Sign::Environment,
        Sign::Group,
        Sign::Workspace,
    ];

    /// Returns true if it suffices alone.
    #[must_use]
    pub fn is_strong(self) -> bool {
        match self {
            Sign::Ledger | Sign::Lease | Sign::Record | Sign::Wrapper | Sign::ControlGroup => true,
            Sign::Environment | Sign::Group | Sign::Workspace => false,
        }
    }

    /// Returns the name used in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Sign::Ledger => "ledger",
            Sign::Lease => "lease",
            Sign::Record => "acpx_record",
            Sign::Wrapper => "wrapper",
            Sign::ControlGroup => "control_group",
            Sign::Environment => "environment",
            Sign::Group => "process_group",
            Sign::Workspace => "workspace",
        }
    }
}

/// Every sign of ownership, and whether it was seen.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ownership(Vec<(Sign, Seen)>);

impl Ownership {
    /// Takes what was seen. A sign that is not given counts as absent, one given twice as what was
    /// given first.
    #[must_use]
    pub fn new(seen: impl IntoIterator<Item = (Sign, Seen)>) -> Ownership {
        let mut given: Vec<_> = seen.into_iter().collect();
        let all = Sign::ALL.map(|sign| {
            let place = given.iter().position(|(other, _)| *other == sign);
            place.map_or((sign, Seen::Absent), |place| given.swap_remove(place))
        });
        Ownership(all.into())
    }

    /// Returns every sign, strong ones first.
    pub fn iter(&self) -> impl Iterator<Item = (Sign, &Seen)> {
        self.0.iter().map(|(sign, seen)| (*sign, seen))
    }

    /// Returns true if one strong sign, or two weak ones, were seen.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let present = || self.iter().filter(|(_, seen)| seen.is_present()).map(|(sign, _)| sign);
        present().any(Sign::is_strong) || present().count() >= 2
    }

    /// Returns true if that very sign was seen.
    #[must_use]
    pub fn has(&self, sign: Sign) -> bool {
        self.iter().any(|(other, seen)| other == sign && seen.is_present())
    }
}

/// The state directory that the environment of a process leads to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// This one.
    Ours,
    /// Another one: never ours, whatever else is seen.
    Other(PathBuf),
    /// It cannot be told; the text says why.
    Unknown(String),
}

/// Standard input and output of one process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Stdio {
    /// Descriptor 0.
    pub input: End,
    /// Descriptor 1.
    pub output: End,
}

/// One descriptor and who has its other end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct End {
    /// What it is.
    pub what: EndKind,
    /// Who has the other end.
    pub peer: Peer,
}

/// What a descriptor is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EndKind {
    /// A socket; what Node calls a pipe is one, too.
    Socket {
        /// Its inode in the kernel's socket tables.
        inode: u64,
    },
    /// An anonymous pipe.
    Pipe {
        /// Its inode.
        inode: u64,
    },
    /// Something with a name, which anybody may open again: a named pipe, a file, `/dev/null`.
    Named(PathBuf),
    /// A terminal.
    Terminal(PathBuf),
    /// It is closed.
    Closed,
    /// It could not be looked at; the text says why.
    Unreadable(String),
}

/// Whether anything has the other end of a descriptor.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Peer {
    /// Somebody has it.
    Alive,
    /// The kernel says that it is closed, and nothing can open it again.
    Dead,
    /// The kernel was not asked, or its answer proves nothing; the text says why.
    Unknown(String),
}

/// Whether anybody can reach a process through its standard input and output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Contact {
    /// Somebody can talk to it, or hear it.
    Kept,
    /// Nobody can talk to it, nobody can hear it, for ever.
    Lost,
    /// It cannot be told.
    Unknown,
}

impl Stdio {
    /// Judges both ends together. A live parent that has called `stdin.end()` leaves the same
    /// picture on the input as a dead one; only its end of the output tells them apart.
    #[must_use]
    pub fn contact(&self) -> Contact {
        match (&self.input.peer, &self.output.peer) {
            (Peer::Dead, Peer::Dead) => Contact::Lost,
            (Peer::Alive, _) | (_, Peer::Alive) => Contact::Kept,
            (Peer::Unknown(_) | Peer::Dead, Peer::Unknown(_) | Peer::Dead) => Contact::Unknown,
        }
    }
}

/// Who lives above a process.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Bond {
    /// Something of OpenClaw that owns agents is among its live ancestors.
    Attached {
        /// That process.
        to: ProcessId,
        /// What it is: `gateway`, `queue owner`, `spawn broker`, `relay`.
        role: &'static str,
        /// Whether it is the verified gateway of this state directory.
        is_ours: bool,
    },
    /// It is still the child of the process that was seen to start it, or of one that is not known
    /// to take in orphans: a live parent may wait for its end, though it closed every other end.
    Parented {
        /// That process.
        by: ProcessId,
    },
    /// Its parent is whoever takes in orphans: pid 1, a user manager, the init of a container.
    Loose {
        /// Its parent's pid.
        parent: i32,
        /// What its parent is, for people.
        name: String,
    },
    /// Its ancestors could not be told.
    Unknown(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(signs: &[Sign]) -> Ownership {
        Ownership::new(signs.iter().map(|sign| (*sign, Seen::Present(String::new()))))
    }

    #[test]
    fn one_strong_sign_or_two_weak_ones_prove_ownership() {
        for sign in Sign::ALL {
            assert_eq!(present(&[sign]).is_proven(), sign.is_strong(), "{}", sign.name());
        }
        let weak = [Sign::Environment, Sign::Group, Sign::Workspace];
        assert!(present(&weak[..2]).is_proven() && present(&weak[1..]).is_proven());
        assert!(!present(&[]).is_proven());
    }

    #[test]
    fn what_is_unreadable_or_said_twice_is_no_sign() {
        let unreadable = Seen::Unreadable("no".to_owned());
        assert!(!Ownership::new([(Sign::Ledger, unreadable)]).is_proven());
        assert!(!present(&[Sign::Group, Sign::Group]).is_proven());
    }

    #[test]
    fn contact_is_lost_only_when_both_ends_are_dead() {
        let unknown = || Peer::Unknown(String::new());
        let peers = [Peer::Alive, Peer::Dead, unknown()];
        for input in &peers {
            for output in &peers {
                let end = |peer: &Peer| End { what: EndKind::Closed, peer: peer.clone() };
                let stdio = Stdio { input: end(input), output: end(output) };
                let want = match (input, output) {
                    (Peer::Dead, Peer::Dead) => Contact::Lost,
                    (Peer::Alive, _) | (_, Peer::Alive) => Contact::Kept,
                    _ => Contact::Unknown,
                };
                assert_eq!(stdio.contact(), want, "{input:?} {output:?}");
            }
        }
    }
}
