//! Giving a backing session back, on captured states: who is refused, and that nothing is touched.

use std::fs;
use std::os::unix::fs::chown;

use crate::capture::{Capture, Ran, assert_same};

const ID: &str = "1329ae43-4151-4d5e-be18-4672e35dbb5d";
const REQUESTER: &str = "agent:main:parent";

/// A captured state whose backing sessions are on record.
fn recorded(name: &str) -> Capture {
    let capture = Capture::new(name);
    capture.configure("policies: { stale_lane: { mode: observe } }");
    capture.json(&["run", "--once"]);
    capture
}

fn restore(capture: &Capture, more: &[&str]) -> Ran {
    capture.run(&[&["tombstones", "restore", ID], more].concat())
}

/// Every event on record, and every action.
fn memory(capture: &Capture) -> [String; 2] {
    let shown = capture.json(&["tombstones", "show", ID])["events"].to_string();
    [shown, capture.run(&["history", "--actions"]).stdout]
}

#[test]
fn whoever_it_does_not_belong_to_is_refused_before_anything_is_looked_at() {
    for name in ["2026.4.15-b2-acp-hung-live", "2026.4.15-b3-acp-after-sigkill"] {
        let capture = recorded(name);
        let (before, known) = (capture.contents(), memory(&capture));
        for other in ["agent:main:parent2", "agent:main:paren", "", "agent:main:parent "] {
            let said = restore(&capture, &["--requester", other]);
            assert_eq!(said.code, Some(77), "{said:?}");
            assert!(said.stderr.contains("is not on record for"), "{said:?}");
            assert!(said.stderr.contains("tombstones show"), "{said:?}");
            assert_eq!(said.stdout, "", "nothing is said of what it would be");
        }
        assert_same(&capture.contents(), &before, name);
        assert_eq!(memory(&capture), known, "{name}");
    }
}

#[test]
fn what_is_not_safe_is_refused_after_the_preview_and_changes_nothing() {
    let capture = recorded("2026.4.15-b2-acp-hung-live");
    let (before, known) = (capture.contents(), memory(&capture));
    let kinds: [&[&str]; 3] = [&[], &["--dry-run"], &["--force"]];
    for more in kinds {
        let said = restore(&capture, &[&["--requester", REQUESTER], more].concat());
        assert_eq!(said.code, Some(77), "{said:?}");
        assert!(said.stdout.contains(&format!("requester    {REQUESTER}")), "{said:?}");
        assert!(said.stderr.contains("is not given back"), "{said:?}");
    }
    let said = restore(&capture, &["--requester", REQUESTER, "--json"]);
    let object: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(object["schema"], "clawarden.restore/v1");
    assert_eq!((&object["outcome"], &object["is_forced"]), (&"refused".into(), &false.into()));
    assert_same(&capture.contents(), &before, "refused");
    assert_eq!(memory(&capture), known);
}

#[test]
fn the_owner_may_force_and_nobody_else() {
    let capture = recorded("2026.4.15-b3-acp-after-sigkill");
    let force = ["--requester", "agent:main:other", "--force"];
    let said = restore(&capture, &force);
    assert!(said.stdout.contains("by force for agent:main:other"), "{said:?}");
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can give the state directory to somebody else");
        return;
    }
    chown(capture.state_dir(), Some(4242), None).unwrap();
    let said = restore(&capture, &force);
    assert_eq!((said.code, said.stdout.as_str()), (Some(77), ""), "{said:?}");
    assert!(said.stderr.contains("--force is for the owner"), "{said:?}");
    let folder = fs::metadata(capture.state_dir()).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&folder), 4242);
}

#[test]
fn what_is_not_on_record_or_asked_for_by_nobody_is_a_wrong_command_line() {
    let capture = recorded("2026.4.15-b3-acp-after-sigkill");
    assert_eq!(restore(&capture, &[]).code, Some(64));
    assert_eq!(restore(&capture, &["--requester", " ", "--force"]).code, Some(64));
    let unknown = ["tombstones", "restore", "nobody", "--requester", REQUESTER];
    assert_eq!(capture.run(&unknown).code, Some(64));
}
