//! Which command lines are OpenClaw's.

/// Returns true if title or command line is OpenClaw's. The bytes are the process's own and may
/// be anything: only the position and the exact file name of an argument count.
pub(super) fn is_openclaw(cmdline: &[u8]) -> bool {
    let mut arguments = arguments(cmdline);
    let Some(program) = arguments.next() else { return false };
    let name = file_name(program);
    if is_title(program) || is_title(name) {
        return true;
    }
    matches!(name, b"node" | b"nodejs" | b"bun")
        && arguments.any(|argument| file_name(argument) == b"openclaw.mjs")
}

/// Splits a command line at its NULs.
pub(super) fn arguments(cmdline: &[u8]) -> impl Iterator<Item = &[u8]> {
    // Splitting nothing yields one empty argument; a kernel thread has none.
    let most = if cmdline.is_empty() { 0 } else { usize::MAX };
    cmdline.split(|&byte| byte == 0).take(most)
}

/// Setting `process.title` replaces all of argv with one string, so that what follows the name
/// is in the same argument.
fn is_title(text: &[u8]) -> bool {
    match text.strip_prefix(b"openclaw") {
        Some(rest) => matches!(rest.first(), None | Some(b'-' | b' ')),
        None => false,
    }
}

/// Returns what follows the last slash.
pub(super) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cmdline: &[u8], want: bool) {
        assert_eq!(is_openclaw(cmdline), want, "{}", cmdline.escape_ascii());
    }

    #[test]
    fn titles_and_entry_points_are_openclaws() {
        check(b"openclaw-gateway", true);
        check(b"openclaw-agent", true);
        check(b"openclaw", true);
        check(b"openclaw gateway", true);
        check(b"openclaw-agent --workspace /a/b", true);
        check(b"/usr/local/bin/openclaw\0gateway", true);
        check(b"node\0/usr/lib/node_modules/openclaw/openclaw.mjs\0gateway", true);
        check(b"/usr/bin/node\0--max-old-space-size=4096\0openclaw.mjs", true);
        check(b"/opt/bun\0/x/openclaw.mjs", true);
        check(b"nodejs\0\xff\xfe\0/x/openclaw.mjs", true);
    }

    #[test]
    fn a_name_somewhere_in_the_command_line_is_nothing() {
        check(b"", false);
        check(b"\0", false);
        check(b"openclawed", false);
        check(b"my-openclaw-gateway", false);
        check(b"tail\0-f\0/x/openclaw.mjs", false);
        check(b"vim\0openclaw", false);
        check(b"node\0/x/openclaw.mjs.bak", false);
        check(b"node\0/x/openclaw.mjs/dist/other.js", false);
        check(b"node\0-e\0run('/x/openclaw.mjs')", false);
        check(b"node", false);
        check(b"sh\0-c\0node openclaw.mjs", false);
        check(b"\xffopenclaw-gateway", false);
    }
}
