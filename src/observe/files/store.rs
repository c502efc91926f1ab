//! Reads a `sessions.json`.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeSeed;
use serde_json::error::Category;

use super::guard::Guard;
use super::open::{Opened, modified_at, open_below, stamp};
use super::rows::{Keep, Rows};
use super::{AgentPath, gap, trajectory_of, transcript_of};
use crate::model::{
    AcpSession, FileStamp, Gap, Lane, Row, SessionKey, Source, Store, StoreFacts, Transcript,
};

/// Largest store that is read into memory: 15 MB with 10,000 rows is the largest usual one, and
/// a parser over bytes is four times as fast as one over a stream.
const BUFFERED_BYTES_MAX: u64 = 16 << 20;

/// Largest store that is read at all. One of 150 MB is known.
const STORE_BYTES_MAX: u64 = 512 << 20;

/// How much of a larger store is in memory at a time.
const STREAM_BYTES: usize = 64 << 10;

/// What a store says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StoreRead {
    /// The store itself.
    pub store: Arc<Store>,
    /// The lanes that were asked for, in order of position.
    pub lanes: Vec<Lane>,
    /// How many rows the store has. A repeated key counts each time.
    pub total: usize,
    /// The sessions of ACP agents, by key, if they were asked for.
    pub acp: Vec<Arc<AcpSession>>,
    /// Whether there are more of these than are kept.
    pub acp_is_cut: bool,
    /// The incarnation of the file that was read.
    pub stamp: FileStamp,
}

/// Reads the store at `at.path`, at most a few MiB at a time beside a buffer of 16 MiB.
///
/// `Ok(None)`: there is none. A store that is a symbolic link is read if the link stays below
/// `root`, the state directory, and is marked as such. One that cannot be parsed is read a
/// second time: the gateway replaces it by rename, so that a reader never sees half of it, but
/// other writers may not.
///
/// # Errors
///
/// Returns a gap if it is unreadable, empty, torn, no object, larger than 512 MiB, has more
/// than 20,000 rows to keep, or leads out of the state directory. The gateway itself reads such
/// a store as empty and writes over it, so this must never look like "no sessions".
pub fn read_store(root: &Path, at: &AgentPath, keep: &Keep) -> Result<Option<StoreRead>, Gap> {
    read(root, at, keep, false).map_err(|refusal| gap(Source::Sessions, &at.path, refusal.reason))
}

/// Why a store was not read.
#[derive(Debug)]
pub(super) struct Refusal {
    /// For people.
    pub(super) reason: String,
    /// The incarnation whose content is the reason; reading it again gives the same.
    pub(super) stamp: Option<FileStamp>,
}

/// Reads a store like [`read_store`], and the sessions of ACP agents if it `seeks_acp`.
pub(super) fn read(
    root: &Path,
    at: &AgentPath,
    keep: &Keep,
    seeks_acp: bool,
) -> Result<Option<StoreRead>, Refusal> {
    twice(|| attempt(root, at, keep, seeks_acp))
}

/// Tries again if it was the content that was refused: half of a write may be whole by now.
fn twice<T>(mut attempt: impl FnMut() -> Result<T, Refusal>) -> Result<T, Refusal> {
    match attempt() {
        Err(refusal) if refusal.stamp.is_some() => attempt(),
        settled => settled,
    }
}

fn attempt(
    root: &Path,
    at: &AgentPath,
    keep: &Keep,
    seeks_acp: bool,
) -> Result<Option<StoreRead>, Refusal> {
    let outside = |reason| Refusal { reason, stamp: None };
    let Some(opened) = open_below(root, &at.path).map_err(outside)? else {
        return Ok(None);
    };
    let store = store(at, &opened).map_err(outside)?;
    let stamp = stamp(&opened.meta);
    let rows = Rows::new(keep, seeks_acp.then_some(at));
    let mut rows = read_rows(&opened.file, store.facts.bytes, rows)
        .map_err(|reason| Refusal { reason, stamp: Some(stamp) })?;
    let (total, store) = (rows.total, Arc::new(store));
    let (acp, acp_is_cut) = (rows.take_acp(), rows.acp_is_cut);
    let lanes = rows.into_kept().map(|(key, row)| lane(&store, key, row)).collect();
    Ok(Some(StoreRead { store, lanes, total, acp, acp_is_cut, stamp }))
}

