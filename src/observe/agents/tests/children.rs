//! What lives below a gateway in captured tables: tools are never taken for something else.

use std::time::Duration;

use super::*;

const AFTER: UnixMillis = UnixMillis(NOW.0 + 60_000);
const IO: &[u8] = b"rchar: 40\nwchar: 2\n";

/// A gateway with an attached pair, each with what it read and wrote.
fn stage() -> Stage {
    let stage = Stage::new();
    let home = stage.home.path().display().to_string();
    let marked = format!("HOME={home}\0OPENCLAW_CLI=1\0CLAUDE_CODE_ENTRYPOINT=sdk-ts\0");
    stage.process(20, 10, 2_000, "node", SCRIPT, STATUS);
    stage.within_session(20, 10, 2_000);
    stage.within_session(21, 20, 2_010);
    for pid in [20, 21] {
        stage.environ(pid, &marked);
        stage.captured.file(&format!("{pid}/io"), IO);
    }
    stage
}

fn children(stage: &Stage) -> Vec<Child> {
    stage.with_scene(NOW, |scene| stage.agents().look_at_children(scene))
}

/// Adds a process, and tells what becomes of it.
#[track_caller]
fn check(parent: i32, exe: &str, cmdline: &[u8], own_session: bool, environ: &str, is_agent: bool) {
    let stage = stage();
    stage.process(30, parent, 3_000, exe, cmdline, STATUS);
    if !own_session {
        stage.within_session(30, parent, 3_000);
    }
    stage.environ(30, environ);
    let found = children(&stage);
    let child = found.iter().find(|child| child.id.pid == 30).expect("it is seen");
    assert_eq!(child.is_agent, is_agent, "{}", cmdline.escape_ascii());
    let now = stage.with_scene(NOW, |scene| stage.agents().children_now(scene));
    assert_eq!(now, found, "looked at again");
}

#[test]
fn agents_and_what_belongs_to_them_are_no_tools() {
    let found = children(&stage());
    let told: Vec<_> = found.iter().map(|child| (child.id.pid, &*child.what)).collect();
    assert_eq!(told, [(20, "claude adapter"), (21, "claude agent")]);
    assert!(found.iter().all(|child| child.is_agent && child.idle == Some(Duration::ZERO)));
    // Servers, also through npx.
    check(21, "node", b"npm exec @upstash/context7-mcp", false, "A=1\0", true);
    check(21, "dash", b"sh\0-c\0context7-mcp", false, "A=1\0", true);
}

#[test]
fn a_tool_below_an_agent_is_one_however_it_looks() {
    check(21, "bash", b"/bin/bash\0-c\0eval x", true, "CLAUDECODE=1\0", false);
    check(21, "sleep", b"sleep\x00900", true, "A=1\0", false);
    check(21, "bash", b"/bin/bash\0-c\0eval x", false, "CLAUDECODE=1\0", false);
    check(21, "python3", b"python3\0train.py", false, "CLAUDECODE=1\0", false);
    // Only of `claude` it is known how tools look.
    let stage = stage();
    let mut families = families();
    families[0].name = "codex".to_owned();
    let stage = Stage { families, ..stage };
    stage.process(30, 21, 3_000, "node", b"node\0server.js", STATUS);
    stage.within_session(30, 21, 3_000);
    let is_agent: Vec<_> = children(&stage).iter().map(|child| child.is_agent).collect();
    assert_eq!(is_agent, [true, true, false]);
}

#[test]
fn what_the_gateway_starts_itself_is_a_tool_unless_it_only_carries_others() {
    // Its shell became the command; the mark is all that is left (2026.4.15).
    check(10, "sleep", b"sleep\x00600", true, "OPENCLAW_SHELL=exec\0", false);
    check(10, "sh", b"sh\0-c\0make", true, "A=1\0", false);
    check(10, "node", b"node\0plugin.js", false, "A=1\0", false);
    let broker = b"node\0/x/dist/process/spawn-broker/worker.js";
    check(10, "node", broker, true, "A=1\0", true);
    check(10, "sleep", broker, true, "A=1\0", false);
    check(10, "node", broker, true, "OPENCLAW_SHELL=exec\0", false);
}

