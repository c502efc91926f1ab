//! What a message says about a fault.
//!
//! The wording was found in 2026.3.24 to 2026.9.6, or in issues of theirs. Plain searches, one pass
//! each: no pattern of ours can be made to run for long.

/// What was said, in our own words, and whom it names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Told<'a> {
    /// The fault's stable name.
    pub(super) fault: &'static str,
    /// Numbers and known words only.
    pub(super) what: String,
    /// A session key.
    pub(super) lane: Option<&'a str>,
    /// The id of a transcript.
    pub(super) session: Option<&'a str>,
    /// A lock.
    pub(super) path: Option<&'a str>,
    /// A process.
    pub(super) pid: Option<i32>,
}

type Reader = for<'a> fn(&'static str, &'a str) -> Option<Told<'a>>;

/// How a message begins, the fault's name, and how the rest is read. The first that fits counts.
const SIGNS: &[(&str, &str, Reader)] = &[
    ("lane wait exceeded: lane=", "lane_wait", lane_wait),
    ("stuck session recovery outcome: ", "stuck_recovery", recovery),
    ("stuck session recovery reclaiming stale active", "stuck_recovery", reclaiming),
    ("stuck session: ", "stuck_session", stuck),
    ("stalled session: ", "stuck_session", stuck),
    ("long-running session: ", "stuck_session", stuck),
    ("SessionRestartRecoveryTombstoneError: Session \"", "recovery_tombstone", tombstone),
    ("DispatchSessionRefreshRequiredError: Session \"", "work_start_changed", recovering),
    ("Session \"", "work_start_changed", changed),
    ("interrupted main session: ", "restart_recovery", resumed),
    ("Gateway is draining for restart; new tasks are not accepted", "draining", draining),
    ("session file locked (timeout ", "lock_timeout", locked),
    ("timeout acquiring session store lock: ", "store_lock_timeout", store_locked),
    ("EmbeddedAttemptSessionTakeoverError", "session_takeover", takeover),
    ("stale gateway process(es) before restart", "killed_gateways", killed),
    ("running marker", "cron_marker", cron_marker),
    ("liveness warning: ", "event_loop_late", late),
    ("restart-loop breaker tripped: ", "restart_breaker", breaker),
    ("memory pressure: level=", "memory_pressure", memory),
];

/// Returns true if a line may hold such a message: cheap, for most lines hold none.
pub(super) fn may_tell(line: &str) -> bool {
    // Within JSON, a quotation mark has a backslash before it.
    SIGNS.iter().any(|(mark, ..)| line.contains(mark.trim_end_matches('"')))
}

/// Returns what a message says about a fault; `None`: nothing.
pub(super) fn told(text: &str) -> Option<Told<'_>> {
    SIGNS.iter().find_map(|(mark, fault, read)| {
        let at = text.find(mark)?;
        read(fault, text.get(at + mark.len()..)?)
    })
}

/// F02: `session:KEY waitedMs=5704 queueAhead=0 …`; other lanes, such as `main`, are of no session.
fn lane_wait<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let lane = rest.split(' ').next()?.strip_prefix("session:")?;
    let (waited, ahead) = (number(rest, "waitedMs=")?, number(rest, "queueAhead=")?);
    let what = format!("a message waited {} s for the lane, {ahead} before it", waited / 1_000);
    Some(Told { fault, what, lane: Some(lane), ..Told::default() })
}

/// F02: `sessionId=… sessionKey=… state=processing age=429s queueDepth=0 …`.
fn stuck<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let age = number(rest, "age=")?;
    let queued = number(rest, "queueDepth=").unwrap_or_default();
    let class = word(rest, "classification=").map(|class| format!(" ({class})"));
    let recovery = word(rest, "recovery=").map(|word| format!(", its recovery: {word}"));
    let what = format!(
        "the gateway finds it stuck{} for {age} s, {queued} messages waiting{}",
        class.unwrap_or_default(),
        recovery.unwrap_or_default()
    );
    Some(Told { fault, what, ..session(rest)? })
}

/// F02: `status=aborted action=abort_embedded_run sessionId=… sessionKey=… …`.
fn recovery<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let (status, action) = (word(rest, "status=")?, word(rest, "action=")?);
    let what = format!("the gateway's own recovery: {action}, {status}");
    Some(Told { fault, what, ..session(rest)? })
}

fn reclaiming<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let what = "the gateway reclaims its stale run".to_owned();
    Some(Told { fault, what, ..session(rest)? })
}

/// F05: `KEY" ended during restart recovery`.
fn tombstone<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let what = "restart recovery has given it up";
    quoted_lane(fault, rest, "ended during restart recovery", what)
}

/// F04: `KEY" is still waiting for restart recovery`.
fn recovering<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let what = "it still waits for restart recovery";
    quoted_lane(fault, rest, "is still waiting for restart recovery", what)
}

/// F04: `KEY" changed while starting work. Retry.`
fn changed<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    quoted_lane(fault, rest, "changed while starting work", "it changed while work on it began")
}

