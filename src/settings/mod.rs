//! What the agent is told to do: kube-proxy's configuration file and flags, and our own options.
//!
//! A configuration is one file and some flags ([`Source`]). The file holds a [`KubeProxyConfiguration`], a
//! [`SvcnatConfiguration`], or both as two YAML documents; flags are the same two types with only the given keys set. As
//! with kube-proxy, flags that stand for keys of the first are ignored beside a file, but for `hostnameOverride` and
//! `logging.verbosity`; those for keys of the second win over it. Everything ends in [`Settings`], whose values are valid.
//!
//! Defaults are kube-proxy's 1.36 for mode nftables, with one exception: without `minSyncPeriod` a change does not wait.
//!
//! All errors are reported at once, with file, line and key, or with the flag. Only of values whose type is wrong it is the
//! first one of each document.

mod document;
mod duration;
mod error;
mod keys;
mod note;
mod read;
mod reload;
mod resolve;
mod source;
mod write;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

pub use document::{
    BackEndSection, ClientConnectionSection, ConntrackSection, DetectLocalSection, KubeProxyConfiguration,
    LoggingSection, SvcnatConfiguration,
};
pub use duration::GoDuration;
pub use error::{At, Error, Errors, Reason};
pub use keys::flags;
pub use note::Note;
pub use reload::Reload;
pub use resolve::interface_name;
pub use source::{Flags, Loaded, Source};
use svcnat_rules::cluster::Node;
use svcnat_rules::config::Config;
use tracing::level_filters::LevelFilter;

/// Everything that the agent is told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The packet filter that is programmed (`mode`).
    pub mode: Mode,
    /// What shapes the rules.
    pub rules: Config,
    /// The node's address instead of the first one of its family in the Node object (`bindAddress`), as far as one is
    /// given that is neither `0.0.0.0` nor `::`. See [`Settings::override_address`].
    pub node_address: Option<IpAddr>,
    /// How the API server is reached.
    pub client: Client,
    /// Where `/healthz` and `/livez` are served (`healthzBindAddress`); `None` for nowhere.
    pub healthz: Option<SocketAddr>,
    /// Where `/metrics` is served (`metricsBindAddress`); `None` for nowhere.
    pub metrics: Option<SocketAddr>,
    /// Whether an address that cannot be bound ends the agent (`bindAddressHardFail`).
    pub bind_hard_fail: bool,
    /// How often everything is compared with the kernel, at least (`nftables.syncPeriod`). Not 0.
    pub sync_period: Duration,
    /// The least time between the beginnings of two transactions (`nftables.minSyncPeriod`).
    pub min_sync_period: Duration,
    /// What the kernel's connection tracking is told.
    pub conntrack: Conntrack,
    /// What is written to `/proc/self/oom_score_adj` (`oomScoreAdj`), from -1000 to 1000.
    pub oom_score_adj: i32,
    /// How much is logged, on klog's scale (`logging.verbosity`). See [`Settings::log_level`].
    pub verbosity: u32,
    /// Whether TCP connections to endpoints that are gone are ended (`resetDeadConnections`).
    pub reset_dead_connections: bool,
    /// Where the last known state is kept (`stateFile`).
    pub state_file: Option<PathBuf>,
    /// Whether the tables belong to the agent's process (`ownTables`).
    pub own_tables: OwnTables,
    /// How many frontends and how many backends have a series of their own in the metrics of counted connections
    /// (`countersSeries`); 0 for no such metrics.
    pub counters_series: usize,
    /// Where the page is served (`pageBindAddress`), which is a loopback address; `None` for nowhere.
    pub page: Option<SocketAddr>,
}

/// The packet filter that is programmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// nftables, by netlink.
    #[default]
    Nftables,
    /// iptables, by its programs.
    Iptables,
}

impl Mode {
    /// The word for it in a configuration and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }
}

