//! Servers that say who they are and whom they see: the line `NAME ADDRESS:PORT`, in every protocol.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::thread::{self, JoinHandle};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use svcnat_rules::net::Protocol;

use crate::command;
use crate::datagram::DatagramSocket;
use crate::sctp::{self, Chunk, Packet};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// A line for each line, a datagram for each datagram, an INIT ACK for each INIT.
    Lines(Protocol),
    /// 200 and the line for each request.
    Http,
}

/// A server on a thread of its own, which ends when this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    /// Closing it wakes the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server in the namespace of the calling thread, on all its addresses of both families.
    pub(crate) fn start(name: &str, speech: Speech, port: u16) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let identity = Identity { name: name.to_owned(), port };
        let serve: Box<dyn FnOnce() + Send> = match speech {
            Speech::Lines(Protocol::Tcp) | Speech::Http => {
                let listener = TcpListener::bind(any)?;
                listener.set_nonblocking(true)?;
                Box::new(move || serve_streams(&identity, speech, &listener, &stopped))
            }
            Speech::Lines(Protocol::Udp) => {
                let socket = DatagramSocket::udp(port)?;
                Box::new(move || serve_datagrams(&identity, &socket, &stopped))
            }
            Speech::Lines(Protocol::Sctp) => {
                let sockets = DatagramSocket::raw_sctp()?;
                Box::new(move || serve_sctp(&identity, &sockets, &stopped))
            }
        };
        Ok(Self { stop: Some(stop), thread: Some(thread::Builder::new().spawn(serve)?) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _at_once = command::hold_starts();
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic on the thread has been printed; a second one while dropping would abort the tests.
            let _ = thread.join();
        }
    }
}

struct Identity {
    name: String,
    port: u16,
}

impl Identity {
    fn line(&self, peer: SocketAddr) -> String {
        // An IPv4 client appears as ::ffff:a.b.c.d on a socket for both families.
        format!("{} {}\n", self.name, SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    }
}

/// Waits until one of the sources can be read; false once the server is to stop.
fn wait<'a>(sources: impl IntoIterator<Item = BorrowedFd<'a>>, stopped: &PipeReader) -> bool {
    let mut fds = vec![PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
    fds.extend(sources.into_iter().map(|source| PollFd::new(source, PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => {}
        Err(_) => return false,
    }
    fds.first().and_then(PollFd::any) == Some(false)
}

/// A client's connection and the part of its request that has come so far.
struct Client {
    stream: TcpStream,
    peer: SocketAddr,
    request: Vec<u8>,
}

fn serve_streams(identity: &Identity, speech: Speech, listener: &TcpListener, stopped: &PipeReader) {
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let sources = clients.iter().map(|client| client.stream.as_fd());
        if !wait(std::iter::once(listener.as_fd()).chain(sources), stopped) {
            return;
        }
        while let Ok((stream, peer)) = listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                clients.push(Client { stream, peer, request: Vec::new() });
            }
        }
        clients.retain_mut(|client| client.serve(identity, speech));
    }
}

impl Client {
    /// Reads what there is and answers what is complete; false when the connection has ended.
    fn serve(&mut self, identity: &Identity, speech: Speech) -> bool {
        let mut buffer = [0; 4096];
        match self.stream.read(&mut buffer) {
            Ok(0) => return false,
            Ok(read) => self.request.extend(buffer.get(..read).unwrap_or_default()),
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
        let line = identity.line(self.peer);
        let (end, answer): (&[u8], String) = match speech {
            Speech::Lines(_) => (b"\n", line),
            Speech::Http => (
                b"\r\n\r\n",
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{line}",
                    line.len()
                ),
            ),
        };
        while let Some(at) = self.request.windows(end.len()).position(|window| window == end) {
            self.request.drain(..at + end.len());
            if self.stream.write_all(answer.as_bytes()).is_err() {
                return false;
            }
        }
        true
    }
}

fn serve_datagrams(identity: &Identity, socket: &DatagramSocket, stopped: &PipeReader) {
    let mut buffer = [0; 2048];
    while wait([socket.as_fd()], stopped) {
        while let Some((_, peer)) = socket.receive(&mut buffer) {
            socket.answer(identity.line(peer.address).as_bytes(), peer);
        }
    }
}

fn serve_sctp(identity: &Identity, sockets: &[DatagramSocket; 2], stopped: &PipeReader) {
    let mut buffer = [0; 2048];
    while wait(sockets.iter().map(AsFd::as_fd), stopped) {
        for socket in sockets {
            while let Some((bytes, peer)) = socket.receive(&mut buffer) {
                if let Some(answer) = answer_to_init(identity, bytes, peer.address) {
                    socket.answer(&answer.encode(), peer);
                }
            }
        }
    }
}

fn answer_to_init(identity: &Identity, bytes: &[u8], peer: SocketAddr) -> Option<Packet> {
    match sctp::from_raw(bytes, peer.is_ipv4())? {
        Packet { source, destination, chunk: Chunk::Init { tag } } if destination == identity.port => {
            let cookie = identity.line(SocketAddr::new(peer.ip(), source)).into_bytes();
            let chunk = Chunk::InitAck { client_tag: tag, cookie };
            Some(Packet { source: destination, destination: source, chunk })
        }
        _ => None,
    }
}
