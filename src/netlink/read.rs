//! Requests and dumps: the kernel's state of our tables at one generation.

use std::collections::{HashMap, HashSet};
use std::io;

use nix::libc;
use svcnat_rules::installed::{Installed, InstalledChain, InstalledSet, InstalledTable, Owner};
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{DataType, Element, Elements, Expr, SetData, TABLE, Value};

use super::constants::{NFTA_GEN_ID, elem, msg, nlm, rule as rule_number, set as set_number, table};
use super::element::{Names, read_elements};
use super::error::{Error, explain};
use super::label::Object;
use super::message::{self, Message, Messages, Reply, family_number, nft_type};
use super::socket::Transport;
use super::{Netlink, attr, decode, read_keys, read_slots};

/// How often a dump that others' changes made worthless is repeated.
const ATTEMPTS: u32 = 10;

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Everything asked for was received.
    Complete,
    /// The ruleset changed meanwhile, so what was received is not of one moment.
    Changed,
    /// What was asked for is not there.
    Missing,
}

/// A state that changed while it was read.
struct Changed;

impl<T: Transport> Netlink<T> {
    /// Reads our tables. Only they are asked for where the kernel can be asked so; chains of other tables are passed
    /// over.
    ///
    /// # Errors
    ///
    /// [`Error::Privilege`], [`Error::NoNfTables`]; [`Error::Unstable`] where the ruleset changed all the time.
    pub fn read(&mut self) -> Result<Installed, Error> {
        for _ in 0..ATTEMPTS {
            let generation = self.generation()?;
            let mut installed = Installed { generation, ..Installed::default() };
            let mut changed = false;
            for family in Family::ALL {
                match self.read_table(family)? {
                    Ok(Some(table)) => drop(installed.tables.insert(family, table)),
                    Ok(None) => {}
                    Err(Changed) => changed = true,
                }
            }
            if !changed && self.generation()? == generation {
                return Ok(installed);
            }
        }
        Err(Error::Unstable { attempts: ATTEMPTS })
    }

    /// The generation of the kernel's ruleset, which any change of any table moves on.
    ///
    /// # Errors
    ///
    /// [`Error::Privilege`], [`Error::NoNfTables`].
    pub fn generation(&mut self) -> Result<u32, Error> {
        let mut generation = None;
        self.request(
            msg::GETGEN,
            0,
            None,
            |_| {},
            |message| {
                generation = attr::find_u32(message.body(), NFTA_GEN_ID);
            },
        )?;
        generation.ok_or_else(no_answer)
    }

    fn read_table(&mut self, family: Family) -> Result<Result<Option<InstalledTable>, Changed>, Error> {
        let name = |out: &mut Vec<u8>| attr::put_str(out, table::NAME, TABLE);
        let mut installed = InstalledTable::default();
        let flags = |message: &Message<'_>| attr::find_u32(message.body(), table::FLAGS).unwrap_or(0);
        match self.request(msg::GETTABLE, 0, Some(family), name, |message| {
            installed.unfit = flags(message) & table::DORMANT != 0;
            installed.owner = owner(flags(message), message);
        })? {
            Answer::Missing => return Ok(Ok(None)),
            Answer::Changed => return Ok(Err(Changed)),
            Answer::Complete => {}
        }
        let consistent = self.read_chains(family, &mut installed)? == Answer::Complete
            && self.read_rules(family, &mut installed)? == Answer::Complete
            && self.read_sets(family, &mut installed)? == Answer::Complete;
        disown_rules(&mut installed);
        Ok(if consistent { Ok(Some(installed)) } else { Err(Changed) })
    }

    fn read_chains(&mut self, family: Family, installed: &mut InstalledTable) -> Result<Answer, Error> {
        self.request(
            msg::GETCHAIN,
            nlm::F_DUMP,
            Some(family),
            |_| {},
            |message| {
                if let Some((name, hook)) = decode::chain(message.body()) {
                    installed.chains.insert(name, InstalledChain { hook, rules: Vec::new() });
                }
            },
        )
    }

    fn read_rules(&mut self, family: Family, installed: &mut InstalledTable) -> Result<Answer, Error> {
        let table = |out: &mut Vec<u8>| attr::put_str(out, rule_number::TABLE, TABLE);
        self.request(msg::GETRULE, nlm::F_DUMP, Some(family), table, |message| {
            // Rules of chains that belong to rules go with those.
            if let Some((chain, rule)) = decode::rule(message)
                && let Some(chain) = installed.chains.get_mut(&chain)
            {
                chain.rules.push(rule);
            }
        })
    }

