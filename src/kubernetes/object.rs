//! Objects as they are read: only the fields that rules depend on, and never a failure that costs more than the object.

use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

use k8s_openapi::api::{core::v1 as core, discovery::v1 as discovery, networking::v1 as networking};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use svcnat_rules::name::ObjectName;

use crate::convert::trimmed;

/// `metadata.resourceVersion`. The API says since 1.35 that versions can be compared as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    /// A number, as every API server in use has it.
    Number(u64),
    /// Something else, which can only be told apart.
    Other(Box<str>),
}

impl Version {
    pub fn new(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Other(text.into()), Self::Number)
    }

    /// Whether this is certainly older than the other.
    pub fn is_older_than(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Number(this), Self::Number(other)) if this < other)
    }
}

/// What a list or a watch says of one object.
#[derive(Debug, Clone)]
pub(super) struct Item<O> {
    /// When its parsing began, which is right after its bytes were read.
    pub read: Instant,
    /// Its name; `None` where even that cannot be read. Kinds without a namespace have an empty one.
    pub name: Option<ObjectName>,
    /// Its version as it stands there; empty where there is none.
    pub version: String,
    /// When what led to this version happened.
    pub triggered: Option<SystemTime>,
    /// The object, or what is wrong with its JSON.
    pub content: Result<O, String>,
}

/// A kind of object, trimmed to what `crate::convert` reads. Everything else is skipped while parsing.
pub(super) trait Object: DeserializeOwned + Clone + Send + 'static {
    fn metadata(&self) -> &Metadata;
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<Annotations>,
    resource_version: Option<String>,
    creation_timestamp: Option<Time>,
    deletion_timestamp: Option<Time>,
}

#[derive(Debug, Clone, Deserialize)]
struct Annotations {
    /// `EndpointsLastChangeTriggerTime` (core/v1): RFC 3339.
    #[serde(rename = "endpoints.kubernetes.io/last-change-trigger-time")]
    triggered: Option<String>,
}

/// An object of which nothing but the name is read; what is missing or of another type counts as absent.
#[derive(Debug, Default, Deserialize)]
struct Named {
    metadata: Name,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Name {
    name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
}

impl<O: Object> Item<O> {
    /// Reads one object.
    pub fn parse(text: &[u8], read: Instant) -> Self {
        Self::try_parse(text, read).unwrap_or_else(|error| Self::malformed(text, read, &error))
    }

    /// Reads one object, unless something is wrong with it.
    pub fn try_parse(text: &[u8], read: Instant) -> serde_json::Result<Self> {
        // Looking at all of the text at once takes a tenth of what looking at each of its strings does.
        let object: O = match std::str::from_utf8(text) {
            Ok(text) => serde_json::from_str(text)?,
            Err(_) => serde_json::from_slice(text)?,
        };
        let metadata = object.metadata();
        Ok(Self {
            read,
            name: object_name(metadata.namespace.as_deref(), metadata.name.as_deref()),
            version: metadata.resource_version.clone().unwrap_or_default(),
            triggered: metadata.triggered(),
            content: Ok(object),
        })
    }

    fn malformed(text: &[u8], read: Instant, error: &serde_json::Error) -> Self {
        let again = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_slice(text));
        let error = again.map_or_else(|error| error.to_string(), |_: O| error.to_string());
        let Named { metadata } = serde_json::from_slice(text).unwrap_or_default();
        Self {
            read,
            name: object_name(metadata.namespace.as_deref(), metadata.name.as_deref()),
            version: metadata.resource_version.unwrap_or_default(),
            triggered: None,
            content: Err(error),
        }
    }
}

fn object_name(namespace: Option<&str>, name: Option<&str>) -> Option<ObjectName> {
    let name = name.filter(|name| !name.is_empty())?;
    Some(ObjectName::new(namespace.unwrap_or_default(), name))
}

impl Metadata {
    fn triggered(&self) -> Option<SystemTime> {
        let text = self.annotations.as_ref()?.triggered.as_ref()?;
        text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
    }
}

impl From<Metadata> for ObjectMeta {
    fn from(metadata: Metadata) -> Self {
        Self {
            name: metadata.name,
            namespace: metadata.namespace,
            labels: metadata.labels,
            creation_timestamp: metadata.creation_timestamp,
            deletion_timestamp: metadata.deletion_timestamp,
            ..Self::default()
        }
    }
}

/// Service (core/v1).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Service {
    metadata: Metadata,
    spec: Option<core::ServiceSpec>,
    status: Option<core::ServiceStatus>,
}

/// EndpointSlice (discovery.k8s.io/v1).
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EndpointSlice {
    metadata: Metadata,
    address_type: Option<String>,
    endpoints: Option<Vec<trimmed::Endpoint>>,
    ports: Option<Vec<discovery::EndpointPort>>,
}

/// Endpoints (core/v1).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Endpoints {
    metadata: Metadata,
    subsets: Option<Vec<core::EndpointSubset>>,
}

/// Node (core/v1).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    metadata: Metadata,
    spec: Option<NodeSpec>,
    status: Option<NodeStatus>,
}

#[derive(Debug, Clone, Deserialize)]
struct NodeSpec {
    #[serde(rename = "podCIDR")]
    pod_cidr: Option<String>,
    #[serde(rename = "podCIDRs")]
    pod_cidrs: Option<Vec<String>>,
    taints: Option<Vec<core::Taint>>,
}

#[derive(Debug, Clone, Deserialize)]
struct NodeStatus {
    addresses: Option<Vec<core::NodeAddress>>,
}

/// ServiceCIDR (networking.k8s.io/v1).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServiceCidr {
    metadata: Metadata,
    spec: Option<networking::ServiceCIDRSpec>,
}

impl Object for Service {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Object for EndpointSlice {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Object for Endpoints {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Object for Node {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl Object for ServiceCidr {
    fn metadata(&self) -> &Metadata {
        &self.metadata
    }
}

impl From<Service> for core::Service {
    fn from(object: Service) -> Self {
        Self { metadata: object.metadata.into(), spec: object.spec, status: object.status }
    }
}

impl From<EndpointSlice> for trimmed::EndpointSlice {
    fn from(object: EndpointSlice) -> Self {
        Self {
            metadata: object.metadata.into(),
            address_type: object.address_type.unwrap_or_default(),
            endpoints: object.endpoints.unwrap_or_default(),
            ports: object.ports.unwrap_or_default(),
        }
    }
}

impl From<Endpoints> for core::Endpoints {
    fn from(object: Endpoints) -> Self {
        Self { metadata: object.metadata.into(), subsets: object.subsets }
    }
}

impl From<Node> for core::Node {
    fn from(object: Node) -> Self {
        let spec = object.spec.map(|spec| core::NodeSpec {
            pod_cidr: spec.pod_cidr,
            pod_cidrs: spec.pod_cidrs,
            taints: spec.taints,
            ..core::NodeSpec::default()
        });
        let status = object
            .status
            .map(|status| core::NodeStatus { addresses: status.addresses, ..core::NodeStatus::default() });
        Self { metadata: object.metadata.into(), spec, status }
    }
}

impl From<ServiceCidr> for networking::ServiceCIDR {
    fn from(object: ServiceCidr) -> Self {
        Self { metadata: object.metadata.into(), spec: object.spec, status: None }
    }
}
