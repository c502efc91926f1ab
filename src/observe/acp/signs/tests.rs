use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::super::lease::{Lease, Part};
use super::*;
use crate::model::{Descent, FileStamp, RecordMode};

const ID: ProcessId = ProcessId { pid: 812, start_ticks: 9000 };
const GATEWAY: ProcessId = ProcessId { pid: 500, start_ticks: 100 };
const STARTED: UnixMillis = UnixMillis(1_000_000);
const ARGV: [&[u8]; 2] = [b"node", b"/opt/agent.mjs"];

fn candidate() -> Candidate<'static> {
    Candidate {
        id: ID,
        started_at: STARTED,
        clock_is_steady: true,
        group: ID.pid,
        session: ID.pid,
        argv: &ARGV,
        exe: Ok(Path::new("/usr/bin/node")),
        cwd: Ok(Path::new("/nowhere/w")),
    }
}

fn origin(place: Place) -> Origin {
    Origin {
        lease_id: None,
        instance_id: None,
        is_cli: false,
        shell: None,
        is_claude_tool: false,
        entrypoint: None,
        place,
    }
}

/// Compares the kind of what was seen, and a part of its text.
#[track_caller]
fn check(seen: &Seen, want: &str) {
    let shown = match seen {
        Seen::Present(text) => format!("present: {text}"),
        Seen::Absent => "absent".to_owned(),
        Seen::Differs(text) => format!("differs: {text}"),
        Seen::Unreadable(text) => format!("unreadable: {text}"),
    };
    assert_eq!(shown, want);
}

#[test]
fn a_lease_or_the_gateways_id_shows_whose_it_is() {
    let mut part = Part::default();
    part.add("3f2a4711-lease", Lease::default());
    part.add_instance("11112222-gateway");
    let leases = Leases::new(vec![Arc::new(part)]);
    let with = |lease_id: Option<&str>, instance_id: Option<&str>| {
        let (lease_id, instance_id) = (lease_id.map(str::to_owned), instance_id.map(str::to_owned));
        lease(Ok(&Origin { lease_id, instance_id, ..origin(Place::Ours) }), &leases)
    };
    let ours = "present: lease 3f2a4711… of this state directory";
    check(&with(Some("3f2a4711-lease"), None), ours);
    check(&with(Some("3f2a4711-lease"), Some("other")), ours);
    let gateway = "present: gateway instance 11112222… of this state directory";
    check(&with(None, Some("11112222-gateway")), gateway);
    check(&with(Some("gone"), Some("11112222-gateway")), gateway);
    check(&with(None, None), "absent");
    check(&with(Some("3f2a"), None), "differs: lease 3f2a is none of this state directory");
    check(&with(None, Some("éééééééééé")), "differs: gateway instance éééééééé… is not this one's");
    check(&lease(Err("EACCES"), &leases), "unreadable: EACCES");
    let nothing = Leases::default();
    assert!(!lease(Ok(&origin(Place::Ours)), &nothing).is_present());
}

#[test]
fn only_what_the_ledger_holds_was_seen() {
    let mut seen = Ledger::default();
    check(&ledger(ID, &seen), "absent");
    let descent = Descent {
        gateway: GATEWAY,
        parent: GATEWAY,
        argv_hash: 0,
        session_key: None,
        first_seen: STARTED,
    };
    seen.see(ID, descent);
    let want = "present: seen below the gateway, pid 500, on 1970-01-01T00:16:40.000Z";
    check(&ledger(ID, &seen), want);
    check(&ledger(ProcessId { start_ticks: 9001, ..ID }, &seen), "absent");
}

fn a_record() -> AcpxRecord {
    AcpxRecord {
        path: "/nowhere/r.json".into(),
        stamp: FileStamp { dev: 1, ino: 1, bytes: 1, mtime_s: 1, mtime_ns: 1 },
        uid: 0,
        folder_uid: 0,
        record_id: "k".to_owned(),
        session_key: "k".into(),
        backing_id: None,
        mode: RecordMode::Persistent,
        command: "node /opt/agent.mjs".to_owned(),
        cwd: "/nowhere/w".into(),
        pid: Some(ID.pid),
        agent_started_at: Some(UnixMillis(STARTED.0 + 300)),
        is_closed: false,
        closed_at: None,
    }
}

