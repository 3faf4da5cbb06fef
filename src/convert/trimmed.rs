//! EndpointSlices trimmed to the fields that are converted.
//!
//! They are most of what an API server sends, and each change brings all endpoints of its slice again. Of an endpoint's fields the
//! texts are short, so they lie in the value itself rather than in memory of their own.

use compact_str::CompactString;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use smallvec::SmallVec;

use super::check::Target;

/// EndpointSlice (discovery.k8s.io/v1).
#[derive(Debug)]
pub struct EndpointSlice {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `addressType`; empty where it is absent.
    pub address_type: String,
    /// `endpoints`.
    pub endpoints: Vec<Endpoint>,
    /// `ports`.
    pub ports: Vec<discovery::EndpointPort>,
}

/// Endpoint (discovery.k8s.io/v1).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    pub(super) addresses: Option<SmallVec<[CompactString; 1]>>,
    pub(super) conditions: Option<discovery::EndpointConditions>,
    pub(super) hints: Option<discovery::EndpointHints>,
    pub(super) node_name: Option<CompactString>,
    pub(super) target_ref: Option<Reference>,
    pub(super) zone: Option<CompactString>,
}

/// `ObjectReference` (core/v1).
#[derive(Debug, Clone, Deserialize)]
pub struct Reference {
    kind: Option<CompactString>,
    namespace: Option<CompactString>,
    name: Option<CompactString>,
}

impl<'a> From<&'a Reference> for Target<'a> {
    fn from(found: &'a Reference) -> Self {
        Self {
            kind: found.kind.as_deref(),
            namespace: found.namespace.as_deref(),
            name: found.name.as_deref(),
        }
    }
}

impl From<discovery::EndpointSlice> for EndpointSlice {
    fn from(whole: discovery::EndpointSlice) -> Self {
        Self {
            metadata: whole.metadata,
            address_type: whole.address_type,
            endpoints: whole.endpoints.into_iter().map(Endpoint::from).collect(),
            ports: whole.ports.unwrap_or_default(),
        }
    }
}

impl From<discovery::Endpoint> for Endpoint {
    fn from(whole: discovery::Endpoint) -> Self {
        Self {
            addresses: Some(whole.addresses.into_iter().map(CompactString::from).collect()),
            conditions: whole.conditions,
            hints: whole.hints,
            node_name: whole.node_name.map(CompactString::from),
            target_ref: whole.target_ref.map(Reference::from),
            zone: whole.zone.map(CompactString::from),
        }
    }
}

impl From<ObjectReference> for Reference {
    fn from(whole: ObjectReference) -> Self {
        Self {
            kind: whole.kind.map(CompactString::from),
            namespace: whole.namespace.map(CompactString::from),
            name: whole.name.map(CompactString::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::convert::endpoint_slice;

    fn converted(endpoint: Endpoint) -> String {
        let labels = BTreeMap::from([("kubernetes.io/service-name".to_owned(), "web".to_owned())]);
        let metadata = ObjectMeta {
            name: Some("web-1".to_owned()),
            namespace: Some("shop".to_owned()),
            labels: Some(labels),
            ..ObjectMeta::default()
        };
        let endpoints = vec![endpoint];
        let slice = EndpointSlice { metadata, address_type: "IPv4".to_owned(), endpoints, ports: Vec::new() };
        format!("{:?}", endpoint_slice(&slice))
    }

    #[test]
    fn an_endpoint_that_is_trimmed_while_parsing_says_the_same_as_the_whole_one() {
        let check = |fields: &str| {
            let text = format!("{{{fields}}}");
            let whole = serde_json::from_str::<discovery::Endpoint>(&text).map(Endpoint::from);
            let trimmed = serde_json::from_str::<Endpoint>(&text);
            assert_eq!(whole.is_ok(), trimmed.is_ok(), "{text}");
            assert_eq!(whole.ok().map(converted), trimmed.ok().map(converted), "{text}");
        };
        let address = r#""addresses":["10.244.0.2"]"#;
        check(address);
        for addresses in ["", r#""addresses":null"#, r#""addresses":[]"#, r#""addresses":["10.244.0.2","x"]"#]
        {
            check(addresses);
        }
        for more in [
            r#""conditions":{"ready":false,"serving":true,"terminating":true}"#,
            r#""conditions":null,"hints":null,"nodeName":null,"targetRef":null,"zone":null"#,
            r#""hints":{"forZones":[{"name":"a"}],"forNodes":[{"name":"node-a"}]}"#,
            r#""hostname":"web-0","deprecatedTopology":{"x":"y"},"unknown":[{}]"#,
            r#""nodeName":"node-a","zone":"a""#,
            r#""nodeName":"a-name-that-is-longer-than-the-value-itself.example.com""#,
            r#""targetRef":{"kind":"Pod","name":"web-0","uid":"1","resourceVersion":"7"}"#,
            r#""targetRef":{"kind":"Pod","name":"web-0","namespace":"other"}"#,
            r#""targetRef":{"kind":"Node","name":"node-a"}"#,
            r#""zone":7"#,
            r#""targetRef":"web-0""#,
            r#""addresses":"10.244.0.3""#,
        ] {
            check(&format!("{address},{more}"));
        }
    }
}
