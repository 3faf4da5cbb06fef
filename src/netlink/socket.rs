//! The netlink socket, and the trait behind which a test can put another kernel.

#![allow(unsafe_code, reason = "socket options that nix does not have, and the descriptor that mnl keeps")]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::socket::{MsgFlags, getsockopt, recv, setsockopt, sockopt};

use super::error::Error;

/// What carries messages to a kernel and back.
pub trait Transport {
    /// Makes room to send that many bytes in one piece.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] where they cannot be sent.
    fn reserve(&mut self, len: usize) -> Result<(), Error>;

    /// Sends messages in one piece. When it returns, the kernel has handled them and its replies are queued.
    ///
    /// # Errors
    ///
    /// Those of `sendmsg`.
    fn send(&mut self, messages: &[u8]) -> io::Result<()>;

    /// Receives the next datagram of replies; returns how much of the buffer it fills. Does not wait for one:
    /// `WouldBlock` where none is queued.
    ///
    /// # Errors
    ///
    /// Those of `recvmsg`.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Another one to the same kernel, for the calling thread; `None` where it cannot be had.
    #[must_use]
    fn another() -> Option<Self>
    where
        Self: Sized,
    {
        None
    }
}

/// How large the receive buffer is made. A batch with thousands of mistakes has as many replies; should they not
/// fit, the kernel says so and the first ones tell enough.
const RECEIVE_BUFFER: usize = 4 << 20;

/// What `netlink_sendmsg` wants free in the send buffer beside the message.
const OVERHEAD: usize = 32;

/// A socket to the nf_tables of the network namespace that the thread was in when it was opened.
///
/// `mnl::Socket` is not `Send`: the thread that opens it keeps it.
pub struct Socket {
    socket: mnl::Socket,
    /// How many bytes can certainly be sent in one piece.
    room: usize,
}

impl Socket {
    /// Opens a socket.
    ///
    /// # Errors
    ///
    /// [`Error::NoNfTables`] where the kernel has no netfilter netlink at all.
    pub fn open() -> Result<Self, Error> {
        let socket = mnl::Socket::new(mnl::Bus::Netfilter).map_err(open_error)?;
        let mut socket = Self { socket, room: 0 };
        // A program that is started would keep the tables owned for as long as it runs, whatever becomes of us.
        fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|errno| open_error(errno.into()))?;
        socket.room = socket.read_room();
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            socket.enable(option).map_err(open_error)?;
        }
        if setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).is_err() {
            setsockopt(&socket, sockopt::RcvBuf, &RECEIVE_BUFFER)
                .map_err(|errno| open_error(errno.into()))?;
        }
        Ok(socket)
    }

    fn enable(&self, option: libc::c_int) -> io::Result<()> {
        let on: libc::c_int = 1;
        let len = libc::socklen_t::try_from(size_of_val(&on)).map_err(io::Error::other)?;
        // SAFETY: the descriptor is open as long as the socket lives, and the value is a live `int`.
        let result = unsafe {
            libc::setsockopt(
                self.socket.as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                std::ptr::from_ref(&on).cast(),
                len,
            )
        };
        Errno::result(result).map(drop).map_err(io::Error::from)
    }

    /// The number by which the kernel knows the socket: as the owner of tables, as the sender of changes.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.socket.portid()
    }

    /// How many bytes can be sent in one piece.
    fn read_room(&self) -> usize {
        getsockopt(self, sockopt::SndBuf).unwrap_or(0).saturating_sub(OVERHEAD)
    }
}

fn open_error(source: io::Error) -> Error {
    match source.raw_os_error() {
        Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT) => Error::NoNfTables,
        _ => Error::Io { action: "open a netlink socket", source },
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor is open as long as the socket lives, which the result borrows.
        unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) }
    }
}

impl Transport for Socket {
    fn reserve(&mut self, len: usize) -> Result<(), Error> {
        if self.room >= len {
            return Ok(());
        }
        let wanted = len.saturating_add(OVERHEAD);
        // The kernel doubles what is asked for, so half would do; but only up to the limit, where the double counts.
        if setsockopt(&*self, sockopt::SndBufForce, &wanted).is_err() {
            // Beyond net.core.wmem_max this one is cut down and succeeds: reading back tells.
            let _ = setsockopt(&*self, sockopt::SndBuf, &wanted);
        }
        self.room = self.read_room();
        if self.room >= len { Ok(()) } else { Err(Error::TooLarge { needed: len, available: self.room }) }
    }

    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        match self.socket.send(messages)? {
            sent if sent == messages.len() => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
        let len = recv(self.socket.as_raw_fd(), buffer, flags)?;
        if len > buffer.len() { Err(Errno::ENOBUFS.into()) } else { Ok(len) }
    }

    fn another() -> Option<Self> {
        Self::open().ok()
    }
}
