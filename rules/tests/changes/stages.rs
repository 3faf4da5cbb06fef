//! Stages and parts: whatever is cut, each piece can be applied, and no packet is led astray by what is in force meanwhile.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::diff::{LAYOUTS, arb_change, ruleset};
use crate::facts::{Fact, expected, observed, simulated};
use crate::fake_kernel::FakeKernel;
use proptest::prelude::*;
use proptest::sample::select;
use svcnat_oracle::generate::arb_packets;
use svcnat_oracle::{Packet, Verdict, World, build, verdict};
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::{Slots, slots_in};
use svcnat_rules::nft;
use svcnat_rules::ruleset::{Chain, Ruleset, Set, SetData};
use svcnat_rules::simulate::Probability;
use svcnat_rules::stages::{ChainsGo, Importance, parts, stages};
use svcnat_rules::transaction::{Change, Transaction};

/// Applies transactions one after the other and returns what the kernel held after each, the first one before all.
fn apply<'a>(kernel: &mut FakeKernel, steps: &[impl Borrow<Transaction<'a>>]) -> Vec<Ruleset> {
    let mut states = vec![kernel.ruleset().unwrap()];
    for step in steps.iter().map(Borrow::borrow) {
        assert!(!step.is_empty());
        let done = kernel.apply(step);
        assert_eq!(done, Ok(()), "{}", nft::transaction(step));
        states.push(kernel.ruleset().unwrap());
    }
    states
}

/// What a packet meets that entered a base chain just before a commit: the old rules, and elements as they are from then
/// on. With `old_verdicts`, it had its frontend looked up before.
fn under_way(before: &Ruleset, after: &Ruleset, old_verdicts: bool) -> Ruleset {
    let mut mixed = before.clone();
    for (family, table) in &mut mixed.tables {
        let Some(new) = after.tables.get(family) else { continue };
        for (name, set) in &mut table.sets {
            if !(old_verdicts && set.definition.data == SetData::Verdict) {
                let now = new.sets.get(name).filter(|now| now.definition == set.definition);
                *set = now.cloned().unwrap_or_else(|| Set::new(set.definition.clone()));
            }
        }
        for (name, chain) in &new.chains {
            let empty = Chain { hook: chain.hook, rules: Vec::new() };
            table.chains.entry(name.clone()).or_insert(empty);
        }
    }
    mixed
}

/// Whether a packet is served in both worlds.
fn served(a: &World, b: &World, packet: &Packet) -> bool {
    [a, b].into_iter().all(|world| matches!(verdict(world, packet), Verdict::Backends(_)))
}

fn check_packets(a: &World, b: &World, states: &[Ruleset], packets: &[Packet]) {
    for packet in packets {
        let packet = Packet { affinity: None, ..packet.clone() };
        if !served(a, b, &packet) {
            continue;
        }
        for pair in states.windows(2) {
            let [before, after] = pair else { continue };
            for old_verdicts in [false, true] {
                let mixed = under_way(before, after, old_verdicts);
                for fact in observed(simulated(b, &mixed, &packet)).into_keys() {
                    let reaches = matches!(fact, Fact::Backend(..));
                    assert!(reaches, "{packet:?}: {fact:?}, {old_verdicts}\n{}", nft::script(&mixed, &[]));
                }
            }
        }
    }
}

