//! `tombstones`: to whom the conversations of ACP agents belong.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use serde_json::{Value, json};

use super::open::{Setup, setup};
use super::restore::{self, Restore};
use super::{Failure, Global, output};
use crate::exit::Exit;
use crate::journal::Journal;
use crate::model::{BackingId, RecordMode, Tombstone, Tombstones as All, UnixMillis};
use crate::text::escape;

/// To whom the conversations of ACP agents belong, kept after the gateway has forgotten it
#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Tombstones {
    /// Every backing session on record
    List,
    /// Everything about one of them
    Show {
        /// Its backing id, or the beginning of it
        id: String,
    },
    /// Give one back to the session that it belongs to, by a new session that loads it
    Restore(Restore),
}

/// What is on record.
pub(super) struct Known {
    all: Arc<All>,
    last_seen: BTreeMap<BackingId, UnixMillis>,
    problems: Vec<String>,
}

pub(super) fn tombstones(global: &Global, command: &Tombstones) -> Result<Exit, Failure> {
    let setup = setup(global)?;
    let known = Known::read(&setup)?;
    let text = match command {
        Tombstones::Restore(command) => return restore::restore(global, setup, &known, command),
        Tombstones::List if global.json => format!("{}\n", known.list()),
        Tombstones::List => known.lines(),
        Tombstones::Show { id } => {
            let (id, tombstone) = known.find(id)?;
            match global.json {
                true => format!("{}\n", known.shown(id, tombstone)),
                false => known.page(id, tombstone),
            }
        }
    };
    output(&text)?;
    Ok(Exit::Success)
}

impl Known {
    fn read(setup: &Setup) -> Result<Known, Failure> {
        let mut journal = Journal::open_read_only(&setup.dir()?)?;
        let all = journal.tombstones()?;
        let (last_seen, problems) = (journal.last_seen()?, journal.tombstone_problems().to_vec());
        Ok(Known { all, last_seen, problems })
    }

    /// The backing session of this id, or the only one that begins so.
    pub(super) fn find(&self, text: &str) -> Result<(&BackingId, &Tombstone), Failure> {
        if let Some(found) = self.all.0.get_key_value(&BackingId::from(text)) {
            return Ok(found);
        }
        let begins =
            |(id, _): &(&BackingId, &Tombstone)| !text.is_empty() && id.0.starts_with(text);
        let found: Vec<_> = self.all.0.iter().filter(begins).collect();
        let shown = escape(text);
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(Failure::new(
                Exit::Usage,
                format!("no backing session {shown} is on record; see clawarden tombstones list"),
            )),
            many => {
                let ids: Vec<_> = many.iter().map(|(id, _)| &*id.0).collect();
                let ids = super::tasks::some_of(&ids);
                let text = format!("{} backing sessions begin with {shown}: {ids}", many.len());
                Err(Failure::new(Exit::Usage, text))
            }
        }
    }

    fn last_seen(&self, id: &BackingId, tombstone: &Tombstone) -> UnixMillis {
        self.last_seen.get(id).copied().unwrap_or_default().max(tombstone.last_seen)
    }

    fn list(&self) -> Value {
        json!({
            "schema": "clawarden.tombstones/v1",
            "tombstones": self.all.0.iter().map(|(id, of)| self.object(id, of)).collect::<Vec<_>>(),
            "problems": self.problems,
        })
    }

    fn shown(&self, id: &BackingId, tombstone: &Tombstone) -> Value {
        let mut object = self.object(id, tombstone);
        object["schema"] = json!("clawarden.tombstone/v1");
        object["problems"] = json!(self.problems);
        object
    }

    fn object(&self, id: &BackingId, of: &Tombstone) -> Value {
        let facts = &of.facts;
        let wrappers = of
            .wrappers
            .iter()
            .map(|(key, session_id)| json!({ "session_key": key, "session_id": session_id }));
        let events =
            of.events.iter().map(|(at, kind)| json!({ "at": at.to_string(), "kind": kind.name() }));
        json!({
            "backing_session_id": id,
            "owner": facts.owner,
            "requester": facts.requester,
            "disputed_by": of.disputed_by,
            "wrappers": wrappers.collect::<Vec<_>>(),
            "agent": facts.agent,
            "family": facts.family,
            "cwd": facts.cwd.as_ref().map(|cwd| cwd.to_string_lossy()),
            "mode": facts.mode.map(RecordMode::name),
            "source": facts.source.as_ref().map(|path| path.to_string_lossy()),
            "state": of.state.name(),
            "first_seen": of.first_seen.to_string(),
            "last_seen": self.last_seen(id, of).to_string(),
            "events": events.collect::<Vec<_>>(),
        })
    }

    fn lines(&self) -> String {
        let mut text = String::new();
        for (id, of) in &self.all.0 {
            let _ = writeln!(
                text,
                "{}  {:<10}  {}{}",
                escape(&id.0),
                of.state.name(),
                escape(&requester(of)),
                if of.disputed_by.is_empty() { "" } else { "  (disputed)" },
            );
        }
        if text.is_empty() {
            text.push_str("no backing session is on record\n");
        }
        self.add_problems(&mut text);
        text
    }

    fn page(&self, id: &BackingId, of: &Tombstone) -> String {
        let mut text = String::new();
        let facts = &of.facts;
        let path = |path: &std::path::Path| path.to_string_lossy().into_owned();
        let mut wrappers = of.wrappers.iter().map(|(key, _)| key.0.clone());
        let rows = [
            ("state", Some(of.state.name().to_owned())),
            ("owner", facts.owner.as_ref().map(|key| key.0.clone())),
            ("requester", Some(requester(of))),
            ("disputed by", of.disputed_by.iter().map(|key| key.0.clone()).reduce(joined)),
            ("wrappers", wrappers.next().map(|first| wrappers.fold(first, joined))),
            ("agent", facts.agent.as_ref().map(|agent| agent.0.clone())),
            ("family", facts.family.clone()),
            ("cwd", facts.cwd.as_deref().map(path)),
            ("mode", facts.mode.map(|mode| mode.name().to_owned())),
            ("source", facts.source.as_deref().map(path)),
            ("first seen", Some(of.first_seen.to_string())),
            ("last seen", Some(self.last_seen(id, of).to_string())),
        ];
        let _ = writeln!(text, "backing session {}", escape(&id.0));
        for (name, value) in rows {
            if let Some(value) = value {
                let _ = writeln!(text, "  {name:<12} {}", escape(&value));
            }
        }
        for (at, kind) in &of.events {
            let _ = writeln!(text, "  {at}  {}", kind.name());
        }
        self.add_problems(&mut text);
        text
    }

    fn add_problems(&self, text: &mut String) {
        for problem in &self.problems {
            let _ = writeln!(text, "not believed: {}", escape(problem));
        }
    }
}

fn joined(before: String, next: String) -> String {
    format!("{before}, {next}")
}

fn requester(of: &Tombstone) -> String {
    match &of.facts.requester {
        Some(key) => key.0.clone(),
        None => "requester not known".to_owned(),
    }
}
