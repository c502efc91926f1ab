//! Real gateways, real faults, the real binary.
//!
//! Each scenario starts the gateway of one version in a home of its own, with a model provider that
//! hangs on request, breaks something, runs `clawarden` beside it, and then asks the gateway itself.
//! Agents are real ACP packages; what they leave behind is looked at without the code under test.
//! They need Linux, npm, Python, tini, tmux, and `CLAWARDEN_LIVE=1`; without it each says `skipped:` aloud. They are not
//! part of a plain `cargo test`: run `CLAWARDEN_LIVE=1 cargo test --test live -- --nocapture
//! --test-threads=1`. One at a time, because a gateway that starts takes both cores of a small
//! machine, and its own deadlines are then missed.
#![expect(
    clippy::disallowed_methods,
    reason = "these tests wait for real processes in real time, and end the gateways they started"
)]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "all of this is test code: a surprise ends the test, loudly"
)]
#![cfg(target_os = "linux")]

mod acp;
mod conversation;
mod gateway;
mod home;
mod hung;
mod lab;
mod lane;
mod load;
mod matrix;
mod owner;
mod process;
mod provider;
mod proxy;
mod report;
mod wait;
mod watchdog;

mod acp_killed;
mod busy_healthy;
mod churn;
mod dead_lock;
mod gateway_below;
mod leak_matrix;
mod lookalikes;
mod orphans_4_15;
mod queued_merge;
mod resume_gap;
mod rpc_matrix;
mod sigkill_resumed;
mod stale_matrix;
mod stale_sigkill;
mod stale_sigterm;
mod tombstone;
mod wrapper_killed;
