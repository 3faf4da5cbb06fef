//! What the kernel says about chains, sets and rules, in the ruleset's terms.

use svcnat_rules::installed::{InstalledHook, InstalledRule};
use svcnat_rules::name::Name;
use svcnat_rules::ruleset::{
    BaseHook, ChainType, DataType, Hook, Rule, SetData, SetDefinition, TABLE, concat_id,
};

use super::attr;
use super::constants::{chain as chain_number, rule as rule_number, set as set_number};
use super::element::{counter_packets, kernel_len};
use super::encode::flags;
use super::expr::decode_all;
use super::handle;
use super::message::Message;
use super::userdata::read_comment;

/// `NFT_CHAIN_BINDING`: the chain belongs to a rule and goes with it.
const CHAIN_BINDING: u32 = 4;
/// `NFT_SET_ANONYMOUS`: the set belongs to a rule and goes with it.
const SET_ANONYMOUS: u32 = 1;

/// Reads the attributes of a chain of our table; `None` for one of another table and for one that belongs to a rule.
#[must_use]
pub fn chain(body: &[u8]) -> Option<(Name, Option<InstalledHook>)> {
    if attr::find_str(body, chain_number::TABLE)? != TABLE {
        return None;
    }
    let flags = attr::find_u32(body, chain_number::FLAGS).unwrap_or(0);
    if flags & CHAIN_BINDING != 0 {
        return None;
    }
    let name = attr::find_str(body, chain_number::NAME)?.into();
    let hook = match attr::find(body, chain_number::HOOK) {
        None => (flags == 0).then_some(InstalledHook::Regular),
        Some(hook) if flags & !chain_number::FLAG_BASE == 0 => base_hook(body, hook).map(InstalledHook::Base),
        Some(_) => None,
    };
    Some((name, hook))
}

fn base_hook(body: &[u8], hook: &[u8]) -> Option<BaseHook> {
    if attr::find_u32(body, chain_number::POLICY)? != chain_number::ACCEPT {
        return None;
    }
    let kind = attr::find_str(body, chain_number::TYPE)?;
    let kind = [ChainType::Filter, ChainType::Nat].into_iter().find(|known| known.keyword() == kind)?;
    let number = attr::find_u32(hook, chain_number::HOOK_HOOKNUM)?;
    let hook_number = Hook::ALL.into_iter().find(|known| known.number() == number)?;
    let priority = attr::find(hook, chain_number::HOOK_PRIORITY)?.try_into().ok().map(i32::from_be_bytes)?;
    Some(BaseHook { kind, hook: hook_number, priority })
}

/// Reads the attributes of a set of our table; `None` for one of another table and for one that belongs to a rule.
#[must_use]
pub fn set(body: &[u8]) -> Option<(Name, Option<SetDefinition>)> {
    if attr::find_str(body, set_number::TABLE)? != TABLE {
        return None;
    }
    let flags = attr::find_u32(body, set_number::FLAGS).unwrap_or(0);
    if flags & SET_ANONYMOUS != 0 {
        return None;
    }
    let name = attr::find_str(body, set_number::NAME)?.into();
    Some((name, definition(body, flags)))
}

fn definition(body: &[u8], kernel_flags: u32) -> Option<SetDefinition> {
    let foreign = [
        set_number::POLICY,
        set_number::TIMEOUT,
        set_number::GC_INTERVAL,
        set_number::OBJ_TYPE,
        set_number::EXPRESSIONS,
    ];
    if foreign.into_iter().any(|kind| attr::find(body, kind).is_some()) {
        return None;
    }
    let counter = match attr::find(body, set_number::EXPR) {
        None => false,
        Some(expression) if counter_packets(expression).is_some() => true,
        Some(_) => return None,
    };
    let definition = SetDefinition {
        key: fields(body, set_number::KEY_TYPE, set_number::KEY_LEN)?,
        data: match attr::find_u32(body, set_number::DATA_TYPE) {
            None => SetData::None,
            Some(set_number::VERDICT) => SetData::Verdict,
            Some(_) => SetData::Value(fields(body, set_number::DATA_TYPE, set_number::DATA_LEN)?),
        },
        interval: kernel_flags & set_number::FLAG_INTERVAL != 0,
        dynamic: kernel_flags & set_number::FLAG_EVAL != 0,
        size: attr::find(body, set_number::DESC).and_then(|desc| attr::find_u32(desc, set_number::DESC_SIZE)),
        counter,
    };
    // Whatever else the flags say is none of ours.
    (flags(&definition) == kernel_flags).then_some(definition)
}

/// The fields that a type number and a length stand for.
fn fields(body: &[u8], kind: u16, len: u16) -> Option<Vec<DataType>> {
    let id = attr::find_u32(body, kind)?;
    let mut rest = id;
    let mut fields = Vec::new();
    while rest != 0 {
        fields.push(DATA_TYPES.into_iter().find(|field| field.id() == rest & 0x3f)?);
        rest >>= 6;
    }
    fields.reverse();
    let whole = concat_id(&fields) == id && !fields.is_empty();
    let len = usize::try_from(attr::find_u32(body, len)?).ok()?;
    (whole && kernel_len(&fields) == len).then_some(fields)
}

const DATA_TYPES: [DataType; 5] =
    [DataType::Ipv4Addr, DataType::Ipv6Addr, DataType::InetProto, DataType::InetService, DataType::Slot];

/// Reads a rule of our table with its chain's name; `None` for one of another table.
#[must_use]
pub fn rule(message: &Message<'_>) -> Option<(Name, InstalledRule)> {
    let body = message.body();
    if attr::find_str(body, rule_number::TABLE)? != TABLE {
        return None;
    }
    let chain = attr::find_str(body, rule_number::CHAIN)?.into();
    let handle = Some(attr::find_u64(body, rule_number::HANDLE)?);
    Some((chain, InstalledRule { handle, rule: rule_content(message) }))
}

fn rule_content(message: &Message<'_>) -> Option<Rule> {
    let family = message.family()?;
    let parsed = handle::Rule::parse(family, message.bytes)?;
    let exprs = decode_all(family, &parsed.expressions())?;
    let userdata = attr::find(message.body(), rule_number::USERDATA).unwrap_or_default();
    Some(Rule { exprs, comment: read_comment(userdata).map(Name::from) })
}
