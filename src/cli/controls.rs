//! `pause`, `resume`, `protect` and `unprotect`: off switches that survive a restart, and hold as
//! soon as the command has returned.

use std::time::Duration;

use serde_json::{Value, json};

use super::open::{Setup, setup};
use super::{Failure, Global, duration, output};
use crate::exit::Exit;
use crate::journal::{ActionLock, Journal};
use crate::model::{ProcessId, SessionKey, UnixMillis};
use crate::observe::files::Keep;
use crate::text::escape;

/// How long a switch waits for an action that a daemon has in hand.
const WAIT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Pause {
    /// For how long, such as 90s, 10m, 2h or 7d
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Duration,
    /// Why; shown to whoever asks
    #[arg(long, default_value = "")]
    reason: String,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Protect {
    /// A lane's session key, a lock's path or a process, as reports print it, or a pid
    subject: String,
    /// For how long, such as 90s, 10m, 2h or 7d
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    time: Duration,
}

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Unprotect {
    /// What was protected
    subject: String,
}

pub(super) fn pause(global: &Global, command: &Pause) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    let until = setup.now().plus(command.time);
    with_journal(&setup, |journal| Ok(journal.pause(until, &command.reason)?))?;
    said(
        global,
        json!({ "paused_until": until.to_string(), "reason": command.reason }),
        &format!("paused until {until}: everything is still judged, and nothing is done"),
    )
}

pub(super) fn resume(global: &Global) -> Result<Exit, Failure> {
    let was_paused = with_journal(&setup(global)?, |journal| Ok(journal.resume()?))?;
    let text = if was_paused { "resumed" } else { "nothing was paused" };
    said(global, json!({ "was_paused": was_paused }), text)
}

pub(super) fn protect(global: &Global, command: &Protect) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    let until: UnixMillis = setup.now().plus(command.time);
    let subject = setup.subject(&command.subject);
    with_journal(&setup, |journal| Ok(journal.protect(&subject, until)?))?;
    let seen = is_seen(setup, &subject);
    let warning = match seen {
        Some(false) => {
            "\nno lane, lock or process is called so now; is it spelled as reports print it?"
        }
        Some(true) | None => "",
    };
    said(
        global,
        json!({ "subject": subject, "protected_until": until.to_string(), "seen": seen }),
        &format!("{} is left alone until {until}{warning}", escape(&subject)),
    )
}

/// Whether there is such a lane, lock or process; `None` if not everything can be seen.
fn is_seen(setup: Setup, subject: &str) -> Option<bool> {
    let key: SessionKey = subject.into();
    let mut passes = setup.looking().ok()?;
    if ProcessId::from_subject_id(subject).is_some_and(|id| passes.observer.is_alive(id)) {
        return Some(true);
    }
    passes.observer.keep(Keep::RunningAnd(key.clone()));
    let report = passes.run(&|| false).ok()?;
    let seen = report.kept.iter().any(|lane| lane.key == key)
        || report.entries.iter().any(|entry| entry.verdict.subject.id == subject);
    (seen || report.gaps.is_empty()).then_some(seen)
}

pub(super) fn unprotect(global: &Global, command: &Unprotect) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    let id = setup.subject(&command.subject);
    let was = with_journal(&setup, |journal| Ok(journal.unprotect(&id)?))?;
    let subject = escape(&id);
    let text = match was {
        true => format!("{subject} is protected no more"),
        false => format!("{subject} was not protected"),
    };
    said(global, json!({ "subject": id, "was_protected": was }), &text)
}

/// Under the action lock: an action that is in hand ends first, and none begins meanwhile.
fn with_journal<T>(
    setup: &Setup,
    change: impl FnOnce(&mut Journal) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let dir = setup.made_dir()?;
    let _lock = ActionLock::take(&dir, WAIT)?;
    change(&mut Journal::open_beside(&dir)?)
}

fn said(global: &Global, mut value: Value, text: &str) -> Result<Exit, Failure> {
    if global.json {
        let mut all = json!({ "schema": "clawarden.control/v1" });
        if let (Some(all), Some(value)) = (all.as_object_mut(), value.as_object_mut()) {
            all.append(value);
        }
        output(&format!("{all}\n"))?;
    } else {
        output(&format!("{text}\n"))?;
    }
    Ok(Exit::Success)
}
