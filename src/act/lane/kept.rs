//! Whether a conversation goes on where it was.

use crate::model::{LaneSight, LiveLane, SessionId, Transcript};

use super::before::Before;

/// Compares the conversation with what it was before its run was ended.
///
/// # Errors
///
/// Returns what of it is missing, for people.
pub(super) fn kept(before: &Before, live: &LiveLane, sight: &LaneSight) -> Result<(), String> {
    let earlier = before.live.session_id.as_ref();
    if live.session_id.as_ref() != earlier {
        return Err(format!("its session id is {} now", name(live.session_id.as_ref())));
    }
    if let Some(on_disk) = session_on_disk(before, sight)
        && on_disk != earlier
    {
        return Err(format!("its row on disk names session {}", name(on_disk)));
    }
    if let (Some(had), Some(has)) = (before.sight.waiting, sight.waiting)
        && has.dropped > had.dropped
    {
        let count = has.dropped - had.dropped;
        return Err(format!("{count} messages that waited were dropped by the gateway"));
    }
    match (before.sight.transcript, sight.transcript) {
        (Some(Transcript::Present { bytes: had, .. }), Some(Transcript::Present { bytes, .. })) => {
            if bytes < had {
                return Err(format!("its transcript shrank from {had} to {bytes}"));
            }
            Ok(())
        }
        (Some(Transcript::Present { .. }), _) => Err("its transcript is gone".to_owned()),
        _ => Ok(()),
    }
}

/// Returns the session id that the row on disk names now. `None`: what is on disk says nothing, because
/// it did not say what the gateway said before either: in the SQLite era a store that was left behind
/// is dead data.
pub(super) fn session_on_disk<'a>(
    before: &Before,
    sight: &'a LaneSight,
) -> Option<Option<&'a SessionId>> {
    let judged = before.sight.row.as_ref()?;
    let counts = judged.session_id == before.live.session_id;
    sight.row.as_ref().filter(|_| counts).map(|row| row.session_id.as_ref())
}

fn name(id: Option<&SessionId>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| format!("`{id}`"))
}
