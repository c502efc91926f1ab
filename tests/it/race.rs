//! The repairs against a gateway that does not wait for them.
#![allow(clippy::disallowed_methods, reason = "the other side is played")]

use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clawarden::act::{Actuator, NoCensus, NoLaneCensus, Quarantine, Reach};
use clawarden::clock::Clock;
use clawarden::format::read_row;
use clawarden::model::{
    Action, ActionId, LockStamp, Outcome, ProcessId, RowEdit, SessionKey, Transcript, UnixMillis,
    WriteProtocol,
};

const GATEWAY: ProcessId = ProcessId { pid: 4711, start_ticks: 1 };
const LASTS: Duration = Duration::from_secs(2);

/// How long it may take at most until a repair has got through once: a busy machine needs longer.
const AT_MOST: Duration = Duration::from_secs(60);

/// Every so many rounds the other side rests for as long as a repair takes on a slow disk.
const REST_EVERY: u64 = 16;
const REST: Duration = Duration::from_millis(200);

/// Returns true as long as the race goes on: for its time, and until a repair has got through.
fn goes_on(begun: Instant, repaired: u32) -> bool {
    begun.elapsed() < LASTS || (repaired == 0 && begun.elapsed() < AT_MOST)
}
const DEAD: &str = r#"{"pid":41,"round":"#;

fn perform(quarantine: &Path, id: i64, action: &Action) -> Option<Outcome> {
    let actuator = Actuator {
        reach: Reach::Live,
        quarantine: Quarantine::new(quarantine.to_owned()),
        clock: Clock::Wall,
        own: None,
        is_alive: &|_| true,
        census: &NoCensus,
        speak: None,
        stopped: &|| Ok(()),
        lanes: &NoLaneCensus,
        hurry: &|| false,
        wait: &|_| {},
        before: &|_| {},
    };
    actuator.perform(ActionId(id), action).ok().map(|performed| performed.outcome)
}

fn create(path: &Path, text: &str) -> bool {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.is_ok_and(|mut file| file.write_all(text.as_bytes()).is_ok())
}

fn spin(micros: u64) {
    let end = Instant::now() + Duration::from_micros(micros);
    while Instant::now() < end {
        std::hint::spin_loop();
    }
}

/// Takes the lock, removes a dead one that is in its way, and releases what it took, over and
/// over; returns how often it took it. Between two rounds it leaves a dead one behind.
fn take_and_release(path: &Path, stop: &AtomicBool) -> u64 {
    let mut taken = 0;
    while !stop.load(Relaxed) {
        let mine = format!("{{\"pid\":4711,\"round\":{taken}}}");
        if !create(path, &mine) {
            if fs::read_to_string(path).is_ok_and(|text| text.starts_with(DEAD)) {
                let _ = fs::remove_file(path);
            }
            continue;
        }
        taken += 1;
        spin(taken * 7919 % 400);
        // It may lie aside for the microseconds between a rename and the next.
        let until = Instant::now() + Duration::from_secs(1);
        let is_mine = || fs::read_to_string(path).is_ok_and(|text| text == mine);
        while !is_mine() || fs::remove_file(path).is_err() {
            assert!(Instant::now() < until, "lock {taken} vanished without its release");
        }
        create(path, &format!("{DEAD}{taken}}}"));
        match taken % REST_EVERY {
            0 => std::thread::park_timeout(REST),
            _ => spin(taken * 104_729 % 1_500),
        }
    }
    taken
}

