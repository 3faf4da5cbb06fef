//! Names, comments and elements of sets.

use super::{Fault, Report};
use crate::name::Name;
use crate::ruleset::{
    DataType, Element, ElementData, MAX_COMMENT, MAX_NAME, SetData, SetDefinition, Table, Value, concat_len,
};

pub(super) fn check(table: &Table, report: &mut Report<'_>) {
    for (name, set) in &table.sets {
        let place = || format!("set {name}");
        if !is_name(name) {
            report(place(), Fault::Name);
        }
        for (key, element) in &set.elements {
            let place = || format!("element {key:?} of {name}");
            if !fits(&set.definition, key, element) {
                report(place(), Fault::Element);
            }
            if !element.comment.as_ref().is_none_or(is_comment) {
                report(place(), Fault::Comment);
            }
            if let ElementData::Verdict(verdict) = &element.data
                && let Some(chain) = verdict.chain()
                && table.chains.get(chain).is_none_or(|chain| chain.hook.is_some())
            {
                report(place(), Fault::NoChain(chain.clone()));
            }
        }
    }
}

/// The grammar of an identifier in nft (`string` in its `scanner.l`).
pub(super) fn is_name(name: &Name) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || "/-_.".contains(c);
    name.len() <= MAX_NAME && name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(rest)
}

pub(super) fn is_comment(comment: &Name) -> bool {
    comment.len() <= MAX_COMMENT && !comment.chars().any(|c| c == '"' || c.is_control())
}

fn fits(definition: &SetDefinition, key: &Value, element: &Element) -> bool {
    let key_len = concat_len(&definition.key);
    let end_fits = match &element.end {
        None => !definition.interval,
        Some(end) => definition.interval && end.len() == key_len && is_range(&definition.key, key, end),
    };
    let data_fits = match (&definition.data, &element.data) {
        (SetData::None, ElementData::None) | (SetData::Verdict, ElementData::Verdict(_)) => true,
        (SetData::Value(fields), ElementData::Value(value)) => value.len() == concat_len(fields),
        _ => false,
    };
    key.len() == key_len && end_fits && data_fits && !definition.dynamic
}

/// Whether no field of the end lies before that of the beginning; ranges are of fields in network byte order.
fn is_range(fields: &[DataType], from: &Value, to: &Value) -> bool {
    let mut at = 0;
    fields.iter().all(|field| {
        let bytes = at..at + field.byte_len();
        at += field.padded_len();
        match (from.as_bytes().get(bytes.clone()), to.as_bytes().get(bytes)) {
            (Some(from), Some(to)) => from <= to,
            _ => false,
        }
    })
}
