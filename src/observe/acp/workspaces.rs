//! The folders in which agents of a state directory work, and where acpx keeps its records.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::{Gap, Source, UnixMillis};
use crate::observe::files::{Gated, is_gone, stamp};
use crate::observe::locate::{Install, STATE_DIR, same_place};

/// Most names in a state directory that are looked at.
const NAMES_MAX: usize = 100_000;

/// Most workspaces. A gateway has one for each agent.
const WORKSPACES_MAX: usize = 1000;

/// How long a listing is believed although its folder looks unchanged: a link in it may lead
/// elsewhere by now.
pub(super) const LISTING_LASTS: Duration = Duration::from_secs(300);

/// What was found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Workspaces {
    /// `workspace` and `workspace-*` in the state directory, after symlinks. What the
    /// configuration names elsewhere is not among them: it may be anything, a home directory too.
    pub inside: Vec<PathBuf>,
    /// Where records may be, there or not, sorted.
    pub record_folders: Vec<RecordFolder>,
    /// What could not be looked at.
    pub gaps: Vec<Gap>,
}

/// A folder that acpx keeps session records in.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct RecordFolder {
    /// The folder.
    pub path: PathBuf,
    /// The folder that it must lie in after symlinks: the state directory, or the one that the
    /// configuration names.
    pub base: PathBuf,
}

/// The last listing of a state directory.
#[derive(Debug, Default)]
pub struct WorkspaceReader {
    kept: Option<(UnixMillis, Gated<Listing>)>,
}

#[derive(Clone, Debug, Default)]
struct Listing {
    /// Real paths.
    inside: Vec<PathBuf>,
    /// Links that lead out of the state directory.
    outside: Vec<PathBuf>,
    is_cut: bool,
}

impl WorkspaceReader {
    /// Finds the workspaces of `install` at `now`: those in the state directory, the default one,
    /// and those that the configuration names (2026.4.15 to 2026.7.1).
    ///
    /// A link out of the state directory is followed only if the configuration names it; else it
    /// is a gap if there are records behind it.
    pub fn look(&mut self, install: &Install, now: UnixMillis) -> Workspaces {
        let gap = |path: &Path, reason: String| Gap {
            source: Source::Records,
            path: path.to_owned(),
            reason,
        };
        let config = &install.config_path;
        let problems = install.config.workspaces.problems.iter();
        let mut gaps: Vec<_> = problems.map(|problem| gap(config, problem.clone())).collect();
        let listing = self.list(&install.state_dir, now).unwrap_or_else(|reason| {
            gaps.push(gap(&install.state_dir, reason));
            Listing::default()
        });
        if listing.is_cut {
            gaps.push(gap(&install.state_dir, "too many names, or workspaces".to_owned()));
        }
        let named = named(install);
        let unnamed = listing.outside.iter().filter(|path| !named.contains(path));
        let hidden = unnamed.filter(|path| records_in(path).exists());
        gaps.extend(hidden.map(|path| {
            let reason = "a link out of the state directory, which the configuration does not name";
            gap(path, reason.to_owned())
        }));
        let folder = |path: PathBuf, base: &Path| RecordFolder { path, base: base.to_owned() };
        let inside = listing.inside.iter().map(|at| folder(records_in(at), &install.state_dir));
        let outside = named.iter().map(|at| folder(records_in(at), at));
        let configured = install.config.workspaces.acpx_state_dir.as_deref();
        let configured = configured.map(|text| install.resolve_path(text));
        let configured = configured.iter().map(|at| folder(at.join("sessions"), at));
        let mut record_folders: Vec<_> = inside.chain(outside).chain(configured).collect();
        record_folders.sort();
        record_folders.dedup_by(|a, b| a.path == b.path);
        Workspaces { inside: listing.inside, record_folders, gaps }
    }

    fn list(&mut self, state_dir: &Path, now: UnixMillis) -> Result<Listing, String> {
        let found = fs::metadata(state_dir).map_err(|error| error.to_string())?;
        // Before the listing: what changes the folder later then differs from this stamp.
        let stamp = stamp(&found);
        if let Some((at, kept)) = &self.kept
            && kept.is_current(stamp)
            && now >= *at
            && now.since(*at) < LISTING_LASTS
        {
            return Ok(kept.value.clone());
        }
        self.kept = None;
        let listing = list(state_dir).map_err(|error| error.to_string())?;
        self.kept = Some((now, Gated::new(stamp, now, listing.clone())));
        Ok(listing)
    }
}

