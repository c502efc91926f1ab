//! Runs that were cut off by the death of their gateway.

use std::fs;
use std::path::{Path, PathBuf};

use crate::gateway::Gateway;
use crate::home::Home;
use crate::hung::{By, Hung, Job};
use crate::lane::Lane;
use crate::matrix::Row;
use crate::report::Report;
use crate::rpc_matrix::versions::Facts;
use crate::watchdog::Watchdog;

/// A run of which the gateway was killed.
pub(super) struct Killed {
    by: By,
    run: Run,
    /// Its row and transcript as the restarted gateway found them, if its version has such files.
    found: Option<Lane>,
}

enum Run {
    Listed(Box<Hung>),
    /// Its version lists the run of a schedule when it is over (2026.5.7 to 2026.7.1).
    Unlisted(Job),
}

/// What a gateway does by itself, with nobody else at work.
const LEFT_OUT: &str =
    "by the gateway itself: it no more tells the unanswered message; its file has it";

#[track_caller]
pub(super) fn begin(home: &Home, gateway: &Gateway, facts: &Facts) -> Vec<Killed> {
    let ways = [(By::Chat, "a-chat"), (By::Agent, "an-agent"), (By::Cron, "a-schedule")];
    let begin = |(by, name)| {
        let run = if by == By::Cron && !facts.lists_schedules() {
            home.provider.set_mode("drip");
            let open = home.provider.open_requests();
            let job = Job::run(gateway, name);
            home.provider.wait_for_open(open + 1);
            Run::Unlisted(job)
        } else {
            Run::Listed(Box::new(Hung::begin(home, gateway, by, name)))
        };
        Killed { by, run, found: None }
    };
    ways.into_iter().map(begin).collect()
}

/// What every transcript of the main agent had when the gateway was killed, of listed runs or not.
pub(super) struct Transcripts(Vec<(PathBuf, Vec<u8>)>);

impl Transcripts {
    pub(super) fn read(home: &Home) -> Self {
        let files = fs::read_dir(home.sessions()).into_iter().flatten();
        let files = files.map(|file| file.unwrap().path()).filter(|file| is_transcript(file));
        Self(files.map(|file| (file.clone(), fs::read(file).unwrap())).collect())
    }

    /// All of it is still there, and what came since stands behind it.
    #[track_caller]
    pub(super) fn assert_kept(&self) {
        for (file, before) in &self.0 {
            let now = fs::read(file).unwrap_or_default();
            assert!(now.starts_with(before), "{}: not as it was", file.display());
        }
    }
}

fn is_transcript(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".jsonl") && !name.ends_with(".trajectory.jsonl")
}

/// Whatever was done, was done to one of these, once, and was to settle it; where rows are not ours to
/// write (2026.9.6), nothing was.
#[track_caller]
pub(super) fn assert_nothing_else(home: &Home, killed: &[Killed], passes: &[Report]) {
    if !home.has_locks() {
        passes.iter().for_each(Report::assert_idle);
    }
    let mut acts: Vec<_> = passes.iter().flat_map(Report::acts).collect();
    acts.retain(|act| !is_lock(act));
    let mut settled: Vec<_> = passes.iter().flat_map(|pass| pass.done("stale_lane")).collect();
    acts.sort_unstable();
    settled.sort_unstable();
    assert_eq!(acts, settled);
    let count = settled.len();
    settled.dedup();
    assert_eq!(count, settled.len(), "each once: {acts:?}");
    // A run of a schedule also has a row of its own, below that of the schedule.
    let is_ours = |key: &&str| killed.iter().any(|lane| key.starts_with(lane.key()));
    assert!(settled.iter().all(is_ours), "{settled:?}");
}

/// A lock of the dead gateway is removed when nobody needs it any more.
fn is_lock(subject: &str) -> bool {
    subject.ends_with(".jsonl.lock")
}

impl Killed {
    fn key(&self) -> &str {
        match &self.run {
            Run::Listed(hung) => &hung.key,
            Run::Unlisted(job) => &job.key,
        }
    }

    fn job(&self) -> Option<&Job> {
        match &self.run {
            Run::Listed(hung) => hung.job.as_ref(),
            Run::Unlisted(job) => Some(job),
        }
    }

    /// Notes what the restarted gateway found.
    #[track_caller]
    pub(super) fn read(&mut self, home: &Home, gateway: &Gateway) {
        let is_in_file = home.has_locks() && self.is_running(gateway);
        self.found = is_in_file.then(|| Lane::read(home, self.key()));
    }

    pub(super) fn is_running(&self, gateway: &Gateway) -> bool {
        gateway.row(self.key())["status"] == "running"
    }

