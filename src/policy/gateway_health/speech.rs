//! What it says, or does not: deaf, late, unwilling.

use std::time::Duration;

use crate::model::{
    EventLoop, Evidence, HoldReason, Lost, Rpc, RpcFailure, RpcFault, Snapshot, Status,
};

use super::process::{has_settled, is_stopped};
use super::{Finding, Scene, restart};

/// So often it must have said nothing.
const DEAF_LOOKS: u32 = 3;

/// Delays that people notice. A loop that is busy without delay is at work, not late (#77955).
const LATE_P99: Duration = Duration::from_millis(200);
const LATE_MAX: Duration = Duration::from_secs(1);

/// For so long a loss of events counts as one that goes on.
const LOST_LATELY: Duration = Duration::from_mins(5);

const DEAF: &str = "deaf";
const RPC: &str = "rpc";

/// What cannot be done while it cannot be asked.
const WITHOUT: &str = "hung lanes and held locks are not judged, and no repair is asked of it; \
                       what files and processes show is judged all the same";

/// A gateway that is down, starting or stopped is not expected to speak.
pub(super) fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let snapshot = scene.context.snapshot;
    let is_up = snapshot.gateway.status == Status::Up && has_settled(scene);
    if !is_up || snapshot.vitals.state.is_some_and(is_stopped) {
        return Vec::new();
    }
    match &snapshot.rpc {
        Rpc::NotAsked(_) => not_asked(scene),
        Rpc::Failed(RpcFailure { fault: RpcFault::Deaf, .. }) => vec![deaf(scene)],
        Rpc::Failed(failure) => vec![unwilling(scene, failure)],
        Rpc::Answered(answers) => {
            let late = answers.event_loop.and_then(|event_loop| late(scene, event_loop));
            late.into_iter().chain(lossy(scene, answers.lost)).collect()
        }
    }
}

/// Nobody looked, so nothing is known to be over.
fn not_asked(scene: &Scene<'_>) -> Vec<Finding> {
    let life = scene.life();
    let was_deaf = scene.seen_as(DEAF, &life).map(|_| deaf(scene));
    let was_unwilling = RpcFault::ALL.into_iter().find_map(|fault| {
        scene.seen_as(RPC, &told(&life, fault))?;
        let text = "it was not asked again".to_owned();
        Some(unwilling(scene, &RpcFailure { fault, text }))
    });
    was_deaf.into_iter().chain(was_unwilling).collect()
}

fn deaf(scene: &Scene<'_>) -> Finding {
    let incarnation = scene.life();
    let state = scene.context.snapshot.vitals.state;
    let waits =
        (state == Some('D')).then_some("its process waits for a disk, or for swapped memory");
    Finding {
        id: DEAF,
        why: HoldReason::IsDeaf { since: scene.since(DEAF, &incarnation) },
        incarnation,
        what: "deaf",
        after: scene.rule.after,
        looks: DEAF_LOOKS,
        next: format!("every message to it waits; {}", scene.restart()),
        evidence: Evidence::new()
            .with("without", WITHOUT)
            .maybe("process", waits)
            .maybe("log", scene.log(&["event_loop_late", "memory_pressure"])),
    }
}

fn late(scene: &Scene<'_>, event_loop: EventLoop) -> Option<Finding> {
    let EventLoop { is_degraded, delay_p99: p99, delay_max: max } = event_loop;
    if !is_degraded || (p99 < LATE_P99 && max < LATE_MAX) {
        return None;
    }
    Some(Finding {
        id: "event_loop",
        incarnation: scene.life(),
        what: "late",
        after: scene.rule.after,
        looks: 2,
        why: HoldReason::EventLoopLate { p99, max },
        next: format!("if it stays so, {}", scene.restart()),
        evidence: Evidence::new()
            .with("delay_p99_ms", millis(p99))
            .with("delay_max_ms", millis(max))
            .maybe("log", scene.log(&["event_loop_late"])),
    })
}

