//! What was found, beside the floor of the same run and the budget.

/// What a measurement may come to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    /// So many times the floor.
    Times(f64),
    /// So much, in the unit of the row.
    AtMost(f64),
    /// As much as the floor.
    Same,
    /// Anything: it is told for comparison.
    Any,
}

/// The rows so far.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<[String; 6]>,
}

impl Table {
    /// Adds a row. A floor of zero means that there is none.
    pub(crate) fn row(&mut self, what: &str, unit: &str, floor: f64, ours: f64, budget: Budget) {
        let has_floor = floor > 0.0;
        let (budget, is_kept) = match budget {
            Budget::Times(most) => (format!("{most} x"), Some(ours <= most * floor)),
            Budget::AtMost(most) => (format!("{} {unit}", number(most)), Some(ours <= most)),
            Budget::Same => (format!("{} {unit}", number(floor)), Some(ours == floor)),
            Budget::Any => (String::new(), None),
        };
        self.rows.push([
            what.to_owned(),
            if has_floor { format!("{} {unit}", number(floor)) } else { String::new() },
            format!("{} {unit}", number(ours)),
            if has_floor { format!("{:.2} x", ours / floor) } else { String::new() },
            budget,
            match is_kept {
                Some(true) => "ok".to_owned(),
                Some(false) => "MISSED".to_owned(),
                None => String::new(),
            },
        ]);
    }

    /// Prints it as Markdown.
    #[expect(clippy::print_stdout, reason = "prints its figures")]
    pub(crate) fn print(&self) {
        let head = ["what", "floor", "ours", "ratio", "budget", ""].map(str::to_owned);
        let all = || std::iter::once(&head).chain(&self.rows);
        let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: [usize; 6] = std::array::from_fn(width);
        let line = |row: &[String; 6]| {
            let cells = row.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            println!("| {} |", cells.collect::<Vec<_>>().join(" | "));
        };
        line(&head);
        let rules = widths.map(|width| "-".repeat(width));
        line(&rules);
        self.rows.iter().for_each(line);
    }
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value if value >= 1.0 => format!("{value:.2}"),
        value => format!("{value:.3}"),
    }
}
