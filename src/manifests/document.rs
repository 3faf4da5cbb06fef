//! Streaming the objects out of one document: the object itself or, for a list, its items one by one.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// An object as it stands in the document, fields and all.
pub(super) struct RawObject {
    /// The way from the document's root to it: empty, or such as `items[3]`.
    pub path: String,
    /// Its fields.
    pub fields: Map<String, Value>,
}

/// Hands every object of a document to a function.
///
/// A list is what has an array `items`, as for kubectl. Items are handed on as they are read, so that a list of a whole
/// cluster is never in memory as a tree. The API server leaves `kind` and `apiVersion` out of the items of a typed list
/// such as ServiceList; they follow from the list's own, which may come after the items, and so such items wait for it.
pub(super) struct Objects<'a> {
    /// The function.
    pub sink: &'a mut dyn FnMut(RawObject),
}

impl<'de> DeserializeSeed<'de> for Objects<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Objects<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a Kubernetes object")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut fields = Map::new();
        let mut waiting = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "items" {
                waiting = map.next_value_seed(Items { sink: &mut *self.sink })?;
            } else {
                fields.insert(key, map.next_value()?);
            }
        }
        match waiting {
            None => (self.sink)(RawObject { path: String::new(), fields }),
            Some(items) => {
                for mut item in items {
                    inherit(&mut item.fields, &fields);
                    (self.sink)(item);
                }
            }
        }
        Ok(())
    }
}

/// Gives the item of a typed list its kind.
fn inherit(item: &mut Map<String, Value>, list: &Map<String, Value>) {
    let kind = list.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
    if let Some(kind) = kind.filter(|kind| !kind.is_empty()) {
        item.insert("kind".to_owned(), kind.into());
        if let Some(version) = list.get("apiVersion") {
            item.entry("apiVersion").or_insert_with(|| version.clone());
        }
    }
}

/// The value of `items`; its own value is the items that have no kind, or `None` where it is no array.
struct Items<'a> {
    sink: &'a mut dyn FnMut(RawObject),
}

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Option<Vec<RawObject>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Option<Vec<RawObject>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of Kubernetes objects")
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Some(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut waiting = Vec::new();
        let mut index = 0_usize;
        while let Some(fields) = seq.next_element::<Map<String, Value>>()? {
            let item = RawObject { path: format!("items[{index}]"), fields };
            index += 1;
            if item.fields.contains_key("kind") {
                nested(item, self.sink);
            } else {
                waiting.push(item);
            }
        }
        Ok(Some(waiting))
    }
}

/// Lists may hold lists; how deep is bounded by the readers' limits on nesting.
fn nested(mut item: RawObject, sink: &mut dyn FnMut(RawObject)) {
    let Some(Value::Array(items)) = item.fields.get_mut("items").map(Value::take) else {
        return sink(item);
    };
    for (index, value) in items.into_iter().enumerate() {
        let path = format!("{}.items[{index}]", item.path);
        let mut fields = if let Value::Object(fields) = value { fields } else { Map::new() };
        if !fields.contains_key("kind") {
            inherit(&mut fields, &item.fields);
        }
        nested(RawObject { path, fields }, sink);
    }
}
