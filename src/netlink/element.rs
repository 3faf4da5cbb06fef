//! Set elements: their messages, written and read without libnftnl, because there may be a million of them.

use std::collections::HashSet;
use std::ffi::CStr;

use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::ruleset::{
    DataType, Element, ElementData, MAX_COMMENT, SetData, SetDefinition, Value, Verdict, concat_len,
};

use super::attr::{self, attrs, nest, put, put_str};
use super::batch::Builder;
use super::constants::{NFTA_LIST_ELEM, counter, data, elem, msg, nlm, rule};
use super::error::EncodeError;
use super::expr::{verdict_code, verdict_from_code};
use super::message::{self, Message};
use super::userdata;

/// How long the list of elements in one message may become before the next one begins. An attribute's length has
/// 16 bits; an element has less than a kilobyte: two keys and a value of 64 bytes, a chain's name, a comment.
const LIST_LIMIT: usize = 64_000;

/// Appends the messages that add or delete elements.
///
/// # Errors
///
/// Where an element is not one that its set can hold.
pub fn append(
    batch: &mut Builder,
    (family, table): (Family, &CStr),
    set: &Name,
    definition: &SetDefinition,
    elements: &[(&Value, &Element)],
    adding: bool,
) -> Result<(), EncodeError> {
    EncodeError::check_name(set)?;
    let (kind, flags) =
        if adding { (msg::NEWSETELEM, nlm::F_CREATE | nlm::F_EXCL) } else { (msg::DELSETELEM, 0) };
    let mut rest = elements.iter();
    while !rest.as_slice().is_empty() {
        batch.put_elements(kind, flags, family, &definition.key, |out| {
            put(out, elem::LIST_TABLE, table.to_bytes_with_nul());
            put_str(out, elem::LIST_SET, set);
            let mut result = Ok(());
            nest(out, elem::LIST_ELEMENTS, |out| {
                let start = out.len();
                while result.is_ok() && out.len() - start < LIST_LIMIT {
                    let Some((key, element)) = rest.next() else { break };
                    result = append_element(out, definition, key, element, adding);
                }
            });
            result.map_err(|problem| EncodeError::Element { set: set.clone(), problem: Box::new(problem) })
        })?;
    }
    Ok(())
}

fn append_element(
    out: &mut Vec<u8>,
    definition: &SetDefinition,
    key: &Value,
    element: &Element,
    adding: bool,
) -> Result<(), EncodeError> {
    let key = fitted(&definition.key, key)?;
    let end = element.end.as_ref().map(|end| fitted(&definition.key, end)).transpose()?;
    let comment = element.comment.as_ref().map(check_comment).transpose()?;
    let value = match (&definition.data, &element.data) {
        (SetData::Value(fields), ElementData::Value(value)) => Some(fitted(fields, value)?),
        (SetData::Verdict, ElementData::Verdict(verdict)) => {
            verdict.chain().map(EncodeError::check_name).transpose()?;
            None
        }
        (SetData::None, ElementData::None) => None,
        _ if adding => return Err(EncodeError::Data),
        _ => None,
    };
    nest(out, NFTA_LIST_ELEM, |out| {
        nest(out, elem::KEY, |out| put(out, data::VALUE, key));
        if let Some(end) = end {
            nest(out, elem::KEY_END, |out| put(out, data::VALUE, end));
        }
        if !adding {
            return;
        }
        match (&element.data, value) {
            (ElementData::Verdict(verdict), _) => nest(out, elem::DATA, |out| append_verdict(out, verdict)),
            (_, Some(value)) => nest(out, elem::DATA, |out| put(out, data::VALUE, value)),
            _ => {}
        }
        if let Some(comment) = comment {
            put(out, elem::USERDATA, &userdata::comment(comment));
        }
    });
    Ok(())
}

fn append_verdict(out: &mut Vec<u8>, verdict: &Verdict) {
    nest(out, data::VERDICT, |out| {
        put(out, data::VERDICT_CODE, &verdict_code(verdict).to_be_bytes());
        if let Some(chain) = verdict.chain() {
            put_str(out, data::VERDICT_CHAIN, chain);
        }
    });
}

/// How many bytes the kernel is told that a key or a value has: a single field is not padded.
#[must_use]
pub fn kernel_len(fields: &[DataType]) -> usize {
    match fields {
        [field] => field.byte_len(),
        fields => concat_len(fields),
    }
}

/// The bytes of a value as the kernel wants them.
fn fitted<'a>(fields: &[DataType], value: &'a Value) -> Result<&'a [u8], EncodeError> {
    if value.len() == concat_len(fields) && value.len() <= data::MAX_LEN {
        Ok(value.as_bytes().get(..kernel_len(fields)).unwrap_or_default())
    } else {
        Err(EncodeError::Value(value.len()))
    }
}

