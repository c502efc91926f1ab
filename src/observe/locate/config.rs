//! The parts of the gateway's configuration that tell where things are.

use std::time::Duration;

use serde_json::Value;

use super::document;
use super::home::Surroundings;
use super::include;
use crate::model::Configured;

/// What is kept of `openclaw.json`. Nothing of it is secret; the rest of the file is dropped
/// as soon as it is parsed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GatewayConfig {
    /// `gateway.port`.
    pub port: Option<u16>,
    /// `gateway.bind`, such as `loopback` or `lan`.
    pub bind: Option<String>,
    /// `gateway.customBindHost`: the address of `bind: custom`.
    pub bind_host: Option<String>,
    /// `gateway.tls`, where it is enabled.
    pub tls: Option<TlsConfig>,
    /// What it says about its own recovery.
    pub limits: Configured,
    /// `gateway.controlUi.basePath`, with a leading and without a trailing slash; empty for `/`.
    pub base_path: String,
    /// `session.store`, as written: may contain `{agentId}` and `~`.
    pub session_store: Option<String>,
    /// `logging.file`: where it logs to, if not to the file that all gateways of the host share.
    pub log_file: Option<String>,
    /// `agents.list[].id`, normalized, in order, each once.
    pub agents: Vec<String>,
    /// `meta.lastTouchedVersion`: the version that wrote the file last, not the running one.
    pub last_touched_version: Option<String>,
    /// Where agents work.
    pub workspaces: WorkspaceConfig,
}

/// `gateway.tls` of a gateway that has it enabled.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TlsConfig {
    /// `certPath`, as written: may contain `~`. `None`: the one that the gateway makes itself.
    pub certificate: Option<String>,
}

/// What `openclaw.json` says about where agents work, as written: may contain `~`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WorkspaceConfig {
    /// `agents.defaults.workspace`.
    pub default: Option<String>,
    /// `agents.list[].workspace`, in order.
    pub of_agents: Vec<String>,
    /// `plugins.entries.acpx.config.stateDir`: what acpx keeps its session records in.
    pub acpx_state_dir: Option<String>,
    /// What of these could not be read. It hides records, and nothing else.
    pub problems: Vec<String>,
}

const WANTED: [&str; 6] = ["gateway", "session", "agents", "meta", "env", "diagnostics"];
const WANTED_OF_PLUGINS: [&str; 3] = ["plugins", "env", "logging"];

/// Largest number that is taken for a limit: in milliseconds, 300 years.
const LIMIT_MAX: f64 = 1e13;

/// Most agents whose workspace is looked at.
const AGENTS_MAX: usize = 1000;

/// Reads the configuration at `path` leniently: what has no usable shape is as if absent, and
/// what could not be read is a line in the second value.
pub(super) fn read(
    path: &std::path::Path,
    paths: &Surroundings<'_>,
) -> (GatewayConfig, Vec<String>) {
    let (mut problems, mut of_plugins) = (Vec::new(), Vec::new());
    let (value, plugins) = match document::read(path) {
        Ok(Some(value)) => {
            let roots = paths.include_roots();
            let plugins = value.clone();
            (
                include::resolve(value, path, &roots, &WANTED, &mut problems),
                include::resolve(plugins, path, &roots, &WANTED_OF_PLUGINS, &mut of_plugins),
            )
        }
        Ok(None) => (Value::Null, Value::Null),
        Err(reason) => {
            problems.push(reason.clone());
            of_plugins.push(reason);
            (Value::Null, Value::Null)
        }
    };
    // What is wrong with it must not hold anything.
    let log_file = plugins.pointer("/logging/file").and_then(Value::as_str);
    let log_file = log_file.filter(|text| !text.contains("${")).map(str::to_owned);
    let workspaces = workspaces(paths, &value, &plugins, of_plugins);
    let mut texts = Texts { paths, root: &value, problems };
    let config = GatewayConfig {
        workspaces,
        port: port(value.pointer("/gateway/port")),
        bind: texts.at("/gateway/bind"),
        bind_host: texts.at("/gateway/customBindHost"),
        tls: (value.pointer("/gateway/tls/enabled") == Some(&Value::Bool(true)))
            .then(|| TlsConfig { certificate: texts.at("/gateway/tls/certPath") }),
        limits: limits(&value),
        base_path: base_path(texts.at("/gateway/controlUi/basePath")),
        session_store: texts.at("/session/store"),
        log_file,
        agents: agents(&value),
        last_touched_version: texts.at("/meta/lastTouchedVersion"),
    };
    (config, texts.problems)
}

