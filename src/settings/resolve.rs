//! From documents to settings: what every key means, its default, and whether its value is one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use svcnat_rules::config::{Config, DetectLocal, Layout, NodePortAddresses};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Cidr, Family};

use super::document::{BackEndSection, KubeProxyConfiguration, SvcnatConfiguration};
use super::error::{Problem, Reason};
use super::{Client, Conntrack, GoDuration, Mode, OwnTables, Settings};

/// Settings, and what is to be said of the documents that they were made of.
pub(super) struct Resolved {
    pub settings: Settings,
    /// Keys that have no effect beside other ones, and why.
    pub no_effect: Vec<(String, &'static str)>,
    /// Whether the mode was left open.
    pub empty_mode: bool,
}

/// Makes settings, or says everything that is wrong.
pub(super) fn resolve(
    kube_proxy: &KubeProxyConfiguration,
    svcnat: &SvcnatConfiguration,
) -> Result<Resolved, Vec<Problem>> {
    let mut resolver = Resolver { problems: Vec::new(), no_effect: Vec::new() };
    let settings = resolver.settings(kube_proxy, svcnat);
    if !resolver.problems.is_empty() {
        return Err(resolver.problems);
    }
    let empty_mode = text(kube_proxy.mode.as_ref()).is_none();
    Ok(Resolved { settings, no_effect: resolver.no_effect, empty_mode })
}

/// An interface name as the kernel takes it (`dev_valid_name`), or a beginning of one.
///
/// # Errors
///
/// What such a name is made of.
pub fn interface_name(text: &str) -> Result<String, String> {
    const MAX: usize = 15;
    let valid = |c: char| c.is_ascii_graphic() && !"/:\"*\\".contains(c);
    if text.is_empty() || text.len() > MAX || !text.chars().all(valid) {
        return Err(format!("an interface name has 1 to {MAX} visible characters other than / : \" * \\"));
    }
    Ok(text.to_owned())
}

/// Text, which to kube-proxy is not given where it is empty.
fn text(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|text| !text.is_empty())
}

/// A duration, which to kube-proxy is not given where it is 0.
fn period(value: Option<GoDuration>) -> Option<Duration> {
    value.map(|duration| duration.0).filter(|duration| !duration.is_zero())
}

struct Resolver {
    problems: Vec<Problem>,
    no_effect: Vec<(String, &'static str)>,
}

impl Resolver {
    fn problem(&mut self, key: impl Into<String>, reason: Reason) {
        self.problems.push(Problem { key: key.into(), reason });
    }

    fn settings(&mut self, kube_proxy: &KubeProxyConfiguration, svcnat: &SvcnatConfiguration) -> Settings {
        self.feature_gates(kube_proxy);
        let back_end = self.back_end(kube_proxy);
        let (sync_period, min_sync_period) = self.periods(&back_end);
        let bind_address = self.bind_address(kube_proxy);
        // As kube-proxy: the family of the servers' default addresses is that of the node's.
        let [any, loopback] = match bind_address {
            IpAddr::V4(_) => [IpAddr::from(Ipv4Addr::UNSPECIFIED), Ipv4Addr::LOCALHOST.into()],
            IpAddr::V6(_) => [IpAddr::from(Ipv6Addr::UNSPECIFIED), Ipv6Addr::LOCALHOST.into()],
        };
        let healthz = (any, 10_256).into();
        let metrics = (loopback, 10_249).into();
        Settings {
            mode: back_end.mode,
            rules: self.rules(kube_proxy, &back_end, svcnat),
            node_address: Some(bind_address).filter(|address| !address.is_unspecified()),
            client: self.client(kube_proxy),
            healthz: self.server("healthzBindAddress", kube_proxy.healthz_bind_address.as_ref(), healthz),
            metrics: self.server("metricsBindAddress", kube_proxy.metrics_bind_address.as_ref(), metrics),
            bind_hard_fail: kube_proxy.bind_address_hard_fail.unwrap_or(false),
            sync_period,
            min_sync_period,
            conntrack: self.conntrack(kube_proxy),
            oom_score_adj: self.oom_score_adj(kube_proxy),
            verbosity: kube_proxy.logging.verbosity.unwrap_or(0),
            reset_dead_connections: svcnat.reset_dead_connections.unwrap_or(false),
            state_file: text(svcnat.state_file.as_ref()).map(PathBuf::from),
            own_tables: self.own_tables(svcnat),
            counters_series: svcnat.counters_series.unwrap_or(500),
            page: self.page(svcnat),
        }
    }

    fn feature_gates(&mut self, kube_proxy: &KubeProxyConfiguration) {
        let gates = kube_proxy.feature_gates.keys().map(|gate| format!("featureGates.{gate}"));
        self.no_effect.extend(gates.map(|key| (key, "svcnat has no feature gates")));
    }

