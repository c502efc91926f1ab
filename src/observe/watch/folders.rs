//! Which folders are watched, and whom a change in one of them concerns.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::{ErrorKind, RecursiveMode, Watcher};
use tracing::debug;

use super::Change;
use super::filter::{Hint, STATE_LOG};
use crate::text::escape;

/// The folders that are wanted, and the watches that this needs.
#[derive(Debug)]
pub(super) struct Folders {
    /// Our own files and folders of drop-ins.
    config: Vec<PathBuf>,
    /// As given by the pass.
    wanted: BTreeSet<PathBuf>,
    armed: BTreeMap<PathBuf, Armed>,
}

/// One folder under watch.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Armed {
    stamp: Stamp,
    /// Without symlinks: FSEvents names paths so, whatever was asked for.
    real: PathBuf,
}

/// Which folder it is, whatever its name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
}

impl Folders {
    pub(super) fn new(config: Vec<PathBuf>) -> Folders {
        Folders { config, wanted: BTreeSet::new(), armed: BTreeMap::new() }
    }

    /// Returns the names of the configuration files, whatever folder they are in.
    pub(super) fn config_names(&self) -> Vec<OsString> {
        self.config.iter().filter_map(|path| path.file_name()).map(OsStr::to_owned).collect()
    }

    /// Arms and disarms until exactly what `wanted` and the configuration need is watched.
    /// Returns true if a path is watched that was not before.
    ///
    /// # Errors
    ///
    /// Returns the first error that says that no more watches are to be had. What was armed
    /// until then stays so.
    pub(super) fn retarget(
        &mut self,
        wanted: &[PathBuf],
        watcher: &mut impl Watcher,
    ) -> notify::Result<bool> {
        self.wanted = wanted.iter().cloned().collect();
        let needed = self.needed();
        let before: BTreeSet<PathBuf> = self.armed.keys().cloned().collect();
        self.armed.retain(|path, armed| {
            let keeps = needed.get(path) == Some(&armed.stamp);
            if !keeps {
                // It is gone already if the folder is.
                let _ = watcher.unwatch(path);
            }
            keeps
        });
        let mut found = false;
        for (path, stamp) in needed {
            if !self.armed.contains_key(&path) && self.arm(&path, stamp, watcher)? {
                found |= !before.contains(&path);
            }
        }
        Ok(found)
    }

    /// Returns what a hint means to us, if anything.
    pub(super) fn concern(&self, hint: &Hint) -> Option<Change> {
        let path = match hint {
            Hint::Anywhere => return Some(Change::Files),
            Hint::Path(path) => path,
        };
        if self.config.iter().any(|config| self.is_config(path, config)) {
            return Some(Change::Config);
        }
        let folder = path.parent()?;
        self.wanted
            .iter()
            .any(|wanted| self.is_same(folder, wanted) || self.is_at_or_above(path, wanted))
            .then(|| match path.file_name() {
                Some(name) if name == STATE_LOG => Change::Database,
                _ => Change::Files,
            })
    }

    /// The folders to watch: each that is wanted, or what of its ancestors there is.
    fn needed(&self) -> BTreeMap<PathBuf, Stamp> {
        let beside = self.config.iter().filter_map(|path| path.parent());
        let drop_ins = self.config.iter().map(PathBuf::as_path).filter(|path| path.is_dir());
        let wanted = self.wanted.iter().map(PathBuf::as_path);
        wanted.chain(beside).chain(drop_ins).filter_map(nearest).collect()
    }

    /// Returns false if this one folder cannot be watched, which the pass will find out too.
    fn arm(
        &mut self,
        path: &Path,
        stamp: Stamp,
        watcher: &mut impl Watcher,
    ) -> notify::Result<bool> {
        match watcher.watch(path, RecursiveMode::NonRecursive) {
            Ok(()) => {
                let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                self.armed.insert(path.to_owned(), Armed { stamp, real });
                Ok(true)
            }
            Err(error) if is_exhausted(&error) => Err(error),
            Err(error) => {
                debug!("not watching files: {}", escape(&error.to_string()));
                Ok(false)
            }
        }
    }

