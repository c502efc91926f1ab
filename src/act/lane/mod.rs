//! Has the gateway repair a lane, and looks whether it did.
//!
//! What the gateway answers to a repair proves nothing on any version: `ok` comes with `no-active-run`,
//! and up to 2026.4.15 the row of an aborted run stays `running` for ever. So the lane is looked at
//! through the gateway and on disk, before and after.

mod after;
mod archive;
mod before;
mod kept;
mod over;
mod patience;
mod tell;

use crate::gateway::{Call, CallError, Reply};
use crate::model::{
    ActionId, LaneCall, LaneSight, Outcome, ProcessId, RpcFault, RunId, Rung, UnixMillis,
};

use super::error::ActError;
use super::quarantine::{CallManifest, Manifest};
use super::{Actuator, Performed, Reach, Step};
use before::{Before, Found};

/// Looks at what is on disk of one lane, and below the gateway, while it is repaired.
pub trait LaneCensus {
    /// Returns what the lane was judged by.
    fn judged(&self, call: &LaneCall) -> LaneSight;

    /// Returns the same as it is now.
    ///
    /// # Errors
    ///
    /// Returns what cannot be seen, for people.
    fn now(&self, call: &LaneCall) -> Result<LaneSight, String>;

    /// Returns a process below the gateway that was not there when the lane was judged: it may be
    /// a tool of its run.
    ///
    /// # Errors
    ///
    /// Returns why the process table could not be read.
    fn newcomer(&self, call: &LaneCall) -> Result<Option<ProcessId>, String>;
}

/// Where no lane is ever repaired over RPC.
#[derive(Clone, Copy, Debug)]
pub struct NoLaneCensus;

impl LaneCensus for NoLaneCensus {
    fn judged(&self, _call: &LaneCall) -> LaneSight {
        LaneSight {
            at: UnixMillis::default(),
            file: None,
            row: None,
            transcript: None,
            trajectory: None,
            locks: std::collections::BTreeMap::new(),
            run: None,
            waiting: None,
        }
    }

    fn now(&self, _call: &LaneCall) -> Result<LaneSight, String> {
        Err("nobody looks at lanes here".to_owned())
    }

    fn newcomer(&self, _call: &LaneCall) -> Result<Option<ProcessId>, String> {
        Err("nobody looks at processes here".to_owned())
    }
}

/// Says the call if everything that was judged still holds, and looks for its effect.
pub(super) fn call(
    actuator: &Actuator<'_>,
    id: ActionId,
    call: &LaneCall,
) -> Result<Performed, ActError> {
    let Some(speak) = actuator.speak else {
        return Ok(Performed::changed("nobody speaks with the gateway"));
    };
    let before = match before::look(actuator, speak, call) {
        Found::Standing(before) => before,
        Found::Gone(note) => return Ok(gone(note)),
        Found::Changed(note) => return Ok(Performed::changed(note)),
    };
    if actuator.reach == Reach::DryRun {
        return Ok(Performed::of(Outcome::WouldDo));
    }
    (actuator.before)(Step::Begin);
    let manifest = Manifest::CallLane(Box::new(manifest(call, &before)));
    if let Err(error) = actuator.quarantine.begin(id, &manifest) {
        return Ok(Performed::changed(format!("nothing was said to it: {error}")));
    }
    // Writing the manifest takes as long as the disk takes, and meanwhile the run may have moved.
    match before::still(actuator, call, &actuator.lanes.judged(call)) {
        Ok(_) => {}
        Err(Found::Gone(note)) => return Ok(gone(note)),
        Err(Found::Changed(note)) => return Ok(Performed::changed(note)),
        Err(Found::Standing(_)) => {}
    }
    // Whoever wants us to stop is not kept waiting for a run to end.
    if (actuator.hurry)() {
        return Ok(Performed::changed("nothing was said to it: a stop was asked for"));
    }
    (actuator.before)(Step::Call);
    let words = words(call, before.run.clone());
    let answer = speak.call(call.gateway, &words, actuator.hurry);
    let answer = match answer {
        Err(error) if !error.is_unknown => return refused(call, error),
        answer => answer,
    };
    (actuator.before)(Step::Verify);
    let mut performed = after::verify(actuator, speak, call, &before, &answer);
    if performed.outcome == Outcome::Done
        && let Some(told) = tell::tell(actuator, speak, call)
    {
        performed.note = Some([performed.note.unwrap_or_default(), told].join("; "));
    }
    Ok(performed)
}

