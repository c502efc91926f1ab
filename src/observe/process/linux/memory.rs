//! How much memory a process takes.

use std::path::Path;

use super::files::Directory;

/// Both files are far smaller.
const BYTES_MAX: usize = 16 * 1024;

/// Returns bytes: the proportional share, else what is resident.
pub(in super::super) fn memory(root: &Path, pid: i32) -> Option<u64> {
    let process = Directory::open(root).and_then(|table| table.process(pid)).ok()?;
    let mut text = Vec::new();
    let mut read = |name: &str| {
        process.read(name, BYTES_MAX, &mut text).ok()?;
        String::from_utf8(std::mem::take(&mut text)).ok()
    };
    // Another user's and a kernel before 4.14 have no rollup.
    let share = read("smaps_rollup").and_then(|text| proportional(&text));
    share.or_else(|| resident_pages(&read("statm")?)?.checked_mul(page_bytes()))
}

/// Returns bytes: what is resident, for the price of one small file.
pub(in super::super) fn resident(root: &Path, pid: i32) -> Option<u64> {
    let process = Directory::open(root).and_then(|table| table.process(pid)).ok()?;
    let mut text = Vec::new();
    process.read("statm", BYTES_MAX, &mut text).ok()?;
    resident_pages(std::str::from_utf8(&text).ok()?)?.checked_mul(page_bytes())
}

fn proportional(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn page_bytes() -> u64 {
    rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use crate::observe::process::captured::Captured;

    use super::*;

    #[test]
    fn the_share_comes_before_what_is_resident() {
        let captured = Captured::new();
        assert_eq!(memory(captured.root(), 7), None);
        captured.file("7/statm", b"900 3 2 1 0 5 0\n");
        assert_eq!(memory(captured.root(), 7), Some(3 * page_bytes()));
        assert_eq!(resident(captured.root(), 7), Some(3 * page_bytes()));
        let rollup = "0-1 ---p 0 00:00 0 [rollup]\nRss:  90 kB\nPss:    12 kB\nPss_Dirty:  1 kB\n";
        captured.file("7/smaps_rollup", rollup.as_bytes());
        assert_eq!(memory(captured.root(), 7), Some(12 * 1024));
        assert_eq!(resident(captured.root(), 7), Some(3 * page_bytes()));
        assert_eq!(resident(captured.root(), 8), None);
    }

    #[test]
    fn hostile_numbers_are_unknown() {
        assert_eq!(proportional("Pss: 99999999999999999999 kB"), None);
        assert_eq!(proportional(&format!("Pss: {} kB", u64::MAX)), None);
        assert_eq!(proportional("Pss_Anon: 1 kB\nPss: 1 MB"), None);
        for statm in ["", "1", "1 x", "1 -1"] {
            assert_eq!(resident_pages(statm), None, "{statm}");
        }
    }
}
