//! What a person can do where a backing session is not given back by us.

use super::Wish;
use crate::model::{BackingFacts, Version};
use crate::policy::Way;
use crate::report::quoted;

/// Why a gateway of this version is not asked.
pub(super) fn no_way(way: Way, version: Option<Version>) -> String {
    let of = version.map_or("of this gateway is not known".to_owned(), |version| {
        format!("{version} of the gateway")
    });
    match way {
        Way::Spawn => String::new(),
        Way::OwnRow => format!(
            "version {of} resumes only what a row of its own session store says is the requester's, and \
             clawarden does not write such rows"
        ),
        Way::Database => format!(
            "version {of} resumes only what its own database says is the requester's, and nobody else \
             may write that"
        ),
        Way::Unknown if version.is_none() => format!("the version {of}, and with it no safe way"),
        Way::Unknown => format!("no safe way is known for version {of}"),
    }
}

/// What to do by hand.
pub(super) fn instead(
    way: Way,
    wish: &Wish,
    family: Option<&str>,
    facts: &BackingFacts,
) -> Vec<String> {
    let Wish { id, requester, .. } = wish;
    let mut steps = Vec::new();
    if way == Way::OwnRow
        && let Some(agent) = &facts.agent
    {
        steps.push(format!(
            "keep a copy of agents/{agent}/sessions/sessions.json, and put in its place, by one rename, \
             one with a row more: `agent:{agent}:acp:<new uuid>` with spawnedBy `{requester}` and an \
             `acp` block of mode persistent whose identity is resolved with agentSessionId {id}"
        ));
        steps.push(format!(
            "have `{requester}` call sessions_spawn with runtime acp, agentId {agent} and \
             resumeSessionId {id}, and take the row out again within seconds: the gateway's maintenance \
             takes it for a session to tend"
        ));
    }
    if family == Some("claude")
        && let Some(cwd) = &facts.cwd
    {
        steps.push(format!(
            "outside the gateway, as its user: cd {} && claude --resume {}",
            quoted(&cwd.to_string_lossy()),
            quoted(&id.0)
        ));
    } else {
        steps.push(format!("outside the gateway, have the agent load its session {id}"));
    }
    steps
}
