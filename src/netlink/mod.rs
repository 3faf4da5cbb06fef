//! The netlink back end: transactions into the kernel, the kernel's state back out.
//!
//! [`encode()`] makes a [`Batch`] of a transaction, [`Netlink::apply`] sends it in one piece, so that the kernel takes
//! all of it or nothing, and explains a refusal; [`Netlink::read`] reads our tables into the same types that the
//! compiler makes. What is encoded, applied and read is the identity for everything that the compiler can produce,
//! and lists (`nft list table`) as what nft makes of the script for the same ruleset.
//!
//! Tables, chains, sets and rules are written by libnftnl, and it takes the rules' expressions apart; elements, of
//! which there may be a million, and the few attributes of chains and sets are read and written by `attr`, in safe
//! code. All unsafe code is in `handle` and `expression` (libnftnl's objects), `batch` (one call),
//! `socket` (two) and `table_sizes` (one), which asks ip_tables rather than netlink.
//!
//! A socket belongs to the network namespace that its thread was in when it was opened, and to that thread.

pub(crate) mod attr;
mod batch;
mod commit;
#[allow(missing_docs, reason = "the kernel's names and numbers, explained by its headers")]
pub(crate) mod constants;
mod counts;
mod decode;
mod dynamic;
mod element;
mod encode;
mod error;
mod expr;
mod expression;
mod handle;
mod kube_proxy;
mod label;
pub(crate) mod message;
mod monitor;
mod owning;
mod read;
mod read_keys;
mod read_slots;
mod release;
mod socket;
mod table_sizes;
mod tables;
mod userdata;

use std::io;

use nix::libc;

pub use batch::Batch;
pub(crate) use commit::warn_of_parts;
pub use commit::{Commit, CommitError, batches, batches_within};
pub use counts::Count;
pub use encode::{Options, encode};
pub use error::{EncodeError, Error};
pub use kube_proxy::KUBE_PROXY_TABLE;
pub use label::{Object, Suspect};
pub use monitor::{Heard, Listen, Monitor};
pub use release::kernel_release;
pub use socket::{Socket, Transport};
pub use table_sizes::TableSizes;

use error::explain;
use message::{Messages, Reply};

/// A connection to the kernel's nf_tables.
pub struct Netlink<T = Socket> {
    transport: T,
    /// Of the latest request. Batches count their messages from zero; requests begin far from there.
    sequence: u32,
    buffer: Vec<u8>,
}

/// The sequence number before that of the first request.
const FIRST_REQUEST: u32 = 1 << 31;

/// The size of the receive buffer in bytes. The kernel makes its datagrams no larger than half of it.
const BUFFER: usize = 1 << 16;

impl Netlink {
    /// Connects to the kernel, to the network namespace of the calling thread.
    ///
    /// # Errors
    ///
    /// [`Error::NoNfTables`] where there is none.
    pub fn open() -> Result<Self, Error> {
        Socket::open().map(Self::over)
    }
}

impl<T: Transport> Netlink<T> {
    /// Connects to whatever is behind a transport.
    #[must_use]
    pub fn over(transport: T) -> Self {
        Self { transport, sequence: FIRST_REQUEST, buffer: vec![0; BUFFER] }
    }

    /// Sends a batch. When it returns without an error, all of it is in force.
    ///
    /// # Errors
    ///
    /// The first refusal, with the object that was refused; nothing is in force then. [`Error::TooLarge`] before
    /// anything is sent. [`Error::Unknown`] where the outcome must be read back.
    pub fn apply(&mut self, batch: &Batch) -> Result<(), Error> {
        if batch.is_empty() {
            return Ok(());
        }
        let bytes = batch.as_bytes();
        self.transport.reserve(bytes.len())?;
        self.transport.send(bytes).map_err(|source| match source.raw_os_error() {
            Some(libc::EMSGSIZE) => Error::TooLarge { needed: bytes.len(), available: 0 },
            _ => Error::Io { action: "send the transaction to the kernel", source },
        })?;
        let replies = self.replies(batch)?;
        match replies.refusal {
            Some((sequence, reply)) => Err(explain(batch.describe(sequence, reply.offset), reply)),
            None if replies.lost || (batch.acknowledged().is_some() && !replies.acknowledged) => {
                Err(Error::Unknown)
            }
            None => Ok(()),
        }
    }

    /// Takes all replies to a batch. They are queued when `send` returns.
    fn replies(&mut self, batch: &Batch) -> Result<Replies, Error> {
        let mut replies = Replies::default();
        loop {
            let len = match self.transport.receive(&mut self.buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(replies),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // More replies than the buffer holds; those that are there tell enough if one is a refusal.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    replies.lost = true;
                    continue;
                }
                Err(source) => return Err(Error::Io { action: "read the kernel's answer", source }),
            };
            for message in Messages(self.buffer.get(..len).unwrap_or_default()) {
                // What is left of an earlier, broken off answer is not about this batch.
                if message.kind != constants::nlm::ERROR || !batch.has(message.sequence) {
                    continue;
                }
                match Reply::read(&message) {
                    Some(reply) if reply.errno == 0 => {
                        replies.acknowledged |= batch.acknowledged() == Some(message.sequence);
                    }
                    Some(reply) if replies.refusal.is_none() => {
                        replies.refusal = Some((message.sequence, reply));
                    }
                    _ => {}
                }
            }
        }
    }
}

/// What the kernel said to a batch.
#[derive(Default)]
struct Replies {
    refusal: Option<(u32, Reply)>,
    acknowledged: bool,
    lost: bool,
}
