//! Asks the gateway what it says itself, for one pass.

use std::time::Duration;

use super::{PassError, Passes};
use crate::config::Config;
use crate::model::{
    Lane, LaneStatus, LiveLane, Mode, Rpc, RpcFailure, RpcFault, Snapshot, Status, UnixMillis,
};

/// How long a run must have been on before its processes are watched. No rule judges one sooner.
const LONG: Duration = Duration::from_secs(60);

impl Passes {
    /// Fills in what only the gateway can tell, where a policy asks for it.
    ///
    /// # Errors
    ///
    /// Returns an error if a stop was asked for before it answered: what it would have said decides
    /// about what else was seen.
    pub(super) fn hear(
        &mut self,
        snapshot: &mut Snapshot,
        stop: &dyn Fn() -> bool,
    ) -> Result<(), PassError> {
        snapshot.rpc = self.ask(snapshot, stop);
        if matches!(snapshot.rpc, Rpc::Failed(_)) && stop() {
            return Err(PassError::Stopped);
        }
        let told = snapshot.rpc.answers().and_then(|answers| answers.version);
        snapshot.gateway.version = snapshot.gateway.version.or(told);
        snapshot.children = match runs(snapshot) {
            true => self.observer.look_at_children(),
            false => {
                self.observer.forget_children();
                Vec::new()
            }
        };
        snapshot.ended_tools = self.observer.ended_tools();
        snapshot.vitals.restart_command = self.observer.restart_command(&snapshot.gateway);
        Ok(())
    }

    fn ask(&mut self, snapshot: &Snapshot, stop: &dyn Fn() -> bool) -> Rpc {
        let not_asked = |why: &str| Rpc::NotAsked(why.to_owned());
        let Some(speak) = &mut self.speak else { return not_asked("nobody speaks with it") };
        if !wants(&self.config) {
            return not_asked("no policy asks for it");
        }
        if !self.observer.is_live() {
            return not_asked("a captured state cannot be asked");
        }
        let process = match (snapshot.gateway.status, &snapshot.gateway.process) {
            (Status::Up, Some(process)) => process.id,
            (Status::Down, _) => return not_asked("it is down"),
            (Status::Starting, _) => return not_asked("it is starting"),
            (Status::Up | Status::Unknown, _) => {
                return not_asked("it cannot be told whether it runs");
            }
        };
        let access = self.observer.access(&self.config.gateway, &snapshot.gateway);
        let target = access.and_then(|access| match access.read_only {
            None => Ok(access.target),
            Some(text) => Err(RpcFailure { fault: RpcFault::WrongGateway, text }),
        });
        speak.aim(target);
        let mut rpc = speak.hear(process, stop);
        let asks_loop = self.config.policies.gateway_health.mode != Mode::Off;
        if let (Rpc::Answered(answers), true) = (&mut rpc, asks_loop) {
            answers.event_loop = speak.event_loop(stop).ok().flatten();
        }
        rpc
    }
}

/// Whether some run has been on for so long that it may be asked about: most are over by then, and
/// what lives below a busy gateway costs as much to look at as all the rest.
fn runs(snapshot: &Snapshot) -> bool {
    let is_long = |at: Option<UnixMillis>| at.is_none_or(|at| snapshot.taken_at.since(at) >= LONG);
    let row = |lane: &Lane| {
        lane.row.status == LaneStatus::Running && is_long(lane.row.started_at.value())
    };
    let told = |lane: &LiveLane| {
        let is_on = lane.status == LaneStatus::Running || lane.has_active_run == Some(true);
        is_on && is_long(lane.started_at)
    };
    let answers = snapshot.rpc.answers();
    snapshot.lanes.iter().any(row) || answers.is_some_and(|said| said.lanes.iter().any(told))
}

fn wants(config: &Config) -> bool {
    let policies = &config.policies;
    let modes = [
        policies.stale_lane.mode,
        policies.hung_lane.mode,
        policies.held_lock.mode,
        policies.gateway_health.mode,
    ];
    modes != [Mode::Off; 4] || !policies.overrides.is_empty()
}
