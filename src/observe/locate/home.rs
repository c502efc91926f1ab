//! Where a gateway with a given environment keeps its state and its configuration.
//!
//! Source: the path resolution of 2026.3.24, 2026.4.15 and 2026.9.6, which agree but for the
//! legacy folders.

use std::path::{Path, PathBuf};

use super::include::normalize;

/// An environment variable by name.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Folder of the state directory in the home directory.
pub(in crate::observe) const STATE_DIR: &str = ".openclaw";
/// Earlier names, in the order they are tried. `.moldbot` (spelled so) is known to 2026.3.24
/// only; later gateways would not find it, so it comes last.
pub(in crate::observe) const LEGACY_STATE_DIRS: [&str; 2] = [".clawdbot", ".moldbot"];
const CONFIG: &str = "openclaw.json";
const LEGACY_CONFIG: &str = "clawdbot.json";

/// What paths are made of: an environment, a working directory, and the home directory of the
/// user database for when the environment has none.
#[derive(Clone)]
pub(in crate::observe) struct Surroundings<'a> {
    pub env: Env<'a>,
    pub cwd: PathBuf,
    pub passwd_home: Option<PathBuf>,
}

impl Surroundings<'_> {
    /// Returns the home directory: `OPENCLAW_HOME`, `HOME`, `USERPROFILE`, the user database,
    /// the working directory.
    pub(in crate::observe) fn home(&self) -> PathBuf {
        let home = match self.named_home() {
            Some(text) => expand(&text, || self.os_home()),
            None => self.os_home(),
        };
        self.absolute(&home)
    }

    /// Returns the state directory that the environment names, `None` if it leaves the choice
    /// to the default.
    pub(in crate::observe) fn explicit_state_dir(&self) -> Option<PathBuf> {
        self.trimmed("OPENCLAW_STATE_DIR").map(|text| self.resolve(&text))
    }

    /// Returns the state directory, existing or not.
    pub(super) fn state_dir(&self) -> PathBuf {
        self.explicit_state_dir().unwrap_or_else(|| {
            let home = self.home();
            let legacy = LEGACY_STATE_DIRS.iter().map(|name| home.join(name));
            std::iter::once(home.join(STATE_DIR))
                .chain(legacy)
                .find(|dir| dir.exists())
                .unwrap_or_else(|| home.join(STATE_DIR))
        })
    }

    /// Returns the configuration that the environment names.
    pub(in crate::observe) fn explicit_config(&self) -> Option<PathBuf> {
        self.trimmed("OPENCLAW_CONFIG_PATH").map(|text| self.resolve(&text))
    }

    /// Returns the folders that `$include` may reach besides the configuration's own.
    pub(super) fn include_roots(&self) -> Vec<PathBuf> {
        let text = self.trimmed("OPENCLAW_INCLUDE_ROOTS").unwrap_or_default();
        text.split(':')
            .map(str::trim)
            .filter(|root| !root.is_empty())
            .map(|r| self.resolve(r))
            .collect()
    }

    /// Resolves a path as the gateway does: `~` is the home directory, a relative path begins
    /// at the working directory.
    pub(super) fn resolve(&self, text: &str) -> PathBuf {
        self.absolute(&expand(text.trim(), || self.home()))
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        normalize(&self.cwd.join(path))
    }

    /// Returns what `OPENCLAW_HOME` says.
    pub(super) fn named_home(&self) -> Option<String> {
        self.value("OPENCLAW_HOME")
    }

    /// Returns what `HOME`, or else `USERPROFILE`, says.
    pub(super) fn named_os_home(&self) -> Option<String> {
        self.value("HOME").or_else(|| self.value("USERPROFILE"))
    }

    fn os_home(&self) -> PathBuf {
        self.named_os_home()
            .map(PathBuf::from)
            .or_else(|| self.passwd_home.clone())
            .unwrap_or_else(|| self.cwd.clone())
    }

    /// A variable that is not blank.
    pub(in crate::observe) fn trimmed(&self, name: &str) -> Option<String> {
        (self.env)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A home variable: scripts that stringify nothing leave "undefined" or "null" in it.
    fn value(&self, name: &str) -> Option<String> {
        self.trimmed(name).filter(|text| text != "undefined" && text != "null")
    }
}

