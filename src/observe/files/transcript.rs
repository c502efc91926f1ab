//! Transcripts and trajectories, from outside: whether there is one, how long, written when.

use std::fs;
use std::path::{Path, PathBuf};

use super::open::{is_gone, modified_at};
use crate::model::{Row, SessionId, Transcript};

/// Looks at the transcript of `row`, whose store lies in `folder`.
///
/// It is the first that exists of `sessionFile`, a file of that name in `folder`, and
/// `<sessionId>.jsonl`: a captured state, or one that was moved, still names the old place.
/// [`Transcript::Unreadable`]: one of them could not be looked at or is no regular file, or the
/// row names none.
#[must_use]
pub fn transcript_of(folder: &Path, row: &Row) -> Transcript {
    let named = row.session_file.as_ref().map(|file| folder.join(file));
    let beside = row.session_file.as_ref().and_then(|file| Some(folder.join(file.file_name()?)));
    let by_id = row.session_id.as_ref().map(|id| below(folder, id, ".jsonl"));
    let places = [named.map(Some), beside.map(Some), by_id];
    first_present(places.into_iter().flatten())
}

/// Looks at `<sessionId>.trajectory.jsonl` in `folder`; 2026.5.7 and later write one.
#[must_use]
pub fn trajectory_of(folder: &Path, row: &Row) -> Transcript {
    let named = row.session_file.as_ref().map(|file| folder.join(file));
    let folders = [named.as_deref().and_then(Path::parent), Some(folder)];
    let at = |folder| row.session_id.as_ref().map(|id| below(folder, id, ".trajectory.jsonl"));
    first_present(folders.into_iter().flatten().filter_map(at))
}

/// Returns the file of a session in `folder`; `None` if the id would lead out of it.
fn below(folder: &Path, id: &SessionId, ending: &str) -> Option<PathBuf> {
    let is_name = !id.0.is_empty() && !id.0.contains('/') && !id.0.contains("..");
    is_name.then(|| folder.join(format!("{id}{ending}")))
}

fn first_present(places: impl Iterator<Item = Option<PathBuf>>) -> Transcript {
    // A row that names nothing says nothing about what it wrote.
    let mut seen = Transcript::Unreadable;
    for place in places {
        seen = place.map_or(Transcript::Unreadable, |path| look(&path));
        if seen != Transcript::Missing {
            return seen;
        }
    }
    seen
}

fn look(path: &Path) -> Transcript {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => {
            Transcript::Present { bytes: meta.len(), modified_at: modified_at(&meta) }
        }
        Err(error) if is_gone(&error) => Transcript::Missing,
        Ok(_) | Err(_) => Transcript::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    fn row(id: &str, file: &str) -> Row {
        Row {
            session_id: (!id.is_empty()).then(|| id.into()),
            session_file: (!file.is_empty()).then(|| file.into()),
            ..Row::default()
        }
    }

    #[track_caller]
    fn check(got: Transcript, want: &str) {
        let got = match got {
            Transcript::Present { bytes, modified_at } => {
                assert!(modified_at.0 > 1_700_000_000_000);
                format!("{bytes} bytes")
            }
            Transcript::Missing => "missing".to_owned(),
            Transcript::Unreadable => "unreadable".to_owned(),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn the_named_file_comes_first_then_its_name_beside_the_store_then_the_id() {
        let (folder, elsewhere) = (tempdir().unwrap(), tempdir().unwrap());
        let folder = folder.path();
        let named = elsewhere.path().join("n.jsonl");
        let row = row("id", named.to_str().unwrap());
        check(transcript_of(folder, &row), "missing");
        fs::write(folder.join("id.jsonl"), "1").unwrap();
        check(transcript_of(folder, &row), "1 bytes");
        fs::write(folder.join("n.jsonl"), "22").unwrap();
        check(transcript_of(folder, &row), "2 bytes");
        fs::write(&named, "").unwrap();
        check(transcript_of(folder, &row), "0 bytes");
    }

    #[test]
    fn what_is_no_regular_file_is_unreadable() {
        let folder = tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir(folder.join("dir.jsonl")).unwrap();
        fs::write(folder.join("real"), "x").unwrap();
        std::os::unix::fs::symlink("real", folder.join("link.jsonl")).unwrap();
        check(transcript_of(folder, &row("dir", "")), "unreadable");
        check(transcript_of(folder, &row("link", "")), "unreadable");
    }

    #[test]
    fn an_id_that_leads_out_of_the_folder_is_never_joined() {
        let folder = tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        fs::write(folder.path().join("x.jsonl"), "x").unwrap();
        fs::write(folder.path().join("x.trajectory.jsonl"), "x").unwrap();
        for id in ["../x", "/etc/x", "..", "a/../../x", "a\0b", "", &"a".repeat(4000)] {
            let row = Row { session_id: Some(id.into()), ..Row::default() };
            check(transcript_of(&inner, &row), "unreadable");
            check(trajectory_of(&inner, &row), "unreadable");
        }
    }

    #[test]
    fn a_row_that_names_nothing_has_no_transcript_to_look_at() {
        let folder = tempdir().unwrap();
        check(transcript_of(folder.path(), &Row::default()), "unreadable");
        check(trajectory_of(folder.path(), &Row::default()), "unreadable");
    }

    #[test]
    fn a_trajectory_lies_beside_its_transcript_or_beside_the_store() {
        let (folder, other) = (tempdir().unwrap(), tempdir().unwrap());
        let row = row("id", other.path().join("n.jsonl").to_str().unwrap());
        check(trajectory_of(folder.path(), &row), "missing");
        fs::write(folder.path().join("id.trajectory.jsonl"), "1").unwrap();
        check(trajectory_of(folder.path(), &row), "1 bytes");
        fs::write(other.path().join("id.trajectory.jsonl"), "22").unwrap();
        check(trajectory_of(folder.path(), &row), "2 bytes");
    }

    #[test]
    fn a_trajectory_goes_by_the_id_alone() {
        let folder = tempdir().unwrap();
        check(trajectory_of(folder.path(), &row("id", "")), "missing");
        fs::write(folder.path().join("id.trajectory.jsonl"), "333").unwrap();
        check(trajectory_of(folder.path(), &row("id", "/a/b.jsonl")), "3 bytes");
    }
}
