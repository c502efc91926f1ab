//! What its processes show: down, not listening, stopped, restarting, two of them, growing.

use std::time::Duration;

use crate::model::{Evidence, GatewayProcess, HoldReason, ProcessId, Status};

use super::growth::growth;
use super::{Finding, Scene};
use crate::policy::ground::gateway_grace;

/// In this time a gateway that crashes starts over more often than a person restarts it.
const LOOP_WINDOW: Duration = Duration::from_mins(15);

const MIB: u64 = 1 << 20;

pub(super) fn findings(scene: &Scene<'_>) -> Vec<Finding> {
    let gateway = &scene.context.snapshot.gateway;
    let alive = gateway.process.map(|process| of_process(scene, &process));
    let down = (gateway.status == Status::Down).then(|| down(scene));
    let all = [down, crash_loop(scene), duplicates(scene)];
    all.into_iter().flatten().chain(alive.into_iter().flatten()).collect()
}

fn of_process(scene: &Scene<'_>, process: &GatewayProcess) -> Vec<Finding> {
    let found =
        [not_listening(scene, process), stopped(scene, process), memory(scene), zombies(scene)];
    found.into_iter().flatten().collect()
}

fn down(scene: &Scene<'_>) -> Finding {
    let (id, snapshot) = ("down", scene.context.snapshot);
    let since = scene.since(id, "");
    Finding {
        id,
        incarnation: String::new(),
        what: "down",
        after: scene.rule.after,
        looks: 1,
        why: HoldReason::IsDown { since, why: snapshot.gateway.why.clone() },
        next: match &snapshot.vitals.restart_command {
            Some(command) => format!("start it, unless you stopped it: {command}"),
            None => "start it the way it is always started, unless you stopped it".to_owned(),
        },
        evidence: Evidence::new().with("why", snapshot.gateway.why.as_str()),
    }
}

/// Beyond the start grace a gateway that listens on nothing is no longer called starting.
fn not_listening(scene: &Scene<'_>, process: &GatewayProcess) -> Option<Finding> {
    let gateway = &scene.context.snapshot.gateway;
    if gateway.status != Status::Unknown {
        return None;
    }
    let (id, incarnation) = ("starting", scene.life());
    let begun = process.locked_at.unwrap_or(process.started_at).max(process.started_at);
    Some(Finding {
        why: HoldReason::NotListening { since: scene.since(id, &incarnation) },
        id,
        incarnation,
        what: "listening on no port",
        after: scene.rule.after,
        looks: 1,
        next: format!("look at the end of its log; then {}", scene.restart()),
        evidence: Evidence::new()
            .with("why", gateway.why.as_str())
            .with("started_at", begun.to_string()),
    })
}

/// A stopped process accepts connections all the same: the kernel does.
fn stopped(scene: &Scene<'_>, process: &GatewayProcess) -> Option<Finding> {
    let state = scene.context.snapshot.vitals.state?;
    if !is_stopped(state) {
        return None;
    }
    let (id, incarnation) = ("stopped", scene.life());
    let pid = process.id.pid;
    Some(Finding {
        why: HoldReason::IsStopped { since: scene.since(id, &incarnation) },
        id,
        incarnation,
        what: "stopped",
        after: scene.rule.after,
        looks: 1,
        next: match state {
            't' => "a debugger has it; end that, and it goes on".to_owned(),
            _ => format!("somebody stopped it; it goes on after: kill -CONT {pid}"),
        },
        evidence: Evidence::new(),
    })
}

/// Stopped by a signal (`T`), or by a debugger (`t`).
pub(super) fn is_stopped(state: char) -> bool {
    matches!(state, 'T' | 't')
}

fn crash_loop(scene: &Scene<'_>) -> Option<Finding> {
    let (now, vitals) = (scene.now(), &scene.context.snapshot.vitals);
    let recent = |at: &&_| now.since(**at) < LOOP_WINDOW;
    let starts: Vec<_> = vitals.starts.iter().filter(recent).collect();
    let count = u32::try_from(starts.len()).unwrap_or(u32::MAX);
    if count <= scene.rule.starts {
        return None;
    }
    let times: Vec<_> = starts.iter().map(|at| at.to_string()).collect();
    Some(Finding {
        id: "crash_loop",
        incarnation: String::new(),
        what: "restarting",
        after: Duration::ZERO,
        looks: 1,
        why: HoldReason::CrashLoop { starts: count, over: LOOP_WINDOW },
        next: "do not restart it once more; look at the end of its log, and run: openclaw doctor"
            .to_owned(),
        evidence: Evidence::new()
            .with("starts", times)
            .maybe("log", scene.log(&["restart_breaker", "draining"])),
    })
}

fn duplicates(scene: &Scene<'_>) -> Option<Finding> {
    let all = &scene.context.snapshot.vitals.duplicates;
    let ids: Vec<_> = all.iter().map(ProcessId::subject_id).collect();
    let pids: Vec<_> = all.iter().map(|id| format!("pid {}", id.pid)).collect();
    (!all.is_empty()).then(|| Finding {
        id: "duplicate",
        incarnation: ids.join(" "),
        what: "more than one gateway",
        after: scene.rule.after,
        looks: 1,
        why: HoldReason::DuplicateGateways { pids: pids.join(", ") },
        next: "stop all but the one that your service manager started; until then nothing is \
               repaired here"
            .to_owned(),
        evidence: Evidence::new().with("gateways", ids),
    })
}

fn memory(scene: &Scene<'_>) -> Option<Finding> {
    let lows = &scene.context.snapshot.vitals.memory_lows;
    let growth = growth(lows)?;
    let lows: Vec<_> = lows.iter().map(|low| low / MIB).collect();
    let (from_mib, to_mib) = (growth.from / MIB, growth.to / MIB);
    Some(Finding {
        id: "memory",
        incarnation: scene.life(),
        what: "growing",
        after: Duration::ZERO,
        looks: 1,
        why: HoldReason::MemoryGrows { from_mib, to_mib, over: growth.over },
        next: format!("before the host runs out of it, {}", scene.restart()),
        evidence: Evidence::new()
            .with("lows_mib", lows)
            .maybe("log", scene.log(&["memory_pressure"])),
    })
}

fn zombies(scene: &Scene<'_>) -> Option<Finding> {
    let count = scene.context.snapshot.vitals.zombies;
    (count > scene.rule.zombies).then(|| Finding {
        id: "zombies",
        incarnation: scene.life(),
        what: "not reaping its children",
        after: scene.rule.after,
        looks: 1,
        why: HoldReason::ZombieChildren { count },
        next: format!("when nobody waits for an answer, {}", scene.restart()),
        evidence: Evidence::new().with("zombies", count),
    })
}

/// Returns true if the gateway has had its time to start.
pub(super) fn has_settled(scene: &Scene<'_>) -> bool {
    let process = scene.context.snapshot.gateway.process;
    process.is_some_and(|process| gateway_grace(scene.context, &process).is_ok())
}
