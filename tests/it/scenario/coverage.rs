//! Every policy and every reason is shown by a captured state, or named here with its test.

use std::collections::BTreeSet;
use std::path::Path;

use clawarden::model::{ActReason, HoldReason, Policy};

use super::processes::{CONFIGURED, EXPLAINED};
use super::reports::CONCLUSIONS;
use crate::capture::Capture;

/// A source file, and its tests of reasons that no look at a captured state can give.
type Elsewhere = (&'static str, &'static [(&'static str, &'static str)]);

const ELSEWHERE: [Elsewhere; 13] = [
    (
        // A pid that was given to another process: a process table of our own making.
        "tests/it/scenario/dead_lock.rs",
        &[("holder_recycled", "a_holder_whose_pid_was_given_away_is_as_dead")],
    ),
    (
        // Gateways that start, hosts that wake, files of strangers: nothing of it stays for a copy.
        "src/policy/dead_lock.rs",
        &[
            ("clock_grace", "never_just_after_a_resume_or_a_clock_step"),
            ("era_newer", "never_on_an_era_that_is_not_understood"),
            ("era_unknown", "never_on_an_era_that_is_not_understood"),
            ("foreign_namespace", "never_across_pid_namespaces"),
            ("gateway_starting", "never_without_a_gateway_that_is_up"),
            ("gateway_unknown", "never_without_a_gateway_that_is_up"),
            ("holder_unknown", "leaves_a_lock_it_cannot_judge"),
            ("maintenance_running", "never_while_openclaw_maintenance_runs"),
            ("malformed", "a_file_whose_name_is_no_text_is_left_alone"),
            ("not_owner", "never_a_file_or_folder_of_another_user"),
            ("payload_incomplete", "leaves_a_lock_it_cannot_judge"),
            ("resume_grace", "never_just_after_a_resume_or_a_clock_step"),
        ],
    ),
    (
        // Two looks, 20 minutes apart, at a run that makes no sign of life; rows in the very moment
        // in which the gateway is at work on them.
        "src/policy/stale_lane/mod.rs",
        &[
            ("aborted_last_run", "what_the_gateway_still_means_to_do_is_left_to_it"),
            ("child_younger", "silence_needs_everything_else_to_be_silent_too"),
            ("clock_unproven", "a_clock_that_was_set_proves_nothing"),
            ("era_read_only", "nothing_is_settled_without_a_gateway_that_is_up"),
            ("in_future", "times_that_make_no_sense_are_left_alone"),
            ("no_repair", "a_mode_that_observes_never_acts_and_no_repair_is_said"),
            (
                "other_runner",
                "a_command_line_run_that_outlived_a_restart_of_the_gateway_is_left_alone",
            ),
            ("pending_delivery", "what_the_gateway_still_means_to_do_is_left_to_it"),
            ("quota_suspended", "what_the_gateway_still_means_to_do_is_left_to_it"),
            ("restart_recovery", "what_the_gateway_still_means_to_do_is_left_to_it"),
            ("row_touched", "a_row_that_the_gateway_may_be_resuming_is_left_to_it"),
            ("silent", "silence_proves_something_once_it_has_lasted_and_acts_only_by_name"),
            ("silent_so_far", "a_run_older_than_its_gateway_is_settled"),
            ("store_busy", "a_store_that_is_not_ours_to_write_is_left_alone"),
            ("store_symlink", "a_store_that_is_not_ours_to_write_is_left_alone"),
            ("store_too_large", "a_store_that_is_not_ours_to_write_is_left_alone"),
            ("subagent_open", "a_subagent_with_an_open_run_is_left_to_the_registry"),
            ("task_active", "silence_needs_everything_else_to_be_silent_too"),
            ("transcript_moving", "a_transcript_that_moves_is_a_run_that_lives"),
        ],
    ),
    (
        // What a live gateway says over its RPC: a captured state has no gateway to ask.
        "src/policy/stale_lane/rpc_tests.rs",
        &[
            ("given_up", "what_recovery_has_given_up_is_continued_where_the_user_wants_that"),
            (
                "no_active_run",
                "what_the_gateway_knows_of_no_run_is_reset_where_the_user_wants_that",
            ),
            ("run_active", "a_run_of_which_the_gateway_knows_is_left_alone"),
            ("starved", "what_waits_for_the_place_of_another_is_not_reset_but_told_of_it"),
            ("tombstoned", "what_recovery_has_given_up_is_continued_where_the_user_wants_that"),
        ],
    ),
    (
        "src/policy/tombstone/tests.rs",
        &[
            ("backing_changed", "what_becomes_of_it_is_written_down"),
            ("on_record", "what_is_on_record_is_said_on_request"),
        ],
    ),
    (
        // Sessions that are gone, ends that were told: no captured state has them.
        "src/policy/zombie_task/tests.rs",
        &[
            ("agent_alive", "whatever_may_be_at_work_leaves_a_task_alone"),
            ("announced_again", "an_end_that_is_told_again_and_again_is_said_once"),
            ("child_ended", "a_task_whose_session_has_ended_or_is_gone_is_a_zombie"),
            ("child_gone", "a_task_whose_session_has_ended_or_is_gone_is_a_zombie"),
            ("task_over", "an_end_that_was_never_told_is_said_after_a_while"),
        ],
    ),
    (
        "src/policy/hung_lane/tests.rs",
        &[
            (
                "child_active",
                "an_agent_at_work_is_progress_and_so_is_one_that_is_not_known_to_idle",
            ),
            ("gateway_recovers", "the_gateway_has_its_own_time_first_whatever_is_configured"),
            ("may_compact", "the_gateway_has_its_own_time_first_whatever_is_configured"),
            ("tool_ended", "a_run_whose_tool_has_just_ended_is_given_time_to_go_on"),
            ("no_progress", "a_run_that_is_alive_and_still_is_ended"),
            ("not_alive", "a_run_must_be_proven_alive"),
            ("rpc_disagrees", "disk_and_gateway_must_mean_the_same_run"),
            ("rpc_unavailable", "nothing_is_judged_without_an_answer"),
            ("unheard", "silence_is_only_as_long_as_somebody_listened"),
            ("version_unknown", "a_version_that_was_not_run_is_never_acted_on"),
            ("version_untested", "a_version_that_was_not_run_is_never_acted_on"),
            ("waits_for_child", "a_run_may_wait_for_a_lane_that_it_spawned"),
        ],
    ),
    (
        "src/policy/held_lock/tests.rs",
        &[
            ("behind_older_lock", "of_several_locks_the_oldest_is_the_root_cause_and_goes_first"),
            ("held_too_long", "the_run_for_which_a_lock_is_held_too_long_is_ended"),
            ("lane_unknown", "a_lock_of_no_one_lane_touches_none"),
        ],
    ),
    (
        "src/policy/ladder/tests.rs",
        &[
            ("ladder_done", "begins_with_the_first_that_helps_and_goes_on_once_that_did_not"),
            (
                "lock_beside_reset",
                "a_reset_waits_for_the_lock_where_it_would_empty_the_conversation",
            ),
            ("run_unknown", "an_abort_names_its_run_or_it_is_known_why_not"),
            ("would_lose_waiting", "no_abort_drops_the_messages_that_wait_behind_the_run"),
        ],
    ),
    (
        // A moment between two looks of the gateway, or an owner that closed its ends and lives.
        "src/policy/process/tests/orphan.rs",
        &[
            ("attached", "a_live_owner_above_keeps_it"),
            ("gap", "a_gap_in_what_the_judgement_rests_on_holds"),
            ("parented", "a_live_owner_above_keeps_it"),
        ],
    ),
    (
        // Said at the first look only.
        "src/policy/process/tests/others.rs",
        &[("not_idle", "a_leak_is_ended_only_where_it_is_ours_idle_and_long_closed")],
    ),
    (
        // What must last to be said, and a gateway that answers.
        "src/policy/gateway_health/tests.rs",
        &[
            ("cannot_ask", "every_refusal_has_its_next_step_and_says_what_is_off"),
            ("crash_loop", "a_fourth_start_in_a_quarter_of_an_hour_is_a_loop"),
            ("duplicate_gateways", "two_gateways_are_named_once_they_stay"),
            ("event_loop_late", "a_busy_event_loop_without_delay_is_at_work"),
            ("is_deaf", "deaf_needs_three_looks_and_its_time"),
            ("loses_events", "a_gateway_that_keeps_losing_events_is_said_to_and_one_loss_is_not"),
            ("is_down", "a_gateway_that_restarts_in_time_was_never_down"),
            ("is_stopped", "a_stopped_gateway_is_stopped_and_not_deaf"),
            ("memory_grows", "memory_and_zombies_are_said_beyond_their_limits"),
            ("not_for_long", "a_gateway_that_restarts_in_time_was_never_down"),
            ("not_listening", "a_gateway_that_lives_and_listens_on_nothing_is_said"),
            ("zombie_children", "memory_and_zombies_are_said_beyond_their_limits"),
        ],
    ),
    (
        // What clawarden remembers; a captured state has nothing of that.
        "src/plan/mod.rs",
        &[
            ("cooling_down", "a_subject_cools_down_whatever_it_has_become"),
            ("gave_up", "repairs_that_do_not_last_end"),
            ("hour_budget", "no_pass_and_no_hour_exceeds_its_budget"),
            ("pass_budget", "no_pass_and_no_hour_exceeds_its_budget"),
            ("paused", "what_the_user_paused_or_protects_is_left_alone_until_then"),
            ("protected", "what_the_user_paused_or_protects_is_left_alone_until_then"),
        ],
    ),
];

