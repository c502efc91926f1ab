//! A TCP proxy on loopback that spoils what passes through it.
//!
//! Stands between a WebSocket client and a gateway. It delays, cuts, resets, swallows, truncates and
//! reorders, at a byte or at a frame; and it can fall silent at any time while its connections stay
//! open, as a network that lost its route or a process that was stopped does.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rustix::net::connect_unspec;

/// What is done to one direction of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Course {
    /// How long everything is held back before it is passed on.
    pub(crate) delay: Duration,
    /// What goes wrong, and where.
    pub(crate) fault: Option<Fault>,
}

/// Frames are counted from 0 behind the HTTP upgrade; control frames count too.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// After so many bytes the connection ends.
    Cut { bytes: usize, end: End },
    /// This frame comes half, then the connection is closed in order.
    Truncate { frame: usize },
    /// This frame never comes; everything else does.
    Swallow { frame: usize },
    /// This frame comes after the one that follows it.
    Swap { frame: usize },
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// In order: FIN.
    Close,
    /// RST, as from a process that was killed with bytes unread.
    Reset,
    /// Not at all: it stays open, and nothing comes any more.
    Silence,
}

/// What is done to connections, by their direction.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Courses {
    pub(crate) to_client: Course,
    pub(crate) to_gateway: Course,
}

impl Courses {
    /// What the gateway says is spoilt; what it hears is not.
    pub(crate) fn to_client(fault: Fault) -> Courses {
        let to_client = Course { fault: Some(fault), ..Course::default() };
        Courses { to_client, ..Courses::default() }
    }
}

/// The running proxy. Dropping it closes everything.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: SocketAddr,
    courses: Mutex<Courses>,
    open: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    is_silent: AtomicBool,
    is_over: AtomicBool,
}

impl Proxy {
    /// Listens on a free port of loopback, for a gateway at `upstream`.
    pub(crate) fn start(upstream: SocketAddr, courses: Courses) -> Proxy {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            courses: Mutex::new(courses),
            open: Mutex::default(),
            accepted: AtomicUsize::default(),
            is_silent: AtomicBool::default(),
            is_over: AtomicBool::default(),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accepting.accept(&listener));
        Proxy { address, shared }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has taken.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Treats connections so from now on; those that are open go on as they are.
    pub(crate) fn set(&self, courses: Courses) {
        *self.shared.courses.lock().unwrap() = courses;
    }

    /// Passes nothing on any more, in open connections too, and closes none. What comes is lost.
    pub(crate) fn fall_silent(&self) {
        self.shared.is_silent.store(true, Ordering::SeqCst);
    }

    /// Passes on again, without what was lost.
    pub(crate) fn speak_again(&self) {
        self.shared.is_silent.store(false, Ordering::SeqCst);
    }

    /// Closes all open connections in order, as a gateway that restarts does.
    pub(crate) fn close_all(&self) {
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        self.close_all();
    }
}

impl Shared {
    fn accept(self: &Arc<Shared>, listener: &TcpListener) {
        for client in listener.incoming() {
            if self.is_over.load(Ordering::SeqCst) {
                return;
            }
            self.accepted.fetch_add(1, Ordering::SeqCst);
            // A gateway that is not there refuses, and so does the proxy: by closing.
            let (Ok(client), Ok(gateway)) = (client, TcpStream::connect(self.upstream)) else {
                continue;
            };
            self.join(&client, &gateway).unwrap();
        }
    }

    fn join(self: &Arc<Shared>, client: &TcpStream, gateway: &TcpStream) -> io::Result<()> {
        let courses = *self.courses.lock().unwrap();
        let directions =
            [(gateway, client, courses.to_client), (client, gateway, courses.to_gateway)];
        for (from, to, course) in directions {
            to.set_nodelay(true)?;
            self.open.lock().unwrap().push(to.try_clone()?);
            let pump =
                Pump { from: from.try_clone()?, to: to.try_clone()?, course, passed: 0, frame: 0 };
            let shared = Arc::clone(self);
            thread::spawn(move || pump.run(&shared.is_silent));
        }
        Ok(())
    }
}

/// One direction of one connection.
struct Pump {
    from: TcpStream,
    to: TcpStream,
    course: Course,
    /// Bytes passed on.
    passed: usize,
    /// Frames seen.
    frame: usize,
}

/// Whether a direction goes on.
enum Next {
    GoOn,
    End(End),
}

