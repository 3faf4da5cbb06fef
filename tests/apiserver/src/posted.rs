//! The events that clients post, for tests to look at.

use serde_json::{Value, json};

use crate::object::time;
use crate::status::Refusal;
use crate::{Resource, Verb};

/// An event that a client has created or patched.
#[derive(Debug, Clone, PartialEq)]
pub struct Posted {
    /// [`Verb::Create`] or [`Verb::Patch`].
    pub verb: Verb,
    /// Where it was posted to.
    pub namespace: String,
    /// The whole event, as it was after that.
    pub event: Value,
}

/// All that clients posted, in order.
#[derive(Debug, Default)]
pub(crate) struct Log {
    pub posted: Vec<Posted>,
}

impl Log {
    pub(crate) fn create(
        &mut self,
        resource: Resource,
        namespace: &str,
        mut event: Value,
    ) -> Result<Value, Refusal> {
        let number = self.posted.len();
        let Some(metadata) = event.get_mut("metadata").and_then(Value::as_object_mut) else {
            return Err(Refusal::bad_request("the event has no metadata"));
        };
        let text = |field: &str| metadata.get(field).and_then(Value::as_str).map(str::to_owned);
        if text("namespace").is_some_and(|own| own != namespace) {
            return Err(Refusal::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
        let name = match (text("name"), text("generateName")) {
            (Some(name), _) => name,
            (None, Some(prefix)) => format!("{prefix}{number:05}"),
            (None, None) => return Err(Refusal::bad_request("name or generateName is required")),
        };
        metadata.insert("namespace".to_owned(), namespace.into());
        metadata.insert("name".to_owned(), name.clone().into());
        metadata.insert("uid".to_owned(), format!("00000000-0000-4000-a000-{number:012x}").into());
        metadata.insert("creationTimestamp".to_owned(), time(jiff::Timestamp::now()));
        if self.find(namespace, &name).is_some() {
            return Err(Refusal::already_exists(resource, &name));
        }
        self.posted.push(Posted {
            verb: Verb::Create,
            namespace: namespace.to_owned(),
            event: event.clone(),
        });
        Ok(event)
    }

    /// Applies a JSON merge patch (RFC 7386).
    pub(crate) fn patch(
        &mut self,
        resource: Resource,
        namespace: &str,
        name: &str,
        patch: Value,
    ) -> Result<Value, Refusal> {
        let mut event = self.find(namespace, name).ok_or_else(|| Refusal::not_found(resource, name))?.clone();
        merge(&mut event, patch);
        self.posted.push(Posted { verb: Verb::Patch, namespace: namespace.to_owned(), event: event.clone() });
        Ok(event)
    }

    fn find(&self, namespace: &str, name: &str) -> Option<&Value> {
        let named = |posted: &&Posted| {
            let own = posted.event.pointer("/metadata/name").and_then(Value::as_str);
            posted.namespace == namespace && own == Some(name)
        };
        self.posted.iter().rfind(named).map(|posted| &posted.event)
    }
}

fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (field, value) in patch {
        if value.is_null() {
            target.remove(&field);
        } else {
            merge(target.entry(field).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_follows_rfc_7386() {
        for (target, patch, expected) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target;
            merge(&mut merged, patch);
            assert_eq!(merged, expected);
        }
    }
}