#[test]
fn no_lock_that_is_taken_anew_is_ever_lost() {
    let (place, quarantine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = place.path().join("a.jsonl.lock");
    let stop = AtomicBool::new(false);
    let (mut released, mut id) = (0, 0);
    let taken = std::thread::scope(|scope| {
        let holder = scope.spawn(|| take_and_release(&path, &stop));
        let begun = Instant::now();
        while goes_on(begun, released) && !holder.is_finished() {
            let Some(expected) = dead_lock(&path) else { continue };
            id += 1;
            let path = path.clone();
            let action = Action::ReleaseLock { path, holder_pid: 41, expected, gateway: GATEWAY };
            released += u32::from(perform(quarantine.path(), id, &action) == Some(Outcome::Done));
        }
        stop.store(true, Relaxed);
        holder.join().unwrap()
    });
    assert!(taken > 0 && released > 0, "taken {taken}, released {released} of {id}");
}

fn dead_lock(path: &Path) -> Option<LockStamp> {
    let mut file = fs::File::open(path).ok()?;
    let meta = file.metadata().ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let expected = LockStamp { dev: meta.dev(), ino: meta.ino(), bytes };
    expected.bytes.starts_with(DEAD.as_bytes()).then_some(expected)
}

const KEY: &str = "agent:main:main";

fn store(writes: u64, started_at: u64) -> String {
    format!(
        r#"{{"agent:main:other":{{"n":{writes}}},"{KEY}":{{"sessionId":"s1","startedAt":{started_at},"status":"running"}}}}"#
    )
}

fn count(text: &str) -> u64 {
    let digits = text.split(r#""n":"#).nth(1).unwrap();
    digits.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// The gateway's own rhythm, with few of its pauses: read, count, rename. A settled row begins
/// its next run. Returns how often it wrote.
fn write_on(path: &Path, lock: Option<&Path>, stop: &AtomicBool) -> u64 {
    let mut writes = 0;
    while !stop.load(Relaxed) {
        while lock.is_some_and(|lock| !create(lock, "{}")) {}
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(count(&text), writes, "a write of the gateway was lost");
        writes += 1;
        let next = match text.contains("failed") {
            true => store(writes, writes + 1),
            false => {
                text.replacen(&format!(r#""n":{}"#, writes - 1), &format!(r#""n":{writes}"#), 1)
            }
        };
        replace(path, &next);
        if let Some(lock) = lock {
            fs::remove_file(lock).unwrap();
        }
        match writes % REST_EVERY {
            0 => std::thread::park_timeout(REST),
            _ => spin(writes * 7919 % 3_000),
        }
    }
    writes
}

/// Replaces the store by one that seems to have been quiet for a minute.
fn replace(path: &Path, text: &str) {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, text).unwrap();
    let quiet = std::time::SystemTime::now() - Duration::from_secs(60);
    fs::File::options().write(true).open(&temporary).unwrap().set_modified(quiet).unwrap();
    fs::rename(temporary, path).unwrap();
}

#[track_caller]
fn no_write_is_lost(protocol: WriteProtocol) {
    let (place, quarantine) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = place.path().join("sessions.json");
    let lock = place.path().join("sessions.json.lock");
    let lock = protocol.takes_lock().then_some(lock.as_path());
    replace(&path, &store(0, 1));
    let stop = AtomicBool::new(false);
    let (mut settled, mut id) = (0, 0);
    let writes = std::thread::scope(|scope| {
        let writer = scope.spawn(|| write_on(&path, lock, &stop));
        let begun = Instant::now();
        while goes_on(begun, settled) && !writer.is_finished() {
            let text = fs::read_to_string(&path).unwrap();
            let row =
                text.split(&format!(r#""{KEY}":"#)).nth(1).unwrap().strip_suffix('}').unwrap();
            if row.contains("failed") {
                continue;
            }
            id += 1;
            let edit = RowEdit {
                store: path.clone(),
                key: SessionKey::from(KEY),
                expected: read_row(row.as_bytes()).unwrap(),
                transcript: Transcript::Missing,
                ended_at: UnixMillis(10),
                runtime_ms: 3,
                protocol,
                gateway: GATEWAY,
            };
            let action = Action::Settle(Box::new(edit));
            settled += u32::from(perform(quarantine.path(), id, &action) == Some(Outcome::Done));
        }
        stop.store(true, Relaxed);
        writer.join().unwrap()
    });
    assert_eq!(count(&fs::read_to_string(&path).unwrap()), writes);
    assert!(settled > 0, "settled none in {id}");
}

#[test]
fn no_write_under_the_lock_of_the_store_is_lost() {
    no_write_is_lost(WriteProtocol::LockFile);
}

#[test]
fn no_write_without_a_lock_is_lost() {
    no_write_is_lost(WriteProtocol::QuietStore);
}
