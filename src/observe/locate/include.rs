//! `$include` in the gateway's configuration.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use super::document::{self, DEPTH_MAX};

const KEY: &str = "$include";
/// How deep files may include files: the gateway's own limit (2026.4.15 to 2026.9.6).
const CHAIN_MAX: usize = 10;
/// Most files of one configuration. The gateway has no such limit; ten levels of repeated
/// includes would otherwise be a bomb.
const FILES_MAX: usize = 64;

/// Replaces every `$include` under the wanted keys of a configuration read from `config`.
///
/// The gateway's rules: a path is relative to the file that names it and must lie, also after
/// symlinks, in the folder of the configuration or in one of `roots`
/// (`OPENCLAW_INCLUDE_ROOTS`); lists of files and sibling keys are merged, objects key by key,
/// arrays by concatenation, later over earlier. Where an include fails the value is dropped and
/// the reason pushed to `problems`.
pub(super) fn resolve(
    value: Value,
    config: &Path,
    roots: &[PathBuf],
    wanted: &[&str],
    problems: &mut Vec<String>,
) -> Value {
    let mut inside: Vec<PathBuf> = config.parent().map(Path::to_owned).into_iter().collect();
    inside.extend_from_slice(roots);
    let mut includes = Includes { inside, wanted, files: 0, problems };
    includes.resolve(value, &[normalize(config)], 0)
}

struct Includes<'a> {
    inside: Vec<PathBuf>,
    wanted: &'a [&'a str],
    files: usize,
    problems: &'a mut Vec<String>,
}

impl Includes<'_> {
    /// Resolves a value at `depth` in the file that is last in `chain`.
    fn resolve(&mut self, value: Value, chain: &[PathBuf], depth: usize) -> Value {
        if depth > DEPTH_MAX {
            return self.fail("includes nest too deeply");
        }
        match value {
            Value::Array(items) => {
                Value::Array(items.into_iter().map(|i| self.resolve(i, chain, depth + 1)).collect())
            }
            Value::Object(mut map) => {
                let named = map.remove(KEY);
                let rest = self.entries(map, chain, depth);
                match named {
                    None => Value::Object(rest),
                    Some(named) => self.include(&named, rest, chain, depth),
                }
            }
            scalar => scalar,
        }
    }

    fn entries(
        &mut self,
        map: Map<String, Value>,
        chain: &[PathBuf],
        depth: usize,
    ) -> Map<String, Value> {
        // The gateway, too, does not follow what nobody asked for (2026.9.6): a broken include
        // elsewhere hides nothing that is read here.
        map.into_iter()
            .filter(|(key, _)| depth > 0 || self.wanted.contains(&key.as_str()))
            .collect::<Vec<_>>()
            .into_iter()
            .map(|(key, value)| (key, self.resolve(value, chain, depth + 1)))
            .collect()
    }

    fn include(
        &mut self,
        named: &Value,
        rest: Map<String, Value>,
        chain: &[PathBuf],
        depth: usize,
    ) -> Value {
        let included = match named {
            Value::String(path) => self.load(path, chain, depth),
            Value::Array(paths) => {
                let mut merged = Value::Object(Map::new());
                for path in paths {
                    let next = match path.as_str() {
                        Some(path) => self.load(path, chain, depth),
                        None => self.fail("an $include names no file"),
                    };
                    merged = merge(merged, next);
                }
                merged
            }
            _ => self.fail("an $include names no file"),
        };
        match included {
            included if rest.is_empty() => included,
            Value::Object(included) => merge(Value::Object(included), Value::Object(rest)),
            Value::Null => Value::Object(rest),
            _ => self.fail("an $include with sibling keys names no object"),
        }
    }

    fn load(&mut self, named: &str, chain: &[PathBuf], depth: usize) -> Value {
        match self.open(named, chain) {
            Ok((path, value)) => {
                let mut chain = chain.to_vec();
                chain.push(path);
                self.resolve(value, &chain, depth)
            }
            Err(reason) => self.fail(&format!("$include `{}`: {reason}", named.escape_debug())),
        }
    }

    fn open(&mut self, named: &str, chain: &[PathBuf]) -> Result<(PathBuf, Value), String> {
        self.files += 1;
        if self.files > FILES_MAX || chain.len() > CHAIN_MAX {
            return Err("too many includes".to_owned());
        }
        let folder = chain.last().and_then(|file| file.parent()).unwrap_or(Path::new("/"));
        let path = normalize(&folder.join(named));
        if chain.contains(&path) {
            return Err("it includes itself".to_owned());
        }
        let real = fs::canonicalize(&path).map_err(|error| error.to_string())?;
        let allowed = |root: &PathBuf| {
            let real_root = fs::canonicalize(root).unwrap_or_else(|_| root.clone());
            path.starts_with(normalize(root)) && real.starts_with(real_root)
        };
        if !self.inside.iter().any(allowed) {
            return Err("outside the folder of the configuration".to_owned());
        }
        let value = document::read(&real)?.ok_or("no such file")?;
        Ok((path, value))
    }

    fn fail(&mut self, reason: &str) -> Value {
        self.problems.push(reason.to_owned());
        Value::Null
    }
}

