//! No process table makes a target of what is not both ours and provably dead.

use std::path::PathBuf;

use proptest::prelude::*;

use super::super::sample::{end, orphan, world};
use super::{judge_with, lines};
use crate::model::sample::{GATEWAY, ago, gap};
use crate::model::{
    Agent, Bond, Contact, Decision, Guard, Ownership, Peer, Place, Seen, Sign, Source, Stdio,
};
use crate::policy::settings::sample;

fn seen() -> impl Strategy<Value = Seen> {
    prop_oneof![
        2 => Just(Seen::Absent),
        1 => Just(Seen::Unreadable("no".to_owned())),
        3 => Just(Seen::Present(String::new())),
    ]
}

fn peer() -> impl Strategy<Value = Peer> {
    prop_oneof![1 => Just(Peer::Alive), 1 => Just(Peer::Unknown(String::new())), 6 => Just(Peer::Dead)]
}

fn bond() -> impl Strategy<Value = Bond> {
    prop_oneof![
        9 => Just(Bond::Loose { parent: 1, name: String::new() }),
        1 => any::<bool>().prop_map(|is_ours| Bond::Attached { to: GATEWAY, role: "gateway", is_ours }),
        1 => Just(Bond::Parented { by: GATEWAY }),
        1 => Just(Bond::Unknown(String::new())),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    prop_oneof![
        6 => Just(Place::Ours),
        1 => Just(Place::Other(PathBuf::from("/o"))),
        1 => Just(Place::Unknown(String::new())),
    ]
}

prop_compose! {
    fn any_agent()(
        signs in prop::collection::vec(seen(), Sign::ALL.len()),
        mark in seen(),
        (input, output) in (peer(), peer()),
        bond in bond(),
        place in place(),
        has_kind in prop::bool::weighted(0.9),
        has_top in prop::bool::weighted(0.1),
        guard in prop::option::weighted(0.2, 0..2_usize),
        age in 0..300_u64,
        gone in prop::bool::weighted(0.1),
    ) -> (Agent, bool) {
        let mut agent = orphan();
        agent.ownership = Ownership::new(Sign::ALL.into_iter().zip(signs));
        agent.stdio = Stdio { input: end(input), output: end(output) };
        (agent.mark, agent.bond, agent.place) = (mark, bond, place);
        agent.kind = agent.kind.filter(|_| has_kind);
        agent.top = has_top.then_some(GATEWAY);
        agent.started_at = ago(age);
        if let Some(place) = guard {
            agent.tree[place].guards.push(Guard::Terminal);
        }
        (agent, gone)
    }
}

proptest! {
    #[test]
    fn nothing_is_a_target_without_ownership_and_a_death_that_the_kernel_proves(
        (agent, blind) in any_agent()
    ) {
        let mut world = world(agent.clone());
        if blind {
            world.gaps = vec![gap(Source::Processes, "/proc")];
        }
        let verdicts = judge_with(&world, &sample());
        let acts = verdicts.iter().any(|verdict| matches!(verdict.decision, Decision::Act(..)));
        let strong = agent.ownership.iter().any(|(sign, seen)| sign.is_strong() && seen.is_present());
        let signs = agent.ownership.iter().filter(|(_, seen)| seen.is_present()).count();
        let provable = (strong || signs >= 2)
            && agent.stdio.contact() == Contact::Lost
            && agent.kind.is_some()
            && agent.top.is_none()
            && agent.mark.is_present()
            && matches!(agent.bond, Bond::Loose { .. })
            && (agent.place == Place::Ours
                || (matches!(agent.place, Place::Unknown(_)) && agent.ownership.has(Sign::Ledger)))
            && agent.tree.iter().all(|member| member.guards.is_empty())
            && agent.started_at <= ago(120)
            && !blind;
        prop_assert_eq!(acts, provable, "{:?}", lines(&verdicts));
    }
}
