//! What lowering a route has in common in all layouts: claims of frontends, checks of sources, refusals, hairpins.

use super::chains;
use super::counting;
use super::fragment::{Claim, ElementAt, Fragment};
use super::frontend::{self, FrontendKey};
use super::lowering::Lowering;
use super::maps::{self, Slotted};
use super::names::chain;
use super::picking::Picking;
use super::set_name::SetName;
use super::slots::Previous;
use crate::name::Name;
use crate::net::Cidr;
use crate::resolve::View;
use crate::route::{Frontend, FrontendAddress, FrontendKind, Handling, Route};
use crate::ruleset::{Element, Value, Verdict};

/// Lowers the routes of one Service.
pub(crate) fn lower(
    view: View<'_>,
    picking: Picking,
    routes: &[Route<'_>],
    previous: &(impl Previous + ?Sized),
) -> Fragment {
    let mut fragment = Fragment::default();
    for route in routes {
        let mut lowering = Lowering { view, route, fragment: &mut fragment };
        let dispatch = match picking {
            Picking::Chains => {
                chains::add(&mut lowering, previous);
                Dispatch::Chains
            }
            Picking::Maps => Dispatch::Maps(maps::assign_slots(&mut lowering, previous)),
        };
        lowering.common(&dispatch);
    }
    fragment.backend_rules = routes.iter().map(Route::backend_rules).sum();
    fragment.shared.sort_unstable_by(|a, b| a.place().cmp(&b.place()));
    fragment.shared.dedup_by(|a, b| a.place() == b.place());
    fragment
}

/// How a frontend's connections reach a backend.
enum Dispatch<'a> {
    Chains,
    Maps(Slotted<'a>),
}

impl Dispatch<'_> {
    /// How many elements nearly every frontend has.
    fn elements(&self, frontend: &Frontend) -> usize {
        match self {
            Self::Chains => 1,
            Self::Maps(slotted) => 1 + slotted.elements(frontend),
        }
    }
}

impl Lowering<'_> {
    fn common(&mut self, dispatch: &Dispatch<'_>) {
        // Nearly every Service has one frontend: a vector that grows by itself begins with four.
        self.fragment.claims.reserve_exact(self.route.frontends.len());
        for frontend in &self.route.frontends {
            self.claim(frontend, dispatch);
        }
        self.hairpin();
        let family = self.route.family;
        if !self.fragment.families.contains(&family) {
            self.fragment.families.push(family);
        }
        if let Some(seconds) = self.route.affinity_seconds {
            self.fragment.affinity.insert((family, seconds, self.route.port.protocol));
        }
    }

    /// The elements that make a frontend work. What can be served is sent to its chain; what cannot is refused behind
    /// NAT, where local clients are met as well, and until then kept from a node port that may be at the same address.
    fn claim(&mut self, frontend: &Frontend, dispatch: &Dispatch<'_>) {
        let (serving, refusing) = match frontend.at {
            FrontendAddress::Address(..) => (SetName::Frontends, SetName::NoEndpoints),
            FrontendAddress::NodePort(_) => (SetName::NodePortFrontends, SetName::NodePortNoEndpoints),
        };
        let key = frontend::key(self.route, frontend.at);
        let mut elements = Vec::with_capacity(dispatch.elements(frontend));
        let served = !matches!(frontend.handling, Handling::Reject | Handling::Drop);
        if !served {
            elements.push(self.at(serving, key.clone(), Element::verdict(Verdict::Return)));
        } else {
            match dispatch {
                Dispatch::Chains => {
                    let verdict = Verdict::Goto(chains::serve(self.route, frontend));
                    elements.push(self.at(serving, key.clone(), Element::verdict(verdict)));
                }
                Dispatch::Maps(slotted) => maps::serve(self, slotted, frontend, serving, &mut elements),
            }
        }
        if let Some(verdict) = self.refusal(frontend.handling) {
            let element = Element::verdict(verdict).with_comment(self.comment());
            elements.push(self.at(refusing, key.clone(), element));
        }
        if let Some(seconds) = self.route.affinity_seconds.filter(|_| served) {
            let sticky = match frontend.at {
                FrontendAddress::Address(..) => SetName::Sticky(seconds),
                FrontendAddress::NodePort(_) => SetName::StickyNodePorts(seconds),
            };
            elements.push(self.at(sticky, key.clone(), Element::key_only()));
        }
        if let Some(sources) = &frontend.sources {
            elements.push(self.at(SetName::SourceRestricted, key.clone(), Element::key_only()));
            elements.extend(without_nested(sources).map(|range| self.allowed(&key, range)));
        }
        if self.view.config.counters {
            counting::count(self, frontend, &key, &mut elements);
        }
        if let (FrontendKind::ClusterIp, FrontendAddress::Address(address, _)) = (frontend.kind, frontend.at)
        {
            let element = self.at(SetName::ClusterIps, Value::new().addr(address), Element::key_only());
            self.fragment.shared.push(element);
        }
        let port = self.route.port.clone();
        let frontend = FrontendKey { family: self.route.family, at: frontend.at, protocol: port.protocol };
        self.fragment.claims.push(Claim { frontend, port, age: self.route.age, elements });
    }

    fn refusal(&self, handling: Handling) -> Option<Verdict> {
        match handling {
            Handling::Reject => Some(Verdict::Goto(Name::from(chain::REJECT_CONNECTION))),
            Handling::Drop => Some(Verdict::Drop),
            Handling::ExternalLocal if self.route.local.is_empty() => Some(Verdict::Drop),
            Handling::Internal(_) | Handling::External | Handling::ExternalLocal => None,
        }
    }

    fn allowed(&self, frontend: &Value, range: Cidr) -> ElementAt {
        let bound = |address| {
            Value::from_bytes(&[frontend.as_bytes(), Value::new().addr(address).as_bytes()].concat())
        };
        let element = Element { end: Some(Box::new(bound(range.last()))), ..Element::default() };
        self.at(SetName::SourceAllowed, bound(range.network()), element)
    }

    /// Only pods of this node can be both ends of a connection through it.
    fn hairpin(&mut self) {
        let route = self.route;
        let here = || route.cluster.iter().chain(&route.local).filter(|backend| backend.maybe_here);
        self.fragment.shared.reserve(here().count());
        for backend in here() {
            let address = backend.address.ip();
            let element =
                self.at(SetName::Hairpin, Value::new().addr(address).addr(address), Element::key_only());
            self.fragment.shared.push(element);
        }
    }
}

/// The ranges that lie in no other one: the kernel refuses elements that overlap.
fn without_nested(sorted: &[Cidr]) -> impl Iterator<Item = Cidr> + '_ {
    let mut last: Option<Cidr> = None;
    sorted.iter().copied().filter(move |range| {
        let nested = last.is_some_and(|outer| outer.contains(range.network()));
        if !nested {
            last = Some(*range);
        }
        !nested
    })
}