/// Numbers as the gateway takes them: cut to whole ones, and none below zero.
fn limits(root: &Value) -> Configured {
    let number = |pointer: &str| {
        let number = root.pointer(pointer)?.as_f64()?;
        let is_sound = number.is_finite() && (0.0..=LIMIT_MAX).contains(&number);
        is_sound.then(|| number.floor())
    };
    let millis = |pointer: &str| number(pointer).map(|n| Duration::from_secs_f64(n / 1e3));
    Configured {
        is_off: root.pointer("/diagnostics/enabled") == Some(&Value::Bool(false)),
        warn: millis("/diagnostics/stuckSessionWarnMs"),
        abort: millis("/diagnostics/stuckSessionAbortMs"),
        compaction: number("/agents/defaults/compaction/timeoutSeconds")
            .map(Duration::from_secs_f64),
    }
}

fn workspaces(
    paths: &Surroundings<'_>,
    root: &Value,
    plugins: &Value,
    problems: Vec<String>,
) -> WorkspaceConfig {
    let mut texts = Texts { paths, root, problems };
    let list = root.pointer("/agents/list").and_then(Value::as_array);
    let count = list.map_or(0, |list| list.len().min(AGENTS_MAX));
    let default = texts.at("/agents/defaults/workspace");
    let of_agents =
        (0..count).filter_map(|n| texts.at(&format!("/agents/list/{n}/workspace"))).collect();
    let mut texts = Texts { paths, root: plugins, problems: texts.problems };
    let acpx_state_dir = texts.at("/plugins/entries/acpx/config/stateDir");
    WorkspaceConfig { default, of_agents, acpx_state_dir, problems: texts.problems }
}

/// Text values, with `${NAME}` replaced.
pub(super) struct Texts<'a> {
    pub(super) paths: &'a Surroundings<'a>,
    pub(super) root: &'a Value,
    pub(super) problems: Vec<String>,
}

impl Texts<'_> {
    fn at(&mut self, pointer: &str) -> Option<String> {
        let text = self.root.pointer(pointer)?.as_str()?;
        match self.resolve(text) {
            Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(name) => {
                // The gateway may well have the variable; we do not.
                self.problems
                    .push(format!("`{pointer}` needs the variable {name}, which is not set"));
                None
            }
        }
    }

    /// Returns the text with its variables replaced.
    ///
    /// # Errors
    ///
    /// Returns the name of one that has no value.
    pub(super) fn resolve(&self, text: &str) -> Result<String, String> {
        substitute(text, |name| self.variable(name))
    }

    /// The environment first, then `env.vars` and `env` of the configuration itself.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let own = |prefix: &str| {
            let text = self.root.pointer(&format!("{prefix}/{name}"))?.as_str()?;
            (!text.is_empty() && !text.contains("${")).then(|| text.to_owned())
        };
        self.paths.trimmed(name).or_else(|| own("/env/vars")).or_else(|| own("/env"))
    }
}

