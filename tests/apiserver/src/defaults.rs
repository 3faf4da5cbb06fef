//! What the API fills in where an object leaves it out, as far as proxies look at it.

use serde_json::{Map, Value, json};

use crate::Resource;

/// Fills in the defaults of the resource.
pub(crate) fn fill(resource: Resource, fields: &mut Map<String, Value>) {
    match resource {
        Resource::Services => service(fields),
        Resource::EndpointSlices => protocols(fields),
        Resource::Endpoints => {
            for subset in objects(fields, "subsets") {
                protocols(subset);
            }
        }
        Resource::Nodes | Resource::ServiceCidrs | Resource::Events => {}
    }
}

fn service(fields: &mut Map<String, Value>) {
    fields.entry("status").or_insert_with(|| json!({ "loadBalancer": {} }));
    let Some(spec) = fields.entry("spec").or_insert_with(|| json!({})).as_object_mut() else { return };
    absent(spec, "type", || "ClusterIP".into());
    absent(spec, "sessionAffinity", || "None".into());
    if spec.get("sessionAffinity").is_some_and(|affinity| affinity == "ClientIP") {
        absent(spec, "sessionAffinityConfig", || json!({ "clientIP": { "timeoutSeconds": 10800 } }));
    }
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if kind == "NodePort" || kind == "LoadBalancer" {
        absent(spec, "externalTrafficPolicy", || "Cluster".into());
    }
    if kind == "LoadBalancer" {
        absent(spec, "allocateLoadBalancerNodePorts", || true.into());
    }
    if kind != "ExternalName" {
        absent(spec, "internalTrafficPolicy", || "Cluster".into());
        addresses(spec);
    }
    protocols(spec);
    for port in objects(spec, "ports") {
        if let Some(number) = port.get("port").cloned() {
            absent(port, "targetPort", || number);
        }
    }
}

/// The ClusterIPs in all the fields that name them. None is allocated.
fn addresses(spec: &mut Map<String, Value>) {
    if let Some(first) = spec.get("clusterIPs").and_then(|all| all.get(0)).cloned() {
        absent(spec, "clusterIP", || first);
    }
    if let Some(only) = spec.get("clusterIP").cloned() {
        absent(spec, "clusterIPs", || json!([only]));
    }
    let Some(all) = spec.get("clusterIPs").and_then(Value::as_array) else { return };
    let families: Vec<Value> = all
        .iter()
        .filter_map(Value::as_str)
        .map(|address| if address.contains(':') { "IPv6".into() } else { "IPv4".into() })
        .collect();
    absent(spec, "ipFamilyPolicy", || {
        if families.len() > 1 { "RequireDualStack".into() } else { "SingleStack".into() }
    });
    absent(spec, "ipFamilies", || families.into());
}

/// The protocol of each of the `ports`.
fn protocols(of: &mut Map<String, Value>) {
    for port in objects(of, "ports") {
        absent(port, "protocol", || "TCP".into());
    }
}

fn objects<'a>(
    of: &'a mut Map<String, Value>,
    list: &str,
) -> impl Iterator<Item = &'a mut Map<String, Value>> {
    of.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

fn absent(map: &mut Map<String, Value>, field: &str, value: impl FnOnce() -> Value) {
    map.entry(field).or_insert_with(value);
}
