//! Which family a process is of.

use std::collections::BTreeSet;

use crate::model::{Family, Kind, Mark, Pattern};
use crate::observe::process::Process;

/// The families that are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Families {
    families: Vec<Family>,
    /// The executables of all of them: most processes run none of these.
    programs: BTreeSet<Vec<u8>>,
}

/// A process that is of a family, and the mark its environment must have.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Recognised<'a> {
    pub(super) kind: Kind,
    pub(super) mark: Option<&'a Mark>,
}

impl Families {
    pub(super) fn new(families: Vec<Family>) -> Families {
        let patterns = families.iter().flat_map(|family| &family.patterns);
        let programs = patterns.flat_map(|pattern| &pattern.exe);
        let programs = programs.map(|exe| exe.as_bytes().to_vec()).collect();
        Families { families, programs }
    }

    /// Returns the family of a process, told by its executable and the place of one argument.
    pub(super) fn recognise(&self, process: &Process) -> Option<Recognised<'_>> {
        if !self.programs.contains(&process.program) {
            return None;
        }
        let fits = |pattern: &Pattern| {
            pattern.exe.iter().any(|exe| exe.as_bytes() == process.program)
                && fits_arguments(pattern, process)
        };
        let (family, pattern) = self.patterns().find(|(_, pattern)| fits(pattern))?;
        let kind = Kind { family: family.name.clone(), part: pattern.part };
        Some(Recognised { kind, mark: pattern.mark.as_ref() })
    }

    fn patterns(&self) -> impl Iterator<Item = (&Family, &Pattern)> {
        self.families
            .iter()
            .flat_map(|family| family.patterns.iter().map(move |pattern| (family, pattern)))
    }
}

fn fits_arguments(pattern: &Pattern, process: &Process) -> bool {
    let Some(argument) = &pattern.argument else { return true };
    let mut argv = process.argv();
    let Some(found) = argv.nth(argument.position) else { return false };
    // A process that has overwritten its title shows that and nothing else.
    let is_title = argument.position == 0;
    argument.fits(found)
        && (!is_title || (found == argument.ends_with.as_bytes() && argv.next().is_none()))
}
