//! Reading large maps of slots by their keys.
//!
//! A dump of a hash table walks from its beginning again for each datagram of 32 KiB (`nft_rhash_walk` skips what it has
//! told), so its time grows with the square of the set. To ask for an element by its key costs the same in a set of any
//! size. The keys of a map whose keys end in a slot need not be known: they are those of the table's other maps, the
//! frontends, with the slots 0, 1, 2 and so on behind, up to the first that is not there. How many elements the kernel says that
//! the set has (`NFTA_SET_COUNT`, which Linux 6.18 says) tells whether these were all; where they were not, the set is dumped.

use std::collections::VecDeque;
use std::io;
use std::panic::resume_unwind;
use std::thread;

use nix::libc;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{Element, Elements, TABLE, Value};

use super::constants::{NFTA_LIST_ELEM, data, elem, msg, nlm};
use super::element::{Names, read_elements};
use super::error::Error;
use super::message::{self, Messages, Reply, family_number, nft_type};
use super::socket::Transport;
use super::{Netlink, attr};

/// Below this a dump is as quick.
pub(super) const WORTHWHILE: usize = 4096;

/// How many slots of a key are asked for at first: most Services have fewer endpoints.
const FIRST: u32 = 16;

/// The most slots that one request asks for; with keys of 40 bytes it stays within the 64 KiB of an attribute.
const MOST: u32 = 512;

/// How many elements are asked for in one piece. Each comes in a datagram of its own, which takes up to a kilobyte of the
/// receive buffer.
const AT_ONCE: u32 = 2048;

/// The slots of a key that are asked for next.
#[derive(Debug, Clone, Copy)]
struct Question<'a> {
    prefix: &'a Value,
    from: u32,
    count: u32,
}

impl<T: Transport> Netlink<T> {
    /// Reads the elements whose keys are these with slots behind; `None` where they are not `count`, or the kernel could not
    /// say. Two threads share the work, most of which is the kernel's.
    pub(super) fn read_slots<'a>(
        &mut self,
        family: Family,
        set: &Name,
        count: usize,
        prefixes: impl Iterator<Item = &'a Value>,
    ) -> Result<Option<Elements>, Error> {
        let prefixes: Vec<_> = prefixes.collect();
        let (first, second) = prefixes.split_at(prefixes.len() / 2);
        let (first, second) = thread::scope(|scope| {
            let beside = scope.spawn(move || {
                T::another().map(|transport| Netlink::over(transport).find_slots(family, set, second))
            });
            let first = self.find_slots(family, set, first);
            let beside = beside.join().unwrap_or_else(|panic| resume_unwind(panic));
            (first, beside.unwrap_or_else(|| self.find_slots(family, set, second)))
        });
        let (Some(mut found), Some(second)) = (first?, second?) else { return Ok(None) };
        found.extend(second);
        let elements: Elements = found.into_iter().collect();
        Ok((elements.len() == count).then_some(elements))
    }

    /// All elements whose keys are these with slots behind; `None` where the kernel could not say.
    fn find_slots(
        &mut self,
        family: Family,
        set: &Name,
        prefixes: &[&Value],
    ) -> Result<Option<Vec<(Value, Element)>>, Error> {
        let mut found = Vec::new();
        let mut names = Names::default();
        let mut questions: VecDeque<_> =
            prefixes.iter().map(|prefix| Question { prefix, from: 0, count: FIRST }).collect();
        while !questions.is_empty() {
            let asked = some_of(&mut questions);
            let first = self.ask(family, set, &asked)?;
            let mut ends = 0;
            while ends < asked.len() {
                let Some(len) = self.next_datagram()? else { return Ok(None) };
                for message in Messages(self.buffer.get(..len).unwrap_or_default()) {
                    let question = usize::try_from(message.sequence.wrapping_sub(first));
                    let Some(&question) = question.ok().and_then(|place| asked.get(place)) else { continue };
                    if message.kind == nlm::ERROR {
                        ends += 1;
                        match Reply::read(&message).map(|reply| reply.errno) {
                            Some(0) => questions.push_back(question.next()),
                            Some(libc::ENOENT) => {}
                            _ => return Ok(None),
                        }
                        continue;
                    }
                    for element in read_elements(&message, &mut names, false) {
                        let Some(element) = element else { return Ok(None) };
                        found.push(element);
                    }
                }
            }
        }
        Ok(Some(found))
    }

    /// Asks, one request for each question; the number of the first.
    fn ask(&mut self, family: Family, set: &Name, questions: &[Question<'_>]) -> Result<u32, Error> {
        let first = self.sequence.wrapping_add(1);
        let mut requests = Vec::new();
        for question in questions {
            self.sequence = self.sequence.wrapping_add(1);
            let (kind, number) = (nft_type(msg::GETSETELEM), family_number(family));
            message::put(&mut requests, kind, nlm::F_ACK, self.sequence, number, 0, |out| {
                attr::put_str(out, elem::LIST_TABLE, TABLE);
                attr::put_str(out, elem::LIST_SET, set);
                attr::nest(out, elem::LIST_ELEMENTS, |out| question.put_keys(out));
            });
        }
        self.transport.reserve(requests.len())?;
        self.transport
            .send(&requests)
            .map_err(|source| Error::Io { action: "send to the kernel", source })?;
        Ok(first)
    }

    /// The length of the next datagram in the buffer; `None` where answers were lost.
    fn next_datagram(&mut self) -> Result<Option<usize>, Error> {
        loop {
            match self.transport.receive(&mut self.buffer) {
                Ok(len) => return Ok(Some(len)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN)) => {
                    return Ok(None);
                }
                Err(source) => return Err(Error::Io { action: "read the kernel's answer", source }),
            }
        }
    }
}

impl Question<'_> {
    fn put_keys(&self, out: &mut Vec<u8>) {
        for slot in self.from..self.from.saturating_add(self.count) {
            attr::nest(out, NFTA_LIST_ELEM, |out| {
                attr::nest(out, elem::KEY, |out| {
                    attr::put(out, data::VALUE, self.prefix.clone().slot(slot).as_bytes());
                });
            });
        }
    }

    /// The slots behind these, twice as many.
    fn next(&self) -> Self {
        let from = self.from.saturating_add(self.count);
        Self { from, count: self.count.saturating_mul(2).min(MOST), ..*self }
    }
}

/// Takes as many questions as go in one piece.
fn some_of<'a>(questions: &mut VecDeque<Question<'a>>) -> Vec<Question<'a>> {
    let mut taken = Vec::new();
    let mut slots = 0;
    while slots < AT_ONCE
        && let Some(question) = questions.pop_front()
    {
        slots += question.count;
        taken.push(question);
    }
    taken
}
