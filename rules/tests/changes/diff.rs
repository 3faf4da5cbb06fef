//! The differ: whatever is installed, the transaction leads to exactly what is desired, and to no more work than that.

use std::collections::BTreeMap;

use crate::fake_kernel::FakeKernel;
use crate::foreign::{Junk, arb_junk};
use proptest::collection::vec;
use proptest::prelude::*;
use svcnat_oracle::World;
use svcnat_oracle::build::{self, elsewhere, tcp_slice};
use svcnat_oracle::generate::arb_world;
use svcnat_rules::compile::compile;
use svcnat_rules::config::Layout;
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::{Slots, pool_of_chain, slots_in};
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::nft;
use svcnat_rules::patch::Patch;
use svcnat_rules::ruleset::{Expr, Ruleset, Value};
use svcnat_rules::transaction::{Change, Summary};

/// The layouts between which a node may go over.
pub const LAYOUTS: [Layout; 2] = [Layout::Chains, Layout::Maps];

pub fn ruleset(world: &World, layout: Layout, slots: &Slots) -> Ruleset {
    let config = svcnat_rules::config::Config { layout, ..world.config.clone() };
    compile(&world.cluster, &config, slots).ruleset
}

/// Brings the kernel to what the world wants and returns it. `seen` is what the differ is told that the kernel holds.
fn bring(kernel: &mut FakeKernel, seen: &Installed, world: &World, layout: Layout) -> Ruleset {
    let desired = ruleset(world, layout, &slots_in(seen));
    let transaction = diff(&desired, seen);
    let patch = Patch::between(&desired, seen);
    assert_eq!(patch.is_empty(), transaction.is_empty(), "{patch:#?}\n{}", nft::transaction(&transaction));
    let done = kernel.apply(&transaction);
    assert_eq!(done, Ok(()), "{}", nft::transaction(&transaction));
    assert_eq!(kernel.ruleset().as_ref(), Some(&desired), "{}", nft::transaction(&transaction));
    let after = kernel.read();
    let again = ruleset(world, layout, &slots_in(&after));
    assert_eq!(diff(&again, &after).operations, [], "a second time");
    desired
}

/// The backends of every pool by slot.
fn slots(installed: &Installed) -> BTreeMap<(Family, Name), Vec<(Value, Value)>> {
    let mut pools = BTreeMap::new();
    for (family, table) in &installed.tables {
        for (name, chain) in table.chains.iter().filter(|(name, _)| pool_of_chain(name).is_some()) {
            let backends =
                chain.rules.iter().rev().filter_map(|rule| match rule.rule.as_ref()?.exprs.as_slice() {
                    [
                        ..,
                        Expr::Immediate { value: address, .. },
                        Expr::Immediate { value: port, .. },
                        Expr::Dnat { .. },
                    ] => Some((address.clone(), port.clone())),
                    _ => None,
                });
            pools.insert((*family, name.clone()), backends.collect());
        }
    }
    pools
}

/// Backends that stay are where they were, unless so many left that their slot is gone.
fn check_slots(before: &Installed, after: &Installed) {
    let before = slots(before);
    for (pool, now) in slots(after) {
        for (slot, backend) in before.get(&pool).into_iter().flatten().enumerate() {
            if slot < now.len() && now.contains(backend) {
                assert_eq!(now[slot], *backend, "slot {slot} of {pool:?}");
            }
        }
    }
}

