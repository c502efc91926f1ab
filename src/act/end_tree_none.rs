//! Processes are ended on Linux only: elsewhere nothing holds on to a process but its pid.

use super::error::ActError;
use super::quarantine::TreeManifest;
use super::{Actuator, Performed};
use crate::model::{ActionId, TreeEnd};

const WHY: &str = "processes are ended on Linux only";

pub(super) fn end(
    _actuator: &Actuator<'_>,
    _id: ActionId,
    _end: &TreeEnd,
) -> Result<Performed, ActError> {
    Ok(Performed::changed(WHY))
}

pub(super) fn recover(
    _actuator: &Actuator<'_>,
    _id: ActionId,
    _manifest: &TreeManifest,
) -> Result<Performed, ActError> {
    Ok(Performed::changed(WHY))
}