    pub(super) fn is_settled(&self, passes: &[Report]) -> bool {
        passes.iter().any(|pass| pass.done("stale_lane").contains(&self.key()))
    }

    /// 2026.3.24 and 2026.4.15 end no such row.
    #[track_caller]
    pub(super) fn assert_seen_to(&self, home: &Home, passes: &[Report]) {
        let is_forgotten = ["2026.3.24", "2026.4.15"].contains(&home.lab.version);
        assert!(!is_forgotten || self.is_settled(passes), "{}", self.key());
    }

    /// What became of the run is well, and nothing of it was lost; returns what was seen.
    #[track_caller]
    pub(super) fn check(
        &self,
        home: &Home,
        gateway: &Gateway,
        watchdog: &Watchdog<'_>,
        passes: &[Report],
    ) -> Row {
        let row = gateway.row(self.key());
        let status = row["status"].as_str().unwrap_or("without status").to_owned();
        let (verdict, repair) = if self.is_settled(passes) {
            self.assert_settled(home, gateway, watchdog, passes)
        } else {
            self.left_alone(home, gateway, &status, passes)
        };
        let ended = match self.job() {
            Some(job) => {
                assert!(!job.is_running(gateway), "nobody takes the job for running");
                let ended = job.ended(gateway);
                let ended = if ended.is_empty() { "without status".to_owned() } else { ended };
                format!("job `{ended}`; the next run ends well")
            }
            None => "the next message is answered".to_owned(),
        };
        let is_told = match &self.run {
            Run::Listed(hung) if self.is_settled(passes) => {
                hung.assert_answers(home, gateway);
                true
            }
            Run::Listed(hung) => hung.assert_answers_resumed(home, gateway),
            Run::Unlisted(job) => {
                job.assert_runs_again(gateway);
                true
            }
        };
        Row {
            fault: match self.by {
                By::Chat => "gateway killed in a run of a chat",
                By::Agent => "gateway killed in a run of `openclaw agent`",
                By::Cron => "gateway killed in a run of a schedule",
            },
            verdict,
            repair,
            afterwards: format!("row `{status}`; {ended}"),
            lost: if is_told { "nothing" } else { LEFT_OUT },
        }
    }

    /// The gateway sees the end of the run, and that can be taken back.
    #[track_caller]
    fn assert_settled(
        &self,
        home: &Home,
        gateway: &Gateway,
        watchdog: &Watchdog<'_>,
        passes: &[Report],
    ) -> (String, String) {
        let key = self.key();
        let found = self.found.as_ref().expect("a settled row is one of a file");
        found.assert_running();
        found.assert_settled(home, gateway);
        let done = passes.iter().find(|pass| pass.done("stale_lane").contains(&key));
        let done = done.expect("the pass that settled it");
        let code = done.code("stale_lane", key).expect("a reason");
        let repair = if self.by == By::Agent {
            watchdog.undo(&done.action_id("stale_lane", key));
            found.assert_unchanged(home);
            assert!(self.is_running(gateway), "the gateway shows the old row again");
            "settle; `undo` took it back"
        } else {
            "settle"
        };
        (format!("`stale_lane`: `{code}`"), repair.to_owned())
    }

    /// The gateway has resumed or ended it, and was left to it; or it has not, and the row is left.
    #[track_caller]
    fn left_alone(
        &self,
        home: &Home,
        gateway: &Gateway,
        status: &str,
        passes: &[Report],
    ) -> (String, String) {
        let said: Vec<_> = passes.iter().map(|pass| pass.of("stale_lane", self.key())).collect();
        let codes: Vec<_> = said.iter().map(|said| said.map(|said| &*said.reason.code)).collect();
        eprintln!("  {}: {status}, {:?}", self.key(), lengths(&codes));
        assert!(said.iter().flatten().all(|said| said.decision == "hold"), "{said:#?}");
        if status == "running" {
            let code = codes.last().copied().flatten().expect("a word about what is left");
            return (format!("`stale_lane`: held, `{code}`"), "none; reported".to_owned());
        }
        let how = match &self.run {
            Run::Listed(hung) if hung.before.is_answered(home, gateway) => "resumes it",
            _ => "ends it",
        };
        ("none: never taken for dead".to_owned(), format!("left to the gateway, which {how}"))
    }
}

/// How many passes in a row said the same.
fn lengths<'c>(codes: &[Option<&'c str>]) -> Vec<(Option<&'c str>, usize)> {
    let mut runs: Vec<(Option<&str>, usize)> = Vec::new();
    for code in codes {
        match runs.last_mut() {
            Some((last, count)) if last == code => *count += 1,
            _ => runs.push((*code, 1)),
        }
    }
    runs
}
