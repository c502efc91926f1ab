//! All session stores, each read again only when it has changed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::gated::Gated;
use super::open::{is_gone, stamp};
use super::rows::Keep;
use super::store::{Refusal, StoreRead, look_at_transcripts, read};
use super::{AgentPath, gap};
use crate::model::{AcpSession, FileStamp, Gap, Lane, Source, Store, UnixMillis};

/// What the session stores of a state directory say.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct LanesRead {
    /// The lanes that were asked for, in order of store and position.
    pub lanes: Vec<Lane>,
    /// How many rows all readable stores have together.
    pub total: usize,
    /// The sessions of ACP agents, in order of store and key, if they are sought.
    pub acp: Vec<Arc<AcpSession>>,
    /// The stores that could not be read.
    pub gaps: Vec<Gap>,
}

/// The last look at each store.
#[derive(Debug, Default)]
pub struct StoreCache {
    stores: BTreeMap<PathBuf, Kept>,
    seeks_acp: bool,
}

#[derive(Debug)]
struct Kept {
    keep: Keep,
    seen: Seen,
    read: Gated<Result<StoreRead, String>>,
}

/// What of a store can change without its stamp.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Seen {
    is_symlink: bool,
    uid: u32,
}

impl StoreCache {
    /// Reads the sessions of ACP agents, too, or no longer.
    pub fn seek_acp(&mut self, seeks: bool) {
        if self.seeks_acp != seeks {
            self.stores.clear();
        }
        self.seeks_acp = seeks;
    }

    /// Looks at all of `stores` and forgets all others. A store that has not changed since it
    /// was read is not read again, but the transcripts of its lanes are looked at anew. A store
    /// that is missing has no lanes and is no gap.
    pub fn read_all(
        &mut self,
        root: &Path,
        stores: &[AgentPath],
        keep: &Keep,
        now: UnixMillis,
    ) -> LanesRead {
        let mut old = std::mem::take(&mut self.stores);
        let mut all = LanesRead::default();
        for at in stores {
            let kept = old.remove(&at.path);
            match self.read_one(root, at, keep, now, kept) {
                Ok(Some(read)) => {
                    all.total += read.total;
                    all.lanes.extend(read.lanes);
                    all.acp.extend(read.acp);
                    if read.acp_is_cut {
                        let why = "more sessions of ACP agents than are kept";
                        all.gaps.push(gap(Source::Acp, &at.path, why));
                    }
                }
                Ok(None) => {}
                Err(reason) => all.gaps.push(gap(Source::Sessions, &at.path, reason)),
            }
        }
        all
    }

    fn read_one(
        &mut self,
        root: &Path,
        at: &AgentPath,
        keep: &Keep,
        now: UnixMillis,
        kept: Option<Kept>,
    ) -> Result<Option<StoreRead>, String> {
        let Some((stamp, seen)) = look(&at.path).map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        if let Some(kept) = kept
            && kept.keep == *keep
            && kept.seen == seen
            && kept.read.is_current(stamp)
        {
            let again = kept.read.value.clone();
            self.stores.insert(at.path.clone(), kept);
            return again.and_then(look_again).map(Some);
        }
        let (stamp, value) = match read(root, at, keep, self.seeks_acp) {
            Ok(None) => return Ok(None),
            Ok(Some(read)) => (read.stamp, Ok(read)),
            Err(Refusal { reason, stamp: None }) => return Err(reason),
            Err(Refusal { reason, stamp: Some(stamp) }) => (stamp, Err(reason)),
        };
        let read = Gated::new(stamp, now, value.clone());
        self.stores.insert(at.path.clone(), Kept { keep: keep.clone(), seen, read });
        value.map(Some)
    }
}

/// Looks at what can change although the store has not.
fn look_again(mut read: StoreRead) -> Result<StoreRead, String> {
    if read.lanes.is_empty() {
        return Ok(read);
    }
    let folder = fs::metadata(read.store.folder()).map_err(|error| error.to_string())?;
    let mut facts = read.store.facts;
    facts.folder_uid = folder.uid();
    if facts != read.store.facts {
        read.store = Arc::new(Store { facts, ..Store::clone(&read.store) });
    }
    for lane in &mut read.lanes {
        lane.store = Arc::clone(&read.store);
        look_at_transcripts(lane);
    }
    Ok(read)
}