    /// The options of the back end. Without a mode, kube-proxy takes those of `iptables`, so what `nftables` leaves open
    /// comes from there. This is the one place that knows which modes there are.
    fn back_end(&mut self, kube_proxy: &KubeProxyConfiguration) -> BackEnd {
        let (mode, open) = match text(kube_proxy.mode.as_ref()) {
            None => (Mode::Nftables, true),
            Some("nftables") => (Mode::Nftables, false),
            Some("iptables") => (Mode::Iptables, true),
            Some(other) => {
                self.problem("mode", Reason::Mode(other.to_owned()));
                (Mode::Nftables, true)
            }
        };
        let default = BackEndSection::default();
        let (nftables, iptables) = (&kube_proxy.nftables, &kube_proxy.iptables);
        for (section, options) in [("nftables", nftables), ("iptables", iptables)] {
            if let Some(bit) = options.masquerade_bit.filter(|bit| *bit > 31) {
                let reason = Reason::Range { min: 0, max: 31, found: bit.into() };
                self.problem(format!("{section}.masqueradeBit"), reason);
            }
        }
        if !open {
            self.without_effect_in_nftables(iptables);
        }
        let fallback = if open { iptables } else { &default };
        let nftables = if mode == Mode::Iptables { &default } else { nftables };
        let from = |given: bool, there: bool| if !given && there { "iptables" } else { "nftables" };
        let (sync, min) = (period(nftables.sync_period), period(nftables.min_sync_period));
        let (other_sync, other_min) = (period(fallback.sync_period), period(fallback.min_sync_period));
        BackEnd {
            mode,
            masquerade_all: [nftables, fallback].iter().any(|section| section.masquerade_all == Some(true)),
            masquerade_bit: nftables.masquerade_bit.or(fallback.masquerade_bit),
            sync_period: (from(sync.is_some(), other_sync.is_some()), sync.or(other_sync)),
            min_sync_period: (from(min.is_some(), other_min.is_some()), min.or(other_min)),
        }
    }

    /// Notes what `iptables` says beyond kube-proxy's defaults.
    fn without_effect_in_nftables(&mut self, iptables: &BackEndSection) {
        let other = |value: Option<GoDuration>, default| period(value).is_some_and(|found| found != default);
        let said = [
            ("masqueradeAll", iptables.masquerade_all == Some(true)),
            ("masqueradeBit", iptables.masquerade_bit.is_some_and(|bit| bit != 14)),
            ("minSyncPeriod", other(iptables.min_sync_period, Duration::from_secs(1))),
            ("syncPeriod", other(iptables.sync_period, Duration::from_secs(30))),
        ];
        for (key, _) in said.into_iter().filter(|(_, said)| *said) {
            self.no_effect
                .push((format!("iptables.{key}"), "the mode is nftables, which has a section of its own"));
        }
    }

    fn periods(&mut self, back_end: &BackEnd) -> (Duration, Duration) {
        let sync = back_end.sync_period.1.unwrap_or(Duration::from_secs(30));
        let (section, min) = back_end.min_sync_period;
        let min = min.unwrap_or_default();
        if min > sync {
            self.problem(format!("{section}.minSyncPeriod"), Reason::AboveSyncPeriod(GoDuration(sync)));
        }
        (sync, min)
    }

    fn bind_address(&mut self, kube_proxy: &KubeProxyConfiguration) -> IpAddr {
        let unspecified = IpAddr::from(Ipv4Addr::UNSPECIFIED);
        let Some(given) = text(kube_proxy.bind_address.as_ref()) else { return unspecified };
        given.parse().unwrap_or_else(|_| {
            self.problem("bindAddress", Reason::Address(given.to_owned()));
            unspecified
        })
    }

    /// An address to serve at; what is left out of it is the default's.
    fn server(&mut self, key: &str, value: Option<&String>, default: SocketAddr) -> Option<SocketAddr> {
        let address = match text(value) {
            None => default,
            Some(given) => match server_address(given, default) {
                Some(address) => address,
                None => {
                    self.problem(key, Reason::BindAddress(given.to_owned()));
                    default
                }
            },
        };
        Some(address).filter(|address| address.port() != 0)
    }

    fn client(&mut self, kube_proxy: &KubeProxyConfiguration) -> Client {
        let given = &kube_proxy.client_connection;
        let qps = given.qps.filter(|qps| *qps != 0.0).unwrap_or(5.0);
        if !qps.is_finite() {
            self.problem("clientConnection.qps", Reason::NotFinite);
        }
        Client {
            kubeconfig: text(given.kubeconfig.as_ref()).map(PathBuf::from),
            master: None,
            qps,
            burst: given.burst.filter(|burst| *burst != 0).unwrap_or(10),
        }
    }

