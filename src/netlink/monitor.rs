//! Hearing of changes that others make to our tables (the kernel's notifications of nf_tables).

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
    sockopt,
};
use svcnat_rules::ruleset::TABLE;

use super::attr;
use super::constants::table;
use super::error::Error;
use super::message::Messages;

/// `NFNLGRP_NFTABLES` of `include/uapi/linux/netfilter/nfnetlink.h`.
const GROUP: u32 = 7;

/// How many bytes of notifications may wait; what does not fit is known to be lost.
const RECEIVE_BUFFER: usize = 1 << 20;

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Nothing that concerns us.
    Nothing,
    /// Somebody has changed something in one of our tables, or may have: notifications were lost.
    Disturbed,
}

/// A socket that receives the notifications of its network namespace. It does not block.
pub struct Monitor {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Monitor {
    /// Begins to listen, in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// Where the kernel has no netfilter netlink.
    pub fn open() -> Result<Self, Error> {
        let failed =
            |errno: Errno| Error::Io { action: "listen for changes of the rules", source: errno.into() };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)
            .map_err(failed)?;
        // Without privilege it is cut down, and notifications are lost sooner, which is noticed.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER));
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 1 << (GROUP - 1))).map_err(failed)?;
        Ok(Self { socket, buffer: vec![0; 1 << 16] })
    }

    /// Waits until something has been received.
    ///
    /// # Errors
    ///
    /// Those of `poll`.
    pub fn wait(&self) -> io::Result<()> {
        let mut sockets = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut sockets, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Takes what has been received by now. Changes by the socket with the number `own` are not told of.
    ///
    /// # Errors
    ///
    /// Those of `recvmsg`.
    pub fn take(&mut self, own: u32) -> io::Result<Seen> {
        let mut seen = Seen::Nothing;
        loop {
            match recv(self.socket.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC) {
                Ok(len) => {
                    let datagram = self.buffer.get(..len).unwrap_or_default();
                    if len > self.buffer.len() || disturbs(datagram, own) {
                        seen = Seen::Disturbed;
                    }
                }
                Err(Errno::EAGAIN) => return Ok(seen),
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => seen = Seen::Disturbed,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Whether a datagram tells of a change of our tables by another socket. All messages about parts of a table begin with its
/// name, as the first attribute.
fn disturbs(datagram: &[u8], own: u32) -> bool {
    Messages(datagram).any(|message| {
        message.sender() != own
            && message.nft_kind().is_some()
            && message.family().is_some()
            && attr::find_str(message.body(), table::NAME) == Some(TABLE)
    })
}
