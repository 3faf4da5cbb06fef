//! Tracked connections (ctnetlink): finding those that are stale and deleting them while the list is read.
//!
//! The kernel is asked for no more than may matter: one family, one protocol and, where untranslated flows do not matter,
//! those with `IPS_DST_NAT`. Kernels that cannot filter so (before Linux 5.8, and 5.15 for the status) give more, which
//! is passed over here. Zones and marks are no part of the question: other rules may put a Service's flows into any.
//!
//! A flow is deleted by its original tuple, its zone and its id, so a new flow that got the same tuple meanwhile stays.

#[allow(missing_docs, reason = "the kernel's names and numbers, explained by its headers")]
mod constants;
mod entry;
mod error;
mod request;
#[cfg(test)]
mod tests;

use std::io;

use nix::libc;
use svcnat_rules::flows::Flow;
use svcnat_rules::net::{Family, Protocol};

pub use error::Error;

use crate::netlink::constants::nlm;
use crate::netlink::message::{Message, Messages, Reply};
use crate::netlink::{self, Socket, Transport};
use entry::Entry;

/// Which flows are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// The family.
    pub family: Family,
    /// The protocol.
    pub protocol: Protocol,
    /// Whether only those matter whose destination was translated.
    pub translated: bool,
}

/// A connection to the kernel's connection tracking, for the network namespace of the thread that opened it.
pub struct Conntrack<T = Socket> {
    /// Where lists are read from.
    listing: T,
    /// Where deletions go meanwhile.
    deleting: T,
    /// Whether the kernel takes filters, as far as is known.
    filters: bool,
    sequence: u32,
    buffer: Vec<u8>,
}

/// The size of the receive buffer in bytes; the kernel fills at most 32 KiB of it at a time.
const BUFFER: usize = 1 << 16;

impl Conntrack {
    /// Connects to the kernel.
    ///
    /// # Errors
    ///
    /// [`Error::Missing`] where it has no netfilter netlink at all.
    pub fn open() -> Result<Self, Error> {
        Ok(Self::over(open()?, open()?))
    }
}

fn open() -> Result<Socket, Error> {
    Socket::open().map_err(|error| match error {
        netlink::Error::Io { action, source } => Error::Io { action, source },
        _ => Error::Missing,
    })
}

impl<T: Transport> Conntrack<T> {
    /// Connects to whatever is behind two transports, the first for lists and the second for deletions.
    #[must_use]
    pub fn over(listing: T, deleting: T) -> Self {
        Self { listing, deleting, filters: true, sequence: 0, buffer: vec![0; BUFFER] }
    }

    /// Deletes the flows of which `is_stale` holds, and says how many there were. Memory does not grow with their
    /// number.
    ///
    /// # Errors
    ///
    /// What the kernel refuses. Flows that were found before stay deleted.
    pub fn delete(&mut self, query: Query, mut is_stale: impl FnMut(&Flow) -> bool) -> Result<usize, Error> {
        let mut deleted = 0;
        if self.filters {
            match self.sweep(query, &mut is_stale, &mut deleted) {
                Err(Error::Missing | Error::Refused { errno: libc::EOPNOTSUPP, .. }) => self.filters = false,
                result => return result.map(|()| deleted),
            }
        }
        self.sweep(query, &mut is_stale, &mut deleted).map(|()| deleted)
    }

    fn sweep(
        &mut self,
        query: Query,
        is_stale: &mut impl FnMut(&Flow) -> bool,
        deleted: &mut usize,
    ) -> Result<(), Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut request = Vec::new();
        request::list(&mut request, sequence, query, self.filters);
        self.listing.send(&request).map_err(|source| Error::Io { action: "list tracked flows", source })?;
        loop {
            let Some(len) = receive(&mut self.listing, &mut self.buffer)? else {
                return Err(Error::Io {
                    action: "list tracked flows",
                    source: io::ErrorKind::UnexpectedEof.into(),
                });
            };
            let mut batch = Vec::new();
            let mut count = 0;
            let mut end = None;
            for message in Messages(self.buffer.get(..len).unwrap_or_default()) {
                if message.sequence != sequence {
                    continue;
                }
                if message.kind < nlm::MIN_TYPE {
                    end = Some(ending(&message));
                    break;
                }
                let entry = Entry::read(&message).filter(|entry| entry.answers(query));
                if let Some(entry) = entry.filter(|entry| is_stale(&entry.flow)) {
                    request::delete(&mut batch, sequence, &entry);
                    count += 1;
                }
            }
            // What is left of the buffer was read, so it may be used for replies.
            *deleted += self.send_deletions(&batch, count)?;
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// Sends deletions and says how many took place. Only failures are answered; that a flow ended by itself is none.
    fn send_deletions(&mut self, batch: &[u8], count: usize) -> Result<usize, Error> {
        if count == 0 {
            return Ok(0);
        }
        let failed = |source| Error::Io { action: "delete tracked flows", source };
        self.deleting.send(batch).map_err(failed)?;
        let mut gone = 0;
        let mut refused = None;
        while let Some(len) = receive(&mut self.deleting, &mut self.buffer)? {
            let messages = Messages(self.buffer.get(..len).unwrap_or_default());
            for reply in messages.filter(|message| message.kind == nlm::ERROR).filter_map(|m| Reply::read(&m))
            {
                match reply.errno {
                    0 => {}
                    libc::ENOENT => gone += 1,
                    _ => refused = Some(reply),
                }
            }
        }
        match refused {
            Some(reply) => Err(Error::deleting(reply)),
            None => Ok(count.saturating_sub(gone)),
        }
    }
}

/// Takes the next datagram; `None` where none is queued. The kernel fills the queue before it returns to us.
fn receive(transport: &mut impl Transport, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
    loop {
        match transport.receive(buffer) {
            Ok(len) => return Ok(Some(len)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Something was lost: a part of the list, which is looked at again after the next change, or replies to
            // deletions, which only count.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Err(source) => return Err(Error::Io { action: "read the kernel's answer", source }),
        }
    }
}

/// What the message that ends a list says.
fn ending(message: &Message<'_>) -> Result<(), Error> {
    match Reply::read(message) {
        Some(reply) if reply.errno == 0 => Ok(()),
        Some(reply) => Err(Error::listing(reply)),
        None => Err(Error::Io { action: "list tracked flows", source: io::ErrorKind::InvalidData.into() }),
    }
}
