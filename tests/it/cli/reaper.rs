//! A real process is ended, told about, and asked back, through the program.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::stage::{Ran, Stage, ran};
use crate::process::{Sleeper, is_in_the_way, skipped, without_netlink, without_network};

const KEY: &str = "agent:claude:acp:a6238e66-5172-4d81-95af-2c5e35a97b19";

/// A gateway that has crashed, and an agent that it left behind.
struct Left {
    stage: Stage,
    agent: Sleeper,
    argument: String,
}

impl Left {
    fn behind() -> Left {
        let stage = Stage::healthy();
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = port.local_addr().unwrap().port();
        let config = json!({ "gateway": { "mode": "local", "port": port } });
        stage.write(&stage.state_dir().join("openclaw.json"), &config.to_string(), 0);
        let workspace = stage.state_dir().join("workspace");
        fs::create_dir_all(&workspace).unwrap();
        let state_dir = stage.state_dir().to_string_lossy().into_owned();
        let env = [("OPENCLAW_CLI", "1"), ("OPENCLAW_STATE_DIR", state_dir.as_str())];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let argument = format!("60.{}{}", std::process::id(), port);
        let agent = Sleeper::orphan(&argument, &env, &workspace);
        let exe = agent.exe();
        stage.configure(&format!(
            "allow_short: true
confirm: {{ gap: 100ms }}
policies:
  orphan_process:
    min_age: 10ms
    families:
      sleeper: {{ mode: enforce, processes: [{{ exe: {exe}, argument: \"{argument}\" }}] }}
"
        ));
        Left { stage, agent, argument }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.stage.live(args);
        command.env("PATH", "/usr/bin:/bin");
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    /// Writes the record of the oneshot session that it worked for.
    fn record(&self) -> PathBuf {
        let id = format!("{KEY}:oneshot:f11c23bc-b420-46d5-8091-5ced33445637");
        let folder = self.stage.state_dir().join("workspace/state/sessions");
        let path = folder.join(format!("{}.json", id.replace(':', "%3A")));
        let record = json!({
            "schema": "acpx.session.v1",
            "acpx_record_id": id,
            "acp_session_id": "1329ae43-4151-4d5e-be18-4672e35dbb5d",
            "agent_command": format!("sleep {}", self.argument),
            "cwd": self.stage.state_dir().join("workspace"),
            "name": KEY,
            "pid": self.agent.pid,
            "agent_started_at": self.stage.now.to_string(),
            "closed": false,
        });
        self.stage.write(&path, &format!("{record:#}\n"), 0);
        path
    }

    /// Ends it; `None` where that is not possible beside other gateways of this host.
    fn ended(&self) -> Option<String> {
        let text = self.run(&["run", "--once"]).exits(0).stdout;
        if is_in_the_way(&text) {
            return None;
        }
        assert!(text.contains(&format!("\nended process {}\n", self.agent.id())), "{text}");
        assert!(!self.agent.is_alive());
        Some(text)
    }
}

#[test]
fn an_ended_tree_is_in_the_history_and_cannot_be_brought_back() {
    let left = Left::behind();
    let id = left.agent.id();
    let Some(text) = left.ended() else { return };
    assert!(text.contains("\n  1 process ended, ") && !text.contains("undo with"), "{text}");
    let history = left.run(&["history", "--actions"]).exits(0).stdout;
    assert!(history.contains(&format!("action 1  end_tree process {id}: done: 1 process ended")));
    let line = left.run(&["history", "--actions", "--json"]).exits(0).json();
    let action = &line["detail"]["action"];
    assert_eq!((&action["root"], &action["cause"]), (&json!(id), &json!("orphan")), "{line:#}");
    assert_eq!(line["detail"]["evidence"]["command"], format!("sleep {}", left.argument));

    for args in [&["undo", "1", "--dry-run"][..], &["undo", "1"]] {
        let said = left.run(args).exits(1).stdout;
        assert!(said.contains("is not undone: ended processes cannot be brought back"), "{said}");
    }
    let explained = left.run(&["explain", &id]).exits(0).stdout;
    assert!(explained.contains("is not there any more") && explained.contains("action 1 end_tree"));
    assert!(!left.run(&["status"]).exits(0).stdout.contains("is protected"));
}

#[test]
fn an_undo_puts_the_record_back_and_says_that_the_process_is_not() {
    let left = Left::behind();
    let record = left.record();
    let before = fs::read_to_string(&record).unwrap();
    let Some(text) = left.ended() else { return };
    assert!(
        text.contains("; its session record is closed") && text.contains("\n  undo with: "),
        "{text}"
    );
    let closed: Value = serde_json::from_str(&fs::read_to_string(&record).unwrap()).unwrap();
    assert_eq!((&closed["closed"], &closed["pid"]), (&json!(true), &json!(left.agent.pid)));

    let only = "only its session record; ended processes cannot be brought back";
    let dry = left.run(&["undo", "1", "--dry-run"]).exits(0).stdout;
    assert!(dry.contains(&format!("can be undone: {only}; nothing was changed\n")), "{dry}");
    let said = left.run(&["undo", "1"]).exits(0).stdout;
    assert!(said.ends_with(&format!("is undone: {only}\n")), "{said}");
    assert_eq!(fs::read_to_string(&record).unwrap(), before);
    let status = left.run(&["status"]).exits(0).stdout;
    assert!(!status.contains("is protected"), "of a process that is gone: {status}");
    let again = left.run(&["undo", "1"]).exits(1).stderr;
    assert!(again.contains("action 1 is undone already, by action 2"), "{again}");
}

#[test]
fn an_undo_leaves_a_record_that_has_changed_since() {
    let left = Left::behind();
    let record = left.record();
    if left.ended().is_none() {
        return;
    }
    let text = fs::read_to_string(&record).unwrap().replace("1329ae43", "2329ae43");
    fs::write(&record, &text).unwrap();
    let said = left.run(&["undo", "1"]).exits(1).stdout;
    assert!(said.contains("is not undone: the record has changed since; nothing was changed"));
    assert_eq!(fs::read_to_string(&record).unwrap(), text);
}

#[test]
fn where_the_kernel_tells_nothing_about_sockets_nobody_is_ended_and_that_is_said() {
    let left = Left::behind();
    let once = &["run", "--once", "--json"];
    match without_netlink(&left.command(once)) {
        None => skipped("no python3, or no seccomp"),
        Some(mut refused) => {
            let report = ran(&mut refused).exits(0).json();
            assert_eq!(report["summary"]["acted"], 0, "{report:#}");
            assert_eq!(report["gaps"][0]["source"], "sockets", "{report:#}");
            let reason = report["gaps"][0]["reason"].as_str().unwrap();
            assert!(reason.contains("refused"), "{reason}");
            assert_eq!(report["verdicts"][0]["reason"]["code"], "contact_unknown", "{report:#}");
            let text = ran(&mut without_netlink(&left.command(&["plan"])).unwrap()).stdout;
            assert!(text.contains("cannot see sockets: /proc/net/unix: "), "{text}");
        }
    }
    match without_network(&left.command(once)) {
        None => skipped("no network namespace may be made"),
        Some(mut elsewhere) => {
            let report = ran(&mut elsewhere).exits(0).json();
            assert_eq!(report["summary"]["acted"], 0, "{report:#}");
            let verdict = &report["verdicts"][0];
            assert_eq!(verdict["reason"]["code"], "contact_unknown", "{report:#}");
            assert_eq!(verdict["subject"]["id"], left.agent.id());
        }
    }
    assert!(left.agent.is_alive());
    // The same process is ended where the kernel may be asked.
    let _ = left.ended();
}
