//! The version of the running gateway, asked of the process itself.
//!
//! `GET /__openclaw/control-ui-config.json` has `serverVersion` on every version measured.
//! 2026.3.24 and 2026.4.15 answer everybody; 2026.5.7, 2026.5.28, 2026.6.11, 2026.7.1 and 2026.9.6
//! answer 401 without the gateway's token, and then it is asked once more with it.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::model::{ProcessId, UnixMillis, Version};

/// A busy gateway answers within this; one that does not is asked again later. 2026.4.15 on a loaded
/// host took more than half a second.
const TIMEOUT: Duration = Duration::from_millis(1_500);
const ANSWER_BYTES_MAX: u64 = 64 << 10;
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Remembers the version of a process, so that each is asked about once.
#[derive(Debug, Default)]
pub struct VersionProbe {
    last: Option<Asked>,
}

#[derive(Debug)]
struct Asked {
    id: ProcessId,
    /// An in-process restart keeps the pid and may load other code.
    locked_at: Option<UnixMillis>,
    at: UnixMillis,
    answer: Answer,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Version(Version),
    /// It answers, and will not tell: not asked again.
    Refused,
    /// It did not answer in time.
    Silent,
}

/// Whom to ask.
pub(super) struct Target<'a> {
    pub id: ProcessId,
    pub locked_at: Option<UnixMillis>,
    /// A port that this very process listens on.
    pub port: u16,
    /// `gateway.controlUi.basePath`.
    pub base_path: &'a str,
    /// Gives the gateway's token, if it may be sent to this port.
    pub token: &'a dyn Fn() -> Option<String>,
}

impl VersionProbe {
    /// Returns the version of the process, from memory or by asking it. A process that
    /// was silent is asked again after a minute.
    pub(super) fn version(&mut self, target: &Target<'_>, now: UnixMillis) -> Option<Version> {
        let known = self.last.as_ref().filter(|asked| {
            let same = asked.id == target.id && asked.locked_at == target.locked_at;
            let due = now < asked.at || now.since(asked.at) >= RETRY_AFTER;
            same && (asked.answer != Answer::Silent || !due)
        });
        let answer = match known {
            Some(asked) => asked.answer,
            None => ask(target).unwrap_or(Answer::Silent),
        };
        if known.is_none() {
            let (id, locked_at) = (target.id, target.locked_at);
            self.last = Some(Asked { id, locked_at, at: now, answer });
        }
        match answer {
            Answer::Version(version) => Some(version),
            Answer::Refused | Answer::Silent => None,
        }
    }
}

fn ask(target: &Target<'_>) -> io::Result<Answer> {
    let answer = request(target, None)?;
    if status(&answer) != Some(401) {
        return Ok(read(&answer));
    }
    // Anything else in a header line could end it.
    let plain = |token: &String| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    match (target.token)().filter(plain) {
        Some(token) => Ok(read(&request(target, Some(&token))?)),
        None => Ok(Answer::Refused),
    }
}

fn request(target: &Target<'_>, token: Option<&str>) -> io::Result<Vec<u8>> {
    let deadline = Instant::now() + TIMEOUT;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, target.port));
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    let auth = token.map(|t| format!("Authorization: Bearer {t}\r\n")).unwrap_or_default();
    let (base, port) = (target.base_path, target.port);
    let text = format!(
        "GET {base}/__openclaw/control-ui-config.json HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\
         Accept: application/json\r\n{auth}Connection: close\r\n\r\n"
    );
    stream.set_write_timeout(Some(TIMEOUT))?;
    stream.write_all(text.as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    while (answer.len() as u64) < ANSWER_BYTES_MAX {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part)? {
            0 => break,
            count => answer.extend_from_slice(&part[..count]),
        }
    }
    Ok(answer)
}

fn status(answer: &[u8]) -> Option<u16> {
    let line = std::str::from_utf8(answer.get(..12)?).ok()?;
    line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "))?.parse().ok()
}

