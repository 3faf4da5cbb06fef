//! What the server says that it serves.

use serde_json::{Value, json};

use crate::Resource;
use crate::resource::EVENTS_GROUP;

const GROUPS: [&str; 3] = [EVENTS_GROUP, "networking.k8s.io", "discovery.k8s.io"];

/// `/version`.
pub(crate) fn version() -> Value {
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": "v1.36.2",
        "gitCommit": "",
        "gitTreeState": "",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    })
}

/// `/api`.
pub(crate) fn core_versions() -> Value {
    json!({ "kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [] })
}

/// `/apis`.
pub(crate) fn groups(is_served: impl Fn(Resource) -> bool) -> Value {
    let groups: Vec<Value> = GROUPS.iter().filter_map(|name| body_of(name, &is_served)).collect();
    json!({ "kind": "APIGroupList", "apiVersion": "v1", "groups": groups })
}

/// `/apis/GROUP`.
pub(crate) fn group(name: &str, is_served: impl Fn(Resource) -> bool) -> Option<Value> {
    let mut group = body_of(name, &is_served)?;
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    Some(group)
}

fn body_of(name: &str, is_served: &impl Fn(Resource) -> bool) -> Option<Value> {
    let api_version = format!("{name}/v1");
    resources(&api_version, is_served)?;
    let version = json!({ "groupVersion": api_version, "version": "v1" });
    Some(json!({ "name": name, "versions": [version], "preferredVersion": version }))
}

/// `/apis/GROUP/VERSION` and `/api/v1`: the resources of a version that has any which are served.
pub(crate) fn resources(api_version: &str, is_served: impl Fn(Resource) -> bool) -> Option<Value> {
    let all =
        Resource::ALL.into_iter().filter(|resource| resource.is_in(api_version) && is_served(*resource));
    let resources: Vec<Value> = all.map(described).collect();
    (!resources.is_empty()).then(|| {
        json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": api_version,
            "resources": resources,
        })
    })
}

fn described(resource: Resource) -> Value {
    let facts = resource.facts();
    let mut described = json!({
        "name": facts.plural,
        "singularName": facts.singular,
        "namespaced": facts.namespaced,
        "kind": facts.kind,
        "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
    });
    if resource == Resource::EndpointSlices {
        described["storageVersionHash"] = "qgS0xkrxYAI=".into();
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_without_a_served_resource_are_not_there() {
        let without = |resource| resource != Resource::EndpointSlices;
        assert_eq!(group("discovery.k8s.io", without), None);
        assert_eq!(resources("discovery.k8s.io/v1", without), None);
        assert_eq!(groups(without)["groups"].as_array().map(Vec::len), Some(2));
        assert!(group(EVENTS_GROUP, without).is_some());
        assert_eq!(resources("discovery.k8s.io/v1beta1", |_| true), None);
    }
}
