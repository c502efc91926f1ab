//! What is concluded of each captured state: every verdict, and the whole text.

use std::path::Path;

use crate::capture::{ALL, Capture, Ran, assert_same, assert_text, of_others, verdicts};

/// Name, gateway (`status era pid`), and every verdict of `plan --all` in its order.
type Conclusion = (&'static str, &'static str, &'static [&'static str]);

pub(super) const CONCLUSIONS: [Conclusion; 18] = [
    (
        "2026.4.15-a0-hung-live",
        "up files 13331",
        &[
            "hold holder_alive 26699f40-6bfd-4761-90ee-714c026735f2.jsonl.lock",
            "hold lane_locked agent:main:main",
            "hold rpc_not_asked 26699f40-6bfd-4761-90ee-714c026735f2.jsonl.lock",
            "hold judged_elsewhere agent:main:main",
            "hold lane_locked 94b06359-24a7-40f6-abef-26bf928aabcf",
        ],
    ),
    (
        "2026.4.15-a2-after-sigkill",
        "down files null",
        &[
            "hold gateway_down a8eac65f-acb5-40e6-9df0-145c834c1399.jsonl.lock",
            "hold gateway_down agent:main:hang2",
            "hold gateway_down agent:main:main",
            "hold gateway_down agent:main:race",
            "hold gateway_down agent:main:zombie",
            "hold gateway_down 9c7dc667-79b2-4f0c-b152-7db326b115e2",
        ],
    ),
    (
        "2026.4.15-acp-attached",
        "up files 83",
        &[
            "act backing_seen 0a36dd2c-59c1-4390-a69c-e4e26897030c",
            "act backing_seen 8fd7374f-ad39-4c78-a076-1adcf4960b14",
            "act backing_seen c964fce6-7acd-45a3-adb3-6608ca410422",
            "act backing_seen f4d8cb9c-6f81-444e-83eb-8dd1609cd34b",
            "hold contact_kept 1082@1953127",
            "hold part_of_tree 1093@1953166",
            "hold contact_kept 1210@1960312",
            "hold part_of_tree 1221@1960382",
            "observe record_closed 1082@1953127",
        ],
    ),
    (
        // A process that nobody can reach is of no use to the next start of a gateway.
        "2026.4.15-acp-killed",
        "down files null",
        &[
            "act backing_seen 0d0910f1-b9d8-4b03-b6e8-07687d4b2dc1",
            "act backing_seen 1fff408d-d0ae-4755-9a70-ee4ba7d097e8",
            "hold gateway_down agent:claude:acp:0fe44c73-0fbb-4863-8de0-83adf0de47b3",
            "hold gateway_down agent:claude:acp:a1d7fb93-134e-4608-b76e-859f02eb8528",
            "act unreachable 878@1933300",
            "hold part_of_tree 927@1933544",
            "hold tool_running 1046@1935164",
            "hold part_of_tree 1094@1935315",
            "hold gateway_down 8277a027-dff6-4509-a2ae-7c39eab86259",
            "hold gateway_down f91ea3ca-0fe6-4b14-af63-efb0b4faa63a",
        ],
    ),
    (
        "2026.4.15-acp-lookalikes",
        "up files 83",
        &[
            "act backing_seen 0a36dd2c-59c1-4390-a69c-e4e26897030c",
            "act backing_seen 8fd7374f-ad39-4c78-a076-1adcf4960b14",
            "act backing_seen c964fce6-7acd-45a3-adb3-6608ca410422",
            "act backing_seen ec29f7e2-2e0e-4d13-94c8-308484d99f85",
            "act backing_seen f4d8cb9c-6f81-444e-83eb-8dd1609cd34b",
            "hold contact_kept 1082@1953127",
            "hold part_of_tree 1093@1953166",
            "hold contact_kept 1210@1960312",
            "hold part_of_tree 1221@1960382",
            "hold contact_unknown 1366@1965533",
            "hold contact_unknown 1408@1965651",
            "hold contact_unknown 1568@1965948",
            "hold part_of_tree 1608@1966033",
            "hold contact_unknown 1763@1966540",
            "hold part_of_tree 1781@1966679",
            "hold contact_kept 1913@1967424",
            "hold part_of_tree 1926@1967463",
            "hold contact_kept 2179@1968379",
            "hold part_of_tree 2238@1968558",
            "hold contact_unknown 2361@1969009",
            "hold not_marked 2412@1969602",
            "hold contact_unknown 2427@1970505",
            "hold not_owned 2444@1970524",
            "hold part_of_tree 2464@1970616",
            "hold other_state_dir 2521@1971444",
            "hold part_of_tree 2532@1971483",
            "hold guarded 2653@1972385",
            "hold part_of_tree 2670@1972475",
            "observe record_closed 1082@1953127",
        ],
    ),
    (
        "2026.4.15-acp-orphans",
        "up files 83",
        &[
            "act backing_seen 0a36dd2c-59c1-4390-a69c-e4e26897030c",
            "act backing_seen f4d8cb9c-6f81-444e-83eb-8dd1609cd34b",
            "act unreachable 867@1948348",
            "hold part_of_tree 878@1948374",
            "act unreachable 934@1948569",
            "hold part_of_tree 986@1948752",
            "hold delivery_unsettled 89679f7c-ae5e-48b4-9b71-8db86fd06ac1",
        ],
    ),
    (
        "2026.4.15-acp-restarted",
        "up files 1221",
        &[
            "act backing_seen 0d0910f1-b9d8-4b03-b6e8-07687d4b2dc1",
            "act backing_seen 1fff408d-d0ae-4755-9a70-ee4ba7d097e8",
            "act backing_seen 866a8479-2ccc-417d-8461-ea4a200c6507",
            "act unreachable 878@1933300",
            "hold part_of_tree 927@1933544",
            "hold tool_running 1046@1935164",
            "hold part_of_tree 1094@1935315",
            "hold contact_kept 1684@1943721",
            "hold part_of_tree 1695@1943759",
            "hold task_by_hand 8277a027-dff6-4509-a2ae-7c39eab86259",
            "hold task_by_hand f91ea3ca-0fe6-4b14-af63-efb0b4faa63a",
        ],
    ),
    (
        // The pid in the record of the child is dead, and the child lives.
        "2026.4.15-b2-acp-hung-live",
        "up files 10703",
        &[
            "act backing_seen 1329ae43-4151-4d5e-be18-4672e35dbb5d",
            "act backing_seen bbd63f60-8f45-438a-8ab9-01056f6fcba5",
            "hold no_proof agent:claude:acp:eede7136-a444-4200-8045-b9369115017c",
            "act older_than_gateway agent:main:hang2",
            "act ended_but_running agent:main:main",
            "act ended_but_running agent:main:race",
            "act older_than_gateway agent:main:zombie",
            "hold task_by_hand 9c7dc667-79b2-4f0c-b152-7db326b115e2",
            "hold no_proof a104a0d0-4373-4e3e-bc09-ef4493b05a4f",
        ],
    ),
    (
        "2026.4.15-b3-acp-after-sigkill",
        "down files null",
        &[
            "act backing_seen 1329ae43-4151-4d5e-be18-4672e35dbb5d",
            "act backing_seen bbd63f60-8f45-438a-8ab9-01056f6fcba5",
            "hold gateway_down agent:claude:acp:eede7136-a444-4200-8045-b9369115017c",
            "hold gateway_down agent:main:hang2",
            "hold gateway_down agent:main:main",
            "hold gateway_down agent:main:race",
            "hold gateway_down agent:main:zombie",
            "hold gateway_down 9c7dc667-79b2-4f0c-b152-7db326b115e2",
            "hold gateway_down a104a0d0-4373-4e3e-bc09-ef4493b05a4f",
        ],
    ),
    (
        "2026.4.15-b4-acp-after-restart",
        "up files 17104",
        &[
            "act backing_seen 1329ae43-4151-4d5e-be18-4672e35dbb5d",
            "act backing_seen bbd63f60-8f45-438a-8ab9-01056f6fcba5",
            "act older_than_gateway agent:main:hang2",
            "act ended_but_running agent:main:main",
            "act ended_but_running agent:main:race",
            "act older_than_gateway agent:main:zombie",
            "hold task_by_hand 9c7dc667-79b2-4f0c-b152-7db326b115e2",
            "hold task_by_hand a104a0d0-4373-4e3e-bc09-ef4493b05a4f",
        ],
    ),
    (
        "2026.4.15-dead-lock",
        "up files 18991",
        &[
            "hold holder_alive 9d4b1a4d-31b3-4500-8612-2cc445040d74.jsonl.lock",
            "act holder_dead dead-38e23391-dc8d-459c-a68e-d02ada031935.jsonl.lock",
            "hold lane_locked agent:main:live-hung",
            "hold rpc_not_asked 9d4b1a4d-31b3-4500-8612-2cc445040d74.jsonl.lock",
            "hold judged_elsewhere agent:main:live-hung",
            "hold lane_locked 654283e5-695f-42fc-b553-2287e0974a9c",
        ],
    ),
    (
        "2026.4.15-z1-stale-status-after-lock-contention",
        "up files 13331",
        &["act ended_but_running agent:main:main", "act older_than_gateway agent:main:zombie"],
    ),
    (
        "2026.4.15-z2-stale-running-after-queued-run",
        "up files 13331",
        &[
            "act ended_but_running agent:main:main",
            "act ended_but_running agent:main:race",
            "act older_than_gateway agent:main:zombie",
        ],
    ),
    (
        "2026.5.28-d1-after-graceful-sigterm-with-active-run",
        "down files null",
        &[
            "hold gateway_down agent:main:x",
            "hold gateway_down 23e33870-82a8-44ee-88be-8a5326965498",
        ],
    ),
    (
        "2026.6.11-after-kill9",
        "down hybrid null",
        &[
            "hold gateway_down 0912ec86-d442-4527-a828-974e47806a6d.jsonl.lock",
            "hold gateway_down b79fe839-717b-444a-ba06-8854777cc7f3.jsonl.lock",
            "hold gateway_down agent:main:lab2",
            "hold gateway_down agent:main:main",
        ],
    ),
    (
        "2026.7.1-dead-lock",
        "up hybrid 19530",
        &[
            "hold holder_alive 08dc6085-8389-47ce-9891-6dce71eca195.jsonl.lock",
            "act holder_dead dead-76e1635a-c16e-42f5-9a0f-f0592804c5c1.jsonl.lock",
            "hold lane_locked agent:main:live-hung",
            "hold rpc_not_asked 08dc6085-8389-47ce-9891-6dce71eca195.jsonl.lock",
            "hold judged_elsewhere agent:main:live-hung",
            "hold lane_locked 1d4a6905-eab4-4c5f-ac6e-52e8ac05013c",
        ],
    ),
    ("2026.9.6-after-kill9", "down sqlite null", &[]),
    (
        "2026.9.6-seeded-zombies",
        "down sqlite null",
        &[
            "act backing_seen be-sess-1",
            "act backing_seen be-sess-9",
            "act backing_seen claude-sess-1",
            "hold gateway_down 00000101-0000-4000-8000-000000000000",
            "hold gateway_down 00000102-0000-4000-8000-000000000000",
            "hold gateway_down 00000103-0000-4000-8000-000000000000",
            "hold gateway_down 00000104-0000-4000-8000-000000000000",
            "hold gateway_down 00000105-0000-4000-8000-000000000000",
            "hold gateway_down 00000106-0000-4000-8000-000000000000",
        ],
    ),
];

