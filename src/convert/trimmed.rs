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
#[derive(Debug, Clone, Default)]
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
#[derive(Debug, Clone, Default, Deserialize)]
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
#[derive(Debug, Clone, Default, Deserialize)]
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
