//! From Kubernetes' own types to the compact ones of `svcnat_rules::cluster`, one object at a time.
//!
//! This is the only place that knows the meaning of Kubernetes' fields; manifests and the Kubernetes API both come
//! through here. A conversion never panics. It ends in one of three ways: the value that rules are made of; a
//! [`NotProgrammed`] that says why the object, though valid, takes no part; or an [`Invalid`] that names every field at
//! fault. The checks are those of the Kubernetes API server as far as rules depend on them, because a manifest may
//! never have passed through one, and because names end up as names of chains.

mod check;
mod endpoint_slice;
mod endpoints;
mod invalid;
mod node;
mod pod;
mod selection;
mod service;
mod service_cidr;
pub mod trimmed;
mod validate;

pub use endpoint_slice::endpoint_slice;
pub use endpoints::endpoints;
pub use invalid::{Invalid, InvalidField, NameRule, Problem, printable};
pub use node::node;
pub use pod::{ContainerPort, Pod, pod};
pub use selection::{Selection, selection};
pub use service::service;
pub use service_cidr::service_cidr;
pub use validate::validate;

/// What became of a valid object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    /// It takes part in the rules.
    Programmed(T),
    /// It takes no part in them.
    NotProgrammed(NotProgrammed),
}

/// Why a valid object takes no part in the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotProgrammed {
    /// A Service with `clusterIP: None`, or a slice with the label `service.kubernetes.io/headless`.
    #[error("headless: clients connect to the pods themselves")]
    Headless,
    /// A Service of type ExternalName.
    #[error("type ExternalName: a name in DNS, no addresses")]
    ExternalName,
    /// An object with the label `service.kubernetes.io/service-proxy-name`.
    #[error("label service.kubernetes.io/service-proxy-name leaves it to the proxy \"{}\"", printable(.0))]
    OtherProxy(String),
    /// A Service with neither ClusterIP nor node port nor any other address.
    #[error("no clusterIP, nodePort, externalIP or load balancer address yet: nothing to connect to")]
    NoFrontend,
    /// An EndpointSlice with `addressType: FQDN`.
    #[error("addressType FQDN is refused: only addresses can be programmed")]
    FqdnAddresses,
    /// A Pod whose `status.phase` is Succeeded or Failed.
    #[error("the pod has ended")]
    PodEnded,
    /// A Pod without `status.podIP`: one that does not run yet, or a manifest that was never applied.
    #[error("no status.podIP: the pod does not run, so it is nobody's endpoint")]
    PodWithoutAddress,
}
