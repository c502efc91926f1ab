//! `tombstones restore`: gives a conversation of an ACP agent back to the session it belongs to.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use nix::unistd::Uid;
use serde_json::{Value, json};

use super::open::{Setup, env};
use super::tombstones::Known;
use super::{Failure, Global, output};
use crate::exit::Exit;
use crate::journal::ActionLock;
use crate::model::{Authority, BackingId, Mode, Outcome, SessionKey, Tombstone};
use crate::pass::{Given, Passes, Proposal, Refusal, Wish, authorise};
use crate::text::escape;

/// How long a restore waits for an action that a daemon, or another restore, has in hand.
const WAIT: Duration = Duration::from_secs(30);

/// A restore costs a turn of the agent; this one does nothing else.
const TASK: &str = "This conversation was given back to you after its session was lost. Do nothing yet: \
                    say in one sentence where it stopped.";

/// The line that lets the gateway take `sessions_spawn` from outside.
const ALLOW: &str = r#""gateway": { "tools": { "allow": ["sessions_spawn"] } }"#;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Restore {
    /// Its backing id, or the beginning of it
    id: String,
    /// The session that it is for: the requester on record, exactly
    #[arg(long, value_name = "KEY")]
    requester: String,
    /// What the agent is told first [default: to do nothing, and to say where it stopped]
    #[arg(long, value_name = "TEXT")]
    task: Option<String>,
    /// As the owner of the state directory: for another requester than the one on record
    #[arg(long)]
    force: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn restore(
    global: &Global,
    setup: Setup,
    known: &Known,
    command: &Restore,
) -> Result<Exit, Failure> {
    let (id, tombstone) = known.find(&command.id)?;
    // Before anybody is asked, or anything else is looked at.
    let wish = wish(global, &setup, id, tombstone, command)?;
    let (mut passes, _lock) = open(setup, command.dry_run)?;
    let said = Said { global, wish: &wish, tombstone };
    match passes.propose(&wish, tombstone)? {
        Err(refusal) => said.refused(&refusal),
        Ok(proposal) => {
            said.preview(Some(&proposal))?;
            let user = env("USER").unwrap_or_default();
            let given = passes.restore(&proposal, &user)?;
            said.given(&proposal, &given)
        }
    }
}

fn wish(
    global: &Global,
    setup: &Setup,
    id: &BackingId,
    tombstone: &Tombstone,
    command: &Restore,
) -> Result<Wish, Failure> {
    let requester = SessionKey(command.requester.clone());
    let shown = escape(&id.0);
    if command.force && !owns(setup)? {
        let dir = setup.install.state_dir.to_string_lossy();
        let text = format!(
            "backing session {shown} is not given back: --force is for the owner of {} alone; run \
             clawarden as that user",
            escape(&dir)
        );
        return Err(Failure::new(Exit::NotPermitted, text));
    }
    let authority = authorise(tombstone, &requester, command.force).map_err(|why| {
        let text = format!(
            "backing session {shown} is not given back: {}; see {} tombstones show {shown}, and ask for \
             its requester, or with --force as the owner of the state directory",
            escape(&why),
            global.invocation()
        );
        Failure::new(Exit::NotPermitted, text)
    })?;
    if requester.0.trim().is_empty() {
        // The gateway would take that for its main session.
        let text = "--requester names no session; name the one that it is for";
        return Err(Failure::new(Exit::Usage, text));
    }
    let task = command.task.clone().filter(|task| !task.trim().is_empty());
    let task = task.unwrap_or_else(|| TASK.to_owned());
    Ok(Wish { id: id.clone(), requester, authority, task })
}

/// Whether the state directory is ours.
fn owns(setup: &Setup) -> Result<bool, Failure> {
    let dir = &setup.install.state_dir;
    let found = fs::symlink_metadata(dir).map_err(|error| {
        let text = format!("failed to look at {}: {error}", escape(&dir.to_string_lossy()));
        Failure::new(Exit::Unavailable, text)
    })?;
    Ok(found.uid() == Uid::effective().as_raw())
}

fn open(setup: Setup, is_dry: bool) -> Result<(Passes, Option<ActionLock>), Failure> {
    let (mut passes, lock) = if is_dry {
        (setup.looking()?, None)
    } else {
        let dir = setup.made_dir()?;
        let mut passes = setup.beside()?;
        // One that a crash interrupted is brought to its end before another one begins.
        passes.recover()?;
        (passes, Some(ActionLock::take(&dir, WAIT)?))
    };
    let mut config = passes.config.clone();
    config.policies.tombstone.mode = Mode::Observe;
    passes.configure(config);
    Ok((passes, lock))
}

/// Says what would be and what was done.
struct Said<'a> {
    global: &'a Global,
    wish: &'a Wish,
    tombstone: &'a Tombstone,
}

