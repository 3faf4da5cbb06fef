//! What the oracle and the simulator say of a packet, in terms that can be compared.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use svcnat_oracle::{Origin, Packet, Rejection, Source, Verdict, World, verdict};
use svcnat_rules::layout::set;
use svcnat_rules::name::Name;
use svcnat_rules::ruleset::{Reject, Ruleset, Value};
use svcnat_rules::simulate::{self, Environment, Fate, Outcomes, Probability, simulate};

/// A port that no Service has, for the client's side.
const CLIENT_PORT: u16 = 45_678;

/// What becomes of a packet, as far as the oracle speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fact {
    Untouched,
    Backend(SocketAddr, Source),
    Drop,
    Reject(Rejection),
}

/// What the oracle says.
pub fn expected(verdict: &Verdict) -> BTreeMap<Fact, Probability> {
    let certain = |fact| BTreeMap::from([(fact, Probability::certain())]);
    match verdict {
        Verdict::Untouched => certain(Fact::Untouched),
        Verdict::Drop => certain(Fact::Drop),
        Verdict::Reject(how) => certain(Fact::Reject(*how)),
        Verdict::Backends(backends) => {
            let each = Probability::of(1, backends.len().try_into().unwrap()).unwrap();
            backends.iter().map(|(at, source)| (Fact::Backend(*at, *source), each.clone())).collect()
        }
    }
}

/// What the simulator says.
pub fn observed(outcomes: Outcomes) -> BTreeMap<Fact, Probability> {
    let mut facts: BTreeMap<Fact, Probability> = BTreeMap::new();
    for (outcome, probability) in outcomes {
        let fact = match outcome.fate {
            Fate::Dropped { .. } => Fact::Drop,
            Fate::Rejected { how: Reject::TcpReset, .. } => Fact::Reject(Rejection::TcpReset),
            Fate::Rejected { how: Reject::PortUnreachable, .. } => Fact::Reject(Rejection::PortUnreachable),
            Fate::Delivered(delivery) if !delivery.dnat && !delivery.masqueraded => Fact::Untouched,
            Fate::Delivered(delivery) => {
                let source = if delivery.masqueraded { Source::Masqueraded } else { Source::Kept };
                Fact::Backend(delivery.destination, source)
            }
        };
        let sum = facts.entry(fact).or_insert_with(Probability::impossible);
        *sum = [&*sum, &probability].into_iter().sum();
    }
    facts
}

/// The packet and the host as simulators take them, with no client remembered.
pub fn scene(world: &World, packet: &Packet) -> (Environment, simulate::Packet) {
    let origin = match &packet.origin {
        Origin::LocalProcess => simulate::Origin::Host,
        Origin::LocalPod(interface) | Origin::Outside(interface) => {
            simulate::Origin::Network { interface: interface.clone() }
        }
    };
    let source = SocketAddr::new(packet.source, CLIENT_PORT);
    let destination = SocketAddr::new(packet.destination, packet.port);
    let mut environment = Environment::default();
    environment.local.extend(&world.environment.local_addresses);
    (environment, simulate::Packet::new(packet.protocol, source, destination, origin))
}

/// Every outcome of the packet in the world where the kernel holds that ruleset.
pub fn simulated(world: &World, ruleset: &Ruleset, packet: &Packet) -> Outcomes {
    let (mut environment, simulated) = scene(world, packet);
    if let Some(backend) = remembered(world, packet) {
        let key = Value::new().addr(packet.source).addr(packet.destination);
        let key = key.protocol(packet.protocol).port(packet.port);
        let data = Value::new().addr(backend.ip()).port(backend.port());
        environment.insert(packet.family(), Name::from(set::AFFINITY), key, data);
    }
    simulate(ruleset, &environment, &simulated).unwrap()
}

/// The affinity entry that the kernel holds. One to a backend that the client may not use any more is deleted when the
/// rules change, so there is none to look at.
fn remembered(world: &World, packet: &Packet) -> Option<SocketAddr> {
    let without = Packet { affinity: None, ..packet.clone() };
    match verdict(world, &without) {
        Verdict::Backends(allowed) => packet.affinity.filter(|backend| allowed.contains_key(backend)),
        _ => None,
    }
}
