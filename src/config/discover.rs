//! Which files make up the configuration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::problem::{Mark, Problem};

/// The environment variable that names the file.
pub const VARIABLE: &str = "CLAWARDEN_CONFIG";

/// Most drop-ins that are read.
const DROP_INS_MAX: usize = 100;

const DROP_INS: &str = "clawarden.d";

const SYSTEM: &str = "/etc/clawarden/clawarden.yaml";

/// Reads the process environment, or what a test puts in its place.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Returns the file and its drop-ins, the strongest last. Empty: there is no configuration.
///
/// A file that was named need not exist here: reading it says what is wrong.
///
/// # Errors
///
/// A place cannot be searched. It is not skipped: the file behind it may say `observe`.
pub(super) fn files(explicit: Option<&Path>, env: Env) -> Result<Vec<PathBuf>, Problem> {
    let named = explicit.map(Path::to_owned).or_else(|| set(env, VARIABLE).map(PathBuf::from));
    if let Some(file) = named {
        let drop_ins = drop_ins(&file)?;
        return Ok(std::iter::once(file).chain(drop_ins).collect());
    }
    for place in places(env, Path::new(SYSTEM)) {
        let found = at(&place)?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Returns the paths whose appearance or change may change the configuration: every place of the
/// file, and the folder of drop-ins beside each. Existing or not.
#[must_use]
pub fn watched(explicit: Option<&Path>, env: Env) -> Vec<PathBuf> {
    let named = explicit.map(Path::to_owned).or_else(|| set(env, VARIABLE).map(PathBuf::from));
    let files = named.map_or_else(|| places(env, Path::new(SYSTEM)), |file| vec![file]);
    let both = |file: PathBuf| [file.with_file_name(DROP_INS), file];
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    files.into_iter().flat_map(both).map(absolute).collect()
}

/// Returns where the user's own file belongs; `None` without a home directory.
#[must_use]
pub fn user_file(env: Env) -> Option<PathBuf> {
    places(env, Path::new(SYSTEM)).into_iter().next().filter(|file| file != Path::new(SYSTEM))
}

fn places(env: Env, system: &Path) -> Vec<PathBuf> {
    let own = set(env, "XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let own = own.or_else(|| set(env, "HOME").map(|home| Path::new(&home).join(".config")));
    let own = own.map(|folder| folder.join("clawarden/clawarden.yaml"));
    own.into_iter().chain([system.to_owned()]).collect()
}

/// Returns what is there of one place; drop-ins may stand alone.
fn at(place: &Path) -> Result<Vec<PathBuf>, Problem> {
    let mut found = Vec::new();
    match fs::metadata(place) {
        Ok(_) => found.push(place.to_owned()),
        Err(error) if is_absent(&error) => {}
        Err(error) => return Err(unsearchable(place, &error)),
    }
    found.extend(drop_ins(place)?);
    Ok(found)
}

fn drop_ins(file: &Path) -> Result<Vec<PathBuf>, Problem> {
    let folder = file.with_file_name(DROP_INS);
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(unsearchable(&folder, &error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unsearchable(&folder, &error))?.path();
        if is_drop_in(&path) {
            found.push(path);
        }
        if found.len() > DROP_INS_MAX {
            let text = format!("more than {DROP_INS_MAX} drop-ins");
            return Err(Problem::new(folder, Mark::START, &text, ""));
        }
    }
    found.sort();
    Ok(found)
}

/// Hidden files are what editors leave behind.
fn is_drop_in(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.ends_with(".yaml") && !name.starts_with('.')
}

fn set(env: Env, name: &str) -> Option<String> {
    env(name).filter(|value| !value.is_empty())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn unsearchable(path: &Path, error: &io::Error) -> Problem {
    let text = format!("cannot be searched for a configuration: {error}");
    Problem::new(path.to_owned(), Mark::START, &text, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_file_comes_before_the_environment_and_has_drop_ins_in_name_order() {
        let home = tempfile::tempdir().unwrap();
        let touch = |name: &str| fs::write(home.path().join(name), "interval: 30s").unwrap();
        fs::create_dir(home.path().join("clawarden.d")).unwrap();
        for name in ["20-b.yaml", "10-a.yaml", ".#10-a.yaml", "10-a.yaml~", "README"] {
            touch(&format!("clawarden.d/{name}"));
        }
        let env = |name: &str| (name == VARIABLE).then(|| "/other/c.yaml".to_owned());
        let found = files(Some(&home.path().join("c.yaml")), &env).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.strip_prefix(home.path()).unwrap()).collect();
        assert_eq!(
            names,
            ["c.yaml", "clawarden.d/10-a.yaml", "clawarden.d/20-b.yaml"].map(Path::new)
        );
        assert_eq!(files(None, &env).unwrap(), [Path::new("/other/c.yaml")]);
    }

    #[test]
    fn places_follow_the_environment() {
        let system = Path::new("/etc/x.yaml");
        check(&[("HOME", "/h")], &["/h/.config/clawarden/clawarden.yaml", "/etc/x.yaml"], system);
        let xdg = [("HOME", "/h"), ("XDG_CONFIG_HOME", "/x")];
        check(&xdg, &["/x/clawarden/clawarden.yaml", "/etc/x.yaml"], system);
        let relative = [("HOME", ""), ("XDG_CONFIG_HOME", "x")];
        check(&relative, &["/etc/x.yaml"], system);
    }

    #[test]
    fn drop_ins_may_stand_alone_and_an_absent_folder_is_no_error() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("clawarden.yaml");
        assert_eq!(at(&place).unwrap(), [] as [PathBuf; 0]);
        fs::create_dir(home.path().join("clawarden.d")).unwrap();
        let drop_in = home.path().join("clawarden.d/a.yaml");
        fs::write(&drop_in, "").unwrap();
        assert_eq!(at(&place).unwrap(), [drop_in]);
        assert_eq!(at(&home.path().join("no/such/place")).unwrap(), [] as [PathBuf; 0]);
    }

    #[test]
    fn a_place_that_cannot_be_searched_is_not_skipped() {
        let home = tempfile::tempdir().unwrap();
        let place = home.path().join("loop");
        std::os::unix::fs::symlink(&place, &place).unwrap();
        let problem = at(&place).unwrap_err();
        assert!(problem.text.starts_with("cannot be searched"), "{}", problem.text);
    }

    #[track_caller]
    fn check(env: &[(&str, &str)], want: &[&str], system: &Path) {
        let env = |name: &str| {
            env.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        assert_eq!(places(&env, system), want.iter().map(Path::new).collect::<Vec<_>>());
    }
}
