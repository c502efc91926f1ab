//! clawarden: a watchdog that runs beside an **unmodified** OpenClaw gateway and repairs what it
//! leaves behind. This page is the architecture.
//!
//! # Bird's eye
//!
//! A pass looks at everything, judges everything, and does little. The daemon, `run --once` and
//! `plan` run the same pass; a dry run is the same pass without its second half.
//!
//! ```text
//!  inotify · process start, exit · timer · signal ──Wake──▶ daemon ──▶ pass
//!
//!    observe, gateway ──Snapshot──▶ policy ──Verdicts──▶ plan ──▶ act ──Outcome──▶ journal
//!                  ▲ History (first seen, looks, last acted, off switches) ───┘
//!    pass ──PassReport──▶ report (text, JSON, exit code)
//! ```
//!
//! A [`daemon::Wake`] says "look now" and never decides anything: what is lost of it costs time,
//! not correctness.
//!
//! # Code map
//!
//! | module | what it holds | knows |
//! |---|---|---|
//! | [`model`] | the facts and decisions that cross modules, as plain values | – |
//! | [`mod@format`] | the gateway's file formats | `model` |
//! | [`policy`] | one rule per file: a snapshot goes in, verdicts come out | `model` |
//! | [`plan`] | order, budgets, cool-downs, off switches; what a pass leaves to the next | `model` |
//! | [`gateway`] | speaks with the gateway: address, device, handshake, lanes, events, calls | `model`, `format` |
//! | [`observe`] | looks: state directory, era, gateway, process table, files, databases, log | `model`, `format`, targets of `gateway` |
//! | [`act`] | changes: releases a lock, settles a row, ends a tree of processes, has the gateway repair a lane or give a session back, takes a task out of every place, undoes, finishes what a crash left | `model`, `format`, `gateway` |
//! | [`journal`] | remembers: intents, outcomes, history, ledger, tombstones, off switches, single instance | `model` |
//! | [`config`] | YAML to checked values, every problem at once | `model`, settings of `policy` and `plan` |
//! | [`pass`] | one pass | all above |
//! | [`report`] | a pass as text and JSON | `model` |
//! | [`daemon`] | the loop: wakes, signals, the service manager | `observe::{watch, process}` |
//! | [`cli`] | one file per command | all |
//!
//! `model`, `format`, `policy` and `plan` are pure: no clock, no file, no process, no log. Clippy
//! bans and `tests/it/architecture.rs` hold that, and the direction of the arrows.
//!
//! # Invariants
//!
//! Each is held where it is named, and has a test that fails without it.
//!
//! - **Unknown never acts.** What could not be read is a [`model::Gap`]; a rule that depends on it
//!   holds. Every judgement has a reason, also the one to do nothing ([`model::HoldReason`]).
//! - **Identity is (boot, pid, start ticks).** A process is gone only when the kernel says ESRCH
//!   ([`observe::process`]).
//! - **Look, hold, compare, change.** Every action compares its subject with what was judged right
//!   before it commits; different is an outcome, not an error ([`act`]).
//! - **Nothing stands still because of us.** A tree of processes is stopped to the last before any of
//!   it is told to end. Whatever speaks against it, a panic and a crash included, lets it run on.
//!   Parents run after their children, or the kernel hangs up on their process group ([`act`]).
//! - **Nothing is lost.** A copy is on disk before the first change. A file leaves its name by
//!   rename within its folder and is put back if it is not the one that was judged. A session
//!   store is exchanged atomically, and back if the gateway wrote it meanwhile.
//! - **Intent before act, outcome after**, both durable. What a crash left is looked at, never
//!   repeated ([`act::recover`]).
//! - **Ours, and dead to the world.** A process is ended only if one strong sign or two weak ones say
//!   that a gateway of this state directory started it, the kernel says that nobody has the other
//!   ends of its input and output, and nothing in its whole tree forbids it ([`model::Ownership`],
//!   [`model::Contact`], [`model::Guard`]).
//! - **The right gateway.** What is changed over RPC is changed by the process that was identified, on the
//!   watched state directory, or not at all ([`gateway`]). A call without an answer is looked for, and
//!   never said twice ([`act`]).
//! - **The gateway first.** With the gateway starting, or just started, everything waits, and files
//!   wait while it is down, too: its own recovery needs the state as it is ([`policy`]).
//! - **Whose it is, is never forgotten.** To whom a backing session belongs is written down, twice, before
//!   anything else is done in a pass, and only ever added to ([`model::Tombstone`]). It is given back when a
//!   person asks, to its requester on record or by the word of the state directory's owner ([`policy`]).
//! - **Foreign files are hostile**: bounded, never followed out of the state directory, escaped
//!   before they are shown ([`text`]).

pub mod act;
pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod error;
pub mod exit;
pub mod format;
pub mod gateway;
pub mod journal;
pub mod logging;
pub mod model;
pub mod observe;
pub mod pass;
pub mod plan;
pub mod policy;
pub mod report;
pub mod text;