fn gone(note: impl Into<String>) -> Performed {
    Performed { outcome: Outcome::AlreadyGone, note: Some(note.into()) }
}

/// What a steered run is told. It begins a model turn, so it says what to do next.
const STEER: &str = "The last run made no progress for a long time and was interrupted by clawarden. \
                     Go on with the last request.";

/// The call of a rung. An abort names the run that was seen, so that it can end no other.
fn words(call: &LaneCall, run: Option<RunId>) -> Call {
    let key = call.key.clone();
    match call.rung {
        Rung::Abort => Call::Abort { key, run },
        Rung::Steer => Call::Steer { key, message: STEER.to_owned() },
        Rung::Recover => Call::Recover { key },
        Rung::Reset => Call::Reset { key, expected_session: call.session_id.clone() },
        Rung::New => Call::New { key },
    }
}

fn manifest(call: &LaneCall, before: &Before) -> CallManifest {
    CallManifest {
        key: call.key.clone(),
        rung: call.rung,
        session_id: call.session_id.clone(),
        run: before.run.clone(),
        started_at: call.started_at,
        transcript: before.sight.file.clone(),
    }
}

/// The call was certainly not carried out. Where nothing was even said, that is no failure of the rung:
/// no higher one may come because of it.
fn refused(call: &LaneCall, error: CallError) -> Result<Performed, ActError> {
    match error.failure.fault {
        RpcFault::Refused
        | RpcFault::Deaf
        | RpcFault::Unavailable
        | RpcFault::NotAGateway
        | RpcFault::WrongGateway
        | RpcFault::Closed
        | RpcFault::NoCredentials
        | RpcFault::Unauthorized
        | RpcFault::PairingRequired
        | RpcFault::MissingScope
        | RpcFault::ProtocolMismatch => {
            Ok(Performed::changed(format!("nothing was said to it: {error}")))
        }
        RpcFault::TooLarge | RpcFault::Unsupported | RpcFault::Refusal | RpcFault::Internal => {
            Err(ActError::Call { rung: call.rung, key: call.key.clone(), source: error })
        }
    }
}

/// Says what is known of a call that a crash interrupted. It is never said again.
pub(super) fn recover(manifest: &CallManifest) -> Performed {
    let note = format!(
        "interrupted while the gateway was asked to {} `{}`; it may have been carried out, and is \
         not repeated: the next pass looks at the lane",
        manifest.rung, manifest.key
    );
    Performed { outcome: Outcome::Unverified, note: Some(note) }
}

/// Says what would have to be brought back, and where it is.
pub(super) fn undo(manifest: &CallManifest) -> Performed {
    Performed::changed(match manifest.rung {
        Rung::Abort | Rung::Steer => {
            "a run that was ended cannot be brought back; its conversation was kept".to_owned()
        }
        Rung::Recover => {
            "the conversation goes on under the successor that the gateway made".to_owned()
        }
        Rung::Reset | Rung::New => {
            let place = archive::place(manifest.transcript.as_deref());
            format!("a conversation that was begun anew cannot be taken back; {place}")
        }
    })
}

/// What the gateway answered, for people.
fn said(answer: &Result<Reply, CallError>) -> String {
    match answer {
        Ok(Reply { status: Some(status), .. }) => format!("the gateway answered {status}"),
        Ok(_) => "the gateway answered".to_owned(),
        Err(error) => format!("no answer came ({})", error.failure),
    }
}

#[cfg(test)]
mod tests;
