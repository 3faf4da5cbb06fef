//! The program: the part of the ruleset that names no Service and no backend.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

use super::names::{chain, set};
use super::picking::Picking;
use super::statement::{Field, Statements};
use crate::config::{Config, DetectLocal, NodePortAddresses};
use crate::name::Name;
use crate::net::{Cidr, Family, Protocol};
use crate::resolve::View;
use crate::ruleset::{
    BaseHook, Chain, ChainType, CmpOp, DataType, Element, FibAddress, Hook, Reject, Rule, Set, SetDefinition,
    Table, Value, Verdict,
};

/// What the cluster needs from the program of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramNeeds {
    /// How backends are picked.
    pub picking: Picking,
    /// The networks that ClusterIPs are taken from, of this family.
    pub service_cidrs: Vec<Cidr>,
    /// The affinity timeouts in use, in seconds, with the protocols.
    pub affinity: BTreeSet<(u32, Protocol)>,
}

/// The priority of destination NAT at prerouting (`NF_IP_PRI_NAT_DST`).
const DSTNAT: i32 = -100;
/// The priority of filtering (`NF_IP_PRI_FILTER`).
const FILTER: i32 = 0;
/// The priority of source NAT at postrouting (`NF_IP_PRI_NAT_SRC`).
const SRCNAT: i32 = 100;
/// Sources are checked just before destination NAT, where the packet still names its frontend.
const BEFORE_DSTNAT: i32 = DSTNAT - 10;
/// Connections are counted just before source NAT: whoever translates the source ends the hook for all behind.
const BEFORE_SRCNAT: i32 = SRCNAT - 1;

const FRONTEND: [Field; 3] = [Field::Destination, Field::L4Proto, Field::DestinationPort];
const NODE_PORT: [Field; 2] = [Field::L4Proto, Field::DestinationPort];
const ORIGINAL_FRONTEND: [Field; 3] =
    [Field::OriginalDestination, Field::L4Proto, Field::OriginalDestinationPort];
const ORIGINAL_NODE_PORT: [Field; 2] = [Field::L4Proto, Field::OriginalDestinationPort];

/// The table of one family without any Service: all sets, empty but for the node's own addresses, and the chains that
/// serve whatever is put into them.
#[must_use]
pub fn program(view: View<'_>, family: Family, needs: &ProgramNeeds) -> Table {
    let mut table = Table { sets: sets(view, family, needs), ..Table::default() };
    let program = Program { view, family, needs };
    for (name, hook, rules) in program.chains() {
        table.chains.insert(Name::from(name), Chain { hook, rules });
    }
    table
}

/// The type of an address of a family.
pub(super) fn address_type(family: Family) -> DataType {
    match family {
        Family::Ipv4 => DataType::Ipv4Addr,
        Family::Ipv6 => DataType::Ipv6Addr,
    }
}