fn store(at: &AgentPath, opened: &Opened) -> Result<Store, String> {
    let folder = at.path.parent().unwrap_or(Path::new("/"));
    let folder_uid = fs::metadata(folder).map_err(|error| error.to_string())?.uid();
    let facts = StoreFacts {
        bytes: opened.meta.len(),
        modified_at: modified_at(&opened.meta),
        uid: opened.meta.uid(),
        folder_uid,
        is_symlink: opened.is_symlink,
    };
    Ok(Store { path: at.path.clone(), agent: at.agent.clone(), facts })
}

fn lane(store: &Arc<Store>, key: SessionKey, row: Row) -> Lane {
    let (transcript, trajectory) = (Transcript::Missing, Transcript::Missing);
    let mut lane = Lane { key, store: Arc::clone(store), row, transcript, trajectory };
    look_at_transcripts(&mut lane);
    lane
}

/// Looks at the transcript and the trajectory of a lane.
pub(super) fn look_at_transcripts(lane: &mut Lane) {
    lane.transcript = transcript_of(lane.store.folder(), &lane.row);
    lane.trajectory = trajectory_of(lane.store.folder(), &lane.row);
}

fn read_rows<'a>(file: &File, bytes: u64, rows: Rows<'a>) -> Result<Rows<'a>, String> {
    match bytes {
        0 => Err("0 bytes; the gateway reads it as empty".to_owned()),
        _ if bytes <= BUFFERED_BYTES_MAX => parse(&read_whole(file, bytes)?, rows),
        _ if bytes <= STORE_BYTES_MAX => stream(file.take(STORE_BYTES_MAX), rows),
        _ => Err(format!("larger than {} MiB", STORE_BYTES_MAX >> 20)),
    }
}

fn read_whole(file: &File, bytes: u64) -> Result<Vec<u8>, String> {
    let mut text = Vec::with_capacity(usize::try_from(bytes).unwrap_or_default());
    let mut bounded = file.take(BUFFERED_BYTES_MAX + 1);
    bounded.read_to_end(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > BUFFERED_BYTES_MAX {
        return Err("grew while it was read".to_owned());
    }
    Ok(text)
}

fn parse<'a>(text: &[u8], rows: Rows<'a>) -> Result<Rows<'a>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
    collect(serde_json::Deserializer::from_str(text), rows)
}

fn stream<R: Read>(reader: R, rows: Rows<'_>) -> Result<Rows<'_>, String> {
    let reader = BufReader::with_capacity(STREAM_BYTES, Guard::new(reader));
    collect(serde_json::Deserializer::from_reader(reader), rows)
}

fn collect<'de, 'a, R: serde_json::de::Read<'de>>(
    mut deserializer: serde_json::Deserializer<R>,
    mut rows: Rows<'a>,
) -> Result<Rows<'a>, String> {
    let result = rows.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match (rows.too_much.take(), result) {
        (Some(reason), _) => Err(reason),
        (None, Err(error)) => Err(why(error)),
        (None, Ok(())) => Ok(rows),
    }
}