fn quoted_lane<'a>(fault: &'static str, rest: &'a str, then: &str, what: &str) -> Option<Told<'a>> {
    let (lane, after) = rest.split_once('"')?;
    let fits = after.trim_start().starts_with(then);
    fits.then(|| Told { fault, what: what.to_owned(), lane: Some(lane), ..Told::default() })
}

/// F06: `KEY`, after `resumed` or `started`.
fn resumed<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let lane = rest.split_whitespace().next()?;
    let what = "restart recovery goes on with it".to_owned();
    Some(Told { fault, what, lane: Some(lane), ..Told::default() })
}

/// F07. Names nobody.
fn draining<'a>(fault: &'static str, _: &'a str) -> Option<Told<'a>> {
    bare(fault, "it takes no new tasks while it waits for its restart".to_owned())
}

/// F10, F12: `10000ms): pid=7 alive=true ageMs=540000 PATH`, or `… unknown PATH`.
fn locked<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let waited: u64 = leading(rest)?;
    let holder = number(rest, "pid=").map(|pid| format!(" held by pid {pid}"));
    let age = number(rest, "ageMs=").map(|age| format!(" for {} s", age / 1_000));
    let path = rest.split_whitespace().find(|word| word.ends_with(".lock"))?;
    let what = format!(
        "waited {} s for its lock{}{}",
        waited / 1_000,
        holder.unwrap_or_default(),
        age.unwrap_or_default()
    );
    Some(Told { fault, what, path: Some(path), ..Told::default() })
}

/// F14: `PATH`.
fn store_locked<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let path =
        rest.split_whitespace().next().filter(|path| path.ends_with("sessions.json.lock"))?;
    let what = "waited in vain for the lock of a session store".to_owned();
    Some(Told { fault, what, path: Some(path), ..Told::default() })
}

/// F12, 2026.5.28 to 2026.7.1. Names nobody.
fn takeover<'a>(fault: &'static str, _: &'a str) -> Option<Told<'a>> {
    bare(fault, "a session changed hands while its lock was released".to_owned())
}

/// F13: `killing 2 stale gateway process(es) before restart`. Names nobody.
fn killed<'a>(fault: &'static str, _: &'a str) -> Option<Told<'a>> {
    bare(fault, "it killed gateways that it took for stale before its restart".to_owned())
}

/// F60, up to 2026.4.15: `cron: clearing stale running marker`. Names nobody.
fn cron_marker<'a>(fault: &'static str, _: &'a str) -> Option<Told<'a>> {
    bare(fault, "it cleared a running marker of a cron job".to_owned())
}

/// F70: `reasons=… eventLoopDelayP99Ms=359.9 eventLoopDelayMaxMs=42479.9 …`.
fn late<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let p99 = number(rest, "eventLoopDelayP99Ms=")?;
    let max = number(rest, "eventLoopDelayMaxMs=")?;
    bare(fault, format!("its event loop was late, by {p99} ms (p99) and by {max} ms at most"))
}

/// F71: `3 unclean boot(s) within 300000ms`.
fn breaker<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let (boots, within): (u64, u64) = (leading(rest)?, number(rest, "within ")?);
    let what = format!("{boots} unclean starts within {} s tripped its breaker", within / 1_000);
    bare(fault, what)
}

/// F72: `critical rss=… heap=…`.
fn memory<'a>(fault: &'static str, rest: &'a str) -> Option<Told<'a>> {
    let level = known(rest.split_whitespace().next()?)?;
    bare(fault, format!("it is short of memory, level {level}"))
}

fn bare<'a>(fault: &'static str, what: String) -> Option<Told<'a>> {
    Some(Told { fault, what, ..Told::default() })
}

/// Both names of a session; `unknown` is none.
fn session(rest: &str) -> Option<Told<'_>> {
    let named = |name| value(rest, name).filter(|value| *value != "unknown");
    let lane = named("sessionKey=")?;
    Some(Told { lane: Some(lane), session: named("sessionId="), ..Told::default() })
}

/// Returns what follows `name`, up to the next blank.
fn value<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    let at = match rest.strip_prefix(name) {
        Some(_) => 0,
        // `age=` is no end of `lastProgressAge=`.
        None => rest.find(&format!(" {name}"))? + 1,
    };
    rest.get(at + name.len()..)?.split_whitespace().next()
}

/// Returns a word that may be repeated: one of the gateway's own names for a state.
fn word<'a>(rest: &'a str, name: &str) -> Option<&'a str> {
    known(value(rest, name)?)
}

fn known(word: &str) -> Option<&str> {
    let is_plain = word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    (is_plain && (1..=40).contains(&word.len())).then_some(word)
}

fn number(rest: &str, name: &str) -> Option<u64> {
    leading(value(rest, name)?.trim_start_matches('('))
}

