//! What opens the gateway.

use std::env::current_dir;
use std::path::PathBuf;

use super::secret_file::{self, usable};
use super::{Search, dotenv, failure};
use crate::gateway::{Credentials, Secret};
use crate::model::{RpcFailure, RpcFault, SecretPlace};
use crate::observe::locate::{self, Auth, variable};

/// Returns what opens the gateway, and what the user should know about it. First what the user
/// named himself, then what the gateway goes by. Its own secrets are never sent to another host.
///
/// # Errors
///
/// Returns why there is nothing, with the next step, and nothing of any secret.
pub(super) fn resolve(
    search: &Search<'_>,
    is_here: bool,
) -> Result<(Credentials, Vec<String>), RpcFailure> {
    let given = search.given;
    if let Some(place) = &given.token {
        let (secret, warning) = own(search, place)?;
        return Ok((Credentials::Token(secret), warning));
    }
    if let Some(place) = &given.password {
        let (secret, warning) = own(search, place)?;
        return Ok((Credentials::Password(secret), warning));
    }
    if !is_here {
        return Err(none(
            "the secrets of this host's gateway are not sent to another host".to_owned(),
        ));
    }
    let found = of_gateway(&auth(search), &search.install.config_path.display().to_string())?;
    Ok((found, Vec::new()))
}

fn own(search: &Search<'_>, place: &SecretPlace) -> Result<(Secret, Vec<String>), RpcFailure> {
    let failed = |why: String| {
        let text = format!("there is no secret in {place}: {why}");
        failure(RpcFault::NoCredentials, text)
    };
    let (text, warning) = match place {
        SecretPlace::File(path) => secret_file::read(path).map_err(|e| failed(e.to_string()))?,
        SecretPlace::Variable(name) => {
            let text = (search.env)(name).ok_or_else(|| failed("it is not set".to_owned()))?;
            (usable(text.trim()).map_err(|why| failed(why.to_owned()))?, None)
        }
    };
    Ok((Secret::new(text), warning.into_iter().collect()))
}

/// Reads what the gateway's configuration says, with the gateway's own environment as far as that can
/// be read, and what it completes it from. Ours counts where it is that of the same directory.
fn auth(search: &Search<'_>) -> Auth {
    let process = search.gateway.process.as_ref();
    let theirs = process.and_then(|process| search.table.environ(process.id.pid).ok());
    let files = [
        Some(search.install.state_dir.join(".env")),
        Some(search.install.home.join(".config/openclaw/gateway.env"))
            .filter(|_| is_default(search)),
    ];
    let files: Vec<_> = files.into_iter().flatten().flat_map(|path| dotenv::read(&path)).collect();
    let of_files =
        |name: &str| files.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let ours = |name: &str| {
        let applies = || locate::env_applies(search.install, search.env);
        (search.env)(name).filter(|_| applies())
    };
    let is_set = |text: &String| !text.trim().is_empty();
    let env = |name: &str| {
        let theirs = theirs.as_ref().and_then(|environ| variable(environ, name)).filter(is_set);
        theirs.or_else(|| of_files(name).filter(is_set)).or_else(|| ours(name))
    };
    let cwd = current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    locate::auth(search.install, &env, cwd)
}

/// `gateway.env` is for the default state directory alone.
fn is_default(search: &Search<'_>) -> bool {
    let default = search.install.home.join(".openclaw");
    default.canonicalize().is_ok_and(|default| default == search.install.state_dir)
}