/// Returns the reason in words that quote nothing of the file.
fn why(error: serde_json::Error) -> String {
    match error.classify() {
        Category::Syntax | Category::Eof => format!("not JSON: {error}"),
        Category::Data => "not an object of session rows".to_owned(),
        Category::Io => std::io::Error::from(error).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::model::LaneStatus;

    const RUNNING: &str = r#"{"agent:main:main":{"sessionId":"s1","status":"running"}}"#;

    fn running() -> Rows<'static> {
        Rows::new(&Keep::Running, None)
    }

    struct Folder(TempDir);

    impl Folder {
        fn new() -> Folder {
            let dir = tempdir().unwrap();
            fs::create_dir_all(dir.path().join("agents/main/sessions")).unwrap();
            Folder(dir)
        }

        fn at(&self) -> AgentPath {
            let path = self.0.path().join("agents/main/sessions/sessions.json");
            AgentPath { path, agent: "main".into() }
        }

        fn holding(bytes: &[u8]) -> Folder {
            let folder = Folder::new();
            fs::write(folder.at().path, bytes).unwrap();
            folder
        }

        fn read(&self) -> Result<Option<StoreRead>, String> {
            read_store(self.0.path(), &self.at(), &Keep::Running).map_err(|gap| {
                assert_eq!((gap.source, &gap.path), (Source::Sessions, &self.at().path));
                gap.reason
            })
        }
    }

    /// Both ways to read must agree.
    #[track_caller]
    fn refuses(bytes: &[u8], want: &str) {
        let shown = String::from_utf8_lossy(bytes).chars().take(60).collect::<String>();
        let streamed = stream(bytes, running()).map(|rows| rows.total);
        assert!(streamed.clone().is_err_and(|why| why.contains(want)), "{shown}: {streamed:?}");
        let read = Folder::holding(bytes).read();
        assert!(read.clone().is_err_and(|why| why.contains(want)), "{shown}: {read:?}");
    }

    #[test]
    fn reads_the_running_lanes_of_a_store_and_looks_at_their_transcripts() {
        let folder = Folder::holding(
            br#"{"agent:main:main":{"sessionId":"s1","status":"running","startedAt":5,
                "sessionFile":"/home/user/.openclaw/agents/main/sessions/s1.jsonl"},
                "agent:main:other":{"sessionId":"s2","status":"done"}}"#,
        );
        fs::write(folder.at().path.with_file_name("s1.jsonl"), "four").unwrap();
        let read = folder.read().unwrap().unwrap();
        assert_eq!((read.total, read.lanes.len()), (2, 1));
        let lane = &read.lanes[0];
        assert_eq!((&*lane.key.0, &lane.row.status), ("agent:main:main", &LaneStatus::Running));
        assert!(matches!(lane.transcript, Transcript::Present { bytes: 4, .. }));
        assert_eq!(lane.trajectory, Transcript::Missing);
        let facts = read.store.facts;
        let uid = nix::unistd::geteuid().as_raw();
        assert_eq!((facts.uid, facts.folder_uid, facts.is_symlink), (uid, uid, false));
        assert_eq!((facts.bytes, read.stamp.bytes), (read.stamp.bytes, facts.bytes));
    }

    #[test]
    fn a_missing_store_is_no_gap_and_an_empty_object_no_lanes() {
        assert_eq!(Folder::new().read(), Ok(None));
        let read = Folder::holding(b"{}").read().unwrap().unwrap();
        assert_eq!((read.total, read.lanes), (0, vec![]));
    }

    #[test]
    fn what_is_torn_or_no_object_is_a_gap_and_never_no_sessions() {
        assert_eq!(
            Folder::holding(b"").read(),
            Err("0 bytes; the gateway reads it as empty".to_owned())
        );
        refuses(b"   ", "not JSON: EOF");
        refuses(&RUNNING.as_bytes()[..30], "not JSON: EOF");
        refuses(b"{\"a\":{}}}", "not JSON: trailing characters");
        refuses(b"{\"a\":{},}", "not JSON");
        refuses(&[0; 64], "not JSON");
        refuses(b"[]", "not an object");
        refuses(b"\"forged\\u001b[31m\"", "not an object of session rows");
        refuses(b"null", "not an object");
        refuses(b"\xef\xbb\xbf{}", "not JSON");
        refuses(b"{\"a\":{\"label\":\"\xff\"}}", "not UTF-8");
        refuses(b"{\"a\xff\":{}}", "not UTF-8");
        for raw in [&b"{\"a\0\":{}}"[..], b"{\"a\":{\"\nx\":1}}", b"{\"a\":{\"x\":\"\t\"}}"] {
            refuses(raw, "");
        }
    }

    #[test]
    fn every_torn_prefix_of_a_store_is_a_gap() {
        for end in 1..RUNNING.len() {
            refuses(&RUNNING.as_bytes()[..end], "not JSON");
        }
    }

    #[test]
    fn what_could_not_be_parsed_is_read_a_second_time_and_what_could_not_be_opened_is_not() {
        let stamp = FileStamp { dev: 1, ino: 2, bytes: 3, mtime_s: 4, mtime_ns: 5 };
        for (stamp, want) in [(Some(stamp), vec![1, 2]), (None, vec![1])] {
            let mut tries = vec![];
            let result = twice(|| {
                tries.push(tries.len() + 1);
                let reason = "torn".to_owned();
                if tries.len() == 2 { Ok(()) } else { Err(Refusal { reason, stamp }) }
            });
            assert_eq!((result.is_ok(), tries), (stamp.is_some(), want));
        }
    }

    proptest::proptest! {
        #[test]
        fn both_ways_to_read_agree_on_any_damage(
            at in 0..RUNNING.len(), with: Vec<u8>, drop in 0..9_usize
        ) {
            let mut bytes = RUNNING.as_bytes().to_vec();
            let end = (at + drop).min(bytes.len());
            bytes.splice(at..end, with);
            let facts = |rows: Rows<'_>| (rows.total, rows.into_kept().collect::<Vec<_>>());
            let whole = parse(&bytes, running()).map(facts);
            let streamed = stream(&bytes[..], running()).map(facts);
            proptest::prop_assert_eq!(whole.ok(), streamed.ok());
        }
    }

    #[test]
    fn deep_nesting_overflows_nothing() {
        for depth in [300, 50_000] {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            let json = format!(
                r#"{{"a":{{"status":"running","label":{open}{close},"startedAt":{open}{close}}}}}"#
            );
            assert_eq!(Folder::holding(json.as_bytes()).read().unwrap().unwrap().lanes.len(), 1);
            assert_eq!(stream(json.as_bytes(), running()).map(|rows| rows.total), Ok(1));
        }
        refuses(format!("{{\"a\":{}", "{\"a\":".repeat(50_000)).as_bytes(), "not JSON");
    }

    #[test]
    fn a_store_of_countless_rows_is_counted_and_one_of_countless_running_rows_is_a_gap() {
        let many = format!("{{{}\"z\":0}}", "\"key\":{},".repeat(200_000));
        assert_eq!(stream(many.as_bytes(), running()).map(|rows| rows.total), Ok(200_001));
        let rows: Vec<_> =
            (0..20_001).map(|n| format!("\"{n}\":{{\"status\":\"running\"}}")).collect();
        let running = format!("{{{}}}", rows.join(","));
        refuses(running.as_bytes(), "more than 20000 running rows");
    }

    #[test]
    fn what_is_no_regular_file_is_a_gap_at_once() {
        let folder = Folder::new();
        nix::unistd::mkfifo(&folder.at().path, Mode::S_IRWXU).unwrap();
        assert_eq!(folder.read(), Err("a FIFO".to_owned()));
        let folder = Folder::new();
        fs::create_dir(folder.at().path).unwrap();
        assert_eq!(folder.read(), Err("a directory".to_owned()));
    }

    #[test]
    fn a_linked_store_is_read_and_marked_unless_it_leaves_the_state_directory() {
        let folder = Folder::new();
        let real = folder.0.path().join("real.json");
        fs::write(&real, RUNNING).unwrap();
        symlink(&real, folder.at().path).unwrap();
        let read = folder.read().unwrap().unwrap();
        assert!(read.store.facts.is_symlink && read.lanes.len() == 1);

        let (folder, outside) = (Folder::new(), tempdir().unwrap());
        fs::write(outside.path().join("real.json"), RUNNING).unwrap();
        symlink(outside.path().join("real.json"), folder.at().path).unwrap();
        assert_eq!(folder.read(), Err("a link out of the state directory".to_owned()));
    }

    #[test]
    fn a_store_larger_than_any_is_a_gap_and_a_large_one_is_streamed() {
        let folder = Folder::new();
        let file = File::create(folder.at().path).unwrap();
        file.set_len(STORE_BYTES_MAX + 1).unwrap();
        assert_eq!(folder.read(), Err("larger than 512 MiB".to_owned()));
        file.set_len(STORE_BYTES_MAX).unwrap();
        assert!(folder.read().is_err_and(|why| why.starts_with("not JSON")));
    }
}