    fn read_sets(&mut self, family: Family, installed: &mut InstalledTable) -> Result<Answer, Error> {
        let table = |out: &mut Vec<u8>| attr::put_str(out, set_number::TABLE, TABLE);
        let mut counts = HashMap::new();
        let answer = self.request(msg::GETSET, nlm::F_DUMP, Some(family), table, |message| {
            if let Some((name, definition)) = decode::set(message.body()) {
                let count = attr::find_u32(message.body(), set_number::COUNT);
                counts.extend(count.and_then(|count| Some((name.clone(), usize::try_from(count).ok()?))));
                installed.sets.insert(name, InstalledSet { definition, elements: Elements::new() });
            }
        })?;
        if answer != Answer::Complete {
            return Ok(answer);
        }
        // The elements of a dynamic set are the packet path's.
        let is_ours =
            |set: &InstalledSet| set.definition.as_ref().is_some_and(|definition| !definition.dynamic);
        let ours = installed.sets.iter().filter(|(_, set)| is_ours(set));
        // The keys of maps of slots follow from others', and those of sets that count from both.
        let mut names: Vec<(bool, bool, Name)> =
            ours.map(|(name, set)| (counts_packets(set), prefix(set).is_some(), name.clone())).collect();
        names.sort_unstable();
        for (_, _, name) in &names {
            let large = counts.get(name).filter(|count| **count >= read_slots::WORTHWHILE);
            let answer = match large {
                Some(&count) => self.read_large_set(family, name, count, installed)?,
                None => self.read_elements(family, name, installed)?,
            };
            if answer != Answer::Complete {
                return Ok(answer);
            }
        }
        Ok(Answer::Complete)
    }

    /// Reads a set with so many elements, by their keys where these can be told.
    fn read_large_set(
        &mut self,
        family: Family,
        name: &Name,
        count: usize,
        installed: &mut InstalledTable,
    ) -> Result<Answer, Error> {
        if let Some(keys) = read_keys::keys_of(name, installed).filter(|keys| keys.len() == count)
            && let Some(elements) = self.read_keys(family, name, &keys)?
        {
            if let Some(set) = installed.sets.get_mut(name) {
                set.elements = elements;
            }
            return Ok(Answer::Complete);
        }
        if let Some(prefix) = installed.sets.get(name).and_then(prefix) {
            let others = installed.sets.values().filter(|other| is_map_of(other, prefix));
            let prefixes = others.flat_map(|other| other.elements.keys());
            if let Some(elements) = self.read_slots(family, name, count, prefixes)? {
                if let Some(set) = installed.sets.get_mut(name) {
                    set.elements = elements;
                }
                return Ok(Answer::Complete);
            }
        }
        self.read_elements(family, name, installed)
    }

    fn read_elements(
        &mut self,
        family: Family,
        name: &Name,
        installed: &mut InstalledTable,
    ) -> Result<Answer, Error> {
        let Some(set) = installed.sets.get_mut(name) else { return Ok(Answer::Complete) };
        let counted = counts_packets(set);
        for _ in 0..ATTEMPTS {
            let mut found = Vec::new();
            let mut foreign = false;
            let answer = self.dump_elements(family, name, counted, |element| match element {
                Some(element) => found.push(element),
                None => foreign = true,
            })?;
            if foreign {
                // An element that cannot be named cannot be deleted by itself, but the set can be replaced.
                set.definition = None;
                return Ok(answer);
            }
            let count = found.len();
            let elements: Elements = found.into_iter().collect();
            // A hash table that is growing, as it does for a while after a large load, moves elements past the
            // place where the dump has paused. As many then come twice as do not come at all, and neither the
            // generation nor NLM_F_DUMP_INTR tells.
            if answer != Answer::Complete || elements.len() == count {
                set.elements = elements;
                return Ok(answer);
            }
        }
        Ok(Answer::Changed)
    }

    fn dump_elements(
        &mut self,
        family: Family,
        set: &Name,
        counted: bool,
        mut each: impl FnMut(Option<(Value, Element)>),
    ) -> Result<Answer, Error> {
        let of_set = |out: &mut Vec<u8>| {
            attr::put_str(out, elem::LIST_TABLE, TABLE);
            attr::put_str(out, elem::LIST_SET, set);
        };
        let mut names = Names::default();
        self.request(msg::GETSETELEM, nlm::F_DUMP, Some(family), of_set, |message| {
            read_elements(message, &mut names, counted).for_each(&mut each);
        })
    }

