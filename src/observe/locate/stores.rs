//! The session stores of a state directory.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Install;
use super::config::normalize_agent;
use crate::model::{Gap, Source};

/// Most agent folders that are looked at; more than that is no agent list.
const AGENTS_MAX: usize = 10_000;

/// A session store (`sessions.json`) and the agent it belongs to.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct StoreRef {
    /// The agent id, as it appears in session keys. With a `session.store` that all agents
    /// share, the first configured one: there the keys tell.
    pub agent: String,
    /// The file, or a symlink, which its reader judges.
    pub path: PathBuf,
}

/// Returns the session stores that exist, sorted by agent: one in each of `folders`, which are
/// those of [`session_folders`], and the ones of `session.store` or of the configured agents.
///
/// A folder that is a symlink out of the `agents` folder is not followed, as the gateway does not
/// (2026.4.15), but it is a gap.
#[must_use]
pub fn stores(install: &Install, folders: &[(String, PathBuf)]) -> (Vec<StoreRef>, Vec<Gap>) {
    let mut found = BTreeSet::new();
    let mut gaps = Vec::new();
    for (agent, folder) in folders {
        add(agent.clone(), folder.join("sessions.json"), &mut found, &mut gaps);
    }
    for (agent, path) in configured(install) {
        // A shared store is one store, whoever is named first.
        if !found.iter().any(|store: &StoreRef| store.path == path) {
            add(agent, path, &mut found, &mut gaps);
        }
    }
    (found.into_iter().collect(), gaps)
}

