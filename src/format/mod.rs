//! The gateway's file formats, as far as both the looking and the acting half need them. Pure.

mod loose;
mod row;

pub(crate) use loose::Loose;
pub use row::read_row;
pub(crate) use row::{RowFields, RowSeed, no_raw_control};
