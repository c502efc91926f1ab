//! Is the process that took a lock still alive?

use crate::model::{Claim, ProcessId, Sighting, UnixMillis};

use super::clock::STEP;

/// Who holds a lock, as far as one snapshot can tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Holder {
    /// There is no such process any more.
    Dead,
    /// Another process lives under its pid: proven by start ticks.
    Recycled,
    /// Another process lives under its pid: told by wall clocks only, so it wants a second look.
    SeemsRecycled,
    /// The process that took the lock is running.
    Alive(ProcessId),
    /// Neither can be shown. Never acted on.
    Unknown,
}

/// Judges `claim` by what is `seen` under its pid. The caller has proven that pids mean the
/// same to the writer of the lock and to us.
///
/// Start ticks decide alone where the claim has them (Linux, 2026.3.2 and later). The wall
/// clock is asked only where it does not, and only while it has been `steady_since` before
/// the claim was written: a clock that was set makes any two times look wrong.
#[must_use]
pub fn holder(
    claim: &Claim,
    seen: &Sighting,
    booted_at: UnixMillis,
    steady_since: UnixMillis,
) -> Holder {
    let Sighting::Present { id, started_at, is_openclaw } = *seen else {
        return match seen {
            Sighting::Absent => Holder::Dead,
            _ => Holder::Unknown,
        };
    };
    let before_boot = claim.created_at.plus(STEP) < booted_at;
    match claim.start_ticks {
        Some(ticks) if ticks != id.start_ticks => Holder::Recycled,
        // Same pid, same tick, other boot? Or a clock that was set? Too strange to call.
        Some(_) if before_boot => Holder::Unknown,
        Some(_) => Holder::Alive(id),
        None if steady_since > claim.created_at => alive_by_title(id, is_openclaw),
        None if before_boot || started_at > claim.created_at.plus(STEP) => Holder::SeemsRecycled,
        None => alive_by_title(id, is_openclaw),
    }
}

fn alive_by_title(id: ProcessId, is_openclaw: bool) -> Holder {
    if is_openclaw { Holder::Alive(id) } else { Holder::Unknown }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: UnixMillis = UnixMillis(1_000_000);
    const LOCKED: UnixMillis = UnixMillis(2_000_000);
    const ID: ProcessId = ProcessId { pid: 7, start_ticks: 500 };

    fn present(started_at: i64, is_openclaw: bool) -> Sighting {
        Sighting::Present { id: ID, started_at: UnixMillis(started_at), is_openclaw }
    }

    fn judge(
        created_at: UnixMillis,
        start_ticks: Option<u64>,
        seen: Sighting,
        steady: i64,
    ) -> Holder {
        let claim = Claim { pid: 7, created_at, start_ticks, max_hold_ms: None };
        holder(&claim, &seen, BOOT, UnixMillis(steady))
    }

    #[track_caller]
    fn check(start_ticks: Option<u64>, seen: Sighting, want: Holder) {
        assert_eq!(judge(LOCKED, start_ticks, seen, 0), want);
    }

    #[test]
    fn equal_ticks_prove_life_whatever_the_wall_clock_says() {
        check(Some(500), present(1_500_000, false), Holder::Alive(ID));
        check(Some(500), present(9_500_000, false), Holder::Alive(ID));
    }

    #[test]
    fn other_ticks_prove_that_the_pid_was_reused() {
        check(Some(499), present(1_500_000, true), Holder::Recycled);
    }

    #[test]
    fn without_ticks_a_process_younger_than_its_lock_is_another_one() {
        check(None, present(2_002_000, true), Holder::Alive(ID));
        check(None, present(2_002_001, true), Holder::SeemsRecycled);
    }

    #[test]
    fn without_ticks_a_clock_that_was_set_proves_nothing() {
        let stranger = present(9_500_000, false);
        assert_eq!(judge(LOCKED, None, stranger, LOCKED.0 + 1), Holder::Unknown);
        assert_eq!(judge(LOCKED, None, stranger, LOCKED.0), Holder::SeemsRecycled);
    }

    #[test]
    fn without_ticks_an_older_stranger_is_not_called_dead() {
        check(None, present(1_500_000, false), Holder::Unknown);
    }

    #[test]
    fn absence_counts_only_where_it_was_seen() {
        check(Some(500), Sighting::Absent, Holder::Dead);
        check(Some(500), Sighting::Hidden, Holder::Unknown);
        check(None, Sighting::Hidden, Holder::Unknown);
    }

    #[test]
    fn a_lock_from_before_boot_has_no_living_holder_unless_the_ticks_agree() {
        let old = UnixMillis(BOOT.0 - 2_001);
        assert_eq!(judge(old, None, present(1_500_000, true), 0), Holder::SeemsRecycled);
        assert_eq!(judge(old, Some(500), present(1_500_000, true), 0), Holder::Unknown);
    }
}
