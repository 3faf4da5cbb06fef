//! Sockets that tell ICMP errors from resets.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, getsockopt,
    recvmsg, setsockopt, socket, sockopt,
};

/// What kind of socket to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Stream,
    Datagram,
    /// SCTP packets as they are, which needs CAP_NET_RAW.
    RawSctp,
}

/// Opens a socket in the namespace of the calling thread, not connected, not blocking.
pub(crate) fn open(kind: Kind, address: SocketAddr) -> nix::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let (kind, protocol) = match kind {
        Kind::Stream => (SockType::Stream, None),
        Kind::Datagram => (SockType::Datagram, None),
        Kind::RawSctp => (SockType::Raw, Some(SockProtocol::Sctp)),
    };
    socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol)
}

/// Opens a socket that is connected to `target` within `timeout`. The error says how the attempt ended; whether by an
/// ICMP message, the second value says.
pub(crate) fn open_to(
    kind: Kind,
    target: SocketAddr,
    source: Option<SocketAddr>,
    timeout: Duration,
) -> Result<OwnedFd, (io::Error, bool)> {
    let without_icmp = |errno: Errno| (io::Error::from(errno), false);
    let socket = open(kind, target).map_err(without_icmp)?;
    prepare(&socket, target, source).map_err(without_icmp)?;
    let mut attempt = connect(socket.as_raw_fd(), &SockaddrStorage::from(target));
    // A program that is just being started holds our last socket with this source open until its exec. Without a source the
    // kernel chooses a port, and has been seen to say that it is in use. Neither comes from the network.
    let of_this_host = |attempt| match attempt {
        Err(Errno::EADDRNOTAVAIL) => source.is_some(),
        Err(Errno::EADDRINUSE) => source.is_none(),
        _ => false,
    };
    let deadline = Instant::now() + timeout;
    while of_this_host(attempt) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
        attempt = connect(socket.as_raw_fd(), &SockaddrStorage::from(target));
    }
    match attempt {
        Ok(()) => Ok(socket),
        Err(Errno::EINPROGRESS) => match wait_for_connection(&socket, timeout) {
            Ok(()) => Ok(socket),
            Err(error) => {
                let by_icmp = has_icmp_error(&socket);
                Err((error, by_icmp))
            }
        },
        Err(errno) => Err(without_icmp(errno)),
    }
}

fn prepare(socket: &OwnedFd, target: SocketAddr, source: Option<SocketAddr>) -> nix::Result<()> {
    // Without these, the kernel keeps most ICMP errors from a connected UDP socket, and says ECONNREFUSED for a
    // reset and for an ICMP error alike: ip(7), IP_RECVERR.
    if target.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    }
    if let Some(source) = source {
        setsockopt(socket, sockopt::ReuseAddr, &true)?;
        if source.port() != 0 && getsockopt(socket, sockopt::SockType)? == SockType::Stream {
            // Closing sends a reset, so that the port is free for the next connection at once.
            setsockopt(socket, sockopt::Linger, &libc::linger { l_onoff: 1, l_linger: 0 })?;
        }
        bind(socket.as_raw_fd(), &SockaddrStorage::from(source))?;
    }
    Ok(())
}

fn wait_for_connection(socket: &OwnedFd, timeout: Duration) -> io::Result<()> {
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    if poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)], timeout)? == 0 {
        return Err(Errno::ETIMEDOUT.into());
    }
    match getsockopt(socket, sockopt::SocketError)? {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Whether an ICMP error waits in the socket's error queue. The question takes it out.
pub(crate) fn has_icmp_error(socket: &impl AsRawFd) -> bool {
    let mut space = [0; 64];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    recvmsg::<()>(socket.as_raw_fd(), &mut [IoSliceMut::new(&mut space)], None, flags).is_ok()
}
