//! What captured gateways wrote about their agents.

use clawarden::model::{AcpxRecord, RecordMode, UnixMillis};
use clawarden::observe::acp::{LeaseReader, RecordReader, WorkspaceReader};
use clawarden::observe::era::era;
use clawarden::observe::locate::{Request, locate};

use crate::capture::{ALL, Capture};

/// Returns the records, the ids of the leases and the number of gaps, and checks that reading
/// changed nothing.
fn read(capture: &Capture) -> (Vec<AcpxRecord>, Vec<String>, usize) {
    let env = |_: &str| None;
    let request = Request { state_dir: Some(capture.state_dir()), env: &env };
    let (install, now) = (locate(&request).unwrap(), UnixMillis(i64::MAX));
    let before = capture.contents();
    let workspaces = WorkspaceReader::default().look(&install, now);
    let read = RecordReader::default().read(&workspaces.record_folders, now);
    let era = era(&install.state_dir).0;
    let (leases, gaps) = LeaseReader::default().read(&install.state_dir, &era, now);
    crate::capture::assert_same(&capture.contents(), &before, "reading");
    let leases = leases.iter().map(|(id, _)| id.to_owned()).collect();
    let records = read.records.iter().map(|record| AcpxRecord::clone(record)).collect();
    (records, leases, workspaces.gaps.len() + read.gaps.len() + gaps.len())
}

#[test]
fn the_records_of_2026_4_15_are_oneshots_of_which_one_is_closed() {
    for name in ["b2-acp-hung-live", "b3-acp-after-sigkill", "b4-acp-after-restart"] {
        let (records, leases, gaps) = read(&Capture::new(&format!("2026.4.15-{name}")));
        assert_eq!((records.len(), leases.len(), gaps), (2, 0, 0), "{name}");
        assert!(records.iter().all(|record| {
            record.mode == RecordMode::Oneshot
                && record.backing_id.is_some()
                && record.agent_started_at.is_some()
        }));
        assert!(records[0].is_closed && records[0].closed_at.is_some(), "{name}");
        assert_eq!(records[0].cwd.to_str(), Some("/home/user/.openclaw/workspace"));
    }
}

#[test]
fn no_captured_state_hides_anything_and_one_has_a_lease() {
    let mut with_leases = Vec::new();
    for name in ALL {
        let (_, leases, gaps) = read(&Capture::new(name));
        assert_eq!(gaps, 0, "{name}");
        with_leases.extend(leases.into_iter().map(|id| (name, id)));
    }
    assert_eq!(with_leases, [("2026.9.6-seeded-zombies", "lease-z1".to_owned())]);
}
