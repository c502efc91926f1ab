//! Where gateway locks may be.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Scene;
use super::claim::{Claims, lock_name};
use crate::observe::byte_lock;
use crate::observe::locate::variable;
use crate::observe::process::Process;

/// Folders of a temp directory in the order of Node's `os.tmpdir`.
const TEMP_VARIABLES: [&str; 3] = ["TMPDIR", "TMP", "TEMP"];
/// The byte range that a live gateway of 2026.9.6 holds: the lock bytes of SQLite.
const STATE_LOCK_RANGE: (i64, i64) = (0x4000_0000, 512);

/// Reads the gateway locks in every candidate folder; `gateways` are the processes that may
/// be one.
pub(super) fn search(scene: &Scene<'_>, gateways: &[&Process]) -> Claims {
    let mut claims = Claims::default();
    for dir in folders(scene, gateways) {
        claims.search(&dir);
    }
    claims
}

/// Returns the users whose locks count: a stranger can put files into a shared temp directory.
pub(super) fn owners(scene: &Scene<'_>) -> BTreeSet<u32> {
    let owner = fs::metadata(&scene.install.state_dir).map(|meta| meta.uid());
    owner.into_iter().chain([0, scene.host.euid]).collect()
}

/// Returns true if the process runs as a user who cannot write to the state directory, so that
/// it cannot be its gateway.
pub(super) fn is_outsider(scene: &Scene<'_>, process: &Process) -> bool {
    const WRITE_BY_OTHERS: u32 = 0o022;
    let private =
        fs::metadata(&scene.install.state_dir).is_ok_and(|meta| meta.mode() & WRITE_BY_OTHERS == 0);
    scene.table.is_live() && private && !owners(scene).contains(&process.uid)
}

/// Returns the torn lock files that may be this state directory's.
pub(super) fn torn(scene: &Scene<'_>, claims: &Claims) -> Vec<String> {
    let install = scene.install;
    let mut names = vec![lock_name(&install.config_path), "gateway.state.lock".to_owned()];
    names.extend(install.config_path.canonicalize().ok().map(|real| lock_name(&real)));
    claims
        .torn
        .iter()
        .filter(|path| names.iter().any(|name| path.ends_with(name)))
        .map(|path| format!("`{}` has no readable payload", path.display()))
        .collect()
}

/// Returns who else holds the state lock of 2026.9.6, in words. Nobody in `family` and no
/// process that took it for another purpose counts.
pub(super) fn state_lock(
    scene: &Scene<'_>,
    claims: &Claims,
    family: &BTreeSet<i32>,
) -> Option<String> {
    if !scene.table.is_live() {
        return None;
    }
    let (start, len) = STATE_LOCK_RANGE;
    owners(scene).into_iter().find_map(|uid| {
        let path = in_state_dir(scene, uid).join("gateway.state.lock.sqlite");
        let pid = byte_lock::holder(&path, start, len).ok().flatten()?;
        let other_purpose = claims.found.iter().any(|claim| claim.pid == pid && !claim.is_gateway);
        let known = family.contains(&pid) || other_purpose;
        // The kernel says 0 for a holder in another pid namespace.
        (!known).then(|| format!("pid {pid} (0: not of this host) holds `{}`", path.display()))
    })
}

fn folders(scene: &Scene<'_>, gateways: &[&Process]) -> BTreeSet<PathBuf> {
    // Their own locks may exclude the gateways of others.
    let uids: BTreeSet<u32> =
        owners(scene).into_iter().chain(gateways.iter().map(|process| process.uid)).collect();
    let mut folders: BTreeSet<PathBuf> = uids.iter().map(|&uid| in_state_dir(scene, uid)).collect();
    for base in temp_dirs(scene, gateways) {
        if scene.table.is_live() {
            folders.extend(uids.iter().map(|uid| base.join(format!("openclaw-{uid}"))));
        } else {
            folders.extend(captured(&base));
        }
    }
    folders
}

fn in_state_dir(scene: &Scene<'_>, uid: u32) -> PathBuf {
    scene.install.state_dir.join("tmp").join(format!("openclaw-{uid}"))
}

/// Temp directories: ours, the usual ones, and those of every process that may be a gateway.
///
/// A captured table belongs to another host, so there it is only the `TMPDIR` that was given.
fn temp_dirs(scene: &Scene<'_>, gateways: &[&Process]) -> BTreeSet<PathBuf> {
    let ours = TEMP_VARIABLES.iter().filter_map(|name| (scene.env)(name));
    let mut dirs: BTreeSet<PathBuf> = ours.map(PathBuf::from).collect();
    if scene.table.is_live() {
        dirs.extend([std::env::temp_dir(), "/tmp".into(), "/var/tmp".into()]);
        for process in gateways {
            let environ = scene.table.environ(process.id.pid).unwrap_or_default();
            let theirs = TEMP_VARIABLES.iter().filter_map(|name| variable(&environ, name));
            let theirs: Vec<PathBuf> = theirs.map(PathBuf::from).chain(["/tmp".into()]).collect();
            if let Some(root) = scene.table.private_root(process.id.pid) {
                let inside = |dir: &PathBuf| Some(root.join(dir.strip_prefix("/").ok()?));
                dirs.extend(theirs.iter().filter_map(inside));
            }
            dirs.extend(theirs);
        }
    }
    dirs.retain(|dir| dir.is_absolute());
    dirs
}

/// Every lock folder of a captured temp directory: the user of the capture is not ours.
fn captured(base: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("openclaw-"))
        .map(|entry| entry.path())
        .collect()
}
