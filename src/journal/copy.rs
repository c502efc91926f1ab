//! `tombstones.jsonl`: a second copy of the tombstones, one event per line, that outlives the
//! database.
//!
//! Lines are only ever added. Each has a checksum of its event, so that a line that was torn or
//! edited is known for one; it is skipped and said, and never believed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::JournalError;
use super::home::private_file;
use crate::model::TombstoneEvent;

const FILE: &str = "tombstones.jsonl";
/// The version of the lines.
const VERSION: u32 = 1;
/// Most that is read: some 200,000 lines. What would be more is none of ours.
const BYTES_MAX: u64 = 64 << 20;
/// Longest line that is looked into. Paths and keys are some KiB at most.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Most lines that are told one by one.
const PROBLEMS_MAX: usize = 20;

/// Where the copy is.
#[derive(Clone, Debug)]
pub(super) struct Copy(PathBuf);

/// What it says.
#[derive(Debug, Default)]
pub(super) struct Copied {
    /// In order.
    pub(super) events: Vec<TombstoneEvent>,
    /// Lines that were not believed, for people.
    pub(super) problems: Vec<String>,
}

/// One line.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    v: u32,
    #[serde(borrow)]
    event: &'a RawValue,
    sum: String,
}

impl Copy {
    /// Beside the database.
    pub(super) fn beside(database: &Path) -> Copy {
        Copy(database.with_file_name(FILE))
    }

    /// Adds `events` in one write. They are on disk when this returns.
    ///
    /// # Errors
    ///
    /// Returns an error if they are not known to be.
    pub(super) fn append(&self, events: &[TombstoneEvent]) -> Result<(), JournalError> {
        if events.is_empty() {
            return Ok(());
        }
        let failed = |source| JournalError::Copy { path: self.0.clone(), source };
        let lines: io::Result<Vec<String>> = events.iter().map(line).collect();
        self.write(&lines.map_err(failed)?.concat()).map_err(failed)
    }