/// Source: `resolveGatewayAuth` of 2026.3.24, 2026.4.15 and 2026.7.1: without a mode a password comes
/// before a token.
fn of_gateway(auth: &Auth, config: &str) -> Result<Credentials, RpcFailure> {
    let mode = match auth.mode.as_deref() {
        Some(mode) => mode,
        None if auth.password.is_some() => "password",
        None => "token",
    };
    let (secret, wanted) = match mode {
        "none" => return Ok(Credentials::None),
        "token" => (&auth.token, "token"),
        "password" => (&auth.password, "password"),
        "trusted-proxy" => {
            return Err(none(
                "its `gateway.auth.mode` is `trusted-proxy`: it takes the word of a proxy and no \
                 secret"
                    .to_owned(),
            ));
        }
        _ => return Err(none("its `gateway.auth.mode` is one that is not known".to_owned())),
    };
    let problems: String = auth.problems.iter().map(|problem| format!("; {problem}")).collect();
    let text = match secret {
        Some(Ok(text)) => usable(text).map_err(|why| none(format!("its {wanted}: {why}")))?,
        Some(Err(why)) => return Err(none(format!("{why}{problems}"))),
        None => {
            let variable = format!("OPENCLAW_GATEWAY_{}", wanted.to_ascii_uppercase());
            return Err(none(format!(
                "neither `gateway.auth.{wanted}` in `{config}` nor {variable} is set{problems}"
            )));
        }
    };
    let secret = Secret::new(text);
    Ok(if mode == "token" { Credentials::Token(secret) } else { Credentials::Password(secret) })
}

fn none(why: String) -> RpcFailure {
    let next = "name one in clawarden's own configuration, as `gateway.token_file`, \
                `gateway.token_env`, `gateway.password_file` or `gateway.password_env`";
    let text = format!("no credentials for the gateway: {why}; {next}");
    failure(RpcFault::NoCredentials, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mode: Option<&str>, token: Option<&str>, password: Option<&str>) -> String {
        let text = |text: Option<&str>| {
            text.map(|text| match text.strip_prefix('!') {
                Some(why) => Err(why.to_owned()),
                None => Ok(text.to_owned()),
            })
        };
        let auth = Auth {
            mode: mode.map(str::to_owned),
            token: text(token),
            password: text(password),
            problems: Vec::new(),
        };
        match of_gateway(&auth, "/c.json") {
            Ok(Credentials::Token(secret)) => format!("token {}", secret.reveal()),
            Ok(Credentials::Password(secret)) => format!("password {}", secret.reveal()),
            Ok(Credentials::None) => "none".to_owned(),
            Err(failure) => {
                assert_eq!(failure.fault, RpcFault::NoCredentials);
                assert!(failure.text.contains("gateway.token_file"), "{failure}");
                failure.text
            }
        }
    }

    #[test]
    fn the_mode_decides_and_without_one_a_password_comes_first() {
        assert_eq!(found(None, Some("a"), Some("b")), "password b");
        assert_eq!(found(None, Some("a"), None), "token a");
        assert_eq!(found(Some("token"), Some("a"), Some("b")), "token a");
        assert_eq!(found(Some("password"), Some("a"), Some("b")), "password b");
        assert_eq!(found(Some("none"), Some("a"), Some("b")), "none");
    }

    #[test]
    fn what_is_missing_is_said() {
        let config = "neither `gateway.auth.token` in `/c.json` nor OPENCLAW_GATEWAY_TOKEN is set";
        assert!(found(None, None, None).contains(config));
        assert!(found(Some("password"), Some("a"), None).contains("OPENCLAW_GATEWAY_PASSWORD"));
        assert!(found(Some("trusted-proxy"), Some("a"), Some("b")).contains("trusted-proxy"));
        assert!(found(Some("x"), Some("a"), Some("b")).contains("not known"));
        assert!(found(None, Some("!of the kind `file`"), None).contains("of the kind `file`"));
        assert!(found(None, Some("hunter2\nx"), None).contains("more than one line"));
        assert!(!found(None, Some("hunter2\nx"), None).contains("hunter2"));
    }

    #[test]
    fn a_reference_that_gives_nothing_does_not_fall_back_to_the_other_secret() {
        assert!(found(None, Some("a"), Some("!of the kind `exec`")).contains("exec"));
    }
}
