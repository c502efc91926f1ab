//! How the gateway is reached, where the user says so.

use std::path::PathBuf;

use serde::Deserialize;

use super::effect::problem;
use super::effective::Effective;
use super::layer::Numbered;
use super::value;
use super::value::Terms;
use super::written::{Word, Written};
use crate::model::{GatewayUrl, Given, SecretPlace};

/// The keys that name one and the same secret, or secrets that exclude each other.
const SECRETS: [&str; 4] =
    ["gateway.token_file", "gateway.token_env", "gateway.password_file", "gateway.password_env"];

/// The section `gateway`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GatewaySection {
    pub(super) state_dir: Option<PathBuf>,
    url: Option<Written<GatewayUrl>>,
    token_file: Option<PathBuf>,
    token_env: Option<String>,
    password_file: Option<PathBuf>,
    password_env: Option<String>,
}

impl GatewaySection {
    /// Returns how the gateway is reached. `home` is for `~/`.
    pub(super) fn given(&self, home: Option<&str>) -> Given {
        let place = |file: &Option<PathBuf>, variable: &Option<String>| {
            let file = file.as_ref().map(|path| SecretPlace::File(value::expand(path, home)));
            file.or_else(|| variable.clone().map(SecretPlace::Variable))
        };
        Given {
            url: self.url.as_ref().map(|url| url.0.clone()),
            token: place(&self.token_file, &self.token_env),
            password: place(&self.password_file, &self.password_env),
        }
    }
}

/// More than one secret is named: which one the gateway asks for is not known here.
pub(super) fn two_secrets(effective: &Effective) -> Option<Numbered> {
    let mut said: Vec<_> =
        SECRETS.iter().filter_map(|path| Some((*path, effective.said(path)?))).collect();
    said.sort_by_key(|(_, said)| (said.number, said.setting.mark));
    let [(first, _), .., (_, last)] = said.as_slice() else { return None };
    Some(problem(*last, &format!("`{first}` is set, too; write one of them")))
}

impl Word for GatewayUrl {
    const EXPECTED: &'static str = "an address, such as `ws://127.0.0.1:18789`";

    fn read(text: &str) -> Option<GatewayUrl> {
        GatewayUrl::parse(text).ok()
    }
}

/// Checks the path of a file with a secret.
///
/// # Errors
///
/// Returns what is wrong with it, without repeating it: it may be the secret itself.
pub(super) fn file(text: &str, terms: Terms) -> Result<(), String> {
    value::folder(text, terms).map_err(|_| {
        "must be the path of a file that begins with `/` or `~/`, and not the secret".to_owned()
    })
}

/// Checks the address of a gateway.
///
/// # Errors
///
/// Returns what is wrong with it, without repeating it: it may contain a password.
pub(super) fn url(text: &str) -> Result<(), String> {
    GatewayUrl::parse(text).map(|_| ()).map_err(str::to_owned)
}

/// Checks the name of a variable.
///
/// # Errors
///
/// Returns what is wrong with it, without repeating it: it may be the secret itself.
pub(super) fn variable(text: &str) -> Result<(), String> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if first && text.len() <= 128 && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok(());
    }
    Err("must be the name of a variable, such as `OPENCLAW_GATEWAY_TOKEN`, and not the secret"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{assert_problems, compiled};
    use super::*;

    fn given(text: &str) -> Given {
        compiled(&format!("gateway: {{{text}}}")).unwrap().config.gateway
    }

    #[test]
    fn without_a_word_about_it_everything_is_found() {
        assert_eq!(compiled("interval: 30s").unwrap().config.gateway, Given::default());
    }

    #[test]
    fn says_where_and_with_what() {
        let found = given("url: \"ws://127.0.0.1:7\", token_file: /run/token");
        assert_eq!(found.url, GatewayUrl::parse("ws://127.0.0.1:7").ok());
        assert_eq!(found.token, Some(SecretPlace::File("/run/token".into())));
        assert_eq!(
            given("password_env: A_1").password,
            Some(SecretPlace::Variable("A_1".to_owned()))
        );
    }

    #[test]
    fn what_it_cannot_be_is_a_problem_with_its_place() {
        assert_problems(
            &["gateway: {url: \"http://h\", token_file: token, token_env: \"hunter2-x\"}"],
            &[
                "0.yaml:1:16 gateway.url: must begin with `ws://` or `wss://`",
                "0.yaml:1:40 gateway.token_file: must be the path of a file that begins with `/` or \
                 `~/`, and not the secret",
                "0.yaml:1:58 gateway.token_env: must be the name of a variable, such as \
                 `OPENCLAW_GATEWAY_TOKEN`, and not the secret",
            ],
        );
        assert_problems(
            &["gateway: {token: hunter2}"],
            &["0.yaml:1:11 gateway: unknown key `token`, expected one of `state_dir`, `url`, \
               `token_file`, `token_env`, `password_file`, `password_env`"],
        );
    }

    #[test]
    fn two_secrets_are_one_too_many_whichever_file_they_are_in() {
        let text = "`gateway.token_file` is set, too; write one of them";
        assert_problems(
            &["gateway: {token_file: /a, token_env: B}"],
            &[&format!("0.yaml:1:38 gateway.token_env: {text}")],
        );
        assert_problems(
            &["gateway: {token_file: /a}", "gateway: {password_file: /b}"],
            &[&format!("1.yaml:1:26 gateway.password_file: {text}")],
        );
    }
}