/// One loss is made good by a list. Where they go on, the silence of every run begins anew with each,
/// and nothing is ever found to hang.
fn lossy(scene: &Scene<'_>, lost: Lost) -> Option<Finding> {
    let ago = scene.now().since(lost.last?);
    (ago < LOST_LATELY).then(|| Finding {
        id: "events",
        incarnation: scene.life(),
        what: "losing events",
        after: scene.rule.after,
        looks: 3,
        why: HoldReason::LosesEvents { times: lost.times, ago },
        next: format!(
            "it is overloaded, or sends more than can be read; if it stays so, {}",
            scene.restart()
        ),
        evidence: Evidence::new()
            .with("lost_times", lost.times)
            .with("without", "hung lanes and held locks are not acted on")
            .maybe("log", scene.log(&["event_loop_late", "memory_pressure"])),
    })
}

fn unwilling(scene: &Scene<'_>, failure: &RpcFailure) -> Finding {
    let fault = failure.fault.name();
    // One look is all that `plan` has.
    let (after, looks) =
        if is_lasting(failure.fault) { (Duration::ZERO, 1) } else { (scene.rule.after, 2) };
    Finding {
        id: RPC,
        incarnation: told(&scene.life(), failure.fault),
        what: "not to be asked",
        after,
        looks,
        why: HoldReason::CannotAsk { fault, text: failure.text.clone() },
        next: next_step(scene.context.snapshot, failure.fault),
        evidence: Evidence::new().with("fault", fault).with("without", WITHOUT),
    }
}

/// What does not pass by itself: somebody has to change something.
fn is_lasting(fault: RpcFault) -> bool {
    match fault {
        RpcFault::NoCredentials
        | RpcFault::Unauthorized
        | RpcFault::PairingRequired
        | RpcFault::MissingScope
        | RpcFault::ProtocolMismatch => true,
        RpcFault::Refused
        | RpcFault::WrongGateway
        | RpcFault::Deaf
        | RpcFault::NotAGateway
        | RpcFault::Unavailable
        | RpcFault::Closed
        | RpcFault::TooLarge
        | RpcFault::Unsupported
        | RpcFault::Refusal
        | RpcFault::Internal => false,
    }
}

/// Another fault is another incident.
fn told(life: &str, fault: RpcFault) -> String {
    format!("{life} {}", fault.name())
}

fn millis(delay: Duration) -> u64 {
    u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)
}

/// Returns what a person can do about a gateway that gives no answer for this reason.
#[must_use]
pub fn next_step(snapshot: &Snapshot, fault: RpcFault) -> String {
    let text = match fault {
        RpcFault::Refused => {
            "it listens elsewhere than expected; say where: `gateway: { url: ws://HOST:PORT }`"
        }
        RpcFault::Deaf => return restart(snapshot),
        RpcFault::NoCredentials => {
            "say where its token is: `gateway: { token_file: PATH }` or `gateway: { token_env: NAME }`"
        }
        RpcFault::Unauthorized => {
            "the token is not the one it wants; compare `gateway.token_file` or `gateway.token_env` \
             with its own `gateway.auth`"
        }
        RpcFault::PairingRequired | RpcFault::MissingScope => {
            "let this device in: openclaw devices list, then openclaw devices approve ID"
        }
        RpcFault::ProtocolMismatch => {
            "it speaks another protocol; look for a clawarden that knows its version"
        }
        RpcFault::NotAGateway => {
            "something else has its port; free that, or say where it listens: \
             `gateway: { url: ws://HOST:PORT }`"
        }
        RpcFault::WrongGateway => {
            "another gateway answers there; say which is meant, by `gateway: { url: … }` or \
             `gateway: { state_dir: … }`"
        }
        RpcFault::Unavailable
        | RpcFault::Closed
        | RpcFault::TooLarge
        | RpcFault::Unsupported
        | RpcFault::Refusal => "it is asked again by itself; if it stays so, look at its log",
        RpcFault::Internal => "this is clawarden's own fault; run: clawarden plan -v",
    };
    text.to_owned()
}
