//! What people are told about processes.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::stage::{GATEWAY, Stage, ran};
use crate::table::Listed;

/// A healthy gateway with an adapter, its `claude` and a server of that.
fn with_agents() -> (Stage, [Listed; 3]) {
    let stage = Stage::healthy();
    let adapter = Listed { resident_kib: 100 << 10, ..Listed::adapter(5001, GATEWAY.0) };
    let claude = Listed { resident_kib: 200 << 10, ..Listed::claude(5002, 5001) };
    let server = Listed::new(5003, 5002, &["node", "/x/_npx/1/node_modules/.bin/context7-mcp"]);
    let server = Listed { resident_kib: 50 << 10, ..server };
    let all = [adapter, claude, server];
    for process in &all {
        process.put(&stage.path("proc"));
    }
    (stage, all)
}

fn explained(stage: &Stage, subject: &str) -> (String, Value) {
    let text = stage.run(&["explain", subject]).exits(0).stdout;
    (text, stage.run(&["explain", subject, "--json"]).exits(0).json())
}

#[test]
fn status_counts_the_agents_of_this_gateway_and_their_memory() {
    let (stage, _) = with_agents();
    let somebodys = Listed { tty: 34_816, ..Listed::claude(5009, 1).env(&["HOME=/home/user"]) };
    somebodys.put(&stage.path("proc"));
    let text = stage.run(&["status"]).exits(0).stdout;
    assert!(text.contains("\nits agents      2 processes, 350 MiB with their tools\n"), "{text}");
    let status = stage.run(&["status", "--json"]).exits(0).json();
    let seen = &status["pass"]["seen"]["agents"];
    let counts = [&seen["all"], &seen["ours"], &seen["ours_resident"]];
    assert_eq!(counts.map(|count| count.as_u64().unwrap()), [3, 2, 350 << 20], "{status}");
    assert!(text.contains("nothing wrong; looked at 1 lane, 0 locks and 3 agent processes"));
}

#[test]
fn status_says_nothing_of_agents_where_none_is_ours() {
    let stage = Stage::healthy();
    Listed::claude(5009, 1).env(&["HOME=/home/other"]).put(&stage.path("proc"));
    let text = stage.run(&["status"]).exits(0).stdout;
    assert!(!text.contains("its agents"), "{text}");
    let one = Listed::adapter(5001, GATEWAY.0);
    one.put(&stage.path("proc"));
    let text = stage.run(&["status"]).exits(0).stdout;
    assert!(text.contains("\nits agents      1 process, 1 MiB with its tools\n"), "{text}");
}

#[test]
fn the_shell_of_a_person_is_explained_as_no_agent() {
    let stage = Stage::healthy();
    let shell = Listed { tty: 34_816, ..Listed::new(6001, 1, &["bash"]) };
    shell.put(&stage.path("proc"));
    for subject in ["6001", &shell.id()] {
        let (text, json) = explained(&stage, subject);
        for says in [
            "no agent: process 6001@",
            "it is no agent of any family; somebody may want it (not_an_agent)",
            "no gateway; its parent is pid 1 (init)",
            ") has a terminal\n",
            "\nwhy it is no agent\n",
            " bash\n",
            " bash is not bun or claude or node\n",
            "nothing to do; only agents are ever ended\n",
        ] {
            assert!(text.contains(says), "{says}: {text}");
        }
        assert_eq!(json["reason"]["code"], "not_an_agent");
        assert_eq!(json["recognition"]["executable"], "bash");
        assert_eq!(json["recognition"]["families"]["opencode"], "bash is not opencode");
    }
}

#[test]
fn a_process_of_the_gateway_is_told_by_what_is_above_it() {
    let (stage, [adapter, claude, server]) = with_agents();
    let (text, json) = explained(&stage, "5003");
    assert_eq!(json["subject"]["id"], server.id());
    assert_eq!(json["reason"]["code"], "part_of_tree", "{json:#}");
    assert!(text.contains(&format!(
        "judged together with pid 5001 (started at tick {})",
        adapter.start_ticks
    )));
    let why = &json["recognition"]["families"]["claude"];
    assert_eq!(why[0], "argument 0, node, is not claude", "{json:#}");
    assert!(why[1].as_str().unwrap().contains("/.bin/context7-mcp, is not "), "{json:#}");

    let (_, json) = explained(&stage, "5002");
    assert_eq!((&json["subject"]["id"], &json["recognition"]), (&claude.id().into(), &Value::Null));
    assert_eq!(json["reason"]["code"], "part_of_tree", "{json:#}");
    let (text, json) = explained(&stage, "5001");
    assert_eq!(json["reason"]["code"], "contact_kept", "{json:#}");
    assert!(text.contains("the live gateway of this state directory, pid 4711"), "{text}");
    let (text, _) = explained(&stage, "4711");
    assert!(text.contains("(not_an_agent)") && text.contains("what cannot be read"), "{text}");
}

#[test]
fn a_process_that_no_rule_asks_for_is_told_apart_from_one_that_is_not_there() {
    let (stage, _) = with_agents();
    stage.configure("policies: { orphan_process: { families: { claude: { mode: off } } } }\n");
    let (text, json) = explained(&stage, "5001");
    assert!(text.contains("is a process, and orphan_process is off for it"), "{text}");
    assert_eq!((&json["subject"]["kind"], &json["decision"]), (&"process".into(), &Value::Null));
    let ran = stage.run(&["explain", "5999"]).exits(64);
    assert_eq!(ran.stderr, "clawarden: there is no live process with the pid 5999\n");
}

#[test]
fn the_pipes_of_strangers_are_not_opened() {
    let stage = Stage::healthy();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut cat = Command::new("cat")
        .stdin(Stdio::from(OwnedFd::from(reader)))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = cat.id().to_string();
    let text = ran(&mut stage.live(&["explain", &pid])).exits(0).stdout;
    drop(writer);
    cat.wait().unwrap();
    assert_eq!(text.matches(": the pipe was not opened to ask\n").count(), 2, "{text}");
    assert!(text.contains("cat is not bun or claude or node"), "{text}");
}