    fn conntrack(&mut self, kube_proxy: &KubeProxyConfiguration) -> Conntrack {
        let given = &kube_proxy.conntrack;
        let mut timeout = |key: &str, value: Option<GoDuration>, default: u64| {
            let timeout = value.map_or(Duration::from_secs(default), |value| value.0);
            if !timeout.is_zero() && timeout < Duration::from_secs(1) {
                self.problem(format!("conntrack.{key}"), Reason::BelowSecond);
            }
            Some(timeout).filter(|timeout| !timeout.is_zero())
        };
        const HOUR: u64 = 3600;
        Conntrack {
            max_per_core: given.max_per_core.unwrap_or(32 * 1024),
            min: given.min.unwrap_or(128 * 1024),
            tcp_established_timeout: timeout(
                "tcpEstablishedTimeout",
                given.tcp_established_timeout,
                24 * HOUR,
            ),
            tcp_close_wait_timeout: timeout("tcpCloseWaitTimeout", given.tcp_close_wait_timeout, HOUR),
            tcp_be_liberal: given.tcp_be_liberal.unwrap_or(false),
            udp_timeout: timeout("udpTimeout", given.udp_timeout, 0),
            udp_stream_timeout: timeout("udpStreamTimeout", given.udp_stream_timeout, 0),
        }
    }

    fn oom_score_adj(&mut self, kube_proxy: &KubeProxyConfiguration) -> i32 {
        // kube-proxy's: all but the last process to be ended when memory is short.
        let found = kube_proxy.oom_score_adj.unwrap_or(-999);
        if !(-1000..=1000).contains(&found) {
            self.problem("oomScoreAdj", Reason::Range { min: -1000, max: 1000, found: found.into() });
        }
        found
    }

    fn own_tables(&mut self, svcnat: &SvcnatConfiguration) -> OwnTables {
        match text(svcnat.own_tables.as_ref()) {
            None | Some("auto") => OwnTables::Auto,
            Some("never") => OwnTables::Never,
            Some(other) => {
                self.problem("ownTables", Reason::Word { expected: "auto, never", found: other.to_owned() });
                OwnTables::Auto
            }
        }
    }

    fn page(&mut self, svcnat: &SvcnatConfiguration) -> Option<SocketAddr> {
        let given = text(svcnat.page_bind_address.as_ref())?;
        let address = given.parse().ok();
        let address =
            address.filter(|address: &SocketAddr| address.ip().is_loopback() && address.port() != 0);
        if address.is_none() {
            self.problem("pageBindAddress", Reason::PageAddress(given.to_owned()));
        }
        address
    }

    fn rules(
        &mut self,
        kube_proxy: &KubeProxyConfiguration,
        back_end: &BackEnd,
        svcnat: &SvcnatConfiguration,
    ) -> Config {
        let default = Config::default();
        let affinity_size = svcnat.affinity_size.unwrap_or(default.affinity_size);
        if affinity_size == 0 {
            self.problem("affinitySize", Reason::Zero);
        }
        let counters = svcnat.counters.unwrap_or(default.counters);
        if counters && back_end.mode == Mode::Iptables {
            self.problem("counters", Reason::NeedsMode(Mode::Nftables));
        }
        Config {
            node_name: self.node_name(kube_proxy),
            detect_local: self.detect_local(kube_proxy),
            masquerade_all: back_end.masquerade_all,
            masquerade_bit: back_end.masquerade_bit.unwrap_or(default.masquerade_bit),
            node_port_addresses: self.node_port_addresses(kube_proxy, back_end.mode),
            layout: match text(svcnat.layout.as_ref()) {
                None | Some("auto") => Layout::Auto,
                Some("chains") => Layout::Chains,
                Some("maps") => Layout::Maps,
                Some(other) => {
                    self.problem(
                        "layout",
                        Reason::Word { expected: "auto, chains, maps", found: other.to_owned() },
                    );
                    Layout::Auto
                }
            },
            backend_comments: svcnat.backend_comments.unwrap_or(default.backend_comments),
            affinity_size,
            counters,
        }
    }

    /// The host name in lower case, as kubelet registers a Node by default.
    fn node_name(&mut self, kube_proxy: &KubeProxyConfiguration) -> Name {
        let name = match text(kube_proxy.hostname_override.as_ref()) {
            Some(name) => name.to_owned(),
            None => match nix::unistd::gethostname() {
                Ok(name) => name.to_string_lossy().into_owned(),
                Err(error) => {
                    self.problem("hostnameOverride", Reason::HostName(error.to_string()));
                    return Name::from("");
                }
            },
        };
        let name = name.trim().to_lowercase();
        if name.is_empty() {
            self.problem("hostnameOverride", Reason::NoName);
        }
        Name::from(name)
    }

