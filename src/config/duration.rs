//! Durations as people write them: `500ms`, `90s`, `10m`, `2h`, `90d`.

use std::time::Duration;

use super::written::Word;

/// The rule for editors.
pub(super) const PATTERN: &str = "^[0-9]+(ms|s|m|h|d)$";

impl Word for Duration {
    const EXPECTED: &'static str = "a duration with a unit, such as `90s`, `10m` or `2h`";

    fn read(text: &str) -> Option<Duration> {
        parse(text)
    }
}

/// Reads one number and one unit; `None` for everything else, and beyond what a clock holds.
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let count: u64 = digits.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(count)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    count.checked_mul(seconds).map(Duration::from_secs)
}

/// Writes a duration in the largest unit that loses nothing.
pub(super) fn text(of: Duration) -> String {
    let seconds = of.as_secs();
    if of.subsec_nanos() != 0 {
        return format!("{}ms", of.as_millis());
    }
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    let unit = units.into_iter().find(|(size, _)| seconds > 0 && seconds.is_multiple_of(*size));
    unit.map_or_else(|| format!("{seconds}s"), |(size, unit)| format!("{}{unit}", seconds / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_one_number_and_one_unit_and_writes_them_back() {
        for (shape, millis) in
            [("500ms", 500), ("90s", 90_000), ("10m", 600_000), ("2h", 7_200_000), ("0s", 0)]
        {
            assert_eq!(parse(shape), Some(Duration::from_millis(millis)));
            assert_eq!(text(Duration::from_millis(millis)), shape);
        }
        assert_eq!(parse("90d"), Some(Duration::from_hours(90 * 24)));
    }

    #[test]
    fn refuses_everything_else() {
        for text in
            ["", "5", "s", "-5s", "5 s", "5min", "1h30m", "5S", "٣s", "99999999999999999999s"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse(&format!("{}d", u64::MAX)), None, "overflow");
    }
}
