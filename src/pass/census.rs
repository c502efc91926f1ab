//! Looks at processes once more, for whoever is about to end them.

use crate::act::Census;
use crate::config::Config;
use crate::model::{Guard, History, Member, ProcessId, Snapshot, TreeEnd};
use crate::observe::Observer;
use crate::policy::{self, Context};

/// Judges by the same rules as the pass, with what is seen now.
pub(super) struct Again<'a> {
    pub(super) observer: &'a Observer,
    pub(super) config: &'a Config,
    /// What the pass saw, apart from the processes.
    pub(super) snapshot: &'a Snapshot,
    /// With the off switches as they are now.
    pub(super) history: &'a History,
}

impl Census for Again<'_> {
    fn judge(&self, end: &TreeEnd, held: &[ProcessId]) -> Result<(), String> {
        let gateway = self.snapshot.gateway.process.map(|process| process.id);
        if gateway.is_some_and(|gateway| !self.observer.is_alive(gateway)) {
            return Err("the gateway has ended or restarted".to_owned());
        }
        let agent = self.observer.agent_again(end.root, held)?;
        let snapshot = Snapshot { agents: vec![agent], ..self.snapshot.clone() };
        let context = Context {
            snapshot: &snapshot,
            history: self.history,
            explains_healthy: false,
            start_grace: self.config.start_grace,
        };
        policy::still_to_end(context, &self.config.policies, end)
    }

    fn tree(&self, known: &[ProcessId], held: &[ProcessId]) -> Result<Vec<Member>, String> {
        let mut members = self.observer.tree_again(known, held)?;
        for member in &mut members {
            let id = member.id.subject_id();
            let until = self.history.controls.protects(&id, self.snapshot.taken_at);
            member.guards.extend(until.map(Guard::Protected));
        }
        Ok(members)
    }

    fn memory(&self, id: ProcessId) -> Option<u64> {
        self.observer.memory_of(id)
    }
}
