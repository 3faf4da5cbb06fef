//! Transactions as batches.

use std::ffi::{CStr, CString};

use nftnl::MsgType;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{BaseHook, ChainType, Rule, SetData, SetDefinition, TABLE_COMMENT, concat_id};
use svcnat_rules::stages::ChainsGo;
use svcnat_rules::transaction::{Change, Operation, Place, Transaction};

use super::batch::{Batch, Builder, Mark};
use super::constants::{
    chain as chain_number, nlm, rule as rule_number, set as set_number, table as table_number,
};
use super::element::{self, check_comment, kernel_len};
use super::error::EncodeError;
use super::handle::{self, Request, SetNumber};
use super::release::is_since;
use super::{expr, userdata};

/// [`TABLE`](svcnat_rules::ruleset::TABLE) as libnftnl takes it.
const TABLE: &CStr = c"svcnat";
/// The name of the tables of a rehearsal, which never come to be.
const REHEARSAL: &CStr = c"svcnat-rehearsal";

/// How a transaction is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// The generation of the kernel's ruleset that the transaction was computed from
    /// ([`Installed::generation`](svcnat_rules::installed::Installed)). With it, the kernel refuses the batch if
    /// anything has changed since.
    pub generation: Option<u32>,
    /// Whether the kernel is asked to acknowledge the end of the batch, which it can from Linux 6.10 on.
    pub acknowledge: bool,
    /// Whether the kernel lets a chain go together with the elements that lead to it, which it does from Linux 6.2 on.
    pub chains_go: ChainsGo,
    /// Whether tables that are made, and tables that nobody owns, become the sending socket's own: nobody else can change
    /// or flush them as long as it is open, and they stay when it closes (table flags `owner` and `persist`). See
    /// [`Netlink::can_own`](super::Netlink::can_own).
    pub own: bool,
    /// Whether the kernel only says what it would refuse: a batch without END is checked and taken back, as for `nft
    /// --check`. It is about tables of another name, so that ours may be there and another process's.
    pub rehearse: bool,
}

impl Default for Options {
    /// No generation; the rest as the running kernel has it.
    fn default() -> Self {
        let chains_go = if is_since(6, 2) { ChainsGo::WithElements } else { ChainsGo::AfterElements };
        Self { generation: None, acknowledge: is_since(6, 10), chains_go, own: false, rehearse: false }
    }
}

impl Options {
    /// The options for the next batch, when one with these is in force: each commit makes one new generation, never 0.
    pub(super) fn after_commit(self) -> Self {
        let next = |generation: u32| generation.checked_add(1).unwrap_or(1);
        Self { generation: self.generation.map(next), ..self }
    }
}

/// Encodes a transaction. Both families go into one batch.
///
/// # Errors
///
/// Where the transaction says something that no kernel could take: a name that is too long, a value that is not what
/// its set holds. The compiler makes none of these.
pub fn encode(transaction: &Transaction<'_>, options: &Options) -> Result<Batch, EncodeError> {
    let mut encoder = Encoder::new(options);
    encoder.operations(transaction)?;
    Ok(encoder.finish())
}

/// A batch in the making.
pub(super) struct Encoder {
    batch: Builder,
    /// How many sets the batch has made: the kernel wants a number for each.
    sets: u32,
    /// Whether tables are made the socket's own.
    own: bool,
    table: &'static CStr,
}

impl Encoder {
    pub(super) fn new(options: &Options) -> Self {
        let table = if options.rehearse { REHEARSAL } else { TABLE };
        Self { batch: Builder::new(options), sets: 0, own: options.own, table }
    }

    pub(super) fn operations(&mut self, transaction: &Transaction<'_>) -> Result<(), EncodeError> {
        transaction.operations.iter().try_for_each(|operation| self.operation(operation))
    }

    /// The place to which [`undo`](Self::undo) leads back.
    pub(super) fn mark(&self) -> Mark {
        self.batch.mark()
    }

    pub(super) fn undo(&mut self, mark: Mark) {
        self.batch.undo(mark);
    }

    /// How many bytes the batch would have if it ended here.
    pub(super) fn finished_len(&self) -> usize {
        self.batch.finished_len()
    }

    pub(super) fn finish(self) -> Batch {
        self.batch.finish()
    }

