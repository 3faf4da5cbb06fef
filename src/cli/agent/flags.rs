//! The flags of `svcnat agent`: kube-proxy's by their names, and our own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::no_effect::NoEffectFlags;
use crate::cli::options::{ConnectionOptions, RuleOptions, value_name};
use crate::settings::{Flags, GoDuration, Source};

/// What the agent is told on the command line.
///
/// Beside `--config`, the flags that stand for keys of kube-proxy's file are ignored, as kube-proxy does, but for
/// `--hostname-override`, `--master` and `--v`.
#[derive(Debug, Args)]
pub struct AgentFlags {
    /// A configuration file: kube-proxy's KubeProxyConfiguration, our SvcnatConfiguration, or both
    ///
    /// Flags that stand for keys of KubeProxyConfiguration have no effect beside it, but for --hostname-override,
    /// --master and --v.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write the settings that result as a configuration file, and end
    #[arg(long, value_name = "FILE")]
    write_config_to: Option<PathBuf>,
    /// Only set what needs a privileged process (the sysctls of connection tracking), and end
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    init_only: Option<bool>,
    /// kube-proxy's way to remove its rules; here it is `svcnat cleanup`
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    cleanup: Option<bool>,
    /// How much to log, on klog's scale: 0 to 3 info, 4 and 5 debug, more traces [default: 0]
    #[arg(long = "v", value_name = "LEVEL")]
    klog_level: Option<u32>,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    rules: RuleOptions,
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    conntrack: ConntrackFlags,
    #[command(flatten)]
    no_effect: NoEffectFlags,
}

/// How the API server is reached.
#[derive(Debug, Args)]
#[command(next_help_heading = "API server")]
struct ClientFlags {
    /// How to reach the API server [default: as a pod does]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// The URL of the API server, instead of the one in the kubeconfig file
    #[arg(long, value_name = "URL")]
    master: Option<String>,
    /// Requests per second [default: 5]
    #[arg(long, value_name = "QPS", allow_negative_numbers = true)]
    kube_api_qps: Option<f32>,
    /// Requests at once beyond --kube-api-qps [default: 10]
    #[arg(long, value_name = "REQUESTS")]
    kube_api_burst: Option<u32>,
}

/// What the agent does besides rules.
#[derive(Debug, Args)]
#[command(next_help_heading = "Agent")]
struct ProcessFlags {
    /// The node's address instead of the Node's first one of its family; 0.0.0.0 and :: change none [default: 0.0.0.0]
    ///
    /// Its family decides the default addresses of the servers. No server listens there.
    #[arg(long, value_name = "IP")]
    bind_address: Option<String>,
    /// Where /healthz and /livez are served; empty for nowhere [default: 0.0.0.0:10256, or [::]:10256]
    #[arg(long, value_name = "IP:PORT")]
    healthz_bind_address: Option<String>,
    /// Where /metrics is served; empty for nowhere [default: 127.0.0.1:10249, or [::1]:10249]
    #[arg(long, value_name = "IP:PORT")]
    metrics_bind_address: Option<String>,
    /// Deprecated: the port of --healthz-bind-address where that has none; 0 for no server
    #[arg(long, value_name = "PORT")]
    healthz_port: Option<u16>,
    /// Deprecated: the port of --metrics-bind-address where that has none; 0 for no server
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,
    /// End when an address cannot be bound
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    bind_address_hard_fail: Option<bool>,
    /// How often everything is compared with the kernel where others can change our rules [default: 30s]
    #[arg(long, value_name = "DURATION")]
    iptables_sync_period: Option<GoDuration>,
    /// The least time between two transactions [default: 0s]
    #[arg(long, value_name = "DURATION")]
    iptables_min_sync_period: Option<GoDuration>,
    /// From -1000 to 1000: the less, the later the agent is ended when memory is short [default: -999]
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    oom_score_adj: Option<i32>,
    /// Feature gates of Kubernetes, of which svcnat has none
    #[arg(long, value_name = "GATE=BOOL", value_delimiter = ',', value_parser = feature_gate)]
    feature_gates: Vec<(String, bool)>,
    #[command(flatten)]
    connections: ConnectionOptions,
    /// Keep the last known state in this file, for a start without the API server
    #[arg(long, value_name = "FILE")]
    state_file: Option<String>,
    /// Whether nobody else can change the tables while the agent runs [default: auto]
    #[arg(long, value_enum)]
    own_tables: Option<OwnTablesOption>,
    /// With --counters: how many frontends, and how many backends, have a series of their own in the metrics; 0 for no such
    /// metrics [default: 500]
    #[arg(long, value_name = "SERIES")]
    counters_series: Option<usize>,
    /// Where a page for people is served, on a loopback address, such as 127.0.0.1:10247; empty for nowhere [default: nowhere]
    ///
    /// The page shows Services, backends and the agent's status as they change, and draws the way of a packet. Whoever can connect
    /// there sees it.
    #[arg(long, value_name = "IP:PORT")]
    page_bind_address: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OwnTablesOption {
    /// Where the kernel can keep the tables when the agent ends
    Auto,
    /// Not at all
    Never,
}

/// What the kernel's connection tracking is told; 0 leaves what it has.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection tracking (0 leaves what the kernel has)")]
struct ConntrackFlags {
    /// Tracked connections for each processor core [default: 32768]
    #[arg(long, value_name = "CONNECTIONS")]
    conntrack_max_per_core: Option<u32>,
    /// The least tracked connections, however few the cores [default: 131072]
    #[arg(long, value_name = "CONNECTIONS")]
    conntrack_min: Option<u32>,
    /// How long an established TCP connection may be idle [default: 24h]
    #[arg(long, value_name = "DURATION")]
    conntrack_tcp_timeout_established: Option<GoDuration>,
    /// How long a TCP connection may be half closed [default: 1h]
    #[arg(long, value_name = "DURATION")]
    conntrack_tcp_timeout_close_wait: Option<GoDuration>,
    /// Let TCP packets through that are out of the window
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    conntrack_tcp_be_liberal: Option<bool>,
    /// How long a UDP flow without an answer may be idle [default: 0s]
    #[arg(long, value_name = "DURATION")]
    conntrack_udp_timeout: Option<GoDuration>,
    /// How long a UDP flow that is answered may be idle [default: 0s]
    #[arg(long, value_name = "DURATION")]
    conntrack_udp_timeout_stream: Option<GoDuration>,
}

impl AgentFlags {
    /// The file and the flags that settings are made of; to be kept, so that the file can be loaded again.
    #[must_use]
    pub fn source(&self) -> Source {
        let mut flags = Flags { no_effect: self.no_effect.given(), ..Flags::default() };
        self.rules.fill(&mut flags);
        self.client.fill(&mut flags);
        self.process.fill(&mut flags);
        self.conntrack.fill(&mut flags);
        flags.kube_proxy.logging.verbosity = self.klog_level;
        Source { config: self.config.clone(), flags }
    }