    fn detect_local(&mut self, kube_proxy: &KubeProxyConfiguration) -> DetectLocal {
        let cluster = self.cluster_cidrs(kube_proxy);
        let bridge =
            self.interface("detectLocal.bridgeInterface", kube_proxy.detect_local.bridge_interface.as_ref());
        let prefix = self.interface(
            "detectLocal.interfaceNamePrefix",
            kube_proxy.detect_local.interface_name_prefix.as_ref(),
        );
        let mode = text(kube_proxy.detect_local_mode.as_ref()).unwrap_or("ClusterCIDR");
        let found = match mode {
            "ClusterCIDR" if cluster.is_empty() => return DetectLocal::Off,
            "ClusterCIDR" => return DetectLocal::ClusterCidr(cluster),
            "NodeCIDR" => Some(DetectLocal::NodeCidr),
            "BridgeInterface" => self.needed(
                "BridgeInterface",
                "detectLocal.bridgeInterface",
                bridge,
                DetectLocal::BridgeInterface,
            ),
            "InterfaceNamePrefix" => self.needed(
                "InterfaceNamePrefix",
                "detectLocal.interfaceNamePrefix",
                prefix,
                DetectLocal::InterfaceNamePrefix,
            ),
            other => {
                let expected = "ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix";
                self.problem("detectLocalMode", Reason::Word { expected, found: other.to_owned() });
                None
            }
        };
        if !cluster.is_empty() && found.is_some() {
            self.no_effect.push(("clusterCIDR".to_owned(), "detectLocalMode is not ClusterCIDR"));
        }
        found.unwrap_or(DetectLocal::Off)
    }

    fn needed(
        &mut self,
        mode: &'static str,
        key: &'static str,
        name: Option<Name>,
        make: fn(Name) -> DetectLocal,
    ) -> Option<DetectLocal> {
        if name.is_none() {
            self.problem("detectLocalMode", Reason::Needs { mode, option: key.to_owned() });
        }
        name.map(make)
    }

    fn interface(&mut self, key: &str, value: Option<&String>) -> Option<Name> {
        match interface_name(text(value)?) {
            Ok(name) => Some(Name::from(name)),
            Err(complaint) => {
                self.problem(key, Reason::Interface(complaint));
                None
            }
        }
    }

    fn cluster_cidrs(&mut self, kube_proxy: &KubeProxyConfiguration) -> Vec<Cidr> {
        let given = text(kube_proxy.cluster_cidr.as_ref()).into_iter().flat_map(|list| list.split(','));
        let parsed: Vec<Result<Cidr, &str>> =
            given.map(|network| network.parse().map_err(|_| network)).collect();
        for network in parsed.iter().filter_map(|network| network.as_ref().err()) {
            self.problem("clusterCIDR", Reason::Cidr((*network).to_owned()));
        }
        parsed.into_iter().flatten().collect()
    }

    /// Without any, kube-proxy's mode `iptables` serves every address of the node.
    fn node_port_addresses(&mut self, kube_proxy: &KubeProxyConfiguration, mode: Mode) -> NodePortAddresses {
        let given = kube_proxy.node_port_addresses.as_deref().unwrap_or_default();
        if given.is_empty() && mode == Mode::Iptables {
            return NodePortAddresses::All;
        }
        if given.is_empty() || given == ["primary"] {
            return NodePortAddresses::Primary;
        }
        let mut networks = Vec::new();
        for (index, entry) in given.iter().enumerate() {
            match entry.parse::<Cidr>() {
                Ok(network) => networks.push(network),
                Err(_) => {
                    self.problem(
                        format!("nodePortAddresses[{index}]"),
                        Reason::NodePortAddress(entry.clone()),
                    );
                }
            }
        }
        networks.sort_unstable();
        networks.dedup();
        let all = |family| networks.iter().any(|network| network.prefix() == 0 && network.family() == family);
        if Family::ALL.into_iter().all(all) {
            return NodePortAddresses::All;
        }
        NodePortAddresses::Cidrs(networks)
    }
}

/// The options of the back end, each period with the section that it comes from.
struct BackEnd {
    mode: Mode,
    masquerade_all: bool,
    masquerade_bit: Option<u8>,
    sync_period: (&'static str, Option<Duration>),
    min_sync_period: (&'static str, Option<Duration>),
}

/// `IP:PORT`, `IP` or `:PORT`; IPv6 addresses in brackets or, alone, without.
fn server_address(text: &str, default: SocketAddr) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        return Some((default.ip(), port).into());
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    Some((bare.parse::<IpAddr>().ok()?, default.port()).into())
}