/// The states in which everything that runs is alive, or somebody else's, or nothing runs at all.
const NOTHING_TO_DO: [&str; 9] = [
    "2026.4.15-a0-hung-live",
    "2026.4.15-a2-after-sigkill",
    "2026.4.15-acp-attached",
    "2026.4.15-acp-lookalikes",
    "2026.4.15-b3-acp-after-sigkill",
    "2026.5.28-d1-after-graceful-sigterm-with-active-run",
    "2026.6.11-after-kill9",
    "2026.9.6-after-kill9",
    "2026.9.6-seeded-zombies",
];

#[test]
fn each_state_gets_the_verdicts_that_it_deserves() {
    for (name, gateway, want) in CONCLUSIONS {
        let capture = Capture::new(name);
        let before = capture.contents();
        let report = capture.json(&["plan", "--all"]);
        assert_eq!(verdicts(&report), want, "{name}");
        let seen = &report["gateway"];
        let seen = format!("{} {} {}", seen["status"], seen["era"], seen["pid"]).replace('"', "");
        assert_eq!(seen, gateway, "{name}");
        assert_eq!(report["gaps"], serde_json::json!([]), "{name}");
        assert_eq!(report["dry_run"], true);
        let count = |decision| want.iter().filter(|line| line.starts_with(decision)).count();
        let summary = serde_json::json!({
            "acted": 0, "would_act": count("act"), "observed": count("observe"),
            "held": count("hold"), "failed": 0, "unverified": 0, "changed": 0,
        });
        assert_eq!(report["summary"], summary, "{name}");
        assert_same(&capture.contents(), &before, name);
        assert!(!capture.root.join("own").exists(), "{name}: a plan remembers nothing");
    }
}

