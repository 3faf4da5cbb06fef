//! What the operator decides: the options that shape the rules. Names and defaults are kube-proxy's where it has them.

use crate::name::Name;
use crate::net::Cidr;

/// The options of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The name of this node as it stands in `nodeName` of endpoints (`--hostname-override`).
    pub node_name: Name,
    /// How traffic of this cluster's pods is told from other traffic (`--detect-local-mode`).
    pub detect_local: DetectLocal,
    /// Masquerade all traffic to ClusterIPs (`--masquerade-all`).
    pub masquerade_all: bool,
    /// The bit of the packet mark that asks for masquerading, 0 to 31 (`iptables.masqueradeBit`,
    /// `nftables.masqueradeBit`).
    pub masquerade_bit: u8,
    /// On which addresses of the node node ports are served (`--nodeport-addresses`).
    pub node_port_addresses: NodePortAddresses,
    /// How backends are picked (`--layout`).
    pub layout: Layout,
    /// Whether elements of the layout `maps` name the backend's Pod (`--backend-comments`).
    pub backend_comments: bool,
    /// How many clients the affinity map of each family can hold (`--affinity-size`).
    pub affinity_size: u32,
    /// Whether the kernel counts new connections (`--counters`).
    pub counters: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            node_name: Name::from(""),
            detect_local: DetectLocal::Off,
            masquerade_all: false,
            masquerade_bit: 14,
            node_port_addresses: NodePortAddresses::Primary,
            layout: Layout::Auto,
            backend_comments: false,
            affinity_size: 262_144,
            counters: false,
        }
    }
}

impl Config {
    /// The mark that asks for masquerading.
    #[must_use]
    pub fn masquerade_mark(&self) -> u32 {
        1 << (self.masquerade_bit & 31)
    }
}

/// How traffic of this cluster's pods is told from other traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DetectLocal {
    /// Not at all: nothing is masqueraded for not coming from a pod.
    Off,
    /// The source lies in one of these networks (mode `ClusterCIDR`).
    ClusterCidr(Vec<Cidr>),
    /// The source lies in the node's own `spec.podCIDRs` (mode `NodeCIDR`).
    NodeCidr,
    /// The packet came in from this interface (mode `BridgeInterface`, `--pod-bridge-interface`).
    BridgeInterface(Name),
    /// The packet came in from an interface whose name begins so (mode `InterfaceNamePrefix`,
    /// `--pod-interface-name-prefix`).
    InterfaceNamePrefix(Name),
}

/// On which addresses of the node node ports are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodePortAddresses {
    /// The node's primary address of each family; where no Node is known, every local address but loopback.
    Primary,
    /// The node's addresses that lie in one of these networks.
    Cidrs(Vec<Cidr>),
    /// Every local address but loopback.
    All,
}

/// How backends are picked in the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Layout {
    /// [`Picking::Chains`](crate::layout::Picking) while there are few backend rules, else `Maps`.
    #[default]
    Auto,
    /// A chain for each service port with one random-statistic rule per backend.
    Chains,
    /// Shared maps from frontend and slot to backend.
    Maps,
}
