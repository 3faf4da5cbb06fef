//! The table of frontends with the backends that each gives its clients, taken from a ruleset.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::Arc;

use super::follow::Follower;
use super::guard::Passes;
use super::value::{read_port, take_address};
use super::way::{Way, Ways};
use crate::installed::Installed;
use crate::layout::{FrontendKey, set};
use crate::name::Name;
use crate::net::{Family, Protocol};
use crate::route::FrontendAddress;
use crate::ruleset::{Elements, Rule, Ruleset, Value};

/// A client as far as rules ask for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Whether it is an address of this machine.
    pub is_local: bool,
}

/// All frontends of a ruleset.
#[derive(Debug, Clone, Default)]
pub struct Frontends {
    by_key: HashMap<FrontendKey, Frontend>,
    /// The addresses on which node ports are served.
    node_port_addresses: BTreeSet<IpAddr>,
}

/// One frontend: whom it sends where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frontend(Arc<Ways>);

impl Frontends {
    /// The frontends of a ruleset that have one of these protocols. `node_port_addresses` are those on which node
    /// ports are served where the ruleset itself does not list them.
    #[must_use]
    pub fn of(ruleset: &Ruleset, protocols: &[Protocol], node_port_addresses: &BTreeSet<IpAddr>) -> Self {
        let mut frontends = Self::default();
        for (family, table) in &ruleset.tables {
            let sets = |name: &str| table.sets.get(name).map(|set| &set.elements);
            let rules =
                |name: &Name| table.chains.get(name).map_or(&[][..], |chain| &chain.rules).iter().collect();
            frontends.add(*family, protocols, node_port_addresses, sets, rules);
        }
        frontends
    }

    /// The same of what the kernel holds. Rules that are none of ours lead nowhere.
    #[must_use]
    pub fn installed(
        installed: &Installed,
        protocols: &[Protocol],
        node_port_addresses: &BTreeSet<IpAddr>,
    ) -> Self {
        let mut frontends = Self::default();
        for (family, table) in &installed.tables {
            let sets = |name: &str| table.sets.get(name).map(|set| &set.elements);
            let rules = |name: &Name| {
                let rules = table.chains.get(name).map_or(&[][..], |chain| &chain.rules);
                rules.iter().filter_map(|rule| rule.rule.as_ref()).collect()
            };
            frontends.add(*family, protocols, node_port_addresses, sets, rules);
        }
        frontends
    }

    fn add<'a>(
        &mut self,
        family: Family,
        protocols: &[Protocol],
        node_port_addresses: &BTreeSet<IpAddr>,
        sets: impl Fn(&str) -> Option<&'a Elements>,
        rules: impl Fn(&Name) -> Vec<&'a Rule>,
    ) {
        let mut follower = Follower::new(family, &sets, rules);
        for set in [set::FRONTENDS, set::NODE_PORT_FRONTENDS] {
            for (key, element) in sets(set).into_iter().flatten() {
                let frontend = read_key(family, set, key).filter(|found| protocols.contains(&found.protocol));
                if let Some(frontend) = frontend {
                    self.by_key.insert(frontend, Frontend(follower.element(key, element)));
                }
            }
        }
        let listed = sets(set::NODE_PORT_IPS).into_iter().flatten();
        let mut addresses: BTreeSet<IpAddr> =
            listed.filter_map(|(key, _)| take_address(family, key.as_bytes())).map(|(ip, _)| ip).collect();
        if addresses.is_empty() {
            addresses.extend(node_port_addresses.iter().filter(|address| Family::of(**address) == family));
        }
        self.node_port_addresses.append(&mut addresses);
    }

    /// The frontend that a new connection to this destination meets: an address frontend before a node port, as in
    /// the rules.
    #[must_use]
    pub fn find(&self, protocol: Protocol, destination: SocketAddr) -> Option<(FrontendKey, &Frontend)> {
        let family = Family::of(destination.ip());
        let port = NonZeroU16::new(destination.port())?;
        let key = |at| FrontendKey { family, at, protocol };
        let address = key(FrontendAddress::Address(destination.ip(), port));
        if let Some(frontend) = self.by_key.get(&address) {
            return Some((address, frontend));
        }
        let node_port = key(FrontendAddress::NodePort(port));
        let served = self.node_port_addresses.contains(&destination.ip());
        self.by_key.get(&node_port).filter(|_| served).map(|frontend| (node_port, frontend))
    }

    /// A frontend by its identity.
    #[must_use]
    pub fn get(&self, key: &FrontendKey) -> Option<&Frontend> {
        self.by_key.get(key)
    }

    /// All frontends, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&FrontendKey, &Frontend)> {
        self.by_key.iter()
    }

    /// The addresses on which node ports are served.
    #[must_use]
    pub fn node_port_addresses(&self) -> &BTreeSet<IpAddr> {
        &self.node_port_addresses
    }
}

