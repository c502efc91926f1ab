//! The new end of a file that grows.

use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::observe::files::{is_gone, open_regular};

/// Most that is read at once: what is older than that was logged in a storm.
const BYTES_MAX: u64 = 256 * 1024;

/// How far one file was read.
#[derive(Debug, Default)]
pub(super) struct Tail {
    read: Option<Read>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Read {
    dev: u64,
    ino: u64,
    /// Behind the last whole line.
    to: u64,
    /// Whether a line without end was passed over there.
    is_within_line: bool,
    /// The size at that time. A file that has not grown has nothing new, whole line or not.
    size: u64,
}

impl Tail {
    /// Returns the whole lines that are new, at most the last 256 KiB. Nothing if the file is
    /// gone.
    ///
    /// # Errors
    ///
    /// Returns why it cannot be read, for people.
    pub(super) fn read(&mut self, path: &Path, uids: &[u32]) -> Result<Vec<u8>, String> {
        match fs::symlink_metadata(path) {
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error.to_string()),
            Ok(meta)
                if self.read.is_some_and(|read| read.is_same(&meta) && read.size == meta.len()) =>
            {
                return Ok(Vec::new());
            }
            Ok(_) => {}
        }
        let (mut file, meta) = match open_regular(path) {
            Ok(Ok(opened)) => opened,
            Ok(Err(what)) => return Err(format!("it is {what}")),
            Err(error) if is_gone(&error) => return Ok(Vec::new()),
            Err(error) => return Err(error.to_string()),
        };
        if !uids.contains(&meta.uid()) {
            return Err("it is another user's".to_owned());
        }
        let (size, text) = (meta.len(), |error: std::io::Error| error.to_string());
        let known = self.read.filter(|read| read.is_same(&meta) && read.to <= size);
        let from = known.map_or(0, |read| read.to).max(size.saturating_sub(BYTES_MAX));
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(from)).map_err(text)?;
        file.take(size - from).read_to_end(&mut bytes).map_err(text)?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let is_cut = from > 0 && known.is_none_or(|read| read.to != from || read.is_within_line);
        let begin = bytes[..end].iter().position(|byte| *byte == b'\n').filter(|_| is_cut);
        // A line that does not end within all that is read is none.
        let is_endless = end == 0 && bytes.len() as u64 >= BYTES_MAX;
        let to = if is_endless { size } else { from + end as u64 };
        let (dev, ino) = (meta.dev(), meta.ino());
        self.read = Some(Read { dev, ino, to, is_within_line: is_endless, size });
        bytes.truncate(end);
        Ok(bytes.split_off(begin.map_or(0, |first| first + 1)))
    }
}

impl Read {
    fn is_same(&self, meta: &fs::Metadata) -> bool {
        (self.dev, self.ino) == (meta.dev(), meta.ino())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    struct Bed {
        dir: tempfile::TempDir,
        tail: Tail,
    }

    impl Bed {
        fn new() -> Bed {
            Bed { dir: tempfile::tempdir().unwrap(), tail: Tail::default() }
        }

        fn path(&self) -> PathBuf {
            self.dir.path().join("a.log")
        }

        fn append(&self, text: &str) {
            let file = fs::OpenOptions::new().create(true).append(true).open(self.path());
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn read(&mut self) -> String {
            let (path, uid) = (self.path(), nix::unistd::geteuid().as_raw());
            String::from_utf8(self.tail.read(&path, &[uid]).unwrap()).unwrap()
        }
    }

    #[test]
    fn every_whole_line_is_read_once() {
        let mut bed = Bed::new();
        assert_eq!(bed.read(), "");
        bed.append("one\ntw");
        assert_eq!(bed.read(), "one\n");
        assert_eq!(bed.read(), "");
        bed.append("o\nthree\n");
        assert_eq!(bed.read(), "two\nthree\n");
        assert_eq!(bed.read(), "");
    }

    #[test]
    fn a_new_or_a_shortened_file_begins_anew() {
        let mut bed = Bed::new();
        bed.append("one\n");
        bed.read();
        fs::write(bed.path(), "").unwrap();
        bed.append("x\n");
        assert_eq!(bed.read(), "x\n");
        let other = bed.dir.path().join("b.log");
        fs::write(&other, "longer than before\n").unwrap();
        #[expect(clippy::disallowed_methods, reason = "moves what the test itself made")]
        fs::rename(other, bed.path()).unwrap();
        assert_eq!(bed.read(), "longer than before\n");
    }

    #[test]
    fn no_more_than_the_end_is_read_and_it_begins_with_a_line() {
        let mut bed = Bed::new();
        let line = format!("{}\n", "x".repeat(99));
        bed.append(&line.repeat(10_000));
        let read = bed.read();
        assert!(read.len() as u64 <= BYTES_MAX && read.len() as u64 > BYTES_MAX - 100);
        assert_eq!(read.len() % 100, 0);
        bed.append(&line.repeat(10_000));
        assert_eq!(bed.read().len() % 100, 0);
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let mut bed = Bed::new();
        bed.append(&"x".repeat(3 * 256 * 1024));
        assert_eq!(bed.read(), "");
        bed.append("end\nnext\n");
        assert_eq!(bed.read(), "next\n", "its end is no line");
    }

    #[test]
    fn links_fifos_folders_and_other_users_files_are_refused() {
        let mut bed = Bed::new();
        let path = bed.path();
        let (mut tail, uid) = (Tail::default(), nix::unistd::geteuid().as_raw());
        bed.append("one\n");
        let refused = tail.read(&path, &[uid + 1]).unwrap_err();
        assert_eq!(refused, "it is another user's");
        let link = bed.dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(tail.read(&link, &[uid]).unwrap_err().contains("symbolic link"));
        assert!(tail.read(bed.dir.path(), &[uid]).unwrap_err().contains("directory"));
        let fifo = bed.dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(tail.read(&fifo, &[uid]).unwrap_err().contains("FIFO"));
        assert_eq!(bed.read(), "one\n");
    }
}
