//! What the gateway's configuration says about who may speak with it.
//!
//! Source: `resolveGatewayAuth`, `resolveGatewayCredentialsFromValues` and `coerceSecretRef` of
//! 2026.3.24, 2026.4.15, 2026.7.1 and 2026.9.6, which agree: the configuration comes before the
//! environment, and a reference to a secret before both.

use std::path::Path;

use serde_json::Value;

use super::config::Texts;
use super::home::Surroundings;
use super::{document, include};

/// What `gateway.auth` says. Holds secrets: it is made for one connection, and shown to nobody.
#[derive(Default)]
pub(in crate::observe) struct Auth {
    /// `mode`, if there is one.
    pub mode: Option<String>,
    /// What gives the token: its value, or why there is none.
    pub token: Option<Result<String, String>>,
    /// The same for the password.
    pub password: Option<Result<String, String>>,
    /// What of the configuration could not be read.
    pub problems: Vec<String>,
}

const WANTED: [&str; 3] = ["gateway", "secrets", "env"];
const TOKEN: &str = "OPENCLAW_GATEWAY_TOKEN";
const PASSWORD: &str = "OPENCLAW_GATEWAY_PASSWORD";

/// Reads the configuration at `path` as a gateway with that environment would.
pub(in crate::observe) fn auth(path: &Path, paths: &Surroundings<'_>) -> Auth {
    let mut problems = Vec::new();
    let value = match document::read(path) {
        Ok(Some(value)) => {
            include::resolve(value, path, &paths.include_roots(), &WANTED, &mut problems)
        }
        Ok(None) => Value::Null,
        Err(reason) => {
            problems.push(reason);
            Value::Null
        }
    };
    let texts = Texts { paths, root: &value, problems: Vec::new() };
    let secret = |pointer: &str, variable: &str| {
        let written = value.pointer(pointer).and_then(|value| secret(value, pointer, &texts));
        written.or_else(|| texts.variable(variable).map(Ok))
    };
    Auth {
        mode: value.pointer("/gateway/auth/mode").and_then(Value::as_str).map(str::to_owned),
        token: secret("/gateway/auth/token", TOKEN),
        password: secret("/gateway/auth/password", PASSWORD),
        problems,
    }
}

/// Returns what a value stands for; `None` if it is as if absent.
fn secret(value: &Value, pointer: &str, texts: &Texts<'_>) -> Option<Result<String, String>> {
    let key = pointer.trim_start_matches('/').replace('/', ".");
    let found = match value {
        Value::String(text) => match short_reference(text.trim()) {
            Some(name) => variable(name, "default", texts),
            None => texts.resolve(text).map_err(|name| unset(&name)),
        },
        Value::Object(map) => {
            let part = |name: &str| map.get(name).and_then(Value::as_str).map(str::trim);
            let provider = part("provider").unwrap_or("default");
            match (part("source"), part("id").filter(|id| !id.is_empty())) {
                (Some("env"), Some(id)) => variable(id, provider, texts),
                (Some(source @ ("file" | "exec")), Some(_)) => Err(format!(
                    "it is a reference to a secret of the kind `{source}`, which only the gateway \
                     may resolve"
                )),
                _ => Err("it is a reference to a secret of an unknown form".to_owned()),
            }
        }
        _ => return None,
    };
    match found {
        Ok(text) if text.trim().is_empty() => None,
        Ok(text) => Some(Ok(text.trim().to_owned())),
        Err(why) => Some(Err(format!("`{key}` gives no secret: {why}"))),
    }
}

/// `${NAME}` and, from 2026.7.1, `$NAME`; `secretref-env:NAME` and `__env__:NAME` of older files.
fn short_reference(text: &str) -> Option<&str> {
    let braced = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let marked = || ["secretref-env:", "__env__:"].iter().find_map(|m| text.strip_prefix(m));
    braced.or_else(marked).or_else(|| text.strip_prefix('$')).filter(|name| is_name(name))
}

/// Reads a variable through the provider of that name, which may allow only some.
fn variable(id: &str, provider: &str, texts: &Texts<'_>) -> Result<String, String> {
    if !is_name(id) {
        return Err("it names no variable".to_owned());
    }
    let known = texts.root.pointer("/secrets/providers").and_then(|all| all.get(provider));
    let source = known.and_then(|known| known.get("source")).and_then(Value::as_str);
    if source.is_some_and(|source| source != "env") {
        return Err("its provider does not read the environment".to_owned());
    }
    if known.is_none() && !["default", default_provider(texts)].contains(&provider) {
        return Err("its provider is not configured".to_owned());
    }
    let allowed = known.and_then(|known| known.get("allowlist")).and_then(Value::as_array);
    if allowed.is_some_and(|allowed| !allowed.iter().any(|name| name.as_str() == Some(id))) {
        return Err(format!("its provider does not allow the variable {id}"));
    }
    texts.variable(id).ok_or_else(|| unset(id))
}