/// A world, and one that shares what the bits say with it.
pub fn arb_change() -> impl Strategy<Value = (World, World)> {
    (arb_world(), arb_world(), any::<u64>()).prop_map(|(before, other, bits)| {
        let mut after = before.clone();
        let mut bits = (0..64).map(move |bit| bits >> bit & 1 == 1).cycle();
        let mut coin = move || bits.next().unwrap_or(false);
        after.cluster.services.retain(|_, _| coin());
        let services = other.cluster.services.into_iter().filter(|_| coin());
        after.cluster.services.extend(services);
        after.cluster.slices.retain(|_, _| coin());
        after.cluster.slices.extend(other.cluster.slices.into_iter().filter(|_| coin()));
        if coin() {
            after.cluster.node = other.cluster.node;
        }
        if coin() {
            after.cluster.service_cidrs = other.cluster.service_cidrs;
        }
        if coin() && coin() {
            after.config = other.config;
        }
        (before, after)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_transaction_leads_to_what_is_desired_and_back((a, b) in arb_change()) {
        for before in LAYOUTS {
            for after in LAYOUTS {
                let mut kernel = FakeKernel::default();
                bring(&mut kernel, &Installed::default(), &a, before);
                for (world, layout) in [(&b, after), (&a, before)] {
                    let seen = kernel.read();
                    bring(&mut kernel, &seen, world, layout);
                    if before == after {
                        check_slots(&seen, &kernel.read());
                    }
                }
            }
        }
    }

    #[test]
    fn handles_need_not_be_known((a, b) in arb_change()) {
        let mut kernel = FakeKernel::default();
        let installed = Installed::from(&bring(&mut kernel, &Installed::default(), &a, LAYOUTS[0]));
        bring(&mut kernel, &installed, &b, LAYOUTS[0]);
    }

    #[test]
    fn what_others_left_in_our_tables_goes((a, b) in arb_change(), junk in vec(arb_junk(), 1..8)) {
        let installed = Installed::from(&ruleset(&a, LAYOUTS[0], &Slots::default()));
        let mut kernel = Junk::put_into(&junk, installed);
        let seen = kernel.read();
        bring(&mut kernel, &seen, &b, LAYOUTS[0]);
    }
}

/// The rules that change when the backends of one Service become others.
#[track_caller]
fn check_rules(before: &str, after: &str, expected: &str) {
    let world = |backends: &str| {
        let addresses = backends.split_whitespace().map(|last| elsewhere(&format!("10.244.1.{last}")));
        let service = build::service("shop/web").cluster_ip("10.96.0.1").tcp(80);
        build::world().service(service).slice(tcp_slice("shop/web", addresses))
    };
    let mut kernel = FakeKernel::default();
    bring(&mut kernel, &Installed::default(), &world(before), Layout::Chains);
    let seen = kernel.read();
    let desired = ruleset(&world(after), Layout::Chains, &slots_in(&seen));
    let transaction = diff(&desired, &seen);
    let rules = transaction.operations.iter().filter(|operation| {
        matches!(
            operation.change,
            Change::AddRule { .. }
                | Change::ReplaceRule { .. }
                | Change::DeleteRule { .. }
                | Change::FlushChain { .. }
        )
    });
    let rules = svcnat_rules::transaction::Transaction { operations: rules.cloned().collect() };
    assert_eq!(
        Summary::of(&rules).to_string(),
        expected,
        "{before} -> {after}: {}",
        nft::transaction(&transaction)
    );
    bring(&mut kernel, &seen, &world(after), Layout::Chains);
}

#[test]
fn a_backend_changes_its_own_rule_and_at_most_one_other() {
    // Made at once, the backends stand in the order of their addresses: the first one has the last slot.
    check_rules("1 2 3 4 5 6", "1 2 3 4 5 6 7", "rules +1");
    check_rules("1 2 3 4 5 6", "1 2 9 4 5 6", "rules +1 -1");
    check_rules("1 2 3 4 5 6", "2 3 4 5 6", "rules -1");
    check_rules("1 2 3 4 5 6", "1 2 3 5 6", "rules +1 -2");
    check_rules("1 2 3 4 5 6", "1 2 3 4 5", "rules +1 -2");
    check_rules("1 2 3 4 5 6", "1 3 4 5 7 8 9", "rules +3 -2");
    check_rules("1 2", "1", "rules +1 -2");
    check_rules("1", "1 2", "rules +1");
    check_rules("1 2 3", "1 2 3", "unchanged");
}
