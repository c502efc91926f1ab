//! Decides whether the gateway runs. Pure: everything it needs was collected before.

use std::time::Duration;

use crate::model::{ProcessId, Status, UnixMillis};

/// A live process that was proven to be a gateway of this state directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Identified {
    pub id: ProcessId,
    pub started_at: UnixMillis,
    pub locked_at: Option<UnixMillis>,
    /// The port in its lock.
    pub locked_port: Option<u16>,
    /// `None` if that cannot be told.
    pub listening: Option<Vec<u16>>,
    /// It has a pid in another namespace too.
    pub is_elsewhere: bool,
}

/// What answers on the port that the gateway would listen on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PortState {
    /// Connection refused.
    Refused,
    /// A gateway of another state directory listens there.
    Others,
    /// Not asked: a captured table.
    NotAsked,
    /// Something else, in words.
    Open(String),
}

/// Everything that the decision rests on.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub identified: Vec<Identified>,
    /// Why a lock of this state directory, or a folder that may hold one, tells neither dead
    /// nor alive.
    pub doubts: Vec<String>,
    /// Processes that may be this state directory's gateway, and why.
    pub suspects: Vec<String>,
    /// Asked only if no gateway was identified.
    pub port: PortState,
    pub now: UnixMillis,
    pub start_grace: Duration,
}

/// Decides the status, and says why in one line.
pub(super) fn decide(facts: &Facts) -> (Status, String) {
    match facts.identified.as_slice() {
        [] => absent(facts),
        [gateway] => present(gateway, facts),
        [first, second, ..] => {
            let (a, b) = (first.id.pid, second.id.pid);
            (Status::Unknown, format!("pids {a} and {b} are both gateways of this state directory"))
        }
    }
}

fn present(gateway: &Identified, facts: &Facts) -> (Status, String) {
    let pid = gateway.id.pid;
    if gateway.is_elsewhere {
        return (Status::Unknown, format!("pid {pid} runs in another namespace"));
    }
    match &gateway.listening {
        None => (Status::Up, format!("pid {pid} is alive; its ports cannot be seen")),
        Some(ports) if !ports.is_empty() => (Status::Up, format!("pid {pid} is alive and listens")),
        Some(_) => {
            let since = gateway.locked_at.unwrap_or(gateway.started_at).max(gateway.started_at);
            if facts.now.since(since) < facts.start_grace {
                (Status::Starting, format!("pid {pid} is alive and listens on no port yet"))
            } else {
                (Status::Unknown, format!("pid {pid} is alive and listens on no port"))
            }
        }
    }
}

fn absent(facts: &Facts) -> (Status, String) {
    let doubt = facts.doubts.iter().chain(&facts.suspects).next();
    match (doubt, &facts.port) {
        (Some(doubt), _) => (Status::Unknown, doubt.clone()),
        (None, PortState::Open(what)) => (Status::Unknown, what.clone()),
        (None, PortState::Refused) => {
            (Status::Down, "no live lock, no process, and the port refuses".to_owned())
        }
        (None, PortState::Others) => (
            Status::Down,
            "no live lock and no process; the port belongs to another gateway".to_owned(),
        ),
        (None, PortState::NotAsked) => (Status::Down, "no live lock and no process".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway(pid: i32, listening: Option<Vec<u16>>) -> Identified {
        Identified {
            id: ProcessId { pid, start_ticks: 1 },
            started_at: UnixMillis(1_000),
            locked_at: Some(UnixMillis(5_000)),
            locked_port: None,
            listening,
            is_elsewhere: false,
        }
    }

    fn facts(identified: Vec<Identified>) -> Facts {
        Facts {
            identified,
            doubts: vec![],
            suspects: vec![],
            port: PortState::Refused,
            now: UnixMillis(64_000),
            start_grace: Duration::from_secs(60),
        }
    }

    #[track_caller]
    fn check(facts: &Facts, want: Status, why: &str) {
        let got = decide(facts);
        assert!(got.0 == want && got.1.contains(why), "{got:?}");
    }

    #[test]
    fn up_needs_an_open_or_invisible_port() {
        check(&facts(vec![gateway(7, Some(vec![1]))]), Status::Up, "pid 7");
        check(&facts(vec![gateway(7, None)]), Status::Up, "cannot be seen");
    }

    #[test]
    fn a_silent_one_is_starting_until_the_grace_since_its_lock_is_over() {
        let silent = facts(vec![gateway(7, Some(vec![]))]);
        check(&silent, Status::Starting, "no port yet");
        check(&Facts { now: UnixMillis(65_000), ..silent.clone() }, Status::Unknown, "no port");
        check(&Facts { now: UnixMillis(0), ..silent }, Status::Starting, "");
    }

    #[test]
    fn two_are_unknown_and_both_are_named() {
        let two = vec![gateway(7, Some(vec![1])), gateway(8, None)];
        check(&facts(two), Status::Unknown, "pids 7 and 8");
    }

    #[test]
    fn one_in_another_namespace_is_unknown() {
        let far = Identified { is_elsewhere: true, ..gateway(7, Some(vec![1])) };
        check(&facts(vec![far]), Status::Unknown, "namespace");
    }

    #[test]
    fn down_needs_every_proof() {
        let none = facts(vec![]);
        check(&none, Status::Down, "");
        check(&Facts { port: PortState::Others, ..none.clone() }, Status::Down, "");
        check(&Facts { port: PortState::NotAsked, ..none.clone() }, Status::Down, "");
        let open = PortState::Open("port 1 accepts".to_owned());
        check(&Facts { port: open, ..none.clone() }, Status::Unknown, "port 1");
        let doubts = vec!["lock x".to_owned()];
        check(&Facts { doubts, ..none.clone() }, Status::Unknown, "lock x");
        let suspects = vec!["pid 9".to_owned()];
        check(&Facts { suspects, ..none }, Status::Unknown, "pid 9");
    }

    #[test]
    fn doubts_do_not_hide_an_identified_gateway() {
        let mut up = facts(vec![gateway(7, Some(vec![1]))]);
        up.doubts.push("an unreadable folder".to_owned());
        up.suspects.push("pid 9".to_owned());
        check(&up, Status::Up, "");
    }
}
