//! Finds the conversation behind a backing session, where its agent would look for it.

use std::fs;
use std::path::{Path, PathBuf};

use super::Observer;
use crate::model::{BackingId, Gateway};
use crate::observe::locate::variable;

/// Longer names are shortened by Claude Code, with a hash that is not known.
const NAME_CHARS_MAX: usize = 200;
const ID_CHARS_MAX: usize = 128;

impl Observer {
    /// Returns the transcript by which an agent of `family` that `gateway` starts in `cwd` finds the
    /// conversation again.
    ///
    /// Source: Claude Code 2.1, measured below 2026.4.15: `projects/<folder>/<id>.jsonl` in
    /// `CLAUDE_CONFIG_DIR`, else in `~/.claude`, by the environment of the gateway.
    ///
    /// # Errors
    ///
    /// Returns why there is none, or why that cannot be told, for people.
    pub fn conversation(
        &self,
        gateway: &Gateway,
        family: &str,
        cwd: &Path,
        id: &BackingId,
    ) -> Result<PathBuf, String> {
        if family != "claude" {
            return Err(format!(
                "where agents of family `{family}` keep conversations is not known"
            ));
        }
        let theirs = gateway.process.as_ref().map(|of| self.table.environ(of.id.pid));
        let theirs = theirs.transpose().map_err(|error| {
            format!("the environment of the gateway, which says where, cannot be read: {error}")
        })?;
        let env = |name: &str| match &theirs {
            Some(environ) => variable(environ, name),
            None => (self.env)(name),
        };
        let env = |name: &str| env(name).filter(|text| !text.is_empty());
        let own = || env("HOME").map(|home| Path::new(&home).join(".claude"));
        let folder = env("CLAUDE_CONFIG_DIR").map(PathBuf::from).or_else(own);
        find(&folder.ok_or("nothing says where its home is")?, cwd, id)
    }
}

fn find(folder: &Path, cwd: &Path, id: &BackingId) -> Result<PathBuf, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.0.is_empty() || id.0.len() > ID_CHARS_MAX || !id.0.bytes().all(is_plain) {
        return Err("its id is none that an agent of this family gives".to_owned());
    }
    let real = cwd.canonicalize().ok().filter(|real| real.is_dir());
    let real = real.ok_or_else(|| format!("its folder {} is gone", cwd.display()))?;
    let name = encoded(&real).ok_or_else(|| {
        format!("the conversations of {} are kept under a name that is not known", real.display())
    })?;
    let path = folder.join("projects").join(name).join(format!("{}.jsonl", id.0));
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() && found.len() > 0 => Ok(path),
        Ok(_) => Err(format!("its conversation {} is empty, or no file", path.display())),
        Err(error) => Err(format!("its conversation {} is gone: {error}", path.display())),
    }
}

/// What Claude Code makes of a path: one hyphen for each UTF-16 unit that is no letter or digit.
fn encoded(path: &Path) -> Option<String> {
    let text = path.to_str()?;
    let one = |unit: u16| match u8::try_from(unit) {
        Ok(byte) if byte.is_ascii_alphanumeric() => char::from(byte),
        _ => '-',
    };
    let name: String = text.encode_utf16().map(one).collect();
    (name.len() <= NAME_CHARS_MAX).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "f2580191-0775-4aeb-ac5e-2de5074b7c6c";

    #[test]
    fn a_folder_is_named_as_claude_code_names_it() {
        let name = |path: &str| encoded(Path::new(path)).unwrap();
        assert_eq!(name("/srv/my_work.d/x"), "-srv-my-work-d-x");
        assert_eq!(name("/ü/😀"), "-----");
        assert_eq!(encoded(Path::new(&format!("/{}", "x".repeat(200)))), None);
    }

    #[test]
    fn only_a_conversation_that_is_there_is_found() {
        let home = tempfile::tempdir().unwrap();
        let cwd = tempfile::tempdir().unwrap();
        let name = encoded(&cwd.path().canonicalize().unwrap()).unwrap();
        let project = home.path().join("projects").join(name);
        fs::create_dir_all(&project).unwrap();
        let look = |id: &str| find(home.path(), cwd.path(), &id.into());
        assert!(look(ID).unwrap_err().contains("is gone"));
        let path = project.join(format!("{ID}.jsonl"));
        fs::write(&path, "").unwrap();
        assert!(look(ID).unwrap_err().contains("is empty"));
        fs::write(&path, "{}\n").unwrap();
        assert_eq!(look(ID), Ok(path.clone()));
        let link = "00000000-0775-4aeb-ac5e-2de5074b7c6c";
        std::os::unix::fs::symlink(&path, project.join(format!("{link}.jsonl"))).unwrap();
        assert!(look(link).unwrap_err().contains("no file"));
        for id in ["", "../x", "a/b", "a\0b", "é", &"a".repeat(129)] {
            assert!(look(id).unwrap_err().contains("its id is none"), "{id}");
        }
        let gone = find(home.path(), &cwd.path().join("x"), &ID.into()).unwrap_err();
        assert!(gone.contains("its folder"), "{gone}");
    }
}
