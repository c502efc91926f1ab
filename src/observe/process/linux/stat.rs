//! `/proc/PID/stat`.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// No such line is longer; the widest, with every number at its longest, stays below 1.2 KiB.
pub(super) const STAT_BYTES_MAX: usize = 4096;

/// The fields that matter here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stat {
    pub(super) state: char,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    pub(super) tty: i32,
    /// Time on processors, of all threads, in clock ticks.
    pub(super) cpu_ticks: u64,
    threads: i64,
    pub(super) start_ticks: u64,
    /// Changes with an exec and with an overwritten title: a hash of the name, and of the places
    /// of stack and arguments, which are zero for processes of other users.
    pub(super) image: u64,
}

impl Stat {
    /// Parses one line, or returns `None` if it is no such line.
    ///
    /// The command name stands in brackets and may itself hold spaces, brackets and line breaks,
    /// so the line is split at the last bracket.
    pub(super) fn parse(line: &[u8]) -> Option<Stat> {
        let bracket = line.iter().rposition(|&byte| byte == b')')?;
        let name = &line[..bracket];
        let rest = std::str::from_utf8(&line[bracket + 1..]).ok()?;
        let mut fields = Fields { rest: rest.split_ascii_whitespace(), next: 3 };

        let state = fields.at(3)?.chars().next()?;
        let parent = fields.number(4)?;
        let group = fields.number(5)?;
        let session = fields.number(6)?;
        let tty = fields.number(7)?;
        let (user, system): (u64, u64) = (fields.number(14)?, fields.number(15)?);
        let cpu_ticks = user.saturating_add(system);
        let threads = fields.number(20)?;
        let start_ticks = fields.number(22)?;

        let mut image = DefaultHasher::new();
        name.hash(&mut image);
        for place in [28, 48, 49] {
            fields.at(place).hash(&mut image);
        }
        let image = image.finish();
        Some(Stat { state, parent, group, session, tty, cpu_ticks, threads, start_ticks, image })
    }

    /// Returns true if nothing of the process runs any more. A main thread that ended before the
    /// others looks like a zombie, but its process lives.
    pub(super) fn has_ended(&self) -> bool {
        match self.state {
            'X' | 'x' => true,
            'Z' => self.threads <= 1,
            _ => false,
        }
    }
}

/// The fields behind the name, under the numbers of proc(5).
struct Fields<'a> {
    rest: std::str::SplitAsciiWhitespace<'a>,
    next: usize,
}

impl<'a> Fields<'a> {
    fn at(&mut self, field: usize) -> Option<&'a str> {
        let found = self.rest.nth(field.checked_sub(self.next)?);
        self.next = field + 1;
        found
    }

    fn number<T: std::str::FromStr>(&mut self, field: usize) -> Option<T> {
        self.at(field)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TAIL: &str = " S 1 7 8 34816 -1 4194560 1 0 0 0 1 2 0 0 20 0 3 0 4242 1 1 9 10 11 12 13";

    #[test]
    fn a_hostile_name_does_not_shift_the_fields() {
        for name in ["sleep", "a b", ") Z 9 ", "x) R (y\n", "))))", "", "\u{1b}[2J"] {
            let stat = Stat::parse(format!("7 ({name}){TAIL}").as_bytes()).unwrap();
            assert_eq!(
                (stat.state, stat.parent, stat.group, stat.session, stat.tty, stat.start_ticks),
                ('S', 1, 7, 8, 34816, 4242),
                "{name}"
            );
        }
        assert!(Stat::parse(&[b"7 (\xff\xfe)", TAIL.as_bytes()].concat()).is_some());
    }

    #[test]
    fn a_line_that_ends_at_the_start_ticks_is_enough() {
        let line = "7 (a) S 1 7 8 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 18446744073709551615";
        assert_eq!(Stat::parse(line.as_bytes()).unwrap().start_ticks, u64::MAX);
    }

    #[test]
    fn a_cut_or_malformed_line_is_no_process() {
        for line in [
            "",
            ")",
            "7 (sleep",
            "7 (sleep) S 1 7",
            "7 (sleep) S 1 7 8 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0",
            "7 (sleep) S 1 7 8 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 -5",
            "7 (sleep) S 1 7 8 0 -1 0 1 0 0 0 x 2 0 0 20 0 1 0 5",
            "7 (sleep) S x 7 8 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 5",
            "7 (sleep) S 99999999999 7 8 0 -1 0 1 0 0 0 1 2 0 0 20 0 1 0 5",
        ] {
            assert_eq!(Stat::parse(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn time_in_user_code_and_in_the_kernel_is_added_up() {
        let line = |user: u64| format!("7 (a) S 1 7 8 0 -1 0 1 0 0 0 {user} 2 9 9 20 0 1 0 5");
        let ticks = |user| Stat::parse(line(user).as_bytes()).unwrap().cpu_ticks;
        assert_eq!((ticks(1), ticks(u64::MAX)), (3, u64::MAX));
    }

    #[test]
    fn the_image_is_told_by_name_and_place() {
        let image = |line: &str| Stat::parse(line.as_bytes()).unwrap().image;
        let before = image(&format!("7 (node){TAIL} 5 6"));
        assert_eq!(before, image(&format!("7 (node){} 5 6", TAIL.replace(" S ", " R "))));
        assert_ne!(before, image(&format!("7 (openclaw-gatewa){TAIL} 5 6")));
        let elsewhere = TAIL.replace(" 11 12", " 11 99");
        assert_ne!(before, image(&format!("7 (node){elsewhere} 5 6")));
    }

    #[test]
    fn a_zombie_has_ended_once_its_last_thread_has() {
        let ended = |state: &str, threads: &str| {
            let line = format!("7 (a) {state} 1 7 8 0 -1 0 1 0 0 0 1 2 0 0 20 0 {threads} 0 5");
            Stat::parse(line.as_bytes()).unwrap().has_ended()
        };
        assert!(ended("Z", "1") && ended("X", "1") && ended("Z", "0"));
        assert!(!ended("Z", "2") && !ended("S", "1") && !ended("T", "1") && !ended("D", "1"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Stat::parse(&bytes);
        }
    }
}
