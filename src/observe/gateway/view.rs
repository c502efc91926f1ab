//! What was found, on the way to a decision.

use std::collections::BTreeSet;
use std::time::Duration;

use super::bystanders::{self, Kin};
use super::claim::{Claim, Claims};
use super::relation::Relation;
use super::role::Role;
use super::status::{Identified, PortState};
use super::{Scene, expected, places, port, relation};
use crate::model::Sighting;

/// Everything that was looked at.
pub(super) struct View<'a> {
    scene: &'a Scene<'a>,
    claims: &'a Claims,
    kin: &'a [Kin<'a>],
    pub(super) doubts: Vec<String>,
}

impl<'a> View<'a> {
    pub(super) fn new(scene: &'a Scene<'a>, claims: &'a Claims, kin: &'a [Kin<'a>]) -> View<'a> {
        View { scene, claims, kin, doubts: Vec::new() }
    }

    /// Returns the proven gateways; a parent and its child are one.
    pub(super) fn identified(&mut self) -> Vec<Identified> {
        let mut found: Vec<Identified> = Vec::new();
        for claim in self.our_claims() {
            match self.holder(&claim) {
                Ok(Some(gateway)) if found.iter().any(|known| known.id == gateway.id) => {}
                Ok(Some(gateway)) => found.push(gateway),
                Ok(None) => {}
                Err(doubt) => self.doubts.push(doubt),
            }
        }
        let blind =
            self.claims.blind.iter().map(|(path, why)| format!("`{}`: {why}", path.display()));
        self.doubts.extend(blind);
        self.doubts.extend(places::torn(self.scene, self.claims));
        let locked: BTreeSet<i32> = found.iter().map(|gateway| gateway.id.pid).collect();
        let unlocked = self.kin.iter().filter(|kin| !locked.contains(&kin.process.id.pid));
        found.extend(unlocked.filter_map(|kin| self.unlocked(kin)).collect::<Vec<_>>());
        self.without_kin(found, &locked)
    }

    /// Drops the parent or child of another gateway: on 2026.4.15 the gateway has a parent, and
    /// a child that is being started shows its parent's title. The one with the lock stays,
    /// else the parent.
    fn without_kin(&self, found: Vec<Identified>, locked: &BTreeSet<i32>) -> Vec<Identified> {
        let pids: Vec<i32> = found.iter().map(|gateway| gateway.id.pid).collect();
        let table = self.scene.table;
        let above: BTreeSet<i32> =
            locked.iter().flat_map(|&pid| bystanders::ancestors(table, pid)).collect();
        let stays = |gateway: &Identified| {
            let pid = gateway.id.pid;
            let own = bystanders::ancestors(table, pid);
            locked.contains(&pid)
                || !(above.contains(&pid) || pids.iter().any(|other| own.contains(other)))
        };
        found.into_iter().filter(stays).collect()
    }

    /// Our locks of gateways, without those that another user could have put there.
    fn our_claims(&self) -> Vec<Claim> {
        let scene = self.scene;
        let live = scene.table.is_live();
        let owners = places::owners(scene);
        let ours = |claim: &&Claim| {
            claim.is_gateway
                && relation::claims(scene.install, live, claim)
                && (!live || owners.contains(&claim.uid))
        };
        self.claims.found.iter().filter(ours).cloned().collect()
    }

    /// Returns the live gateway that holds `claim`, `None` if the lock is dead.
    fn holder(&self, claim: &Claim) -> Result<Option<Identified>, String> {
        let (table, pid) = (self.scene.table, claim.pid);
        let name = claim.path.display();
        if claim.start_ticks.is_some() && !table.counts_as_the_gateway() {
            return Err(format!(
                "`{name}`: it was taken on another system, perhaps in a container"
            ));
        }
        let (id, started_at) = match table.sight(pid) {
            Sighting::Absent => return Ok(None),
            Sighting::Hidden => return Err(format!("`{name}`: pid {pid} cannot be seen")),
            Sighting::Present { id, started_at, .. } => (id, started_at),
        };
        let role = table.get(pid).and_then(Role::of);
        match (claim.start_ticks, claim.created_at) {
            (Some(ticks), _) if ticks != id.start_ticks => return Ok(None),
            (Some(_), _) => {}
            // The clocks of boot time and lock differ by rounding.
            (None, Some(at)) if at.plus(Duration::from_secs(2)) < started_at => return Ok(None),
            (None, Some(_)) if role.is_some_and(|role| role.may_be_gateway()) => {}
            (None, _) => return Err(format!("`{name}`: pid {pid} may be another process")),
        }
        let uid = table.get(pid).map(|process| process.uid);
        if table.is_live() && uid != Some(claim.uid) {
            return Err(format!("`{name}`: it does not belong to the user of pid {pid}"));
        }
        Ok(Some(Identified {
            id,
            started_at,
            locked_at: claim.created_at,
            locked_port: claim.port,
            listening: table.listening_ports(pid).ok(),
            is_elsewhere: table.is_elsewhere(pid),
        }))
    }

    /// Returns a gateway that has no lock of this state directory: its environment names it, it
    /// has a gateway's title, and it listens.
    fn unlocked(&self, kin: &Kin<'_>) -> Option<Identified> {
        // A port of ours is asked for where a profile or another command cannot be excluded.
        let needs_our_port = match (&kin.role, &kin.relation) {
            (Role::GatewayTitle, Relation::Ours) => false,
            (Role::GatewayTitle, Relation::Default)
            | (Role::Bare, Relation::Ours | Relation::Default) => true,
            (Role::GatewayTitle | Role::Bare, Relation::Other | Relation::Possible(_))
            | (Role::GatewayStart { .. } | Role::Command(_), _) => return None,
        };
        let table = self.scene.table;
        let id = kin.process.id;
        let listening = table.listening_ports(id.pid).ok();
        // `openclaw gateway status` has the title too, and listens on nothing.
        let proven = match &listening {
            Some(ports) if needs_our_port => ports.contains(&expected(self.scene)),
            Some(ports) => !ports.is_empty(),
            None => !needs_our_port && !table.is_live(),
        };
        let claim = self.claims.found.iter().find(|claim| {
            claim.pid == id.pid && claim.start_ticks == Some(id.start_ticks) && claim.is_gateway
        });
        proven.then(|| Identified {
            id,
            started_at: table.started_at(id),
            locked_at: claim.and_then(|claim| claim.created_at),
            locked_port: claim.and_then(|claim| claim.port),
            listening,
            is_elsewhere: table.is_elsewhere(id.pid),
        })
    }

    /// Returns the pids of the identified gateways, their ancestors and descendants.
    pub(super) fn family(&self, identified: &[Identified]) -> BTreeSet<i32> {
        let mut family = BTreeSet::new();
        for gateway in identified {
            let pid = gateway.id.pid;
            family.insert(pid);
            family.extend(bystanders::ancestors(self.scene.table, pid));
            let below = bystanders::descendants(self.scene.table, pid);
            family.extend(below.into_iter().map(|(id, _)| id.pid));
        }
        family
    }

    /// Returns why there may be a gateway outside of `family`.
    pub(super) fn suspects(&self, family: &BTreeSet<i32>) -> Vec<String> {
        let outside =
            |kin: &&Kin<'_>| !family.contains(&kin.process.id.pid) && kin.role.may_be_gateway();
        let mut suspects: Vec<String> = Vec::new();
        for kin in self.kin.iter().filter(outside) {
            let pid = kin.process.id.pid;
            match &kin.relation {
                Relation::Other => {}
                Relation::Possible(why) => suspects.push(format!("it may be pid {pid}: {why}")),
                Relation::Ours | Relation::Default => {
                    suspects.push(format!("pid {pid} may be a gateway of this state directory"));
                }
            }
        }
        suspects.extend(places::state_lock(self.scene, self.claims, family));
        suspects
    }

    pub(super) fn port_state(&self) -> PortState {
        let table = self.scene.table;
        if !table.is_live() {
            return PortState::NotAsked;
        }
        // The port of a dead gateway's lock may differ from the configured one (`--port`).
        let ports =
            self.our_claims().iter().filter_map(|claim| claim.port).collect::<BTreeSet<_>>();
        let is_theirs = |port: u16| {
            let others = self.kin.iter().filter(|kin| kin.relation == Relation::Other);
            others
                .filter_map(|kin| table.listening_ports(kin.process.id.pid).ok())
                .any(|ports| ports.contains(&port))
        };
        let mut state = PortState::Refused;
        for port in ports.into_iter().chain([expected(self.scene)]) {
            match port::probe(port) {
                PortState::Open(_) if is_theirs(port) => state = PortState::Others,
                PortState::Open(what) => return PortState::Open(what),
                PortState::Refused | PortState::Others | PortState::NotAsked => {}
            }
        }
        state
    }
}
