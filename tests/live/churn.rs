//! Ten thousand processes that come and go while an orphan is ended: no signal goes astray.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::gateway::Gateway;
use crate::home::Home;
use crate::lab::{self, Lab};
use crate::owner::{Owner, persistent};
use crate::process::{Process, of_role};
use crate::report::Report;
use crate::wait::{seconds, until};
use crate::watchdog::{Daemon, Watchdog};

const LEAST: u64 = 10_000;

#[test]
fn signals_nothing_but_the_orphan_among_ten_thousand_short_lives() {
    let Some(lab) = Lab::with_agents("2026.4.15") else { return };
    let home = Home::new(lab);
    let gateway = Gateway::start(&home);
    let [beside, apart] = ["beside", "apart"].map(|name| home.note(name));
    let mut owner = Owner::start(
        &home,
        "owner",
        &json!({
            "mode": "persistent", "command": with_sentinel(&home, &beside),
        }),
    );
    owner.wait_for("idle");
    let tree = owner.wait_for_roles(&["adapter", "claude"]);
    let mut churn =
        run(&home, "churn.py", &[LEAST.to_string(), home.note("stop").display().to_string()]);
    let churn = churn.stdout(Stdio::piped()).spawn().unwrap();
    let mut sentinel = run(&home, "sentinel.py", &[apart.display().to_string()]).spawn().unwrap();
    let sentinels = [&beside, &apart].map(listening);
    let daemon = Watchdog::reaper(&home).daemon();
    daemon.wait_for_passes(2);

    owner.kill();
    let orphan = of_role(&tree, "adapter")[0];
    let group = orphan.stat().unwrap().group;
    assert!(sentinels.iter().any(|sentinel| sentinel.stat().unwrap().group == group));
    until("the orphan is ended", seconds(120), || (!orphan.is_alive()).then_some(()));
    fs::write(home.note("stop"), "").unwrap();
    let churned = churn.wait_with_output().unwrap();
    let churned: u64 = String::from_utf8(churned.stdout).unwrap().trim().parse().unwrap();
    daemon.wait_for_passes(2);
    let passes = Daemon::stop(daemon);
    eprintln!("  {churned} short lives, {} passes", passes.len());
    assert!(churned >= LEAST, "{churned}");
    let ended: Vec<_> = passes.iter().flat_map(Report::acts).collect();
    assert_eq!(ended, [orphan.subject()]);
    tree.iter().for_each(|process| assert!(!process.is_alive(), "{process}"));
    for (sentinel, notes) in sentinels.iter().zip([&beside, &apart]) {
        assert!(sentinel.is_alive(), "{sentinel}");
        assert_eq!(fs::read_to_string(notes).unwrap(), "listens\n", "{sentinel}");
    }
    assert!(gateway.process().is_alive());
    gateway.turn("agent:main:main");
    sentinel.kill().unwrap();
    sentinel.wait().unwrap();
}

/// An adapter that first starts a sentinel: in its group and session, with its input and output, of
/// the same folder and environment, and an orphan from the beginning.
fn with_sentinel(home: &Home, notes: &Path) -> String {
    let sentinel = lab::script("sentinel.py").display().to_string();
    let adapter = persistent(home)["command"].as_str().unwrap().to_owned();
    format!("bash -c '(python3 {sentinel} {} &); exec {adapter}'", notes.display())
}

fn run(home: &Home, script: &str, args: &[String]) -> Command {
    let mut command = Command::new("setpriv");
    home.dress(command.args(["--pdeathsig", "KILL", "python3"]));
    command.arg(lab::script(script)).args(args).current_dir(home.workspace());
    command.env("OPENCLAW_CLI", "1");
    command
}

/// The sentinel that writes these notes.
#[track_caller]
fn listening(notes: &PathBuf) -> Process {
    until("the sentinel listens", seconds(60), || fs::metadata(notes).ok().filter(|n| n.len() > 0));
    let notes = notes.display().to_string();
    let mut all = crate::process::all().into_iter();
    all.find(|process| process.argv().last() == Some(&notes)).expect("the sentinel")
}
