//! Options that several commands share. Names and meanings are kube-proxy's where it has them.

use std::ffi::OsString;

use clap::{Args, Command, Id, ValueEnum};
use svcnat_rules::config::Config;
use svcnat_rules::net::Cidr;

use super::Failure;
use super::progress::Progress;
use crate::manifests::{self, Manifests};
pub(super) use crate::settings::interface_name;
use crate::settings::{Flags, Loaded, Mode, Source};

/// The argument that says which packet filter is meant.
const PROXY_MODE: &str = "proxy_mode";

/// Where the state of the cluster comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manifests")]
pub struct ManifestOptions {
    /// A manifest, a folder of manifests (*.yaml, *.yml, *.json), or - for standard input; may be repeated
    ///
    /// Hidden files of a folder are passed over.
    /// Services, EndpointSlices, Endpoints, Pods, Nodes and ServiceCIDRs are read, other kinds passed over. A Service
    /// without EndpointSlices gets its backends from the Pods that its selector matches.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    filenames: Vec<OsString>,
    /// Networks that ClusterIPs are taken from, besides those of ServiceCIDR objects, separated by commas
    ///
    /// Packets to an address in them that no Service has are dropped.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    service_cluster_ip_range: Vec<Cidr>,
}

impl ManifestOptions {
    /// Whether there is anything to read.
    #[must_use]
    pub fn are_given(&self) -> bool {
        !self.filenames.is_empty()
    }

    /// Reads everything.
    ///
    /// # Errors
    ///
    /// All that is wrong with any of the manifests.
    pub fn read(&self, node_name: &str) -> Result<Manifests, Failure> {
        self.read_showing(node_name, &Progress::start())
    }

    /// Reads everything, as a part of work whose progress is shown.
    pub(super) fn read_showing(&self, node_name: &str, progress: &Progress) -> Result<Manifests, Failure> {
        let names = self.filenames.iter().map(|name| name.as_os_str());
        let sources: Vec<manifests::Source> = names.map(manifests::Source::from).collect();
        let mut manifests =
            manifests::read_and_tell(&sources, node_name, &mut |so_far| progress.reading(so_far))?;
        let cidrs = &mut manifests.cluster.service_cidrs;
        cidrs.extend(&self.service_cluster_ip_range);
        cidrs.sort_unstable();
        cidrs.dedup();
        for note in &manifests.notes {
            tracing::info!("{note}");
        }
        Ok(manifests)
    }
}

/// What shapes the rules. A flag that is not given is `None`, so that a configuration file can tell.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rules")]
pub struct RuleOptions {
    /// The name of this node as Nodes and EndpointSlices have it [default: the host name]
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// The networks of all pods of the cluster, separated by commas
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    cluster_cidr: Option<Vec<Cidr>>,
    /// How traffic of this node's pods is told from other traffic [default: ClusterCIDR]
    ///
    /// Connections to a ClusterIP that do not come from a pod are masqueraded, so that answers find back.
    #[arg(long, value_name = "MODE", value_enum, ignore_case = true)]
    detect_local_mode: Option<DetectLocalMode>,
    /// With --detect-local-mode BridgeInterface: the bridge that the pods are attached to
    #[arg(long, value_name = "NAME", value_parser = interface_name)]
    pod_bridge_interface: Option<String>,
    /// With --detect-local-mode InterfaceNamePrefix: how the names of the pods' interfaces begin
    #[arg(long, value_name = "PREFIX", value_parser = interface_name)]
    pod_interface_name_prefix: Option<String>,
    /// Masquerade all connections to ClusterIPs
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    masquerade_all: Option<bool>,
    /// The bit of the packet mark that asks for masquerading [default: 14]
    #[arg(long, value_name = "BIT", visible_alias = "iptables-masquerade-bit")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=31))]
    masquerade_bit: Option<u8>,
    /// Where node ports are served: `primary`, or networks separated by commas [default: primary; with --proxy-mode
    /// iptables, every local address but loopback]
    ///
    /// `primary` is the Node's first address of each family, or every local address but loopback where no Node is
    /// known. With networks, it is the local addresses inside them, whichever those are at the time; 0.0.0.0/0 and ::/0
    /// mean every local address but loopback.
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    nodeport_addresses: Option<Vec<String>>,
    /// The packet filter that is programmed: nftables or iptables [default: nftables]
    #[arg(long, value_name = "MODE")]
    proxy_mode: Option<String>,
    /// How backends are picked in the kernel; with --proxy-mode iptables there is only one way [default: auto]
    #[arg(long, value_enum)]
    layout: Option<LayoutOption>,
    /// With the layout `maps`: comment each backend with its Pod, as the layout `chains` always does
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    backend_comments: Option<bool>,
    /// How many clients session affinity can remember, for each family; with --proxy-mode iptables the kernel's limit holds
    /// [default: 262144]
    #[arg(long, value_name = "CLIENTS", value_parser = clap::value_parser!(u32).range(1..))]
    affinity_size: Option<u32>,
    /// Let the kernel count new connections, by frontend and by backend
    ///
    /// Each frontend and each backend has an element more, which is looked up for the first packet of each connection.
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    counters: Option<bool>,
}

