//! Whether a process works on the watched state directory.

use std::path::Path;

use super::claim::Claim;
use super::processes::Processes;
use super::role::Role;
use crate::observe::locate::{
    Env, Install, LEGACY_STATE_DIRS, Naming, STATE_DIR, Surroundings, Watched, same_place, tail,
    variable,
};
use crate::observe::process::Process;

/// Whether a process works on the watched state directory.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Relation {
    /// Its environment or its lock says so.
    Ours,
    /// Its environment leaves the choice to the default, which is the watched directory. It
    /// may have been started with `--profile`, which cannot be seen any more.
    Default,
    /// It provably uses another one.
    Other,
    /// It cannot be told, and why.
    Possible(String),
}

/// Returns the relation of `process` to `install`. `claims` are all lock files that were found.
pub(super) fn relation(
    install: &Install,
    table: &dyn Processes,
    process: &Process,
    role: &Role,
    claims: &[Claim],
) -> Relation {
    let pid = process.id.pid;
    let place = Place(Watched { install, is_live: table.is_live() });
    let own: Vec<&Claim> = claims
        .iter()
        .filter(|claim| claim.pid == pid && claim.start_ticks == Some(process.id.start_ticks))
        .collect();
    if own.iter().any(|claim| place.claims(claim)) {
        return Relation::Ours;
    }
    if own.iter().any(|claim| claim.state_dir.is_some()) {
        return Relation::Other;
    }
    if table.is_elsewhere(pid) {
        return Relation::Possible(format!("pid {pid} runs in another namespace"));
    }
    match table.environ(pid) {
        Ok(environ) => {
            let env = |name: &str| variable(&environ, name);
            place.by_environ(&env, role, own.first().map(|claim| claim.config_path.as_path()), pid)
        }
        Err(_) if !own.is_empty() => Relation::Other,
        Err(error) => Relation::Possible(format!("environment of pid {pid}: {error}")),
    }
}

/// Returns true if a lock is the watched directory's: it names its configuration, or (2026.9.6)
/// itself.
///
/// The paths of a captured table belong to another host: there the last two components of
/// the configuration's path decide, such as `.openclaw/openclaw.json`.
pub(super) fn claims(install: &Install, live: bool, claim: &Claim) -> bool {
    Place(Watched { install, is_live: live }).claims(claim)
}

struct Place<'a>(Watched<'a>);