    pub(super) fn cleanup(&self) -> bool {
        self.cleanup == Some(true)
    }

    pub(super) fn init_only(&self) -> bool {
        self.init_only == Some(true)
    }

    pub(super) fn write_config_to(&self) -> Option<&Path> {
        self.write_config_to.as_deref()
    }
}

impl ClientFlags {
    fn fill(&self, flags: &mut Flags) {
        let client = &mut flags.kube_proxy.client_connection;
        client.kubeconfig.clone_from(&self.kubeconfig);
        client.qps = self.kube_api_qps;
        client.burst = self.kube_api_burst;
        flags.master = self.master.clone().filter(|master| !master.is_empty());
    }
}

impl ProcessFlags {
    fn fill(&self, flags: &mut Flags) {
        let kube_proxy = &mut flags.kube_proxy;
        kube_proxy.bind_address.clone_from(&self.bind_address);
        kube_proxy.healthz_bind_address = server(self.healthz_bind_address.as_deref(), self.healthz_port);
        kube_proxy.metrics_bind_address = server(self.metrics_bind_address.as_deref(), self.metrics_port);
        let ports = [
            ("healthz-port", "healthz-bind-address", self.healthz_port),
            ("metrics-port", "metrics-bind-address", self.metrics_port),
        ];
        let deprecated = ports.into_iter().filter(|(_, _, port)| port.is_some());
        flags.deprecated = deprecated.map(|(flag, instead, _)| (flag, instead)).collect();
        kube_proxy.bind_address_hard_fail = self.bind_address_hard_fail;
        let section = kube_proxy.section();
        section.sync_period = self.iptables_sync_period;
        section.min_sync_period = self.iptables_min_sync_period;
        kube_proxy.oom_score_adj = self.oom_score_adj;
        kube_proxy.feature_gates = self.feature_gates.iter().cloned().collect::<BTreeMap<_, _>>();
        flags.svcnat.reset_dead_connections = self.connections.reset_dead_connections;
        flags.svcnat.state_file.clone_from(&self.state_file);
        flags.svcnat.own_tables = self.own_tables.as_ref().map(value_name);
        flags.svcnat.counters_series = self.counters_series;
        flags.svcnat.page_bind_address.clone_from(&self.page_bind_address);
    }
}

impl ConntrackFlags {
    fn fill(&self, flags: &mut Flags) {
        let conntrack = &mut flags.kube_proxy.conntrack;
        conntrack.max_per_core = self.conntrack_max_per_core;
        conntrack.min = self.conntrack_min;
        conntrack.tcp_established_timeout = self.conntrack_tcp_timeout_established;
        conntrack.tcp_close_wait_timeout = self.conntrack_tcp_timeout_close_wait;
        conntrack.tcp_be_liberal = self.conntrack_tcp_be_liberal;
        conntrack.udp_timeout = self.conntrack_udp_timeout;
        conntrack.udp_stream_timeout = self.conntrack_udp_timeout_stream;
    }
}

/// The address of a server as the file has it, where port 0 is for none.
fn server(address: Option<&str>, port: Option<u16>) -> Option<String> {
    match (address, port) {
        (_, Some(0)) | (Some(""), _) => Some(":0".to_owned()),
        (None, Some(port)) => Some(format!(":{port}")),
        (Some(address), Some(port)) if has_no_port(address) => Some(with_port(address, port)),
        (address, _) => address.map(str::to_owned),
    }
}

fn has_no_port(address: &str) -> bool {
    bare(address).parse::<std::net::IpAddr>().is_ok()
}

fn with_port(address: &str, port: u16) -> String {
    let address = bare(address);
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// An address without the brackets that IPv6 may have.
fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address)
}

fn feature_gate(text: &str) -> Result<(String, bool), String> {
    let (name, value) = text.split_once('=').ok_or("must be GATE=true or GATE=false")?;
    let value = value.trim().parse().map_err(|_| format!("{name} must be true or false"))?;
    Ok((name.trim().to_owned(), value))
}