    fn is_config(&self, path: &Path, config: &Path) -> bool {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return false };
        let is_drop_in = matches!(path.extension(), Some(end) if end == "yaml" || end == "yml");
        let is_beside = config.parent().is_some_and(|parent| self.is_same(folder, parent));
        (is_beside && (config.file_name() == Some(name) || name == "..data"))
            || (is_drop_in && self.is_same(folder, config))
    }

    fn is_same(&self, seen: &Path, folder: &Path) -> bool {
        seen == folder || self.armed.get(folder).is_some_and(|armed| armed.real == seen)
    }

    fn is_at_or_above(&self, seen: &Path, folder: &Path) -> bool {
        folder.starts_with(seen)
            || self.armed.get(folder).is_some_and(|armed| armed.real.starts_with(seen))
    }
}

/// Returns `path` if it is a folder, else the nearest ancestor that is one.
fn nearest(path: &Path) -> Option<(PathBuf, Stamp)> {
    path.ancestors().find_map(|folder| {
        let found = fs::metadata(folder).ok().filter(fs::Metadata::is_dir)?;
        Some((folder.to_owned(), Stamp { device: found.dev(), inode: found.ino() }))
    })
}

/// Returns true if no other folder could be watched either.
fn is_exhausted(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Io(io) => {
            let errno = io.raw_os_error().map(nix::errno::Errno::from_raw);
            matches!(errno, Some(nix::errno::Errno::EMFILE | nix::errno::Errno::ENFILE))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify::{Config, EventHandler, WatcherKind};

    /// A kernel that grants `left` watches.
    #[derive(Debug)]
    struct Kernel {
        left: usize,
        watched: BTreeSet<PathBuf>,
    }

    impl Kernel {
        fn granting(left: usize) -> Kernel {
            Kernel { left, watched: BTreeSet::new() }
        }
    }

    impl Watcher for Kernel {
        fn new<F: EventHandler>(_: F, _: Config) -> notify::Result<Kernel> {
            Ok(Kernel::granting(0))
        }

        fn watch(&mut self, path: &Path, mode: RecursiveMode) -> notify::Result<()> {
            assert_eq!(mode, RecursiveMode::NonRecursive);
            if self.watched.len() == self.left {
                return Err(notify::Error::new(ErrorKind::MaxFilesWatch));
            }
            self.watched.insert(path.to_owned());
            Ok(())
        }

        fn unwatch(&mut self, path: &Path) -> notify::Result<()> {
            self.watched.remove(path);
            Ok(())
        }

        fn kind() -> WatcherKind {
            WatcherKind::NullWatcher
        }
    }

    fn three_folders() -> (tempfile::TempDir, Vec<PathBuf>) {
        let root = tempfile::tempdir().unwrap();
        let folders = ["a", "b", "c"].map(|name| root.path().join(name)).to_vec();
        folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
        (root, folders)
    }

    #[test]
    fn keeps_what_the_kernel_grants_and_takes_more_when_it_can() {
        let (_root, wanted) = three_folders();
        let mut kernel = Kernel::granting(2);
        let mut folders = Folders::new(Vec::new());
        assert!(folders.retarget(&wanted, &mut kernel).is_err());
        assert_eq!(kernel.watched.len(), 2);
        assert!(folders.retarget(&wanted, &mut kernel).is_err());
        kernel.left = 3;
        assert!(folders.retarget(&wanted, &mut kernel).unwrap());
        assert!(!folders.retarget(&wanted, &mut kernel).unwrap());
        assert_eq!(kernel.watched, wanted.into_iter().collect());
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_awaited_in_its_parent() {
        let (root, _) = three_folders();
        let place = root.path().join("sessions");
        fs::write(&place, "").unwrap();
        let mut kernel = Kernel::granting(9);
        Folders::new(Vec::new()).retarget(&[place], &mut kernel).unwrap();
        assert_eq!(kernel.watched, [root.path().to_owned()].into());
    }

    #[test]
    fn a_change_concerns_only_what_is_wanted() {
        let (root, wanted) = three_folders();
        let mut folders = Folders::new(vec![root.path().join("my.conf")]);
        folders.retarget(&wanted[..1], &mut Kernel::granting(9)).unwrap();
        let at = |name: &str| folders.concern(&Hint::Path(root.path().join(name)));
        assert_eq!(at("a/x.lock"), Some(Change::Files));
        assert_eq!(at("a/openclaw.sqlite-wal"), Some(Change::Database));
        assert_eq!(at("a"), Some(Change::Files));
        assert_eq!(at("b/x.lock"), None);
        assert_eq!(at("x.lock"), None);
        assert_eq!(at("my.conf"), Some(Change::Config));
        assert_eq!(folders.concern(&Hint::Anywhere), Some(Change::Files));
    }
}
