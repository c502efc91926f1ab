//! Durations for people.

use std::time::Duration;

/// Writes a duration in its two largest units: `3d 4h`, `20m 5s`, `900ms`.
#[must_use]
pub(crate) fn span(of: Duration) -> String {
    let seconds = of.as_secs();
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    let pair = |a: u64, unit_a, b: u64, unit_b| match b {
        0 => format!("{a}{unit_a}"),
        _ => format!("{a}{unit_a} {b}{unit_b}"),
    };
    match (days, hours, minutes, seconds) {
        (0, 0, 0, 0) if of.is_zero() => "0s".to_owned(),
        (0, 0, 0, 0) => format!("{}ms", of.as_millis()),
        (0, 0, 0, s) => format!("{s}s"),
        (0, 0, m, s) => pair(m, 'm', s, 's'),
        (0, h, m, _) => pair(h, 'h', m, 'm'),
        (d, h, ..) => pair(d, 'd', h, 'h'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_has_two_units_at_most() {
        let cases = [(0, "0s"), (59, "59s"), (60, "1m"), (1_205, "20m 5s"), (273_600, "3d 4h")];
        for (seconds, want) in cases {
            assert_eq!(span(Duration::from_secs(seconds)), want);
        }
        assert_eq!(span(Duration::from_millis(900)), "900ms");
    }
}
