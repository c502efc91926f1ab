//! Where our own state lies: one home per user, one folder in it per watched state directory.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use nix::unistd::Uid;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::error::advice;

/// The name of the quarantine within a watch folder.
pub const QUARANTINE: &str = "quarantine";
const WATCHES: &str = "watches";
/// 48 bits: a collision among the state directories of one user does not happen by accident,
/// and the file `watches` would show it.
const KEY_CHARS: usize = 12;
/// More than any path of a supported system.
const PATH_BYTES_MAX: u64 = 64 * 1024;

/// Why there is no place for our own state.
#[derive(Debug, Error)]
pub enum HomeError {
    /// The environment names no place.
    #[error("find a place for clawarden's own state; set STATE_DIRECTORY or HOME")]
    Nowhere,
    /// systemd always gives an absolute path.
    #[error("use STATE_DIRECTORY: `{path}` is not an absolute path")]
    Relative {
        /// Its value.
        path: PathBuf,
    },
    /// The gateway owns everything in its state directory, and may wipe it.
    #[error(
        "use `{home}` for clawarden's own state: it lies inside the gateway's state directory \
         `{state_dir}`; set STATE_DIRECTORY to a folder outside of it"
    )]
    InsideGateway {
        /// The home.
        home: PathBuf,
        /// The gateway's state directory.
        state_dir: PathBuf,
    },
    /// Files that we make there would be lost to the user who owns the folder.
    #[error("use `{path}`: it belongs to uid {uid}; run clawarden as that user")]
    NotOwner {
        /// The folder.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Another user could replace what we make there.
    #[error("use `{path}`: others can write to it; set STATE_DIRECTORY to a folder of its own")]
    OpenToOthers {
        /// The folder.
        path: PathBuf,
    },
    /// The name is taken.
    #[error("use `{path}`: it is no folder; move it away")]
    NotAFolder {
        /// What was found.
        path: PathBuf,
    },
    /// The watch folder belongs to another state directory.
    #[error("use `{path}` for `{state_dir}`: it says that it watches `{found}`; move it away")]
    WatchesAnother {
        /// The watch folder.
        path: PathBuf,
        /// The gateway's state directory.
        state_dir: PathBuf,
        /// What its file `watches` names.
        found: PathBuf,
    },
    /// A path could not be looked at.
    #[error("look at `{path}`{}", advice(.source.kind()))]
    Look {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A folder or file could not be made private.
    #[error("prepare `{path}`{}", advice(.source.kind()))]
    Prepare {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Returns the home of our own state, which need not exist yet.
///
/// That is `$STATE_DIRECTORY` (systemd; the first of a list), `$XDG_STATE_HOME/clawarden`, or
/// what is usual on the platform below `$HOME`. Empty variables count as absent, and so does a
/// relative `$XDG_STATE_HOME`, as its specification demands.
///
/// # Errors
///
/// Returns an error if no variable names a place.
pub fn state_home(env: &dyn Fn(&str) -> Option<OsString>) -> Result<PathBuf, HomeError> {
    let path = |name: &str| env(name).map(PathBuf::from).filter(|p| !p.as_os_str().is_empty());
    if let Some(list) = path("STATE_DIRECTORY") {
        let first = list.as_os_str().as_bytes().split(|byte| *byte == b':').next();
        let first = PathBuf::from(OsString::from_vec(first.unwrap_or_default().to_vec()));
        let absolute = first.is_absolute();
        return if absolute { Ok(first) } else { Err(HomeError::Relative { path: list }) };
    }
    if let Some(home) = path("XDG_STATE_HOME").filter(|home| home.is_absolute()) {
        return Ok(home.join("clawarden"));
    }
    let home = path("HOME").filter(|home| home.is_absolute()).ok_or(HomeError::Nowhere)?;
    Ok(home.join(USUAL))
}

#[cfg(not(target_os = "macos"))]
const USUAL: &str = ".local/state/clawarden";
#[cfg(target_os = "macos")]
const USUAL: &str = "Library/Application Support/clawarden";

/// Returns the folder within `home` for the gateway's `state_dir`, without making anything.
///
/// It is named after the hash of the canonical path, so every spelling of it gives the same.
///
/// # Errors
///
/// Returns an error if `state_dir` does not exist, or if `home` lies inside of it.
pub fn watch_dir(home: &Path, state_dir: &Path) -> Result<PathBuf, HomeError> {
    let look = |path: &Path, source| HomeError::Look { path: path.to_owned(), source };
    let state_dir = fs::canonicalize(state_dir).map_err(|source| look(state_dir, source))?;
    let home = settled(home).map_err(|source| look(home, source))?;
    if home.starts_with(&state_dir) {
        return Err(HomeError::InsideGateway { home, state_dir });
    }
    Ok(home.join(key(&state_dir)))
}

/// Makes the watch folder of `state_dir` in `home`, with its quarantine and the file `watches`,
/// and returns it. All of it is private to us, whatever the umask; a home that holds other things
/// keeps its mode.
///
/// # Errors
///
/// Returns an error if a part cannot be made or made private, belongs to another user, or
/// belongs to another state directory, and for the reasons of [`watch_dir`].
pub fn prepare(home: &Path, state_dir: &Path) -> Result<PathBuf, HomeError> {
    let dir = watch_dir(home, state_dir)?;
    if let Some(home) = dir.parent() {
        home_dir(home)?;
    }
    private_dir(&dir)?;
    private_dir(&dir.join(QUARANTINE))?;
    let state_dir = fs::canonicalize(state_dir)
        .map_err(|source| HomeError::Look { path: state_dir.to_owned(), source })?;
    record_watched(&dir, &state_dir)?;
    Ok(dir)
}

/// Opens a file of ours for reading and writing, makes it if it is missing, and makes it
/// readable for its owner alone, whatever the umask.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.mode() & 0o7777 != 0o600 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

/// Makes the home. A folder that exists and holds anything keeps its mode: `STATE_DIRECTORY`
/// may have been pointed at `/` or somebody's home.
fn home_dir(path: &Path) -> Result<(), HomeError> {
    let prepare = |source| HomeError::Prepare { path: path.to_owned(), source };
    let mode = owned_dir(path)?;
    if fs::read_dir(path).map_err(prepare)?.next().is_none() {
        return private(path, mode);
    }
    // Whoever can write here can put another folder in the place of ours.
    let open = mode & 0o022 != 0;
    if open { Err(HomeError::OpenToOthers { path: path.to_owned() }) } else { Ok(()) }
}

fn private_dir(path: &Path) -> Result<(), HomeError> {
    let mode = owned_dir(path)?;
    private(path, mode)
}

fn private(path: &Path, mode: u32) -> Result<(), HomeError> {
    if mode & 0o7777 == 0o700 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700))
        .map_err(|source| HomeError::Prepare { path: path.to_owned(), source })
}

/// Makes the folder if it is missing, and returns its mode if it is ours.
fn owned_dir(path: &Path) -> Result<u32, HomeError> {
    let prepare = |source| HomeError::Prepare { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| {
        let taken = source.kind() == io::ErrorKind::AlreadyExists;
        if taken { HomeError::NotAFolder { path: path.to_owned() } } else { prepare(source) }
    })?;
    let found = fs::metadata(path).map_err(prepare)?;
    if found.uid() != Uid::effective().as_raw() {
        return Err(HomeError::NotOwner { path: path.to_owned(), uid: found.uid() });
    }
    Ok(found.mode())
}

/// Resolves the part of `path` that exists, and keeps the rest.
fn settled(path: &Path) -> io::Result<PathBuf> {
    for ancestor in path.ancestors() {
        match fs::canonicalize(ancestor) {
            Ok(found) => {
                let rest = path.strip_prefix(ancestor).unwrap_or(Path::new(""));
                return Ok(if rest.as_os_str().is_empty() { found } else { found.join(rest) });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

fn key(state_dir: &Path) -> String {
    let hash = Sha256::digest(state_dir.as_os_str().as_bytes());
    let mut hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(KEY_CHARS);
    hex
}

/// Writes for people which state directory the folder is about, or compares it.
fn record_watched(dir: &Path, state_dir: &Path) -> Result<(), HomeError> {
    let path = dir.join(WATCHES);
    let prepare = |source| HomeError::Prepare { path: path.clone(), source };
    let mut want = state_dir.as_os_str().as_bytes().to_vec();
    want.push(b'\n');
    let mut file = private_file(&path).map_err(prepare)?;
    let mut found = Vec::new();
    (&file).take(PATH_BYTES_MAX).read_to_end(&mut found).map_err(prepare)?;
    match want.strip_prefix(found.as_slice()) {
        Some([]) => Ok(()),
        // A crash may have cut it: what is missing is added.
        Some(rest) => file.write_all(rest).and_then(|()| file.sync_all()).map_err(prepare),
        None => Err(HomeError::WatchesAnother {
            path: dir.to_owned(),
            state_dir: state_dir.to_owned(),
            found: OsString::from_vec(found.trim_ascii_end().to_vec()).into(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vars: &[(&str, &str)], want: &str) {
        let env = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let got = match state_home(&env) {
            Ok(path) => path.display().to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(got, want);
    }

    #[test]
    fn the_home_is_systemds_then_xdgs_then_the_platforms() {
        let home = ("HOME", "/h");
        check(&[("STATE_DIRECTORY", "/v/a:/v/b"), ("XDG_STATE_HOME", "/x"), home], "/v/a");
        check(&[("XDG_STATE_HOME", "/x"), home], "/x/clawarden");
        check(&[home], &format!("/h/{USUAL}"));
    }

    #[test]
    fn empty_and_relative_variables_do_not_name_a_place() {
        let usual = format!("/h/{USUAL}");
        check(&[("STATE_DIRECTORY", ""), ("XDG_STATE_HOME", ""), ("HOME", "/h")], &usual);
        check(&[("XDG_STATE_HOME", "x"), ("HOME", "/h")], &usual);
        check(&[("STATE_DIRECTORY", "a")], "use STATE_DIRECTORY: `a` is not an absolute path");
        let nowhere = "find a place for clawarden's own state; set STATE_DIRECTORY or HOME";
        check(&[], nowhere);
        check(&[("HOME", "")], nowhere);
    }

    struct Place {
        root: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join("gateway")).unwrap();
            Place { root }
        }

        fn at(&self, below: &str) -> PathBuf {
            self.root.path().join(below)
        }
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn everything_is_private_even_where_it_was_not() {
        let place = Place::new();
        let home = place.at("own");
        fs::create_dir(&home).unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o755)).unwrap();
        let dir = prepare(&home, &place.at("gateway")).unwrap();
        let watches = dir.join(WATCHES);
        fs::set_permissions(&watches, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(prepare(&home, &place.at("gateway")).unwrap(), dir);
        for folder in [&home, &dir, &dir.join(QUARANTINE)] {
            assert_eq!(mode(folder), 0o700, "{folder:?}");
        }
        assert_eq!(mode(&watches), 0o600);
    }

    #[test]
    fn a_folder_that_holds_other_things_keeps_its_mode() {
        let place = Place::new();
        let home = place.at("shared");
        fs::create_dir(&home).unwrap();
        fs::write(home.join("other"), "").unwrap();
        fs::set_permissions(&home, Permissions::from_mode(0o755)).unwrap();
        let dir = prepare(&home, &place.at("gateway")).unwrap();
        assert_eq!((mode(&home), mode(&dir)), (0o755, 0o700));
        for open in [0o775, 0o757, 0o1777] {
            fs::set_permissions(&home, Permissions::from_mode(open)).unwrap();
            let error = prepare(&home, &place.at("gateway")).unwrap_err();
            assert!(matches!(error, HomeError::OpenToOthers { .. }), "{error}");
            assert_eq!(mode(&home), open);
        }
    }

    #[test]
    fn a_gateway_has_one_folder_under_whatever_name() {
        let place = Place::new();
        std::os::unix::fs::symlink(place.at("gateway"), place.at("alias")).unwrap();
        fs::create_dir(place.at("other")).unwrap();
        let dir = prepare(&place.at("own"), &place.at("gateway")).unwrap();
        assert_eq!(prepare(&place.at("own"), &place.at("alias/.")).unwrap(), dir);
        assert_ne!(prepare(&place.at("own"), &place.at("other")).unwrap(), dir);
        let watched = fs::canonicalize(place.at("gateway")).unwrap();
        let text = fs::read_to_string(dir.join(WATCHES)).unwrap();
        assert_eq!(text, format!("{}\n", watched.display()));
    }

    #[test]
    fn the_folders_name_is_a_format_on_disk() {
        assert_eq!(key(Path::new("/home/u/.openclaw")), "9c760859b692");
    }

    #[test]
    fn refuses_a_home_inside_the_gateways_state_directory() {
        let place = Place::new();
        std::os::unix::fs::symlink(place.at("gateway"), place.at("alias")).unwrap();
        for inside in ["gateway", "gateway/own/deep", "alias/own"] {
            let error = prepare(&place.at(inside), &place.at("gateway")).unwrap_err();
            assert!(matches!(error, HomeError::InsideGateway { .. }), "{inside}: {error}");
            assert_eq!(fs::read_dir(place.at("gateway")).unwrap().count(), 0);
        }
        prepare(&place.at("gateway-own"), &place.at("gateway")).unwrap();
    }

    #[test]
    fn a_torn_note_is_completed_and_a_foreign_one_refused() {
        let place = Place::new();
        let dir = prepare(&place.at("own"), &place.at("gateway")).unwrap();
        let whole = fs::read(dir.join(WATCHES)).unwrap();
        for cut in 0..whole.len() {
            fs::write(dir.join(WATCHES), &whole[..cut]).unwrap();
            prepare(&place.at("own"), &place.at("gateway")).unwrap();
            assert_eq!(fs::read(dir.join(WATCHES)).unwrap(), whole);
        }
        fs::write(dir.join(WATCHES), "/elsewhere\n").unwrap();
        let error = prepare(&place.at("own"), &place.at("gateway")).unwrap_err();
        assert!(matches!(error, HomeError::WatchesAnother { .. }), "{error}");
    }

    #[test]
    fn a_missing_gateway_or_a_taken_name_is_named() {
        let place = Place::new();
        let error = prepare(&place.at("own"), &place.at("none")).unwrap_err();
        assert!(matches!(error, HomeError::Look { .. }), "{error}");
        fs::write(place.at("file"), "").unwrap();
        let error = prepare(&place.at("file"), &place.at("gateway")).unwrap_err();
        assert!(matches!(error, HomeError::NotAFolder { .. }), "{error}");
    }
}