    fn write(&self, lines: &str) -> io::Result<()> {
        let is_new = fs::symlink_metadata(&self.0).is_err();
        drop(private_file(&self.0)?);
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&self.0)?;
        // What a crash tore must not tear the next line, too.
        let text = if ends_whole(&mut file)? { lines.to_owned() } else { format!("\n{lines}") };
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        match self.0.parent().filter(|_| is_new) {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Reads all of it. A copy that is missing says nothing.
    ///
    /// # Errors
    ///
    /// Returns an error if it is there and cannot be read.
    pub(super) fn read(&self) -> Result<Copied, JournalError> {
        let failed = |source| JournalError::Copy { path: self.0.clone(), source };
        match self.bytes() {
            Ok(bytes) => Ok(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Copied::default()),
            Err(error) => Err(failed(error)),
        }
    }

    fn bytes(&self) -> io::Result<Vec<u8>> {
        let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.0)?;
        let meta = file.metadata()?;
        if !meta.is_file() || meta.uid() != nix::unistd::geteuid().as_raw() {
            return Err(io::Error::other("no regular file of our own"));
        }
        if meta.len() > BYTES_MAX {
            return Err(io::Error::other(format!("larger than {} MiB", BYTES_MAX >> 20)));
        }
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Whether the last line of the file ends, or there is none.
fn ends_whole(file: &mut File) -> io::Result<bool> {
    use std::io::{Seek as _, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

fn line(event: &TombstoneEvent) -> io::Result<String> {
    let json = serde_json::to_string(event)?;
    let sum = sum(&json);
    let event: &RawValue = serde_json::from_str(&json)?;
    Ok(serde_json::to_string(&Line { v: VERSION, event, sum })? + "\n")
}

/// Half a SHA-256: nobody is kept out by it, only accidents are told.
fn sum(json: &str) -> String {
    let hash = Sha256::digest(json.as_bytes());
    hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

fn parse(bytes: &[u8]) -> Copied {
    let mut copied = Copied::default();
    let mut untold = 0;
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
        match believe(line) {
            Ok(event) => copied.events.push(event),
            Err(_) if copied.problems.len() == PROBLEMS_MAX => untold += 1,
            Err(why) => {
                copied.problems.push(format!("{FILE}:{}: {why}; skipped", index + 1));
            }
        }
    }
    if untold > 0 {
        copied.problems.push(format!("{FILE}: {untold} more such lines"));
    }
    copied
}

fn believe(line: &[u8]) -> Result<TombstoneEvent, &'static str> {
    const TORN: &str = "torn, or no line of clawarden";
    if line.len() > LINE_BYTES_MAX {
        return Err("longer than any line of clawarden");
    }
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| TORN)?;
    if line.v != VERSION {
        return Err("of a later version");
    }
    if sum(line.event.get()) != line.sum {
        return Err("its checksum does not fit: it was edited, or damaged");
    }
    serde_json::from_str(line.event.get()).map_err(|_| TORN)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REAL: &str = r#"{"v":1,"event":{"backing_id":"b","at":5,"kind":"recorded","state":"live","facts":{"requester":"agent:main:main","mode":"oneshot"}},"sum":"SUM"}"#;

    fn real() -> String {
        let event = REAL.split_once("\"event\":").unwrap().1.split_once(",\"sum\"").unwrap().0;
        REAL.replace("SUM", &sum(event))
    }

    fn copy() -> (tempfile::TempDir, Copy) {
        let dir = tempfile::tempdir().unwrap();
        let copy = Copy::beside(&dir.path().join("clawarden.db"));
        (dir, copy)
    }

    #[test]
    fn the_bytes_of_a_line_stay_as_they_are() {
        let (_dir, copy) = copy();
        fs::write(&copy.0, real() + "\n").unwrap();
        let read = copy.read().unwrap();
        assert_eq!((read.events.len(), read.problems.len()), (1, 0));
        fs::write(&copy.0, "").unwrap();
        copy.append(&read.events).unwrap();
        assert_eq!(fs::read_to_string(&copy.0).unwrap(), real() + "\n");
        assert_eq!(fs::metadata(&copy.0).unwrap().mode() & 0o7777, 0o600);
    }

    #[test]
    fn lines_that_were_edited_torn_or_are_foreign_are_skipped_and_said() {
        let edited = real().replace("agent:main:main", "agent:main:evil");
        let later = real().replace("\"v\":1", "\"v\":2");
        let more = real().replace("\"v\":1", "\"v\":1,\"x\":1");
        let long = format!("{{\"v\":1,\"x\":\"{}\"}}", "x".repeat(70_000));
        let text = [&edited, &later, &more, &long, "[]", "\0\u{1b}[2J", &real(), &real()[..30]]
            .map(str::to_owned)
            .join("\n");
        let copied = parse(text.as_bytes());
        assert_eq!(copied.events.len(), 1);
        assert_eq!(copied.problems.len(), 7);
        assert!(copied.problems[0].contains(":1: its checksum does not fit"));
        let many = parse("x\n".repeat(1000).as_bytes());
        assert_eq!(many.problems.last().unwrap(), "tombstones.jsonl: 980 more such lines");
    }

    #[test]
    fn what_a_crash_tore_does_not_tear_what_comes_after() {
        for end in 0..=real().len() {
            let (_dir, copy) = copy();
            fs::write(&copy.0, &real()[..end]).unwrap();
            let event = parse(real().as_bytes()).events;
            copy.append(&event).unwrap();
            let read = copy.read().unwrap();
            let torn = usize::from(end > 0 && end < real().len());
            let whole = 1 + usize::from(end == real().len());
            assert_eq!((read.events.len(), read.problems.len()), (whole, torn), "{end}");
        }
    }

    #[test]
    fn a_link_or_a_folder_in_its_place_is_an_error_and_nothing_missing() {
        let (dir, copy) = copy();
        assert!(copy.read().unwrap().events.is_empty());
        std::os::unix::fs::symlink(dir.path().join("else"), &copy.0).unwrap();
        assert!(copy.read().is_err());
        fs::remove_dir_all(dir.path()).unwrap();
        assert!(copy.append(&parse(real().as_bytes()).events).is_err());
    }
}