fn sets(view: View<'_>, family: Family, needs: &ProgramNeeds) -> BTreeMap<Name, Set> {
    use DataType::{InetProto, InetService, Slot};
    let address = address_type(family);
    let frontend = [address, InetProto, InetService];
    let node_port = [InetProto, InetService];
    let allowed =
        SetDefinition { interval: true, ..SetDefinition::set(&[address, InetProto, InetService, address]) };
    let mut sets = vec![
        (set::FRONTENDS.to_owned(), SetDefinition::verdict_map(&frontend)),
        (set::NODE_PORT_FRONTENDS.to_owned(), SetDefinition::verdict_map(&node_port)),
        (set::NO_ENDPOINTS.to_owned(), SetDefinition::verdict_map(&frontend)),
        (set::NODE_PORT_NO_ENDPOINTS.to_owned(), SetDefinition::verdict_map(&node_port)),
        (set::CLUSTER_IPS.to_owned(), SetDefinition::set(&[address])),
        (set::NODE_PORT_IPS.to_owned(), SetDefinition::set(&[address])),
        (set::SOURCE_RESTRICTED.to_owned(), SetDefinition::set(&frontend)),
        (set::SOURCE_ALLOWED.to_owned(), allowed),
        (set::HAIRPIN.to_owned(), SetDefinition::set(&[address, address])),
    ];
    if needs.picking == Picking::Maps {
        let frontend = [address, InetProto, InetService, Slot];
        let node_port = [InetProto, InetService, Slot];
        for (name, key) in [
            (set::BACKENDS, frontend.as_slice()),
            (set::LOCAL_BACKENDS, &frontend),
            (set::NODE_PORT_BACKENDS, &node_port),
            (set::NODE_PORT_LOCAL_BACKENDS, &node_port),
        ] {
            sets.push((name.to_owned(), SetDefinition::map(key, &[address, InetService])));
        }
    }
    if !needs.affinity.is_empty() {
        let key = [address, address, InetProto, InetService];
        let size = Some(view.config.affinity_size);
        let affinity =
            SetDefinition { dynamic: true, size, ..SetDefinition::map(&key, &[address, InetService]) };
        sets.push((set::AFFINITY.to_owned(), affinity));
    }
    if view.config.counters {
        for (name, key) in [
            (set::FRONTEND_CONNECTIONS, frontend.as_slice()),
            (set::NODE_PORT_FRONTEND_CONNECTIONS, &node_port),
            (set::BACKEND_CONNECTIONS, &[address, InetProto, InetService, address, InetService]),
            (set::NODE_PORT_BACKEND_CONNECTIONS, &[InetProto, InetService, address, InetService]),
        ] {
            sets.push((name.to_owned(), SetDefinition::counting_set(key)));
        }
    }
    for (seconds, _) in &needs.affinity {
        sets.push((set::sticky(*seconds), SetDefinition::set(&frontend)));
        sets.push((set::sticky_node_ports(*seconds), SetDefinition::set(&node_port)));
    }
    let mut sets: BTreeMap<Name, Set> =
        sets.into_iter().map(|(name, definition)| (Name::from(name), Set::new(definition))).collect();
    if let Some(ips) = sets.get_mut(set::NODE_PORT_IPS) {
        let address = listed_address(view, family);
        ips.elements.extend(address.map(|address| (Value::new().addr(address), Element::key_only())));
    }
    sets
}

/// The address that node ports are served on, where it is given by itself.
fn listed_address(view: View<'_>, family: Family) -> Option<IpAddr> {
    let listed = view.config.node_port_addresses == NodePortAddresses::Primary;
    view.node.filter(|_| listed)?.primary_address(family)
}

/// The loopback addresses of a family (RFC 1122, RFC 4291).
fn loopback(family: Family) -> Option<Cidr> {
    match family {
        Family::Ipv4 => Cidr::new(IpAddr::from([127, 0, 0, 0]), 8),
        Family::Ipv6 => Cidr::new(IpAddr::from(Ipv6Addr::LOCALHOST), 128),
    }
}

type NamedChain = (&'static str, Option<BaseHook>, Vec<Rule>);

struct Program<'a> {
    view: View<'a>,
    family: Family,
    needs: &'a ProgramNeeds,
}

