//! Which file events are worth a look. Runs on the thread of `notify`, so it asks nobody.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use notify::Event;
use notify::event::{
    AccessKind, AccessMode, CreateKind, EventKind, ModifyKind, RemoveKind, RenameMode,
};

/// A place where something may have changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Hint {
    /// Anywhere: events were lost.
    Anywhere,
    /// At this path.
    Path(PathBuf),
}

/// Calls `found` for each hint in `event`.
///
/// notify 8.2 subscribes to opening and to attributes too, so that our own reads and the
/// gateway's transcripts arrive here by the hundred; they end here.
pub(super) fn hints(
    event: notify::Result<Event>,
    config_names: &[OsString],
    mut found: impl FnMut(Hint),
) {
    let event = match event {
        Ok(event) if !event.need_rescan() => event,
        _ => return found(Hint::Anywhere),
    };
    let Some(names) = names_of_interest(event.kind) else { return };
    for path in event.paths {
        if names.has(&path, config_names) {
            found(Hint::Path(path));
        }
    }
}

/// Whose change matters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Names {
    /// Files that we read.
    Known,
    /// These, and what may be a folder: a rename does not say what was renamed.
    KnownOrFolder,
    /// Any.
    All,
    /// The log of a database.
    Database,
}

/// The log of the gateway's state database, which it writes to and never closes. Those of agents
/// change with every word that is said.
pub(super) const STATE_LOG: &str = "openclaw.sqlite-wal";

fn names_of_interest(kind: EventKind) -> Option<Names> {
    match kind {
        EventKind::Create(CreateKind::Folder)
        | EventKind::Remove(RemoveKind::Folder)
        | EventKind::Any => Some(Names::All),
        EventKind::Create(_)
        | EventKind::Remove(RemoveKind::File)
        // A content that is still being written is not worth a look; its end is.
        | EventKind::Access(AccessKind::Close(AccessMode::Write)) => Some(Names::Known),
        // Arrives together with its two halves.
        EventKind::Modify(ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Modify(ModifyKind::Name(_)) | EventKind::Remove(_) => {
            Some(Names::KnownOrFolder)
        }
        // FSEvents does not tell when a file is closed.
        #[cfg(target_os = "macos")]
        EventKind::Modify(ModifyKind::Data(_)) => Some(Names::Known),
        #[cfg(not(target_os = "macos"))]
        EventKind::Modify(ModifyKind::Data(_)) => Some(Names::Database),
        EventKind::Modify(_) | EventKind::Access(_) | EventKind::Other => None,
    }
}

impl Names {
    fn has(self, path: &Path, config_names: &[OsString]) -> bool {
        let Some(name) = path.file_name() else { return false };
        if self == Names::Database {
            return name == STATE_LOG;
        }
        let folder = self == Names::KnownOrFolder && path.extension().is_none();
        self == Names::All || folder || is_known(path, name, config_names)
    }
}

fn is_known(path: &Path, name: &OsStr, config_names: &[OsString]) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    name == "sessions.json"
        || name == STATE_LOG
        || is_record(name)
        // A mounted Kubernetes ConfigMap changes by a rename of this link.
        || name == "..data"
        || matches!(extension, Some("lock" | "yaml" | "yml"))
        || config_names.iter().any(|config| config == name)
}

/// Whether a file is named as acpx names its records: after a session key, whose colons are escaped.
fn is_record(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.ends_with(".json") && name.contains("%3A"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::event::{DataChange, Flag, MetadataKind};

    #[track_caller]
    fn check(kind: EventKind, path: &str, want: bool) {
        let mut found = 0;
        let event = Event::new(kind).add_path(PathBuf::from(path));
        hints(Ok(event), &[OsString::from("my.conf")], |_| found += 1);
        assert_eq!(found > 0, want, "{kind:?} {path}");
    }

    const CREATE: EventKind = EventKind::Create(CreateKind::File);
    const REMOVE: EventKind = EventKind::Remove(RemoveKind::File);
    const RENAME: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));
    const CLOSE: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));

    #[test]
    fn files_that_we_read_matter_when_they_come_go_or_are_closed() {
        for kind in [CREATE, REMOVE, RENAME, CLOSE] {
            check(kind, "/s/a.jsonl.lock", true);
            check(kind, "/s/sessions.json", true);
            check(kind, "/s/my.conf", true);
            check(kind, "/s/10-mine.yaml", true);
            check(kind, "/s/agent%3Aclaude%3Aacp%3A1.json", true);
            check(kind, "/s/agent%3Aclaude%3Aacp%3A1.json.7.8.tmp", false);
            check(kind, "/s/notes.json", false);
            check(kind, "/s/openclaw.sqlite-wal", true);
            check(kind, "/s/openclaw.sqlite", false);
            check(kind, "/s/a.jsonl", false);
            check(kind, "/s/sessions.json.4f.tmp", false);
            check(kind, "/s/openclaw-agent.sqlite-wal", false);
        }
    }

    #[test]
    fn reading_and_touching_never_matter() {
        for kind in [
            EventKind::Access(AccessKind::Open(AccessMode::Any)),
            EventKind::Access(AccessKind::Read),
            EventKind::Access(AccessKind::Close(AccessMode::Read)),
            EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)),
        ] {
            check(kind, "/s/a.jsonl.lock", false);
            check(kind, "/s/sessions.json", false);
        }
    }

    #[cfg(not(target_os = "macos"))]
    #[test]
    fn content_in_the_making_does_not_matter() {
        check(EventKind::Modify(ModifyKind::Data(DataChange::Any)), "/s/sessions.json", false);
    }

    #[test]
    fn the_log_of_the_state_database_is_never_closed_and_matters_as_it_grows() {
        let data = EventKind::Modify(ModifyKind::Data(DataChange::Any));
        check(data, "/s/openclaw.sqlite-wal", true);
        check(data, "/s/openclaw-agent.sqlite-wal", false);
        check(data, "/s/openclaw.sqlite-shm", false);
    }

    #[test]
    fn folders_matter_also_when_renamed() {
        check(EventKind::Create(CreateKind::Folder), "/agents/v1.2", true);
        check(EventKind::Remove(RemoveKind::Folder), "/agents/main", true);
        check(EventKind::Remove(RemoveKind::Other), "/agents/main", true);
        check(RENAME, "/agents/main", true);
        check(RENAME, "/home/.openclaw", true);
        check(CREATE, "/agents/notes", false);
    }

    #[test]
    fn lost_events_and_errors_mean_anywhere() {
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        for event in [Ok(overflow), Err(notify::Error::generic("read failed"))] {
            let mut found = Vec::new();
            hints(event, &[], |hint| found.push(hint));
            assert_eq!(found, [Hint::Anywhere]);
        }
    }
}
