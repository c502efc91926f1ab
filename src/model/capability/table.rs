//! The versions that were run for real.
//!
//! Sources, where not said otherwise: the constants of the packages themselves (dist of
//! each version), and behaviour measured on running gateways of 2026.3.24, 4.15, 5.7, 5.28, 7.1 and
//! 9.6 on Linux. 2026.6.11 was run, and what is said of its runs read in its package.

use std::time::Duration;

use super::stuck::Stuck;
use super::{Capabilities, Reaches};
use crate::model::Version;

/// `DEFAULT_LLM_IDLE_TIMEOUT_MS`, from 2026.4.15.
const LLM_IDLE: Option<Duration> = Some(Duration::from_secs(120));
/// A provider that never sends a byte is asked again after this long (measured on 2026.9.6).
const LLM_ASKED_AGAIN: Option<Duration> = Some(Duration::from_secs(600));
/// `STUCK_SESSION_ABORT_SETTLE_MS`, from 2026.5.7.
const SETTLES: Duration = Duration::from_secs(15);
/// `EMBEDDED_COMPACTION_TIMEOUT_MS` and the grace of its lock: 900 s up to 2026.5.28, then 180 s,
/// and 120 s of grace. They are the `maxHoldMs` seen in locks.
const COMPACTS_LONG: Duration = Duration::from_secs(900 + 120);
const COMPACTS: Duration = Duration::from_secs(180 + 120);
/// Recovery begins 5 s after the start and is tried again after 5, 10 and 20 s, each with a turn of
/// its own.
const RESUMES: Option<Duration> = Some(Duration::from_secs(300));

/// 2026.3.24, which later ones are told by how they differ from it.
const OLDEST: Capabilities = Capabilities {
    facts_of: Version::new(2026, 3, 24),
    is_tested: true,
    protocol: 3,
    // A channel, cron or `agent` run is alive and holds its lock, and nothing shows it.
    active_run: Reaches::Nothing,
    run_ids: Reaches::Nothing,
    abort: Reaches::Chat,
    stuck_run_after: None,
    provider_silence: None,
    settles_within: SETTLES,
    compaction_within: COMPACTS_LONG,
    waits_for_lock: Some(Duration::from_secs(10)),
    resumes_within: None,
    resumes_one_by_one: false,
    stuck: Stuck::Warns,
};

/// 2026.5.28, and what it shares with 2026.6.11 and 2026.7.1.
const WATCHFUL: Capabilities = Capabilities {
    facts_of: Version::new(2026, 5, 28),
    protocol: 4,
    active_run: Reaches::ChatAndAgent,
    abort: Reaches::ChatAndAgent,
    stuck_run_after: Some(Duration::from_secs(360)),
    provider_silence: LLM_IDLE,
    waits_for_lock: Some(Duration::from_secs(60)),
    resumes_within: RESUMES,
    stuck: Stuck::AsConfigured,
    ..OLDEST
};

/// Oldest first.
pub(super) const RAN: [Capabilities; 7] = [
    OLDEST,
    Capabilities {
        facts_of: Version::new(2026, 4, 15),
        // Silence of 120 s, twice: a run ends after four minutes (measured). A stream that
        // trickles, a tool or an agent over ACP defeats it.
        provider_silence: LLM_IDLE,
        ..OLDEST
    },
    Capabilities {
        facts_of: Version::new(2026, 5, 7),
        active_run: Reaches::ChatAndAgent,
        abort: Reaches::ChatAndAgent,
        stuck_run_after: Some(Duration::from_secs(600)),
        provider_silence: LLM_IDLE,
        waits_for_lock: Some(Duration::from_secs(60)),
        resumes_within: RESUMES,
        stuck: Stuck::OutsideOfWork,
        ..OLDEST
    },
    WATCHFUL,
    Capabilities { facts_of: Version::new(2026, 6, 11), compaction_within: COMPACTS, ..WATCHFUL },
    Capabilities {
        facts_of: Version::new(2026, 7, 1),
        // `resolveVisibleActiveSessionRunState`: controllers, or an embedded run of this session id.
        // A cron run has another one.
        active_run: Reaches::AllButCron,
        run_ids: Reaches::ChatAndAgent,
        compaction_within: COMPACTS,
        ..WATCHFUL
    },
    Capabilities {
        facts_of: Version::new(2026, 9, 6),
        active_run: Reaches::All,
        // Left out of the answer as soon as a run is an embedded one, as nearly all are.
        run_ids: Reaches::Nothing,
        abort: Reaches::All,
        provider_silence: LLM_ASKED_AGAIN,
        compaction_within: COMPACTS,
        waits_for_lock: None,
        resumes_one_by_one: true,
        stuck: Stuck::Fixed,
        ..WATCHFUL
    },
];
