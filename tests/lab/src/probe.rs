//! Clients: one question to an address, and how it fared.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use svcnat_rules::net::Protocol;

use crate::outcome::Outcome;
use crate::sctp::{self, Chunk, Packet};
use crate::socket::{self, Kind};

/// How long to wait where no answer is expected: long against a round trip inside one machine (0.1 ms), short against
/// the patience of a developer.
pub const SILENCE: Duration = Duration::from_millis(300);

/// How long to wait where an answer is expected; only a failing test waits for that long.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a client says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speech {
    /// A line, answered by a line.
    Line,
    /// `GET /`, answered by 200 and the same line.
    Http,
}

/// A question to an address: from where, by which protocol, and how long to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    protocol: Protocol,
    speech: Speech,
    target: SocketAddr,
    source: Option<SocketAddr>,
    timeout: Duration,
}

impl Probe {
    /// A question by a transport protocol, for servers made by [`Host::serve`](crate::Host::serve).
    #[must_use]
    pub fn new(protocol: Protocol, target: SocketAddr) -> Self {
        Self { protocol, speech: Speech::Line, target, source: None, timeout: PATIENCE }
    }

    /// A question by TCP.
    #[must_use]
    pub fn tcp(target: SocketAddr) -> Self {
        Self::new(Protocol::Tcp, target)
    }

    /// A question by UDP.
    #[must_use]
    pub fn udp(target: SocketAddr) -> Self {
        Self::new(Protocol::Udp, target)
    }

    /// An SCTP INIT.
    #[must_use]
    pub fn sctp(target: SocketAddr) -> Self {
        Self::new(Protocol::Sctp, target)
    }

    /// `GET /` by HTTP/1.1, for servers made by [`Host::serve_http`](crate::Host::serve_http).
    #[must_use]
    pub fn http(target: SocketAddr) -> Self {
        Self { speech: Speech::Http, ..Self::tcp(target) }
    }

    /// Sends from this address and port; either may be left to the kernel by 0.
    #[must_use]
    pub fn from(self, source: SocketAddr) -> Self {
        Self { source: Some(source), ..self }
    }

    /// Sends from this port, from the address that the kernel chooses.
    #[must_use]
    pub fn from_port(self, port: u16) -> Self {
        let any: IpAddr =
            if self.target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        self.from(SocketAddr::new(any, port))
    }

    /// Waits that long for a connection and for each answer.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Waits no longer than [`SILENCE`].
    #[must_use]
    pub fn expecting_silence(self) -> Self {
        self.timeout(SILENCE)
    }

    /// Connects, in the namespace of the calling thread.
    pub(crate) fn open(&self) -> Result<Connection, Outcome> {
        let socket = match self.protocol {
            Protocol::Tcp => Socket::Tcp(self.connect(Kind::Stream)?.into()),
            Protocol::Udp => Socket::Udp(self.connect(Kind::Datagram)?.into()),
            Protocol::Sctp => self.open_sctp()?,
        };
        socket.wait_in_reads(self.timeout).map_err(|error| Outcome::from_error(&error, false))?;
        Ok(Connection { socket, speech: self.speech, target: self.target, timeout: self.timeout })
    }

    fn connect(&self, kind: Kind) -> Result<OwnedFd, Outcome> {
        // A raw socket has no ports, its packets have.
        let source = match kind {
            Kind::RawSctp => self.source.map(|source| SocketAddr::new(source.ip(), 0)),
            Kind::Stream | Kind::Datagram => self.source,
        };
        socket::open_to(kind, self.target, source, self.timeout)
            .map_err(|(error, by_icmp)| Outcome::from_error(&error, by_icmp))
    }

    fn open_sctp(&self) -> Result<Socket, Outcome> {
        // Ports and tags of two questions need only differ.
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let tag = NEXT.fetch_add(1, Ordering::Relaxed);
        let chosen = self.source.map_or(0, |source| source.port());
        let port =
            if chosen == 0 { 32_768 + u16::try_from(tag % 28_000).unwrap_or_default() } else { chosen };
        // The standard library knows no raw sockets, but its UdpSocket is only send and recv on what it is given.
        let mut to = self.target;
        to.set_port(0);
        let raw = Self { target: to, ..self.clone() };
        Ok(Socket::Sctp { raw: raw.connect(Kind::RawSctp)?.into(), port, tag })
    }
}

/// A connection, or a connected UDP socket, that can be used again after the rules have changed.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    speech: Speech,
    target: SocketAddr,
    timeout: Duration,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
    Sctp { raw: UdpSocket, port: u16, tag: u32 },
}