/// Two worlds of the same Node and options but for the layout, and packets for the second one.
fn arb_step(packets: usize) -> impl Strategy<Value = (World, World, Vec<Packet>)> {
    (arb_change(), select(&LAYOUTS[..]), select(&LAYOUTS[..])).prop_flat_map(
        move |((mut a, mut b), before, after)| {
            a.config.layout = before;
            b.config = Config { layout: after, ..a.config.clone() };
            b.cluster.node = a.cluster.node.clone();
            b.environment = a.environment.clone();
            let packets = arb_packets(&b, packets);
            (Just(a), Just(b), packets)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_packet_under_way_is_not_led_astray((a, b, packets) in arb_step(6)) {
        let mut kernel = FakeKernel::default();
        let first = ruleset(&a, a.config.layout, &Slots::default());
        kernel.apply(&diff(&first, &Installed::default())).unwrap();
        let seen = kernel.read();
        let desired = ruleset(&b, b.config.layout, &slots_in(&seen));
        let change = diff(&desired, &seen);
        let steps = stages(&change, ChainsGo::WithElements);
        let states = apply(&mut kernel, &steps);
        assert_eq!(kernel.ruleset().as_ref(), Some(&desired));
        check_packets(&a, &b, &states, &packets);
    }

    #[test]
    fn an_old_kernel_lets_go_of_chains_in_a_stage_behind((a, b) in arb_change()) {
        for before in LAYOUTS {
            for after in LAYOUTS {
                let mut kernel = FakeKernel::holding_on_to_chains();
                for (world, layout) in [(&a, before), (&b, after), (&a, before)] {
                    let seen = kernel.read();
                    let desired = ruleset(world, layout, &slots_in(&seen));
                    let change = diff(&desired, &seen);
                    let steps = stages(&change, ChainsGo::AfterElements);
                    apply(&mut kernel, &steps);
                    assert_eq!(kernel.ruleset().as_ref(), Some(&desired));
                }
            }
        }
    }
}

proptest! {
    // Each case has hundreds of pieces, and the kernel is looked at after each of them.
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parts_lead_to_the_same_and_keep_serving_what_is_served((a, b, packets) in arb_step(2)) {
        let mut kernel = FakeKernel::holding_on_to_chains();
        let first = ruleset(&a, a.config.layout, &Slots::default());
        let nothing = Installed::default();
        apply(&mut kernel, &parts(&diff(&first, &nothing), &Importance::of(&a.cluster)));
        assert_eq!(kernel.ruleset().as_ref(), Some(&first));
        let seen = kernel.read();
        let desired = ruleset(&b, b.config.layout, &slots_in(&seen));
        let pieces = parts(&diff(&desired, &seen), &Importance::of(&b.cluster));
        let states = apply(&mut kernel, &pieces);
        assert_eq!(kernel.ruleset().as_ref(), Some(&desired));
        for packet in packets {
            let packet = Packet { affinity: None, ..packet };
            let facts = |world| backends(expected(&verdict(world, &packet)));
            let wanted = facts(&a);
            if !wanted.iter().all(Option::is_some) || wanted != facts(&b) {
                continue;
            }
            for state in &states {
                let now = backends(observed(simulated(&b, state, &packet)));
                assert_eq!(now, wanted, "{packet:?}\n{}", nft::script(state, &[]));
            }
        }
    }
}

/// Where a packet may go; `None` stands for every other end.
fn backends(facts: BTreeMap<Fact, Probability>) -> BTreeSet<Option<SocketAddr>> {
    let backend = |fact| match fact {
        Fact::Backend(to, _) => Some(to),
        Fact::Untouched | Fact::Drop | Fact::Reject(_) => None,
    };
    facts.into_keys().map(backend).collect()
}

/// The number of stages that lead from one Service with so many backends to another.
#[track_caller]
fn check_stages(layouts: [Layout; 2], backends: [u8; 2], expected: usize) {
    let world = |count: u8| {
        let addresses = (1..=count).map(|last| build::elsewhere(&format!("10.244.1.{last}")));
        let service = build::service("shop/web").cluster_ip("10.96.0.1").tcp(80);
        build::world().service(service).slice(build::tcp_slice("shop/web", addresses))
    };
    let mut kernel = FakeKernel::default();
    let first = ruleset(&world(backends[0]), layouts[0], &Slots::default());
    kernel.apply(&diff(&first, &Installed::default())).unwrap();
    let seen = kernel.read();
    let desired = ruleset(&world(backends[1]), layouts[1], &slots_in(&seen));
    let change = diff(&desired, &seen);
    let steps = stages(&change, ChainsGo::WithElements);
    assert_eq!(steps.len(), expected, "{layouts:?} {backends:?}");
}

#[test]
fn a_change_that_misleads_nobody_is_one_transaction() {
    let [chains, maps] = LAYOUTS;
    for layout in LAYOUTS {
        check_stages([layout; 2], [3, 3], 0);
        check_stages([layout; 2], [3, 4], 1);
        check_stages([layout; 2], [3, 0], 1);
        check_stages([layout; 2], [4, 3], 1);
    }
    // A new size needs a chain that is not there yet; a much smaller one would leave holes where the old chain draws last.
    check_stages([maps; 2], [4, 5], 2);
    check_stages([maps; 2], [5, 4], 2);
    check_stages([maps; 2], [8, 2], 3);
    check_stages([maps; 2], [2, 1], 3);
    check_stages([chains; 2], [5, 4], 1);
    check_stages([chains; 2], [0, 1], 2);
    check_stages([chains, maps], [3, 3], 2);
    check_stages([maps, chains], [3, 3], 3);
}

#[test]
fn what_everything_depends_on_comes_first() {
    let service = |name: &str, ip: &str, port: u16, created: i64| {
        build::service(name).cluster_ip(ip).tcp(port).created(created)
    };
    let world = build::world()
        .service(service("shop/young", "10.96.0.5", 80, 9))
        .service(service("shop/old", "10.96.0.4", 80, 3))
        .service(service("kube-system/dns", "10.96.0.10", 53, 5))
        .service(service("default/kubernetes", "10.96.0.77", 443, 4));
    for layout in LAYOUTS {
        let desired = ruleset(&world, layout, &Slots::default());
        let nothing = Installed::default();
        let pieces = parts(&diff(&desired, &nothing), &Importance::of(&world.cluster));
        let frontends: Vec<String> = pieces
            .iter()
            .flat_map(|piece| &piece.operations)
            .filter_map(|operation| match &operation.change {
                Change::AddElements { set, elements, .. } if **set == "frontends" => Some(elements),
                _ => None,
            })
            .flatten()
            .map(|(key, _)| format!("{key:?}"))
            .collect();
        let order = ["0a60004d", "0a60000a", "0a600004", "0a600005"];
        assert_eq!(frontends.len(), order.len());
        for (frontend, address) in frontends.iter().zip(order) {
            assert!(frontend.starts_with(address), "{frontends:?}");
        }
    }
}
