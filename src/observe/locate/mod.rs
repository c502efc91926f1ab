//! Finds the state directory, its configuration and its session stores the way the gateway
//! finds them.

mod auth;
mod config;
mod document;
mod home;
mod include;
mod stores;
mod watched;

use std::fs;
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use thiserror::Error;

use crate::model::{Gap, Source};

pub(super) use auth::Auth;
pub use config::{GatewayConfig, TlsConfig, WorkspaceConfig};
pub use home::Env;
pub(super) use home::{LEGACY_STATE_DIRS, STATE_DIR, Surroundings};
pub(super) use include::normalize;
pub use stores::{StoreRef, session_folders, stores};
pub(super) use watched::{Naming, Watched, same_place, tail, variable};

/// What was asked for.
pub struct Request<'a> {
    /// The state directory named by our command line or configuration.
    pub state_dir: Option<PathBuf>,
    /// Our environment.
    pub env: Env<'a>,
}

/// A state directory and its configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Install {
    /// The state directory, absolute, with every symlink resolved.
    pub state_dir: PathBuf,
    /// The state directory, absolute, as it was named. The gateway hashes and writes paths in
    /// this form.
    pub given_dir: PathBuf,
    /// The configuration, existing or not, as the gateway would name it.
    pub config_path: PathBuf,
    /// The home directory for `~` in the configuration.
    pub home: PathBuf,
    /// The profile: `OPENCLAW_PROFILE`, or what follows `.openclaw-` in the folder's name.
    /// `None` for the default one.
    pub profile: Option<String>,
    /// `OPENCLAW_GATEWAY_PORT` of our environment, if that environment is this directory's.
    pub env_port: Option<u16>,
    /// What the configuration says; defaults where it could not be read, and then a gap.
    pub config: GatewayConfig,
    /// What could not be read.
    pub gaps: Vec<Gap>,
}

impl Install {
    /// Reads the configuration again. The state directory stays, wherever its name leads by now.
    pub(super) fn read_again(&self, env: Env<'_>) -> Install {
        let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
        describe(&surroundings(env, cwd), self.given_dir.clone(), self.state_dir.clone())
    }

    /// Resolves a path of the configuration: `~` is the home directory. The gateway resolves
    /// relative paths at its working directory, which is not known here; they begin at the
    /// home directory, where service managers start it.
    pub(super) fn resolve_path(&self, text: &str) -> PathBuf {
        let text = text.trim();
        let path = match text.strip_prefix("~/") {
            Some(rest) => self.home.join(rest.trim_start_matches('/')),
            None if text == "~" => self.home.clone(),
            None => self.home.join(text),
        };
        normalize(&path)
    }
}

/// Why there is no state directory.
#[derive(Debug, Error)]
pub enum LocateError {
    /// Nothing is there.
    #[error("find state directory `{path}`; name it with --state-dir or OPENCLAW_STATE_DIR")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// Something else is there.
    #[error("use `{path}` as a state directory: it is no folder; name one with --state-dir")]
    NoFolder {
        /// What is no folder.
        path: PathBuf,
    },
    /// The working directory is gone, so a relative path means nothing.
    #[error(
        "resolve paths: the working directory is not readable; give --state-dir as an absolute path"
    )]
    WorkingDirectory {
        /// The cause.
        source: std::io::Error,
    },
}

/// Finds the state directory and reads its configuration.
///
/// Without a named directory: `OPENCLAW_STATE_DIR`, else `.openclaw` in the home directory, else
/// a legacy folder that exists. `OPENCLAW_PROFILE` alone moves nothing, as in the gateway, where
/// only `--profile` sets the other variables. With a named directory the configuration is
/// inside it, and our environment counts only if its own state directory is the same.
///
/// # Errors
///
/// Returns an error if there is no folder at the place.
pub fn locate(request: &Request<'_>) -> Result<Install, LocateError> {
    let cwd = match std::env::current_dir() {
        Ok(cwd) => cwd,
        Err(_) if request.state_dir.as_deref().is_some_and(Path::is_absolute) => "/".into(),
        Err(source) => return Err(LocateError::WorkingDirectory { source }),
    };
    let paths = surroundings(request.env, cwd);
    let given_dir = match &request.state_dir {
        Some(dir) => paths.resolve(&dir.to_string_lossy()),
        None => paths.state_dir(),
    };
    let state_dir = existing(&given_dir)?;
    Ok(describe(&paths, given_dir, state_dir))
}

/// Reads what the configuration says about who may speak with the gateway, with the environment that
/// the gateway has.
pub(super) fn auth(install: &Install, env: Env<'_>, cwd: PathBuf) -> Auth {
    auth::auth(&install.config_path, &surroundings(env, cwd))
}

/// Returns true if a gateway with this environment would work on the same state directory.
pub(super) fn env_applies(install: &Install, env: Env<'_>) -> bool {
    let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let own = surroundings(env, cwd).state_dir();
    fs::canonicalize(own).is_ok_and(|own| own == install.state_dir)
}

