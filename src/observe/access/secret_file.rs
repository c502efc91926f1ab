//! A file that holds one secret.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Longest secret.
pub(super) const SECRET_BYTES_MAX: usize = 4096;
const READABLE_BY_ALL: u32 = 0o004;

/// Reads the secret in the file at `path`, which may be a symlink as those of containers are. The
/// second value is a warning.
///
/// # Errors
///
/// Returns why it cannot be used. Nothing of its content is repeated.
pub(super) fn read(path: &Path) -> io::Result<(String, Option<String>)> {
    // A FIFO would block the open for ever.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let about = file.metadata()?;
    if !about.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let text = content(&file)?;
    let warning = (about.mode() & READABLE_BY_ALL != 0)
        .then(|| format!("`{}` is readable for everybody; chmod 600 it", path.display()));
    Ok((text, warning))
}

fn content(file: &File) -> io::Result<String> {
    let mut text = String::new();
    let limit = SECRET_BYTES_MAX as u64 + 3;
    let read = file.take(limit).read_to_string(&mut text);
    read.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => io::Error::other("it is no text"),
        _ => error,
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    usable(line).map_err(io::Error::other)
}

/// Returns the secret, if it may be one.
///
/// # Errors
///
/// Returns what is wrong with it, without repeating it.
pub(super) fn usable(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.len() > SECRET_BYTES_MAX {
        return Err("it is longer than any secret");
    }
    if text.chars().any(char::is_control) {
        return Err("it has more than one line, or a control character");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn write(content: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, content).unwrap();
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn one_line_is_the_secret() {
        for content in ["hunter2", "hunter2\n", "hunter2\r\n"] {
            let (_dir, path) = write(content.as_bytes(), 0o600);
            assert_eq!(read(&path).unwrap(), ("hunter2".to_owned(), None));
        }
    }

    #[test]
    fn what_everybody_can_read_is_warned_of() {
        let (_dir, path) = write(b"hunter2", 0o644);
        let warning = read(&path).unwrap().1.unwrap();
        assert!(warning.contains("readable for everybody") && !warning.contains("hunter2"));
    }

    #[test]
    fn a_symlink_is_followed_and_a_fifo_is_not_waited_for() {
        let (dir, path) = write(b"hunter2", 0o600);
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(read(&link).unwrap().0, "hunter2");
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(read(&fifo).unwrap_err().to_string(), "not a regular file");
        assert_eq!(read(dir.path()).unwrap_err().to_string(), "not a regular file");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let long = [b'x'; SECRET_BYTES_MAX + 1];
        for content in
            [&b""[..], b"\n", b" \n", b"hunter2\nmore\n", b"hunter2\0", b"\xffhunter2", &long]
        {
            let (_dir, path) = write(content, 0o600);
            let error = read(&path).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let endless = read(Path::new("/dev/zero")).unwrap_err().to_string();
        assert_eq!(endless, "not a regular file");
    }
}
