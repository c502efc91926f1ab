//! The wall clock, and the one place that reads it.

use crate::model::UnixMillis;

/// The environment variable that freezes the clock of every judgement, for captured states.
pub const FROZEN: &str = "CLAWARDEN_NOW";

/// Where "now" comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Clock {
    /// The host's wall clock.
    Wall,
    /// Always this instant.
    Frozen(UnixMillis),
}

impl Clock {
    /// Reads `CLAWARDEN_NOW`, an RFC 3339 instant.
    ///
    /// # Errors
    ///
    /// Returns the variable's text if it is set and no instant.
    pub fn from_env() -> Result<Clock, String> {
        let Some(text) = std::env::var_os(FROZEN) else { return Ok(Clock::Wall) };
        let text = text.to_string_lossy();
        UnixMillis::from_rfc3339(&text).map(Clock::Frozen).ok_or_else(|| text.into_owned())
    }

    /// Returns the current instant.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(self) -> UnixMillis {
        match self {
            Clock::Wall => UnixMillis(jiff::Timestamp::now().as_millisecond()),
            Clock::Frozen(at) => at,
        }
    }
}