/// How the API server is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// A kubeconfig file; without one, what a pod is given (`clientConnection.kubeconfig`).
    pub kubeconfig: Option<PathBuf>,
    /// The server's URL instead of that of the kubeconfig file (`--master`).
    pub master: Option<String>,
    /// Requests per second; no limit where it is negative (`clientConnection.qps`). Finite.
    pub qps: f32,
    /// Requests at once beyond that (`clientConnection.burst`).
    pub burst: u32,
}

/// What the kernel's connection tracking is told (`conntrack`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conntrack {
    /// Entries for each processor core; 0 leaves the table's size as it is.
    pub max_per_core: u32,
    /// The least entries, however few the cores.
    pub min: u32,
    /// How long an established TCP connection may be idle; `None` leaves what the kernel has.
    pub tcp_established_timeout: Option<Duration>,
    /// How long a TCP connection may be half closed; `None` leaves what the kernel has.
    pub tcp_close_wait_timeout: Option<Duration>,
    /// Whether packets out of the window are let through; `false` leaves what the kernel has.
    pub tcp_be_liberal: bool,
    /// How long a UDP flow without an answer may be idle; `None` leaves what the kernel has.
    pub udp_timeout: Option<Duration>,
    /// How long a UDP flow that is answered may be idle; `None` leaves what the kernel has.
    pub udp_stream_timeout: Option<Duration>,
}

/// Whether the tables belong to the agent's process, so that nobody else can change them (`NFT_TABLE_F_OWNER`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OwnTables {
    /// Where the kernel can keep them when the process ends (`NFT_TABLE_F_PERSIST`).
    #[default]
    Auto,
    /// Not at all.
    Never,
}

impl Settings {
    /// Makes the node's address of the settings the primary one of its family, as kube-proxy does: for node ports of
    /// `primary`, and for source ranges that hold the node's address.
    pub fn override_address(&self, node: &mut Node) {
        if let Some(address) = self.node_address {
            node.addresses.retain(|other| *other != address);
            node.addresses.insert(0, address);
        }
    }

    /// The level that comes nearest to klog's: 0 to 3 are what an operator reads, 4 and 5 are for finding faults, more
    /// than that traces everything.
    #[must_use]
    pub fn log_level(&self) -> LevelFilter {
        match self.verbosity {
            0..=3 => LevelFilter::INFO,
            4 | 5 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use svcnat_rules::name::Name;
    use svcnat_rules::net::Family;

    use super::*;

    fn settings(text: &str) -> Settings {
        let head = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nhostnameOverride: n\n";
        Source::default().load_text("config.yaml", &format!("{head}{text}")).unwrap().settings
    }

    #[test]
    fn a_bind_address_becomes_the_primary_address_of_its_family() {
        #[track_caller]
        fn check(bind_address: &str, expected: [&str; 2]) {
            let addresses: Vec<IpAddr> =
                ["192.0.2.1", "192.0.2.2", "2001:db8::1"].iter().map(|text| text.parse().unwrap()).collect();
            let mut node = Node { name: Name::from("n"), addresses, zone: None, pod_cidrs: Vec::new() };
            settings(&format!("bindAddress: \"{bind_address}\"\n")).override_address(&mut node);
            let primary = Family::ALL.map(|family| node.primary_address(family).unwrap().to_string());
            assert_eq!(primary, expected, "{bind_address}");
        }
        check("0.0.0.0", ["192.0.2.1", "2001:db8::1"]);
        check("::", ["192.0.2.1", "2001:db8::1"]);
        check("192.0.2.2", ["192.0.2.2", "2001:db8::1"]);
        check("192.0.2.3", ["192.0.2.3", "2001:db8::1"]);
        check("2001:db8::7", ["192.0.2.1", "2001:db8::7"]);
    }

    #[test]
    fn levels_of_klog_have_their_counterparts() {
        for (verbosity, expected) in
            [(0, LevelFilter::INFO), (3, LevelFilter::INFO), (4, LevelFilter::DEBUG), (6, LevelFilter::TRACE)]
        {
            assert_eq!(settings(&format!("logging: {{verbosity: {verbosity}}}")).log_level(), expected);
        }
    }
}