impl Said<'_> {
    /// Everything is said before anything is done. With --json, as text on standard error: standard
    /// output has one object.
    fn preview(&self, proposal: Option<&Proposal>) -> Result<(), Failure> {
        let facts = &self.tombstone.facts;
        let mut text = format!("backing session {}\n", escape(&self.wish.id.0));
        let mut row = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<12} {}", escape(value));
        };
        let known =
            |key: Option<&SessionKey>| key.map_or("not known".to_owned(), |of| of.0.clone());
        row("owner", &known(facts.owner.as_ref()));
        row("requester", &known(facts.requester.as_ref()));
        if self.wish.authority == Authority::Forced {
            row("by force for", &self.wish.requester.0);
        }
        row("agent", facts.agent.as_ref().map_or("not known", |agent| &agent.0));
        row("cwd", &facts.cwd.as_ref().map_or("not known".into(), |cwd| cwd.to_string_lossy()));
        if let Some(Proposal { restore, conversation }) = proposal {
            row("conversation", &conversation.to_string_lossy());
            row("told first", &restore.task);
            let (agent, requester) = (escape(&restore.agent.0), escape(&restore.requester.0));
            let _ = write!(
                text,
                "  the gateway is asked, as {requester}, for a new session agent:{agent}:acp:<new id>, \
                 which\n  loads this conversation and has one turn in it; the gateway tells \
                 {requester} the answer\n  written: a row in agents/{agent}/sessions/sessions.json and \
                 an acpx record, by the gateway; the turn\n  in the conversation, by the agent; an event \
                 in the tombstone, by clawarden. No row of before changes\n  cost: that turn, with the \
                 whole conversation as its context, and one of {requester}, which tells the answer\n"
            );
        }
        match self.global.json {
            true => {
                use std::io::Write as _;
                // Nobody is left to be told if this fails.
                let _ = std::io::stderr().write_all(text.as_bytes());
                Ok(())
            }
            false => output(&text),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Result<Exit, Failure> {
        self.preview(None)?;
        let Refusal { is_unavailable, why, steps } = refusal;
        if self.global.json {
            self.object(None, &json!({ "outcome": "refused", "note": why, "steps": steps }))?;
        } else if !steps.is_empty() {
            let steps: Vec<_> =
                steps.iter().map(|step| format!("  - {}\n", escape(step))).collect();
            output(&format!("what can be done by hand:\n{}", steps.concat()))?;
        }
        let exit = if *is_unavailable { Exit::Unavailable } else { Exit::NotPermitted };
        let id = escape(&self.wish.id.0);
        let text = format!("backing session {id} is not given back: {}", escape(why));
        Err(Failure::new(exit, text))
    }

    fn given(&self, proposal: &Proposal, given: &Given) -> Result<Exit, Failure> {
        let allow = given.is_tool_missing.then_some(ALLOW);
        if self.global.json {
            self.object(
                Some(proposal),
                &json!({
                    "outcome": given.outcome.name(),
                    "note": given.note,
                    "steps": allow.iter().collect::<Vec<_>>(),
                    "action_id": given.action,
                    "session_key": given.wrapper,
                }),
            )?;
        }
        let (id, note) = (escape(&self.wish.id.0), escape(&given.note));
        let done = match given.outcome {
            Outcome::WouldDo => "would be given back; nothing was changed\n".to_owned(),
            Outcome::Done => {
                let key = given.wrapper.as_ref().map_or_else(String::new, |key| key.0.clone());
                format!(
                    "given back: {note}\nto go on with it in a thread, bind that thread to it: /focus {}\n",
                    escape(&key)
                )
            }
            outcome => {
                let allow = allow.map_or_else(String::new, |line| {
                    format!(
                        "; the gateway lets nobody use that tool from outside: add {line} to its \
                         openclaw.json and ask again"
                    )
                });
                let text =
                    format!("backing session {id} is not given back ({outcome}): {note}{allow}");
                let exit =
                    if given.is_tool_missing { Exit::NotPermitted } else { Exit::ActionFailed };
                return Err(Failure::new(exit, text));
            }
        };
        if !self.global.json {
            output(&done)?;
        }
        Ok(Exit::Success)
    }

    fn object(&self, proposal: Option<&Proposal>, more: &Value) -> Result<(), Failure> {
        let facts = &self.tombstone.facts;
        let mut object = json!({
            "schema": "clawarden.restore/v1",
            "backing_session_id": self.wish.id,
            "owner": facts.owner,
            "requester": self.wish.requester,
            "is_forced": self.wish.authority == Authority::Forced,
            "agent": facts.agent,
            "cwd": facts.cwd.as_ref().map(|cwd| cwd.to_string_lossy()),
            "conversation": proposal.map(|of| of.conversation.to_string_lossy()),
            "task": self.wish.task,
        });
        if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
            object.extend(more.clone());
        }
        output(&format!("{object}\n"))
    }
}
