//! `/proc/PID/status`: the facts that stat does not have.

/// No such file is longer: it grows with the groups of its owner, 65,536 at most, of up to
/// eleven bytes each, and `NSpid` stands behind them.
pub(super) const STATUS_BYTES_MAX: usize = 1024 * 1024;

/// Returns the process that a thread id belongs to; its own for a process.
pub(super) fn thread_group(status: &[u8]) -> Option<i32> {
    let mut values = values(status, b"Tgid:")?;
    values.next()?.parse().ok()
}

/// Returns in how many pid namespaces, from that of the table down, the process has a number.
/// One: pids mean the same to it and to the table.
pub(super) fn namespace_depth(status: &[u8]) -> Option<usize> {
    values(status, b"NSpid:").map(Iterator::count)
}

/// Returns the number a process has in its own, nested pid namespace; `None` if it is in that of
/// the table.
pub(super) fn inner_pid(status: &[u8]) -> Option<i32> {
    let mut values = values(status, b"NSpid:")?.skip(1).peekable();
    values.peek()?;
    values.last()?.parse().ok()
}

/// Returns the pid of what traces the process; zero if nothing does.
pub(super) fn tracer(status: &[u8]) -> Option<i32> {
    values(status, b"TracerPid:")?.next()?.parse().ok()
}

/// Returns the effective user.
pub(super) fn effective_user(status: &[u8]) -> Option<u32> {
    values(status, b"Uid:")?.nth(1)?.parse().ok()
}

/// Returns the resident memory in bytes; `None` for what has no memory of its own, such as a
/// zombie or a kernel thread.
pub(super) fn resident(status: &[u8]) -> Option<u64> {
    let mut values = values(status, b"VmRSS:")?;
    let kilobytes: u64 = values.next()?.parse().ok()?;
    (values.next()? == "kB").then(|| kilobytes.saturating_mul(1024))
}

/// The name of a process is the first line, and its line breaks are escaped there, so that no
/// name can forge a line.
fn values<'a>(status: &'a [u8], key: &[u8]) -> Option<impl Iterator<Item = &'a str>> {
    let line = status.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(key))?;
    Some(std::str::from_utf8(line).ok()?.split_ascii_whitespace())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = b"Name:\tTgid: 9\nUmask:\t0022\nTgid:\t41\nPid:\t42\nNSpid:\t32553\t1\n";

    #[test]
    fn the_facts_are_read() {
        assert_eq!(thread_group(STATUS), Some(41));
        assert_eq!(namespace_depth(STATUS), Some(2));
        assert_eq!(namespace_depth(b"NSpid:\t7\n"), Some(1));
        assert_eq!(inner_pid(STATUS), Some(1));
        assert_eq!(inner_pid(b"NSpid:\t7\n"), None);
    }

    #[test]
    fn tracer_user_and_memory_are_read() {
        let status = b"Name:\tx\nTracerPid:\t7\nUid:\t1\t2\t3\t4\nVmRSS:\t     12 kB\n";
        assert_eq!((tracer(status), effective_user(status)), (Some(7), Some(2)));
        assert_eq!(resident(status), Some(12 * 1024));
        for malformed in [&b""[..], b"TracerPid:\nUid:\t1\nVmRSS:\t12 MB\n", b"VmRSS:\t-1 kB"] {
            assert_eq!((tracer(malformed), effective_user(malformed)), (None, None));
            assert_eq!(resident(malformed), None);
        }
    }

    #[test]
    fn what_is_missing_or_malformed_is_unknown() {
        assert_eq!(thread_group(b""), None);
        assert_eq!(thread_group(b"Tgid:\n"), None);
        assert_eq!(thread_group(b"Tgid:\tx\n"), None);
        assert_eq!(namespace_depth(b"Name:\tNSpid: 7\n"), None);
        assert_eq!(namespace_depth(b"NSpid:\n"), Some(0));
    }
}
