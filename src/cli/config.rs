//! `check-config` and `config show|schema|init`.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::open::env;
use super::{Failure, Global, output};
use crate::config::{self, Loaded, Problems};
use crate::exit::Exit;
use crate::text::escape;

#[derive(Clone, Debug, clap::Args)]
pub(super) struct Check {
    /// The file [default: what a run would use, with its drop-ins]
    file: Option<PathBuf>,
}

#[derive(Clone, Debug, clap::Subcommand)]
pub(super) enum Config {
    /// Every value that holds
    Show {
        /// And which file and line says so
        #[arg(long)]
        origin: bool,
    },
    /// A JSON Schema for editors
    Schema,
    /// Write a documented configuration file to start from
    Init {
        /// Where to [default: ~/.config/clawarden/clawarden.yaml]
        file: Option<PathBuf>,
        /// Which of the shipped files
        #[arg(long, value_enum, default_value_t = Shipped::Default)]
        like: Shipped,
    },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub(super) enum Shipped {
    /// Repairs what is proven and loses nothing
    Default,
    /// Only looks
    Observe,
    /// For hosts that nobody watches
    Unattended,
}

pub(super) fn check(global: &Global, command: &Check) -> Result<Exit, Failure> {
    let named = command.file.as_deref().or(global.config.as_deref());
    let checked = match &command.file {
        Some(file) => config::check(file, &env),
        None => config::load(named, &env),
    };
    match checked {
        Ok(loaded) => accepted(global, &loaded),
        Err(problems) => refused(global, &problems),
    }
}

fn accepted(global: &Global, loaded: &Loaded) -> Result<Exit, Failure> {
    let files: Vec<_> = loaded.files.iter().map(|file| file.to_string_lossy()).collect();
    if global.json {
        let value = json!({
            "schema": "clawarden.check-config/v1", "ok": true, "files": files, "problems": [],
        });
        output(&format!("{value}\n"))?;
    } else if files.is_empty() {
        output("no configuration file; the built-in default holds\n")?;
    } else {
        let files: Vec<_> = files.iter().map(|file| escape(file)).collect();
        output(&format!("good: {}\n", files.join(", ")))?;
    }
    Ok(Exit::Success)
}

fn refused(global: &Global, problems: &Problems) -> Result<Exit, Failure> {
    if !global.json {
        output(&format!("{problems}\n"))?;
        return Ok(Exit::Config);
    }
    let list: Vec<_> = problems
        .iter()
        .map(|problem| {
            json!({
                "file": problem.file.to_string_lossy(),
                "line": problem.line,
                "column": problem.column,
                "text": problem.text,
            })
        })
        .collect();
    let value = json!({ "schema": "clawarden.check-config/v1", "ok": false, "problems": list });
    output(&format!("{value}\n"))?;
    Ok(Exit::Config)
}

pub(super) fn config(global: &Global, command: &Config) -> Result<Exit, Failure> {
    match command {
        Config::Show { origin } => show(global, *origin),
        Config::Schema => {
            output(&format!("{:#}\n", config::schema()))?;
            Ok(Exit::Success)
        }
        Config::Init { file, like } => init(global, file.as_deref(), *like),
    }
}

fn show(global: &Global, with_origin: bool) -> Result<Exit, Failure> {
    let loaded = config::load(global.config.as_deref(), &env)?;
    if global.json {
        let values: Vec<_> = loaded
            .origins
            .iter()
            .map(|origin| json!({ "key": origin.key, "value": origin.value, "from": origin.from }))
            .collect();
        let value = json!({ "schema": "clawarden.config/v1", "values": values });
        output(&format!("{value}\n"))?;
        return Ok(Exit::Success);
    }
    let mut text = String::new();
    for origin in &loaded.origins {
        let (key, value) = (escape(&origin.key), escape(&origin.value));
        text.push_str(&match with_origin {
            true => format!("{key}: {value}  # {}\n", escape(&origin.from)),
            false => format!("{key}: {value}\n"),
        });
    }
    output(&text)?;
    Ok(Exit::Success)
}

fn init(global: &Global, file: Option<&Path>, like: Shipped) -> Result<Exit, Failure> {
    let file = match file {
        Some(file) => file.to_owned(),
        None => config::user_file(&env)
            .ok_or_else(|| Failure::new(Exit::Usage, "HOME is not set; name the file to write"))?,
    };
    let name = match like {
        Shipped::Default => "clawarden.yaml",
        Shipped::Observe => "observe.yaml",
        Shipped::Unattended => "unattended.yaml",
    };
    let text = config::SHIPPED.iter().find(|(shipped, _)| *shipped == name);
    let text = text.map(|(_, text)| *text).unwrap_or_default();
    write_new(&file, text).map_err(|error| {
        let file = file.to_string_lossy();
        let hint = match error.kind() {
            ErrorKind::AlreadyExists => "; it is left as it was, name another file",
            _ => "",
        };
        let text = format!("failed to write `{}`{hint}: {error}", escape(&file));
        Failure::new(Exit::State, text)
    })?;
    let file = file.to_string_lossy();
    output(&match global.json {
        true => format!("{}\n", json!({ "schema": "clawarden.config-init/v1", "wrote": file })),
        false => format!("wrote {}\n", escape(&file)),
    })?;
    Ok(Exit::Success)
}

/// Never overwrites: a configuration is somebody's work.
fn write_new(file: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(text.as_bytes())
}
