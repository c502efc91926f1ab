//! The files of one configuration, from the weakest to the strongest.

use super::earlier::Earlier;
use super::effect::without_effect;
use super::origin::origins;
use super::problem::{Mark, PROBLEMS_MAX, Problem, Problems};
use super::source::Source;
use super::tree::{self, Flaw, Node, Shape};
use super::value::Terms;
use super::walk::{self, EMPTY, Setting};
use super::{Loaded, file};

/// One file and what it sets.
pub(super) struct Layer {
    pub(super) source: Source,
    pub(super) settings: Vec<Setting>,
}

/// A problem, and the number of its file.
pub(super) type Numbered = (usize, Problem);

/// Compiles files into one configuration.
///
/// # Errors
///
/// Returns every problem of every file at once.
pub(super) fn compile(
    sources: Vec<Result<Source, Problem>>,
    home: Option<&str>,
) -> Result<Loaded, Problems> {
    let mut problems: Vec<Numbered> = Vec::new();
    let mut parsed = Vec::new();
    for (number, source) in sources.into_iter().enumerate() {
        match source {
            Ok(source) => parsed.push((number, tree::read(&source.yaml), source)),
            Err(problem) => problems.push((number, problem)),
        }
    }
    let roots = parsed.iter().filter_map(|(_, (root, _), _)| root.as_ref());
    let allow_short = roots.filter_map(allow_short).next_back().unwrap_or(false);
    let terms = Terms { allow_short, home };

    let (mut layers, mut earlier) = (Vec::new(), Earlier::built_in());
    for (number, (root, flaws), source) in parsed {
        let (layer, found) = read(source, root.as_ref(), flaws, &mut earlier, terms);
        problems.extend(found.into_iter().map(|problem| (number, problem)));
        layers.push((number, layer));
    }
    problems.extend(without_effect(&layers));
    if problems.is_empty() {
        return loaded(&layers, home).map_err(|problem| Problems::new(vec![problem]));
    }
    problems.sort_by_key(|(number, problem)| (*number, problem.line, problem.column));
    Err(Problems::new(problems.into_iter().map(|(_, problem)| problem).collect()))
}

/// Walks over one file. `earlier` is what the files before give.
fn read(
    source: Source,
    root: Option<&Node>,
    flaws: Vec<Flaw>,
    earlier: &mut Earlier,
    terms: Terms,
) -> (Layer, Vec<Problem>) {
    // Where tabs were replaced the structure is a guess, and an error in it none of the user's.
    let is_guess = !source.flaws.is_empty();
    let (settings, mut found) = match root {
        Some(root) => walk::walk(root, earlier, terms),
        None if flaws.is_empty() && !is_guess => {
            (Vec::new(), vec![(Mark::START, EMPTY.to_owned())])
        }
        None => (Vec::new(), Vec::new()),
    };
    if !is_guess {
        found.extend(flaws);
    }
    found.sort_by_key(|(mark, _)| *mark);
    let found = found.into_iter().filter(|(mark, _)| !source.is_garbled(mark.line));
    let found = found.take(PROBLEMS_MAX + 1).map(|(mark, text)| source.problem(mark, &text));
    let problems = source.flaws.iter().cloned().chain(found).collect();
    (Layer { source, settings }, problems)
}

/// Returns what a file says about `allow_short`, which decides how all are judged.
fn allow_short(root: &Node) -> Option<bool> {
    let Shape::Map(entries) = &root.shape else { return None };
    let said = entries.iter().find(|entry| entry.key == "allow_short")?;
    match &said.value.shape {
        Shape::Text { text, is_plain: true } => text.parse().ok(),
        _ => None,
    }
}

fn loaded(layers: &[(usize, Layer)], home: Option<&str>) -> Result<Loaded, Problem> {
    let sources = || layers.iter().map(|(_, layer)| &layer.source);
    let mut documents = Vec::new();
    for source in sources() {
        let document = serde_yaml::from_str(&source.yaml);
        documents.push(document.map_err(|error| disagreement(source, &error))?);
    }
    let files: Vec<_> = sources().map(|source| source.path.clone()).collect();
    match (file::config(documents, home), sources().next_back()) {
        (Ok(config), _) => Ok(Loaded { config, files, origins: origins(layers) }),
        (Err(error), Some(source)) => Err(disagreement(source, &error)),
        (Err(error), None) => {
            Err(Problem::new("built-in".into(), Mark::START, &error.to_string(), ""))
        }
    }
}

/// What the walk let pass and the second parser refuses: still a problem, and no crash.
fn disagreement(source: &Source, error: &serde_yaml::Error) -> Problem {
    let mark = error.location().map_or(Mark::START, |at| Mark {
        line: at.line().max(1),
        column: at.column().max(1),
        width: 1,
    });
    source.problem(mark, &format!("not understood: {error}"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::tests::assert_problems;
    use super::*;

    #[test]
    fn short_times_are_for_tests_that_say_so_in_any_file() {
        let short = "policies: {dead_lock: {min_age: 0s}}";
        assert_problems(&[short, "allow_short: true"], &[]);
        assert_problems(
            &["allow_short: true", short, "allow_short: false"],
            &["1.yaml:1:33 policies.dead_lock.min_age: must be at least 5s (got 0s); a younger \
               lock may still be being written"],
        );
    }

    #[test]
    fn mistakes_beside_a_tab_are_found_and_have_their_real_column() {
        assert_problems(
            &["policies:\n\tdead_lock:\n\t\tmode: on\nlimits: 5\n"],
            &[
                "0.yaml:2:1 a tab; indent with spaces",
                "0.yaml:3:1 a tab; indent with spaces",
                "0.yaml:3:9 policies.dead_lock.mode: unknown value `on`, expected one of `off`, \
                 `observe`, `enforce`",
                "0.yaml:4:9 limits: expected keys and values, got the number `5`",
            ],
        );
        assert_problems(
            &["limits:\n  cooldown: 15m\n\tgive_up_after: 3\n"],
            &["0.yaml:3:1 a tab; indent with spaces"],
        );
    }

    #[test]
    fn problems_come_in_the_order_of_files_and_lines() {
        let unreadable = Problem::new("x.yaml".into(), Mark::START, "cannot be read", "");
        let sources =
            vec![source(0, "interval: 1\nallow_short: 1"), Err(unreadable), source(2, "")];
        let problems = compile(sources, None).unwrap_err();
        let places: Vec<_> = problems.iter().map(|p| (p.file.to_str().unwrap(), p.line)).collect();
        assert_eq!(places, [("0.yaml", 1), ("0.yaml", 2), ("x.yaml", 1), ("2.yaml", 1)]);
    }

    fn source(number: usize, text: &str) -> Result<Source, Problem> {
        Source::new(Path::new(&format!("{number}.yaml")), text.as_bytes().to_vec())
    }
}
