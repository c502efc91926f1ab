//! What the environment of a process says about who started it.

use std::path::Path;

use super::lease::usable_id;
use crate::model::{Mark, Place, Seen};
use crate::observe::locate::{
    Env, Install, LEGACY_STATE_DIRS, Naming, STATE_DIR, Watched, variable,
};

/// How large an environment may be to be taken as whole. More than 256 KiB are not read, and one
/// variable has at most 128 KiB.
const WHOLE_BYTES_MAX: usize = 128 << 10;

/// The variables that lead to the state directory.
const PATHS: [&str; 5] =
    ["OPENCLAW_STATE_DIR", "OPENCLAW_HOME", "OPENCLAW_PROFILE", "HOME", "USERPROFILE"];

/// What an environment says about who started its process.
///
/// It is what the process, or whoever ran a command in it, began with, and never changes but by
/// an exec: it can be kept for as long as the process is the same and not young.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Origin {
    /// `OPENCLAW_ACPX_LEASE_ID`, which everything below a wrapper inherits (2026.5.28 and later).
    pub lease_id: Option<String>,
    /// `OPENCLAW_GATEWAY_INSTANCE_ID`, likewise.
    pub instance_id: Option<String>,
    /// `OPENCLAW_CLI=1`: something of OpenClaw is above it.
    pub is_cli: bool,
    /// `OPENCLAW_SHELL`: `acp` below an acpx of 2026.3.24, `exec` below the exec tool.
    pub shell: Option<String>,
    /// `CLAUDECODE=1`: a tool of `claude`, or something that one started.
    pub is_claude_tool: bool,
    /// `CLAUDE_CODE_ENTRYPOINT`: `sdk-ts` for an agent that a program started.
    pub entrypoint: Option<String>,
    /// The state directory it leads to.
    pub place: Place,
}

impl Origin {
    /// Reads an environment beside `install`, the watched one. `is_live`: it is that of a process
    /// of the running kernel.
    #[must_use]
    pub fn read(environ: &[(Vec<u8>, Vec<u8>)], install: &Install, is_live: bool) -> Origin {
        let env = |name: &str| variable(environ, name);
        let id = |name: &str| env(name).and_then(|id| usable_id(&id).map(str::to_owned));
        let place = match doubt(environ) {
            Some(why) => Place::Unknown(why.to_owned()),
            None => place(&env, Watched { install, is_live }),
        };
        Origin {
            lease_id: id("OPENCLAW_ACPX_LEASE_ID"),
            instance_id: id("OPENCLAW_GATEWAY_INSTANCE_ID"),
            is_cli: env("OPENCLAW_CLI").as_deref() == Some("1"),
            shell: env("OPENCLAW_SHELL"),
            is_claude_tool: env("CLAUDECODE").as_deref() == Some("1"),
            entrypoint: env("CLAUDE_CODE_ENTRYPOINT"),
            place,
        }
    }
}

/// Returns why paths of an environment cannot be believed.
fn doubt(environ: &[(Vec<u8>, Vec<u8>)]) -> Option<&'static str> {
    let bytes: usize = environ.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    if bytes > WHOLE_BYTES_MAX {
        return Some("its environment is too large to be read as a whole");
    }
    let is_path = |name: &[u8]| PATHS.iter().any(|path| name == path.as_bytes());
    let is_odd =
        |(name, value): &(Vec<u8>, Vec<u8>)| is_path(name) && std::str::from_utf8(value).is_err();
    environ.iter().any(is_odd).then_some("its environment names paths that are no text")
}

/// Returns the state directory that an environment leads to.
///
/// `OPENCLAW_PROFILE` alone moves nothing (2026.3.24 to 2026.9.6), while `--profile` sets
/// `OPENCLAW_STATE_DIR` for all children: where only the profile is left, somebody took the other
/// away, and either directory may be meant.
fn place(env: Env<'_>, watched: Watched<'_>) -> Place {
    let home = match Naming::of(env) {
        Naming::Directory(dir) if watched.is(&dir) => return Place::Ours,
        Naming::Directory(dir) => return Place::Other(dir),
        Naming::Home(home) => home,
        Naming::Relative => {
            return Place::Unknown("its environment names folders by relative paths".to_owned());
        }
        Naming::Nothing => {
            return Place::Unknown("its environment names no home directory".to_owned());
        }
    };
    let profile = env("OPENCLAW_PROFILE").map(|profile| profile.trim().to_owned());
    match profile.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("default")) {
        Some(profile) => of_profile(&home, &profile, watched),
        None => by_default(&home, watched),
    }
}

fn of_profile(home: &Path, profile: &str, watched: Watched<'_>) -> Place {
    let named = home.join(format!("{STATE_DIR}-{profile}"));
    match by_default(home, watched) {
        Place::Other(_) if !watched.is(&named) => Place::Other(named),
        _ => {
            let why = "its environment names a profile, but no state directory";
            Place::Unknown(why.to_owned())
        }
    }
}