impl Frontend {
    /// Whether a new connection of this client may be sent to that backend.
    #[must_use]
    pub fn gives(&self, client: Client, protocol: Protocol, backend: SocketAddr) -> bool {
        self.open_to(client, protocol).any(|way| way.leads_to(backend))
    }

    /// Whether a new connection of this client may be sent to any backend.
    #[must_use]
    pub fn serves(&self, client: Client, protocol: Protocol) -> bool {
        self.open_to(client, protocol).any(|way| !way.backends.is_empty())
    }

    /// The ways that a client may take.
    fn open_to(&self, client: Client, protocol: Protocol) -> impl Iterator<Item = &Way> {
        let mut closed = false;
        self.0.ways.iter().filter(move |way| {
            if closed {
                return false;
            }
            let passes = way.passes(client, protocol);
            closed = way.last && passes == Passes::Yes;
            passes != Passes::No
        })
    }

    /// Whether it sends some client to that backend.
    #[must_use]
    pub fn has(&self, backend: SocketAddr) -> bool {
        self.0.ways.iter().any(|way| way.leads_to(backend))
    }

    /// Whether it sends every client there, whatever its address.
    #[must_use]
    pub fn has_for_everyone(&self, backend: SocketAddr) -> bool {
        self.0.ways.iter().any(|way| way.guards.is_empty() && way.leads_to(backend))
    }

    /// The backends that it sends some client to.
    #[must_use]
    pub fn backends(&self) -> BTreeSet<SocketAddr> {
        self.0.ways.iter().flat_map(|way| way.backends.iter().copied()).collect()
    }

    /// Whether it sends nobody anywhere.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.ways.iter().all(|way| way.backends.is_empty())
    }

    /// Whether clients are remembered.
    #[must_use]
    pub fn is_sticky(&self) -> bool {
        self.0.sticky
    }

    /// Whether some client may be given a backend by `self` that it is not given by `after`.
    #[must_use]
    pub fn loses(&self, after: &Self) -> bool {
        if self.is_empty() {
            return false;
        }
        !self.same_ways(after, |before, after| {
            before.iter().all(|backend| after.binary_search(backend).is_ok())
        })
    }

    /// Whether some client may be given a backend by `after` that was given none by `self`.
    #[must_use]
    pub fn opens(&self, after: &Self) -> bool {
        if after.is_empty() {
            return false;
        }
        !self.same_ways(after, |before, after| !before.is_empty() || after.is_empty())
    }

    /// Whether both have the same ways, with backends of which `alike` holds.
    fn same_ways(&self, other: &Self, alike: impl Fn(&[SocketAddr], &[SocketAddr]) -> bool) -> bool {
        let (these, others) = (&self.0.ways, &other.0.ways);
        these.len() == others.len()
            && these.iter().zip(others).all(|(this, other)| {
                this.guards == other.guards
                    && this.last == other.last
                    && alike(&this.backends, &other.backends)
            })
    }
}