/// The reasons that captured states show, as `decision code subject` in the tables of the tests.
fn shown() -> BTreeSet<&'static str> {
    let concluded = CONCLUSIONS.iter().flat_map(|(.., verdicts)| *verdicts);
    let configured = CONFIGURED.iter().flat_map(|(.., verdicts)| *verdicts);
    let judged = concluded.chain(configured).filter_map(|line| line.split(' ').nth(1));
    let explained = EXPLAINED.iter().flat_map(|(_, processes)| *processes);
    judged.chain(explained.flat_map(|(_, codes)| *codes).copied()).collect()
}

#[test]
fn each_reason_is_shown_by_a_captured_state_or_has_its_test() {
    let elsewhere = || ELSEWHERE.iter().flat_map(|(_, tests)| tests.iter().map(|(code, _)| *code));
    let twice: Vec<_> = elsewhere().filter(|code| shown().contains(code)).collect();
    assert!(twice.is_empty(), "shown by a captured state: {twice:?}");
    let known: BTreeSet<&str> = shown().into_iter().chain(elsewhere()).collect();
    let all: BTreeSet<&str> = [ActReason::CODES, HoldReason::CODES].concat().into_iter().collect();
    assert_eq!(known, all);
}

#[test]
fn each_test_that_is_named_exists_and_is_about_that_reason() {
    for (file, tests) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = std::fs::read_to_string(path).unwrap();
        for (code, test) in tests {
            let name = format!("fn {test}(");
            let body = source.split("#[test]").find(|part| part.trim_start().starts_with(&name));
            let body = body.unwrap_or_else(|| panic!("{code}: {file} has no {test}"));
            assert!(body.contains(code), "{test} is not about {code}");
        }
    }
}