/// A comment that nft can read and the kernel store.
pub fn check_comment(comment: &Name) -> Result<&str, EncodeError> {
    if comment.len() <= MAX_COMMENT && !comment.contains('\0') {
        Ok(comment)
    } else {
        Err(EncodeError::Comment(comment.clone()))
    }
}

/// Names that were read, each kept once: thousands of verdicts lead to few chains.
#[derive(Debug, Default)]
pub struct Names(HashSet<Name>);

impl Names {
    /// The shared form of a name.
    pub fn share(&mut self, text: &str) -> Name {
        if let Some(name) = self.0.get(text) {
            return name.clone();
        }
        let name = Name::from(text);
        self.0.insert(name.clone());
        name
    }
}

/// The elements in a message of a dump; `None` for one that none of ours is like. `counted` says whether those of the set
/// have counters, whose counts are not read.
pub fn read_elements<'a>(
    message: &Message<'a>,
    names: &'a mut Names,
    counted: bool,
) -> impl Iterator<Item = Option<(Value, Element)>> + use<'a> {
    elements(message).map(move |element| read_element(element, names, counted))
}

/// The elements in a message as they are.
pub fn elements<'a>(message: &Message<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let list = attr::find(message.body(), elem::LIST_ELEMENTS).unwrap_or_default();
    attrs(list).map(|element| element.data)
}

/// The key, the comment and the count of an element that has a counter.
#[must_use]
pub fn read_count(element: &[u8]) -> Option<(Value, Option<&str>, u64)> {
    let key = read_value(attr::find(element, elem::KEY)?)?;
    let comment = attr::find(element, elem::USERDATA).and_then(userdata::read_comment);
    Some((key, comment, counter_packets(attr::find(element, elem::EXPR)?)?))
}

/// How many packets a counter has counted; `None` for another expression.
#[must_use]
pub fn counter_packets(expression: &[u8]) -> Option<u64> {
    if attr::find_str(expression, rule::EXPR_NAME)? != counter::NAME {
        return None;
    }
    attr::find_u64(attr::find(expression, rule::EXPR_DATA)?, counter::PACKETS)
}

fn read_element(bytes: &[u8], names: &mut Names, counted: bool) -> Option<(Value, Element)> {
    let mut key = None;
    let mut element = Element::default();
    for attribute in attrs(bytes) {
        match attribute.kind {
            elem::KEY => key = Some(read_value(attribute.data)?),
            elem::KEY_END => element.end = Some(Box::new(read_value(attribute.data)?)),
            elem::DATA => element.data = read_data(attribute.data, names)?,
            elem::USERDATA => element.comment = userdata::read_comment(attribute.data).map(Name::from),
            elem::FLAGS if attribute.data.iter().any(|byte| *byte != 0) => return None,
            elem::EXPR if counted => {
                counter_packets(attribute.data)?;
            }
            elem::TIMEOUT | elem::EXPR | elem::OBJREF | elem::EXPRESSIONS => return None,
            _ => {}
        }
    }
    Some((key?, element))
}

fn read_value(bytes: &[u8]) -> Option<Value> {
    attr::find(bytes, data::VALUE).map(|value| Value::new().field(value))
}

fn read_data(bytes: &[u8], names: &mut Names) -> Option<ElementData> {
    let Some(verdict) = attr::find(bytes, data::VERDICT) else {
        return read_value(bytes).map(ElementData::Value);
    };
    let code = attr::find(verdict, data::VERDICT_CODE)?.try_into().ok().map(i32::from_be_bytes)?;
    let chain = attr::find_str(verdict, data::VERDICT_CHAIN).map(|chain| names.share(chain));
    verdict_from_code(code, chain).map(ElementData::Verdict)
}

/// The key and the chain of a verdict in the element at an offset of a message, for errors.
#[must_use]
pub fn element_at<'a>(message: &Message<'a>, offset: usize) -> Option<(Value, Option<&'a str>)> {
    let at = offset.checked_sub(message::BODY)?;
    let list = attrs(message.body()).find(|attribute| attribute.kind == elem::LIST_ELEMENTS)?;
    // Both ways of pointing are met: to the element as a whole and to an attribute inside.
    let within = at.checked_sub(list.offset + attr::HEADER)?;
    let element = attrs(list.data).find(|element| {
        (element.offset..element.offset + attr::HEADER + element.data.len()).contains(&within)
    })?;
    let key = read_value(attr::find(element.data, elem::KEY)?)?;
    let chain = attr::find(element.data, elem::DATA)
        .and_then(|bytes| attr::find(bytes, data::VERDICT))
        .and_then(|verdict| attr::find_str(verdict, data::VERDICT_CHAIN));
    Some((key, chain))
}