fn of(records: Vec<AcpxRecord>, candidate: &Candidate<'_>) -> (Seen, Option<AcpxRecord>) {
    let records: Vec<_> = records.into_iter().map(Arc::new).collect();
    let (seen, found) = record(candidate, &records);
    (seen, found.map(|record| AcpxRecord::clone(record)))
}

#[track_caller]
fn check_record(change: impl FnOnce(&mut AcpxRecord), candidate: &Candidate<'_>, want: &str) {
    let mut record = a_record();
    change(&mut record);
    let (seen, found) = of(vec![record], candidate);
    assert_eq!(found.is_some(), seen.is_present());
    check(&seen, want);
}

#[test]
fn a_record_fits_by_pid_start_folder_and_command_together() {
    let ours = candidate();
    let fits = "present: record k names pid 812 and its start, 0.3 s apart";
    check_record(|_| {}, &ours, fits);
    let pid = "record k names pid 812, but";
    check_record(|r| r.pid = None, &ours, "absent");
    check_record(|r| r.pid = Some(813), &ours, "absent");
    let start = format!("differs: {pid} not when it started");
    check_record(|r| r.agent_started_at = None, &ours, &start);
    let folder = format!("differs: {pid} its working directory is another one");
    check_record(|r| r.cwd = "/nowhere".into(), &ours, &folder);
    let command = format!("differs: {pid} its command is another one");
    check_record(|r| r.command = "node /opt/other.mjs".to_owned(), &ours, &command);
}

#[test]
fn a_recycled_pid_is_told_by_its_start() {
    let at = |millis: i64, want: &str| {
        check_record(|r| r.agent_started_at = Some(UnixMillis(millis)), &candidate(), want);
    };
    let fits = "present: record k names pid 812 and its start, 3.0 s apart";
    at(STARTED.0 - 3000, fits);
    at(STARTED.0 + 3000, fits);
    let pid = "differs: record k names pid 812, but one that started at";
    at(STARTED.0 + 3001, &format!("{pid} 1970-01-01T00:16:43.001Z"));
    at(STARTED.0 - 3001, &format!("{pid} 1970-01-01T00:16:36.999Z"));
    at(i64::MAX, &format!("{pid} 9223372036854775807 ms"));
    at(i64::MIN, &format!("{pid} -9223372036854775808 ms"));
}

#[test]
fn a_record_proves_nothing_once_the_clock_was_set_or_the_folder_is_unreadable() {
    let set = Candidate { clock_is_steady: false, ..candidate() };
    check_record(|_| {}, &set, "unreadable: the clock was set since it started");
    check_record(|r| r.pid = None, &set, "absent");
    let blind = Candidate { cwd: Err("EACCES"), ..candidate() };
    check_record(|_| {}, &blind, "unreadable: working directory: EACCES");
}

#[test]
fn a_record_that_fits_is_found_beside_those_that_do_not() {
    let old = AcpxRecord { agent_started_at: Some(UnixMillis(0)), ..a_record() };
    let fits = AcpxRecord { record_id: "fits".to_owned(), ..a_record() };
    let found = of(vec![old.clone(), fits.clone(), old], &candidate());
    assert_eq!(found.1, Some(fits));
}

#[test]
fn the_folder_of_a_record_may_be_named_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let (real, link) = (dir.path().canonicalize().unwrap().join("real"), dir.path().join("link"));
    fs::create_dir(&real).unwrap();
    symlink(&real, &link).unwrap();
    let there = Candidate { cwd: Ok(&real), ..candidate() };
    let want = "present: record k names pid 812 and its start, 0.3 s apart";
    check_record(|r| r.cwd = link, &there, want);
}