/// What becomes of connections to endpoints that are gone.
#[derive(Debug, Args)]
pub struct ConnectionOptions {
    /// End TCP connections to endpoints that are gone
    ///
    /// Their clients would otherwise wait for an answer that nobody sends: with this, their next packet is answered by a
    /// reset. An endpoint that terminates keeps its connections until it is gone. (UDP and SCTP flows to backends that
    /// do not serve any more are always cut, so that they reach another one.)
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub reset_dead_connections: Option<bool>,
}

/// `--detect-local-mode`, spelled as kube-proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DetectLocalMode {
    /// The source is in --cluster-cidr; without one, no traffic counts as local and none is masqueraded for it
    #[value(name = "ClusterCIDR")]
    ClusterCidr,
    /// The source is in the Node's podCIDRs
    #[value(name = "NodeCIDR")]
    NodeCidr,
    /// The packet came in from --pod-bridge-interface
    #[value(name = "BridgeInterface")]
    BridgeInterface,
    /// The packet came in from an interface that begins with --pod-interface-name-prefix
    #[value(name = "InterfaceNamePrefix")]
    InterfaceNamePrefix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum LayoutOption {
    /// `chains` up to 4,096 backends, `maps` above, and back below 2,048
    Auto,
    /// A chain for each service port with one random-statistic rule per backend: easy to read
    Chains,
    /// Shared maps from frontend and slot to backend: every change costs the same
    Maps,
}

impl RuleOptions {
    /// The options as the compiler takes them, and the packet filter that is programmed.
    ///
    /// # Errors
    ///
    /// [`Failure::Settings`] for options that contradict each other or that lack another one.
    pub fn load(&self) -> Result<(Config, Mode), Failure> {
        let mut flags = Flags::default();
        self.fill(&mut flags);
        let Loaded { settings, notes } = Source { config: None, flags }.load()?;
        for note in &notes {
            tracing::info!("{note}");
        }
        Ok((settings.rules, settings.mode))
    }

    /// Whether an argument is one that only matters where rules are made.
    pub(super) fn shapes_rules(argument: &Id) -> bool {
        let own = Self::augment_args(Command::new(""));
        *argument != PROXY_MODE && own.get_arguments().any(|own| own.get_id() == argument)
    }

    /// Adds what was given to the flags that settings are made of.
    pub(super) fn fill(&self, flags: &mut Flags) {
        let kube_proxy = &mut flags.kube_proxy;
        kube_proxy.hostname_override.clone_from(&self.hostname_override);
        kube_proxy.cluster_cidr = self.cluster_cidr.as_ref().map(|networks| {
            let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
            networks.join(",")
        });
        kube_proxy.detect_local_mode = self.detect_local_mode.as_ref().map(value_name);
        kube_proxy.detect_local.bridge_interface.clone_from(&self.pod_bridge_interface);
        kube_proxy.detect_local.interface_name_prefix.clone_from(&self.pod_interface_name_prefix);
        kube_proxy.node_port_addresses.clone_from(&self.nodeport_addresses);
        kube_proxy.mode.clone_from(&self.proxy_mode);
        let section = kube_proxy.section();
        section.masquerade_all = self.masquerade_all;
        section.masquerade_bit = self.masquerade_bit;
        flags.svcnat.layout = self.layout.as_ref().map(value_name);
        flags.svcnat.backend_comments = self.backend_comments;
        flags.svcnat.affinity_size = self.affinity_size;
        flags.svcnat.counters = self.counters;
    }
}

/// The word for a value on the command line, which is the one in a configuration file too.
pub(super) fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
