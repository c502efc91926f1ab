//! Whether the environment of a process leads to the watched state directory.

use std::path::{Component, Path, PathBuf};

use super::Install;
use super::home::{Env, Surroundings};

/// The watched state directory, to be compared with what processes name.
///
/// The paths of a captured table belong to another host: there the last component decides, such
/// as `.openclaw`.
#[derive(Clone, Copy, Debug)]
pub(in crate::observe) struct Watched<'a> {
    pub(in crate::observe) install: &'a Install,
    /// Whether processes are those of the running kernel.
    pub(in crate::observe) is_live: bool,
}

impl Watched<'_> {
    /// Returns true if `dir` is the watched state directory, after symlinks.
    pub(in crate::observe) fn is(self, dir: &Path) -> bool {
        if self.is_live {
            same_place(dir, &self.install.state_dir)
        } else {
            tail(dir, 1) == tail(&self.install.given_dir, 1)
        }
    }

    /// Returns where a path of a process lies on this host.
    pub(in crate::observe) fn here(self, path: &Path) -> PathBuf {
        let mut below = path.components();
        let name = self.install.given_dir.file_name();
        if self.is_live || !below.any(|component| Some(component.as_os_str()) == name) {
            return path.to_owned();
        }
        self.install.state_dir.join(below)
    }
}

/// What the environment of a process says about its state directory.
///
/// Relative paths begin where the process was started, and that is not known.
#[derive(Debug, Eq, PartialEq)]
pub(in crate::observe) enum Naming {
    /// It names the directory itself.
    Directory(PathBuf),
    /// It leaves the choice to the default in this home directory.
    Home(PathBuf),
    /// It names folders by relative paths.
    Relative,
    /// It names no home directory, and needs one.
    Nothing,
}

impl Naming {
    /// Reads the environment of a process.
    pub(in crate::observe) fn of(env: Env<'_>) -> Naming {
        let paths = Surroundings { env, cwd: "/".into(), passwd_home: None };
        let state_dir = paths.trimmed("OPENCLAW_STATE_DIR");
        let named = [state_dir.clone(), paths.named_home(), paths.named_os_home()];
        if named.iter().flatten().any(|text| !text.starts_with('/') && !is_below_home(text)) {
            return Naming::Relative;
        }
        let below_home = |text: &Option<String>| text.as_deref().is_none_or(is_below_home);
        let needs_os_home = below_home(&state_dir) && below_home(&paths.named_home());
        if needs_os_home && paths.named_os_home().is_none() {
            return Naming::Nothing;
        }
        match paths.explicit_state_dir() {
            Some(dir) => Naming::Directory(dir),
            None => Naming::Home(paths.home()),
        }
    }
}

fn is_below_home(text: &str) -> bool {
    text == "~" || text.starts_with("~/")
}

/// Returns the value of a variable as text.
pub(in crate::observe) fn variable(environ: &[(Vec<u8>, Vec<u8>)], name: &str) -> Option<String> {
    let (_, value) = environ.iter().find(|(key, _)| key == name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// True if both paths lead to the same file or folder, or would if they existed.
pub(in crate::observe) fn same_place(a: &Path, b: &Path) -> bool {
    a == b || real(a) == real(b)
}

fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match (path.parent().and_then(|parent| parent.canonicalize().ok()), path.file_name()) {
        (Some(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}

/// Returns the last `count` components of a path, last one first.
pub(in crate::observe) fn tail(path: &Path, count: usize) -> Vec<Component<'_>> {
    path.components().rev().take(count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::locate::GatewayConfig;

    #[track_caller]
    fn check(vars: &[(&str, &str)], want: Naming) {
        let env = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(Naming::of(&env), want, "{vars:?}");
    }

    fn home(path: &str) -> Naming {
        Naming::Home(path.into())
    }

    fn directory(path: &str) -> Naming {
        Naming::Directory(path.into())
    }

    #[test]
    fn the_state_directory_or_else_the_home_directory_is_named() {
        check(&[("HOME", "/h")], home("/h"));
        check(&[("HOME", "/h"), ("OPENCLAW_HOME", "~/x")], home("/h/x"));
        check(&[("OPENCLAW_HOME", "/x")], home("/x"));
        check(&[("USERPROFILE", "/u")], home("/u"));
        check(&[("OPENCLAW_STATE_DIR", " /s ")], directory("/s"));
        check(&[("OPENCLAW_STATE_DIR", "~/s"), ("HOME", "/h")], directory("/h/s"));
        check(&[("OPENCLAW_STATE_DIR", "~"), ("OPENCLAW_HOME", "/x")], directory("/x"));
        check(&[("OPENCLAW_STATE_DIR", " "), ("HOME", "/h")], home("/h"));
    }

    #[test]
    fn without_a_home_nothing_is_named() {
        check(&[], Naming::Nothing);
        check(&[("PATH", "/bin")], Naming::Nothing);
        check(&[("HOME", "undefined")], Naming::Nothing);
        check(&[("OPENCLAW_HOME", "~/x")], Naming::Nothing);
        check(&[("OPENCLAW_STATE_DIR", "~/s")], Naming::Nothing);
        check(&[("OPENCLAW_STATE_DIR", "~/s"), ("OPENCLAW_HOME", "~")], Naming::Nothing);
    }

    #[test]
    fn a_relative_path_may_lead_anywhere() {
        for text in ["s", ".", "~other/s"] {
            check(&[("HOME", "/h"), ("OPENCLAW_STATE_DIR", text)], Naming::Relative);
            check(&[("HOME", "/h"), ("OPENCLAW_HOME", text)], Naming::Relative);
            check(&[("HOME", text)], Naming::Relative);
        }
    }

    #[test]
    fn only_paths_of_a_captured_table_are_of_another_host() {
        let install = Install {
            state_dir: "/real/x/.openclaw".into(),
            given_dir: "/x/.openclaw".into(),
            config_path: "/x/.openclaw/openclaw.json".into(),
            home: "/x".into(),
            profile: None,
            env_port: None,
            config: GatewayConfig::default(),
            gaps: Vec::new(),
        };
        for (path, captured) in [
            ("/home/u/.openclaw/workspace", "/real/x/.openclaw/workspace"),
            ("/home/u/.openclaw-other/workspace", "/home/u/.openclaw-other/workspace"),
            ("/home/u/x.openclaw", "/home/u/x.openclaw"),
            ("/", "/"),
        ] {
            let here = |is_live| Watched { install: &install, is_live }.here(Path::new(path));
            assert_eq!((here(false), here(true)), (captured.into(), path.into()));
        }
    }

    #[test]
    fn places_are_compared_after_symlinks() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(same_place(&real, &link));
        assert!(same_place(&real.join("not-yet"), &link.join("not-yet")));
        assert!(!same_place(&real, dir.path()));
    }
}
