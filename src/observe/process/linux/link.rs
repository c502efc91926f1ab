//! Where a process runs, and what.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::files::{Directory, gone};

pub(in super::super) fn exe(root: &Path, pid: i32) -> io::Result<PathBuf> {
    link(&Directory::open(root)?.process(pid)?, "exe")
}

/// Returns where a symlink in the directory of a process leads, or led.
pub(super) fn link(process: &Directory, name: &str) -> io::Result<PathBuf> {
    let mut path = process.link(name).map_err(gone)?;
    if let Some(rest) = path.strip_suffix(b" (deleted)") {
        path.truncate(rest.len());
    }
    Ok(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use crate::observe::process::captured::Captured;

    use super::*;

    #[test]
    fn a_file_that_is_gone_still_has_its_name() {
        let captured = Captured::new();
        captured.link("7/exe", "/opt/a b/node (deleted)").link("7/cwd", "/srv/(deleted)");
        assert_eq!(exe(captured.root(), 7).unwrap(), Path::new("/opt/a b/node"));
        let process = Directory::open(captured.root()).unwrap().process(7).unwrap();
        assert_eq!(link(&process, "cwd").unwrap(), Path::new("/srv/(deleted)"));
        for pid in [8, 0, -7] {
            let error = exe(captured.root(), pid).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::NotFound, "{pid}");
        }
    }
}