    fn operation(&mut self, operation: &Operation<'_>) -> Result<(), EncodeError> {
        let (family, table) = (operation.family, self.table);
        match &operation.change {
            Change::AddTable => {
                let flags = if self.own { table_number::FLAG_OWNER | table_number::FLAG_PERSIST } else { 0 };
                let table = handle::Table::new(family, table).with(flags, &userdata::comment(TABLE_COMMENT));
                self.add(&table, nlm::F_CREATE);
            }
            Change::DeleteTable => self.delete(&handle::Table::new(family, table)),
            Change::AddChain { name, hook } => {
                let chain = handle::Chain::new(family, table, &EncodeError::check_name(name)?);
                self.add(&with_hook(chain, *hook), nlm::F_CREATE | nlm::F_EXCL);
            }
            Change::DeleteChain { name } => {
                self.delete(&handle::Chain::new(family, table, &EncodeError::check_name(name)?));
            }
            Change::FlushChain { name } => {
                // A rule without a handle means all of the chain.
                self.delete(&handle::Rule::new(family, table, &EncodeError::check_name(name)?));
            }
            Change::AddRule { chain, rule, place } => {
                let encoded = encode_rule(family, table, &EncodeError::check_name(chain)?, rule)?;
                match place {
                    Place::End => self.add(&encoded, nlm::F_CREATE | nlm::F_APPEND),
                    // Without F_APPEND the position is the rule behind the new one.
                    Place::Before(handle) => self.add(&encoded.with_position(*handle), nlm::F_CREATE),
                }
            }
            Change::ReplaceRule { chain, handle, rule } => {
                let encoded = encode_rule(family, table, &EncodeError::check_name(chain)?, rule)?;
                self.add(&encoded.with_handle(*handle), nlm::F_REPLACE);
            }
            Change::DeleteRule { chain, handle } => {
                let rule = handle::Rule::new(family, table, &EncodeError::check_name(chain)?);
                self.delete(&rule.with_handle(*handle));
            }
            Change::AddSet { name, definition } => {
                self.sets += 1;
                let set = encode_set(family, table, &EncodeError::check_name(name)?, definition, self.sets)?;
                self.add(&set, nlm::F_CREATE | nlm::F_EXCL);
            }
            Change::DeleteSet { name } => {
                self.delete(&handle::Set::new(family, table, &EncodeError::check_name(name)?));
            }
            Change::AddElements { set, definition, elements } => {
                element::append(&mut self.batch, (family, table), set, definition, elements, true)?;
            }
            Change::DeleteElements { set, definition, elements } => {
                element::append(&mut self.batch, (family, table), set, definition, elements, false)?;
            }
        }
        Ok(())
    }

    fn add<T>(&mut self, object: &T, flags: u16)
    where
        for<'a> Request<'a, T>: nftnl::NlMsg,
    {
        self.batch.add(&Request { object, flags }, MsgType::Add);
    }

    fn delete<T>(&mut self, object: &T)
    where
        for<'a> Request<'a, T>: nftnl::NlMsg,
    {
        self.batch.add(&Request { object, flags: 0 }, MsgType::Del);
    }
}

fn with_hook(chain: handle::Chain, hook: Option<BaseHook>) -> handle::Chain {
    let Some(base) = hook else { return chain };
    let kind = match base.kind {
        ChainType::Filter => c"filter",
        ChainType::Nat => c"nat",
    };
    chain.with_hook(kind, base.hook.number(), base.priority, chain_number::ACCEPT)
}

fn encode_rule(
    family: Family,
    table: &CStr,
    chain: &CString,
    rule: &Rule,
) -> Result<handle::Rule, EncodeError> {
    if rule.exprs.len() > rule_number::MAX_EXPRESSIONS {
        return Err(EncodeError::Rule(rule.exprs.len()));
    }
    let mut encoded = handle::Rule::new(family, table, chain);
    for expr in &rule.exprs {
        encoded.push(expr::encode(family, expr)?);
    }
    Ok(match &rule.comment {
        Some(comment) => encoded.with_userdata(&userdata::comment(check_comment(comment)?)),
        None => encoded,
    })
}

fn encode_set(
    family: Family,
    table: &CStr,
    name: &CString,
    definition: &SetDefinition,
    id: u32,
) -> Result<handle::Set, EncodeError> {
    let key = &definition.key;
    let number = |len: usize| u32::try_from(len).map_err(|_| EncodeError::Value(len));
    let mut set = handle::Set::new(family, table, name)
        .number(SetNumber::Flags, flags(definition))
        .number(SetNumber::KeyType, concat_id(key))
        .number(SetNumber::KeyLen, number(kernel_len(key))?)
        .number(SetNumber::Id, id)
        .with_userdata(&userdata::set(family, definition));
    match &definition.data {
        SetData::None => {}
        SetData::Verdict => {
            set = set.number(SetNumber::DataType, set_number::VERDICT).number(SetNumber::DataLen, 0);
        }
        SetData::Value(data) => {
            set = set
                .number(SetNumber::DataType, concat_id(data))
                .number(SetNumber::DataLen, number(kernel_len(data))?);
        }
    }
    if let Some(size) = definition.size {
        set = set.number(SetNumber::Size, size);
    }
    if definition.interval {
        let lengths: Vec<u8> = key.iter().filter_map(|field| u8::try_from(field.byte_len()).ok()).collect();
        set = set.with_field_lengths(&lengths);
    }
    if definition.counter {
        set = set.with_counter();
    }
    Ok(set)
}

/// `NFTA_SET_FLAGS` of a declaration.
pub(super) fn flags(definition: &SetDefinition) -> u32 {
    let mut flags = 0;
    if definition.is_map() {
        flags |= set_number::FLAG_MAP;
    }
    if definition.interval {
        flags |= set_number::FLAG_INTERVAL | set_number::FLAG_CONCAT;
    }
    if definition.dynamic {
        flags |= set_number::FLAG_TIMEOUT | set_number::FLAG_EVAL;
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_ours() {
        assert_eq!(TABLE.to_bytes(), svcnat_rules::ruleset::TABLE.as_bytes());
    }
}
