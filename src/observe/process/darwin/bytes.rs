//! Numbers and texts in a structure of the kernel. Both kinds of Mac are little-endian.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

pub(super) fn short<const SIZE: usize>(structure: &[u8; SIZE], at: usize) -> i16 {
    i16::from_le_bytes(part(structure, at))
}

pub(super) fn int<const SIZE: usize>(structure: &[u8; SIZE], at: usize) -> i32 {
    i32::from_le_bytes(part(structure, at))
}

pub(super) fn long<const SIZE: usize>(structure: &[u8; SIZE], at: usize) -> u64 {
    u64::from_le_bytes(part(structure, at))
}

/// Returns what precedes the first NUL, from there to the end at most.
pub(super) fn path<const SIZE: usize>(structure: &[u8; SIZE], at: usize, most: usize) -> PathBuf {
    let text = structure.iter().skip(at).take(most).take_while(|byte| **byte != 0);
    PathBuf::from(OsString::from_vec(text.copied().collect()))
}

/// All places are constants inside of the structure.
fn part<const SIZE: usize, const N: usize>(structure: &[u8; SIZE], at: usize) -> [u8; N] {
    std::array::from_fn(|index| structure[at + index])
}
