//! Sets and maps: declarations and elements.

use std::fmt::{self, Write};

use super::text::write_comment;
use super::value::{write_key, write_value};
use crate::net::Family;
use crate::ruleset::{DataType, Element, ElementData, SetData, SetDefinition, Value};

/// The keyword for a set with this definition.
pub(super) fn keyword(definition: &SetDefinition) -> &'static str {
    if definition.is_map() { "map" } else { "set" }
}

/// Writes what declares a set, `before` in front of each part and `after` behind it.
pub(super) fn write_definition(
    out: &mut impl Write,
    definition: &SetDefinition,
    family: Family,
    (before, after): (&str, &str),
) -> fmt::Result {
    out.write_str(before)?;
    let data = match &definition.data {
        SetData::Value(types) => types.as_slice(),
        SetData::None | SetData::Verdict => &[],
    };
    // nft names a slot's type only by an example of it, and then wants examples for all fields.
    let by_example = definition.key.iter().chain(data).any(|field| field.keyword().is_none());
    out.write_str(if by_example { "typeof " } else { "type " })?;
    write_types(out, &definition.key, family, by_example)?;
    match &definition.data {
        SetData::None => {}
        SetData::Verdict => out.write_str(" : verdict")?,
        SetData::Value(types) => {
            out.write_str(" : ")?;
            write_types(out, types, family, by_example)?;
        }
    }
    out.write_str(after)?;
    if let Some(size) = definition.size {
        write!(out, "{before}size {size}{after}")?;
    }
    let flags = match (definition.interval, definition.dynamic) {
        (false, false) => "",
        (true, false) => "interval",
        (false, true) => "dynamic,timeout",
        (true, true) => "interval,dynamic,timeout",
    };
    if !flags.is_empty() {
        write!(out, "{before}flags {flags}{after}")?;
    }
    if definition.counter {
        write!(out, "{before}counter{after}")?;
    }
    Ok(())
}

fn write_types(out: &mut impl Write, types: &[DataType], family: Family, by_example: bool) -> fmt::Result {
    for (i, field) in types.iter().enumerate() {
        if i > 0 {
            out.write_str(" . ")?;
        }
        match field.keyword() {
            Some(keyword) if !by_example => out.write_str(keyword)?,
            _ => write_example(out, *field, family)?,
        }
    }
    Ok(())
}

/// Writes an expression of a type. A declaration by `tcp dport` serves rules that say `th dport`; one by `th dport`
/// makes nft 1.0.6 refuse later scripts that name the map ("conflicting protocols specified").
fn write_example(out: &mut impl Write, field: DataType, family: Family) -> fmt::Result {
    match field {
        DataType::Ipv4Addr | DataType::Ipv6Addr => write!(out, "{} daddr", family.keyword()),
        DataType::InetProto => out.write_str("meta l4proto"),
        DataType::InetService => out.write_str("tcp dport"),
        DataType::Slot => out.write_str("numgen random mod 65536"),
    }
}

/// Writes the element: key, comment, data.
pub(super) fn write_element(
    out: &mut impl Write,
    definition: &SetDefinition,
    key: &Value,
    element: &Element,
) -> fmt::Result {
    write_key(out, &definition.key, key, element.end.as_deref())?;
    write_comment(out, element.comment.as_deref())?;
    match (&element.data, &definition.data) {
        (ElementData::None, _) => Ok(()),
        (ElementData::Verdict(verdict), _) => write!(out, " : {verdict}"),
        (ElementData::Value(value), data) => {
            let types = if let SetData::Value(types) = data { types.as_slice() } else { &[] };
            out.write_str(" : ")?;
            write_value(out, types, value.as_bytes())
        }
    }
}