fn list(state_dir: &Path) -> std::io::Result<Listing> {
    let mut listing = Listing::default();
    for (count, entry) in fs::read_dir(state_dir)?.enumerate() {
        let entry = entry?;
        if count >= NAMES_MAX || listing.inside.len() >= WORKSPACES_MAX {
            listing.is_cut = true;
            break;
        }
        if !is_workspace(&entry.file_name()) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            listing.inside.push(entry.path());
        } else if kind.is_symlink() {
            match fs::canonicalize(entry.path()) {
                Ok(real) if !real.is_dir() => {}
                Ok(real) if is_inside(&real, state_dir)? => listing.inside.push(real),
                Ok(_) => listing.outside.push(entry.path()),
                Err(error) if is_gone(&error) => {}
                // A loop of links leads nowhere.
                Err(_) => listing.outside.push(entry.path()),
            }
        }
    }
    listing.inside.sort();
    listing.inside.dedup();
    Ok(listing)
}

/// Below the state directory, but not the state directory itself: everything is in that.
fn is_inside(real: &Path, state_dir: &Path) -> std::io::Result<bool> {
    let state_dir = fs::canonicalize(state_dir)?;
    Ok(real.starts_with(&state_dir) && real != state_dir)
}

fn is_workspace(name: &OsStr) -> bool {
    let rest = name.as_bytes().strip_prefix(b"workspace");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"-"))
}

fn records_in(workspace: &Path) -> PathBuf {
    workspace.join("state/sessions")
}

/// Returns the workspaces outside of the state directory that the gateway uses by default, or
/// that its configuration names, and those inside that are named.
fn named(install: &Install) -> Vec<PathBuf> {
    let config = &install.config.workspaces;
    let default = config.default.as_deref().map(|text| install.resolve_path(text));
    let shared = default.iter().flat_map(|folder| {
        install.config.agents.iter().map(|agent| folder.join(agent)).chain([folder.clone()])
    });
    let own = config.of_agents.iter().map(|text| install.resolve_path(text));
    let mut all: Vec<_> = shared.chain(own).chain(default_outside(install)).collect();
    all.sort();
    all.dedup();
    all
}