/// Reads `address . protocol . port`, or `protocol . port` in the sets of node ports.
#[must_use]
pub fn read_key(family: Family, set: &str, key: &Value) -> Option<FrontendKey> {
    let of_node_ports =
        [set::NODE_PORT_FRONTENDS, set::NODE_PORT_NO_ENDPOINTS, set::NODE_PORT_FRONTEND_CONNECTIONS];
    if of_node_ports.contains(&set) {
        let (protocol, port) = read_port(key.as_bytes())?;
        return Some(FrontendKey { family, at: FrontendAddress::NodePort(port), protocol });
    }
    let (address, rest) = take_address(family, key.as_bytes())?;
    let (protocol, port) = read_port(rest)?;
    Some(FrontendKey { family, at: FrontendAddress::Address(address, port), protocol })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{Chain, CmpOp, Element, Expr, Header, Register, Set, SetDefinition, Table, Verdict};

    const BACKEND: &str = "10.244.0.2:8080";

    fn in_ten(verdict: Verdict) -> Rule {
        let (header, dest) = (Header::Network, Register::FIRST);
        let load = Expr::Payload { header, offset: 12, len: 1, dest };
        let cmp = Expr::Cmp { op: CmpOp::Eq, source: dest, value: Value::from_bytes(&[10]) };
        Rule { exprs: vec![load, cmp, Expr::Verdict(verdict)], comment: None }
    }

    fn pick() -> Rule {
        let backend: SocketAddr = BACKEND.parse().unwrap();
        let (address, port) = (Register::FIRST, Register::SECOND);
        let value = Value::new().addr(backend.ip());
        let exprs = vec![
            Expr::Immediate { dest: address, value },
            Expr::Immediate { dest: port, value: Value::from_bytes(&backend.port().to_be_bytes()) },
            Expr::Dnat { address, port: Some(port), port_specified: true },
        ];
        Rule { exprs, comment: None }
    }

    /// Whether a client inside 10.0.0.0/8 gets the backend behind this rule; one outside always does.
    #[track_caller]
    fn check(verdict: &Verdict, expected: bool) {
        let chain = |rules| Chain { hook: None, rules };
        let mut frontends = Set::new(SetDefinition::verdict_map(&[]));
        let key = Value::new().protocol(Protocol::Udp).port(53);
        frontends.elements.insert(key, Element::verdict(Verdict::Goto(Name::from("service"))));
        let table = Table {
            sets: [(Name::from(set::NODE_PORT_FRONTENDS), frontends)].into(),
            chains: [
                (Name::from("service"), chain(vec![in_ten(verdict.clone()), pick()])),
                (Name::from("empty"), chain(Vec::new())),
            ]
            .into(),
        };
        let ruleset = Ruleset { tables: [(Family::Ipv4, table)].into() };
        let node: SocketAddr = "192.168.1.2:53".parse().unwrap();
        let frontends = Frontends::of(&ruleset, &[Protocol::Udp], &[node.ip()].into());
        let (_, frontend) = frontends.find(Protocol::Udp, node).unwrap();
        let gives = |client: &str| {
            let client = Client { address: client.parse().unwrap(), is_local: false };
            let backend = BACKEND.parse().unwrap();
            let gives = frontend.gives(client, Protocol::Udp, backend);
            assert_eq!(frontend.serves(client, Protocol::Udp), gives);
            gives
        };
        assert_eq!((gives("10.1.2.3"), gives("11.1.2.3")), (expected, true), "{verdict}");
    }

    #[test]
    fn who_is_sent_away_gets_nothing_from_the_rules_behind() {
        check(&Verdict::Goto(Name::from("empty")), false);
        check(&Verdict::Drop, false);
        check(&Verdict::Accept, false);
        check(&Verdict::Return, false);
        check(&Verdict::Jump(Name::from("empty")), true);
    }
}
