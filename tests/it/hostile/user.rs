//! Beside another user's gateway.

use std::fs;
use std::os::unix::fs::chown;

use super::{DEAD_LOCK, LOCK, STALE, nothing_is_done, skipped};
use crate::capture::{Capture, verdicts};

/// `nobody`, whose id is the same everywhere.
const STRANGER: u32 = 65_534;

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped("only root can make a file another user's");
    }
    root
}

#[test]
fn root_rewrites_no_store_of_another_user() {
    if !is_root() {
        return;
    }
    let changes: [&dyn Fn(&Capture); 2] =
        [&|at| chown(at.store(), Some(STRANGER), None).unwrap(), &|at| {
            chown(at.sessions(), Some(STRANGER), None).unwrap()
        }];
    for change in changes {
        let capture = Capture::new(STALE);
        change(&capture);
        let report = nothing_is_done(&capture, "a stranger's store");
        let want = ["hold not_owner agent:main:main", "hold not_owner agent:main:zombie"];
        assert_eq!(verdicts(&report), want);
        let text = capture.run(&["plan"]).stdout;
        assert!(text.contains("belongs to uid 65534; run clawarden as that user"), "{text}");
    }
}

#[test]
fn root_releases_no_lock_of_another_user() {
    if !is_root() {
        return;
    }
    let paths: [&dyn Fn(&Capture) -> std::path::PathBuf; 2] =
        [&|at| at.sessions().join(LOCK), &|at| at.sessions()];
    for path in paths {
        let capture = Capture::new(DEAD_LOCK);
        chown(path(&capture), Some(STRANGER), None).unwrap();
        let report = nothing_is_done(&capture, "a stranger's lock");
        assert!(verdicts(&report).contains(&format!("hold not_owner {LOCK}")), "{report}");
    }
}

#[test]
fn what_may_not_be_written_is_never_half_done() {
    if nix::unistd::geteuid().is_root() {
        return skipped("root may write anywhere");
    }
    let capture = Capture::new(DEAD_LOCK);
    let mut mode = fs::metadata(capture.sessions()).unwrap().permissions();
    mode.set_readonly(true);
    fs::set_permissions(capture.sessions(), mode).unwrap();
    let before = capture.contents();
    let ran = capture.run(&["run", "--once", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    crate::capture::assert_same(&capture.contents(), &before, "read-only folder");
}