/// Returns the folders that may hold transcripts and their locks: `agents/*/sessions` and the
/// folders of configured stores, each with its agent, sorted and each once.
///
/// A folder that is a symlink out of the `agents` folder is not followed, as the gateway does not
/// (2026.4.15), but it is a gap. The gateway itself cleans locks in `agents/*/sessions` alone.
#[must_use]
pub fn session_folders(install: &Install) -> (Vec<(String, PathBuf)>, Vec<Gap>) {
    let agents = install.state_dir.join("agents");
    let mut gaps = Vec::new();
    let mut folders = BTreeSet::new();
    match fs::read_dir(&agents) {
        Ok(entries) => {
            for entry in entries.take(AGENTS_MAX) {
                match entry {
                    Ok(entry) => agent_folder(&entry, &agents, &mut folders, &mut gaps),
                    Err(error) => gaps.push(gap(&agents, &error)),
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => gaps.push(gap(&agents, &error)),
    }
    for (agent, store) in configured(install) {
        let folder = store.parent().map(Path::to_owned).unwrap_or_default();
        if folder.is_dir() && !folders.iter().any(|(_, known)| *known == folder) {
            folders.insert((agent, folder));
        }
    }
    (folders.into_iter().collect(), gaps)
}

fn agent_folder(
    entry: &fs::DirEntry,
    agents: &Path,
    folders: &mut BTreeSet<(String, PathBuf)>,
    gaps: &mut Vec<Gap>,
) {
    match entry.file_type() {
        Ok(kind) if kind.is_dir() => {}
        Ok(kind) if kind.is_symlink() => return gaps.push(gap(&entry.path(), &"a symlink")),
        Ok(_) => return,
        Err(error) => return gaps.push(gap(&entry.path(), &error)),
    }
    let sessions = entry.path().join("sessions");
    match is_inside(&sessions, agents) {
        Ok(true) => {
            let agent = entry.file_name().to_string_lossy().into_owned();
            folders.insert((normalize_agent(&agent), sessions));
        }
        Ok(false) => gaps.push(gap(&sessions, &"a symlink out of the state directory")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => gaps.push(gap(&sessions, &error)),
    }
}

/// Returns true unless `sessions` is a link out of `agents`; the folder it is in is no link. Only
/// links are resolved, for that costs a system call for each part of a path.
fn is_inside(sessions: &Path, agents: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(sessions)?.is_symlink() {
        return Ok(true);
    }
    Ok(fs::canonicalize(sessions)?.starts_with(fs::canonicalize(agents)?))
}

/// The stores that `session.store` names, one per configured agent.
fn configured(install: &Install) -> Vec<(String, PathBuf)> {
    let Some(template) = &install.config.session_store else { return Vec::new() };
    let main = vec!["main".to_owned()];
    let agents = if install.config.agents.is_empty() { &main } else { &install.config.agents };
    let mut stores: Vec<(String, PathBuf)> = Vec::new();
    for agent in agents {
        let path = install.resolve_path(&template.replace("{agentId}", agent));
        if !stores.iter().any(|(_, known)| *known == path) {
            stores.push((agent.clone(), path));
        }
    }
    stores
}

fn add(agent: String, path: PathBuf, found: &mut BTreeSet<StoreRef>, gaps: &mut Vec<Gap>) {
    match fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_file() || meta.is_symlink() => {
            found.insert(StoreRef { agent, path });
        }
        Ok(_) => gaps.push(gap(&path, &"not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => gaps.push(gap(&path, &error)),
    }
}

fn gap(path: &Path, reason: &dyn std::fmt::Display) -> Gap {
    Gap { source: Source::Sessions, path: path.to_owned(), reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::{Request, locate};
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new(config: &str, files: &[&str]) -> Home {
            let dir = tempfile::tempdir().unwrap();
            for file in files.iter().chain(&[".openclaw/x"]) {
                let path = dir.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "{}").unwrap();
            }
            fs::write(dir.path().join(".openclaw/openclaw.json"), config).unwrap();
            Home(dir)
        }

        fn install(&self) -> Install {
            let home = self.0.path().to_str().unwrap().to_owned();
            let env = |name: &str| (name == "HOME").then(|| home.clone());
            locate(&Request { state_dir: None, env: &env }).unwrap()
        }

        fn stores(&self) -> (Vec<(String, String)>, usize) {
            let install = self.install();
            let (folders, mut gaps) = session_folders(&install);
            let (stores, more) = stores(&install, &folders);
            gaps.extend(more);
            let name =
                |path: &Path| path.strip_prefix(self.0.path()).unwrap().display().to_string();
            (stores.into_iter().map(|s| (s.agent, name(&s.path))).collect(), gaps.len())
        }
    }

    fn pair(agent: &str, path: &str) -> (String, String) {
        (agent.to_owned(), path.to_owned())
    }

    #[test]
    fn every_agent_folder_counts_configured_or_not() {
        let main = ".openclaw/agents/main/sessions/sessions.json";
        let claude = ".openclaw/agents/claude/sessions/sessions.json";
        let home = Home::new("{}", &[main, claude, ".openclaw/agents/idle/agent/models.json"]);
        assert_eq!(home.stores(), (vec![pair("claude", claude), pair("main", main)], 0));
    }

    #[test]
    fn a_configured_store_is_found_beside_the_folders() {
        let main = ".openclaw/agents/main/sessions/sessions.json";
        let config =
            "{session: {store: '~/s/{agentId}/x.json'}, agents: {list: [{id: 'a'}, {id: 'b'}]}}";
        let home = Home::new(config, &[main, "s/a/x.json"]);
        assert_eq!(home.stores(), (vec![pair("a", "s/a/x.json"), pair("main", main)], 0));
        let home = Home::new("{session: {store: '~/s.json'}}", &["s.json"]);
        assert_eq!(home.stores(), (vec![pair("main", "s.json")], 0));
        assert_eq!(session_folders(&home.install()).0.len(), 1);
    }

    #[test]
    fn symlinks_out_of_the_state_directory_are_gaps() {
        let home = Home::new("{}", &["out/sessions/sessions.json", ".openclaw/agents/b/x"]);
        let agents = home.0.path().join(".openclaw/agents");
        std::os::unix::fs::symlink(home.0.path().join("out"), agents.join("a")).unwrap();
        std::os::unix::fs::symlink(home.0.path().join("out/sessions"), agents.join("b/sessions"))
            .unwrap();
        assert_eq!(home.stores(), (vec![], 2));
    }

    #[test]
    fn a_link_within_the_agents_folder_is_followed() {
        let home = Home::new("{}", &[".openclaw/agents/a/sessions/sessions.json"]);
        let agents = home.0.path().join(".openclaw/agents");
        fs::create_dir(agents.join("b")).unwrap();
        std::os::unix::fs::symlink("../a/sessions", agents.join("b/sessions")).unwrap();
        let a = ".openclaw/agents/a/sessions/sessions.json";
        let b = ".openclaw/agents/b/sessions/sessions.json";
        assert_eq!(home.stores(), (vec![pair("a", a), pair("b", b)], 0));
    }

    #[test]
    fn a_symlinked_store_is_left_to_its_reader() {
        let home = Home::new("{}", &["out.json", ".openclaw/agents/a/sessions/x"]);
        let store = home.0.path().join(".openclaw/agents/a/sessions/sessions.json");
        std::os::unix::fs::symlink(home.0.path().join("out.json"), store).unwrap();
        let want = pair("a", ".openclaw/agents/a/sessions/sessions.json");
        assert_eq!(home.stores(), (vec![want], 0));
    }
}