#[test]
fn only_what_the_gateway_started_itself_is_its_service() {
    let broker = b"node\0/x/dist/process/spawn-broker/worker.js";
    let is_service = |parent: i32, exe: &str, cmdline: &[u8], environ: &str| {
        let stage = stage();
        stage.process(30, parent, 3_000, exe, cmdline, STATUS);
        stage.environ(30, environ);
        children(&stage).iter().find(|child| child.id.pid == 30).map(|child| child.is_service)
    };
    assert_eq!(is_service(10, "node", broker, "A=1\0"), Some(true));
    assert_eq!(is_service(10, "node", broker, "OPENCLAW_SHELL=exec\0"), Some(false));
    assert_eq!(is_service(10, "sleep", broker, "A=1\0"), Some(false));
    assert_eq!(is_service(20, "node", broker, "A=1\0"), Some(false));
    let reader = b"node\0/x/dist/infra/sqlite-readonly-location.worker.js\0session";
    assert_eq!(is_service(10, "node", reader, "A=1\0"), Some(true));
    let relay = b"node\0/x/dist/process/supervisor/service-child-relay.js";
    assert_eq!(is_service(10, "node", relay, "A=1\0"), Some(false));
    assert!(children(&stage()).iter().all(|child| !child.is_service));
}

#[test]
fn an_agent_that_a_tool_started_is_a_part_of_the_tool() {
    let stage = stage();
    stage.process(30, 10, 3_000, "bash", b"bash\0-c\0claude", STATUS);
    stage.environ(30, "OPENCLAW_SHELL=exec\0");
    stage.process(31, 30, 3_010, "node", SCRIPT, STATUS);
    stage.process(32, 31, 3_020, "node", b"claude", STATUS);
    let is_agent: Vec<_> = children(&stage).iter().map(|child| child.is_agent).collect();
    assert_eq!(is_agent, [true, true, false, false, false]);
}

#[test]
fn a_launcher_is_one_only_on_the_way_to_an_agent() {
    let stage = stage();
    stage.process(18, 10, 1_800, "node", b"npm exec claude-agent-acp", STATUS);
    stage.process(19, 18, 1_900, "dash", b"sh\0-c\0claude-agent-acp", STATUS);
    let told = |stage: &Stage| -> Vec<_> {
        children(stage).iter().map(|child| (child.id.pid, child.is_agent)).collect()
    };
    assert_eq!(told(&stage), [(18, false), (19, false), (20, true), (21, true)]);
    stage.process(20, 19, 2_000, "node", SCRIPT, STATUS);
    assert_eq!(told(&stage), [(18, true), (19, true), (20, true), (21, true)]);
    stage.process(19, 18, 1_900, "python3", b"python3\0run.py", STATUS);
    assert_eq!(told(&stage), [(18, true), (19, false), (20, false), (21, false)]);
}

#[test]
fn what_cannot_be_read_may_be_a_tool_and_is_not_said_to_be_idle() {
    let stage = stage();
    stage.captured.without_file("21/environ").without_file("21/io");
    let found = children(&stage);
    let told: Vec<_> = found.iter().map(|child| (child.is_agent, child.idle)).collect();
    assert_eq!(told, [(true, Some(Duration::ZERO)), (false, None)]);
}

