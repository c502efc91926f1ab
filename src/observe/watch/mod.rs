//! Notices that files changed. Says only "look now": which file it was decides nothing.
//!
//! Watched are single folders, never trees: the folder of the agents, each folder of sessions,
//! the folder of the gateway's lock and the folder of our configuration. A folder that does not
//! exist yet is awaited in its nearest ancestor that does.
//!
//! Where the kernel grants no more watches, changes there are found by the timer alone; that is
//! said once, and tried again with each pass.

mod filter;
mod folders;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::{Config, ErrorKind, RecommendedWatcher, Watcher};
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::text::escape;
use filter::Hint;
use folders::Folders;

/// A full queue already means "look", so it need not be long.
const HINTS_MAX: usize = 256;

/// What a pass wants to be woken for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WatchSet {
    /// Absolute paths of folders. Those that do not exist are awaited. Their own files are
    /// watched, those of folders below are not.
    pub folders: Vec<PathBuf>,
}

/// What changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// Something of the gateway's, or so many things that all must be looked at.
    Files,
    /// The gateway's state database, which a busy gateway writes all the time.
    Database,
    /// Our own configuration.
    Config,
}

/// The watches on a set of folders.
#[derive(Debug)]
pub struct Watch {
    backend: Option<RecommendedWatcher>,
    hints: mpsc::Receiver<Hint>,
    queue: Queue,
    folders: Folders,
    polling: bool,
}

impl Watch {
    /// Makes a watch on `config`: the absolute paths of configuration files and of folders with
    /// drop-ins, which need not exist. Nothing is watched before the first [`Watch::retarget`].
    #[must_use]
    pub fn new(config: Vec<PathBuf>) -> Watch {
        let (sender, hints) = mpsc::channel(HINTS_MAX);
        let queue = Queue { sender, lost: Arc::default() };
        Watch { backend: None, hints, queue, folders: Folders::new(config), polling: false }
    }

    /// Watches exactly the folders of `set`, and those of the configuration.
    ///
    /// A folder that was replaced since is watched anew. Returns true if a folder is watched
    /// that was not before: what changed in it until now was not noticed, so look once more.
    pub fn retarget(&mut self, set: &WatchSet) -> bool {
        match self.arm(set) {
            Ok(found) => {
                if std::mem::take(&mut self.polling) {
                    info!("file changes are noticed again");
                }
                found
            }
            Err(error) => {
                if !std::mem::replace(&mut self.polling, true) {
                    warn!("looking by the timer only: {}", escape(&explain(&error)));
                }
                false
            }
        }
    }

    /// Returns true if some folder could not be watched.
    #[must_use]
    pub fn is_polling(&self) -> bool {
        self.polling
    }

    /// Waits for the next change. May be dropped and called again without loss.
    pub async fn changed(&mut self) -> Change {
        loop {
            let Some(hint) = self.hints.recv().await else {
                // Not reached: `queue` holds a sender.
                return std::future::pending().await;
            };
            if self.queue.lost.swap(false, Ordering::Relaxed) {
                return Change::Files;
            }
            if let Some(change) = self.folders.concern(&hint) {
                return change;
            }
        }
    }

    fn arm(&mut self, set: &WatchSet) -> notify::Result<bool> {
        let backend = match &mut self.backend {
            Some(backend) => backend,
            none => none.insert(open(self.queue.clone(), self.folders.config_names())?),
        };
        self.folders.retarget(&set.folders, backend)
    }
}

/// The way from the thread of `notify` to the loop. Never blocks that thread.
#[derive(Clone, Debug)]
struct Queue {
    sender: mpsc::Sender<Hint>,
    /// A hint found the queue full: the queued ones do not tell all.
    lost: Arc<AtomicBool>,
}

impl Queue {
    fn push(&self, hint: Hint) {
        if self.sender.try_send(hint).is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}

fn open(queue: Queue, config_names: Vec<std::ffi::OsString>) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event| {
        filter::hints(event, &config_names, |hint| queue.push(hint));
    })?;
    // If its thread could not be started (`TasksMax`, `RLIMIT_NPROC`), notify 8.2 panics in
    // `watch` and in `drop`. Only `configure` reports that, so it is asked first.
    if let Err(error) = watcher.configure(Config::default()) {
        std::mem::forget(watcher);
        return Err(error);
    }
    Ok(watcher)
}