/// Merges the way the gateway does: objects key by key, arrays joined, else the later wins.
fn merge(earlier: Value, later: Value) -> Value {
    match (earlier, later) {
        (Value::Array(mut earlier), Value::Array(later)) => {
            earlier.extend(later);
            Value::Array(earlier)
        }
        (Value::Object(mut earlier), Value::Object(later)) => {
            for (key, value) in later {
                let merged = match earlier.remove(&key) {
                    Some(old) => merge(old, value),
                    None => value,
                };
                earlier.insert(key, merged);
            }
            Value::Object(earlier)
        }
        (_, later) => later,
    }
}

/// Removes `.` and `..` without asking the filesystem, as Node's `path.normalize` does.
pub(in crate::observe) fn normalize(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(files: &[(&str, &str)], want: &str, want_problems: usize) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("config/sub")).unwrap();
        for (name, text) in files {
            std::fs::write(dir.path().join("config").join(name), text).unwrap();
        }
        let config = dir.path().join("config/openclaw.json");
        let value = document::read(&config).unwrap().unwrap();
        let mut problems = Vec::new();
        let got = resolve(value, &config, &[], &["gateway", "agents"], &mut problems);
        assert_eq!(got.to_string(), want, "{problems:?}");
        assert_eq!(problems.len(), want_problems, "{problems:?}");
    }

    #[test]
    fn merges_files_and_siblings_as_the_gateway_does() {
        check(
            &[
                ("openclaw.json", "{$include: ['a.json', './sub/b.json'], gateway: {port: 3}}"),
                ("a.json", "{gateway: {port: 1, bind: 'lan'}, agents: {list: [1]}}"),
                ("sub/b.json", "{gateway: {port: 2}, agents: {$include: 'c.json'}}"),
                ("sub/c.json", "{list: [2]}"),
            ],
            r#"{"agents":{"list":[1,2]},"gateway":{"bind":"lan","port":3}}"#,
            0,
        );
    }

    #[test]
    fn what_nobody_asked_for_is_not_followed() {
        check(
            &[("openclaw.json", "{models: {$include: 'none.json'}, gateway: {port: 3}}")],
            r#"{"gateway":{"port":3}}"#,
            0,
        );
    }

    #[test]
    fn cycles_escapes_and_missing_files_are_problems() {
        for include in ["openclaw.json", "../out.json", "/etc/hostname", "none.json"] {
            let text = format!("{{$include: '{include}', gateway: {{port: 3}}}}");
            check(&[("openclaw.json", &text)], r#"{"gateway":{"port":3}}"#, 1);
        }
    }

    #[test]
    fn an_include_through_a_symlink_out_of_the_folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("config")).unwrap();
        std::fs::write(dir.path().join("out.json"), "{port: 1}").unwrap();
        let link = dir.path().join("config/in.json");
        std::os::unix::fs::symlink(dir.path().join("out.json"), link).unwrap();
        let config = dir.path().join("config/openclaw.json");
        let value = document::parse("{gateway: {$include: 'in.json'}}").unwrap();
        let mut problems = Vec::new();
        resolve(value.clone(), &config, &[], &["gateway"], &mut problems);
        assert_eq!(problems.len(), 1);
        problems.clear();
        let roots = [dir.path().to_owned()];
        let got = resolve(value, &config, &roots, &["gateway"], &mut problems);
        assert_eq!((got["gateway"]["port"].as_i64(), problems.len()), (Some(1), 0));
    }

    #[test]
    fn a_bomb_of_repeated_includes_ends() {
        let two = "{gateway: {a: {$include: 'b.json'}, b: {$include: 'b.json'}}}";
        let dir = tempfile::tempdir().unwrap();
        for (name, next) in ["b", "c", "d", "e", "f", "g", "h", "i"]
            .iter()
            .zip(["c", "d", "e", "f", "g", "h", "i", "j"])
        {
            let text = format!("[{{$include: '{next}.json'}},{{$include: '{next}.json'}}]");
            std::fs::write(dir.path().join(format!("{name}.json")), text).unwrap();
        }
        std::fs::write(dir.path().join("j.json"), "1").unwrap();
        let mut problems = Vec::new();
        let config = dir.path().join("openclaw.json");
        resolve(document::parse(two).unwrap(), &config, &[], &["gateway"], &mut problems);
        assert!(problems.iter().any(|problem| problem.contains("too many")));
    }
}
