//! Hearing of changes of what is ours (the kernel's notifications of nf_tables).

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket,
    sockopt,
};
use svcnat_rules::iptables::{PREFIX, TableName, built_in};
use svcnat_rules::ruleset::{Hook, TABLE};

use super::attr;
use super::constants::{msg, nlm, rule, table};
use super::error::Error;
use super::message::{Message, Messages};

/// `NFNLGRP_NFTABLES` of `include/uapi/linux/netfilter/nfnetlink.h`.
const GROUP: u32 = 7;

/// How many bytes of notifications may wait; what does not fit is known to be lost.
const RECEIVE_BUFFER: usize = 1 << 20;

/// The longest datagram of notifications that is taken; of a longer one it is known that there was more.
const DATAGRAM: usize = 1 << 16;

/// What is listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Changes of the tables `ip svcnat` and `ip6 svcnat`, and of anything in them.
    Nftables,
    /// Changes of our chains and jumps in the tables that the variant nft of iptables keeps in nf_tables: `filter`, `mangle`
    /// and `nat` of both families. Also what comes or goes with a whole table, and rules that may have been put in front of
    /// our jumps.
    Iptables,
}

/// What was heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// Who made changes: the numbers of sockets (`nlmsg_pid`).
    pub senders: BTreeSet<u32>,
    /// Whether notifications were lost, so that anybody may have changed anything.
    pub lost: bool,
}

impl Heard {
    /// Adds what was heard afterwards.
    pub fn add(&mut self, more: Self) {
        self.senders.extend(more.senders);
        self.lost |= more.lost;
    }

    /// Whether anybody but the socket with the number `own` has changed something, or may have.
    #[must_use]
    pub fn disturbs(&self, own: u32) -> bool {
        self.lost || self.senders.iter().any(|sender| *sender != own)
    }
}

/// A socket that receives the notifications of its network namespace. It does not block.
pub struct Monitor {
    listen: Listen,
    socket: OwnedFd,
}

impl Monitor {
    /// Begins to listen, in the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// Where the kernel has no netfilter netlink.
    pub fn open(listen: Listen) -> Result<Self, Error> {
        let failed =
            |errno: Errno| Error::Io { action: "listen for changes of the rules", source: errno.into() };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkNetFilter)
            .map_err(failed)?;
        // Without privilege it is cut down, and notifications are lost sooner, which is noticed.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER)
            .or_else(|_| setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER));
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 1 << (GROUP - 1))).map_err(failed)?;
        Ok(Self { listen, socket })
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

    /// Takes what has been received by now. The kernel queues the notifications of a change before it answers who made it.
    ///
    /// # Errors
    ///
    /// Those of `recvmsg`.
    pub fn take(&self) -> io::Result<Heard> {
        let mut heard = Heard::default();
        let mut buffer = vec![0; DATAGRAM];
        loop {
            match recv(self.socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_TRUNC) {
                Ok(len) => {
                    heard.lost |= len > buffer.len();
                    let datagram = buffer.get(..len).unwrap_or_default();
                    let messages = Messages(datagram).filter(|message| self.listen.concerns(message));
                    heard.senders.extend(messages.map(|message| message.sender()));
                }
                Err(Errno::EAGAIN) => return Ok(heard),
                Err(Errno::EINTR) => {}
                Err(Errno::ENOBUFS) => heard.lost = true,
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Listen {
    /// Whether a message tells of a change of what is ours. All messages about parts of a table begin with its name, as the
    /// first attribute.
    fn concerns(self, message: &Message<'_>) -> bool {
        let (Some(kind), Some(_)) = (message.nft_kind(), message.family()) else { return false };
        let Some(name) = attr::find_str(message.body(), table::NAME) else { return false };
        match self {
            Self::Nftables => name == TABLE,
            Self::Iptables => {
                TableName::from_keyword(name).is_some()
                    && (of_whole_table(kind) || names_ours(message) || goes_first(kind, message))
            }
        }
    }
}

fn of_whole_table(kind: u16) -> bool {
    matches!(kind, msg::NEWTABLE | msg::DELTABLE)
}

/// Chains of ours, rules in them and rules that lead to them have the name of one in the message, which is quicker found than
/// understood. Others may have it in a comment, which does no harm.
fn names_ours(message: &Message<'_>) -> bool {
    message.body().windows(PREFIX.len()).any(|bytes| bytes == PREFIX.as_bytes())
}

/// Whether a rule of a built-in chain may be in front of ours: the kernel repeats the flag of those that were added at the
/// end.
fn goes_first(kind: u16, message: &Message<'_>) -> bool {
    let chain = attr::find_str(message.body(), rule::CHAIN);
    kind == msg::NEWRULE
        && message.flags & nlm::F_APPEND == 0
        && Hook::ALL.into_iter().any(|hook| chain == Some(built_in(hook)))
}
