//! Sockets of servers that answer datagrams from the address to which they were sent.
//!
//! A host with several addresses would otherwise answer from the one that its routes prefer, and a connected client
//! does not take that for an answer.

use std::io::{IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::cmsg_space;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, bind, recvmsg, sendmsg, setsockopt,
    sockopt,
};

use crate::socket::{self, Kind};

/// A socket of a server, not blocking.
#[derive(Debug)]
pub(crate) struct DatagramSocket(OwnedFd);

/// Where a datagram came from and to which of this host's addresses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    local: Local,
}

#[derive(Debug, Clone, Copy)]
enum Local {
    V4(in_pktinfo),
    V6(in6_pktinfo),
}

impl DatagramSocket {
    /// A UDP socket for both families on all addresses.
    pub(crate) fn udp(port: u16) -> nix::Result<Self> {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let socket = Self::open(Kind::Datagram, any)?;
        bind(socket.0.as_raw_fd(), &SockaddrStorage::from(any))?;
        Ok(socket)
    }

    /// Raw sockets for SCTP: IPv4 and IPv6.
    pub(crate) fn raw_sctp() -> nix::Result<[Self; 2]> {
        Ok([
            Self::open(Kind::RawSctp, (Ipv4Addr::UNSPECIFIED, 0).into())?,
            Self::open(Kind::RawSctp, (Ipv6Addr::UNSPECIFIED, 0).into())?,
        ])
    }

    fn open(kind: Kind, any: SocketAddr) -> nix::Result<Self> {
        let socket = socket::open(kind, any)?;
        if any.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        }
        Ok(Self(socket))
    }

    /// Takes a datagram that has come: its bytes and its sender. Nothing if there is none.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> Option<(&'a [u8], Peer)> {
        let mut space = cmsg_space!(in_pktinfo, in6_pktinfo);
        let mut parts = [IoSliceMut::new(buffer)];
        let flags = MsgFlags::empty();
        let message =
            recvmsg::<SockaddrStorage>(self.0.as_raw_fd(), &mut parts, Some(&mut space), flags).ok()?;
        let local = message.cmsgs().ok()?.find_map(|control| match control {
            // No interface: routes choose it, as they do for the answers of other servers.
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(Local::V4(in_pktinfo { ipi_ifindex: 0, ..info }))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                Some(Local::V6(in6_pktinfo { ipi6_ifindex: 0, ..info }))
            }
            _ => None,
        })?;
        let (address, length) = (std_address(message.address?)?, message.bytes);
        Some((buffer.get(..length)?, Peer { address, local }))
    }

    /// Answers. A client that has gone is no concern of a server, so there is no error.
    pub(crate) fn answer(&self, bytes: &[u8], peer: Peer) {
        let control = match &peer.local {
            Local::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Local::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        };
        let to = SockaddrStorage::from(peer.address);
        let _ = sendmsg(self.0.as_raw_fd(), &[IoSlice::new(bytes)], &[control], MsgFlags::empty(), Some(&to));
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn std_address(address: SockaddrStorage) -> Option<SocketAddr> {
    let ipv4 = address.as_sockaddr_in().map(|address| SocketAddr::from((address.ip(), address.port())));
    ipv4.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::from((address.ip(), address.port()))))
}
