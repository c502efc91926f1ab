//! `orphan_process`: end agents that nobody can reach any more (#68916, #70860, #89007).
//!
//! An agent is an orphan if it is ours and the kernel says that the other ends of its input and
//! output are closed: nobody can talk to it, nobody can hear it, and nothing can ever change that.
//! Its parent being pid 1, its age and its arguments prove nothing.

use crate::model::{
    ActReason, Agent, Bond, Contact, End, EndCause, EndKind, HoldReason, Looks, Mode, Peer, Place,
    Policy, Seen, Sign, Verdict,
};
use crate::policy::Context;
use crate::policy::settings::{FamilySettings, OrphanProcess};

use super::ground::ground;
use super::{Judged, old_enough, record_to_close, tree_end, unguarded};

/// Judges one process; `None` if its family is off.
pub(super) fn evaluate(
    context: Context<'_>,
    rule: &OrphanProcess,
    agent: &Agent,
) -> Option<Verdict> {
    if rule.mode == Mode::Off {
        return None;
    }
    let judged = match &agent.kind {
        None => leftover(agent),
        Some(kind) => {
            let family = rule.family(&kind.family).filter(|family| family.mode != Mode::Off)?;
            judge(context, family, agent)
        }
    };
    Some(super::verdict(context, Policy::OrphanProcess, agent, judged))
}

/// A server that an agent started, and the like: reported, because somebody may want it.
fn leftover(agent: &Agent) -> Judged {
    if let Some(top) = agent.top {
        return Judged::healthy(HoldReason::PartOfTree { top });
    }
    let why = HoldReason::NotAnAgent;
    let is_lost = agent.stdio.contact() == Contact::Lost && agent.ownership.is_proven();
    if is_lost && agent.place_is_not_other() { Judged::held(why) } else { Judged::healthy(why) }
}

fn judge(context: Context<'_>, family: FamilySettings, agent: &Agent) -> Judged {
    if let Some(top) = agent.top {
        return Judged::healthy(HoldReason::PartOfTree { top });
    }
    match agent.stdio.contact() {
        Contact::Kept => return Judged::healthy(HoldReason::ContactKept),
        Contact::Unknown => return unknown(agent),
        Contact::Lost => {}
    }
    if let Place::Other(path) = &agent.place {
        let path = path.to_string_lossy().into_owned();
        return Judged::healthy(HoldReason::OtherStateDir { path });
    }
    match proven(context, family, agent) {
        Err(why) => Judged::held(why),
        Ok(judged) => judged,
    }
}

/// Nothing is wrong with what is in use, and a thing of others is none of our business.
fn unknown(agent: &Agent) -> Judged {
    let ends = [&agent.stdio.input, &agent.stdio.output].map(why_unknown);
    let why = ends.into_iter().flatten().next().unwrap_or_default();
    let is_loose = matches!(agent.bond, Bond::Loose { .. });
    let is_ours = agent.ownership.is_proven() && agent.place_is_not_other();
    let held = HoldReason::ContactUnknown { why };
    if is_loose && is_ours { Judged::held(held) } else { Judged::healthy(held) }
}

fn why_unknown(end: &End) -> Option<String> {
    match (&end.peer, &end.what) {
        (Peer::Unknown(_), EndKind::Named(path)) => {
            Some(format!("{} can be opened again", path.display()))
        }
        (Peer::Unknown(_), EndKind::Terminal(path)) => {
            Some(format!("{} is a terminal", path.display()))
        }
        (Peer::Unknown(why), _) => Some(why.clone()),
        (Peer::Alive | Peer::Dead, _) => None,
    }
}

fn proven(
    context: Context<'_>,
    family: FamilySettings,
    agent: &Agent,
) -> Result<Judged, HoldReason> {
    if !agent.ownership.is_proven() {
        return Err(HoldReason::NotOwned);
    }
    known_place(agent)?;
    match &agent.mark {
        Seen::Present(_) => {}
        Seen::Absent | Seen::Differs(_) => return Err(HoldReason::NotMarked),
        Seen::Unreadable(why) => {
            return Err(HoldReason::Gap { source: "environment", reason: why.clone() });
        }
    }
    loose(&agent.bond)?;
    unguarded(agent)?;
    ground(context)?;
    old_enough(context, agent, family.min_age)?;
    let record = record_to_close(context, agent)?;
    let end = tree_end(context, agent, EndCause::Orphan, family, record);
    let looks = family.looks.map_or(Looks::Confirmed, Looks::AtLeast);
    Ok(Judged::proven(end, ActReason::Unreachable, family.mode, looks))
}

/// A state directory that was copied has the leases and records of the other one, and one profile's
/// workspace may lie in the folder of another. Only what we saw ourselves needs no such proof.
fn known_place(agent: &Agent) -> Result<(), HoldReason> {
    match &agent.place {
        Place::Unknown(why) if !agent.ownership.has(Sign::Ledger) => {
            Err(HoldReason::Gap { source: "environment", reason: why.clone() })
        }
        Place::Ours | Place::Other(_) | Place::Unknown(_) => Ok(()),
    }
}

fn loose(bond: &Bond) -> Result<(), HoldReason> {
    match bond {
        Bond::Loose { .. } => Ok(()),
        Bond::Attached { to, role, .. } => Err(HoldReason::Attached { to: *to, role }),
        Bond::Parented { by } => Err(HoldReason::Parented { by: *by }),
        Bond::Unknown(why) => Err(HoldReason::Gap { source: "processes", reason: why.clone() }),
    }
}
