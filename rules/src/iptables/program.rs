//! The program: the chains that name no Service, and what stands behind the rules of Services in the chains that they
//! share.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use super::chain::{Chain, Table, TableName};
use super::fragment::SharedChain;
use super::names::chain;
use super::rule::{AddressType, Interface, Match, Rule, State, Target};
use crate::config::{DetectLocal, NodePortAddresses};
use crate::name::Name;
use crate::net::{Cidr, Family, Protocol};
use crate::resolve::View;
use crate::ruleset::{Hook, Reject};

/// The longest name of an interface in bytes (`IFNAMSIZ` is 16 with the closing NUL).
const MAX_INTERFACE: usize = 15;

/// A table's rules in built-in chains, and chains of its own.
type Parts = (Vec<(Hook, Vec<Rule>)>, Vec<(&'static str, Vec<Rule>)>);

/// The program of one family.
#[derive(Debug, Clone, Copy)]
pub(super) struct Program<'a> {
    pub(super) view: View<'a>,
    pub(super) family: Family,
    /// The networks that ClusterIPs are taken from, of this family.
    pub(super) service_cidrs: &'a [Cidr],
}

/// The network of this address alone.
pub(super) fn host(address: IpAddr) -> Cidr {
    Cidr::from(ipnetwork::IpNetwork::from(address))
}

/// The loopback addresses of a family (RFC 1122, RFC 4291).
fn loopback(family: Family) -> Cidr {
    match family {
        Family::Ipv4 => Cidr::new(IpAddr::from([127, 0, 0, 0]), 8),
        Family::Ipv6 => None,
    }
    .unwrap_or_else(|| host(IpAddr::from(Ipv6Addr::LOCALHOST)))
}

/// Rules that do something with the packets of this cluster's pods; none where pods cannot be told from others.
pub(super) fn from_pods(view: View<'_>, family: Family, target: &Target) -> Vec<Rule> {
    let rule = || Rule::new(target.clone());
    let behind = |interface| vec![Rule { interface: Some(interface), ..rule() }];
    match &view.config.detect_local {
        DetectLocal::Off => Vec::new(),
        DetectLocal::BridgeInterface(name) => behind(Interface::Named(name.clone())),
        // iptables has no room for a `+` behind a name of the greatest length.
        DetectLocal::InterfaceNamePrefix(prefix) if prefix.len() >= MAX_INTERFACE => {
            behind(Interface::Named(prefix.clone()))
        }
        DetectLocal::InterfaceNamePrefix(prefix) => behind(Interface::Prefix(prefix.clone())),
        DetectLocal::ClusterCidr(_) | DetectLocal::NodeCidr => {
            view.pod_networks(family).into_iter().map(|network| rule().from(network)).collect()
        }
    }
}

impl Program<'_> {
    /// All tables without any Service.
    pub(super) fn tables(&self) -> BTreeMap<TableName, Table> {
        TableName::ALL.into_iter().map(|table| (table, self.table(table))).collect()
    }

    fn table(&self, table: TableName) -> Table {
        let (jumps, own) = match table {
            TableName::Mangle => self.mangle(),
            TableName::Filter => self.filter(),
            TableName::Nat => self.nat(),
        };
        let shared = [
            SharedChain::Sources,
            SharedChain::NoEndpoints,
            SharedChain::NoEndpointsNodePorts,
            SharedChain::ClusterIps,
            SharedChain::NodePorts,
            SharedChain::Hairpin,
        ];
        let shared = shared.into_iter().filter(|shared| shared.table() == table);
        let shared = shared.map(|shared| (shared.name(), self.tail(shared)));
        let own = own.into_iter().map(|(name, rules)| (Name::from(name), rules));
        let chain = |(name, rules)| (name, Chain { rules, unordered: 0 });
        Table { jumps: jumps.into_iter().collect(), chains: shared.chain(own).map(chain).collect() }
    }

    fn mangle(&self) -> Parts {
        let check = || vec![new(chain::SOURCES)];
        (vec![(Hook::Prerouting, check()), (Hook::Output, check())], Vec::new())
    }

    fn filter(&self) -> Parts {
        let check = || vec![new(chain::NO_ENDPOINTS), new(chain::CLUSTER_IPS)];
        let jumps = vec![
            (Hook::Input, vec![new(chain::NO_ENDPOINTS)]),
            (Hook::Forward, check()),
            (Hook::Output, check()),
        ];
        let reject = vec![
            Rule { protocol: Some(Protocol::Tcp), ..Rule::new(Target::Reject(Reject::TcpReset)) },
            Rule::new(Target::Reject(Reject::PortUnreachable)),
        ];
        (jumps, vec![(chain::REJECT, reject)])
    }

    fn nat(&self) -> Parts {
        let services = || vec![Rule::jump(chain::SERVICES)];
        let jumps = vec![
            (Hook::Prerouting, services()),
            (Hook::Output, services()),
            (Hook::Postrouting, vec![Rule::jump(chain::POSTROUTING)]),
        ];
        let mark = self.mark();
        let postrouting = vec![
            Rule::goto(chain::MASQUERADE).when(Match::Mark(mark)),
            Rule::goto(chain::HAIRPIN).when(Match::State(State::Dnat)),
        ];
        let unmark = Rule::new(Target::Mark { clear: 0, flip: mark });
        let mut chains = vec![
            (chain::SERVICES, self.tail_of_services()),
            (chain::MASQUERADE_LATER, vec![self.masquerade_later()]),
            (chain::POSTROUTING, postrouting),
            (chain::MASQUERADE, vec![unmark, Rule::new(Target::Masquerade)]),
        ];
        chains.extend(self.rules_for_cluster_ips().map(|rules| (chain::TO_CLUSTER_IP, rules)));
        (jumps, chains)
    }

    fn mark(&self) -> u32 {
        self.view.config.masquerade_mark()
    }

    fn masquerade_later(&self) -> Rule {
        Rule::new(Target::Mark { clear: self.mark(), flip: self.mark() })
    }

    /// What is done with packets to ClusterIPs; `None` where that is nothing.
    fn rules_for_cluster_ips(&self) -> Option<Vec<Rule>> {
        if self.view.config.masquerade_all {
            return Some(vec![self.masquerade_later()]);
        }
        let mut rules = from_pods(self.view, self.family, &Target::Return);
        // Outside of a network that holds everything there is nobody.
        if rules.is_empty() || rules.contains(&Rule::new(Target::Return)) {
            return None;
        }
        rules.push(self.masquerade_later());
        Some(rules)
    }

    /// The first rules of the chain of an address that is a ClusterIP.
    pub(super) fn cluster_ip_head(&self) -> Option<Rule> {
        self.rules_for_cluster_ips().map(|_| Rule::jump(chain::TO_CLUSTER_IP))
    }

    /// What stands behind the rules of Services.
    pub(super) fn tail(&self, shared: SharedChain) -> Vec<Rule> {
        match shared {
            SharedChain::Sources
            | SharedChain::NoEndpointsNodePorts
            | SharedChain::NodePorts
            | SharedChain::Hairpin => Vec::new(),
            SharedChain::NoEndpoints => self.node_ports(chain::NO_ENDPOINTS_NODE_PORTS),
            SharedChain::ClusterIps => {
                self.service_cidrs.iter().map(|network| Rule::new(Target::Drop).to(*network)).collect()
            }
            SharedChain::Address(address) => self.node_ports_at(address).into_iter().collect(),
        }
    }

    /// What stands behind the addresses of Services.
    pub(super) fn tail_of_services(&self) -> Vec<Rule> {
        self.node_ports(chain::NODE_PORTS)
    }

    /// Looks a packet for one of the node's node-port addresses up by its port, in that chain.
    fn node_ports(&self, chain: &str) -> Vec<Rule> {
        let rule = || Rule::goto(chain);
        let local = |network| rule().to(network).when(Match::Local(AddressType::Destination));
        // Node ports are for others.
        let loopback = loopback(self.family);
        let not_loopback = || Rule::new(Target::Return).to(loopback);
        match (&self.view.config.node_port_addresses, self.view.node) {
            (NodePortAddresses::Primary, Some(node)) => node
                .primary_address(self.family)
                .map(|address| rule().to(host(address)))
                .into_iter()
                .collect(),
            (NodePortAddresses::Primary, None) | (NodePortAddresses::All, _) => {
                vec![not_loopback(), rule().when(Match::Local(AddressType::Destination))]
            }
            (NodePortAddresses::Cidrs(networks), _) => {
                let own = networks.iter().copied().filter(|network| network.family() == self.family);
                let inside = |network: &Cidr| {
                    loopback.contains(network.network()) && network.prefix() >= loopback.prefix()
                };
                let own: Vec<Cidr> = own.filter(|network| !inside(network)).collect();
                let around = own.iter().any(|network| network.contains(loopback.network()));
                let first = around.then(not_loopback);
                first.into_iter().chain(own.into_iter().map(local)).collect()
            }
        }
    }

    /// The same for packets to one address, as far as that is known to be one.
    fn node_ports_at(&self, address: IpAddr) -> Option<Rule> {
        let rule = || Rule::goto(chain::NODE_PORTS);
        let local = || rule().when(Match::Local(AddressType::Destination));
        if loopback(self.family).contains(address) {
            return None;
        }
        match (&self.view.config.node_port_addresses, self.view.node) {
            (NodePortAddresses::Primary, Some(node)) => {
                (node.primary_address(self.family) == Some(address)).then(rule)
            }
            (NodePortAddresses::Primary, None) | (NodePortAddresses::All, _) => Some(local()),
            (NodePortAddresses::Cidrs(networks), _) => {
                networks.iter().any(|network| network.contains(address)).then(local)
            }
        }
    }
}

/// New connections go through that chain.
fn new(chain: &str) -> Rule {
    Rule::jump(chain).when(Match::State(State::New))
}