/// Replaces `${NAME}` (capitals, digits and `_`); `$${NAME}` stands for the text `${NAME}`.
///
/// # Errors
///
/// Returns the name that has no value.
fn substitute(text: &str, value: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at..];
        if let Some((name, after)) = tail.strip_prefix("$${").and_then(variable_name) {
            out.push_str(&format!("${{{name}}}"));
            rest = after;
        } else if let Some((name, after)) = tail.strip_prefix("${").and_then(variable_name) {
            out.push_str(&value(name).ok_or_else(|| name.to_owned())?);
            rest = after;
        } else {
            out.push('$');
            rest = &tail[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn variable_name(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.split_once('}')?;
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_uppercase() || b == b'_');
    let rest = bytes.all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    (first && rest).then_some((name, after))
}

fn port(value: Option<&Value>) -> Option<u16> {
    let value = value?;
    let whole = value.as_u64().or_else(|| {
        // JSON5 knows `18789.0`, and so does JavaScript.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "range checked"
        )]
        value.as_f64().filter(|v| v.fract() == 0.0 && (1.0..65536.0).contains(v)).map(|v| v as u64)
    })?;
    u16::try_from(whole).ok().filter(|&port| port > 0)
}

/// The gateway's own rule: one leading slash, no trailing one (2026.4.15 to 2026.9.6).
fn base_path(text: Option<String>) -> String {
    let text = text.unwrap_or_default();
    let text = text.trim_matches('/');
    // It becomes part of a request line.
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
    if text.is_empty() || !text.bytes().all(plain) { String::new() } else { format!("/{text}") }
}

