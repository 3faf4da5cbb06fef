//! From the routes of one Service to its fragment.

use std::net::IpAddr;

use super::chain::TableName;
use super::fragment::{Claim, Entry, Fragment, OwnChain, SharedChain};
use super::names::{PortChains, chain, clients_list};
use super::program::{from_pods, host};
use super::rule::{AddressType, Match, Odds, Recent, Rule, Target};
use crate::layout::{FrontendKey, comment};
use crate::name::Name;
use crate::resolve::View;
use crate::route::{Backend, Frontend, FrontendAddress, FrontendKind, Handling, Pool, Route};

/// Lowers the routes of one Service.
#[must_use]
pub fn lower(view: View<'_>, routes: &[Route<'_>]) -> Fragment {
    let mut fragment = Fragment::default();
    for route in routes {
        let mut lowering =
            Lowering { view, route, chains: PortChains::of(&route.port), fragment: &mut fragment };
        lowering.pools();
        lowering.external();
        lowering.sources();
        for frontend in &route.frontends {
            lowering.claim(frontend);
        }
        lowering.hairpin();
        if !fragment.families.contains(&route.family) {
            fragment.families.push(route.family);
        }
    }
    fragment.shared.sort_unstable();
    fragment.shared.dedup();
    fragment
}

/// A route on its way into a fragment.
struct Lowering<'a> {
    view: View<'a>,
    route: &'a Route<'a>,
    chains: PortChains,
    fragment: &'a mut Fragment,
}

