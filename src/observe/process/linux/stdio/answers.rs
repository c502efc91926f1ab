//! What the kernel would have said, in a captured table.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::Peer;
use crate::observe::process::linux::files::Directory;
use rustix::io::Errno;

/// Room for 30,000 sockets.
const BYTES_MAX: usize = 512 * 1024;

/// Reads the file `sockets`: a line per socket or pipe, its inode and `alive` or `dead`, separated
/// by a space. What it does not name is unknown; a file that says anything else says nothing.
pub(super) fn read(root: &Path) -> Result<BTreeMap<u64, Peer>, String> {
    let mut text = Vec::new();
    let read =
        Directory::open(root).and_then(|table| table.read("sockets", BYTES_MAX + 1, &mut text));
    match read {
        Ok(()) if text.len() > BYTES_MAX => Err("the captured sockets are too many".to_owned()),
        Ok(()) => parse(&text),
        Err(Errno::NOENT) => Ok(BTreeMap::new()),
        Err(errno) => Err(format!("the captured sockets cannot be read: {errno}")),
    }
}

fn parse(text: &[u8]) -> Result<BTreeMap<u64, Peer>, String> {
    let mut answers = BTreeMap::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let answer = std::str::from_utf8(line).ok().and_then(parse_line);
        let is_new = answer.is_some_and(|(inode, peer)| answers.insert(inode, peer).is_none());
        if !is_new {
            return Err(format!("line {} of the captured sockets is malformed", index + 1));
        }
    }
    Ok(answers)
}

fn parse_line(line: &str) -> Option<(u64, Peer)> {
    let (inode, peer) = line.split_once(' ')?;
    let peer = match peer {
        "alive" => Peer::Alive,
        "dead" => Peer::Dead,
        _ => return None,
    };
    Some((inode.parse().ok()?, peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_an_inode_and_its_peer() {
        let want = BTreeMap::from([(7, Peer::Alive), (9, Peer::Dead)]);
        assert_eq!(parse(b"7 alive\n\n9 dead\n"), Ok(want));
        assert_eq!(parse(b""), Ok(BTreeMap::new()));
    }

    #[test]
    fn anything_else_makes_the_whole_file_say_nothing() {
        for text in [
            &b"7 dead\nx dead\n"[..],
            b"7",
            b"7 dying",
            b"7  dead",
            b"-7 dead",
            b"7 dead\n7 alive\n",
            b"\xff dead",
        ] {
            assert!(parse(text).is_err(), "{}", text.escape_ascii());
        }
    }
}
