//! Asks the gateway what it says itself, for one pass.

use super::Passes;
use crate::config::Config;
use crate::model::{Mode, Rpc, RpcFailure, RpcFault, Snapshot, Status};

impl Passes {
    /// Fills in what only the gateway can tell, where a policy asks for it.
    pub(super) fn hear(&mut self, snapshot: &mut Snapshot) {
        snapshot.rpc = self.ask(snapshot);
        snapshot.vitals.restart_command = self.observer.restart_command(&snapshot.gateway);
    }

    fn ask(&mut self, snapshot: &Snapshot) -> Rpc {
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
        let mut rpc = speak.hear(process);
        let asks_loop = self.config.policies.gateway_health.mode != Mode::Off;
        if let (Rpc::Answered(answers), true) = (&mut rpc, asks_loop) {
            answers.event_loop = speak.event_loop().ok().flatten();
        }
        rpc
    }
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