fn describe(paths: &Surroundings<'_>, given_dir: PathBuf, state_dir: PathBuf) -> Install {
    let env_applies = fs::canonicalize(paths.state_dir()).is_ok_and(|own| own == state_dir);
    let explicit = paths.explicit_config().filter(|_| env_applies);
    let config_path = explicit.unwrap_or_else(|| home::config_in(&given_dir));
    let (config, problems) = config::read(&config_path, paths);
    let gap = |reason| Gap { source: Source::Config, path: config_path.clone(), reason };
    let gaps = problems.into_iter().map(gap).collect();
    let trimmed = |name: &str| paths.trimmed(name).filter(|_| env_applies);
    Install {
        profile: profile(trimmed("OPENCLAW_PROFILE"), &given_dir),
        env_port: trimmed("OPENCLAW_GATEWAY_PORT").and_then(|text| parse_port(&text)),
        home: paths.home(),
        state_dir,
        given_dir,
        config_path,
        config,
        gaps,
    }
}

fn surroundings(env: Env<'_>, cwd: PathBuf) -> Surroundings<'_> {
    let passwd_home = User::from_uid(Uid::effective()).ok().flatten().map(|user| user.dir);
    Surroundings { env, cwd, passwd_home }
}

fn existing(given: &Path) -> Result<PathBuf, LocateError> {
    let path = || given.to_owned();
    let real =
        fs::canonicalize(given).map_err(|source| LocateError::Missing { path: path(), source })?;
    if real.is_dir() { Ok(real) } else { Err(LocateError::NoFolder { path: path() }) }
}

fn profile(env: Option<String>, given_dir: &Path) -> Option<String> {
    let of_folder = || {
        let name = given_dir.file_name()?.to_str()?;
        Some(name.strip_prefix(STATE_DIR)?.strip_prefix('-')?.to_owned())
    };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    env.or_else(of_folder).filter(|name| {
        !name.eq_ignore_ascii_case("default")
            && (1..=64).contains(&name.len())
            && name.bytes().all(plain)
            && name.as_bytes()[0].is_ascii_alphanumeric()
    })
}

/// Reads `OPENCLAW_GATEWAY_PORT`: `18789`, `host:18789` or `[::1]:18789`.
pub(super) fn parse_port(text: &str) -> Option<u16> {
    let text = text.trim();
    let digits = match text.rsplit_once(':') {
        None => text,
        Some((host, port)) if host.starts_with('[') && host.ends_with(']') => port,
        Some((host, port)) if !host.is_empty() && !host.contains(':') => port,
        Some(_) => return None,
    };
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|&port| all_digits && port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(vars: &[(&str, &str)], state_dir: Option<&Path>) -> Result<Install, LocateError> {
        let env = |name: &str| {
            vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        locate(&Request { state_dir: state_dir.map(Path::to_owned), env: &env })
    }

    #[test]
    fn a_missing_directory_names_path_and_next_step() {
        let error = install(&[("HOME", "/nowhere")], None).unwrap_err().to_string();
        assert!(error.contains("`/nowhere/.openclaw`") && error.contains("--state-dir"), "{error}");
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(install(&[], Some(file.path())), Err(LocateError::NoFolder { .. })));
    }

    #[test]
    fn the_environment_counts_only_for_its_own_directory() {
        let home = tempfile::tempdir().unwrap();
        let (mine, other) = (home.path().join(".openclaw"), home.path().join(".openclaw-work"));
        fs::create_dir(&mine).unwrap();
        fs::create_dir(&other).unwrap();
        let vars = [
            ("HOME", home.path().to_str().unwrap()),
            ("OPENCLAW_CONFIG_PATH", "~/else.json"),
            ("OPENCLAW_GATEWAY_PORT", "127.0.0.1:7"),
        ];
        let found = install(&vars, Some(&mine)).unwrap();
        assert_eq!(found.config_path, home.path().join("else.json"));
        assert_eq!((found.env_port, found.profile), (Some(7), None));
        let found = install(&vars, Some(&other)).unwrap();
        assert_eq!(found.config_path, other.join("openclaw.json"));
        assert_eq!((found.env_port, found.profile.as_deref()), (None, Some("work")));
    }

    #[test]
    fn keeps_the_name_given_and_the_real_place() {
        let home = tempfile::tempdir().unwrap();
        let real = home.path().canonicalize().unwrap().join("real");
        fs::create_dir(&real).unwrap();
        let link = home.path().join("link");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let found = install(&[("OPENCLAW_STATE_DIR", link.to_str().unwrap())], None).unwrap();
        assert_eq!((found.state_dir, found.given_dir), (real, link.clone()));
        assert_eq!(found.config_path, link.join("openclaw.json"));
    }

    #[test]
    fn a_broken_configuration_is_a_gap() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("openclaw.json"), "{ token: 'hunter2' x").unwrap();
        let found = install(&[], Some(home.path())).unwrap();
        assert_eq!(found.config.port, None);
        assert_eq!((found.gaps.len(), found.gaps[0].source), (1, Source::Config));
        assert!(!found.gaps[0].reason.contains("hunter2"));
        assert!(!format!("{:?}", found.config).contains("hunter2"));
    }

    #[test]
    fn reads_ports_as_the_gateway_does() {
        for (text, want) in [
            ("18789", Some(18789)),
            (" 127.0.0.1:7 ", Some(7)),
            ("[::1]:9", Some(9)),
            ("::1", None),
            (":7", None),
            ("0", None),
            ("+7", None),
            ("99999", None),
            ("x", None),
        ] {
            assert_eq!(parse_port(text), want, "{text}");
        }
    }
}
