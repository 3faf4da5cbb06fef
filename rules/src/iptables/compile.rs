//! The full compile: the fold of all Services' fragments, the oldest Service first.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::net::IpAddr;

use super::chain::{Chain, Ruleset, TableName};
use super::fragment::{Claim, Entry, Fragment, SharedChain};
use super::lower::lower;
use super::names::chain;
use super::program::{Program, host};
use super::rule::Rule;
use crate::cluster::{Cluster, Service};
use crate::compile::{Conflict, slices_by_service};
use crate::config::Config;
use crate::layout::FrontendKey;
use crate::name::Name;
use crate::net::{Cidr, Family};
use crate::resolve::{View, resolve};
use crate::route::{ServicePortName, by_age};

/// What a compile yields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compiled {
    /// All that should be ours.
    pub ruleset: Ruleset,
    /// The frontends that service ports want and do not get, in the order of the frontends.
    pub conflicts: Vec<Conflict>,
    /// What is not served because its chain would have the name of another one, in no order.
    pub collisions: Vec<Collision>,
}

impl Compiled {
    /// What people should know: who does not get what it wants.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let conflicts = self.conflicts.iter().map(|conflict| format!("conflict: {conflict}"));
        conflicts.chain(self.collisions.iter().map(|collision| format!("conflict: {collision}"))).collect()
    }
}

/// Two things whose chains would have the same name, since both names are hashed. That happens by chance once in 10^9 clusters
/// of 10,000 Services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The name.
    pub chain: Name,
    /// Who has it: the older Service, or the lower address.
    pub winner: String,
    /// What is not served: a Service with all its ports, or an address.
    pub loser: String,
}

impl fmt::Display for Collision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, winner, loser } = self;
        write!(
            f,
            "{loser} is not served, since its chain {chain} would be that of {winner}; rename one of them"
        )
    }
}

/// Compiles the whole cluster for one node. A pure function; options of the nftables layouts do not matter.
#[must_use]
pub fn compile(cluster: &Cluster, config: &Config) -> Compiled {
    let view = View { config, node: cluster.node.as_ref() };
    let slices = slices_by_service(cluster);
    let mut services: Vec<&Service> = cluster.services.values().collect();
    services.sort_unstable_by(|a, b| by_age(a, b));
    let fragments = services.into_iter().map(|service| {
        let own = slices.get(&service.name).map_or(&[][..], Vec::as_slice);
        lower(view, &resolve(view, service, own))
    });
    fold(view, &cluster.service_cidrs, fragments)
}

/// Folds fragments, the oldest Service's first, into all that should be ours.
pub(crate) fn fold(
    view: View<'_>,
    service_cidrs: &[Cidr],
    fragments: impl Iterator<Item = Fragment>,
) -> Compiled {
    let mut fold = Fold::default();
    let (services, _) = fragments.size_hint();
    fold.chains.reserve(services);
    fold.entries.reserve(services);
    fold.winners.reserve(services);
    fragments.for_each(|fragment| fold.add(fragment));
    fold.finish(service_cidrs, view)
}

/// Everything is gathered without an order and sorted once: a name is compared with as few others as can be.
#[derive(Default)]
struct Fold {
    compiled: Compiled,
    /// The Services' own chains, with whose they are.
    chains: HashMap<(Family, TableName, Name), (ServicePortName, Vec<Rule>)>,
    entries: HashMap<(Family, SharedChain), Vec<Rule>>,
    winners: HashMap<FrontendKey, ServicePortName>,
    used: BTreeSet<Family>,
}

impl Fold {
    fn add(&mut self, fragment: Fragment) {
        for own in &fragment.chains {
            if let Some((winner, _)) = self.chains.get(&(own.family, own.table, own.name.clone())) {
                let collision = Collision {
                    chain: own.name.clone(),
                    winner: winner.service.to_string(),
                    loser: own.port.service.to_string(),
                };
                self.compiled.collisions.push(collision);
                return;
            }
        }
        self.used.extend(fragment.families);
        for own in fragment.chains {
            self.chains.insert((own.family, own.table, own.name), (own.port, own.rules));
        }
        fragment.claims.into_iter().for_each(|claim| self.settle(claim));
        fragment.shared.into_iter().for_each(|entry| self.enter(entry));
    }

    /// Fragments come oldest Service first, so who claims first wins.
    fn settle(&mut self, claim: Claim) {
        if let Some(winner) = self.winners.get(&claim.frontend) {
            let conflict = Conflict { frontend: claim.frontend, winner: winner.clone(), loser: claim.port };
            self.compiled.conflicts.push(conflict);
            return;
        }
        self.winners.insert(claim.frontend, claim.port);
        claim.entries.into_iter().for_each(|entry| self.enter(entry));
    }

    fn enter(&mut self, entry: Entry) {
        self.entries.entry((entry.family, entry.chain)).or_default().push(entry.rule);
    }

