//! Whether one value is what its key wants.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_yaml::Value;

use super::access;
use super::bounds::{Bounds, CPU_OVER, CPU_SHARE};
use super::duration;
use super::keys::Kind;
use super::limit::Bytes;
use super::nearest::nearest;
use super::problem::is_unsafe;
use super::process;
use super::written::{OFF, Word};
use crate::model::{GatewayUrl, Mark};
use crate::policy::settings::CpuLimit;

/// Most characters of a foreign text that a message repeats.
const QUOTED_MAX: usize = 40;

/// Longest pattern. Session keys are a few dozen characters.
const PATTERN_MAX: usize = 512;

/// Longest name of a section. It stands in every report.
const NAME_MAX: usize = 32;

/// The rule for such a name, for editors.
pub(super) const NAME_PATTERN: &str = "^[a-z0-9-]{1,32}$";

/// What a value is judged by besides its key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms<'a> {
    /// Times below their floors are allowed.
    pub(super) allow_short: bool,
    /// The home directory, for `~/`.
    pub(super) home: Option<&'a str>,
}

/// Checks one scalar.
///
/// # Errors
///
/// Returns what is wrong and what was expected, without the key path.
pub(super) fn check(kind: Kind, text: &str, is_plain: bool, terms: Terms) -> Result<(), String> {
    match kind {
        Kind::Limit(_) if text == OFF => Ok(()),
        Kind::Limit(of) => scalar(*of, kind, text, is_plain, terms).map_err(|problem| {
            // Some programs that write YAML turn `off` into `false`.
            let is_off = ["false", "no", "none", "never"].contains(&text);
            problem + &meant(is_off.then_some(OFF))
        }),
        _ => scalar(kind, kind, text, is_plain, terms),
    }
}

/// `named` is the kind that a message names.
fn scalar(kind: Kind, named: Kind, text: &str, is_plain: bool, terms: Terms) -> Result<(), String> {
    let unexpected = || wrong(named, &shown(text, is_plain));
    let text_only = || if is_text(text, is_plain) { Ok(()) } else { Err(unexpected()) };
    match kind {
        Kind::Duration(bounds) => {
            let value = Duration::read(text).ok_or_else(unexpected)?;
            within(bounds, value, duration::text, text, terms)
        }
        Kind::Count(bounds) => within(
            bounds,
            count(text, is_plain).ok_or_else(unexpected)?,
            |n| n.to_string(),
            text,
            terms,
        ),
        Kind::Cpu => {
            let limit = CpuLimit::read(text).ok_or_else(unexpected)?;
            within(CPU_SHARE, limit.percent, |share| format!("{share}%"), text, terms)?;
            within(CPU_OVER, limit.over, duration::text, text, terms)
        }
        Kind::Memory(bounds) => {
            let value =
                Bytes::read(text).ok_or_else(|| unexpected() + &meant(Bytes::meant(text)))?;
            within(bounds, value, Bytes::text, text, terms)
        }
        Kind::Flag => flag(text, is_plain),
        Kind::Choice(words) | Kind::Choices(words) => word(words, text),
        Kind::Folder => folder(text, terms),
        Kind::File => access::file(text, terms),
        Kind::Url => access::url(text),
        Kind::Name => access::variable(text),
        Kind::Lanes => lanes(text).and_then(|()| text_only()),
        Kind::Programs => process::program(text).and_then(|()| text_only()),
        Kind::Ending => process::ending(text).and_then(|()| text_only()),
        Kind::Variable => {
            text_only()?;
            Mark::read(text).map(|_| ()).ok_or_else(unexpected)
        }
        Kind::Section | Kind::Overrides | Kind::Processes | Kind::Limit(_) => Err(unexpected()),
    }
}

/// Checks that a word of a list stands where it belongs, behind the one before it.
///
/// # Errors
///
/// Returns what is wrong.
pub(super) fn order(kind: Kind, before: Option<&str>, text: &str) -> Result<(), String> {
    let (Kind::Choices(words), Some(before)) = (kind, before) else { return Ok(()) };
    let place = |word| words.iter().position(|known| *known == word);
    match (place(before), place(text)) {
        (Some(dear), Some(cheap)) if cheap < dear => {
            Err(format!("{} costs less than {}; write it before", quoted(text), quoted(before)))
        }
        _ => Ok(()),
    }
}

/// Checks the name that a section was given.
///
/// # Errors
///
/// Returns what is wrong with it.
pub(super) fn name(text: &str) -> Result<(), String> {
    let is_one = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=NAME_MAX).contains(&text.len()) && text.chars().all(is_one) && is_text(text, true) {
        return Ok(());
    }
    let quoted = quoted(text);
    Err(format!("{quoted} is no name, expected 1 to {NAME_MAX} of `a` to `z`, `0` to `9` and `-`"))
}

