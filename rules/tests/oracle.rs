//! The compiler against the oracle: for random clusters and random packets, what the simulator says of the compiled
//! ruleset is what the oracle says of the cluster.

#![allow(clippy::unwrap_used, reason = "clippy does not see that helpers are tests")]

mod facts;

use std::collections::BTreeMap;

use facts::{Fact, expected, observed, scene, simulated};
use proptest::prelude::*;
use svcnat_oracle::generate::{arb_packets, arb_world};
use svcnat_oracle::{Packet, World, cases, verdict};
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::iptables::{self, Match, Ruleset, Target};
use svcnat_rules::layout::{DRAWS, Slots};
use svcnat_rules::ruleset::Value;
use svcnat_rules::simulate::{Outcomes, Probability};
use svcnat_rules::verify::verify;

fn check(world: &World, packets: &[Packet]) {
    for layout in [Layout::Chains, Layout::Maps] {
        let config = Config { layout, ..world.config.clone() };
        let compiled = compile(&world.cluster, &config, &Slots::default());
        assert_eq!(verify(&compiled.ruleset), []);
        for packet in packets {
            let expected = expected(&verdict(world, packet));
            let observed = observed(simulated(world, &compiled.ruleset, packet));
            let as_expected = match layout {
                Layout::Maps => is_nearly(&observed, &expected, bias_of_maps(expected.len())),
                Layout::Auto | Layout::Chains => observed == expected,
            };
            assert!(as_expected, "{packet:?}\n{observed:?}\n{expected:?}\n{layout:?}, {world:#?}");
        }
    }
}

/// The bias of the layout `maps`: a backend in the lower half of M slots gets up to 2/M of the draws that found no backend
/// before, those in the upper half lose theirs.
fn bias_of_maps(backends: usize) -> f64 {
    let slots = backends.next_power_of_two();
    let empty = (slots - backends) as f64 / slots as f64;
    (0..DRAWS).map(|_| empty).product()
}

/// The bias of iptables: each of the draws before the last one is rounded to 1/2^31.
fn bias_of_iptables(backends: usize) -> f64 {
    (backends * backends) as f64 / f64::from(1_u32 << 31)
}

/// Whether the same can happen, each with its probability up to this relative bias.
fn is_nearly(
    observed: &BTreeMap<Fact, Probability>,
    expected: &BTreeMap<Fact, Probability>,
    bias: f64,
) -> bool {
    let near = |fact, probability: &Probability| {
        observed
            .get(fact)
            .is_some_and(|observed| (observed.to_f64() / probability.to_f64() - 1.0).abs() <= bias + 1e-9)
    };
    observed.len() == expected.len() && expected.iter().all(|(fact, probability)| near(fact, probability))
}

fn check_iptables(world: &World, packets: &[Packet]) {
    let compiled = iptables::compile(&world.cluster, &world.config);
    assert_eq!(iptables::verify(&compiled.ruleset), []);
    assert_eq!(compiled.collisions, []);
    for packet in packets {
        let expected = expected(&verdict(world, packet));
        let observed = observed(simulated_by_iptables(world, &compiled.ruleset, packet));
        let as_expected = is_nearly(&observed, &expected, bias_of_iptables(expected.len()));
        assert!(
            as_expected,
            "{packet:?}\n{observed:?}\n{expected:?}\n{}\n{world:#?}",
            iptables::script(&compiled.ruleset, &[])
        );
    }
}

/// Where the client is remembered, it is in every list of its backend, even if it may not use that one any more.
fn simulated_by_iptables(world: &World, ruleset: &Ruleset, packet: &Packet) -> Outcomes {
    let (mut environment, simulated) = scene(world, packet);
    let tables = ruleset.families.get(&packet.family()).into_iter().flat_map(BTreeMap::values);
    let rules = tables.flat_map(|table| table.chains.values()).flat_map(|chain| &chain.rules);
    let to_backend = rules.filter(|rule| match (&rule.target, packet.affinity) {
        (Target::Dnat(to), Some(backend)) => *to == backend && rule.protocol == Some(packet.protocol),
        _ => false,
    });
    for condition in to_backend.flat_map(|rule| &rule.matches) {
        if let Match::Recent { list, .. } = condition {
            let client = Value::new().addr(packet.source);
            environment.insert(packet.family(), list.clone(), client, Value::new());
        }
    }
    iptables::simulate(ruleset, &environment, &simulated).unwrap()
}

#[test]
fn what_broke_other_programs_is_compiled_right() {
    for case in cases::all() {
        let packets: Vec<Packet> = case.packets.iter().map(|(packet, _)| packet.clone()).collect();
        check(&case.world, &packets);
        check_iptables(&case.world, &packets);
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

    #[test]
    fn the_iptables_rules_do_what_services_mean(
        (world, packets) in arb_world().prop_flat_map(|world| {
            let packets = arb_packets(&world, 16);
            (Just(world), packets)
        })
    ) {
        check_iptables(&world, &packets);
    }
}
