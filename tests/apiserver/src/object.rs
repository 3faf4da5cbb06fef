//! An object as the server keeps it: serialised once.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::resource::Facts;
use crate::{Error, Resource, Result, defaults, managed_fields};

/// An object at a version. Clones share all but the version.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    content: Arc<Content>,
    pub version: u64,
}

#[derive(Debug)]
struct Content {
    key: Arc<str>,
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    identity: Identity,
    /// The JSON behind the version in `{"metadata":{"resourceVersion":"VERSION",`.
    tail: Vec<u8>,
}

/// What an object keeps over all its versions.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub uid: String,
    created: Value,
    generation: u64,
}

const HEAD: &[u8] = br#""metadata":{"resourceVersion":""#;

impl Object {
    /// Completes an object as the real server does when it stores it.
    ///
    /// `before` is the identity that the object has already, `uid` is for one that is new.
    pub(crate) fn complete(
        resource: Resource,
        mut fields: Map<String, Value>,
        before: Option<&Identity>,
        uid: impl FnOnce() -> String,
        version: u64,
    ) -> Result<Self> {
        let facts = resource.facts();
        let Some(Value::Object(mut metadata)) = fields.remove("metadata") else {
            return Err(Error::Object("it has no metadata"));
        };
        fields.remove("kind");
        fields.remove("apiVersion");
        let (namespace, name) = names(facts, &metadata)?;
        defaults::fill(resource, &mut fields);
        let now = time(Timestamp::now());
        let identity = Identity {
            uid: before.map_or_else(uid, |before| before.uid.clone()),
            created: match (metadata.remove("creationTimestamp"), before) {
                (Some(given @ Value::String(_)), _) => given,
                (_, Some(before)) => before.created.clone(),
                (_, None) => now.clone(),
            },
            generation: before.map_or(1, |before| before.generation + 1),
        };
        let labels = labels(&metadata)?;
        metadata.insert("managedFields".to_owned(), managed_fields::of(facts, &metadata, &fields, &now));
        metadata.insert("uid".to_owned(), identity.uid.clone().into());
        metadata.insert("creationTimestamp".to_owned(), identity.created.clone());
        if namespace.is_empty() {
            metadata.remove("namespace");
        } else {
            metadata.insert("namespace".to_owned(), namespace.clone().into());
        }
        // Of the resources here, only slices count their generations.
        if resource == Resource::EndpointSlices {
            metadata.insert("generation".to_owned(), identity.generation.into());
        }
        metadata.remove("resourceVersion");
        let key = key(&namespace, &name).into();
        let tail = tail(&metadata, &fields);
        Ok(Self { content: Arc::new(Content { key, name, namespace, labels, identity, tail }), version })
    }

    /// `NAMESPACE/NAME`, or `NAME` where there are no namespaces: by it objects are ordered.
    pub(crate) fn key(&self) -> Arc<str> {
        self.content.key.clone()
    }

    pub(crate) fn name(&self) -> &str {
        &self.content.name
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.content.namespace
    }

    pub(crate) fn labels(&self) -> &BTreeMap<String, String> {
        &self.content.labels
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.content.identity
    }

    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        self.content.tail.len() + HEAD.len()
    }

    /// The same object with another version, as in the event of its deletion.
    pub(crate) fn at(&self, version: u64) -> Self {
        Self { content: self.content.clone(), version }
    }

    /// Writes the object as an item of a list, which has neither kind nor apiVersion.
    pub(crate) fn write_item(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_rest(out);
    }

    /// Writes the object as it stands alone.
    pub(crate) fn write(&self, facts: &Facts, out: &mut Vec<u8>) {
        write_type(facts, out);
        self.write_rest(out);
    }

    fn write_rest(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(HEAD);
        write_number(self.version, out);
        out.extend_from_slice(br#"","#);
        out.extend_from_slice(&self.content.tail);
    }
}

/// Writes `{"kind":"Service","apiVersion":"v1",`.
pub(crate) fn write_type(facts: &Facts, out: &mut Vec<u8>) {
    for part in [r#"{"kind":""#, facts.kind, r#"","apiVersion":""#, facts.api_version, r#"","#] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Writes a number in decimal.
pub(crate) fn write_number(number: u64, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "{number}");
}

/// The key of an object: see [`Object::key`].
pub(crate) fn key(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

/// A time as the API writes it.
pub(crate) fn time(timestamp: Timestamp) -> Value {
    timestamp.strftime("%Y-%m-%dT%H:%M:%SZ").to_string().into()
}

fn names(facts: &Facts, metadata: &Map<String, Value>) -> Result<(String, String)> {
    let text = |field| metadata.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    let name = text("name").ok_or(Error::Object("its metadata has no name"))?;
    let namespace = if facts.namespaced { text("namespace").unwrap_or("default") } else { "" };
    Ok((namespace.to_owned(), name.to_owned()))
}

fn labels(metadata: &Map<String, Value>) -> Result<BTreeMap<String, String>> {
    let labels = metadata.get("labels").and_then(Value::as_object).into_iter().flatten();
    labels
        .map(|(key, value)| {
            let value = value.as_str().ok_or(Error::Object("a label's value is no string"))?;
            Ok((key.clone(), value.to_owned()))
        })
        .collect()
}

fn tail(metadata: &Map<String, Value>, fields: &Map<String, Value>) -> Vec<u8> {
    let mut out = Vec::new();
    write_members(metadata, &mut out);
    out.push(b'}');
    if !fields.is_empty() {
        out.push(b',');
        write_members(fields, &mut out);
    }
    out.push(b'}');
    out
}

/// Writes `"a":1,"b":2` without the braces.
fn write_members(members: &Map<String, Value>, out: &mut Vec<u8>) {
    for (index, (name, value)) in members.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_json(name, out);
        out.push(b':');
        write_json(value, out);
    }
}

/// Appends a value as JSON.
pub(crate) fn write_json(value: &(impl serde::Serialize + ?Sized), out: &mut Vec<u8>) {
    // Neither a vector nor a tree of JSON values can fail to take it.
    let _ = serde_json::to_writer(out, value);
}
