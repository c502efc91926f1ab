//! Configuration: which files there are, what they may say, and what the program is given.
//!
//! Each file is read into a marked tree and walked against one table of keys, so that **every**
//! problem of every file is reported at once, with its place. Only what passed is handed to
//! serde, laid over the built-in default, and becomes a [`Config`]; code behind that type never
//! asks again whether a value makes sense.
//!
//! A bad file means: do nothing. There is no falling back to the default, which may repair what
//! the user wanted left alone.

mod access;
mod bounds;
mod build;
mod discover;
mod duration;
mod earlier;
mod effect;
mod effective;
mod example;
mod families;
mod file;
mod keys;
mod layer;
mod limit;
mod nearest;
mod origin;
mod policies;
mod problem;
mod process;
mod schema;
mod source;
mod table;
mod tree;
mod value;
mod walk;
mod written;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::Given;
use crate::plan::settings::{Confirm, Limits};
use crate::policy::settings::Policies;

pub use discover::{VARIABLE, user_file, watched};
pub use duration::parse as parse_duration;
pub use origin::Origin;
pub use problem::{Problem, Problems};
pub use schema::schema;

use discover::Env;
use source::Source;

/// The shipped files by name. The first says what holds without any file.
pub const SHIPPED: [(&str, &str); 3] = [
    ("clawarden.yaml", include_str!("../../config/clawarden.yaml")),
    ("observe.yaml", include_str!("../../config/observe.yaml")),
    ("unattended.yaml", include_str!("../../config/unattended.yaml")),
];

/// A checked configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The state directory to watch. `None`: found the way the gateway finds it.
    pub state_dir: Option<PathBuf>,
    /// Where the gateway is and what opens it, as far as the user says so.
    pub gateway: Given,
    /// How often to look when no event says so.
    pub interval: Duration,
    /// How sure one must be where one look proves too little.
    pub confirm: Confirm,
    /// How long nothing is done after a gateway start, a resume from sleep or a clock step.
    pub start_grace: Duration,
    /// True if times below their floors were allowed. For tests only.
    pub allow_short: bool,
    /// How much may be done.
    pub limits: Limits,
    /// What is looked for, and how far each repair may go.
    pub policies: Policies,
    /// How long journal entries are kept.
    pub retention: Duration,
}

/// A configuration and where it comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Loaded {
    /// What holds.
    pub config: Config,
    /// The files that were read, the strongest last. Empty: the built-in default.
    pub files: Vec<PathBuf>,
    /// Every effective value, in the order of the documented file, overrides last.
    pub origins: Vec<Origin>,
}

/// Finds, reads and checks the configuration: the file named by `explicit` or by
/// `CLAWARDEN_CONFIG`, else the user's, else the system's, else none; then the drop-ins
/// `clawarden.d/*.yaml` beside it in name order.
///
/// # Errors
///
/// Returns every problem at once. A file that was named and cannot be read is one.
pub fn load(explicit: Option<&Path>, env: Env) -> Result<Loaded, Problems> {
    let files = discover::files(explicit, env).map_err(|problem| Problems::new(vec![problem]))?;
    compile(&files, env)
}

/// Checks one file by itself, without drop-ins.
///
/// # Errors
///
/// Returns every problem at once.
pub fn check(path: &Path, env: Env) -> Result<Loaded, Problems> {
    compile(&[path.to_owned()], env)
}

fn compile(files: &[PathBuf], env: Env) -> Result<Loaded, Problems> {
    let home = env("HOME").filter(|home| Path::new(home).is_absolute());
    layer::compile(files.iter().map(|file| Source::read(file)).collect(), home.as_deref())
}

#[cfg(test)]
mod tests;
