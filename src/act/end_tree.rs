//! Ends a tree of processes.

use super::error::ActError;
use super::{Actuator, Performed};
use crate::model::{ActionId, TreeEnd};

pub(super) fn end(
    _actuator: &Actuator<'_>,
    _id: ActionId,
    _end: &TreeEnd,
) -> Result<Performed, ActError> {
    Ok(Performed::changed("not built yet"))
}
