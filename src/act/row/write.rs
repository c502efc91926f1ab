//! Replaces one row of a store beside the gateway that also writes it.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Duration;

use super::scan::{Located, locate};
use super::store_lock::{self, StoreLock};
use crate::act::error::ActError;
use crate::act::exchange::{BUSY, exchange, folder, ours_to_write, write_aside};
use crate::act::quarantine::{Manifest, RowManifest, aside};
use crate::act::{Actuator, Performed, Reach, Step, file};
use crate::clock::Clock;
use crate::model::{ActionId, FileStamp, Outcome, SessionKey, UnixMillis, WriteProtocol};

/// How long a store without a lock must have been left alone before it is written.
const QUIET: Duration = Duration::from_secs(2);

/// One row to be replaced.
pub(super) struct Rewrite<'a> {
    pub store: &'a Path,
    pub key: &'a SessionKey,
    pub protocol: WriteProtocol,
    /// Given the row as it is now, its new text, or why it is not what was judged.
    pub new_text: &'a NewText<'a>,
    /// Whether everything else that was judged still holds; asked again right before the change.
    pub still: &'a dyn Fn() -> Result<(), String>,
}

/// From the text of a row to its new text.
pub(super) type NewText<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, Refusal> + 'a;

/// Why a row is not rewritten.
pub(super) enum Refusal {
    /// It is no longer what was judged.
    Changed(String),
    /// It cannot be edited safely.
    Edit(String),
}

/// Replaces the row, or says why not.
pub(super) fn rewrite(
    actuator: &Actuator<'_>,
    id: ActionId,
    job: &Rewrite<'_>,
) -> Result<Performed, ActError> {
    if let Err(why) = (job.still)().and_then(|()| ours_to_write(job.store)) {
        return Ok(Performed::changed(why));
    }
    let reading = match read(actuator, job)? {
        Ok(reading) => reading,
        Err(lost) => return Ok(lost),
    };
    if actuator.reach == Reach::DryRun {
        return Ok(Performed::of(Outcome::WouldDo));
    }
    let payload =
        job.protocol.takes_lock().then(|| store_lock::payload(actuator.own, actuator.clock));
    (actuator.before)(Step::Begin);
    begin(actuator, id, job, &reading, payload.clone())?;

    let new = aside(folder(job.store), id);
    (actuator.before)(Step::WriteAside);
    let written = write_aside(&reading.file, &new, |new| write(&reading, new));
    let ready = written.and_then(|()| ready(actuator, job, &reading, payload));
    // From here on, what lies aside may be the gateway's: only `exchange` knows when it may go.
    let stop = match ready {
        Ok(Ok(_lock)) => {
            let Some(exchanged) = exchange(actuator, id, job.store, reading.stamp)? else {
                return Ok(Performed::changed(BUSY));
            };
            return exchanged.keep().map(|()| Performed::of(Outcome::Done));
        }
        Ok(Err(lost)) => Ok(lost),
        Err(error) => Err(error),
    };
    let _ = file::remove(&new);
    stop
}

/// Takes the store's lock, where there is one, and says whether the store still is what was read.
/// The lock is held for the exchange only: that the file is the same says that nobody wrote it
/// since. The inner error is an outcome.
fn ready(
    actuator: &Actuator<'_>,
    job: &Rewrite<'_>,
    reading: &Reading,
    payload: Option<String>,
) -> Result<Result<Option<StoreLock>, Performed>, ActError> {
    (actuator.before)(Step::TakeStoreLock);
    let lock = match payload.map(|payload| store_lock::take(job.store, &payload)) {
        None => None,
        Some(taken) => match taken.map_err(look(job))? {
            Some(lock) => Some(lock),
            None => return Ok(Err(Performed::changed("another process has locked the store"))),
        },
    };
    if !file::stamp(job.store).is_ok_and(|now| now == reading.stamp) {
        return Ok(Err(Performed::changed(BUSY)));
    }
    Ok((job.still)().map(|()| lock).map_err(Performed::changed))
}

/// The store and the row, as they were read, and the row's new text.
struct Reading {
    file: File,
    stamp: FileStamp,
    row: Located,
    new_text: Vec<u8>,
}

/// The inner error is an outcome: the row is not there, or not what was judged.
fn read(
    actuator: &Actuator<'_>,
    job: &Rewrite<'_>,
) -> Result<Result<Reading, Performed>, ActError> {
    if job.protocol.needs_quiet() && !becomes_quiet(actuator, job.store).map_err(look(job))? {
        return Ok(Err(Performed::changed("the gateway wrote the store a moment ago")));
    }
    let file = file::open(job.store).map_err(look(job))?;
    let meta = file.metadata().map_err(look(job))?;
    let row = locate(BufReader::with_capacity(64 << 10, &file).bytes(), &job.key.0);
    let Some(row) = row.map_err(look(job))? else {
        return Ok(Err(Performed::changed("the row is gone")));
    };
    match (job.new_text)(&row.text) {
        Ok(new_text) => Ok(Ok(Reading { stamp: file::stamp_of(&meta), file, row, new_text })),
        Err(Refusal::Changed(why)) => Ok(Err(Performed::changed(why))),
        Err(Refusal::Edit(why)) => Err(edit_error(job, why)),
    }
}

/// Waits once for what is missing: the last write may have been our own, of another row.
fn becomes_quiet(actuator: &Actuator<'_>, store: &Path) -> io::Result<bool> {
    // The host's clock, not that of judgements: it is the one that the file was stamped with.
    let left = || -> io::Result<Duration> {
        let stamp = file::stamp(store)?;
        let millis = stamp.mtime_s.saturating_mul(1000).saturating_add(stamp.mtime_ns / 1_000_000);
        Ok(QUIET.saturating_sub(Clock::Wall.now().since(UnixMillis(millis))))
    };
    let first = left()?;
    if !first.is_zero() {
        (actuator.wait)(first);
    }
    Ok(first.is_zero() || left()?.is_zero())
}

fn begin(
    actuator: &Actuator<'_>,
    id: ActionId,
    job: &Rewrite<'_>,
    reading: &Reading,
    store_lock: Option<String>,
) -> Result<(), ActError> {
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|_| edit_error(job, "it is not UTF-8".to_owned()))
    };
    let manifest = RowManifest {
        store: job.store.to_owned(),
        key: job.key.clone(),
        read: reading.stamp,
        protocol: job.protocol,
        store_lock,
        before: text(&reading.row.text)?,
        after: text(&reading.new_text)?,
    };
    actuator.quarantine.begin(id, &Manifest::Settle(Box::new(manifest)))
}

fn look(job: &Rewrite<'_>) -> impl Fn(io::Error) -> ActError {
    let path = job.store.to_owned();
    move |source| ActError::Look { path: path.clone(), source }
}

fn edit_error(job: &Rewrite<'_>, why: String) -> ActError {
    ActError::EditRow { path: job.store.to_owned(), key: job.key.clone(), why }
}

/// Copies the store, with the new text in the place of the row.
fn write(reading: &Reading, new: &File) -> io::Result<()> {
    let Reading { file, row, new_text, .. } = reading;
    let mut source = file;
    source.seek(SeekFrom::Start(0))?;
    let mut out = BufWriter::with_capacity(64 << 10, new);
    let head = io::copy(&mut Read::take(&mut source, row.range.start), &mut out)?;
    if head != row.range.start {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    out.write_all(new_text)?;
    source.seek(SeekFrom::Start(row.range.end))?;
    io::copy(&mut source, &mut out)?;
    out.flush()
}
