//! When a connection that failed is tried again.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use tokio::time::Instant;

use super::fault::Fault;
use crate::model::{RpcFailure, RpcFault};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// What a person has to change. It is noticed at once when the configuration changes, and the gateway's
/// own log of refused connections does not fill.
const REFUSED: Duration = Duration::from_secs(300);

/// The last failure, and until when it stands.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<(RpcFailure, Instant)>,
}

impl Backoff {
    /// Notes a failure at `now` and returns it.
    pub(super) fn failed(&mut self, fault: Fault, now: Instant) -> &RpcFailure {
        let pause = pause(&fault, self.failures);
        self.failures = self.failures.saturating_add(1);
        let until = now + jittered(pause, random());
        &self.last.insert((fault.failure, until)).0
    }

    /// Returns the failure that still stands at `now`.
    pub(super) fn holds(&self, now: Instant) -> Option<&RpcFailure> {
        self.last.as_ref().filter(|(_, until)| now < *until).map(|(failure, _)| failure)
    }

    /// Returns when it may be tried again, if it failed.
    pub(super) fn until(&self) -> Option<Instant> {
        self.last.as_ref().map(|(_, until)| *until)
    }
}

fn pause(fault: &Fault, failures: u32) -> Duration {
    let doubled = FIRST.saturating_mul(1 << failures.min(10)).min(LONGEST);
    match fault.kind() {
        RpcFault::Unauthorized
        | RpcFault::PairingRequired
        | RpcFault::MissingScope
        | RpcFault::ProtocolMismatch
        | RpcFault::NoCredentials => REFUSED,
        RpcFault::Unavailable => fault.retry_after.unwrap_or_default().max(doubled),
        // What is too large once is large again, and costs the gateway as much as us.
        RpcFault::TooLarge => REFUSED,
        RpcFault::Refused
        | RpcFault::Deaf
        | RpcFault::NotAGateway
        | RpcFault::WrongGateway
        | RpcFault::Closed
        | RpcFault::Unsupported
        | RpcFault::Refusal
        | RpcFault::Internal => doubled,
    }
}

/// Between three and five quarters of `pause`: many sidecars of one host do not come back together.
fn jittered(pause: Duration, random: u8) -> Duration {
    pause * 3 / 4 + pause / 2 * u32::from(random) / 255
}

fn random() -> u8 {
    let mut byte = [127];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut byte));
    if read.is_ok() { byte[0] } else { 127 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stands_longer_each_time_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let now = Instant::now();
        let mut last = Duration::ZERO;
        for count in 0..40 {
            backoff.failed(Fault::new(RpcFault::Refused, "x"), now);
            let pause = backoff.until().unwrap() - now;
            assert!(pause >= FIRST * 3 / 4 && pause <= LONGEST * 5 / 4, "{pause:?}");
            assert!(count > 3 || pause > last, "{last:?} then {pause:?}");
            last = pause;
        }
        assert!(last >= LONGEST * 3 / 4);
        assert!(backoff.holds(now).is_some());
        assert!(backoff.holds(now + LONGEST * 2).is_none());
    }

    #[test]
    fn refused_credentials_are_not_tried_in_a_loop() {
        for kind in [
            RpcFault::Unauthorized,
            RpcFault::PairingRequired,
            RpcFault::ProtocolMismatch,
            RpcFault::MissingScope,
        ] {
            let pause = pause(&Fault::new(kind, "x"), 0);
            assert!(jittered(pause, 0) >= Duration::from_secs(225), "{kind:?}");
        }
    }

    #[test]
    fn the_gateway_is_asked_no_sooner_than_it_asked_for() {
        let fault = Fault {
            retry_after: Some(Duration::from_secs(9)),
            ..Fault::new(RpcFault::Unavailable, "x")
        };
        assert_eq!(pause(&fault, 0), Duration::from_secs(9));
    }

    #[test]
    fn jitter_is_bounded_on_both_sides() {
        let pause = Duration::from_secs(8);
        assert_eq!(jittered(pause, 0), Duration::from_secs(6));
        assert_eq!(jittered(pause, 255), Duration::from_secs(10));
    }
}
