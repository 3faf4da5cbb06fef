//! Options that several commands share. Names and meanings are kube-proxy's where it has them.

use std::ffi::OsString;

use clap::{Args, ValueEnum};
use svcnat_rules::config::{Config, DetectLocal, Layout, NodePortAddresses};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Cidr, Family};

use super::Failure;
use crate::manifests::{self, Manifests, Source};

/// Where the state of the cluster comes from.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manifests")]
pub struct ManifestOptions {
    /// A manifest, a folder of manifests (*.yaml, *.yml, *.json), or - for standard input; may be repeated
    ///
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
        let sources: Vec<Source> = self.filenames.iter().map(|name| Source::from(name.as_os_str())).collect();
        let mut manifests = manifests::read(&sources, node_name)?;
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

/// What shapes the rules.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rules")]
pub struct RuleOptions {
    /// The name of this node as Nodes and EndpointSlices have it [default: the host name]
    #[arg(long, value_name = "NAME")]
    hostname_override: Option<String>,
    /// The networks of all pods of the cluster, separated by commas
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    cluster_cidr: Vec<Cidr>,
    /// How traffic of this node's pods is told from other traffic
    ///
    /// Connections to a ClusterIP that do not come from a pod are masqueraded, so that answers find back.
    #[arg(long, value_name = "MODE", value_enum, ignore_case = true, default_value_t = DetectLocalMode::ClusterCidr)]
    detect_local_mode: DetectLocalMode,
    /// With --detect-local-mode BridgeInterface: the bridge that the pods are attached to
    #[arg(long, value_name = "NAME", value_parser = interface_name)]
    pod_bridge_interface: Option<String>,
    /// With --detect-local-mode InterfaceNamePrefix: how the names of the pods' interfaces begin
    #[arg(long, value_name = "PREFIX", value_parser = interface_name)]
    pod_interface_name_prefix: Option<String>,
    /// Masquerade all connections to ClusterIPs
    #[arg(long)]
    masquerade_all: bool,
    /// The bit of the packet mark that asks for masquerading
    #[arg(long, value_name = "BIT", default_value_t = 14, value_parser = clap::value_parser!(u8).range(0..=31))]
    masquerade_bit: u8,
    /// Where node ports are served: `primary`, or networks separated by commas
    ///
    /// `primary` is the Node's first address of each family, or every local address but loopback where no Node is
    /// known. With networks, it is the local addresses inside them, whichever those are at the time; 0.0.0.0/0 and ::/0
    /// mean every local address but loopback.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', default_value = "primary")]
    nodeport_addresses: Vec<String>,
    /// The kernel's packet filter that is programmed
    #[arg(long, value_name = "MODE", value_enum, default_value_t = ProxyMode::Nftables)]
    proxy_mode: ProxyMode,
    /// How backends are picked in the kernel
    #[arg(long, value_enum, default_value_t = LayoutOption::Auto)]
    layout: LayoutOption,
    /// With the layout `maps`: comment each backend with its Pod, as the layout `chains` always does
    #[arg(long)]
    backend_comments: bool,
    /// How many clients session affinity can remember, for each family
    #[arg(long, value_name = "CLIENTS", default_value_t = 262_144, value_parser = clap::value_parser!(u32).range(1..))]
    affinity_size: u32,
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
enum ProxyMode {
    Nftables,
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
    /// The options as the compiler takes them.
    ///
    /// # Errors
    ///
    /// [`Failure::Usage`] for options that contradict each other or that lack another one.
    pub fn config(&self) -> Result<Config, Failure> {
        let ProxyMode::Nftables = self.proxy_mode;
        Ok(Config {
            node_name: self.node_name()?,
            detect_local: self.detect_local()?,
            masquerade_all: self.masquerade_all,
            masquerade_bit: self.masquerade_bit,
            node_port_addresses: self.node_port_addresses()?,
            layout: match self.layout {
                LayoutOption::Auto => Layout::Auto,
                LayoutOption::Chains => Layout::Chains,
                LayoutOption::Maps => Layout::Maps,
            },
            backend_comments: self.backend_comments,
            affinity_size: self.affinity_size,
        })
    }

    /// The host name in lower case, as kubelet registers a Node by default.
    fn node_name(&self) -> Result<Name, Failure> {
        let name = match &self.hostname_override {
            Some(name) => name.clone(),
            None => nix::unistd::gethostname()
                .map_err(|error| {
                    Failure::Usage(format!("cannot read the host name ({error}); give --hostname-override"))
                })?
                .to_string_lossy()
                .into_owned(),
        };
        let name = name.trim().to_lowercase();
        if name.is_empty() {
            return Err(Failure::Usage("the node's name is empty; give --hostname-override".to_owned()));
        }
        Ok(Name::from(name))
    }

    fn detect_local(&self) -> Result<DetectLocal, Failure> {
        let needs =
            |mode: &str, option: &str| Failure::Usage(format!("--detect-local-mode {mode} needs {option}"));
        Ok(match self.detect_local_mode {
            DetectLocalMode::ClusterCidr if self.cluster_cidr.is_empty() => DetectLocal::Off,
            DetectLocalMode::ClusterCidr => DetectLocal::ClusterCidr(self.cluster_cidr.clone()),
            DetectLocalMode::NodeCidr => DetectLocal::NodeCidr,
            DetectLocalMode::BridgeInterface => match &self.pod_bridge_interface {
                Some(name) => DetectLocal::BridgeInterface(Name::from(name.as_str())),
                None => return Err(needs("BridgeInterface", "--pod-bridge-interface")),
            },
            DetectLocalMode::InterfaceNamePrefix => match &self.pod_interface_name_prefix {
                Some(prefix) => DetectLocal::InterfaceNamePrefix(Name::from(prefix.as_str())),
                None => return Err(needs("InterfaceNamePrefix", "--pod-interface-name-prefix")),
            },
        })
    }

    fn node_port_addresses(&self) -> Result<NodePortAddresses, Failure> {
        if self.nodeport_addresses == ["primary"] {
            return Ok(NodePortAddresses::Primary);
        }
        let networks: Result<Vec<Cidr>, _> =
            self.nodeport_addresses.iter().map(|text| text.parse()).collect();
        let mut networks = networks.map_err(|error| {
            Failure::Usage(format!("--nodeport-addresses takes `primary` alone or CIDRs: {error}"))
        })?;
        networks.sort_unstable();
        networks.dedup();
        let all = |family| networks.iter().any(|network| network.prefix() == 0 && network.family() == family);
        if Family::ALL.into_iter().all(all) {
            return Ok(NodePortAddresses::All);
        }
        Ok(NodePortAddresses::Cidrs(networks))
    }
}

/// An interface name as the kernel takes it (`dev_valid_name`), or a beginning of one.
pub(super) fn interface_name(text: &str) -> Result<String, String> {
    const MAX: usize = 15;
    let valid = |c: char| c.is_ascii_graphic() && !"/:\"*\\".contains(c);
    if text.is_empty() || text.len() > MAX || !text.chars().all(valid) {
        return Err(format!("an interface name has 1 to {MAX} visible characters other than / : \" * \\"));
    }
    Ok(text.to_owned())
}