fn explain(error: &notify::Error) -> String {
    match &error.kind {
        ErrorKind::MaxFilesWatch => "no inotify watches are left; raise the limit with \
             `sysctl fs.inotify.max_user_watches=524288`"
            .to_owned(),
        ErrorKind::Io(io) if io.raw_os_error() == Some(nix::errno::Errno::EMFILE as i32) => {
            "no inotify instances are left; raise the limit with \
             `sysctl fs.inotify.max_user_instances=512`"
                .to_owned()
        }
        _ => format!("failed to watch files: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    use notify::event::Flag;
    use notify::{Event, EventKind};
    use tokio::time::timeout;

    struct Bed {
        root: tempfile::TempDir,
        watch: Watch,
    }

    impl Bed {
        fn new(config: &[&str]) -> Bed {
            let root = tempfile::tempdir().unwrap();
            let config = config.iter().map(|name| root.path().join(name)).collect();
            Bed { root, watch: Watch::new(config) }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.root.path().join(name)
        }

        fn folder(&self, name: &str) -> PathBuf {
            let path = self.path(name);
            fs::create_dir_all(&path).unwrap();
            path
        }

        fn retarget(&mut self, folders: &[&str]) -> bool {
            let folders = folders.iter().map(|name| self.path(name)).collect();
            let found = self.watch.retarget(&WatchSet { folders });
            assert!(!self.watch.is_polling());
            found
        }

        /// All hints of what was done before have been queued once that of `mark` has.
        async fn changes(&mut self, mark: &Path) -> Vec<Change> {
            fs::write(mark, "").unwrap();
            let mut seen = Vec::new();
            loop {
                let hint = timeout(Duration::from_secs(10), self.watch.hints.recv()).await;
                let hint = hint.expect("the mark is noticed").unwrap();
                if hint == Hint::Path(mark.to_owned()) {
                    return seen;
                }
                seen.extend(self.watch.folders.concern(&hint));
            }
        }

        async fn expect(&mut self, want: Change) {
            let seen = timeout(Duration::from_secs(10), self.watch.changed()).await;
            assert_eq!(seen.expect("a change is noticed"), want);
        }
    }

    #[tokio::test]
    async fn notices_locks_and_stores_but_not_transcripts() {
        let mut bed = Bed::new(&[]);
        let sessions = bed.folder("agents/main/sessions");
        assert!(bed.retarget(&["agents", "agents/main/sessions"]));
        fs::write(sessions.join("a.jsonl"), "{}\n").unwrap();
        fs::write(sessions.join("sessions.json.1.tmp"), "{}").unwrap();
        assert_eq!(bed.changes(&sessions.join("mark-1.lock")).await, []);

        fs::write(sessions.join("a.jsonl.lock"), "{}").unwrap();
        bed.expect(Change::Files).await;
        #[expect(clippy::disallowed_methods, reason = "plays the gateway")]
        fs::rename(sessions.join("sessions.json.1.tmp"), sessions.join("sessions.json")).unwrap();
        assert!(!bed.changes(&sessions.join("mark-2.lock")).await.is_empty());
    }

    #[tokio::test]
    async fn our_own_reads_do_not_wake_us() {
        let mut bed = Bed::new(&[]);
        let sessions = bed.folder("agents/main/sessions");
        fs::write(sessions.join("a.jsonl.lock"), "{}").unwrap();
        fs::write(sessions.join("sessions.json"), "{}").unwrap();
        bed.retarget(&["agents", "agents/main/sessions"]);
        for _ in 0..20 {
            fs::read(sessions.join("a.jsonl.lock")).unwrap();
            fs::read(sessions.join("sessions.json")).unwrap();
            fs::read_dir(&sessions).unwrap().count();
        }
        assert_eq!(bed.changes(&sessions.join("mark.lock")).await, []);
    }

    #[tokio::test]
    async fn a_new_agent_is_noticed_and_its_sessions_are_awaited() {
        let mut bed = Bed::new(&[]);
        bed.folder("agents");
        bed.retarget(&["agents"]);
        bed.folder("agents/new");
        bed.expect(Change::Files).await;

        assert!(bed.retarget(&["agents", "agents/new/sessions"]));
        while bed.watch.hints.try_recv().is_ok() {}
        let sessions = bed.folder("agents/new/sessions");
        bed.expect(Change::Files).await;

        assert!(bed.retarget(&["agents", "agents/new/sessions"]));
        assert!(!bed.retarget(&["agents", "agents/new/sessions"]), "nothing is new now");
        fs::write(sessions.join("a.jsonl.lock"), "{}").unwrap();
        bed.expect(Change::Files).await;
    }

    #[tokio::test]
    async fn a_missing_state_directory_is_awaited_from_far_above() {
        let mut bed = Bed::new(&[]);
        bed.retarget(&["home/.openclaw/agents"]);
        bed.folder("unrelated");
        bed.folder("home");
        bed.expect(Change::Files).await;
        bed.retarget(&["home/.openclaw/agents"]);
        bed.folder("home/.openclaw");
        bed.expect(Change::Files).await;
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "plays the user who moves a folder away")]
    async fn a_replaced_folder_is_watched_anew() {
        let mut bed = Bed::new(&[]);
        let sessions = bed.folder("agents/main/sessions");
        bed.retarget(&["agents/main/sessions"]);
        fs::rename(&sessions, bed.path("agents/main/away")).unwrap();
        bed.folder("agents/main/sessions");
        bed.expect(Change::Files).await;

        assert!(!bed.retarget(&["agents/main/sessions"]), "the path was known");
        while bed.watch.hints.try_recv().is_ok() {}
        fs::write(bed.path("agents/main/away/old.lock"), "").unwrap();
        fs::write(sessions.join("new.lock"), "").unwrap();
        bed.expect(Change::Files).await;
        let seen = bed.changes(&sessions.join("mark.lock")).await;
        assert!(!seen.is_empty(), "closing the lock is noticed too");
    }

    #[tokio::test]
    async fn a_folder_that_is_no_longer_wanted_is_let_go() {
        let mut bed = Bed::new(&[]);
        let (a, b) = (bed.folder("a"), bed.folder("b"));
        bed.retarget(&["a", "b"]);
        bed.retarget(&["b"]);
        fs::write(a.join("x.lock"), "").unwrap();
        assert_eq!(bed.changes(&b.join("mark.lock")).await, []);
    }

    #[tokio::test]
    async fn a_change_of_the_configuration_is_told_apart() {
        let mut bed = Bed::new(&["etc/my.conf", "etc/clawarden.d"]);
        let etc = bed.folder("etc");
        bed.retarget(&[]);
        fs::write(etc.join("other.conf"), "").unwrap();
        assert_eq!(bed.changes(&etc.join("mark.lock")).await, []);
        fs::write(etc.join("my.conf"), "interval: 1m").unwrap();
        bed.expect(Change::Config).await;

        let drop_ins = bed.folder("etc/clawarden.d");
        bed.expect(Change::Config).await;
        bed.retarget(&[]);
        while bed.watch.hints.try_recv().is_ok() {}
        fs::write(drop_ins.join("10-mine.yaml"), "interval: 2m").unwrap();
        bed.expect(Change::Config).await;
    }

    #[tokio::test]
    async fn a_mounted_config_map_is_noticed() {
        let mut bed = Bed::new(&["etc/clawarden.yaml"]);
        let etc = bed.folder("etc");
        bed.retarget(&[]);
        std::os::unix::fs::symlink("..2026_11_20", etc.join("..data_tmp")).unwrap();
        #[expect(clippy::disallowed_methods, reason = "plays the kubelet")]
        fs::rename(etc.join("..data_tmp"), etc.join("..data")).unwrap();
        bed.expect(Change::Config).await;
    }

    #[tokio::test]
    async fn an_overflow_of_the_kernels_queue_is_one_full_look() {
        let mut watch = Watch::new(Vec::new());
        let overflow = Event::new(EventKind::Other).set_flag(Flag::Rescan);
        let queue = watch.queue.clone();
        filter::hints(Ok(overflow), &[], |hint| queue.push(hint));
        assert_eq!(watch.changed().await, Change::Files);
        assert!(watch.hints.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_overflow_of_our_own_queue_is_a_look_whatever_is_queued() {
        let mut watch = Watch::new(Vec::new());
        for n in 0..=HINTS_MAX {
            watch.queue.push(Hint::Path(PathBuf::from(format!("/unrelated/{n}.lock"))));
        }
        let first = timeout(Duration::from_secs(10), watch.changed()).await;
        assert_eq!(first, Ok(Change::Files));
        let rest = timeout(Duration::from_millis(1), watch.changed()).await;
        assert!(rest.is_err(), "the rest concerns nobody");
    }

    #[test]
    fn exhausted_limits_say_which_one_to_raise() {
        let watches = notify::Error::new(ErrorKind::MaxFilesWatch);
        assert!(explain(&watches).contains("fs.inotify.max_user_watches"));
        let instances = notify::Error::io(std::io::Error::from_raw_os_error(24));
        assert!(explain(&instances).contains("fs.inotify.max_user_instances"));
    }
}