/// Returns the message for a value of another type.
pub(super) fn wrong(kind: Kind, got: &str) -> String {
    format!("expected {}, got {got}", expected(kind))
}

/// Returns a foreign text for use in a message, shortened.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// Returns the end of a message that says what was probably meant.
pub(super) fn meant(meant: Option<impl Display>) -> String {
    meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"))
}

/// Returns the words for a message: `` one of `a`, `b` ``.
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.as_slice() {
        [word] => word.clone(),
        words => format!("one of {}", words.join(", ")),
    }
}

/// Replaces a leading `~/`. The path must have been checked.
pub(super) fn expand(path: &Path, home: Option<&str>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(below), Some(home)) => Path::new(home).join(below),
        _ => path.to_owned(),
    }
}

fn expected(kind: Kind) -> String {
    match kind {
        Kind::Section => "keys and values".to_owned(),
        Kind::Overrides => "a list of sections".to_owned(),
        Kind::Processes => "a list of patterns, such as `[{ exe: my-agent }]`".to_owned(),
        Kind::Duration(_) => Duration::EXPECTED.to_owned(),
        Kind::Count(_) => "a whole number".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Choice(words) => one_of(words.iter().copied()),
        Kind::Choices(words) => format!("a list of {}", one_of(words.iter().copied())),
        Kind::Folder => "a folder".to_owned(),
        Kind::File => "a file".to_owned(),
        Kind::Url => GatewayUrl::EXPECTED.to_owned(),
        Kind::Name => "the name of a variable".to_owned(),
        Kind::Lanes => "a pattern for session keys, such as `\"agent:*:cron:*\"`".to_owned(),
        Kind::Cpu => CpuLimit::EXPECTED.to_owned(),
        Kind::Memory(_) => Bytes::EXPECTED.to_owned(),
        Kind::Limit(of) => format!("{}, or `off`", expected(*of)),
        Kind::Programs => "the file name of an executable, or a list of them".to_owned(),
        Kind::Ending => "the end of an argument, such as `my-agent/dist/index.js`".to_owned(),
        Kind::Variable => Mark::EXPECTED.to_owned(),
    }
}

fn shown(text: &str, is_plain: bool) -> String {
    let is_number = is_plain && text.parse::<f64>().is_ok();
    format!("{} {}", if is_number { "the number" } else { "the text" }, quoted(text))
}

/// A number with a leading zero is octal to some readers.
fn count(text: &str, is_plain: bool) -> Option<u32> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_number = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    (is_plain && is_canonical && is_number).then(|| text.parse().unwrap_or(u32::MAX))
}

fn within<T: Copy + PartialOrd>(
    bounds: Bounds<T>,
    value: T,
    write: impl Fn(T) -> String,
    got: &str,
    terms: Terms,
) -> Result<(), String> {
    let least = if terms.allow_short { bounds.short } else { bounds.least };
    let got = quoted(got);
    let got = got.trim_matches('`');
    if value < least {
        return Err(format!("must be at least {} (got {got}); {}", write(least), bounds.below));
    }
    if value > bounds.most {
        return Err(format!(
            "must be at most {} (got {got}); {}",
            write(bounds.most),
            bounds.above
        ));
    }
    Ok(())
}

fn flag(text: &str, is_plain: bool) -> Result<(), String> {
    let meant = match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Some("true"),
        "false" | "no" | "off" | "n" => Some("false"),
        other => nearest(other, ["true", "false"]),
    };
    match meant {
        Some(meant) if is_plain && meant == text => Ok(()),
        Some(meant) => {
            Err(format!("{}; did you mean `{meant}`?", wrong(Kind::Flag, &quoted(text))))
        }
        None => Err(wrong(Kind::Flag, &shown(text, is_plain))),
    }
}

fn word(words: &[&str], text: &str) -> Result<(), String> {
    if words.contains(&text) {
        return Ok(());
    }
    let words = words.iter().copied();
    let hint = meant(nearest(text, words.clone()));
    Err(format!("unknown value {}, expected {}{hint}", quoted(text), one_of(words)))
}

pub(super) fn folder(text: &str, terms: Terms) -> Result<(), String> {
    if text.contains(is_unsafe) {
        return Err(UNPRINTABLE.to_owned());
    }
    let path = Path::new(text);
    if path.starts_with("~") && terms.home.is_none() {
        return Err("`~` is unknown because HOME is not set; write the whole path".to_owned());
    }
    if path.is_absolute() || path.starts_with("~") {
        return Ok(());
    }
    Err(format!(
        "must begin with `/` or `~/` (got {}); it has no folder to start from",
        quoted(text)
    ))
}

fn lanes(text: &str) -> Result<(), String> {
    if text.contains(is_unsafe) {
        return Err(UNPRINTABLE.to_owned());
    }
    if text.len() > PATTERN_MAX {
        return Err(format!("must be at most {PATTERN_MAX} bytes long; session keys are shorter"));
    }
    Ok(())
}

