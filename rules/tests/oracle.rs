//! The compiler against the oracle: for random clusters and random packets, what the simulator says of the compiled
//! ruleset is what the oracle says of the cluster.

#![allow(clippy::unwrap_used, reason = "clippy does not see that helpers are tests")]

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proptest::prelude::*;
use svcnat_oracle::generate::{arb_packets, arb_world};
use svcnat_oracle::{Origin, Packet, Rejection, Source, Verdict, World, cases, verdict};
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::layout::{DRAWS, Slots, set};
use svcnat_rules::name::Name;
use svcnat_rules::ruleset::{Reject, Ruleset, Value};
use svcnat_rules::simulate::{self, Environment, Fate, Outcomes, Probability, simulate};
use svcnat_rules::verify::verify;

/// A port that no Service has, for the client's side.
const CLIENT_PORT: u16 = 45_678;

/// What becomes of a packet, as far as the oracle speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fact {
    Untouched,
    Backend(SocketAddr, Source),
    Drop,
    Reject(Rejection),
}

fn expected(verdict: &Verdict) -> BTreeMap<Fact, Probability> {
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

fn observed(outcomes: Outcomes) -> BTreeMap<Fact, Probability> {
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

fn simulated(world: &World, ruleset: &Ruleset, packet: &Packet) -> Outcomes {
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
    if let Some(backend) = remembered(world, packet) {
        let key = Value::new().addr(packet.source).addr(packet.destination);
        let key = key.protocol(packet.protocol).port(packet.port);
        let data = Value::new().addr(backend.ip()).port(backend.port());
        environment.insert(packet.family(), Name::from(set::AFFINITY), key, data);
    }
    let packet = simulate::Packet::new(packet.protocol, source, destination, origin);
    simulate(ruleset, &environment, &packet).unwrap()
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

fn check(world: &World, packets: &[Packet]) {
    for layout in [Layout::Chains, Layout::Maps] {
        let config = Config { layout, ..world.config.clone() };
        let compiled = compile(&world.cluster, &config, &Slots::default());
        assert_eq!(verify(&compiled.ruleset), []);
        for packet in packets {
            let expected = expected(&verdict(world, packet));
            let observed = observed(simulated(world, &compiled.ruleset, packet));
            let as_expected = match layout {
                Layout::Maps => is_nearly(&observed, &expected),
                Layout::Auto | Layout::Chains => observed == expected,
            };
            assert!(as_expected, "{packet:?}\n{observed:?}\n{expected:?}\n{layout:?}, {world:#?}");
        }
    }
}

/// Whether the same can happen, each with its probability up to the bias of the layout `maps`: a backend in the lower
/// half of M slots gets up to 2/M of the draws that found no backend before, those in the upper half lose theirs.
fn is_nearly(observed: &BTreeMap<Fact, Probability>, expected: &BTreeMap<Fact, Probability>) -> bool {
    let slots = expected.len().next_power_of_two();
    let empty = (slots - expected.len()) as f64 / slots as f64;
    let missed: f64 = (0..DRAWS).map(|_| empty).product();
    let near = |fact, probability: &Probability| {
        observed
            .get(fact)
            .is_some_and(|observed| (observed.to_f64() / probability.to_f64() - 1.0).abs() <= missed + 1e-9)
    };
    observed.len() == expected.len() && expected.iter().all(|(fact, probability)| near(fact, probability))
}

#[test]
fn what_broke_other_programs_is_compiled_right() {
    for case in cases::all() {
        let packets: Vec<Packet> = case.packets.iter().map(|(packet, _)| packet.clone()).collect();
        check(&case.world, &packets);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_compiled_ruleset_does_what_services_mean(
        (world, packets) in arb_world().prop_flat_map(|world| {
            let packets = arb_packets(&world, 16);
            (Just(world), packets)
        })
    ) {
        check(&world, &packets);
    }
}