/// Returns the configuration in `state_dir`: the current name, else the legacy one if only that
/// exists.
pub(super) fn config_in(state_dir: &Path) -> PathBuf {
    let current = state_dir.join(CONFIG);
    let legacy = state_dir.join(LEGACY_CONFIG);
    if !current.exists() && legacy.exists() { legacy } else { current }
}

fn expand(text: &str, home: impl Fn() -> PathBuf) -> PathBuf {
    match text.strip_prefix('~') {
        Some("") => home(),
        Some(rest) => match rest.strip_prefix('/') {
            // Joining an absolute rest would replace the home directory.
            Some(rest) => home().join(rest.trim_start_matches('/')),
            None => PathBuf::from(text),
        },
        None => PathBuf::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(vars: &[(&str, &str)], want_home: &str, want_state: &str) {
        let env = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let paths = Surroundings {
            env: &env,
            cwd: "/here/now".into(),
            passwd_home: Some("/nowhere/passwd".into()),
        };
        assert_eq!(paths.home(), Path::new(want_home), "{vars:?}");
        assert_eq!(paths.state_dir(), Path::new(want_state), "{vars:?}");
    }

    #[test]
    fn home_and_state_follow_the_gateways_order() {
        check(&[], "/nowhere/passwd", "/nowhere/passwd/.openclaw");
        check(&[("HOME", "/h")], "/h", "/h/.openclaw");
        check(&[("HOME", " undefined ")], "/nowhere/passwd", "/nowhere/passwd/.openclaw");
        check(&[("HOME", "null"), ("USERPROFILE", "/u")], "/u", "/u/.openclaw");
        check(&[("HOME", "/h"), ("OPENCLAW_HOME", "~/x/")], "/h/x", "/h/x/.openclaw");
        check(&[("HOME", "/h"), ("OPENCLAW_HOME", "~")], "/h", "/h/.openclaw");
        check(
            &[("HOME", "/h"), ("OPENCLAW_HOME", "rel/../o")],
            "/here/now/o",
            "/here/now/o/.openclaw",
        );
        check(&[("HOME", "/h"), ("OPENCLAW_STATE_DIR", " ~/s/./t ")], "/h", "/h/s/t");
        check(&[("HOME", "/h"), ("OPENCLAW_STATE_DIR", ".")], "/h", "/here/now");
        check(&[("HOME", "/h"), ("OPENCLAW_STATE_DIR", "~other")], "/h", "/here/now/~other");
        check(&[("HOME", "/h"), ("OPENCLAW_PROFILE", "dev")], "/h", "/h/.openclaw");
    }

    #[test]
    fn legacy_names_count_only_where_the_new_one_is_absent() {
        let home = tempfile::tempdir().unwrap();
        let text = home.path().to_str().unwrap().to_owned();
        let env = |name: &str| (name == "HOME").then(|| text.clone());
        let paths = Surroundings { env: &env, cwd: "/".into(), passwd_home: None };
        for name in [".moldbot", ".clawdbot", ".openclaw"] {
            std::fs::create_dir(home.path().join(name)).unwrap();
            assert_eq!(paths.state_dir(), home.path().join(name));
        }
        let state = home.path().join(".openclaw");
        assert!(config_in(&state).ends_with("openclaw.json"));
        std::fs::write(state.join("clawdbot.json"), "{}").unwrap();
        assert!(config_in(&state).ends_with("clawdbot.json"));
        std::fs::write(state.join("openclaw.json"), "{}").unwrap();
        assert!(config_in(&state).ends_with("openclaw.json"));
    }
}