impl Program<'_> {
    fn chains(&self) -> Vec<NamedChain> {
        let base = |kind, hook, priority| Some(BaseHook { kind, hook, priority });
        let filter = |hook, priority| base(ChainType::Filter, hook, priority);
        let nat = |hook, priority| base(ChainType::Nat, hook, priority);
        let new = |chain| self.rule().new_connection().jump(chain);
        let services = || vec![self.rule().jump(chain::SERVICES)];
        let mut chains = vec![
            (chain::SERVICES, None, self.services()),
            (chain::MASQUERADE_LATER, None, vec![self.rule().set_mark(self.mark()).done()]),
            (chain::REJECT_CONNECTION, None, self.reject_connection()),
            (chain::CHECK_SOURCES, None, self.check_sources()),
            (chain::CHECK_ENDPOINTS, None, self.check_endpoints()),
            (chain::CHECK_CLUSTER_IPS, None, self.check_cluster_ips()),
            ("filter-prerouting", filter(Hook::Prerouting, BEFORE_DSTNAT), vec![new(chain::CHECK_SOURCES)]),
            (
                "filter-output-before-nat",
                filter(Hook::Output, BEFORE_DSTNAT),
                vec![new(chain::CHECK_SOURCES)],
            ),
            ("nat-prerouting", nat(Hook::Prerouting, DSTNAT), services()),
            ("nat-output", nat(Hook::Output, DSTNAT), services()),
            ("filter-input", filter(Hook::Input, FILTER), vec![new(chain::CHECK_ENDPOINTS)]),
            ("filter-forward", filter(Hook::Forward, FILTER), self.check_all()),
            ("filter-output", filter(Hook::Output, FILTER), self.check_all()),
            ("nat-postrouting", nat(Hook::Postrouting, SRCNAT), self.postrouting()),
        ];
        if !self.needs.affinity.is_empty() {
            chains.push((chain::REMEMBER_CLIENT, None, self.remember_client()));
            chains.push(("nat-input", nat(Hook::Input, SRCNAT), vec![self.remember()]));
        }
        if self.config().counters {
            let count = || vec![self.rule().translated().jump(chain::COUNT_CONNECTION)];
            chains.push((chain::COUNT_CONNECTION, None, self.count_connection()));
            chains.push(("count-input", nat(Hook::Input, BEFORE_SRCNAT), count()));
            chains.push(("count-postrouting", nat(Hook::Postrouting, BEFORE_SRCNAT), count()));
        }
        chains
    }

    fn rule(&self) -> Statements {
        Statements::new(self.family)
    }

    fn config(&self) -> &Config {
        self.view.config
    }

    fn mark(&self) -> u32 {
        self.config().masquerade_mark()
    }

    fn services(&self) -> Vec<Rule> {
        let mut rules = Vec::new();
        let cluster_ips = self.rule().in_set(&[Field::Destination], set::CLUSTER_IPS);
        if self.config().masquerade_all {
            rules.push(cluster_ips.jump(chain::MASQUERADE_LATER));
        } else if let Some(outside) = self.not_from_pods(cluster_ips) {
            rules.push(outside.jump(chain::MASQUERADE_LATER));
        }
        rules.push(self.rule().verdict_map(&FRONTEND, set::FRONTENDS));
        rules.extend(self.node_ports(set::NODE_PORT_FRONTENDS));
        rules
    }

    /// Goes on only with packets that no pod of this cluster sent; `None` where pods cannot be told from others.
    fn not_from_pods(&self, rule: Statements) -> Option<Statements> {
        match &self.config().detect_local {
            DetectLocal::Off => None,
            DetectLocal::BridgeInterface(name) => Some(rule.interface(CmpOp::Neq, name)),
            DetectLocal::InterfaceNamePrefix(prefix) => Some(rule.interface_prefix(CmpOp::Neq, prefix)),
            DetectLocal::ClusterCidr(_) | DetectLocal::NodeCidr => {
                let networks = self.view.pod_networks(self.family);
                // Outside of a network that holds everything there is nothing to match.
                if networks.is_empty() || networks.iter().any(|network| network.prefix() == 0) {
                    return None;
                }
                Some(networks.into_iter().fold(rule, |rule, network| rule.source(CmpOp::Neq, network)))
            }
        }
    }

    /// Looks a packet for one of the node's node-port addresses up by its port.
    fn node_ports(&self, map: &str) -> Vec<Rule> {
        let matches: Vec<Statements> = match &self.config().node_port_addresses {
            NodePortAddresses::Primary if self.view.node.is_some() => {
                vec![self.rule().in_set(&[Field::Destination], set::NODE_PORT_IPS)]
            }
            NodePortAddresses::Primary | NodePortAddresses::All => self.local_in(None).into_iter().collect(),
            NodePortAddresses::Cidrs(networks) => {
                let own = networks.iter().filter(|network| network.family() == self.family);
                own.filter_map(|network| self.local_in(Some(*network))).collect()
            }
        };
        matches.into_iter().map(|rule| rule.verdict_map(&NODE_PORT, map)).collect()
    }

    /// Goes on with packets for a local address inside the network that is not a loopback address: node ports are for
    /// others. `None` where there is no such address.
    fn local_in(&self, network: Option<Cidr>) -> Option<Statements> {
        let loopback = loopback(self.family)?;
        let rule = self.rule().local(FibAddress::Destination);
        let Some(network) = network.filter(|network| network.prefix() > 0) else {
            return Some(rule.destination(CmpOp::Neq, loopback));
        };
        if loopback.contains(network.network()) && network.prefix() >= loopback.prefix() {
            return None;
        }
        let inside = rule.destination(CmpOp::Eq, network);
        Some(if network.contains(loopback.network()) {
            inside.destination(CmpOp::Neq, loopback)
        } else {
            inside
        })
    }

    fn reject_connection(&self) -> Vec<Rule> {
        vec![
            self.rule().protocol(Protocol::Tcp).reject(Reject::TcpReset),
            self.rule().reject(Reject::PortUnreachable),
        ]
    }

    fn check_sources(&self) -> Vec<Rule> {
        let [address, protocol, port] = FRONTEND;
        let with_source = [address, protocol, port, Field::Source];
        let restricted = self.rule().in_set(&FRONTEND, set::SOURCE_RESTRICTED);
        vec![restricted.not_in_ranges(&with_source, set::SOURCE_ALLOWED).verdict(Verdict::Drop)]
    }

    fn check_endpoints(&self) -> Vec<Rule> {
        let mut rules = vec![self.rule().verdict_map(&FRONTEND, set::NO_ENDPOINTS)];
        rules.extend(self.node_ports(set::NODE_PORT_NO_ENDPOINTS));
        rules
    }

    fn check_cluster_ips(&self) -> Vec<Rule> {
        let reject = Name::from(chain::REJECT_CONNECTION);
        let mut rules = vec![self.rule().in_set(&[Field::Destination], set::CLUSTER_IPS).goto(&reject)];
        rules.extend(
            self.needs
                .service_cidrs
                .iter()
                .map(|network| self.rule().destination(CmpOp::Eq, *network).verdict(Verdict::Drop)),
        );
        rules
    }

    fn check_all(&self) -> Vec<Rule> {
        let new = |chain| self.rule().new_connection().jump(chain);
        vec![new(chain::CHECK_ENDPOINTS), new(chain::CHECK_CLUSTER_IPS)]
    }

    fn postrouting(&self) -> Vec<Rule> {
        let mark = self.mark();
        let mut rules = Vec::new();
        if !self.needs.affinity.is_empty() {
            rules.push(self.remember());
        }
        rules.push(self.rule().marked(mark).flip_mark(mark).masquerade());
        let own_address = [Field::Source, Field::Destination];
        rules.push(self.rule().translated().in_set(&own_address, set::HAIRPIN).masquerade());
        rules
    }

    fn remember(&self) -> Rule {
        self.rule().translated().jump(chain::REMEMBER_CLIENT)
    }

    /// After DNAT the packet carries its backend: it is noted for the client's next connection.
    fn remember_client(&self) -> Vec<Rule> {
        let [address, protocol, port] = ORIGINAL_FRONTEND;
        let key = [Field::OriginalSource, address, protocol, port];
        let backend = [Field::Destination, Field::DestinationPort];
        let update = |rule: Statements, seconds: u32| {
            rule.update(set::AFFINITY, &key, &backend, u64::from(seconds) * 1000)
        };
        // nft loads a listing of such a rule only where the protocol is known.
        let on = |protocol| self.rule().port_not_zero(protocol);
        let node_ports = self.needs.affinity.iter().map(|&(seconds, protocol)| {
            update(on(protocol).in_set(&ORIGINAL_NODE_PORT, &set::sticky_node_ports(seconds)), seconds)
        });
        let addresses = self.needs.affinity.iter().map(|&(seconds, protocol)| {
            update(on(protocol).in_set(&ORIGINAL_FRONTEND, &set::sticky(seconds)), seconds)
        });
        // A Service's port may be the number of another one's node port. The address decides, as it does among frontends,
        // so its timeout comes last.
        node_ports.chain(addresses).collect()
    }

    /// After DNAT the packet carries its backend, and connection tracking knows its frontend. A rule counts on both: where
    /// there is no such pair, somebody else has translated the packet.
    fn count_connection(&self) -> Vec<Rule> {
        let [address, protocol, port] = ORIGINAL_FRONTEND;
        let (to_address, to_port) = (Field::Destination, Field::DestinationPort);
        let count = |of, frontend: (&[Field], &str), pair: (&[Field], &str)| {
            // nft loads a listing of such a rule only where the protocol is known.
            let rule = self.rule().port_not_zero(of).in_set(pair.0, pair.1).in_set(frontend.0, frontend.1);
            rule.verdict(Verdict::Return)
        };
        let addresses = Protocol::ALL.map(|of| {
            let pair = [address, protocol, port, to_address, to_port];
            let frontend = (&ORIGINAL_FRONTEND[..], set::FRONTEND_CONNECTIONS);
            count(of, frontend, (&pair[..], set::BACKEND_CONNECTIONS))
        });
        let node_ports = Protocol::ALL.map(|of| {
            let pair = [protocol, port, to_address, to_port];
            let frontend = (&ORIGINAL_NODE_PORT[..], set::NODE_PORT_FRONTEND_CONNECTIONS);
            count(of, frontend, (&pair[..], set::NODE_PORT_BACKEND_CONNECTIONS))
        });
        // A Service's port may be the number of another one's node port. The address decides, as it does among frontends.
        addresses.into_iter().chain(node_ports).collect()
    }
}
