//! Which known name was probably meant.

/// Longer names are not compared.
const NAME_MAX: usize = 40;

/// Returns the known name nearest to `name`, if it is near enough to be a slip of the finger:
/// at most one edit in three characters.
pub(super) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.to_lowercase().chars().take(NAME_MAX + 1).collect();
    if name.len() > NAME_MAX {
        return None;
    }
    let allowed = (name.len() / 3).max(1);
    let distances = known.into_iter().map(|known| (distance(&name, known), known));
    distances.filter(|(edits, _)| *edits <= allowed).min_by_key(|(edits, _)| *edits).map(|d| d.1)
}

/// Counts the insertions, deletions and replacements that turn one into the other.
fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, a) in from.iter().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (left, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[left + 1];
            row[left + 1] = replaced.min(diagonal + 1).min(row[left] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        check("min_aeg", Some("min_age"));
        check("MODE", Some("mode"));
        check("mdoe", None);
        check("mod", Some("mode"));
        check("stale-lane", Some("stale_lane"));
        check("stalelane", Some("stale_lane"));
        check("zombie_task", None);
        check("", None);
        check("é", None);
        check(&"m".repeat(60_000), None);
    }

    #[track_caller]
    fn check(name: &str, want: Option<&str>) {
        assert_eq!(nearest(name, ["mode", "min_age", "stale_lane"]), want, "{name}");
    }
}