/// The first that exists counts; a legacy folder that is not the first may have been it once.
fn by_default(home: &Path, watched: Watched<'_>) -> Place {
    let mut names = std::iter::once(STATE_DIR).chain(LEGACY_STATE_DIRS);
    let Some(ours) = names.position(|name| watched.is(&home.join(name))) else {
        return Place::Other(home.join(STATE_DIR));
    };
    let mut before = std::iter::once(STATE_DIR).chain(LEGACY_STATE_DIRS).take(ours);
    match before.find(|name| watched.is_live && home.join(name).exists()) {
        None => Place::Ours,
        Some(name) => Place::Unknown(format!(
            "its environment leaves the choice to the default, and ~/{name} exists, too"
        )),
    }
}

/// Returns whether an environment has a mark. Values are not repeated: they may be secret.
#[must_use]
pub fn mark(environ: &[(Vec<u8>, Vec<u8>)], mark: &Mark) -> Seen {
    let found = environ.iter().find(|(name, _)| name == mark.name.as_bytes());
    match (found, &mark.value) {
        (None, _) => Seen::Absent,
        (Some(_), None) => Seen::Present(mark.to_string()),
        (Some((_, value)), Some(wanted)) if value == wanted.as_bytes() => {
            Seen::Present(mark.to_string())
        }
        (Some(_), Some(_)) => Seen::Differs(format!("its {} is another one", mark.name)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::observe::locate::GatewayConfig;

    type Environ = Vec<(Vec<u8>, Vec<u8>)>;

    fn environ(vars: &[(&str, &str)]) -> Environ {
        vars.iter().map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into())).collect()
    }

    fn install(state_dir: &Path) -> Install {
        Install {
            state_dir: fs::canonicalize(state_dir).unwrap_or_else(|_| state_dir.to_owned()),
            given_dir: state_dir.to_owned(),
            config_path: state_dir.join("openclaw.json"),
            home: "/nowhere".into(),
            profile: None,
            env_port: None,
            config: GatewayConfig::default(),
            gaps: Vec::new(),
        }
    }

    fn origin(state_dir: &str, vars: &[(&str, &str)]) -> Origin {
        let install = install(Path::new(state_dir));
        Origin::read(&environ(vars), &install, true)
    }

    #[track_caller]
    fn check(state_dir: &str, vars: &[(&str, &str)], want: &Place) {
        match (origin(state_dir, vars).place, want) {
            (Place::Unknown(_), Place::Unknown(_)) => {}
            (got, want) => assert_eq!(got, *want, "{state_dir} {vars:?}"),
        }
    }

    fn other(path: &str) -> Place {
        Place::Other(path.into())
    }

    fn unknown() -> Place {
        Place::Unknown(String::new())
    }

    const HOME: (&str, &str) = ("HOME", "/nowhere/h");
    const OURS: &str = "/nowhere/h/.openclaw";

    #[test]
    fn the_named_state_directory_decides_whatever_the_profile() {
        let profile = ("OPENCLAW_PROFILE", "work");
        for more in [HOME, profile] {
            check(OURS, &[("OPENCLAW_STATE_DIR", OURS), more], &Place::Ours);
            check(OURS, &[("OPENCLAW_STATE_DIR", "/srv/x"), more], &other("/srv/x"));
        }
        check(OURS, &[("OPENCLAW_STATE_DIR", "~/.openclaw"), HOME], &Place::Ours);
        check(OURS, &[("OPENCLAW_STATE_DIR", "~/.openclaw")], &unknown());
        check(OURS, &[("OPENCLAW_STATE_DIR", ".openclaw"), HOME], &unknown());
    }

    #[test]
    fn else_the_default_in_the_home_directory() {
        check(OURS, &[HOME], &Place::Ours);
        check(OURS, &[("OPENCLAW_HOME", "/nowhere/h")], &Place::Ours);
        check(OURS, &[("HOME", "/nowhere/other")], &other("/nowhere/other/.openclaw"));
        check(OURS, &[HOME, ("OPENCLAW_HOME", "/x")], &other("/x/.openclaw"));
        check("/srv/state", &[HOME], &other(OURS));
        check("/nowhere/h/.openclaw-work", &[HOME], &other(OURS));
        check(OURS, &[("PATH", "/bin")], &unknown());
        check(OURS, &[], &unknown());
    }

    #[test]
    fn a_profile_without_a_state_directory_may_mean_either() {
        let work = [HOME, ("OPENCLAW_PROFILE", "work")];
        check(OURS, &work, &unknown());
        check("/nowhere/h/.openclaw-work", &work, &unknown());
        check("/nowhere/h/.openclaw-play", &work, &other("/nowhere/h/.openclaw-work"));
        for name in ["default", " Default ", ""] {
            check(OURS, &[HOME, ("OPENCLAW_PROFILE", name)], &Place::Ours);
        }
        check("/nowhere/h/.clawdbot", &work, &unknown());
    }

    #[test]
    fn a_legacy_directory_is_ours_only_where_no_newer_one_is() {
        let home = tempfile::tempdir().unwrap();
        let vars = [("HOME", home.path().to_str().unwrap())];
        let (legacy, new) = (home.path().join(".clawdbot"), home.path().join(".openclaw"));
        fs::create_dir(&legacy).unwrap();
        check(legacy.to_str().unwrap(), &vars, &Place::Ours);
        check(home.path().join(".moldbot").to_str().unwrap(), &vars, &unknown());
        std::os::unix::fs::symlink(&legacy, &new).unwrap();
        check(legacy.to_str().unwrap(), &vars, &Place::Ours);
        fs::create_dir(home.path().join("away")).unwrap();
        check(home.path().join("away").to_str().unwrap(), &vars, &Place::Other(new));
    }

    #[test]
    fn an_own_folder_beside_the_legacy_one_makes_it_doubtful() {
        let home = tempfile::tempdir().unwrap();
        let vars = [("HOME", home.path().to_str().unwrap())];
        for name in [".clawdbot", ".openclaw"] {
            fs::create_dir(home.path().join(name)).unwrap();
        }
        check(home.path().join(".clawdbot").to_str().unwrap(), &vars, &unknown());
        check(home.path().join(".openclaw").to_str().unwrap(), &vars, &Place::Ours);
    }

    #[test]
    fn a_symlinked_home_is_the_same_home() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        fs::create_dir_all(real.join(".openclaw")).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let ours = real.join(".openclaw");
        check(ours.to_str().unwrap(), &[("HOME", link.to_str().unwrap())], &Place::Ours);
        let named = link.join(".openclaw");
        let vars = [("OPENCLAW_STATE_DIR", named.to_str().unwrap())];
        check(ours.to_str().unwrap(), &vars, &Place::Ours);
    }

    #[test]
    fn a_captured_environment_is_matched_by_the_last_name() {
        let install = install(Path::new("/tmp/unpacked/home/.openclaw"));
        let place =
            |is_live| Origin::read(&environ(&[("HOME", "/home/user")]), &install, is_live).place;
        assert_eq!(place(false), Place::Ours);
        assert_eq!(place(true), other("/home/user/.openclaw"));
    }

    #[test]
    fn an_environment_that_may_have_been_cut_tells_no_place() {
        let long = "x".repeat(WHOLE_BYTES_MAX);
        check(OURS, &[HOME, ("A", &long)], &unknown());
        check(OURS, &[HOME, ("A", &long[..1000])], &Place::Ours);
    }

    #[test]
    fn a_path_that_is_no_text_is_never_ours() {
        let install = install(Path::new("/nowhere/h/.openclaw\u{fffd}"));
        let environ = vec![(b"OPENCLAW_STATE_DIR".to_vec(), b"/nowhere/h/.openclaw\xff".to_vec())];
        let got = Origin::read(&environ, &install, true).place;
        assert!(matches!(got, Place::Unknown(_)), "{got:?}");
    }

    #[test]
    fn reads_what_a_wrapper_of_2026_7_1_inherits() {
        let read = origin(
            OURS,
            &[
                ("OPENCLAW_ACPX_LEASE_ID", "acad837d-f25d-462f-88d9-0d30cd78a787"),
                ("OPENCLAW_GATEWAY_INSTANCE_ID", "cec3abfb-c8a7-4528-9253-98b01b08340c"),
                ("OPENCLAW_CLI", "1"),
                ("OPENCLAW_SHELL", "acp"),
                ("CLAUDE_CODE_ENTRYPOINT", "sdk-ts"),
                HOME,
            ],
        );
        let want = Origin {
            lease_id: Some("acad837d-f25d-462f-88d9-0d30cd78a787".to_owned()),
            instance_id: Some("cec3abfb-c8a7-4528-9253-98b01b08340c".to_owned()),
            is_cli: true,
            shell: Some("acp".to_owned()),
            is_claude_tool: false,
            entrypoint: Some("sdk-ts".to_owned()),
            place: Place::Ours,
        };
        assert_eq!(read, want);
        let read = origin(OURS, &[("OPENCLAW_ACPX_LEASE_ID", " "), ("OPENCLAW_CLI", "true")]);
        assert_eq!((read.lease_id, read.is_cli), (None, false));
    }

    #[test]
    fn a_mark_is_there_absent_or_another_one_and_no_value_is_told() {
        let environ = environ(&[("KIND", "hunter2"), ("EMPTY", "")]);
        let seen = |name: &str, value: Option<&str>| {
            mark(&environ, &Mark { name: name.to_owned(), value: value.map(str::to_owned) })
        };
        assert_eq!(seen("KIND", Some("hunter2")), Seen::Present("KIND=hunter2".to_owned()));
        assert_eq!(seen("KIND", None), Seen::Present("KIND".to_owned()));
        assert_eq!(seen("EMPTY", Some("")), Seen::Present("EMPTY=".to_owned()));
        assert_eq!(seen("NONE", None), Seen::Absent);
        assert_eq!(seen("kind", None), Seen::Absent);
        let differs = Seen::Differs("its KIND is another one".to_owned());
        assert_eq!(seen("KIND", Some("sdk-ts")), differs);
    }
}
