//! Has the gateway load a backing session into a new session.

use super::error::ActError;
use super::quarantine::Manifest;
use super::{Actuator, Performed, Reach, Step};
use crate::gateway::{CallError, Spawn};
use crate::model::{ActionId, Outcome, Restore, SessionKey};

/// What became of asking for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Restored {
    /// Dry run: it was not asked.
    WouldDo,
    /// Nothing was asked, and why.
    NotAsked(String),
    /// The gateway named the new session. Whether its agent has the conversation must be looked for.
    Accepted(SessionKey),
    /// The gateway did not do it, or it is not known whether it did.
    Failed(CallError),
}

/// Asks the gateway once. What the request is goes to disk before.
///
/// # Errors
///
/// Returns an error if that could not be written; nothing was asked then.
pub fn restore(
    actuator: &Actuator<'_>,
    spawn: &dyn Spawn,
    id: ActionId,
    restore: &Restore,
) -> Result<Restored, ActError> {
    if !(actuator.is_alive)(restore.gateway) {
        return Ok(Restored::NotAsked("the gateway has ended or restarted".to_owned()));
    }
    if actuator.reach == Reach::DryRun {
        return Ok(Restored::WouldDo);
    }
    (actuator.before)(Step::Begin);
    actuator.quarantine.begin(id, &Manifest::Restore(Box::new(restore.clone())))?;
    (actuator.before)(Step::Call);
    Ok(match spawn.spawn(restore.gateway, restore) {
        Ok(key) => Restored::Accepted(key),
        Err(error) => Restored::Failed(error),
    })
}

/// Says what is known of a restore that a crash interrupted. It is never asked again.
pub(super) fn recover(restore: &Restore) -> Performed {
    let note = format!(
        "interrupted while the gateway was asked to give backing session {} to `{}`; it may have \
         done so, and is not asked again: its sessions name it if it has",
        restore.id, restore.requester
    );
    Performed { outcome: Outcome::Unverified, note: Some(note) }
}

pub(super) fn undo() -> Performed {
    Performed::changed(
        "a conversation that was given back cannot be taken back; delete the new session, which keeps \
         the conversation",
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::act::testing::{GATEWAY, Place, alive, nothing};
    use crate::act::{Quarantine, recover, undo};
    use crate::model::{Authority, ProcessId, RpcFailure, RpcFault};

    const ID: ActionId = ActionId(7);

    /// Answers once, and looks whether the request was on disk by then.
    #[derive(Debug)]
    struct Gateway<'a> {
        place: &'a Place,
        answer: Result<SessionKey, CallError>,
        asked: Cell<u32>,
    }

    impl Spawn for Gateway<'_> {
        fn spawn(&self, process: ProcessId, asked: &Restore) -> Result<SessionKey, CallError> {
            self.asked.set(self.asked.get() + 1);
            assert_eq!((process, asked), (GATEWAY, &wanted()));
            let manifest =
                Quarantine::new(self.place.quarantine.path().to_owned()).manifest(ID).unwrap();
            assert_eq!(manifest, Some(Manifest::Restore(Box::new(wanted()))));
            self.answer.clone()
        }
    }

    fn wanted() -> Restore {
        Restore {
            id: "b1".into(),
            requester: "agent:main:main".into(),
            authority: Authority::Recorded,
            agent: "claude".into(),
            cwd: "/w".into(),
            task: "go on".to_owned(),
            gateway: GATEWAY,
        }
    }

    #[test]
    fn the_gateway_is_asked_once_whatever_it_answers() {
        let failure = RpcFailure { fault: RpcFault::Deaf, text: "silent".to_owned() };
        let lost = CallError { failure, is_unknown: true };
        for answer in [Ok(SessionKey::from("agent:claude:acp:2")), Err(lost)] {
            let place = Place::new();
            let gateway = Gateway { place: &place, answer: answer.clone(), asked: Cell::new(0) };
            let done =
                restore(&place.actuator(Reach::Live, &alive, &nothing), &gateway, ID, &wanted());
            let want = answer.map_or_else(Restored::Failed, Restored::Accepted);
            assert_eq!((done.unwrap(), gateway.asked.get()), (want, 1));
            let found = recover(&place.actuator(Reach::Live, &alive, &nothing), ID).unwrap();
            assert_eq!((found.outcome, gateway.asked.get()), (Outcome::Unverified, 1));
            let undone =
                undo(&place.actuator(Reach::Live, &alive, &nothing), ID, ActionId(8)).unwrap();
            assert_eq!(undone.outcome, Outcome::Changed);
        }
    }

    #[test]
    fn a_dry_run_and_another_gateway_ask_nothing_and_leave_nothing() {
        let place = Place::new();
        let answer = Ok("agent:claude:acp:2".into());
        let gateway = Gateway { place: &place, answer, asked: Cell::new(0) };
        let dry =
            restore(&place.actuator(Reach::DryRun, &alive, &nothing), &gateway, ID, &wanted())
                .unwrap();
        assert_eq!(dry, Restored::WouldDo);
        let other =
            restore(&place.actuator(Reach::Live, &|_| false, &nothing), &gateway, ID, &wanted());
        assert!(matches!(other.unwrap(), Restored::NotAsked(_)));
        assert_eq!(gateway.asked.get(), 0);
        assert_eq!(Quarantine::new(place.quarantine.path().to_owned()).manifest(ID).unwrap(), None);
    }
}