#[test]
fn each_policy_finds_something_on_a_captured_state() {
    let mut finding = BTreeSet::new();
    for name in ["2026.7.1-dead-lock", "2026.4.15-b4-acp-after-restart", "2026.4.15-acp-restarted"]
    {
        finding.extend(policies(&Capture::new(name), "act"));
    }
    let attached = Capture::new("2026.4.15-acp-attached");
    attached.configure("policies: { runaway_agent: { memory: 256MiB } }");
    finding.extend(policies(&attached, "observe"));
    // What a gateway must be asked for, or watched for, no captured state can show.
    // And nothing is ever done about a task by itself.
    let needs_a_gateway =
        [Policy::HeldLock, Policy::HungLane, Policy::GatewayHealth, Policy::ZombieTask];
    let all = Policy::ALL.iter().filter(|policy| !needs_a_gateway.contains(policy));
    let all: BTreeSet<String> = all.map(|policy| policy.name().to_owned()).collect();
    assert_eq!(finding, all);
}

fn policies(capture: &Capture, decision: &str) -> Vec<String> {
    let report = capture.json(&["plan"]);
    let verdicts = report["verdicts"].as_array().unwrap().iter();
    let found = verdicts.filter(|verdict| verdict["decision"] == decision);
    found.map(|verdict| verdict["policy"].as_str().unwrap().to_owned()).collect()
}