#[test]
fn only_node_or_bun_with_a_wrapper_of_this_state_directory_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    fs::create_dir_all(state.join("acpx/deep")).unwrap();
    symlink(&state, dir.path().join("link")).unwrap();
    let with = |exe: Result<&Path, &str>, argv: &[&str]| {
        let argv: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
        wrapper(&Candidate { argv: &argv, exe, ..candidate() }, &state)
    };
    let node = Ok(Path::new("/n/node"));
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let script = at("state/acpx/claude-agent-acp-wrapper.mjs");
    let ours = "present: it runs claude-agent-acp-wrapper.mjs of this state directory";
    check(&with(node, &["node", &script]), ours);
    check(&with(node, &["node", "--flag", &script]), ours);
    check(&with(Ok(Path::new("/n/bun (deleted)")), &["bun", &script]), ours);
    check(&with(node, &["x", &at("link/acpx/claude-agent-acp-wrapper.mjs")]), ours);
    check(&with(node, &["node", "a", "b", &script]), "absent");
    check(&with(node, &[&script]), "absent");
    check(&with(node, &["node", &at("state/acpx/-acp-wrapper.mjs")]), "absent");
    check(&with(node, &["node", &at("state/acpx/x-acp-wrapper.mjs.bak")]), "absent");
    let elsewhere = "differs: it runs a wrapper of another folder";
    check(&with(node, &["node", &at("state/acpx/deep/x-acp-wrapper.mjs")]), elsewhere);
    check(&with(node, &["node", &at("other/acpx/x-acp-wrapper.mjs")]), elsewhere);
    check(&with(node, &["node", "x-acp-wrapper.mjs"]), elsewhere);
    let tail = "differs: it names a wrapper, but is neither node nor bun";
    check(&with(Ok(Path::new("/bin/tail")), &["tail", "-f", &script]), tail);
    check(&with(Err("EACCES"), &["node", &script]), "unreadable: executable: EACCES");
}

#[test]
fn a_control_group_is_the_gateways_only_if_the_unit_is() {
    const GATEWAY_UNIT: &str = "/system.slice/openclaw-gateway.service";
    let same = |group: &str, unit: Option<&str>| {
        control_group(Ok(group), Ok(group), Ok("/system.slice/clawarden.service"), unit)
    };
    check(&same(GATEWAY_UNIT, None), "present: in openclaw-gateway.service as the gateway is");
    let user = "/user.slice/user-0.slice/user@0.service/app.slice/openclaw-gateway-work.service";
    assert!(same(user, None).is_present());
    let own = "/system.slice/claw.service";
    check(&same(own, Some("claw.service")), "present: in claw.service as the gateway is");
    check(&same(own, Some("claw")), "present: in claw.service as the gateway is");
    let not = |name: &str| format!("differs: {name}, which is not the gateway's own");
    check(&same(own, None), &not("claw.service"));
    for name in ["gnome-terminal-server.service", "cron.service", "pm2-root.service"] {
        check(&same(&format!("/a/{name}"), Some("openclaw")), &not(name));
    }
    check(&same("/user.slice/user@1000.service", None), &not("user@1000.service"));
    let named = same("/user.slice/user@1000.service", Some("user@1000.service"));
    check(&named, &not("user@1000.service"));
    check(&same("/user.slice/session-3.scope", None), "absent");
    check(&same("/", None), "absent");
    check(&same("", None), "absent");
}

#[test]
fn a_control_group_that_is_shared_with_us_or_unreadable_proves_nothing() {
    const GATEWAY_UNIT: &str = "/system.slice/openclaw-gateway.service";
    let of = |process, gateway, own| control_group(process, gateway, own, None);
    let ours = of(Ok(GATEWAY_UNIT), Ok(GATEWAY_UNIT), Ok(GATEWAY_UNIT));
    check(&ours, "differs: openclaw-gateway.service, in which clawarden runs, too");
    check(&of(Ok("/other.service"), Ok(GATEWAY_UNIT), Ok("/")), "absent");
    let below = format!("{GATEWAY_UNIT}/below");
    check(&of(Ok(&below), Ok(GATEWAY_UNIT), Ok("/")), "absent");
    for (at, want) in [(0, "its control group: x"), (1, "the gateway's: x"), (2, "our own: x")] {
        let one = |n| if n == at { Err("x") } else { Ok(GATEWAY_UNIT) };
        check(&of(one(0), one(1), one(2)), &format!("unreadable: {want}"));
    }
}

