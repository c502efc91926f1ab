//! The gateway's file formats, as far as both the looking and the acting half need them. Pure.

mod acp;
mod base64;
mod loose;
mod row;

pub(crate) use acp::AcpColumns;
pub use acp::acp_session_key;
pub(crate) use base64::from_base64url;
pub(crate) use loose::Loose;
pub use row::read_row;
pub(crate) use row::{RowFields, RowSeed, lane_status, no_raw_control, row_fields};
