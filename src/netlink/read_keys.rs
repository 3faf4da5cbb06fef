//! Reading sets that count by their keys, for the reason that [`read_slots`](super::read_slots) gives, and their counts.
//!
//! Their keys follow from the sets and maps that were read before: each frontend, and in the layout `maps` each frontend with each
//! of its backends. A dump does where the kernel says that there are others.

use std::io;

use nix::libc;
use svcnat_rules::installed::InstalledTable;
use svcnat_rules::layout::set;
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{ElementData, Elements, TABLE, Value};

use super::constants::{NFTA_LIST_ELEM, data, elem, msg, nlm};
use super::element::{Names, elements, read_elements};
use super::error::{Error, explain};
use super::label::Object;
use super::message::{self, Message, Messages, Reply, family_number, nft_type};
use super::socket::Transport;
use super::{Netlink, attr};

/// How many elements one request asks for. Each comes in a datagram of its own, which takes up to a kilobyte of the receive
/// buffer.
pub(super) const AT_ONCE: usize = 256;

/// The keys that a set should have which counts, as the other sets of the table tell; `None` for another set.
pub(super) fn keys_of(name: &Name, table: &InstalledTable) -> Option<Vec<Value>> {
    let elements = |set: &str| table.sets.get(set).into_iter().flat_map(|set| &set.elements);
    let frontends = |set: &str| elements(set).map(|(key, _)| key.clone()).collect();
    let pairs = |maps: [&str; 2]| {
        let slots = maps.into_iter().flat_map(elements);
        let mut pairs: Vec<Value> = slots
            .filter_map(|(key, element)| {
                let (frontend, _slot) = key.as_bytes().split_last_chunk::<4>()?;
                let ElementData::Value(backend) = &element.data else { return None };
                Some(Value::from_bytes(&[frontend, backend.as_bytes()].concat()))
            })
            .collect();
        // A backend of this node may be in both maps.
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    };
    Some(match name.as_str() {
        set::FRONTEND_CONNECTIONS => frontends(set::FRONTENDS),
        set::NODE_PORT_FRONTEND_CONNECTIONS => frontends(set::NODE_PORT_FRONTENDS),
        set::BACKEND_CONNECTIONS => pairs([set::BACKENDS, set::LOCAL_BACKENDS]),
        set::NODE_PORT_BACKEND_CONNECTIONS => pairs([set::NODE_PORT_BACKENDS, set::NODE_PORT_LOCAL_BACKENDS]),
        _ => return None,
    })
}

/// How the answer to one request ended.
pub(super) enum End {
    /// All keys were there.
    Complete,
    /// So many were; the one behind them is not.
    Missing(usize),
    /// The kernel could not say.
    Lost,
}

impl<T: Transport> Netlink<T> {
    /// Reads the elements of a set that counts; `None` where one of these keys is not there, or the kernel could not say.
    pub(super) fn read_keys(
        &mut self,
        family: Family,
        set: &Name,
        keys: &[Value],
    ) -> Result<Option<Elements>, Error> {
        let mut found = Vec::with_capacity(keys.len());
        let mut names = Names::default();
        for some in keys.chunks(AT_ONCE) {
            let mut foreign = false;
            let end = self.elements_at(family, set, some, |message| {
                for element in read_elements(message, &mut names, true) {
                    match element {
                        Some(element) => found.push(element),
                        None => foreign = true,
                    }
                }
            })?;
            if foreign || !matches!(end, End::Complete) {
                return Ok(None);
            }
        }
        let elements: Elements = found.into_iter().collect();
        Ok((elements.len() == keys.len()).then_some(elements))
    }

    /// Hands each message with elements of a set that have one of these keys to `each`, in their order.
    ///
    /// # Errors
    ///
    /// Those of the kernel, other than that there is no such element.
    pub(super) fn elements_at(
        &mut self,
        family: Family,
        set: &Name,
        keys: &[Value],
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<End, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut request = Vec::new();
        let (kind, number) = (nft_type(msg::GETSETELEM), family_number(family));
        message::put(&mut request, kind, nlm::F_ACK, sequence, number, 0, |out| {
            attr::put_str(out, elem::LIST_TABLE, TABLE);
            attr::put_str(out, elem::LIST_SET, set);
            attr::nest(out, elem::LIST_ELEMENTS, |out| keys.iter().for_each(|key| put_key(out, key)));
        });
        self.transport.reserve(request.len())?;
        self.transport.send(&request).map_err(|source| Error::Io { action: "send to the kernel", source })?;
        let mut found = 0;
        loop {
            let len = match self.transport.receive(&mut self.buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if matches!(error.raw_os_error(), Some(libc::ENOBUFS | libc::EAGAIN)) => {
                    return Ok(End::Lost);
                }
                Err(source) => return Err(Error::Io { action: "read the kernel's answer", source }),
            };
            for message in Messages(self.buffer.get(..len).unwrap_or_default()) {
                if message.sequence != sequence {
                    continue;
                }
                if message.kind != nlm::ERROR {
                    found += elements(&message).count();
                    each(&message);
                    continue;
                }
                let Some(reply) = Reply::read(&message) else { return Ok(End::Lost) };
                return match reply.errno {
                    0 => Ok(End::Complete),
                    libc::ENOENT => Ok(End::Missing(found)),
                    _ => Err(explain(Object::Transaction, reply)),
                };
            }
        }
    }
}

fn put_key(out: &mut Vec<u8>, key: &Value) {
    attr::nest(out, NFTA_LIST_ELEM, |out| {
        attr::nest(out, elem::KEY, |out| attr::put(out, data::VALUE, key.as_bytes()));
    });
}
