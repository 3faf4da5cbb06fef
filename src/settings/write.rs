//! From settings to the text of a configuration file.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use svcnat_rules::config::{DetectLocal, Layout, NodePortAddresses};

use super::document::{
    BackEndSection, ClientConnectionSection, ConntrackSection, DetectLocalSection, Document,
    KubeProxyConfiguration, LoggingSection, SvcnatConfiguration,
};
use super::read::strip_nulls;
use super::{GoDuration, Mode, OwnTables, Settings};

impl Settings {
    /// Both documents, with every key that takes effect. Loading them gives the same settings, but for `client.master`,
    /// which neither kube-proxy's file nor ours has.
    ///
    /// # Errors
    ///
    /// Those of the YAML writer; it has none for these documents.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::ser::Error> {
        let first = yaml(&self.kube_proxy())?;
        let second = yaml(&self.svcnat())?;
        Ok(format!("{first}---\n{second}"))
    }

    /// The same as JSON, for `/configz`; null where it cannot be said.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self.kube_proxy()).unwrap_or_default()
    }

    fn kube_proxy(&self) -> KubeProxyConfiguration {
        let (detect_local_mode, cluster_cidr, detect_local) = detect_local(&self.rules.detect_local);
        let any: IpAddr = match self.healthz {
            Some(SocketAddr::V6(_)) => [0_u16; 8].into(),
            _ => [0_u8; 4].into(),
        };
        let section = BackEndSection {
            masquerade_all: Some(self.rules.masquerade_all),
            masquerade_bit: Some(self.rules.masquerade_bit),
            min_sync_period: Some(GoDuration(self.min_sync_period)),
            sync_period: Some(GoDuration(self.sync_period)),
        };
        KubeProxyConfiguration {
            bind_address: Some(self.node_address.unwrap_or(any).to_string()),
            bind_address_hard_fail: Some(self.bind_hard_fail),
            client_connection: ClientConnectionSection {
                burst: Some(self.client.burst),
                kubeconfig: Some(path(self.client.kubeconfig.as_deref())),
                qps: Some(self.client.qps),
            },
            cluster_cidr: Some(cluster_cidr),
            conntrack: self.conntrack_section(),
            detect_local,
            detect_local_mode: Some(detect_local_mode.to_owned()),
            feature_gates: std::collections::BTreeMap::new(),
            healthz_bind_address: Some(server(self.healthz)),
            hostname_override: Some(self.rules.node_name.to_string()),
            iptables: if self.mode == Mode::Iptables { section.clone() } else { BackEndSection::default() },
            logging: LoggingSection { verbosity: Some(self.verbosity) },
            metrics_bind_address: Some(server(self.metrics)),
            mode: Some(self.mode.name().to_owned()),
            nftables: if self.mode == Mode::Nftables { section } else { BackEndSection::default() },
            node_port_addresses: Some(node_port_addresses(&self.rules.node_port_addresses)),
            oom_score_adj: Some(self.oom_score_adj),
        }
    }

    fn conntrack_section(&self) -> ConntrackSection {
        let timeout = |timeout: Option<Duration>| Some(GoDuration(timeout.unwrap_or_default()));
        let conntrack = &self.conntrack;
        ConntrackSection {
            max_per_core: Some(conntrack.max_per_core),
            min: Some(conntrack.min),
            tcp_be_liberal: Some(conntrack.tcp_be_liberal),
            tcp_close_wait_timeout: timeout(conntrack.tcp_close_wait_timeout),
            tcp_established_timeout: timeout(conntrack.tcp_established_timeout),
            udp_stream_timeout: timeout(conntrack.udp_stream_timeout),
            udp_timeout: timeout(conntrack.udp_timeout),
        }
    }

    fn svcnat(&self) -> SvcnatConfiguration {
        let layout = match self.rules.layout {
            Layout::Auto => "auto",
            Layout::Chains => "chains",
            Layout::Maps => "maps",
        };
        let own_tables = match self.own_tables {
            OwnTables::Auto => "auto",
            OwnTables::Never => "never",
        };
        SvcnatConfiguration {
            affinity_size: Some(self.rules.affinity_size),
            backend_comments: Some(self.rules.backend_comments),
            counters: Some(self.rules.counters),
            counters_series: Some(self.counters_series),
            layout: Some(layout.to_owned()),
            own_tables: Some(own_tables.to_owned()),
            page_bind_address: Some(self.page.map(|address| address.to_string()).unwrap_or_default()),
            reset_dead_connections: Some(self.reset_dead_connections),
            state_file: Some(path(self.state_file.as_deref())),
        }
    }
}

/// A document in YAML, its keys in alphabetical order behind `apiVersion` and `kind`, as kube-proxy writes them.
fn yaml<T: Document>(document: &T) -> Result<String, serde_saphyr::ser::Error> {
    let fields = serde_json::to_value(document).ok();
    let mut fields = fields.and_then(|fields| fields.as_object().cloned()).unwrap_or_default();
    strip_nulls(&mut fields);
    fields.retain(|_, value| value.as_object().is_none_or(|fields| !fields.is_empty()));
    let head: Map<String, Value> = [("apiVersion", T::VERSION), ("kind", T::KIND)]
        .map(|(key, text)| (key.to_owned(), text.into()))
        .into_iter()
        .collect();
    Ok(serde_saphyr::to_string(&head)? + &serde_saphyr::to_string(&fields)?)
}

fn path(path: Option<&Path>) -> String {
    path.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Port 0 is for no server.
fn server(address: Option<SocketAddr>) -> String {
    address.map_or_else(|| ":0".to_owned(), |address| address.to_string())
}

fn detect_local(detect: &DetectLocal) -> (&'static str, String, DetectLocalSection) {
    let mut section = DetectLocalSection::default();
    let (mode, cidrs) = match detect {
        DetectLocal::Off => ("ClusterCIDR", String::new()),
        DetectLocal::ClusterCidr(networks) => {
            ("ClusterCIDR", networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
        }
        DetectLocal::NodeCidr => ("NodeCIDR", String::new()),
        DetectLocal::BridgeInterface(name) => {
            section.bridge_interface = Some(name.to_string());
            ("BridgeInterface", String::new())
        }
        DetectLocal::InterfaceNamePrefix(prefix) => {
            section.interface_name_prefix = Some(prefix.to_string());
            ("InterfaceNamePrefix", String::new())
        }
    };
    (mode, cidrs, section)
}

fn node_port_addresses(addresses: &NodePortAddresses) -> Vec<String> {
    match addresses {
        NodePortAddresses::Primary => vec!["primary".to_owned()],
        NodePortAddresses::All => vec!["0.0.0.0/0".to_owned(), "::/0".to_owned()],
        NodePortAddresses::Cidrs(networks) => networks.iter().map(ToString::to_string).collect(),
    }
}