    fn finish(mut self, service_cidrs: &[Cidr], view: View<'_>) -> Compiled {
        let mut chains: HashMap<(Family, TableName), Vec<(Name, Chain)>> = HashMap::new();
        for ((family, table, name), (_, rules)) in std::mem::take(&mut self.chains) {
            chains.entry((family, table)).or_default().push((name, Chain { rules, unordered: 0 }));
        }
        let mut entries: Vec<_> = std::mem::take(&mut self.entries).into_iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        let mut entries = entries.into_iter().peekable();
        for family in Family::ALL {
            let of_family = std::iter::from_fn(|| entries.next_if(|((of, _), _)| *of == family));
            let of_family = of_family.map(|((_, shared), rules)| (shared, rules)).collect();
            let all = service_cidrs.iter().copied();
            let service_cidrs: Vec<Cidr> = all.filter(|cidr| cidr.family() == family).collect();
            if !self.used.contains(&family) && service_cidrs.is_empty() {
                continue;
            }
            let program = Program { view, family, service_cidrs: &service_cidrs };
            let mut tables = program.tables();
            for (table, name, chain) in self.dispatch(&program, of_family) {
                chains.entry((family, table)).or_default().push((name, chain));
            }
            for (name, table) in &mut tables {
                // In the place of the program's, where those wait for what Services share.
                let filled = chains.remove(&(family, *name)).unwrap_or_default();
                table.chains.append(&mut filled.into_iter().collect());
            }
            self.compiled.ruleset.families.insert(family, tables);
        }
        let mut compiled = self.compiled;
        compiled.conflicts.sort_by(|a, b| (a.frontend, &a.loser).cmp(&(b.frontend, &b.loser)));
        compiled
    }

    /// The chains that Services share in one family.
    fn dispatch(
        &mut self,
        program: &Program<'_>,
        entries: Vec<(SharedChain, Vec<Rule>)>,
    ) -> Vec<(TableName, Name, Chain)> {
        let refused = entries.iter().filter(|(shared, _)| *shared == SharedChain::ClusterIps);
        let refused = refused.flat_map(|(_, rules)| rules);
        let cluster_ips: HashSet<Cidr> = refused.filter_map(|rule| rule.destination).collect();
        let mut addresses: HashMap<Name, IpAddr> = HashMap::new();
        let mut services = Vec::new();
        let mut chains = Vec::with_capacity(entries.len() + 1);
        for (shared, mut rules) in entries {
            rules.sort_unstable();
            // Several Services may have contributed the same.
            rules.dedup();
            let (mut head, name) = (None, shared.name());
            if let SharedChain::Address(address) = shared {
                if let Some(winner) = addresses.get(&name) {
                    let (winner, loser) = (winner.to_string(), address.to_string());
                    self.compiled.collisions.push(Collision { chain: name, winner, loser });
                    continue;
                }
                addresses.insert(name.clone(), address);
                services.push(Rule::goto(name.clone()).to(host(address)));
                head = program.cluster_ip_head().filter(|_| cluster_ips.contains(&host(address)));
            }
            let unordered = if head.is_some() { 0 } else { rules.len() };
            rules.splice(0..0, head);
            rules.extend(program.tail(shared));
            chains.push((shared.table(), name, Chain { rules, unordered }));
        }
        let unordered = services.len();
        services.extend(program.tail_of_services());
        chains.push((TableName::Nat, Name::from(chain::SERVICES), Chain { rules: services, unordered }));
        chains
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iptables::fragment::OwnChain;
    use crate::iptables::rule::Target;
    use crate::name::ObjectName;
    use crate::net::Protocol;
    use crate::route::FrontendAddress;

    /// A Service with one chain of this name, and a node port that leads there.
    fn fragment(service: &str, chain: &str, node_port: u16) -> Fragment {
        let service = ObjectName::new("shop", service);
        let port = ServicePortName { service, port: Name::from(""), protocol: Protocol::Tcp };
        let family = Family::Ipv4;
        let rules = vec![Rule::new(Target::Return)];
        let own =
            OwnChain { family, table: TableName::Nat, name: Name::from(chain), port: port.clone(), rules };
        let at = FrontendAddress::NodePort(node_port.try_into().unwrap());
        let frontend = FrontendKey { family, at, protocol: Protocol::Tcp };
        let rule = Rule::goto(chain).on(Protocol::Tcp, node_port);
        let entries = vec![Entry { family, chain: SharedChain::NodePorts, rule }];
        let claim = Claim { frontend, port, entries };
        Fragment { chains: vec![own], claims: vec![claim], shared: Vec::new(), families: vec![family] }
    }

    #[test]
    fn whose_chain_would_be_that_of_an_older_service_is_not_served_and_reported() {
        let mut fold = Fold::default();
        fold.add(fragment("old", "SVCNAT-SVC-x", 30_001));
        fold.add(fragment("new", "SVCNAT-SVC-x", 30_002));
        fold.add(fragment("other", "SVCNAT-SVC-y", 30_003));
        let mut chains: Vec<&str> = fold.chains.keys().map(|(.., name)| name.as_str()).collect();
        chains.sort_unstable();
        assert_eq!(chains, ["SVCNAT-SVC-x", "SVCNAT-SVC-y"]);
        let entries = &fold.entries[&(Family::Ipv4, SharedChain::NodePorts)];
        assert_eq!(entries.iter().filter_map(|rule| rule.port).collect::<Vec<_>>(), [30_001, 30_003]);
        let said: Vec<String> = fold.compiled.collisions.iter().map(ToString::to_string).collect();
        let expected = "shop/new is not served, since its chain SVCNAT-SVC-x would be that of shop/old; rename one of them";
        assert_eq!(said, [expected]);
    }
}
