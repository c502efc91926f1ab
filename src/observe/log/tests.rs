//! Whole logs: what is ours, what may be another gateway's, and what is nobody's business.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use super::*;
use crate::model::ProcessId;

const NOW: UnixMillis = UnixMillis(1_795_159_292_000);
const GATEWAY: ProcessId = ProcessId { pid: 4711, start_ticks: 9 };

struct World {
    dir: tempfile::TempDir,
    reader: LogReader,
    configured: Option<PathBuf>,
}

impl World {
    fn new() -> World {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("openclaw")).unwrap();
        World { dir, reader: LogReader::default(), configured: None }
    }

    fn file(&self) -> PathBuf {
        let usual = self.dir.path().join("openclaw/openclaw-2026-11-20.log");
        self.configured.clone().unwrap_or(usual)
    }

    fn log(&self, at: UnixMillis, text: &str) {
        let line = serde_json::json!({ "0": "{}", "1": text, "time": at.to_string() });
        let file = fs::OpenOptions::new().create(true).append(true).open(self.file());
        writeln!(file.unwrap(), "{line}").unwrap();
    }

    fn look_at(&mut self, now: UnixMillis) -> (Vec<LogSign>, Option<Gap>) {
        let (key, session) = (SessionKey::from("agent:main:main"), SessionId("s1".to_owned()));
        let gateway = GatewayProcess {
            id: GATEWAY,
            started_at: NOW.minus(Duration::from_secs(600)),
            locked_at: None,
            shares_pid_namespace: true,
        };
        let configured = self.configured.clone();
        self.reader.look(&Scene {
            configured: configured.as_deref(),
            temp: self.dir.path(),
            uids: &[nix::unistd::geteuid().as_raw()],
            state_dir: Path::new("/s"),
            gateway,
            lanes: &[(&key, Some(&session))],
            now,
        })
    }

    #[track_caller]
    fn check(&mut self, want: &[&str]) {
        let (signs, gap) = self.look_at(NOW);
        assert_eq!(gap, None);
        let line = |sign: &LogSign| {
            let lane = sign.lane.as_ref().map_or("-", |key| &key.0);
            format!("{} {lane} {}", sign.fault, sign.count)
        };
        assert_eq!(signs.iter().map(line).collect::<Vec<_>>(), want);
    }
}

const WAIT: &str = "lane wait exceeded: lane=session:agent:main:main waitedMs=9000 queueAhead=0";
const LATE: &str = "liveness warning: eventLoopDelayP99Ms=1 eventLoopDelayMaxMs=2";

fn stuck(session: &str) -> String {
    format!("stuck session: sessionId={session} sessionKey=agent:main:main age=9s queueDepth=0")
}

#[test]
fn no_log_is_no_gap() {
    World::new().check(&[]);
}

#[test]
fn what_names_our_lane_our_lock_or_our_process_is_ours() {
    let mut world = World::new();
    world.log(NOW, WAIT);
    world.log(NOW, &stuck("s1"));
    world.log(NOW, "session file locked (timeout 1ms): unknown /s/agents/a/sessions/s1.jsonl.lock");
    world.log(NOW, "session file locked (timeout 1ms): unknown /s/agents/a/sessions/s9.jsonl.lock");
    world.check(&[
        "lane_wait agent:main:main 1",
        "lock_timeout - 1",
        "lock_timeout agent:main:main 1",
        "stuck_session agent:main:main 1",
    ]);
}

#[test]
fn what_may_be_another_gateways_is_ignored() {
    let mut world = World::new();
    world.log(NOW, &stuck("another"));
    world.log(NOW, LATE);
    world.log(NOW, "lane wait exceeded: lane=session:agent:main:x waitedMs=9 queueAhead=0");
    world.log(NOW, "session file locked (timeout 1ms): unknown /other/s1.jsonl.lock");
    world.log(NOW, "session file locked (timeout 1ms): unknown /s/../other/s1.jsonl.lock");
    world.check(&[]);
}

#[test]
fn a_file_of_its_own_is_believed_and_still_only_for_its_lanes() {
    let mut world = World::new();
    world.configured = Some(world.dir.path().join("own.log"));
    world.log(NOW, LATE);
    world.log(NOW, &stuck("another"));
    world.check(&["event_loop_late - 1"]);
}

#[test]
fn lines_of_another_life_of_the_future_and_of_long_ago_are_ignored() {
    let mut world = World::new();
    world.log(NOW.minus(Duration::from_secs(601)), WAIT);
    world.log(NOW.plus(Duration::from_secs(61)), WAIT);
    world.check(&[]);
    world.log(NOW.minus(Duration::from_secs(600)), WAIT);
    world.check(&["lane_wait agent:main:main 1"]);
    let (signs, _) = world.look_at(NOW.plus(Duration::from_secs(3_000)));
    assert_eq!(signs.len(), 0);
}

#[test]
fn each_line_counts_once_and_the_last_is_told() {
    let mut world = World::new();
    world.log(NOW.minus(Duration::from_secs(9)), WAIT);
    world.check(&["lane_wait agent:main:main 1"]);
    world.check(&["lane_wait agent:main:main 1"]);
    world.log(NOW, &WAIT.replace("9000", "12000"));
    let (signs, _) = world.look_at(NOW);
    assert_eq!((signs[0].count, signs[0].at), (2, NOW));
    assert_eq!(signs[0].what, "a message waited 12 s for the lane, 0 before it");
}

#[test]
fn a_log_that_cannot_be_read_is_a_gap_of_the_log() {
    let mut world = World::new();
    std::os::unix::fs::symlink("/etc/passwd", world.file()).unwrap();
    let (signs, gap) = world.look_at(NOW);
    let gap = gap.unwrap();
    assert_eq!((signs.len(), gap.source, gap.path), (0, Source::Log, world.file()));
    assert!(gap.reason.contains("symbolic link"), "{}", gap.reason);
}

#[test]
fn a_folder_that_anybody_may_have_made_is_not_believed() {
    let world = World::new();
    let scene_uid = nix::unistd::geteuid().as_raw() + 1;
    let mut reader = LogReader::default();
    world.log(NOW, WAIT);
    let gateway = GatewayProcess {
        id: GATEWAY,
        started_at: NOW.minus(Duration::from_secs(600)),
        locked_at: None,
        shares_pid_namespace: true,
    };
    let (signs, gap) = reader.look(&Scene {
        configured: None,
        temp: world.dir.path(),
        uids: &[scene_uid],
        state_dir: Path::new("/s"),
        gateway,
        lanes: &[],
        now: NOW,
    });
    assert!(signs.is_empty() && gap.is_some_and(|gap| gap.reason.contains("another user")));
}

#[test]
fn signs_are_bounded() {
    let mut reader = LogReader::default();
    for number in 0..200 {
        let told = Told { fault: "lane_wait", ..Told::default() };
        reader.note(told, Some(SessionKey(format!("k{number}"))), UnixMillis(number));
    }
    assert_eq!(reader.signs.len(), SIGNS_MAX);
    assert_eq!(reader.signs.values().map(|sign| sign.at.0).min(), Some(136));
}
