//! New connections, as the kernel counts them with `--counters`.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use svcnat_rules::name::Name;
use svcnat_rules::net::Protocol;

/// The new connections to a frontend since it is there: an address and a port where clients connect, or a node port.
///
/// `connections` never goes down while the frontend exists. A frontend that comes back begins at 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FrontendConnections {
    /// The namespace of the Service that has the frontend.
    pub namespace: String,
    /// The name of that Service.
    pub service: String,
    /// The name of the service port; empty for the only port of a Service.
    pub port_name: Name,
    /// Its protocol.
    pub protocol: Protocol,
    /// Where clients connect; `null` for a node port, which may be on several addresses of both families.
    pub address: Option<IpAddr>,
    /// The port there, or the node port.
    pub port: u16,
    /// Connections that were translated.
    pub connections: u64,
    /// By backend, in the order of addresses and ports. Absent in a list of many Services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backends: Vec<BackendConnections>,
}

/// The new connections that a frontend has led to one backend, since it leads there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendConnections {
    /// The backend's address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// Connections that were translated to it.
    pub connections: u64,
}