fn read(answer: &[u8]) -> Answer {
    let version = || {
        let body = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let body = answer.get(body..)?;
        // Whatever frames the object, such as the length of a chunk, is left out.
        let first = body.iter().position(|&b| b == b'{')?;
        let last = body.iter().rposition(|&b| b == b'}')?;
        let value: Value = serde_json::from_slice(body.get(first..=last)?).ok()?;
        Version::parse(value.get("serverVersion")?.as_str()?)
    };
    match status(answer) {
        Some(200) => version().map_or(Answer::Refused, Answer::Version),
        Some(500..) | None => Answer::Silent,
        Some(_) => Answer::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    const OK: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"serverVersion\":\"2026.4.15\"}";
    const NO: &str = "HTTP/1.1 401 Unauthorized\r\n\r\n{\"error\":{}}";
    const V: Option<Version> = Some(Version::new(2026, 4, 15));

    /// A server that gives one answer per connection and returns the requests it saw.
    fn serve(answers: Vec<&'static str>) -> (u16, thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let served = thread::spawn(move || {
            let mut seen = Vec::new();
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let lines: Vec<String> =
                    lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
                seen.push(lines.join("|"));
                stream.write_all(answer.as_bytes()).unwrap();
            }
            seen
        });
        (port, served)
    }

    fn target(port: u16, token: &dyn Fn() -> Option<String>) -> Target<'_> {
        let id = ProcessId { pid: 7, start_ticks: 1 };
        Target { id, locked_at: None, port, base_path: "/claw", token }
    }

    #[test]
    fn asks_once_and_remembers() {
        let (port, served) = serve(vec![OK]);
        let mut probe = VersionProbe::default();
        let target = target(port, &|| Some("secret".to_owned()));
        assert_eq!(probe.version(&target, UnixMillis(0)), V);
        let seen = served.join().unwrap();
        assert!(seen[0].starts_with("GET /claw/__openclaw/control-ui-config.json HTTP/1.1|"));
        assert!(!seen[0].contains("secret"));
        assert_eq!(probe.version(&target, UnixMillis(99_000_000)), V);
    }

    #[test]
    fn sends_the_token_only_after_a_401() {
        let (port, served) = serve(vec![NO, OK]);
        let token = || Some("secret".to_owned());
        let mut probe = VersionProbe::default();
        assert_eq!(probe.version(&target(port, &token), UnixMillis(0)), V);
        let seen = served.join().unwrap();
        assert!(!seen[0].contains("secret") && seen[1].contains("Bearer secret"));
    }

    #[test]
    fn a_refusal_is_final() {
        for token in [None, Some("a\r\nHost: x".to_owned()), Some("wrong".to_owned())] {
            let answers = if token.as_deref() == Some("wrong") { vec![NO, NO] } else { vec![NO] };
            let (port, served) = serve(answers);
            let mut probe = VersionProbe::default();
            let token = || token.clone();
            let target = target(port, &token);
            assert_eq!(probe.version(&target, UnixMillis(0)), None);
            served.join().unwrap();
            // Nobody listens any more; asking again would make it silent.
            assert_eq!(probe.version(&target, UnixMillis(99_000_000)), None);
            assert_eq!(probe.last.unwrap().answer, Answer::Refused);
        }
    }

    #[test]
    fn a_silent_process_is_asked_again_after_a_minute_and_another_at_once() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let closed = listener.local_addr().unwrap().port();
        drop(listener);
        let mut probe = VersionProbe::default();
        assert_eq!(probe.version(&target(closed, &|| None), UnixMillis(0)), None);
        let (port, served) = serve(vec![OK, OK]);
        assert_eq!(probe.version(&target(port, &|| None), UnixMillis(59_999)), None);
        assert_eq!(probe.version(&target(port, &|| None), UnixMillis(60_000)), V);
        let other = ProcessId { pid: 8, start_ticks: 1 };
        let target = Target { id: other, ..target(port, &|| None) };
        assert_eq!(probe.version(&target, UnixMillis(60_001)), V);
        served.join().unwrap();
    }

    #[test]
    fn what_is_no_answer_is_none() {
        for (text, want) in [
            ("", Answer::Silent),
            ("SSH-2.0-OpenSSH_9.6", Answer::Silent),
            ("HTTP/1.1 503 Busy\r\n\r\n", Answer::Silent),
            ("HTTP/1.1 404 Not Found\r\n\r\nNot Found", Answer::Refused),
            ("HTTP/1.1 200 OK\r\n\r\n<html>{}</html>", Answer::Refused),
            ("HTTP/1.1 200 OK\r\n\r\n{\"serverVersion\":7}", Answer::Refused),
            ("HTTP/1.1 200 OK\r\n\r\n}{", Answer::Refused),
        ] {
            assert_eq!(read(text.as_bytes()), want, "{text}");
        }
        let chunked = "HTTP/1.1 200 OK\r\n\r\n1d\r\n{\"serverVersion\":\"2026.4.15\"}\r\n0\r\n\r\n";
        assert_eq!(read(chunked.as_bytes()), Answer::Version(Version::new(2026, 4, 15)));
    }
}
