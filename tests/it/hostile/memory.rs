//! A file of any size is read within 64 MiB.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::process::Command;

use super::{STALE, gaps, skipped};
use crate::capture::{Capture, Ran, verdicts};

const LIMIT_KIB: u32 = 64 << 10;

/// Keys of the large object. Without optimization a tenth of it takes as long.
const KEYS: u32 = if cfg!(debug_assertions) { 1_000_000 } else { 10_000_000 };

/// The program under a kernel limit on its data: heap, stacks and private mappings. An allocation
/// beyond it fails, and ends the program.
fn limited(capture: &Capture, kib: u32, args: &[&str]) -> Ran {
    let plain = capture.command(args);
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("ulimit -d {kib} && exec \"$0\" \"$@\""));
    command.arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ran::of(command)
}

fn can_be_limited(capture: &Capture) -> bool {
    let bites = limited(capture, 64, &["plan"]).code != Some(0);
    if !bites {
        skipped("this system does not enforce a limit on data (ulimit -d)");
    }
    bites
}

/// Writes an object of `count` rows before the two stale ones.
fn large_store(capture: &Capture, count: u32, row: &str) {
    let text = fs::read_to_string(capture.store()).unwrap();
    let mut file = BufWriter::new(File::create(capture.store()).unwrap());
    file.write_all(b"{").unwrap();
    for number in 0..count {
        write!(file, "\"k{number:07}\":{row},").unwrap();
    }
    file.write_all(text.strip_prefix('{').unwrap().as_bytes()).unwrap();
    file.flush().unwrap();
    drop(file);
    capture.age(&capture.store());
}

#[test]
fn a_store_of_millions_of_keys_is_read_in_bounded_memory() {
    let capture = Capture::new(STALE);
    if !can_be_limited(&capture) {
        return;
    }
    large_store(&capture, KEYS, "{\"x\":1}");
    let ran = limited(&capture, LIMIT_KIB, &["plan", "--all", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!(report["seen"]["lanes"], KEYS + 3, "all were counted");
    assert_eq!(gaps(&report), Vec::<String>::new());
}

#[test]
fn more_running_rows_than_any_gateway_has_are_refused() {
    let capture = Capture::new(STALE);
    if !can_be_limited(&capture) {
        return;
    }
    let row = r#"{"sessionId":"s","status":"running","startedAt":1795100000000}"#;
    large_store(&capture, 50_000, row);
    let ran = limited(&capture, LIMIT_KIB, &["plan", "--all", "--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let report = ran.json();
    assert_eq!(gaps(&report), ["sessions: more than 20000 running rows"]);
    assert_eq!(verdicts(&report), Vec::<String>::new());
}

#[test]
fn endless_names_texts_and_nesting_are_refused() {
    let capture = Capture::new(STALE);
    if !can_be_limited(&capture) {
        return;
    }
    let long = "x".repeat(24 << 20);
    let deep = "[".repeat(60 << 20);
    for text in
        [format!("{{\"{long}\":1}}"), format!("{{\"a\":\"{long}\"}}"), format!("{{\"a\":{deep}")]
    {
        fs::write(capture.store(), text).unwrap();
        let ran = limited(&capture, LIMIT_KIB, &["plan", "--all", "--json"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let report = ran.json();
        assert_eq!(gaps(&report).len(), 1, "{report}");
        assert_eq!(report["summary"]["would_act"], 0);
    }
}
