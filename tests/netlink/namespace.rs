//! A fresh network namespace for a thread, nft in it, and transactions.

use std::io::Write;
use std::process::{Command, Stdio};

use nix::sched::{CloneFlags, unshare};
use svcnat::netlink::{Error, Netlink, Options, encode};
use svcnat_rules::installed::{Installed, InstalledHook, InstalledTable};
use svcnat_rules::name::Name;
use svcnat_rules::net::Family;
use svcnat_rules::transaction::{Change, Operation, Place, Transaction};

/// Runs something in a network namespace that nobody else has. It is gone when that ends.
pub fn in_fresh_namespace<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)
                .expect("a network namespace: run as root or under `unshare -rn`");
            run()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Loads an nft script.
pub fn nft_load(script: &str) {
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft runs");
    nft.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(nft.wait().unwrap().success(), "nft refuses\n{script}");
}

/// What `nft list table` prints.
pub fn nft_list(family: &str) -> String {
    let output = Command::new("nft").args(["list", "table", family, "svcnat"]).output().expect("nft runs");
    assert!(output.status.success(), "nft cannot list: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Reads our tables.
pub fn read() -> Installed {
    Netlink::open().unwrap().read().unwrap()
}

/// Sends operations on the IPv4 table.
pub fn apply(changes: Vec<Change<'_>>) -> Result<(), Error> {
    let operations = changes.into_iter().map(|change| Operation { family: Family::Ipv4, change }).collect();
    send(&Transaction { operations }, &Options::default())
}

/// Sends a transaction.
pub fn send(transaction: &Transaction<'_>, options: &Options) -> Result<(), Error> {
    let batch = encode(transaction, options).expect("the transaction can be encoded");
    Netlink::open()?.apply(&batch)
}

/// The state without what differs between two kernels that hold the same: the generation and the rules' handles.
pub fn without_handles(mut installed: Installed) -> Installed {
    installed.generation = 0;
    for chain in installed.tables.values_mut().flat_map(|table| table.chains.values_mut()) {
        for rule in &mut chain.rules {
            assert!(rule.handle.take().is_some());
        }
    }
    installed
}

/// The transaction that makes a state from nothing, whatever is there. Everything in the state must be ours.
pub fn build(installed: &Installed) -> Transaction<'_> {
    build_in_order(installed, "")
}

/// The same, chains and sets made in the order in which a listing has them, which is that of their making.
pub fn build_in_order<'a>(installed: &'a Installed, listing: &str) -> Transaction<'a> {
    let operations = installed.tables.iter().flat_map(|(family, table)| {
        build_table(table, listing).into_iter().map(|change| Operation { family: *family, change })
    });
    Transaction { operations: operations.collect() }
}

fn build_table<'a>(table: &'a InstalledTable, listing: &str) -> Vec<Change<'a>> {
    let place = |keyword: &str, name: &Name| listing.find(&format!("\t{keyword} {name} {{\n"));
    let mut chains: Vec<_> = table.chains.iter().collect();
    chains.sort_by_key(|(name, _)| place("chain", name));
    let mut sets: Vec<_> = table.sets.iter().collect();
    sets.sort_by_key(|(name, _)| place("set", name).or_else(|| place("map", name)));

    let mut changes = vec![Change::AddTable, Change::DeleteTable, Change::AddTable];
    for (name, chain) in &chains {
        let hook = match chain.hook.expect("a chain of ours") {
            InstalledHook::Regular => None,
            InstalledHook::Base(base) => Some(base),
        };
        changes.push(Change::AddChain { name, hook });
    }
    for (set, content) in sets {
        let definition = content.definition.as_ref().expect("a set of ours");
        changes.push(Change::AddSet { name: set, definition });
        if !content.elements.is_empty() {
            let elements = content.elements.iter().collect();
            changes.push(Change::AddElements { set, definition, elements });
        }
    }
    for (chain, content) in chains {
        for rule in &content.rules {
            let rule = rule.rule.as_ref().expect("a rule of ours");
            changes.push(Change::AddRule { chain, rule, place: Place::End });
        }
    }
    changes
}
