//! Where a reset leaves the transcript of the conversation before.

use std::path::{Path, PathBuf};

/// Most names of a folder that are looked at: busy agents have some thousand transcripts.
const NAMES_MAX: usize = 100_000;

/// Returns the newest `<transcript>.reset.<time>` beside `transcript` (2026.3.24 to 2026.7.1). The
/// names sort by their time.
pub(super) fn newest(transcript: &Path) -> Option<PathBuf> {
    let (folder, name) = (transcript.parent()?, transcript.file_name()?.to_str()?);
    let beginning = format!("{name}.reset.");
    let entries = std::fs::read_dir(folder).ok()?.take(NAMES_MAX);
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let newest = names.filter(|name| name.starts_with(&beginning)).max()?;
    Some(folder.join(newest))
}

/// Says where the old conversation is.
pub(super) fn place(transcript: Option<&Path>) -> String {
    match transcript.and_then(newest) {
        Some(path) => format!("the old one lies in {}, its only copy", path.display()),
        None => "no archived transcript of it was found; the gateway may keep it in its database"
            .to_owned(),
    }
}
