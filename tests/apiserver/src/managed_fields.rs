//! `metadata.managedFields`: who set which fields. Clients have no use for them here, but they are a large part of what a
//! real server sends, so they must be as large.
//!
//! The shape: <https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management>.

use serde_json::{Map, Value, json};

use crate::resource::Facts;

/// What the server allocates belongs to no manager.
const ALLOCATED: [&str; 3] = ["clusterIPs", "ipFamilies", "ipFamilyPolicy"];

/// The entry of the one manager that set all fields. `fields` are those beside the metadata.
pub(crate) fn of(
    facts: &Facts,
    metadata: &Map<String, Value>,
    fields: &Map<String, Value>,
    time: &Value,
) -> Value {
    let mut owned = Map::new();
    let mut owned_metadata = Map::new();
    for name in ["annotations", "labels"] {
        if let Some(Value::Object(members)) = metadata.get(name) {
            owned_metadata.insert(path(name), struct_of(members));
        }
    }
    if !owned_metadata.is_empty() {
        owned.insert(path("metadata"), Value::Object(owned_metadata));
    }
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("spec", Value::Object(spec)) => {
                owned.insert(path(name), Value::Object(spec_of(spec)));
            }
            // A status is owned by an entry of its own, which nobody writes here.
            ("status", _) => {}
            // Lists without keys are owned as a whole.
            _ => {
                owned.insert(path(name), json!({}));
            }
        }
    }
    json!([{
        "manager": "svcnat-tests",
        "operation": "Update",
        "apiVersion": facts.api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": owned,
    }])
}

fn spec_of(spec: &Map<String, Value>) -> Map<String, Value> {
    let members = spec.iter().filter(|(name, _)| !ALLOCATED.contains(&name.as_str()));
    members
        .map(|(name, value)| {
            let owned = match (name.as_str(), value) {
                ("ports", Value::Array(ports)) => ports_of(ports),
                // Atomic, as one can see in recorded answers.
                ("selector", _) => json!({}),
                (_, Value::Object(members)) => struct_of(members),
                _ => json!({}),
            };
            (path(name), owned)
        })
        .collect()
}

/// Ports are a list whose keys are the number and the protocol.
fn ports_of(ports: &[Value]) -> Value {
    let mut owned = Map::from_iter([(".".to_owned(), json!({}))]);
    for port in ports.iter().filter_map(Value::as_object) {
        let key = json!({ "port": port.get("port"), "protocol": port.get("protocol") });
        owned.insert(format!("k:{key}"), struct_of(port));
    }
    Value::Object(owned)
}

fn struct_of(members: &Map<String, Value>) -> Value {
    let nested = members.iter().map(|(name, value)| {
        let owned = value.as_object().map_or_else(|| json!({}), struct_of);
        (path(name), owned)
    });
    Value::Object(std::iter::once((".".to_owned(), json!({}))).chain(nested).collect())
}

fn path(field: &str) -> String {
    format!("f:{field}")
}
