//! Why something is done, or left alone: stable codes, and words for people.

use std::fmt;
use std::time::Duration;

use super::{Guarded, Policy, ProcessId, RpcFault, SessionKey, UnixMillis, Version, span};

macro_rules! reasons {
    (
        $(#[$doc:meta])* $name:ident {
            $( $(#[$vdoc:meta])* $variant:ident $({ $($field:ident : $type:ty),* })?
               => $code:literal, $text:literal $(, $arg:expr)* ; )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, PartialEq)]
        pub enum $name {
            $( $(#[$vdoc])* $variant $({
                $( #[doc = concat!("Part of: ", $text, ".")] $field: $type ),*
            })? ),*
        }

        impl $name {
            /// Every stable code, in the order of the README's table.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// Returns the stable code.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self { $( $name::$variant $({ $($field: _),* })? => $code ),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $( $name::$variant $({ $($field),* })? => write!(f, $text $(, $arg)*) ),*
                }
            }
        }
    };
}

reasons! {
    /// Why something is proven wrong.
    ActReason {
        /// dead_lock: the kernel says that the holder is gone.
        HolderDead { pid: i32 } => "holder_dead", "its holder, pid {pid}, is dead";
        /// dead_lock: another process lives under the holder's pid.
        HolderRecycled { pid: i32 }
            => "holder_recycled", "its holder is dead: pid {pid} now belongs to another process";
        /// stale_lane: the run began before the process that should be running it.
        OlderThanGateway
            => "older_than_gateway", "the run began before the gateway process that is up now; no run survives its process";
        /// stale_lane: the row says `running` and has an end.
        EndedButRunning => "ended_but_running", "the row says running, and when the run ended";
        /// stale_lane: nothing of the run has moved for long.
        Silent { quiet: Duration }
            => "silent", "no lock, task, child process or transcript growth for {}", span(*quiet);
        /// stale_lane: the gateway itself knows of no run, on a version that knows of all.
        NoActiveRun => "no_active_run", "the gateway itself says that no run is active, and it knows of all";
        /// stale_lane: restart recovery has given it up for good.
        Tombstoned => "tombstoned", "restart recovery has given it up, and refuses every message";
        /// zombie_task: the session that was spawned for it has ended.
        ChildEnded { ago: Duration }
            => "child_ended", "a task of it is not over, and the session that works on it ended {} ago", span(*ago);
        /// zombie_task: the session that was spawned for it is gone.
        ChildGone => "child_gone", "a task of it is not over, and the session that works on it is gone";
        /// hung_lane: the run is alive and makes no progress.
        NoProgress { quiet: Duration }
            => "no_progress", "its run is alive, and nothing of it has moved for {}", span(*quiet);
        /// held_lock: the live gateway holds the lock for a run that makes no progress.
        HeldTooLong { age: Duration, limit: Duration, of: usize }
            => "held_too_long", "the live gateway has held it for {}, longer than {}, without any progress{}", span(*age), span(*limit), oldest(*of);
        /// orphan_process: both ends of its input and output are closed for ever.
        Unreachable
            => "unreachable", "nobody can reach it any more: the other ends of its input and output are closed";
        /// leaked_process: its record says closed, and it still hangs on the gateway.
        RecordClosed { ago: Duration }
            => "record_closed", "its session was closed {} ago, and the gateway still keeps it", span(*ago);
        /// tombstone: a backing session that is not on record.
        BackingSeen => "backing_seen", "to whom it belongs is not on record yet";
        /// tombstone: something happened to it.
        BackingChanged { what: &'static str }
            => "backing_changed", "what is on record of it is not true any more: {what}";
        /// runaway_agent: too much processor time.
        UsesProcessor { percent: u32, over: Duration }
            => "uses_processor", "it used {percent} % of a processor for {}", span(*over);
        /// runaway_agent: too much memory.
        UsesMemory { mib: u64, limit: u64 } => "uses_memory", "it holds {mib} MiB of memory; the limit is {limit} MiB";
        /// runaway_agent: too old.
        RunsLong { age: Duration, limit: Duration }
            => "runs_long", "it has run for {}; the limit is {}", span(*age), span(*limit);
    }
}

reasons! {
    /// Why something is left alone. Every one is documented in the README.
    HoldReason {
        /// The era of the state directory could not be told.
        EraUnknown => "era_unknown", "the layout of the state directory is not understood";
        /// A database is newer than any that was tested.
        EraNewer => "era_newer", "the state directory is of a newer gateway than was tested";
        /// This era's rows may only be changed by the gateway itself.
        EraReadOnly => "era_read_only", "this gateway keeps sessions in SQLite; only the gateway may change them";
        /// No gateway runs: its next start repairs this itself, and needs it as it is.
        GatewayDown => "gateway_down", "the gateway is down; its own restart recovery needs this as it is";
        /// The gateway has only just begun.
        GatewayStarting => "gateway_starting", "the gateway is starting";
        /// It is not known whether the gateway runs.
        GatewayUnknown => "gateway_unknown", "it cannot be told whether the gateway runs";
        /// Just after a start, the gateway repairs things itself.
        StartGrace { left: Duration } => "start_grace", "the gateway started recently; judged in {}", span(*left);
        /// Just after the host woke, ages and silence mean little.
        ResumeGrace { left: Duration } => "resume_grace", "the host woke recently; judged in {}", span(*left);
        /// Just after the clock was set, ages mean little.
        ClockGrace { left: Duration } => "clock_grace", "the clock was set recently; judged in {}", span(*left);
        /// The clock was set since the evidence was written.
        ClockUnproven => "clock_unproven", "the clock may have been set since; times cannot be compared";
        /// `openclaw doctor` or the like rewrites the same files.
        MaintenanceRunning { id: ProcessId } => "maintenance_running", "openclaw maintenance runs as {id}";
        /// Something this judgement rests on could not be read.
        Gap { source: &'static str, reason: String } => "gap", "{source} could not be read: {reason}";
        /// Too young to be judged.
        TooYoung { age: Duration, after: Duration } => "too_young", "{} old, acts from {}", span(*age), span(*after);
        /// leaked_process: its session was closed a moment ago.
        ClosedRecently { ago: Duration, after: Duration }
            => "closed_recently", "its session was closed {} ago; its agent may stay for {}", span(*ago), span(*after);
        /// A time in the file lies in the future.
        InFuture { at: UnixMillis } => "in_future", "its time {at} lies in the future";
        /// A field has an unknown shape.
        Malformed { field: &'static str } => "malformed", "{field} is missing or of an unknown shape";
        /// The lock's holder lives.
        HolderAlive { id: ProcessId } => "holder_alive", "held by live {id}";
        /// The lock's holder is neither provably dead nor alive.
        HolderUnknown => "holder_unknown", "its holder is neither provably dead nor alive";
        /// Pids may mean something else to the writer of the file.
        ForeignNamespace => "foreign_namespace", "the gateway may live in another pid namespace; pids cannot be compared";
        /// The lock is empty or torn.
        PayloadIncomplete => "payload_incomplete", "its payload is empty or torn; a writer may be at work";
        /// A lock of the lane's transcript is not provably dead.
        LaneLocked { path: String } => "lane_locked", "lock {path} is not provably dead: a run may be alive";
        /// Restart recovery has marked the row.
        AbortedLastRun => "aborted_last_run", "abortedLastRun is set: the gateway means to resume this run";
        /// Restart recovery works on the row.
        RestartRecovery => "restart_recovery", "restart recovery is at work on this row";
        /// A reply waits to be delivered.
        PendingDelivery => "pending_delivery", "a final reply still waits to be delivered";
        /// The lane is quiet on purpose.
        QuotaSuspended => "quota_suspended", "the lane is suspended by quota, not stuck";
        /// The subagent registry has an open run for it.
        SubagentOpen => "subagent_open", "the subagent registry has an open run for it";
        /// Another OpenClaw process is old enough to be running it.
        OtherRunner { id: ProcessId } => "other_runner", "another OpenClaw process, {id}, may be running it";
        /// The gateway wrote the row since it started, and may be resuming its run.
        RowTouched { ago: Duration }
            => "row_touched", "the gateway wrote the row {} ago, since its start; it may be resuming the run", span(*ago);
        /// No proof that the run is dead.
        NoProof => "no_proof", "nothing proves that its run is dead";
        /// Nothing of the run moves, but not for long enough to prove anything.
        SilentSoFar { quiet: Duration, after: Duration }
            => "silent_so_far", "nothing of its run has moved for {}; that proves something after {}", span(*quiet), span(*after);
        /// The transcript was written a moment ago.
        TranscriptMoving { ago: Duration } => "transcript_moving", "its transcript was written {} ago", span(*ago);
        /// A queued or running task names the lane.
        TaskActive => "task_active", "a queued or running task names it";
        /// The gateway has a child process younger than the run.
        ChildYounger { id: ProcessId } => "child_younger", "the gateway has a child younger than the run, {id}";
        /// Not seen often enough, or not for long enough.
        NotConfirmed { proof: ActReason, looks: u32, needed: u32 }
            => "not_confirmed", "{proof}; seen so {looks} of {needed} times";
        /// A rewrite would take too long.
        StoreTooLarge { bytes: u64 } => "store_too_large", "its store has {bytes} bytes; a rewrite beside the gateway would take too long";
        /// The gateway wrote the store a moment ago.
        StoreBusy { ago: Duration } => "store_busy", "its store was written {} ago; retried when it is quiet", span(*ago);
        /// The store is a symbolic link.
        StoreSymlink => "store_symlink", "its store is a symbolic link";
        /// The file or its folder belongs to another user.
        NotOwner { uid: u32 } => "not_owner", "the file or its folder belongs to uid {uid}; run clawarden as that user";
        /// The policy has no repair for it.
        NoRepair => "no_repair", "no repair is configured for it";
        /// Nothing shows that a gateway of this state directory started it.
        NotOwned => "not_owned", "nothing shows that a gateway of this state directory started it";
        /// Its environment leads to another state directory.
        OtherStateDir { path: String } => "other_state_dir", "it belongs to another state directory, {path}";
        /// It is no agent of any family.
        NotAnAgent => "not_an_agent", "it is no agent of any family; somebody may want it";
        /// Its family's mark is missing: somebody started it for himself.
        NotMarked => "not_marked", "its environment lacks the mark of its family; somebody may have started it for himself";
        /// Somebody can talk to it, or hear it.
        ContactKept => "contact_kept", "somebody can still talk to it, or hear it";
        /// It cannot be told whether anybody can reach it.
        ContactUnknown { why: String } => "contact_unknown", "it cannot be told whether anybody can reach it: {why}";
        /// A live gateway, queue owner or the like is above it.
        Attached { to: ProcessId, role: &'static str } => "attached", "it still hangs on a live {role}, {to}";
        /// Its parent lives, and is none of those that take in orphans: it may wait for its end.
        Parented { by: ProcessId } => "parented", "its parent, {by}, lives and may be waiting for it";
        /// It is judged together with the agent above it.
        PartOfTree { top: ProcessId } => "part_of_tree", "it is judged together with {top} above it";
        /// Something in its tree must never be signalled.
        Guarded { by: Guarded } => "guarded", "{} {}", by.id, by.guard;
        /// A tool runs below it.
        ToolRunning { id: ProcessId } => "tool_running", "a tool still runs below it, {id}; judged again when that has ended";
        /// It uses processor time, or that is not known yet.
        NotIdle => "not_idle", "it is not known to be idle";
        /// tombstone: what is known of it is on record.
        OnRecord { state: &'static str } => "on_record", "to whom it belongs is on record, and it is {state}";
        /// gateway_health: something is, but not for long enough to be said.
        NotForLong { what: &'static str, lasted: Duration, after: Duration }
            => "not_for_long", "{what} for {}; reported after {}", span(*lasted), span(*after);
        /// gateway_health: no gateway runs.
        IsDown { since: UnixMillis, why: String } => "is_down", "down since {since}: {why}";
        /// gateway_health: its process lives, and nobody can connect to it.
        NotListening { since: UnixMillis } => "not_listening", "alive, and listening on no port since {since}";
        /// gateway_health: its process does not run.
        IsStopped { since: UnixMillis } => "is_stopped", "its process has been stopped since {since}, so it answers nobody";
        /// gateway_health: it accepts connections and says nothing.
        IsDeaf { since: UnixMillis } => "is_deaf", "it has accepted connections and answered nothing since {since}";
        /// gateway_health: everything it does comes late.
        EventLoopLate { p99: Duration, max: Duration }
            => "event_loop_late", "its event loop is late, by {} ms in the worst 1 % of its turns and by {} ms at most",
               p99.as_millis(), max.as_millis();
        /// gateway_health: it starts over and over.
        CrashLoop { starts: u32, over: Duration } => "crash_loop", "it started {starts} times within {}", span(*over);
        /// gateway_health: there is more than one.
        DuplicateGateways { pids: String } => "duplicate_gateways", "more than one gateway on this state directory or its port: {pids}";
        /// gateway_health: its memory grows and grows.
        MemoryGrows { from_mib: u64, to_mib: u64, over: Duration }
            => "memory_grows", "its memory grew from {from_mib} to {to_mib} MiB within {}, and nothing of it was given back", span(*over);
        /// gateway_health: children that nobody reaps.
        ZombieChildren { count: u32 } => "zombie_children", "{count} of its children have ended and were not reaped";
        /// gateway_health: it drops events on their way to us.
        LosesEvents { times: u32, ago: Duration }
            => "loses_events", "it dropped events that it should have told, {times} times so far and {} ago at last; no run can be called silent meanwhile", span(*ago);
        /// gateway_health: it does not speak with us.
        CannotAsk { fault: &'static str, text: String } => "cannot_ask", "it cannot be asked ({fault}): {text}";
        /// zombie_task: an agent is alive that works for it.
        AgentAlive { id: ProcessId } => "agent_alive", "an agent that works for it is alive, {id}";
        /// zombie_task: its end is known and told.
        TaskOver => "task_over", "it is over, and that was told";
        /// zombie_task: nothing works on it, and what helps is for a person to do.
        TaskByHand { proof: ActReason, next: String } => "task_by_hand", "{proof}; {next}";
        /// zombie_task: it ended over and over, and was spawned once at most.
        AnnouncedAgain { runs: usize }
            => "announced_again", "its session and label ended in {runs} runs that nobody spawned: their end is told again and again";
        /// zombie_task: its end was not told.
        DeliveryUnsettled { ago: Duration } => "delivery_unsettled", "a task of it ended {} ago, and its delivery is still pending", span(*ago);
        /// The gateway does not answer over RPC.
        RpcUnavailable { fault: RpcFault, text: String }
            => "rpc_unavailable", "the gateway gives no answer over RPC ({}): {text}", fault.name();
        /// The gateway was not asked.
        RpcNotAsked { why: String } => "rpc_not_asked", "the gateway was not asked over RPC: {why}";
        /// Gateway and disk, or two answers of the gateway, do not agree.
        RpcDisagrees { about: &'static str }
            => "rpc_disagrees", "what the gateway says and what is seen do not agree about {about}";
        /// The gateway does not tell its version.
        VersionUnknown => "version_unknown", "the gateway's version is not known; no repair over RPC is proven";
        /// That version was not run for real.
        VersionUntested { version: Version }
            => "version_untested", "{version} was not run for real; no repair over RPC is proven on it";
        /// The gateway says that a run is active.
        RunActive => "run_active", "the gateway says that a run of it is active";
        /// Nothing proves that its run is alive.
        NotAlive => "not_alive", "nothing proves that a run of it is alive";
        /// Nobody listened to its events, and there is no transcript to go by.
        Unheard => "unheard", "its events were not heard, and it may stream an answer that is written nowhere yet; a daemon that listens can judge it";
        /// A tool that may have been its own ended a moment ago, and the gateway may not have said so.
        ToolEnded { id: ProcessId, left: Duration }
            => "tool_ended", "a tool below it has just ended, {id}; judged in {}", span(*left);
        /// One of its own child processes works.
        ChildActive { id: ProcessId }
            => "child_active", "its child process {id} works, or is not known to be idle for long enough";
        /// A lane that it spawned is still running.
        WaitsForChild { child: SessionKey } => "waits_for_child", "it may be waiting for lane {child}, which is running";
        /// The gateway itself ends such runs, and its time is not over.
        GatewayRecovers { left: Duration }
            => "gateway_recovers", "the gateway itself may still end this run; judged in {}", span(*left);
        /// It may be compacting its transcript.
        MayCompact { left: Duration } => "may_compact", "it may be compacting its transcript; judged in {}", span(*left);
        /// Which run it is cannot be said.
        RunUnknown { runs: usize }
            => "run_unknown", "the gateway names {runs} active runs of it where it should name one; none is ended";
        /// Which lane it is cannot be said.
        LaneUnknown { lanes: usize } => "lane_unknown", "{lanes} lanes fit it, not one; none is touched";
        /// A reset beside a held lock empties the conversation.
        LockBesideReset { path: String }
            => "lock_beside_reset", "a live process holds lock {path}: on this version a reset beside it would leave an empty conversation";
        /// An abort would drop the messages that wait behind the run.
        WouldLoseWaiting { queued: Option<u32> }
            => "would_lose_waiting", "{} behind its run, and on this version an abort drops what waits: end the run yourself, by /stop in its chat, and send again what is not answered then", waiting(*queued);
        /// Every repair that may be used was tried, or does nothing here.
        LadderDone { why: String, next: String } => "ladder_done", "no repair is left ({why}); {next}";
        /// Another policy repairs the same lane.
        JudgedElsewhere { by: Policy } => "judged_elsewhere", "{by} judges this lane, too, and goes first";
        /// An older lock of the same gateway goes first.
        BehindOlderLock { path: String }
            => "behind_older_lock", "the same gateway has held {path} for longer, and that one goes first";
        /// Restart recovery resumes one session after the other, and another one hangs.
        Starved { by: SessionKey }
            => "starved", "restart recovery resumes one session after the other, and lane {by} holds its place; once that run ends, or is ended as a hung one, this one is resumed";
        /// Restart recovery has given it up, and `recover` may not be used.
        GivenUp { cure: &'static str } => "given_up", "restart recovery has given it up, and refuses every message; {cure}";
        /// The user paused everything.
        Paused { until: UnixMillis } => "paused", "paused until {until}";
        /// The user protects it.
        Protected { until: UnixMillis } => "protected", "protected until {until}";
        /// It was acted on a moment ago.
        CoolingDown { left: Duration } => "cooling_down", "acted on recently; next try in {}", span(*left);
        /// This pass has done enough.
        PassBudget { limit: u32 } => "pass_budget", "limit of {limit} actions per pass reached";
        /// This hour has seen enough.
        HourBudget { limit: u32 } => "hour_budget", "limit of {limit} actions per hour reached";
        /// Repairs of it do not last.
        GaveUp { tries: u32 } => "gave_up", "{tries} repairs did not last; look at it yourself";
    }
}

impl HoldReason {
    /// Returns in how long the reason will be over, where time alone ends it.
    #[must_use]
    pub fn due_in(&self) -> Option<Duration> {
        match self {
            HoldReason::StartGrace { left }
            | HoldReason::ResumeGrace { left }
            | HoldReason::ClockGrace { left }
            | HoldReason::GatewayRecovers { left }
            | HoldReason::MayCompact { left }
            | HoldReason::ToolEnded { left, .. }
            | HoldReason::CoolingDown { left } => Some(*left),
            HoldReason::TooYoung { age: so_far, after }
            | HoldReason::ClosedRecently { ago: so_far, after }
            | HoldReason::SilentSoFar { quiet: so_far, after } => {
                Some(after.saturating_sub(*so_far))
            }
            _ => None,
        }
    }
}

/// Says how many messages wait.
fn waiting(queued: Option<u32>) -> String {
    match queued {
        Some(1) => "1 message waits".to_owned(),
        Some(count) => format!("{count} messages wait"),
        None => "it is not known how many messages wait".to_owned(),
    }
}

/// Says of the lock that goes first how many there are.
fn oldest(of: usize) -> String {
    match of {
        0 | 1 => String::new(),
        _ => format!("; it is the oldest of {of} such locks"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let mut codes = [ActReason::CODES, HoldReason::CODES].concat();
        codes.sort_unstable();
        let count = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