impl Place<'_> {
    fn claims(&self, claim: &Claim) -> bool {
        let config = &self.0.install.config_path;
        let by_config = if self.0.is_live {
            same_place(&claim.config_path, config)
        } else {
            tail(&claim.config_path, 2) == tail(config, 2)
        };
        by_config || claim.state_dir.as_deref().is_some_and(|dir| self.0.is(dir))
    }

    fn certain(&self, dir: &Path) -> Relation {
        if self.0.is(dir) { Relation::Ours } else { Relation::Other }
    }

    /// `locked` is the other configuration for which the process holds a lock.
    fn by_environ(&self, env: Env<'_>, role: &Role, locked: Option<&Path>, pid: i32) -> Relation {
        let home = match Naming::of(env) {
            Naming::Directory(dir) => return self.certain(&dir),
            Naming::Home(home) => home,
            Naming::Relative => {
                return Relation::Possible(format!(
                    "pid {pid} names its folders by relative paths"
                ));
            }
            Naming::Nothing => {
                return Relation::Possible(format!("pid {pid} has no home in its environment"));
            }
        };
        if let Role::GatewayStart { profile: Some(profile) } = role {
            let suffix = if profile == "default" { String::new() } else { format!("-{profile}") };
            return self.certain(&home.join(format!("{STATE_DIR}{suffix}")));
        }
        // No variable names a configuration, so the one in the lock lies in the state directory,
        // whatever the profile.
        let paths = Surroundings { env, cwd: "/".into(), passwd_home: None };
        if let Some(dir) = locked.and_then(Path::parent)
            && paths.explicit_config().is_none()
        {
            return self.certain(dir);
        }
        self.by_home(&home, pid)
    }

    fn by_home(&self, home: &Path, pid: i32) -> Relation {
        let name = self.0.install.given_dir.file_name().map(|name| name.to_string_lossy());
        let name = name.unwrap_or_default();
        if !self.0.is(&home.join(name.as_ref())) {
            return Relation::Other;
        }
        match name.strip_prefix(STATE_DIR) {
            Some(profile) if profile.starts_with('-') => {
                Relation::Possible(format!("pid {pid} may have been started with --profile"))
            }
            Some("") => Relation::Default,
            _ if LEGACY_STATE_DIRS.contains(&name.as_ref()) => Relation::Default,
            _ => Relation::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeTable, install};
    use super::*;

    const HOME: &str = "/nowhere/h";

    /// `state_dir` is ours; the process has `vars`, and a lock for `lock` if that is not empty.
    #[track_caller]
    fn check(state_dir: &str, vars: &[(&str, &str)], lock: &str, want: &Relation) {
        let install = install(state_dir);
        let table = FakeTable::new().title(7, "openclaw-gateway").environ(7, vars);
        let claims: Vec<Claim> = if lock.is_empty() { vec![] } else { vec![table.claim(7, lock)] };
        let process = table.get(7).unwrap();
        let got = relation(&install, &table, process, &Role::GatewayTitle, &claims);
        match (&got, want) {
            (Relation::Possible(_), Relation::Possible(_)) => {}
            _ => assert_eq!(got, *want, "{vars:?} {lock}"),
        }
    }

    fn possible() -> Relation {
        Relation::Possible(String::new())
    }

    #[test]
    fn an_explicit_state_directory_decides() {
        let home = ("HOME", HOME);
        let ours = "/nowhere/h/.openclaw";
        check(ours, &[home, ("OPENCLAW_STATE_DIR", "~/.openclaw")], "", &Relation::Ours);
        check(ours, &[home, ("OPENCLAW_STATE_DIR", "/srv/x")], "", &Relation::Other);
        check(ours, &[home, ("OPENCLAW_STATE_DIR", "x")], "", &possible());
        // Even where its configuration, and so its lock, lies elsewhere.
        let vars = [home, ("OPENCLAW_STATE_DIR", ours)];
        check(ours, &vars, "/srv/openclaw.json", &Relation::Ours);
    }

    #[test]
    fn a_default_may_hide_a_profile() {
        let home = [("HOME", HOME)];
        check("/nowhere/h/.openclaw", &home, "", &Relation::Default);
        check("/nowhere/h/.openclaw-work", &home, "", &possible());
        check("/nowhere/h/.openclaw-work", &[("HOME", "/nowhere/other")], "", &Relation::Other);
        check("/srv/state", &home, "", &Relation::Other);
        check("/nowhere/h/.openclaw", &[("PATH", "/bin")], "", &possible());
        let lock = "/nowhere/h/.openclaw-work/openclaw.json";
        check("/nowhere/h/.openclaw", &home, lock, &Relation::Other);
        check("/nowhere/h/.openclaw-work", &home, lock, &Relation::Ours);
    }

    #[test]
    fn without_its_environment_a_process_is_excluded_by_its_lock_alone() {
        let install = install("/nowhere/h/.openclaw");
        let table = FakeTable::new().title(7, "openclaw-gateway");
        let process = table.get(7).unwrap();
        let of =
            |claims: &[Claim]| relation(&install, &table, process, &Role::GatewayTitle, claims);
        assert!(matches!(of(&[]), Relation::Possible(_)));
        assert_eq!(of(&[table.claim(7, "/nowhere/h/.openclaw/openclaw.json")]), Relation::Ours);
        assert_eq!(of(&[table.claim(7, "/srv/openclaw.json")]), Relation::Other);
        // The lock of an earlier process with the same pid says nothing about this one.
        let mut stale = table.claim(7, "/srv/openclaw.json");
        stale.start_ticks = Some(1);
        assert!(matches!(of(&[stale]), Relation::Possible(_)));
    }

    #[test]
    fn the_paths_of_another_namespace_exclude_nobody() {
        let install = install("/nowhere/h/.openclaw");
        let vars = [("HOME", "/home/node")];
        let table = FakeTable::new().title(7, "openclaw-gateway").environ(7, &vars).elsewhere(7);
        let process = table.get(7).unwrap();
        let got = relation(&install, &table, process, &Role::GatewayTitle, &[]);
        assert!(matches!(got, Relation::Possible(_)));
    }

    #[test]
    fn a_captured_table_is_matched_by_the_last_names() {
        let install = install("/tmp/unpacked/home/.openclaw");
        let table = FakeTable::new().captured().title(7, "openclaw-gateway");
        assert!(claims(&install, false, &table.claim(7, "/home/user/.openclaw/openclaw.json")));
        assert!(!claims(&install, true, &table.claim(7, "/home/user/.openclaw/openclaw.json")));
        let profile = table.claim(7, "/home/user/.openclaw-work/openclaw.json");
        assert!(!claims(&install, false, &profile));
    }
}
