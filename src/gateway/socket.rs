//! A connection to the port: TCP, and TLS where the URL says so.

use std::io;
use std::pin::Pin as MemoryPin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::fault::{Fault, not_a_gateway};
use super::pinned;
use super::target::Target;
use crate::model::RpcFault;

/// Everything up to the hello. The largest that was seen has 60 KiB, on 2026.9.6; it grows with
/// the number of channels and agents.
const GREETING_BYTES_MAX: u64 = 4 << 20;

/// A connected stream that reads no more than it may.
pub(super) struct Socket {
    stream: Stream,
    /// How much may still be read.
    left: u64,
}

enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

/// The parts of a URL that a connection needs.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Address<'a> {
    pub(super) is_secure: bool,
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) path: &'a str,
}

impl<'a> Address<'a> {
    /// Reads `ws://host:port/path`; `None` if it is nothing of that form, or has a user in it.
    pub(super) fn parse(url: &'a str) -> Option<Address<'a>> {
        let (is_secure, rest) = match (url.strip_prefix("ws://"), url.strip_prefix("wss://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            (None, None) => return None,
        };
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = authority.rsplit_once(':')?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
        let is_host = !host.is_empty() && host.chars().all(is_name);
        let path = if path.is_empty() { "/" } else { path };
        let is_path = path.chars().all(|c| c.is_ascii_graphic());
        let port = port.parse().ok().filter(|port| *port > 0)?;
        (is_host && is_path).then_some(Address { is_secure, host, port, path })
    }
}

impl Socket {
    fn new(stream: Stream) -> Socket {
        Socket { stream, left: GREETING_BYTES_MAX }
    }

    /// Lifts the bound on what is read before the other end is known to be a gateway.
    pub(super) fn trust(&mut self) {
        self.left = u64::MAX;
    }

    /// Connects to the port of `target`. Takes as long as the system lets it.
    pub(super) async fn connect(target: &Target) -> Result<Socket, Fault> {
        let url = &target.url;
        let Some(address) = Address::parse(url) else {
            let text = format!("`{url}` is no address of a gateway; it must be ws://HOST:PORT");
            return Err(Fault::new(RpcFault::Internal, text));
        };
        let stream = TcpStream::connect((address.host, address.port))
            .await
            .map_err(|error| Fault::of_socket(url, &error))?;
        // Small frames back and forth: waiting for more to send would cost 40 ms each.
        let _ = stream.set_nodelay(true);
        if !address.is_secure {
            return Ok(Socket::new(Stream::Plain(stream)));
        }
        let Some(pin) = &target.pin else {
            let text = format!("{url} is encrypted, and the gateway's certificate is not known");
            return Err(Fault::new(RpcFault::Internal, text));
        };
        let (connector, name) = pinned::connector(pin)?;
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Socket::new(Stream::Secure(Box::new(stream)))),
            Err(error) if pinned::is_mismatch(&error) => Err(Fault::new(
                RpcFault::WrongGateway,
                format!("{url} shows another certificate than `{}`", pin.path.display()),
            )),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(not_a_gateway(url, "no TLS"))
            }
            Err(error) => Err(Fault::of_socket(url, &error)),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: MemoryPin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let socket = self.get_mut();
        if socket.left == 0 {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::FileTooLarge, "too much")));
        }
        let before = buffer.filled().len();
        let polled = match &mut socket.stream {
            Stream::Plain(stream) => MemoryPin::new(stream).poll_read(context, buffer),
            Stream::Secure(stream) => MemoryPin::new(stream).poll_read(context, buffer),
        };
        let read = buffer.filled().len().saturating_sub(before);
        socket.left = socket.left.saturating_sub(read as u64);
        polled
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: MemoryPin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => MemoryPin::new(stream).poll_write(context, bytes),
            Stream::Secure(stream) => MemoryPin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: MemoryPin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => MemoryPin::new(stream).poll_flush(context),
            Stream::Secure(stream) => MemoryPin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(
        self: MemoryPin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => MemoryPin::new(stream).poll_shutdown(context),
            Stream::Secure(stream) => MemoryPin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_address_of_a_gateway() {
        let address = Address::parse("ws://127.0.0.1:18789").unwrap();
        assert_eq!((address.host, address.port, address.path), ("127.0.0.1", 18789, "/"));
        assert!(!address.is_secure);
        let address = Address::parse("wss://[::1]:1/gw").unwrap();
        assert_eq!((address.host, address.path, address.is_secure), ("::1", "/gw", true));
    }

    #[test]
    fn refuses_what_is_no_address() {
        for url in [
            "",
            "ws://",
            "http://a:1",
            "ws://a",
            "ws://:1",
            "ws://a:0",
            "ws://a:99999",
            "ws://user:secret@a:1",
            "ws://a:1/ x",
            "ws://a\r\nb:1",
        ] {
            assert_eq!(Address::parse(url), None, "{url}");
        }
    }
}