fn leading(text: &str) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        let line = told(text).map(|told| {
            let names = [told.lane, told.session, told.path].into_iter().flatten();
            let names: Vec<_> = names.collect();
            format!("{}: {} [{}]", told.fault, told.what, names.join(" "))
        });
        assert_eq!(line.unwrap_or_default(), want);
        let quoted = serde_json::json!({ "1": text }).to_string();
        assert!(want.is_empty() || may_tell(&quoted), "{quoted}");
    }

    /// Lines of real gateways: 2026.4.15, 2026.7.1 and 2026.9.6.
    #[test]
    fn a_lane_that_waits_or_is_stuck_is_named() {
        check(
            "lane wait exceeded: lane=session:agent:main:race waitedMs=5704 queueAhead=0",
            "lane_wait: a message waited 5 s for the lane, 0 before it [agent:main:race]",
        );
        check("lane wait exceeded: lane=main waitedMs=5704 queueAhead=0", "");
        check(
            "stalled session: sessionId=0f91 sessionKey=agent:main:x state=processing age=429s \
             queueDepth=2 reason=active_work_without_progress classification=stalled_agent_run \
             activeWorkKind=model_call lastProgress=model_call:stream_progress lastProgressAge=428s \
             lastAssistant=\"answer 3\" recovery=none",
            "stuck_session: the gateway finds it stuck (stalled_agent_run) for 429 s, 2 messages \
             waiting, its recovery: none [agent:main:x 0f91]",
        );
        check(
            "stuck session: sessionId=unknown sessionKey=agent:main:x state=processing age=143s \
             queueDepth=1",
            "stuck_session: the gateway finds it stuck for 143 s, 1 messages waiting [agent:main:x]",
        );
        check(
            "stuck session recovery outcome: status=aborted action=abort_embedded_run \
             sessionId=s sessionKey=k aborted=true drained=true",
            "stuck_recovery: the gateway's own recovery: abort_embedded_run, aborted [k s]",
        );
    }

    #[test]
    fn sessions_in_quotes_are_named() {
        check(
            "Error: Session \"agent:main:x\" changed while starting work. Retry.",
            "work_start_changed: it changed while work on it began [agent:main:x]",
        );
        check(
            "SessionRestartRecoveryTombstoneError: Session \"k\" ended during restart recovery",
            "recovery_tombstone: restart recovery has given it up [k]",
        );
        check("Session \"k\" is nice", "");
        check("Session \"k", "");
        check(
            "[main-session-restart-recovery] resumed interrupted main session: agent:main:x (2)",
            "restart_recovery: restart recovery goes on with it [agent:main:x]",
        );
    }

    #[test]
    fn locks_are_named_with_their_holder() {
        check(
            "session file locked (timeout 10000ms): pid=7 alive=true ageMs=540000 /s/a.jsonl.lock",
            "lock_timeout: waited 10 s for its lock held by pid 7 for 540 s [/s/a.jsonl.lock]",
        );
        check(
            "session file locked (timeout 10000ms): unknown /s/a.jsonl.lock",
            "lock_timeout: waited 10 s for its lock [/s/a.jsonl.lock]",
        );
        check(
            "timeout acquiring session store lock: /s/agents/main/sessions/sessions.json.lock",
            "store_lock_timeout: waited in vain for the lock of a session store \
             [/s/agents/main/sessions/sessions.json.lock]",
        );
    }

    #[test]
    fn what_names_nobody_has_its_numbers() {
        check(
            "liveness warning: reasons=event_loop_delay interval=56s eventLoopDelayP99Ms=359.9 \
             eventLoopDelayMaxMs=42479.9 eventLoopUtilization=0.805 cpuCoreRatio=0.312 active=3",
            "event_loop_late: its event loop was late, by 359 ms (p99) and by 42479 ms at most []",
        );
        check(
            "gateway restart-loop breaker tripped: 3 unclean boot(s) within 300000ms; suppressing",
            "restart_breaker: 3 unclean starts within 300 s tripped its breaker []",
        );
        check(
            "memory pressure: level=critical rss=1.2 GiB heap=900 MiB",
            "memory_pressure: it is short of memory, level critical []",
        );
    }

    #[test]
    fn nothing_else_of_a_message_is_repeated() {
        check(
            "stuck session: sessionId=s sessionKey=k state=x age=9s queueDepth=0 \
             classification=\u{1b}[2Jpwned recovery=my-secret-word-which-is-far-too-long-to-be-a-state",
            "stuck_session: the gateway finds it stuck for 9 s, 0 messages waiting [k s]",
        );
        check("memory pressure: level=<script> rss=1", "");
        check("stuck session: sessionKey=k age=99999999999999999999999s", "");
        check("all is well", "");
    }

    proptest! {
        #[test]
        fn no_text_causes_a_panic(sign in 0..SIGNS.len(), text in "\\PC{0,120}") {
            let _ = told(&text);
            let _ = told(&format!("{}{text}", SIGNS[sign].0));
            let _ = told(&format!("{} age={text} sessionKey={text}", SIGNS[sign].0));
        }
    }
}
