//! What an agent may use, as people write it: `90% for 15m`, `2GiB`.

use crate::policy::settings::CpuLimit;

use super::duration;
use super::written::Word;

/// The rule for [`CpuLimit`], for editors.
pub(super) const CPU_PATTERN: &str = "^[0-9]+% for [0-9]+(ms|s|m|h|d)$";

/// The rule for [`Bytes`], for editors.
pub(super) const BYTES_PATTERN: &str = "^[0-9]+(MiB|GiB)$";

impl Word for CpuLimit {
    const EXPECTED: &'static str = "a share of one processor and a time, such as `90% for 15m`";

    fn read(text: &str) -> Option<CpuLimit> {
        let (share, over) = text.split_once("% for ")?;
        Some(CpuLimit { percent: number(share)?, over: duration::parse(over)? })
    }
}

/// An amount of memory. Only binary units are taken: `2GB` is 7 % less than most who write it
/// mean.
#[derive(Clone, Copy, Debug, Eq, PartialEq, PartialOrd)]
pub(super) struct Bytes(pub(super) u64);

impl Word for Bytes {
    const EXPECTED: &'static str = "an amount of memory with a unit, such as `512MiB` or `2GiB`";

    fn read(text: &str) -> Option<Bytes> {
        let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let size = UNITS.into_iter().find(|(_, name)| *name == unit)?.0;
        number::<u64>(count)?.checked_mul(size).map(Bytes)
    }
}

impl Bytes {
    /// Writes it in the largest unit that loses nothing.
    pub(super) fn text(self) -> String {
        let unit = UNITS.into_iter().find(|(size, _)| self.0.is_multiple_of(*size));
        unit.map_or_else(
            || format!("{} bytes", self.0),
            |(size, name)| format!("{}{name}", self.0 / size),
        )
    }

    /// Returns what was probably meant by another spelling of a unit.
    pub(super) fn meant(text: &str) -> Option<String> {
        let (count, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
        let unit = match unit.trim_start().to_ascii_lowercase().as_str() {
            "m" | "mb" | "mib" => "MiB",
            "g" | "gb" | "gib" => "GiB",
            _ => return None,
        };
        let meant = format!("{count}{unit}");
        Bytes::read(&meant).map(|_| meant)
    }
}

/// Large ones first.
const UNITS: [(u64, &str); 2] = [(1 << 30, "GiB"), (1 << 20, "MiB")];

/// Unlike `parse` alone, takes no sign.
fn number<T: std::str::FromStr>(digits: &str) -> Option<T> {
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::assert_problems;
    use super::*;

    #[test]
    fn a_share_of_a_processor_has_its_time() {
        let limit = CpuLimit { percent: 90, over: Duration::from_mins(15) };
        assert_eq!(CpuLimit::read("90% for 15m"), Some(limit));
        for text in [
            "",
            "90%",
            "90",
            "90% for",
            "90% for ",
            "90 % for 15m",
            "90%  for 15m",
            "% for 1m",
            "90% for 15",
            "+9% for 1m",
            "-9% for 1m",
            "9.5% for 1m",
            "90% for 15m ",
            "90% For 1m",
            "99999999999% for 1m",
        ] {
            assert_eq!(CpuLimit::read(text), None, "{text}");
        }
    }

    #[test]
    fn memory_has_a_binary_unit_and_is_written_back() {
        for (text, bytes) in [("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1024GiB", 1_u64 << 40)] {
            assert_eq!(Bytes::read(text), Some(Bytes(bytes)));
            assert_eq!(Bytes(bytes).text(), text);
        }
        for text in ["", "2", "GiB", "2GB", "2G", "2gib", "2 GiB", "1.5GiB", "-1GiB", "2GiBs"] {
            assert_eq!(Bytes::read(text), None, "{text}");
        }
        assert_eq!(Bytes::read("18446744073709551615GiB"), None, "overflow");
        assert_eq!(Bytes::read("99999999999999999999MiB"), None, "overflow");
    }

    #[test]
    fn another_spelling_of_a_unit_is_understood_and_not_taken() {
        for (text, meant) in [("2GB", "2GiB"), ("2 gib", "2GiB"), ("512m", "512MiB")] {
            assert_eq!(Bytes::meant(text).as_deref(), Some(meant));
        }
        for text in ["", "2", "GB", "2TB", "99999999999999999999G"] {
            assert_eq!(Bytes::meant(text), None, "{text}");
        }
    }

    #[test]
    fn every_limit_has_its_bounds_and_can_be_off() {
        check("cpu: 1% for 1m", "");
        check("cpu: 6400% for 24h", "");
        check(
            "cpu: 0% for 1m",
            "must be at least 1% (got 0% for 1m); an idle agent uses that much",
        );
        check(
            "cpu: 6401% for 1m",
            "must be at most 6400% (got 6401% for 1m); for no limit, write `off`",
        );
        check(
            "cpu: 90% for 59s",
            "must be at least 1m (got 90% for 59s); a healthy turn can be busy for as long",
        );
        check(
            "cpu: 90% for 25h",
            "must be at most 1d (got 90% for 25h); for no limit, write `off`",
        );
        check(
            "cpu: 90%",
            "expected a share of one processor and a time, such as `90% for 15m`, or `off`, got the text `90%`",
        );
        check("memory: 64MiB", "");
        check("memory: 1024GiB", "");
        check("memory: 63MiB", "must be at least 64MiB (got 63MiB); every healthy agent uses more");
        check(
            "memory: 1025GiB",
            "must be at most 1024GiB (got 1025GiB); for no limit, write `off`",
        );
        let memory =
            "expected an amount of memory with a unit, such as `512MiB` or `2GiB`, or `off`";
        check("memory: 2GB", &format!("{memory}, got the text `2GB`; did you mean `2GiB`?"));
        check("memory: 2147483648", &format!("{memory}, got the number `2147483648`"));
        check("age: 1h", "");
        check("age: 365d", "");
        check(
            "age: 59m",
            "must be at least 1h (got 59m); a healthy agent may be at work for as long",
        );
        check("age: 366d", "must be at most 365d (got 366d); for no limit, write `off`");
        check(
            "age: never",
            "expected a duration with a unit, such as `90s`, `10m` or `2h`, or `off`, got the text `never`; did you mean `off`?",
        );
        check("age: off", "");
        check("memory: off", "");
        check("cpu: \"off\"", "");
        check(
            "cpu: {percent: 90}",
            "expected a share of one processor and a time, such as `90% for 15m`, or `off`, got keys and values",
        );
    }

    #[test]
    fn limits_arrive_as_numbers() {
        let text = "policies: {runaway_agent: {cpu: 200% for 1h, memory: off, age: 2d}}";
        let limits = super::super::tests::compile(&[text]).unwrap().config.policies.runaway_agent;
        assert_eq!(limits.cpu, Some(CpuLimit { percent: 200, over: Duration::from_hours(1) }));
        assert_eq!((limits.memory, limits.age), (None, Some(Duration::from_hours(48))));
    }

    #[track_caller]
    fn check(setting: &str, want: &str) {
        let before = "policies: {runaway_agent: {";
        let (name, _) = setting.split_once(": ").unwrap();
        let column = before.len() + name.len() + 3;
        let want = format!("0.yaml:1:{column} policies.runaway_agent.{name}: {want}");
        let has_problem = !want.ends_with(": ");
        let want = if has_problem { vec![want.as_str()] } else { Vec::new() };
        assert_problems(&[&format!("{before}{setting}}}}}")], &want);
    }
}
