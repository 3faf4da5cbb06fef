//! Transactions on the real kernel: for random changes of random clusters, what is read back is what was wanted.

use std::thread;

use nix::sched::{CloneFlags, unshare};
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use svcnat::netlink::{Netlink, Options, encode};
use svcnat_oracle::World;
use svcnat_oracle::generate::arb_world;
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::layout::slots_in;
use svcnat_rules::nft;

/// How many random changes are tried.
const CHANGES: usize = 40;

/// The layouts between which a node may go over.
const LAYOUTS: [Layout; 2] = [Layout::Chains, Layout::Maps];

/// Brings the kernel to what the world wants; then there is nothing left to do.
fn bring(kernel: &mut Netlink, world: &World, layout: Layout) -> Result<(), String> {
    let config = Config { layout, ..world.config.clone() };
    let compiled = |installed: &Installed| compile(&world.cluster, &config, &slots_in(installed)).ruleset;
    let installed = kernel.read().map_err(|error| error.to_string())?;
    let desired = compiled(&installed);
    let transaction = diff(&desired, &installed);
    let options = Options { generation: Some(installed.generation), ..Options::default() };
    let batch = encode(&transaction, &options).map_err(|error| error.to_string())?;
    kernel.apply(&batch).map_err(|error| format!("{error}\n{}", nft::transaction(&transaction)))?;
    let installed = kernel.read().map_err(|error| error.to_string())?;
    for (what, wanted) in [("the same", &desired), ("compiled again", &compiled(&installed))] {
        let rest = diff(wanted, &installed);
        if !rest.is_empty() {
            return Err(format!("left to do, {what}:\n{}", nft::transaction(&rest)));
        }
    }
    Ok(())
}

/// The two worlds one after the other, and back, in a namespace of their own.
fn check(before: &World, after: &World) -> Result<(), String> {
    thread::scope(|scope| {
        let worker = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|error| format!("no network namespace: {error}"))?;
            let mut kernel = Netlink::open().map_err(|error| error.to_string())?;
            for from in LAYOUTS {
                for to in LAYOUTS {
                    bring(&mut kernel, before, from)?;
                    bring(&mut kernel, after, to)?;
                }
            }
            Ok(())
        });
        worker.join().unwrap_or_else(|_| Err("the check panicked".to_owned()))
    })
}

#[test]
fn random_changes_reach_the_kernel() {
    let mut runner = TestRunner::default();
    for _ in 0..CHANGES {
        let (before, other) = (arb_world(), arb_world()).new_tree(&mut runner).unwrap().current();
        // Once to something else altogether, once to other endpoints of the same Services.
        let mut near = before.clone();
        near.cluster.slices = other.cluster.slices.clone();
        for after in [&near, &other] {
            check(&before, after).unwrap_or_else(|error| panic!("{error}\n{before:#?}\n{after:#?}"));
        }
    }
}