fn agents(root: &Value) -> Vec<String> {
    let list = root.pointer("/agents/list").and_then(Value::as_array);
    let mut ids: Vec<String> = Vec::new();
    for id in list.into_iter().flatten().filter_map(|agent| agent.get("id")?.as_str()) {
        let id = normalize_agent(id);
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// Returns the agent id as the gateway writes it: lower case, `[a-z0-9_-]`, at most 64, `main`
/// if nothing is left.
pub(super) fn normalize_agent(id: &str) -> String {
    let lower = id.trim().to_lowercase();
    let mut clean = String::new();
    for c in lower.chars() {
        if c.is_ascii_alphanumeric() || c == '_' || c == '-' {
            clean.push(c);
        } else if !clean.ends_with('-') {
            clean.push('-');
        }
    }
    let clean: String = clean.trim_matches('-').chars().take(64).collect();
    if clean.is_empty() { "main".to_owned() } else { clean }
}

#[cfg(test)]
fn read_text(text: &str) -> (GatewayConfig, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("openclaw.json");
    std::fs::write(&path, text).unwrap();
    let env = |name: &str| (name == "STORE_ROOT").then(|| "/data".to_owned());
    read(&path, &Surroundings { env: &env, cwd: "/".into(), passwd_home: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_needs_and_keeps_no_secret() {
        let (config, problems) = read_text(
            "{ gateway: { port: 21600, bind: 'loopback', auth: { token: 'hunter2' },
                 controlUi: { basePath: 'claw/' } },
               session: { store: '${STORE_ROOT}/{agentId}.json' },
               agents: { list: [ { id: 'Main' }, { id: 'My Bot!' }, { id: 'main' }, 7 ] },
               models: { apiKey: '${NOT_OURS}' },
               meta: { lastTouchedVersion: '2026.4.15' } }",
        );
        assert_eq!(problems, Vec::<String>::new());
        assert!(!format!("{config:?}").contains("hunter2"));
        assert_eq!(config.port, Some(21600));
        assert_eq!(config.base_path, "/claw");
        assert_eq!(config.session_store.as_deref(), Some("/data/{agentId}.json"));
        assert_eq!(config.agents, ["main", "my-bot"]);
        assert_eq!(config.last_touched_version.as_deref(), Some("2026.4.15"));
    }

    #[test]
    fn what_has_another_shape_is_as_if_absent() {
        for text in [
            "[]",
            "7",
            "{gateway: 1, session: [], agents: {list: {}}, meta: null}",
            "{gateway: {port: 'x', bind: 3}}",
            "{gateway: {port: 70000}}",
            "{gateway: {port: 0}}",
        ] {
            assert_eq!(read_text(text), (GatewayConfig::default(), vec![]), "{text}");
        }
    }

    #[test]
    fn a_broken_file_is_a_problem_and_defaults() {
        for text in ["", "{gateway: {port: 1", "[".repeat(100_000).as_str()] {
            let (mut config, problems) = read_text(text);
            assert_eq!(std::mem::take(&mut config.workspaces.problems).len(), 1);
            assert_eq!((config, problems.len()), (GatewayConfig::default(), 1));
        }
    }

    #[test]
    fn reads_what_it_says_about_its_own_recovery_and_its_certificate() {
        let (config, problems) = read_text(
            "{ diagnostics: { stuckSessionWarnMs: 60000.9, stuckSessionAbortMs: -1 },
               agents: { defaults: { compaction: { timeoutSeconds: 600 } } },
               gateway: { tls: { enabled: true, certPath: '${STORE_ROOT}/c.pem' },
                 customBindHost: '10.0.0.1' } }",
        );
        assert_eq!(problems, Vec::<String>::new());
        let minutes = |n: u64| Some(Duration::from_secs(60 * n));
        let limits =
            Configured { is_off: false, warn: minutes(1), abort: None, compaction: minutes(10) };
        assert_eq!(config.limits, limits);
        assert_eq!(config.tls.unwrap().certificate.as_deref(), Some("/data/c.pem"));
        assert_eq!(config.bind_host.as_deref(), Some("10.0.0.1"));
        let (config, _) = read_text("{diagnostics: {enabled: false, stuckSessionWarnMs: 1e300}}");
        assert_eq!((config.limits.is_off, config.limits.warn), (true, None));
        for text in ["{gateway: {tls: {enabled: 'true'}}}", "{gateway: {tls: true}}"] {
            assert_eq!(read_text(text).0.tls, None, "{text}");
        }
    }

    #[test]
    fn reads_where_agents_work() {
        let (config, problems) = read_text(
            "{ agents: { defaults: { workspace: '~/w' },
                 list: [ { id: 'a' }, { id: 'b', workspace: ' ${STORE_ROOT}/b ' }, 7 ] },
               plugins: { entries: { acpx: { config: { stateDir: '/x' } } } } }",
        );
        assert_eq!(problems, Vec::<String>::new());
        let found = config.workspaces;
        assert_eq!(found.default.as_deref(), Some("~/w"));
        assert_eq!(found.of_agents, ["/data/b"]);
        assert_eq!(found.acpx_state_dir.as_deref(), Some("/x"));
        assert_eq!(found.problems, Vec::<String>::new());
    }

    #[test]
    fn what_only_hides_records_is_no_problem_of_anything_else() {
        for text in [
            "{plugins: {entries: {acpx: {config: {stateDir: '${NONE}/x'}}}}}",
            "{plugins: {$include: './none.json'}}",
            "{agents: {list: [{workspace: '${NONE}'}]}}",
        ] {
            let (config, problems) = read_text(text);
            assert_eq!((problems.len(), config.workspaces.problems.len()), (0, 1), "{text}");
        }
    }

    #[test]
    fn a_variable_that_is_not_set_is_a_problem_of_its_field_alone() {
        let (config, problems) = read_text("{session: {store: '${NONE}/x'}, gateway: {port: 1}}");
        assert_eq!((config.port, config.session_store), (Some(1), None));
        assert!(problems[0].contains("NONE"));
        let (config, problems) =
            read_text("{session: {store: '${NONE}/x'}, env: {vars: {NONE: '/v'}}}");
        assert_eq!((config.session_store.as_deref(), problems.len()), (Some("/v/x"), 0));
    }

    #[test]
    fn substitutes_as_the_gateway_does() {
        let value = |name: &str| (name == "A_1").then(|| "x".to_owned());
        for (text, want) in [
            ("a${A_1}b", "axb"),
            ("$${A_1}", "${A_1}"),
            ("$A_1 ${a} ${} $ ${A_1", "$A_1 ${a} ${} $ ${A_1"),
            ("é${A_1}é", "éxé"),
        ] {
            assert_eq!(substitute(text, value).as_deref(), Ok(want));
        }
        assert_eq!(substitute("${B}", value), Err("B".to_owned()));
    }
}
