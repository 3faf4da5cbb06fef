//! The two documents of a configuration file, as they are written.
//!
//! Only keys that take effect are here; `keys.rs` has the others. A key that is `None` was not given. Values that the
//! type alone cannot judge are text until `resolve.rs` judges them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Mode;
use super::duration::GoDuration;

/// `KubeProxyConfiguration` of `kubeproxy.config.k8s.io/v1alpha1`, as kube-proxy 1.36 has it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KubeProxyConfiguration {
    /// The node's address, unless unspecified; its family decides the default addresses of the servers.
    pub bind_address: Option<String>,
    /// Whether an address that cannot be bound ends the agent.
    pub bind_address_hard_fail: Option<bool>,
    /// How the API server is reached.
    pub client_connection: ClientConnectionSection,
    /// Networks of all pods, separated by commas.
    #[serde(rename = "clusterCIDR")]
    pub cluster_cidr: Option<String>,
    /// Limits and timeouts of connection tracking.
    pub conntrack: ConntrackSection,
    /// What belongs to a mode of `detectLocalMode`.
    pub detect_local: DetectLocalSection,
    /// `ClusterCIDR`, `NodeCIDR`, `BridgeInterface` or `InterfaceNamePrefix`.
    pub detect_local_mode: Option<String>,
    /// Feature gates of Kubernetes.
    pub feature_gates: BTreeMap<String, bool>,
    /// `IP`, `IP:PORT`, `:PORT`; port 0 for no server.
    pub healthz_bind_address: Option<String>,
    /// The name of the Node.
    pub hostname_override: Option<String>,
    /// Counts where `mode` is empty, as far as `nftables` leaves it open.
    pub iptables: BackEndSection,
    /// How much is logged.
    pub logging: LoggingSection,
    /// `IP`, `IP:PORT`, `:PORT`; port 0 for no server.
    pub metrics_bind_address: Option<String>,
    /// The back end.
    pub mode: Option<String>,
    /// The options of mode nftables.
    pub nftables: BackEndSection,
    /// `primary` alone, or networks.
    pub node_port_addresses: Option<Vec<String>>,
    /// From -1000 to 1000.
    pub oom_score_adj: Option<i32>,
}

impl KubeProxyConfiguration {
    /// The section of the back end that `mode` names; that of nftables without one.
    pub fn section(&mut self) -> &mut BackEndSection {
        if self.mode.as_deref() == Some(Mode::Iptables.name()) {
            &mut self.iptables
        } else {
            &mut self.nftables
        }
    }
}

/// `clientConnection`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClientConnectionSection {
    /// Requests at once beyond `qps`.
    pub burst: Option<u32>,
    /// The path of a kubeconfig file.
    pub kubeconfig: Option<String>,
    /// Requests per second.
    pub qps: Option<f32>,
}

/// `conntrack`; 0 leaves what the kernel has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConntrackSection {
    /// Entries for each processor core.
    pub max_per_core: Option<u32>,
    /// The least entries, however few the cores.
    pub min: Option<u32>,
    /// Whether packets out of the window are let through.
    pub tcp_be_liberal: Option<bool>,
    /// How long a connection may be half closed.
    pub tcp_close_wait_timeout: Option<GoDuration>,
    /// How long an established connection may be idle.
    pub tcp_established_timeout: Option<GoDuration>,
    /// How long a UDP flow that is answered may be idle.
    pub udp_stream_timeout: Option<GoDuration>,
    /// How long a UDP flow without an answer may be idle.
    pub udp_timeout: Option<GoDuration>,
}

/// `detectLocal`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DetectLocalSection {
    /// For the mode `BridgeInterface`.
    pub bridge_interface: Option<String>,
    /// For the mode `InterfaceNamePrefix`.
    pub interface_name_prefix: Option<String>,
}

/// `nftables` and `iptables`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackEndSection {
    /// Whether all connections to ClusterIPs are masqueraded.
    pub masquerade_all: Option<bool>,
    /// The bit of the packet mark that asks for masquerading.
    pub masquerade_bit: Option<u8>,
    /// The least time between two transactions.
    pub min_sync_period: Option<GoDuration>,
    /// How often everything is compared with the kernel.
    pub sync_period: Option<GoDuration>,
}

/// `logging`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoggingSection {
    /// klog's level.
    pub verbosity: Option<u32>,
}

/// `SvcnatConfiguration` of `svcnat.dev/v1alpha1`: what kube-proxy has no word for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SvcnatConfiguration {
    /// How many clients session affinity can remember, for each family.
    pub affinity_size: Option<u32>,
    /// Whether elements of the layout `maps` name the Pod.
    pub backend_comments: Option<bool>,
    /// Whether the kernel counts new connections.
    pub counters: Option<bool>,
    /// How many series each metric of counted connections has.
    pub counters_series: Option<usize>,
    /// `auto`, `chains` or `maps`.
    pub layout: Option<String>,
    /// `auto` or `never`.
    pub own_tables: Option<String>,
    /// A loopback address with a port; empty for no page.
    pub page_bind_address: Option<String>,
    /// Whether TCP connections to endpoints that are gone are ended.
    pub reset_dead_connections: Option<bool>,
    /// Where the last known state is kept.
    pub state_file: Option<String>,
}

/// A kind of document.
pub(super) trait Document: Default + Serialize + for<'de> Deserialize<'de> {
    /// `kind`.
    const KIND: &'static str;
    /// `apiVersion`.
    const VERSION: &'static str;
}

impl Document for KubeProxyConfiguration {
    const KIND: &'static str = "KubeProxyConfiguration";
    const VERSION: &'static str = "kubeproxy.config.k8s.io/v1alpha1";
}

impl Document for SvcnatConfiguration {
    const KIND: &'static str = "SvcnatConfiguration";
    const VERSION: &'static str = "svcnat.dev/v1alpha1";
}
