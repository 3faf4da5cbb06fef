//! The compiler against the oracle: for random clusters and random packets, what the simulator says of the compiled
//! ruleset is what the oracle says of the cluster.

#![allow(clippy::unwrap_used, reason = "clippy does not see that helpers are tests")]

mod facts;

use std::collections::BTreeMap;

use facts::{Fact, expected, observed, simulated};
use proptest::prelude::*;
use svcnat_oracle::generate::{arb_packets, arb_world};
use svcnat_oracle::{Packet, World, cases, verdict};
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::layout::{DRAWS, Slots};
use svcnat_rules::simulate::Probability;
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