#[test]
fn the_lane_is_that_of_the_process_or_of_the_nearest_one_above() {
    let mut stage = stage();
    stage.process(30, 21, 3_000, "bash", b"/bin/bash\0-c\0x", STATUS);
    stage.process(31, 10, 3_000, "sleep", b"sleep\x00600", STATUS);
    let key = |key: &str| Some(SessionKey::from(key));
    let lanes =
        |stage: &Stage| -> Vec<_> { children(stage).into_iter().map(|child| child.lane).collect() };
    assert_eq!(lanes(&stage), [None, None, None, None]);
    let noted = |lane: &str| Descent { session_key: key(lane), ..seen_below(GATEWAY, GATEWAY) };
    stage.ledger.see(ADAPTER, noted("a"));
    assert_eq!(lanes(&stage), [key("a"), key("a"), key("a"), None]);
    stage.ledger.see(CLAUDE, noted("b"));
    assert_eq!(lanes(&stage), [key("a"), key("b"), key("b"), None]);
}

#[test]
fn idle_is_what_did_nothing_between_two_looks_and_now() {
    let stage = stage();
    let mut agents = stage.agents();
    let idle = |children: Vec<Child>| -> Vec<_> {
        children.iter().map(|child| child.idle.map(|idle| idle.as_secs())).collect()
    };
    let look = |agents: &mut Agents, now| {
        idle(stage.with_scene(now, |scene| agents.look_at_children(scene)))
    };
    assert_eq!(look(&mut agents, NOW), [Some(0), Some(0)]);
    stage.captured.file("21/io", b"rchar: 41\nwchar: 2\n");
    assert_eq!(look(&mut agents, AFTER), [Some(60), Some(0)]);
    let later = UnixMillis(AFTER.0 + 60_000);
    let again = stage.with_scene(later, |scene| agents.children_now(scene));
    assert_eq!(idle(again), [Some(120), Some(60)]);
    stage.captured.file("20/io", b"rchar: 41\nwchar: 2\n");
    let again = stage.with_scene(later, |scene| agents.children_now(scene));
    assert_eq!(idle(again), [Some(0), Some(60)]);
    agents.forget_children();
    assert_eq!(look(&mut agents, later), [Some(0), Some(0)]);
}

#[test]
fn a_tool_that_ends_is_told_of_for_a_while_and_an_agent_is_not() {
    let stage = stage();
    stage.process(30, 10, 3_000, "sleep", b"sleep\x00600", STATUS);
    stage.environ(30, "OPENCLAW_SHELL=exec\0");
    let mut agents = stage.agents();
    let ended = |agents: &mut Agents, now| -> Vec<_> {
        stage.with_scene(now, |scene| agents.look_at_children(scene));
        agents.ended_tools().iter().map(|ended| (ended.tool.id.pid, ended.gone_at)).collect()
    };
    let at = |seconds: i64| UnixMillis(NOW.0 + seconds * 1_000);
    assert_eq!(ended(&mut agents, NOW), []);
    for pid in [21, 30] {
        stage.captured.state(pid, 'S', 1, 1_001);
    }
    assert_eq!(ended(&mut agents, AFTER), [(30, AFTER)]);
    assert_eq!(ended(&mut agents, at(60 + 299)), [(30, AFTER)]);
    assert_eq!(ended(&mut agents, at(60 + 300)), []);
}

#[test]
fn without_a_gateway_there_are_none_and_its_number_is_not_enough() {
    let stage = stage();
    stage.captured.state(10, 'S', 1, 1_001);
    assert_eq!(children(&stage), []);
}

#[test]
fn hostile_arguments_and_a_circle_of_parents_change_nothing() {
    let stage = stage();
    let claims = b"claude\0\x1b[2J\xff\0.bin/claude-agent-acp";
    stage.process(30, 10, 3_000, "evil\u{1b}", claims, STATUS);
    stage.process(31, 32, 3_000, "sh", b"sh", STATUS);
    stage.process(32, 31, 3_000, "sh", b"sh", STATUS);
    let found = children(&stage);
    let told: Vec<_> = found.iter().map(|child| (child.id.pid, child.is_agent)).collect();
    assert_eq!(told, [(20, true), (21, true), (30, false)]);
}
