//! `demo`, whose last act ends a real process.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use super::stage::{Stage, ran};
use crate::process::{
    Sleeper, has_ended, is_in_the_way, skipped, start_ticks, texts, wait_for, without_netlink,
    without_network,
};

const LEFT_OUT: &str = "This host does not let the end of a process be shown: ";

fn demo(stage: &Stage) -> Command {
    let mut command = stage.live(&["demo"]);
    command.env("PATH", "/usr/bin:/bin");
    command
}

/// A demonstration that has come as far as its last act.
struct Playing {
    child: Child,
    rest: BufReader<std::process::ChildStdout>,
    /// The process that it is about to end.
    orphan: u32,
}

impl Playing {
    fn start(stage: &Stage) -> Playing {
        let mut child = demo(stage).stdout(Stdio::piped()).spawn().unwrap();
        let mut rest = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let orphan = loop {
            line.clear();
            assert!(rest.read_line(&mut line).unwrap() > 0, "no last act");
            let pid = line.split_once("own, pid ").and_then(|(_, rest)| rest.split(',').next());
            if let Some(pid) = pid {
                break pid.parse().unwrap();
            }
        };
        Playing { child, rest, orphan }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }

    /// Everything else that it says, and its exit code.
    fn end(mut self) -> (String, Option<i32>) {
        let mut text = String::new();
        self.rest.read_to_string(&mut text).unwrap();
        (text, self.child.wait().unwrap().code())
    }
}