    /// Sends a request and hands each message of the answer to `each`.
    pub(super) fn request(
        &mut self,
        kind: u16,
        flags: u16,
        family: Option<Family>,
        content: impl FnOnce(&mut Vec<u8>),
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<Answer, Error> {
        self.sequence = self.sequence.wrapping_add(1);
        let sequence = self.sequence;
        let mut request = Vec::new();
        let number = family.map_or(0, family_number);
        message::put(&mut request, nft_type(kind), flags, sequence, number, 0, content);
        self.transport.send(&request).map_err(|source| Error::Io { action: "send to the kernel", source })?;
        let mut answer = Answer::Complete;
        loop {
            let len = match self.transport.receive(&mut self.buffer) {
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Something of the answer was lost; what is left of it must be taken all the same.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    answer = Answer::Changed;
                    continue;
                }
                Err(source) => return Err(Error::Io { action: "read the kernel's answer", source }),
            };
            for message in Messages(self.buffer.get(..len).unwrap_or_default()) {
                if message.sequence != sequence {
                    continue;
                }
                if message.flags & nlm::F_DUMP_INTR != 0 {
                    answer = Answer::Changed;
                }
                if message.kind < nlm::MIN_TYPE {
                    return end(&message, kind, answer);
                }
                each(&message);
                if flags & nlm::F_DUMP != nlm::F_DUMP {
                    return Ok(answer);
                }
            }
        }
    }
}

/// The fields of the keys of a map of slots, without the slot.
fn prefix(set: &InstalledSet) -> Option<&[DataType]> {
    match set.definition.as_ref()?.key.split_last()? {
        (DataType::Slot, prefix) => Some(prefix),
        _ => None,
    }
}

/// Whether its elements count.
fn counts_packets(set: &InstalledSet) -> bool {
    set.definition.as_ref().is_some_and(|definition| definition.counter)
}

/// Whether this is a verdict map with these keys: the frontends, each of which is led to the chain that picks its slot.
fn is_map_of(set: &InstalledSet, key: &[DataType]) -> bool {
    set.definition
        .as_ref()
        .is_some_and(|definition| definition.key == key && definition.data == SetData::Verdict)
}

/// When its owner ends, a table loses the flag `owner` and keeps `persist` (`nft_rcv_nl_event`).
fn owner(flags: u32, message: &Message<'_>) -> Owner {
    match attr::find_u32(message.body(), table::OWNER) {
        Some(socket) if flags & table::FLAG_OWNER != 0 => Owner::Socket(socket),
        _ if flags & table::FLAG_PERSIST != 0 => Owner::Left,
        _ => Owner::Nobody,
    }
}

/// Takes the content from rules that refer to sets or chains of their own, which are not listed and go with them.
fn disown_rules(table: &mut InstalledTable) {
    let InstalledTable { sets, chains, .. } = table;
    let names: HashSet<Name> = chains.keys().cloned().collect();
    let listed = |expr: &Expr| match expr {
        Expr::Lookup { set, .. } | Expr::Update { set, .. } => sets.contains_key(set),
        Expr::Verdict(verdict) => verdict.chain().is_none_or(|chain| names.contains(chain)),
        _ => true,
    };
    for rule in chains.values_mut().flat_map(|chain| &mut chain.rules) {
        if !rule.rule.as_ref().is_some_and(|content| content.exprs.iter().all(listed)) {
            rule.rule = None;
        }
    }
}

/// What the message that ends an answer says.
fn end(message: &Message<'_>, kind: u16, answer: Answer) -> Result<Answer, Error> {
    let reply = Reply::read(message).ok_or_else(no_answer)?;
    match reply.errno {
        0 => Ok(answer),
        libc::EINTR | libc::EAGAIN => Ok(Answer::Changed),
        libc::ENOENT if kind == msg::GETTABLE => Ok(Answer::Missing),
        // The set or table of a dump went away since it was found.
        libc::ENOENT => Ok(Answer::Changed),
        // The first request of all: without nf_tables nobody listens.
        libc::EINVAL if kind == msg::GETGEN => Err(Error::NoNfTables),
        _ => Err(explain(Object::Transaction, reply)),
    }
}

fn no_answer() -> Error {
    Error::Io { action: "read the kernel's answer", source: io::ErrorKind::InvalidData.into() }
}