fn default_provider<'a>(texts: &'a Texts<'_>) -> &'a str {
    let named = texts.root.pointer("/secrets/defaults/env").and_then(Value::as_str);
    named.map_or("default", str::trim)
}

fn unset(name: &str) -> String {
    format!("it needs the variable {name}, which is not set here")
}

fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_uppercase())
        && text.len() <= 128
        && bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Auth {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("openclaw.json");
        std::fs::write(&path, text).unwrap();
        std::fs::write(dir.path().join("more.json5"), "{ token: 'included' }").unwrap();
        let env = |name: &str| (name == "OF_ENV").then(|| " from-env\n".to_owned());
        auth(&path, &Surroundings { env: &env, cwd: "/".into(), passwd_home: None })
    }

    #[track_caller]
    fn check(token: &str, more: &str, want: Result<&str, &str>) {
        let found = read(&format!("{{gateway: {{auth: {{token: {token}}}}}{more}}}"));
        match (found.token, want) {
            (Some(Ok(token)), Ok(want)) => assert_eq!(token, want),
            (Some(Err(why)), Err(want)) => {
                assert!(why.starts_with("`gateway.auth.token`") && why.contains(want), "{why}");
            }
            (found, want) => panic!("{found:?} is not {want:?}"),
        }
    }

    #[test]
    fn a_literal_and_a_variable_within_one() {
        check("' hunter2 '", "", Ok("hunter2"));
        check("'a-${OF_ENV}'", "", Ok("a-from-env"));
        check("'a-${NONE}'", "", Err("needs the variable NONE"));
        check("'$ab'", "", Ok("$ab"));
    }

    #[test]
    fn a_reference_to_the_environment_in_every_form() {
        for form in [
            "'${OF_ENV}'",
            "'$OF_ENV'",
            "'secretref-env:OF_ENV'",
            "'__env__:OF_ENV'",
            "{source: 'env', provider: 'default', id: 'OF_ENV'}",
            "{source: 'env', id: 'OF_ENV'}",
        ] {
            check(form, "", Ok("from-env"));
        }
        check("{source: 'env', id: 'NONE'}", "", Err("needs the variable NONE"));
        check("{source: 'env', id: 'a b'}", "", Err("names no variable"));
    }

    #[test]
    fn a_provider_has_its_say() {
        let reference = "{source: 'env', provider: 'p', id: 'OF_ENV'}";
        let with = |provider: &str| format!(", secrets: {{providers: {{p: {provider}}}}}");
        check(reference, "", Err("provider is not configured"));
        check(reference, &with("{source: 'env'}"), Ok("from-env"));
        check(reference, &with("{source: 'env', allowlist: ['OF_ENV']}"), Ok("from-env"));
        check(reference, &with("{source: 'env', allowlist: ['X']}"), Err("does not allow"));
        check(reference, &with("{source: 'file', path: '/x'}"), Err("does not read the env"));
        check(reference, ", secrets: {defaults: {env: 'p'}}", Ok("from-env"));
    }

    #[test]
    fn files_and_programs_are_the_gateways_alone() {
        check("{source: 'file', provider: 'x', id: '/a'}", "", Err("of the kind `file`"));
        check("{source: 'exec', provider: 'x', id: 'a'}", "", Err("of the kind `exec`"));
        check("{source: 'else', provider: 'x', id: 'a'}", "", Err("unknown form"));
        check("{}", "", Err("unknown form"));
    }

    #[test]
    fn what_is_written_comes_before_the_environment() {
        let of_config = ", env: {vars: {OPENCLAW_GATEWAY_TOKEN: 'of-config-env'}}";
        check("'written'", of_config, Ok("written"));
        check("''", of_config, Ok("of-config-env"));
        check("7", of_config, Ok("of-config-env"));
        check("{source: 'file', id: 'x'}", of_config, Err("of the kind `file`"));
    }

    #[test]
    fn an_included_file_is_read() {
        let found = read("{gateway: {auth: {$include: './more.json5'}}}");
        assert_eq!((found.token, found.problems.len()), (Some(Ok("included".to_owned())), 0));
    }

    #[test]
    fn what_cannot_be_read_is_a_problem_without_its_content() {
        for text in ["{gateway: {auth: {token: 'hunter2' x", "{gateway: {$include: './none'}}"] {
            let found = read(text);
            assert!(found.token.is_none() && found.problems.len() == 1, "{text}");
            assert!(!found.problems[0].contains("hunter2"));
        }
    }
}