#[test]
fn it_repairs_two_things_leaves_the_healthy_one_alone_and_nothing_behind() {
    let stage = Stage::healthy();
    let nothing_is_left = || {
        let left: Vec<_> = fs::read_dir(stage.path("tmp")).unwrap().collect();
        let is_ours = |entry: &std::io::Result<fs::DirEntry>| {
            entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("clawarden")
        };
        assert!(!left.iter().any(is_ours), "{left:?}");
        assert!(!stage.path("own").exists());
    };
    let text = ran(demo(&stage).env("CLAWARDEN_NOW", stage.now.to_string())).exits(0).stdout;
    let is_in_the_way = is_in_the_way(&text);
    for says in [
        "released lock agents/main/sessions/nightly.jsonl.lock",
        "settled lane agent:main:telegram",
        "healthy lane agent:main:main",
        "action 2 is undone",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    for says in [
        "\nended process ",
        "(unreachable)\n  demo adapter, ",
        "  1 process ended, ",
        "1 repaired; looked at 0 lanes, 0 locks and 1 agent process\n",
        " is gone.\n",
    ] {
        assert!(text.contains(says) || is_in_the_way, "{says}: {text}");
    }
    nothing_is_left();
    let json = ran(demo(&stage).arg("--json")).exits(0).json();
    assert_eq!(json["summary"]["acted"], 2);
    let last = &json["last_act"];
    if is_in_the_way {
        return;
    }
    assert_eq!(last["summary"]["acted"], 1, "{last:#}");
    assert_eq!(last["verdicts"][0]["reason"]["code"], "unreachable", "{last:#}");
    nothing_is_left();
}

#[test]
fn it_ends_no_other_process_however_like_its_own() {
    let stage = Stage::healthy();
    let elsewhere = stage.path("elsewhere");
    fs::create_dir_all(elsewhere.join("workspace")).unwrap();
    let playing = Playing::start(&stage);
    // Its first look comes later than this.
    playing.signal("-STOP");
    let argument = texts(playing.orphan, "cmdline").remove(1);
    let pair = |text: String| {
        let (name, value) = text.split_once('=').unwrap();
        (name.to_owned(), value.to_owned())
    };
    let its_own: Vec<_> = texts(playing.orphan, "environ").into_iter().map(pair).collect();
    let workspace = fs::read_link(format!("/proc/{}/cwd", playing.orphan)).unwrap();
    let sleep = fs::read_link(format!("/proc/{}/exe", playing.orphan)).unwrap();
    let of = |state_dir: &str| {
        let other = elsewhere.to_string_lossy().into_owned();
        vec![("OPENCLAW_CLI".to_owned(), "1".to_owned()), (state_dir.to_owned(), other)]
    };

    let others = [
        Sleeper::orphan(&argument, &of("OPENCLAW_STATE_DIR"), &elsewhere.join("workspace")),
        Sleeper::orphan(&argument, &of("OPENCLAW_STATE_DIR"), &workspace),
        Sleeper::orphan(&argument, &of("HOME"), &elsewhere),
        Sleeper::orphan(&argument, &[], "/".as_ref()),
        Sleeper::orphan(&argument, &[], &workspace),
        Sleeper::orphan(&argument, &its_own, &elsewhere),
        Sleeper::attached(&argument, &its_own, &workspace),
    ];
    assert!(others.iter().any(Sleeper::is_attached));
    let claude = elsewhere.join("claude");
    fs::copy(sleep, &claude).unwrap();
    let claude = claude.to_string_lossy().into_owned();
    let claude = match Command::new(&claude).arg("0").status() {
        // Where one program is all of them, it is none by that name.
        Ok(status) if status.success() => Some(Sleeper::named(&claude, "60", &its_own, &workspace)),
        _ => None,
    };
    let own = format!("{}@{}", playing.orphan, start_ticks(playing.orphan).unwrap());
    playing.signal("-CONT");
    let (text, code) = playing.end();
    if is_in_the_way(&text) {
        return;
    }
    let alive: Vec<_> = others.iter().map(Sleeper::is_alive).collect();
    assert_eq!((alive, code), (vec![true; others.len()], Some(0)), "{text}");
    assert!(text.contains(&format!("\nended process {own}\n")), "{text}");
    assert_eq!(text.matches("\nended ").count(), 1, "{text}");
    assert!(text.contains("and 8 agent processes\n"), "all of them, and no real agent: {text}");
    // Held by the rule itself, not only because one process is ended at most.
    for other in &others[3..6] {
        let held = format!("\nhold process {}\n  nothing shows that a gateway", other.id());
        assert!(text.contains(&held), "{held}: {text}");
    }
    assert!(claude.as_ref().is_none_or(Sleeper::is_alive));
}

#[test]
fn its_process_ends_with_it_however_that_ends() {
    let stage = Stage::healthy();
    for signal in ["-KILL", "-TERM"] {
        let playing = Playing::start(&stage);
        assert!(!has_ended(playing.orphan));
        let orphan = playing.orphan;
        playing.signal(signal);
        let (text, code) = playing.end();
        assert_eq!(code, None, "{signal}: {text}");
        wait_for("the end of the orphan", || has_ended(orphan));
    }
}

#[test]
fn what_the_host_does_not_allow_is_said_and_is_no_failure() {
    let stage = Stage::healthy();
    let no_sleep = ran(demo(&stage).env("PATH", stage.path("nowhere"))).exits(0).stdout;
    assert!(
        no_sleep.contains(&format!("\n{LEFT_OUT}no `sleep` could be started.\n")),
        "{no_sleep}"
    );
    assert!(no_sleep.contains("settled lane") && no_sleep.contains("That was all"), "{no_sleep}");
    let json = ran(demo(&stage).arg("--json").env("PATH", stage.path("nowhere"))).exits(0).json();
    assert_eq!(json["last_act"]["left_out"], "no `sleep` could be started");

    match without_netlink(&demo(&stage)) {
        None => skipped("no python3, or no seccomp"),
        Some(mut command) => {
            let text = ran(&mut command).exits(0).stdout;
            assert!(text.contains(LEFT_OUT) && text.contains("refused"), "{text}");
            assert!(!text.contains("ended process"), "{text}");
        }
    }
    match without_network(&demo(&stage)) {
        None => skipped("no network namespace may be made"),
        Some(mut command) => {
            // Not even the loopback answers there.
            let text = ran(&mut command).exits(0).stdout;
            assert!(text.contains(LEFT_OUT) && !text.contains("ended process"), "{text}");
        }
    }
}

#[test]
fn a_person_at_a_terminal_sees_all_of_it() {
    let stage = Stage::healthy();
    let mut command = demo(&stage);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("'{program}' --color never demo"), "/dev/null"]);
    script.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let Ok(output) = script.stdin(Stdio::null()).output() else {
        return skipped("no `script`, which makes terminals");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if is_in_the_way(&text) {
        return;
    }
    assert!(output.status.success() && text.contains("ended process"), "{text}");
    // So it is without one.
    assert!(ran(&mut command).exits(0).stdout.contains("ended process"));
}