#[test]
fn each_state_is_reported_word_for_word() {
    for name in ALL {
        let capture = Capture::new(name);
        let ran = capture.run(&["plan", "--all"]);
        assert_text(&capture.redacted(&ran.stdout), name);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}");
    }
}

#[test]
fn what_is_healthy_is_left_out_unless_asked_for() {
    let capture = Capture::new("2026.4.15-a0-hung-live");
    let (all, some) = (capture.json(&["plan", "--all"]), capture.json(&["plan"]));
    assert_eq!(verdicts(&all).len(), 5);
    let worth_a_line = [
        "hold lane_locked agent:main:main",
        "hold rpc_not_asked 26699f40-6bfd-4761-90ee-714c026735f2.jsonl.lock",
    ];
    assert_eq!(verdicts(&some), worth_a_line);
    // Six minutes into its run it is not.
    let mut young = capture.command(&["plan", "--json"]);
    young.env("CLAWARDEN_NOW", "2026-11-20T07:28:00Z");
    assert_eq!(verdicts(&Ran::of(young).json()), Vec::<String>::new());
}

#[test]
fn the_live_and_the_stopped_are_left_alone_whoever_asks() {
    for name in NOTHING_TO_DO {
        let capture = Capture::new(name);
        let before = capture.contents();
        for _ in 0..2 {
            let report = capture.json(&["run", "--once", "--all"]);
            let acts = of_others(&report).iter().filter(|line| line.starts_with("act")).count();
            assert_eq!(acts, 0, "{name}");
        }
        assert_same(&capture.contents(), &before, name);
    }
}

#[test]
fn every_archive_is_judged() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".tar.gz").map(str::to_owned))
        .collect();
    found.sort_unstable();
    assert_eq!(found, ALL);
    let judged: Vec<&str> = CONCLUSIONS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(judged, ALL);
}