#[test]
fn a_mark_of_a_gateway_counts_only_with_this_state_directory() {
    let with = |is_cli, shell: Option<&str>, place| {
        environment(Ok(&Origin { is_cli, shell: shell.map(str::to_owned), ..origin(place) }))
    };
    let other = || Place::Other("/x".into());
    check(&with(true, None, Place::Ours), "present: OPENCLAW_CLI=1 and this state directory");
    let shell = "present: OPENCLAW_SHELL=acp and this state directory";
    check(&with(false, Some("acp"), Place::Ours), shell);
    check(&with(false, Some("exec"), Place::Ours), "absent");
    check(&with(false, None, Place::Ours), "absent");
    check(&with(true, None, other()), "differs: OPENCLAW_CLI=1, but state directory /x");
    check(&with(true, None, Place::Unknown("why".to_owned())), "unreadable: why");
    check(&with(false, None, other()), "absent");
    check(&environment(Err("EACCES")), "unreadable: EACCES");
}

/// A ledger whose gateway was last seen at `last_seen`.
fn gateways(last_seen: i64) -> Ledger {
    let mut ledger = Ledger::default();
    ledger.see_gateway(GATEWAY, UnixMillis(last_seen));
    ledger
}

#[test]
fn the_group_or_session_of_a_gateway_is_a_sign() {
    let nobody = |_| None;
    let ledger = gateways(STARTED.0);
    let by_group = Candidate { group: GATEWAY.pid, ..candidate() };
    let by_session = Candidate { session: GATEWAY.pid, ..candidate() };
    let present = "present: its process group is that of the gateway, pid 500";
    check(&group(&by_group, &ledger, &nobody), present);
    check(&group(&by_group, &ledger, &|_| Some(GATEWAY)), present);
    let session = "present: its session is that of the gateway, pid 500";
    check(&group(&by_session, &ledger, &nobody), session);
    check(&group(&candidate(), &ledger, &nobody), "absent");
    check(&group(&by_group, &Ledger::default(), &nobody), "absent");
}

#[test]
fn a_number_that_may_be_somebody_elses_is_no_sign() {
    let nobody = |_| None;
    let ours = Candidate { group: GATEWAY.pid, ..candidate() };
    let seen =
        |candidate: &Candidate<'_>, last_seen: i64| group(candidate, &gateways(last_seen), &nobody);
    let before = "differs: the gateway, pid 500, was last seen before it started";
    check(&seen(&ours, STARTED.0 - 1), before);
    let recycled = |_| Some(ProcessId { start_ticks: 101, ..GATEWAY });
    let other = "differs: its process group 500 is another process now";
    check(&group(&ours, &gateways(STARTED.0), &recycled), other);
    let older = Candidate { id: ProcessId { pid: 812, start_ticks: 99 }, ..ours };
    check(&seen(&older, STARTED.0), "differs: the gateway, pid 500, is younger than it");
    let set = Candidate { clock_is_steady: false, ..ours };
    check(&seen(&set, STARTED.0), "unreadable: the clock was set since it started");
    let itself = Candidate { id: GATEWAY, ..ours };
    check(&seen(&itself, STARTED.0), "absent");
    let mut zero = Ledger::default();
    zero.see_gateway(ProcessId { pid: 0, start_ticks: 1 }, STARTED);
    check(&group(&Candidate { group: 0, session: 0, ..ours }, &zero, &nobody), "absent");
}

#[test]
fn a_later_gateway_with_the_same_pid_does_not_hide_the_right_one() {
    let mut ledger = gateways(STARTED.0);
    ledger.see_gateway(ProcessId { start_ticks: 50, ..GATEWAY }, UnixMillis(0));
    let ours = Candidate { group: GATEWAY.pid, ..candidate() };
    assert!(group(&ours, &ledger, &|_| Some(GATEWAY)).is_present());
}

#[test]
fn only_a_folder_inside_a_workspace_is_a_workspace() {
    let workspaces: Vec<PathBuf> = vec!["/s/workspace".into(), "/s/workspace-a".into()];
    let at =
        |cwd: &str| workspace(&Candidate { cwd: Ok(Path::new(cwd)), ..candidate() }, &workspaces);
    check(&at("/s/workspace"), "present: it works in /s/workspace");
    check(&at("/s/workspace-a/b/c"), "present: it works in /s/workspace-a");
    for outside in ["/s/workspace-b", "/s/workspaces", "/s", "/", "", "/s/workspace (deleted)"] {
        check(&at(outside), "absent");
    }
    let blind = Candidate { cwd: Err("EACCES"), ..candidate() };
    check(&workspace(&blind, &workspaces), "unreadable: working directory: EACCES");
    let none: [PathBuf; 0] = [];
    check(&workspace(&candidate(), &none), "absent");
}
