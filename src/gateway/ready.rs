//! `GET /readyz`: how late the gateway's event loop is.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::fault::{Fault, not_a_gateway};
use super::socket::{Address, Socket};
use super::target::Target;
use crate::format::Loose;
use crate::model::{EventLoop, RpcFailure, RpcFault};

/// Answered in 3 to 4 ms, hung lanes or not; a blocked event loop does not answer.
const WITHIN: Duration = Duration::from_secs(5);
/// The real one has 500 bytes.
const BYTES_MAX: u64 = 64 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready<'a> {
    #[serde(borrow, default)]
    event_loop: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Loop<'a> {
    #[serde(borrow, default)]
    degraded: Loose<'a>,
    #[serde(rename = "delayP99Ms", default)]
    delay_p99_ms: Option<f64>,
    #[serde(rename = "delayMaxMs", default)]
    delay_max_ms: Option<f64>,
}

/// Asks the port of `target`; `None` if it does not tell (before 2026.5.7).
pub(super) async fn ask(target: &Target) -> Result<Option<EventLoop>, RpcFailure> {
    let url = &target.url;
    let asked = timeout(WITHIN, exchange(target)).await.unwrap_or_else(|_| {
        Err(Fault::new(RpcFault::Deaf, format!("{url} does not answer `/readyz`")))
    });
    let bytes = asked.map_err(|fault| fault.failure)?;
    let body = body(&bytes).ok_or_else(|| not_a_gateway(url, "no HTTP").failure)?;
    read(body).ok_or_else(|| not_a_gateway(url, "its `/readyz` cannot be read").failure)
}

async fn exchange(target: &Target) -> Result<Vec<u8>, Fault> {
    let url = &target.url;
    let mut socket = Socket::connect(target).await?;
    let Some(Address { host, port, .. }) = Address::parse(url) else {
        return Err(not_a_gateway(url, "no address"));
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let request = format!(
        "GET /readyz HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: application/json\r\n\
         Connection: close\r\n\r\n"
    );
    let mut bytes = Vec::new();
    let exchanged = async {
        socket.write_all(request.as_bytes()).await?;
        socket.take(BYTES_MAX).read_to_end(&mut bytes).await
    };
    exchanged.await.map_err(|error| Fault::of_socket(url, &error))?;
    Ok(bytes)
}

/// The body of an answer that ends with the connection, with or without a length of its own. One
/// that comes in chunks is taken by its braces.
fn body(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| text.starts_with("HTTP/1."))?;
    let body = text.split_once("\r\n\r\n")?.1;
    let (start, end) = (body.find('{')?, body.rfind('}')?);
    body.get(start..=end)
}

/// Reads the body; the outer `None`: it is no answer of a gateway.
fn read(body: &str) -> Option<Option<EventLoop>> {
    let ready: Ready<'_> = serde_json::from_str(body).ok()?;
    let told = ready.event_loop.and_then(|raw| serde_json::from_str::<Loop<'_>>(raw.get()).ok());
    Some(told.and_then(|told| {
        Some(EventLoop {
            is_degraded: told.degraded == Loose::Bool(true),
            delay_p99: millis(told.delay_p99_ms?)?,
            delay_max: millis(told.delay_max_ms?)?,
        })
    }))
}

fn millis(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value / 1_000.0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_2026_9_6_says_of_its_event_loop_is_read() {
        let text = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n\
            {\"ready\":true,\"failing\":[],\"uptimeMs\":178497,\"eventLoop\":{\"degraded\":false,\
            \"degradedSinceMs\":null,\"reasons\":[],\"intervalMs\":1015.09,\"delayP99Ms\":41.7,\
            \"delayMaxMs\":50,\"utilization\":0.003,\"cpuCoreRatio\":0.004}}";
        let told = read(body(text.as_bytes()).unwrap()).unwrap().unwrap();
        assert!(!told.is_degraded);
        assert_eq!((told.delay_p99.as_micros(), told.delay_max.as_millis()), (41_700, 50));
    }

    #[test]
    fn a_version_that_does_not_tell_is_not_an_error_and_nonsense_is() {
        assert_eq!(read(r#"{"ready":true,"failing":[]}"#), Some(None));
        assert_eq!(read(r#"{"eventLoop":{"delayP99Ms":-1,"delayMaxMs":1}}"#), Some(None));
        assert_eq!(read("{"), None);
        for bytes in [&b""[..], b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x\r\n\r\n{}", b"\xff"] {
            assert_eq!(body(bytes), None);
        }
    }
}