impl Lowering<'_> {
    fn add_chain(&mut self, table: TableName, name: Name, rules: Vec<Rule>) {
        let Route { family, port, .. } = self.route;
        self.fragment.chains.push(OwnChain { family: *family, table, name, port: port.clone(), rules });
    }

    fn pools(&mut self) {
        let route = self.route;
        for pool in [Pool::Cluster, Pool::Local].into_iter().filter(|pool| route.uses(*pool)) {
            let backends = route.backends(pool);
            let mut rules = Vec::with_capacity(backends.len() * 2);
            if let Some(seconds) = route.affinity_seconds {
                rules.extend(backends.iter().map(|backend| self.stay(backend, seconds)));
            }
            let left = (1..=u32::try_from(backends.len()).unwrap_or(u32::MAX)).rev();
            rules.extend(backends.iter().zip(left).map(|(backend, left)| self.pick(backend, left)));
            self.add_chain(TableName::Nat, self.chains.pool(pool), rules);
        }
    }

    /// A client that this backend knows goes there again.
    fn stay(&self, backend: &Backend<'_>, seconds: u32) -> Rule {
        let list = clients_list(&self.route.port, backend.address);
        self.dnat(backend).when(Match::Recent { list, action: Recent::Update { seconds } })
    }

    /// One of those that are left, each equally likely.
    fn pick(&self, backend: &Backend<'_>, left: u32) -> Rule {
        let mut rule = self.dnat(backend);
        if left > 1 {
            rule = rule.when(Match::Random(Odds::one_in(left)));
        }
        if self.route.affinity_seconds.is_some() {
            // Behind the draw, so that only the client that goes there is noted.
            let list = clients_list(&self.route.port, backend.address);
            rule = rule.when(Match::Recent { list, action: Recent::Set });
        }
        rule.comment(backend.pod.map(|pod| comment(pod.text())))
    }

    fn dnat(&self, backend: &Backend<'_>) -> Rule {
        Rule { protocol: Some(self.route.port.protocol), ..Rule::new(Target::Dnat(backend.address)) }
    }

    /// `externalTrafficPolicy: Cluster`: any backend, masqueraded. `Local`: traffic from this cluster's pods and from the
    /// node itself may use every backend, all other traffic only the local ones, with its source kept.
    fn external(&mut self) {
        let route = self.route;
        let every = self.chains.pool(Pool::Cluster);
        let masquerade = || Rule::jump(chain::MASQUERADE_LATER);
        let rules = if route.has(&[Handling::External]) {
            vec![masquerade(), Rule::goto(every)]
        } else if route.has(&[Handling::ExternalLocal]) {
            let from_host = || Match::Local(AddressType::Source);
            let mut rules = from_pods(self.view, route.family, &Target::Goto(every.clone()));
            rules.push(masquerade().when(from_host()));
            rules.push(Rule::goto(every).when(from_host()));
            if route.uses(Pool::Local) {
                rules.push(Rule::goto(self.chains.pool(Pool::Local)));
            }
            rules
        } else {
            return;
        };
        self.add_chain(TableName::Nat, self.chains.external(), rules);
    }

    /// All load-balancer addresses of a route have the same sources.
    fn sources(&mut self) {
        let Some(sources) = self.route.frontends.iter().find_map(|frontend| frontend.sources.as_ref()) else {
            return;
        };
        let mut rules: Vec<Rule> =
            sources.iter().map(|network| Rule::new(Target::Return).from(*network)).collect();
        rules.push(Rule::new(Target::Drop));
        self.add_chain(TableName::Mangle, self.chains.sources(), rules);
    }

    /// The rules that make a frontend work. What cannot be served is refused behind NAT, where local clients are met as
    /// well, and until then kept from a node port that may be at the same address.
    fn claim(&mut self, frontend: &Frontend) {
        let rules = match frontend.at {
            FrontendAddress::Address(address, port) => self.at_address(frontend, address, port.get()),
            FrontendAddress::NodePort(port) => self.at_node_port(frontend, port.get()),
        };
        let Route { family, port, .. } = self.route;
        let entry = |(chain, rule)| Entry { family: *family, chain, rule };
        let entries = rules.into_iter().map(entry).collect();
        let key = FrontendKey { family: *family, at: frontend.at, protocol: port.protocol };
        self.fragment.claims.push(Claim { frontend: key, port: port.clone(), entries });
        if let (FrontendKind::ClusterIp, FrontendAddress::Address(address, _)) = (frontend.kind, frontend.at)
        {
            let reject = Target::Jump(Name::from(chain::REJECT));
            self.share(SharedChain::ClusterIps, Rule::new(reject).to(host(address)));
        }
    }

    fn at_address(&self, frontend: &Frontend, address: IpAddr, port: u16) -> Vec<(SharedChain, Rule)> {
        let rule = |target| Rule::new(target).on(self.route.port.protocol, port);
        let target = self.serve(frontend).unwrap_or(Target::Return);
        let mut rules = vec![(SharedChain::Address(address), rule(target).comment(Some(self.comment())))];
        if let Some(target) = self.refusal(frontend.handling) {
            let rule = rule(target).to(host(address)).comment(Some(self.comment()));
            rules.push((SharedChain::NoEndpoints, rule));
        }
        if frontend.sources.is_some() {
            let target = Target::Goto(self.chains.sources());
            rules.push((SharedChain::Sources, rule(target).to(host(address))));
        }
        rules
    }

    fn at_node_port(&self, frontend: &Frontend, port: u16) -> Vec<(SharedChain, Rule)> {
        let rule =
            |target| Rule::new(target).on(self.route.port.protocol, port).comment(Some(self.comment()));
        let serve = self.serve(frontend).map(|target| (SharedChain::NodePorts, rule(target)));
        let refuse = self.refusal(frontend.handling);
        let refuse = refuse.map(|target| (SharedChain::NoEndpointsNodePorts, rule(target)));
        serve.into_iter().chain(refuse).collect()
    }

    /// Where a connection is sent to that can be served.
    fn serve(&self, frontend: &Frontend) -> Option<Target> {
        match frontend.handling {
            Handling::Reject | Handling::Drop => None,
            Handling::Internal(pool) => Some(Target::Goto(self.chains.pool(pool))),
            Handling::External | Handling::ExternalLocal => Some(Target::Goto(self.chains.external())),
        }
    }

    fn refusal(&self, handling: Handling) -> Option<Target> {
        match handling {
            Handling::Reject => Some(Target::Jump(Name::from(chain::REJECT))),
            Handling::Drop => Some(Target::Drop),
            Handling::ExternalLocal if self.route.local.is_empty() => Some(Target::Drop),
            Handling::Internal(_) | Handling::External | Handling::ExternalLocal => None,
        }
    }

    fn comment(&self) -> Name {
        comment(self.route.port.text())
    }

    /// Only pods of this node can be both ends of a connection through it.
    fn hairpin(&mut self) {
        let route = self.route;
        for backend in route.cluster.iter().chain(&route.local).filter(|backend| backend.maybe_here) {
            let address: IpAddr = backend.address.ip();
            let rule = Rule::new(Target::Masquerade).from(host(address)).to(host(address));
            self.share(SharedChain::Hairpin, rule);
        }
    }

    fn share(&mut self, chain: SharedChain, rule: Rule) {
        self.fragment.shared.push(Entry { family: self.route.family, chain, rule });
    }
}
