//! The report of a pass.

use crate::act::Reach;
use crate::model::{Agent, Era, Lane, Rpc, Snapshot};
use crate::policy;
use crate::report::{Entry, Fleet, KeptLane, PassReport, Unheard};

fn kept(lane: &Lane, snapshot: &Snapshot) -> KeptLane {
    let locks = snapshot.locks.iter().filter(|lock| lock.guards(lane));
    let locks = locks.map(|lock| lock.path.to_string_lossy().into_owned()).collect();
    KeptLane { key: lane.key.clone(), locks }
}

fn fleet(agents: &[Agent]) -> Fleet {
    let of_families = agents.iter().filter(|agent| agent.kind.is_some());
    let mut fleet = Fleet::default();
    for agent in of_families {
        fleet.all += 1;
        if agent.ownership.is_proven() && agent.place_is_not_other() {
            fleet.ours += 1;
            // What is below another agent is counted with that.
            fleet.ours_resident += if agent.top.is_none() { agent.resident() } else { 0 };
        }
    }
    fleet
}

/// How many lanes were looked at: in files, else as the gateway told; `None` where nobody did.
fn lanes(snapshot: &Snapshot) -> Option<usize> {
    let told = snapshot.rpc.answers().map(|answers| answers.lanes.len());
    match snapshot.gateway.era {
        Era::Files | Era::Hybrid => Some(snapshot.lanes_total),
        Era::Sqlite | Era::Newer { .. } | Era::Unknown { .. } => told,
    }
}

/// What the gateway answered where it told nothing, and what a person can do.
fn unheard(snapshot: &Snapshot) -> Option<Unheard> {
    let Rpc::Failed(failure) = &snapshot.rpc else { return None };
    Some(Unheard { why: failure.clone(), next: policy::next_step(snapshot, failure.fault) })
}

pub(super) fn report(
    snapshot: Snapshot,
    entries: Vec<Entry>,
    pass_id: String,
    reach: Reach,
) -> PassReport {
    let lanes = lanes(&snapshot);
    PassReport {
        pass_id,
        taken_at: snapshot.taken_at,
        dry_run: reach == Reach::DryRun,
        kept: snapshot.lanes.iter().map(|lane| kept(lane, &snapshot)).collect(),
        holders: snapshot.locks.iter().filter_map(crate::model::Lock::live_holder).collect(),
        descendants: snapshot.gateway_children.iter().map(|(id, _)| *id).collect(),
        unheard: unheard(&snapshot),
        gateway: snapshot.gateway,
        gaps: snapshot.gaps,
        entries,
        lanes,
        locks: snapshot.locks.len(),
        agents: fleet(&snapshot.agents),
        all: false,
        recovered: Vec::new(),
        invocation: "clawarden".to_owned(),
    }
}