impl Pump {
    fn run(mut self, is_silent: &AtomicBool) {
        let end = self.pass(is_silent).unwrap_or(End::Close);
        match end {
            End::Close => {}
            // Disconnecting an open socket resets it, however many copies of it are open.
            End::Reset => {
                for socket in [&self.to, &self.from] {
                    let _ = connect_unspec(socket);
                }
            }
            // Whatever still comes is read and lost, so that nobody notices by a full buffer.
            End::Silence => while matches!(self.from.read(&mut [0; 4096]), Ok(1..)) {},
        }
        for socket in [&self.to, &self.from] {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn pass(&mut self, is_silent: &AtomicBool) -> io::Result<End> {
        let mut pending = Vec::new();
        let mut held_back = None;
        let mut is_upgraded = false;
        let mut chunk = vec![0; 64 << 10];
        loop {
            let read = self.from.read(&mut chunk)?;
            if read == 0 {
                return Ok(End::Close);
            }
            thread::sleep(self.course.delay);
            if is_silent.load(Ordering::SeqCst) {
                continue;
            }
            pending.extend_from_slice(&chunk[..read]);
            while let Some(length) = self.unit(&pending, is_upgraded) {
                let unit: Vec<u8> = pending.drain(..length).collect();
                let next =
                    if is_upgraded { self.frame(unit, &mut held_back)? } else { self.send(&unit)? };
                is_upgraded = true;
                if let Next::End(end) = next {
                    return Ok(end);
                }
            }
        }
    }

    /// How long the next unit in `bytes` is, if all of it is there: whatever there is, where no frame
    /// is to be spoilt, else first the HTTP head, then each frame.
    fn unit(&self, bytes: &[u8], is_upgraded: bool) -> Option<usize> {
        match self.course.fault {
            None | Some(Fault::Cut { .. }) => (!bytes.is_empty()).then_some(bytes.len()),
            Some(_) if is_upgraded => frame_length(bytes),
            Some(_) => bytes.windows(4).position(|end| end == b"\r\n\r\n").map(|at| at + 4),
        }
    }

    fn frame(&mut self, frame: Vec<u8>, held_back: &mut Option<Vec<u8>>) -> io::Result<Next> {
        let index = self.frame;
        self.frame += 1;
        match self.course.fault {
            Some(Fault::Truncate { frame: at }) if at == index => {
                self.send(&frame[..frame.len() / 2])?;
                return Ok(Next::End(End::Close));
            }
            Some(Fault::Swallow { frame: at }) if at == index => return Ok(Next::GoOn),
            Some(Fault::Swap { frame: at }) if at == index => {
                *held_back = Some(frame);
                return Ok(Next::GoOn);
            }
            _ => {}
        }
        let next = self.send(&frame)?;
        match held_back.take() {
            Some(earlier) => self.send(&earlier),
            None => Ok(next),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<Next> {
        let (left, end) = match self.course.fault {
            Some(Fault::Cut { bytes: at, end }) => (at.saturating_sub(self.passed), Some(end)),
            _ => (usize::MAX, None),
        };
        let now = &bytes[..bytes.len().min(left)];
        self.to.write_all(now)?;
        self.passed += now.len();
        Ok(match end {
            Some(end) if now.len() == left => Next::End(end),
            _ => Next::GoOn,
        })
    }
}

/// The length of the WebSocket frame that `bytes` begin with (RFC 6455, 5.2), if all of it is there.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let (head, payload) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, usize::from(short)),
    };
    let whole = head + mask + payload;
    (bytes.len() >= whole).then_some(whole)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);
    const HEAD: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

    /// A server that gives back what it hears, for one test.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || {
                    let mut back = stream.try_clone().unwrap();
                    let _ = io::copy(&mut stream, &mut back);
                });
            }
        });
        address
    }

    fn connect(proxy: &Proxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        [&[0x81, u8::try_from(payload.len()).unwrap()], payload].concat()
    }

    /// Sends `bytes` through a proxy with `courses` and returns what comes back until its end.
    fn through(courses: Courses, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let proxy = Proxy::start(echo(), courses);
        let mut stream = connect(&proxy);
        stream.write_all(bytes)?;
        let mut back = Vec::new();
        stream.read_to_end(&mut back).map(|_| back)
    }

    /// The same with an upgrade and three frames.
    fn frames(fault: Fault) -> Vec<u8> {
        let all = [HEAD, &frame(b"one"), &frame(b"two"), &frame(b"three")].concat();
        let proxy = Proxy::start(echo(), Courses::to_client(fault));
        let mut stream = connect(&proxy);
        stream.write_all(&all).unwrap();
        let expected = match fault {
            Fault::Swallow { .. } => all.len() - frame(b"two").len(),
            _ => all.len(),
        };
        let mut back = vec![0; expected];
        stream.read_exact(&mut back).unwrap();
        back
    }

    #[test]
    fn without_a_fault_every_byte_passes_in_both_directions() {
        let sent: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let proxy = Proxy::start(echo(), Courses::default());
        let mut stream = connect(&proxy);
        let mut writing = stream.try_clone().unwrap();
        let copy = sent.clone();
        let writer = thread::spawn(move || writing.write_all(&copy).unwrap());
        let mut back = vec![0; sent.len()];
        stream.read_exact(&mut back).unwrap();
        writer.join().unwrap();
        assert!(back == sent);
        assert_eq!(proxy.accepted(), 1);
    }

    #[test]
    fn a_cut_passes_exactly_so_many_bytes() {
        let cut =
            |bytes, end| through(Courses::to_client(Fault::Cut { bytes, end }), b"0123456789");
        assert_eq!(cut(4, End::Close).unwrap(), b"0123");
        assert_eq!(cut(0, End::Close).unwrap(), b"");
        let reset = cut(4, End::Reset).map_err(|error| error.kind());
        assert!(matches!(&reset, Err(io::ErrorKind::ConnectionReset)), "{reset:?}");
    }

    #[test]
    fn silence_keeps_the_connection_open() {
        let fault = Fault::Cut { bytes: 2, end: End::Silence };
        let proxy = Proxy::start(echo(), Courses::to_client(fault));
        let mut stream = connect(&proxy);
        stream.write_all(b"0123").unwrap();
        let mut back = [0; 2];
        stream.read_exact(&mut back).unwrap();
        assert_nothing_comes(&mut stream);

        let proxy = Proxy::start(echo(), Courses::default());
        let mut stream = connect(&proxy);
        stream.write_all(b"a").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        proxy.fall_silent();
        stream.write_all(b"b").unwrap();
        assert_nothing_comes(&mut stream);
        proxy.speak_again();
        stream.write_all(b"c").unwrap();
        let mut back = [0];
        stream.read_exact(&mut back).unwrap();
        assert_eq!(back, *b"c");
    }

    #[track_caller]
    fn assert_nothing_comes(stream: &mut TcpStream) {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let kind = stream.read(&mut [0]).unwrap_err().kind();
        assert!(matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut), "{kind:?}");
        stream.set_read_timeout(Some(LIMIT)).unwrap();
    }

    #[test]
    fn frames_are_swapped_swallowed_and_truncated_whole() {
        let [one, two, three] = [frame(b"one"), frame(b"two"), frame(b"three")];
        let swapped = frames(Fault::Swap { frame: 0 });
        assert_eq!(swapped, [HEAD, &two, &one, &three].concat());
        let swallowed = frames(Fault::Swallow { frame: 1 });
        assert_eq!(swallowed, [HEAD, &one, &three].concat());
        let all = [HEAD, &one, &two, &three].concat();
        let truncated = through(Courses::to_client(Fault::Truncate { frame: 1 }), &all).unwrap();
        assert_eq!(truncated, [HEAD, &one, &two[..2]].concat());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a delay is a length of real time")]
    fn a_delay_holds_everything_back() {
        let delay = Duration::from_millis(80);
        let slow = Course { delay, fault: None };
        let begun = Instant::now();
        let courses = Courses { to_gateway: slow, ..Courses::default() };
        let proxy = Proxy::start(echo(), courses);
        let mut stream = connect(&proxy);
        stream.write_all(b"a").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        assert!(begun.elapsed() >= delay);
    }

    #[test]
    fn later_connections_take_another_course_and_all_can_be_closed() {
        let proxy = Proxy::start(echo(), Courses::default());
        let mut first = connect(&proxy);
        first.write_all(b"a").unwrap();
        first.read_exact(&mut [0]).unwrap();
        proxy.set(Courses::to_client(Fault::Cut { bytes: 0, end: End::Close }));
        let mut second = connect(&proxy);
        second.write_all(b"a").unwrap();
        assert_eq!(second.read(&mut [0]).unwrap(), 0);
        first.write_all(b"b").unwrap();
        first.read_exact(&mut [0]).unwrap();
        proxy.close_all();
        assert_eq!(first.read(&mut [0]).unwrap_or(0), 0);
    }

    #[test]
    fn a_gateway_that_is_not_there_closes_the_connection() {
        let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let proxy = Proxy::start(nobody, Courses::default());
        assert_eq!(connect(&proxy).read(&mut [0]).unwrap_or(0), 0);
    }

    #[test]
    fn a_frame_is_measured_by_its_own_head() {
        for (bytes, want) in [
            (&[0x81][..], None),
            (&[0x81, 3, b'a', b'b'], None),
            (&[0x81, 3, b'a', b'b', b'c', 9], Some(5)),
            (&[0x81, 0x83, 1, 2, 3, 4, b'a', b'b', b'c'], Some(9)),
            (&[0x81, 126, 0, 1, b'a'], Some(5)),
            (&[0x81, 126, 0], None),
            (&[0x81, 127, 0, 0, 0, 0, 0, 0, 0, 1, b'a'], Some(11)),
        ] {
            assert_eq!(frame_length(bytes), want, "{bytes:?}");
        }
    }
}