/// The default workspace lies in `~/.openclaw` even where that is not the state directory
/// (2026.4.15 to 2026.7.1).
fn default_outside(install: &Install) -> Option<PathBuf> {
    let folder = install.home.join(STATE_DIR);
    let name = match &install.profile {
        Some(profile) => format!("workspace-{profile}"),
        None => "workspace".to_owned(),
    };
    let is_inside = folder == install.given_dir || same_place(&folder, &install.state_dir);
    (!is_inside).then(|| folder.join(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;
    use crate::observe::locate::{Request, locate};

    struct Home(TempDir);

    impl Home {
        /// A home with these folders and a state directory `.openclaw`.
        fn new(folders: &[&str]) -> Home {
            let home = Home(tempfile::tempdir().unwrap());
            for folder in folders.iter().chain(&[".openclaw"]) {
                fs::create_dir_all(home.path(folder)).unwrap();
            }
            home
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }

        fn configure(&self, config: &str) {
            fs::write(self.path(".openclaw/openclaw.json"), config).unwrap();
        }

        fn look(&self, state_dir: &str) -> Workspaces {
            let home = self.path("").to_str().unwrap().to_owned();
            let state_dir = self.path(state_dir).to_str().unwrap().to_owned();
            let env = |name: &str| match name {
                "HOME" => Some(home.clone()),
                "OPENCLAW_STATE_DIR" => Some(state_dir.clone()),
                _ => None,
            };
            let install = locate(&Request { state_dir: None, env: &env }).unwrap();
            WorkspaceReader::default().look(&install, UnixMillis(0))
        }

        /// Compares workspaces, folders of records, and paths of gaps, below the home directory.
        #[track_caller]
        fn check(&self, state_dir: &str, inside: &[&str], records: &[&str], gaps: &[&str]) {
            let found = self.look(state_dir);
            let paths = |names: &[&str]| names.iter().map(|name| self.path(name)).collect();
            let want: Vec<PathBuf> = paths(inside);
            assert_eq!(found.inside, want);
            let want: Vec<PathBuf> = paths(records);
            let at: Vec<_> = found.record_folders.into_iter().map(|folder| folder.path).collect();
            assert_eq!(at, want);
            let want: Vec<PathBuf> = paths(gaps);
            let at: Vec<_> = found.gaps.into_iter().map(|gap| gap.path).collect();
            assert_eq!(at, want);
        }
    }

    #[test]
    fn every_workspace_in_the_state_directory_counts() {
        let home = Home::new(&[
            ".openclaw/workspace",
            ".openclaw/workspace-bob",
            ".openclaw/workspaces",
            ".openclaw/my-workspace",
        ]);
        fs::write(home.path(".openclaw/workspace-file"), "").unwrap();
        home.check(
            ".openclaw",
            &[".openclaw/workspace", ".openclaw/workspace-bob"],
            &[".openclaw/workspace/state/sessions", ".openclaw/workspace-bob/state/sessions"],
            &[],
        );
    }

    #[test]
    fn the_default_workspace_of_another_state_directory_is_in_the_home_directory() {
        let home = Home::new(&["s"]);
        home.check("s", &[], &[".openclaw/workspace/state/sessions"], &[]);
        let home = Home::new(&[".openclaw-work"]);
        home.check(".openclaw-work", &[], &[".openclaw/workspace-work/state/sessions"], &[]);
    }

    #[test]
    fn what_the_configuration_names_holds_records_but_is_no_workspace_inside() {
        let home = Home::new(&[]);
        home.configure(
            "{agents: {defaults: {workspace: '~/w'}, list: [{id: 'a', workspace: '~/b/'}]},
              plugins: {entries: {acpx: {config: {stateDir: '~/x'}}}}}",
        );
        let records = ["b/state/sessions", "w/a/state/sessions", "w/state/sessions", "x/sessions"];
        home.check(".openclaw", &[], &records, &[]);
        let bases: Vec<_> =
            home.look(".openclaw").record_folders.into_iter().map(|folder| folder.base).collect();
        assert_eq!(bases, ["b", "w/a", "w", "x"].map(|name| home.path(name)));
    }

    #[test]
    fn a_link_out_of_the_state_directory_is_followed_only_if_it_is_named() {
        let home = Home::new(&["out/state/sessions", "empty"]);
        let link = home.path(".openclaw/workspace");
        symlink(home.path("out"), &link).unwrap();
        symlink(home.path("empty"), home.path(".openclaw/workspace-a")).unwrap();
        symlink("workspace-loop", home.path(".openclaw/workspace-loop")).unwrap();
        symlink("nowhere", home.path(".openclaw/workspace-gone")).unwrap();
        symlink(".", home.path(".openclaw/workspace-self")).unwrap();
        home.check(".openclaw", &[], &[], &[".openclaw/workspace"]);
        home.configure("{agents: {defaults: {workspace: '~/.openclaw/workspace'}}}");
        home.check(".openclaw", &[], &[".openclaw/workspace/state/sessions"], &[]);
    }

    #[test]
    fn a_link_within_the_state_directory_is_followed() {
        let home = Home::new(&[".openclaw/deep/w"]);
        symlink("deep/w", home.path(".openclaw/workspace")).unwrap();
        let inside = [".openclaw/deep/w"];
        home.check(".openclaw", &inside, &[".openclaw/deep/w/state/sessions"], &[]);
    }

    #[test]
    fn a_workspace_that_cannot_be_told_is_a_gap() {
        let home = Home::new(&[]);
        home.configure("{plugins: {entries: {acpx: {config: {stateDir: '${NONE}'}}}}}");
        home.check(".openclaw", &[], &[], &[".openclaw/openclaw.json"]);
    }

    #[test]
    fn a_new_workspace_is_found() {
        let home = Home::new(&[]);
        let path = home.path(".openclaw").to_str().unwrap().to_owned();
        let env = |name: &str| (name == "OPENCLAW_STATE_DIR").then(|| path.clone());
        let install = locate(&Request { state_dir: None, env: &env }).unwrap();
        let (mut reader, late) = (WorkspaceReader::default(), UnixMillis(i64::MAX));
        assert!(reader.look(&install, late).inside.is_empty());
        fs::create_dir(home.path(".openclaw/workspace")).unwrap();
        assert_eq!(reader.look(&install, late).inside.len(), 1);
    }
}