impl Socket {
    fn wait_in_reads(&self, timeout: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(timeout))
            }
            Self::Udp(socket) | Self::Sctp { raw: socket, .. } => {
                socket.set_nonblocking(false)?;
                socket.set_read_timeout(Some(timeout))
            }
        }
    }
}

impl Connection {
    /// Asks, by this connection or from this socket, who is at the other end. SCTP sends its INIT again.
    pub fn ask(&mut self) -> Outcome {
        let answer = match &mut self.socket {
            Socket::Tcp(stream) => ask_stream(stream, self.speech, self.target),
            Socket::Udp(socket) => ask_datagram(socket),
            Socket::Sctp { raw, port, tag } => {
                return ask_sctp(raw, (*port, self.target.port()), *tag, self.timeout);
            }
        };
        answer.unwrap_or_else(|error| self.failed(&error))
    }

    fn failed(&self, error: &io::Error) -> Outcome {
        let by_icmp = match &self.socket {
            Socket::Tcp(stream) => socket::has_icmp_error(stream),
            // Nothing but ICMP refuses a datagram.
            Socket::Udp(_) | Socket::Sctp { .. } => true,
        };
        Outcome::from_error(error, by_icmp)
    }
}

fn ask_stream(stream: &mut TcpStream, speech: Speech, target: SocketAddr) -> io::Result<Outcome> {
    match speech {
        Speech::Line => stream.write_all(b"who are you?\n")?,
        Speech::Http => stream.write_all(format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes())?,
    }
    let mut text = String::new();
    let mut buffer = [0; 1024];
    loop {
        let read = stream.read(&mut buffer)?;
        text.push_str(&String::from_utf8_lossy(buffer.get(..read).unwrap_or_default()));
        let body = match speech {
            Speech::Line => Some(text.as_str()),
            Speech::Http => text.split_once("\r\n\r\n").map(|(_, body)| body),
        };
        match body {
            Some(body) if body.ends_with('\n') => {
                let good = speech == Speech::Line || text.starts_with("HTTP/1.1 200 ");
                return Ok(if good { Outcome::from_line(body) } else { Outcome::Failed(text) });
            }
            _ if read == 0 => return Ok(Outcome::Failed(format!("closed after {text:?}"))),
            _ => {}
        }
    }
}

fn ask_datagram(socket: &UdpSocket) -> io::Result<Outcome> {
    let mut buffer = [0; 1024];
    send(socket, b"who are you?\n")?;
    let read = socket.recv(&mut buffer)?;
    Ok(Outcome::from_line(&String::from_utf8_lossy(buffer.get(..read).unwrap_or_default())))
}

/// Sends. A packet that the sender's own rules throw away is an error of sending (EPERM); as one that is thrown away
/// elsewhere, it is told by what comes afterwards, an ICMP error or nothing.
fn send(socket: &UdpSocket, bytes: &[u8]) -> io::Result<()> {
    match socket.send(bytes) {
        Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => Ok(()),
        sent => sent.map(drop),
    }
}

fn ask_sctp(raw: &UdpSocket, (source, destination): (u16, u16), tag: u32, timeout: Duration) -> Outcome {
    let failed = |error: io::Error| Outcome::from_error(&error, true);
    let init = Packet { source, destination, chunk: Chunk::Init { tag } };
    if let Err(error) = send(raw, &init.encode()) {
        return failed(error);
    }
    let deadline = Instant::now() + timeout;
    let mut buffer = [0; 2048];
    // A raw socket sees the packets of all ports, so wait for those that are meant.
    while Instant::now() < deadline {
        let packet = match raw.recv(&mut buffer) {
            Ok(read) => sctp::from_raw(buffer.get(..read).unwrap_or_default(), is_ipv4(raw)),
            Err(error) => return failed(error),
        };
        match packet {
            Some(packet) if (packet.source, packet.destination) != (destination, source) => {}
            Some(Packet { chunk: Chunk::InitAck { client_tag, cookie }, .. }) if client_tag == tag => {
                return Outcome::from_line(&String::from_utf8_lossy(&cookie));
            }
            Some(Packet { chunk: Chunk::Abort, .. }) => return Outcome::Reset,
            _ => {}
        }
    }
    Outcome::Timeout
}

fn is_ipv4(socket: &UdpSocket) -> bool {
    socket.local_addr().is_ok_and(|address| address.is_ipv4())
}