/// Returns true for what YAML takes for text. Without quotes a number or `true` is none.
fn is_text(text: &str, is_plain: bool) -> bool {
    let is_string = || serde_yaml::from_str::<Value>(text).is_ok_and(|value| value.is_string());
    !text.is_empty() && (!is_plain || (text.len() <= PATTERN_MAX && is_string()))
}

pub(super) const UNPRINTABLE: &str = "has an unprintable character; no real name has one";

#[cfg(test)]
mod tests {
    use super::super::keys::named;
    use super::*;

    #[test]
    fn durations() {
        check_at("policies.stale_lane.after", "5m", "");
        check_at(
            "policies.stale_lane.after",
            "299s",
            "must be at least 5m (got 299s); a younger run may still be reported by the gateway itself",
        );
        check_at("policies.stale_lane.after", "30d", "");
        check_at(
            "policies.stale_lane.after",
            "31d",
            "must be at most 30d (got 31d); so long a wait never ends; write `mode: off`",
        );
        check_at(
            "interval",
            "30",
            "expected a duration with a unit, such as `90s`, `10m` or `2h`, got the number `30`",
        );
        check_at(
            "interval",
            "1h30m",
            "expected a duration with a unit, such as `90s`, `10m` or `2h`, got the text `1h30m`",
        );
    }

    #[test]
    fn counts() {
        check_at("confirm.looks", "1", "");
        check_at("confirm.looks", "100", "");
        check_at("confirm.looks", "0", "must be at least 1 (got 0); nothing can be judged unseen");
        let most = "must be at most 100 (got 99999999999); so many looks never end";
        check_at("confirm.looks", "99999999999", most);
        for text in ["-1", "1.5", "007", "0x10", "+1", "five"] {
            let problem = judge("confirm.looks", text, TERMS).unwrap_err();
            assert!(problem.starts_with("expected a whole number, got"), "{problem}");
        }
    }

    #[test]
    fn words_and_flags() {
        check_at("policies.dead_lock.mode", "off", "");
        check_at(
            "policies.dead_lock.mode",
            "enforced",
            "unknown value `enforced`, expected one of `off`, `observe`, `enforce`; did you mean `enforce`?",
        );
        check_at("policies.stale_lane.repair", "reset", "");
        check_at(
            "policies.held_lock.repair",
            "recover",
            "unknown value `recover`, expected one of `abort`, `steer`, `reset`, `new`",
        );
        check_at(
            "policies.gateway_health.mode",
            "enforce",
            "unknown value `enforce`, expected one of `off`, `observe`",
        );
        check_at("allow_short", "true", "");
        check_at(
            "allow_short",
            "yes",
            "expected `true` or `false`, got `yes`; did you mean `true`?",
        );
        check_at("allow_short", "7", "expected `true` or `false`, got the number `7`");
    }

    #[test]
    fn folders_begin_somewhere() {
        check_at("gateway.state_dir", "/var/lib/openclaw", "");
        check_at("gateway.state_dir", "~/.openclaw", "");
        let relative = "must begin with `/` or `~/` (got `state`); it has no folder to start from";
        check_at("gateway.state_dir", "state", relative);
        assert!(judge("gateway.state_dir", "~other/x", TERMS).is_err());
        assert!(judge("gateway.state_dir", "/a\u{0}b", TERMS).is_err());
        let homeless = Terms { home: None, ..TERMS };
        assert!(judge("gateway.state_dir", "~/.openclaw", homeless).is_err());
        assert_eq!(expand(Path::new("~/a"), TERMS.home), Path::new("/h/a"));
        assert_eq!(expand(Path::new("/a/~/b"), TERMS.home), Path::new("/a/~/b"));
    }

    #[test]
    fn patterns_are_plain_text() {
        check_at("overrides[].match.lane", "agent:*:cron:*", "");
        for text in ["", "5", "true", "a\u{7}", "a\u{202e}", &"a".repeat(513)] {
            assert!(judge("overrides[].match.lane", text, TERMS).is_err(), "{text}");
        }
    }

    #[test]
    fn only_tests_may_go_below_the_floors() {
        let short = Terms { allow_short: true, ..TERMS };
        assert_eq!(judge("policies.stale_lane.after", "0s", short), Ok(()));
        assert_eq!(judge("interval", "10ms", short), Ok(()));
        assert!(judge("interval", "9ms", short).is_err(), "a busy loop serves no test");
        assert!(judge("policies.stale_lane.after", "31d", short).is_err());
    }

    const TERMS: Terms = Terms { allow_short: false, home: Some("/h") };

    fn judge(path: &str, text: &str, terms: Terms) -> Result<(), String> {
        check(named(path).unwrap().kind, text, true, terms)
    }

    #[track_caller]
    fn check_at(path: &str, text: &str, want: &str) {
        assert_eq!(judge(path, text, TERMS).err().unwrap_or_default(), want);
    }
}
