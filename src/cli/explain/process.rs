//! A process as the subject: which one is meant, and why it is no agent.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::model::{Family, Pattern, ProcessId, Sighting, Subject, SubjectKind};
use crate::observe::Observer;
use crate::observe::process::Process;
use crate::text;

/// A pid, and of which life where that was said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Asked {
    pub(super) pid: i32,
    start_ticks: Option<u64>,
}

impl Asked {
    /// Reads a pid, or `pid@ticks` as reports print it.
    pub(super) fn read(text: &str) -> Option<Asked> {
        if let Some(id) = ProcessId::from_subject_id(text) {
            return Some(Asked { pid: id.pid, start_ticks: Some(id.start_ticks) });
        }
        let pid = text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(Asked { pid, start_ticks: None })
    }

    /// Returns true if that very process is the subject.
    pub(super) fn is(self, subject: &Subject) -> bool {
        let id = ProcessId::from_subject_id(&subject.id);
        subject.kind == SubjectKind::Process && id.is_some_and(|id| self.is_life(id))
    }

    fn is_life(self, id: ProcessId) -> bool {
        self.pid == id.pid && self.start_ticks.is_none_or(|ticks| ticks == id.start_ticks)
    }

    /// Returns why nothing is known of it, or `None` if it is there.
    pub(super) fn absence(self, observer: &Observer) -> Option<String> {
        let pid = self.pid;
        match observer.sight(pid) {
            Sighting::Absent => Some(format!("there is no live process with the pid {pid}")),
            Sighting::Present { id, .. } if !self.is_life(id) => {
                let now = id.subject_id();
                Some(format!("that process has ended; pid {pid} is another one now, {now}"))
            }
            Sighting::Present { .. } => None,
            Sighting::Hidden => Some(format!("nothing can be seen of pid {pid}")),
        }
    }
}

/// Says of every family why `process` is none of it: which executables it would need, and which
/// arguments.
pub(super) fn recognition<'a>(
    process: &Process,
    families: impl Iterator<Item = &'a Family>,
) -> Value {
    let program = program(process);
    let tried = families.map(|family| (family.name.clone(), tried(process, &program, family)));
    json!({ "executable": program, "families": tried.collect::<Map<_, _>>() })
}

fn program(process: &Process) -> String {
    match process.program.as_slice() {
        [] => "what cannot be read".to_owned(),
        name => String::from_utf8_lossy(name).into_owned(),
    }
}

/// What the family would need, where it is of one of its executables.
fn tried(process: &Process, program: &str, family: &Family) -> Value {
    let mut wanted: BTreeMap<usize, BTreeSet<&str>> = BTreeMap::new();
    for pattern in family.patterns.iter().filter(|pattern| is_its(pattern, process)) {
        if let Some(argument) = &pattern.argument {
            wanted.entry(argument.position).or_default().insert(&argument.ends_with);
        }
    }
    if wanted.is_empty() {
        let all = family.patterns.iter().flat_map(|pattern| &pattern.exe);
        return format!("{program} is not {}", any_of(all.map(String::as_str).collect())).into();
    }
    let lacks = wanted.into_iter().map(|(position, ends)| match argument(process, position) {
        Some(argument) => format!("argument {position}, {argument}, is not {}", any_of(ends)),
        None => format!("there is no argument {position}, which would be {}", any_of(ends)),
    });
    lacks.collect::<Vec<_>>().into()
}

fn is_its(pattern: &Pattern, process: &Process) -> bool {
    pattern.exe.iter().any(|exe| exe.as_bytes() == process.program)
}

fn any_of(names: BTreeSet<&str>) -> String {
    names.into_iter().collect::<Vec<_>>().join(" or ")
}

/// One argument as [`text::command`] shows it, which hides what follows an option for a secret.
fn argument(process: &Process, position: usize) -> Option<String> {
    process.argv().nth(position)?;
    let before = text::command(process.argv().take(position));
    let with = text::command(process.argv().take(position + 1));
    Some(with.strip_prefix(&before)?.trim_start().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Argument, Part};

    #[test]
    fn a_pid_or_a_life_is_asked_for_and_nothing_else() {
        let life = |pid, start_ticks| Some(Asked { pid, start_ticks });
        assert_eq!(Asked::read("4711"), life(4711, None));
        assert_eq!(Asked::read("4711@5"), life(4711, Some(5)));
        for text in ["", "+7", "-7", "7@", "7@x", "99999999999", "agent:main:main", "7 "] {
            assert_eq!(Asked::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_life_is_no_other_life_and_no_lane() {
        let is = |asked: &str, kind, id: &str| {
            Asked::read(asked).is_some_and(|asked| asked.is(&Subject { kind, id: id.to_owned() }))
        };
        assert!(is("7", SubjectKind::Process, "7@5") && is("7@5", SubjectKind::Process, "7@5"));
        assert!(!is("7@6", SubjectKind::Process, "7@5") && !is("5", SubjectKind::Process, "7@5"));
        assert!(!is("7", SubjectKind::Lane, "7@5"));
    }

    #[track_caller]
    fn check(program: &str, cmdline: &[u8], want: &[&str]) {
        let process = Process {
            id: ProcessId { pid: 7, start_ticks: 70 },
            parent: 1,
            group: 7,
            session: 7,
            tty: 0,
            uid: 1000,
            state: 'S',
            cmdline: cmdline.to_vec(),
            program: program.as_bytes().to_vec(),
        };
        let pattern = |exe: &str, position, end: &str| Pattern {
            part: Part::Adapter,
            exe: vec![exe.to_owned()],
            argument: Some(Argument { position, ends_with: end.to_owned() }),
            mark: None,
        };
        let patterns = vec![
            pattern("node", 1, "a/index.js"),
            pattern("node", 1, "b/index.js"),
            pattern("node", 2, "a/index.js"),
            Pattern { argument: None, ..pattern("claude", 0, "") },
        ];
        let family = Family { name: "f".to_owned(), patterns };
        let said = recognition(&process, std::iter::once(&family));
        let said = match &said["families"]["f"] {
            Value::Array(lines) => lines.iter().filter_map(Value::as_str).collect(),
            other => other.as_str().into_iter().collect::<Vec<_>>(),
        };
        assert_eq!(said, want);
    }

    #[test]
    fn every_family_says_what_it_would_need() {
        check("bash", b"bash", &["bash is not claude or node"]);
        check("", b"", &["what cannot be read is not claude or node"]);
        check(
            "node",
            b"node\0/x/server.js",
            &[
                "argument 1, /x/server.js, is not a/index.js or b/index.js",
                "there is no argument 2, which would be a/index.js",
            ],
        );
    }

    #[test]
    fn a_secret_is_not_told() {
        check(
            "node",
            b"node\0--token\0hunter2",
            &[
                "argument 1, --token, is not a/index.js or b/index.js",
                "argument 2, ***, is not a/index.js",
            ],
        );
    }
}
