//! A batch: the messages of one transaction in one buffer, between the kernel's BEGIN and END.
//!
//! `nftnl::Batch` is not used because it splits into pages that would be sent one by one, and the kernel takes a
//! batch only from one piece; nor has it a place for the generation.

#![allow(unsafe_code, reason = "nftnl writes messages through a raw pointer")]

use nftnl::{MsgType, NlMsg};
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::DataType;

use super::constants::{BATCH_BEGIN, BATCH_END, NFNL_BATCH_GENID, SUBSYSTEM, nlm};
use super::error::EncodeError;
use super::label::Object;
use super::message::{self, Message, family_number, nft_type};
use super::{Options, attr, label};

/// Bytes that the messages of a changed backend fit into.
const ONE_CHANGE: usize = 512;

/// A transaction as the kernel takes it.
///
/// It can be kept and sent again, to several kernels too; nothing in it belongs to a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    bytes: Vec<u8>,
    /// Where each message begins; its index is its sequence number. BEGIN is the first, END the last but in a
    /// rehearsal.
    starts: Vec<usize>,
    /// The key's fields of the set whose elements the messages from that sequence number on hold, for errors.
    keys: Vec<(usize, Vec<DataType>)>,
    acknowledged: bool,
    /// Whether there is no END.
    open: bool,
}

impl Batch {
    /// The bytes to send.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many messages there are, those around the batch not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(if self.open { 1 } else { 2 })
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sequence number of the END message, if the kernel was asked to acknowledge it.
    pub(super) fn acknowledged(&self) -> Option<u32> {
        let last = self.starts.len().checked_sub(1)?;
        if self.acknowledged { u32::try_from(last).ok() } else { None }
    }

    /// Whether a message of the batch has that sequence number.
    pub(super) fn has(&self, sequence: u32) -> bool {
        usize::try_from(sequence).is_ok_and(|index| index < self.starts.len())
    }

    /// What a message of the batch is about. `offset` is that of the attribute at fault in it.
    #[must_use]
    pub fn describe(&self, sequence: u32, offset: Option<u32>) -> Object {
        let Ok(index) = usize::try_from(sequence) else { return Object::Transaction };
        let message =
            self.starts.get(index).and_then(|start| self.bytes.get(*start..)).and_then(Message::first);
        let key = self.keys.iter().rev().find(|(first, _)| *first <= index).map(|(_, key)| key.as_slice());
        message
            .map_or(Object::Transaction, |message| label::describe(&message, offset, key.unwrap_or_default()))
    }
}

/// A place in a batch in the making, between two messages.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    bytes: usize,
    messages: usize,
}

impl Mark {
    /// Whether nothing but BEGIN is before it.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.messages <= 1
    }
}

/// A batch in the making.
pub struct Builder {
    batch: Batch,
    /// Where nftnl writes a message before it is copied; as large as the largest one. A batch of elements alone, as nearly
    /// every change is, does without.
    scratch: Vec<u32>,
}

impl Builder {
    /// A batch that has begun.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let batch = Batch {
            bytes: Vec::with_capacity(ONE_CHANGE),
            starts: Vec::new(),
            keys: Vec::new(),
            acknowledged: options.acknowledge && !options.rehearse,
            open: options.rehearse,
        };
        let mut builder = Self { batch, scratch: Vec::new() };
        let sequence = builder.next();
        message::put(&mut builder.batch.bytes, BATCH_BEGIN, 0, sequence, 0, SUBSYSTEM, |out| {
            if let Some(generation) = options.generation {
                attr::put_u32(out, NFNL_BATCH_GENID, generation);
            }
        });
        builder
    }

    /// The place behind the last message.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark { bytes: self.batch.bytes.len(), messages: self.batch.starts.len() }
    }

    /// Takes back all messages behind a place.
    pub fn undo(&mut self, mark: Mark) {
        self.batch.bytes.truncate(mark.bytes);
        self.batch.starts.truncate(mark.messages);
        self.batch.keys.retain(|(first, _)| *first < mark.messages);
    }

    /// How many bytes the batch would have if it ended here: END has headers only.
    #[must_use]
    pub fn finished_len(&self) -> usize {
        self.batch.bytes.len() + message::BODY
    }

    /// Takes note that a message begins here, and gives its sequence number.
    fn next(&mut self) -> u32 {
        let sequence = u32::try_from(self.batch.starts.len()).unwrap_or(u32::MAX);
        self.batch.starts.push(self.batch.bytes.len());
        sequence
    }

    /// Appends a message of libnftnl's.
    pub fn add(&mut self, message: &impl NlMsg, operation: MsgType) {
        let sequence = self.next();
        if self.scratch.is_empty() {
            self.scratch = vec![0; usize::try_from(nftnl::nft_nlmsg_maxsize()).unwrap_or(0).div_ceil(4)];
        }
        // SAFETY: the buffer is as large as `nft_nlmsg_maxsize` says, and aligned for a message header.
        unsafe { message.write(self.scratch.as_mut_ptr().cast(), sequence, operation) };
        // A message begins with its length in bytes.
        let len = self.scratch.first().copied().unwrap_or(0);
        let words = usize::try_from(len).unwrap_or(0).div_ceil(4);
        for word in self.scratch.iter().take(words) {
            self.batch.bytes.extend_from_slice(&word.to_ne_bytes());
        }
    }

    /// Appends a message of elements of a set with this key, whose attributes `content` appends.
    ///
    /// # Errors
    ///
    /// Those of `content`.
    pub fn put_elements(
        &mut self,
        kind: u16,
        flags: u16,
        family: Family,
        key: &[DataType],
        content: impl FnOnce(&mut Vec<u8>) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        let index = self.batch.starts.len();
        if self.batch.keys.last().is_none_or(|(_, last)| last != key) {
            self.batch.keys.push((index, key.to_vec()));
        }
        let sequence = self.next();
        let mut result = Ok(());
        let family = family_number(family);
        message::put(&mut self.batch.bytes, nft_type(kind), flags, sequence, family, 0, |out| {
            result = content(out);
        });
        result
    }

    /// Ends the batch.
    #[must_use]
    pub fn finish(mut self) -> Batch {
        if self.batch.open {
            return self.batch;
        }
        let flags = if self.batch.acknowledged { nlm::F_ACK } else { 0 };
        let sequence = self.next();
        message::put(&mut self.batch.bytes, BATCH_END, flags, sequence, 0, SUBSYSTEM, |_| {});
        self.batch
    }
}