fn look(path: &Path) -> io::Result<Option<(FileStamp, Seen)>> {
    let (named, target) = match (fs::symlink_metadata(path), fs::metadata(path)) {
        (Err(error), _) if is_gone(&error) => return Ok(None),
        (named, target) => (named?, target),
    };
    let is_symlink = named.file_type().is_symlink();
    // A dangling link is looked at by the reader, which says what is wrong.
    let meta = if is_symlink { target.unwrap_or(named) } else { named };
    Ok(Some((stamp(&meta), Seen { is_symlink, uid: meta.uid() })))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "moves a store aside")]

    use std::time::{Duration, SystemTime};

    use tempfile::{TempDir, tempdir};

    use super::*;
    use crate::model::Transcript;

    const ROOM: &str = r#"{"a":{"sessionId":"s","status":"running"}}"#;

    struct Bed {
        dir: TempDir,
        cache: StoreCache,
        now: UnixMillis,
    }

    impl Bed {
        /// A store last written at second 1,000, looked at from second 2,000.
        fn new(json: &str) -> Bed {
            let now = UnixMillis(2_000_000);
            let bed = Bed { dir: tempdir().unwrap(), cache: StoreCache::default(), now };
            bed.write(json, 1000);
            bed
        }

        fn at(&self) -> AgentPath {
            AgentPath { path: self.dir.path().join("sessions.json"), agent: "main".into() }
        }

        /// Writes in place, so that inode and, for texts of one length, size stay the same.
        fn write(&self, json: &str, second: u64) {
            fs::write(self.at().path, json).unwrap();
            let file = fs::File::options().write(true).open(self.at().path).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(second)).unwrap();
        }

        fn look(&mut self) -> String {
            let at = self.at();
            let read = self.cache.read_all(self.dir.path(), &[at], &Keep::Running, self.now);
            let keys: Vec<_> = read.lanes.iter().map(|lane| lane.key.0.as_str()).collect();
            let gaps: Vec<_> = read.gaps.iter().map(|gap| gap.reason.as_str()).collect();
            format!("{} of {} {}", keys.join(","), read.total, gaps.join(",")).trim().to_owned()
        }
    }

    #[test]
    fn an_unchanged_store_is_not_read_again_and_a_changed_one_is() {
        let mut bed = Bed::new(ROOM);
        assert_eq!(bed.look(), "a of 1");
        bed.write(&ROOM.replace("\"a\"", "\"b\""), 1000);
        assert_eq!(bed.look(), "a of 1", "same inode, size and time: taken as unchanged");
        bed.write(&ROOM.replace("\"a\"", "\"b\""), 1001);
        assert_eq!(bed.look(), "b of 1");
    }

    #[test]
    fn a_store_that_was_young_when_it_was_read_is_read_again() {
        let mut bed = Bed::new(ROOM);
        bed.now = UnixMillis(1_001_999);
        assert_eq!(bed.look(), "a of 1");
        bed.write(&ROOM.replace("\"a\"", "\"b\""), 1000);
        bed.now = UnixMillis(9_000_000);
        assert_eq!(bed.look(), "b of 1");
    }

    #[test]
    fn the_transcripts_of_an_unchanged_store_are_looked_at_each_time() {
        let mut bed = Bed::new(ROOM);
        let read = |bed: &mut Bed| {
            let at = bed.at();
            bed.cache.read_all(bed.dir.path(), &[at], &Keep::Running, bed.now).lanes[0].transcript
        };
        assert_eq!(read(&mut bed), Transcript::Missing);
        fs::write(bed.dir.path().join("s.jsonl"), "x").unwrap();
        assert!(matches!(read(&mut bed), Transcript::Present { bytes: 1, .. }));
    }

    #[test]
    fn a_broken_store_stays_a_gap_until_it_changes() {
        let mut bed = Bed::new("{\"a\":");
        let gap = "of 0 not JSON: EOF while parsing a value at line 1 column 5";
        assert_eq!((bed.look(), bed.look()), (gap.to_owned(), gap.to_owned()));
        bed.write(ROOM, 1001);
        assert_eq!(bed.look(), "a of 1");
    }

    #[test]
    fn a_store_that_goes_is_forgotten_and_another_question_is_asked_anew() {
        let mut bed = Bed::new(r#"{"a":{"status":"done"}}"#);
        assert_eq!(bed.look(), "of 1");
        let at = bed.at();
        let all = bed.cache.read_all(bed.dir.path(), &[at], &Keep::All, bed.now);
        assert_eq!(all.lanes.len(), 1);
        fs::rename(bed.at().path, bed.dir.path().join("gone")).unwrap();
        assert_eq!(bed.look(), "of 0");
        assert!(bed.cache.stores.is_empty());
    }
}
