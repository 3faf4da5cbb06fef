//! Golden cases: manifests and options, and the exact scripts that they compile to.
//!
//! `golden/CASE/` holds manifests, `options` (command-line options, `#` begins a comment) and `expected.nft`, what
//! `svcnat render` prints. Where there is a folder `next`, its manifests are the state after a change, and
//! `transaction.nft` is the script that leads there. `expected.iptables` and `change.iptables` are the same with
//! `--proxy-mode iptables`. `BLESS=1 cargo test --test golden` writes them anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "clippy does not see that helpers are tests"
)]

mod golden_support;

use golden_support::{Case, in_namespace, list, load, run, unified_diff};
use svcnat::netlink::{Netlink, Options, encode};
use svcnat_rules::compile::{Compiled, compile};
use svcnat_rules::diff::diff;
use svcnat_rules::installed::Installed;
use svcnat_rules::iptables;
use svcnat_rules::layout::{Slots, slots_in};
use svcnat_rules::net::Family;
use svcnat_rules::nft;
use svcnat_rules::ruleset::Ruleset;
use svcnat_rules::transaction::Transaction;
use svcnat_rules::verify::verify;

/// Runs a check on every case and reports all failures at once.
fn for_every_case(check: impl Fn(&Case) -> Result<(), String>) {
    let cases = Case::all();
    assert!(!cases.is_empty(), "there are no golden cases");
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| check(case).err().map(|failure| format!("golden/{}: {failure}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Numbers rules as a kernel might that was never asked for anything else.
fn with_handles(ruleset: &Ruleset) -> Installed {
    let mut installed = Installed::from(ruleset);
    let chains = installed.tables.values_mut().flat_map(|table| table.chains.values_mut());
    for (rule, handle) in chains.flat_map(|chain| &mut chain.rules).zip(1..) {
        rule.handle = Some(handle);
    }
    installed
}

fn compiled_next(case: &Case, installed: &Installed) -> Result<Option<Compiled>, String> {
    let Some(cluster) = case.next_cluster()? else { return Ok(None) };
    Ok(Some(compile(&cluster, &case.config()?, &slots_in(installed))))
}

fn commit(kernel: &mut Netlink, transaction: &Transaction<'_>, generation: u32) -> Result<(), String> {
    let options = Options { generation: Some(generation), ..Options::default() };
    let batch = encode(transaction, &options).map_err(|error| error.to_string())?;
    kernel.apply(&batch).map_err(|error| error.to_string())
}

#[test]
fn every_case_compiles_to_its_scripts() {
    for_every_case(|case| {
        let compiled = compile(&case.cluster()?, &case.config()?, &Slots::default());
        if let Some(violation) = verify(&compiled.ruleset).first() {
            return Err(violation.to_string());
        }
        let notes: Vec<String> = compiled.conflicts.iter().map(|c| format!("conflict: {c}")).collect();
        case.compare("expected.nft", &nft::script(&compiled.ruleset, &notes).to_string())?;
        let installed = with_handles(&compiled.ruleset);
        if let Some(next) = compiled_next(case, &installed)? {
            let transaction = diff(&next.ruleset, &installed);
            case.compare("transaction.nft", &nft::transaction(&transaction).to_string())?;
        }
        Ok(())
    });
}

#[test]
fn the_index_names_every_case_and_what_it_shows() {
    let index = include_str!("../golden/README.md");
    let (fields, cases) = index.split_once("## Cases").expect("a list of the cases");
    let listed: Vec<&str> = cases.lines().filter(|line| line.starts_with("| [")).collect();
    let expected: Vec<String> = Case::all()
        .iter()
        .map(|case| format!("| [{name}]({name}) | {} |", case.shows().unwrap(), name = case.name))
        .collect();
    assert_eq!(listed, expected, "golden/README.md, under Cases");
    // By field, each case is somewhere, and nothing else is.
    let links = fields.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let mut linked: Vec<&str> = links.map(|(case, _)| case).collect();
    linked.sort_unstable();
    linked.dedup();
    let names: Vec<String> = Case::all().into_iter().map(|case| case.name).collect();
    assert_eq!(linked, names, "golden/README.md, by field");
}

#[test]
fn what_netlink_makes_lists_as_what_nft_makes_of_the_script() {
    for_every_case(|case| {
        let compiled = compile(&case.cluster()?, &case.config()?, &Slots::default());
        let by_netlink = in_namespace(|| {
            let mut kernel = Netlink::open().map_err(|error| error.to_string())?;
            let installed = kernel.read().map_err(|error| error.to_string())?;
            let transaction = diff(&compiled.ruleset, &installed);
            commit(&mut kernel, &transaction, installed.generation)?;
            let again = kernel.read().map_err(|error| error.to_string())?;
            let rest = diff(&compiled.ruleset, &again);
            if rest.is_empty() {
                list()
            } else {
                Err(format!("reads back differently:\n{}", nft::transaction(&rest)))
            }
        })?;
        if !case.nft_can_parse() {
            return Ok(());
        }
        let script = nft::script(&compiled.ruleset, &[]).to_string();
        let by_nft = in_namespace(|| load(&script).and_then(|()| list()))?;
        if by_nft == by_netlink {
            Ok(())
        } else {
            Err(unified_diff("nft -f", &by_nft, "netlink", &by_netlink))
        }
    });
}

#[test]
fn a_transaction_does_the_same_as_script_and_as_batch() {
    for_every_case(|case| {
        if case.next_cluster()?.is_none() || !case.nft_can_parse() {
            return Ok(());
        }
        let compiled = compile(&case.cluster()?, &case.config()?, &Slots::default());
        let script = nft::script(&compiled.ruleset, &[]).to_string();
        let after = |by_script: bool| {
            in_namespace(|| {
                load(&script)?;
                let mut kernel = Netlink::open().map_err(|error| error.to_string())?;
                let installed = kernel.read().map_err(|error| error.to_string())?;
                let next = compiled_next(case, &installed)?.unwrap_or_default();
                let transaction = diff(&next.ruleset, &installed);
                if by_script {
                    load(&nft::transaction(&transaction).to_string())?;
                } else {
                    commit(&mut kernel, &transaction, installed.generation)?;
                }
                let now = kernel.read().map_err(|error| error.to_string())?;
                let rest = diff(&next.ruleset, &now);
                if rest.is_empty() {
                    list()
                } else {
                    Err(format!("left to do:\n{}", nft::transaction(&rest)))
                }
            })
        };
        let (by_nft, by_netlink) = (after(true)?, after(false)?);
        if by_nft == by_netlink {
            Ok(())
        } else {
            Err(unified_diff("nft -f", &by_nft, "netlink", &by_netlink))
        }
    });
}

#[test]
fn every_case_compiles_to_its_iptables_rules() {
    for_every_case(|case| {
        let config = case.iptables_config()?;
        let compiled = iptables::compile(&case.cluster()?, &config);
        if let Some(violation) = iptables::verify(&compiled.ruleset).first() {
            return Err(violation.to_string());
        }
        let script = iptables::script(&compiled.ruleset, &compiled.notes()).to_string();
        case.compare("expected.iptables", &script)?;
        if let Some(next) = case.next_cluster()? {
            let next = iptables::compile(&next, &config);
            let installed = iptables::Installed::from(&compiled.ruleset);
            let change = iptables::diff(&next.ruleset, &installed);
            case.compare("change.iptables", &change.to_string())?;
        }
        Ok(())
    });
}

/// The programs of a family, in both variants.
fn programs(family: Family) -> [(String, String); 2] {
    let name = if family == Family::Ipv4 { "iptables" } else { "ip6tables" };
    ["nft", "legacy"].map(|variant| (format!("{name}-{variant}-restore"), format!("{name}-{variant}-save")))
}

/// Loads the part of a script that is for a family, first as a test, and reads what is there then.
fn restore(
    script: &str,
    family: Family,
    (restore, save): &(String, String),
) -> Result<iptables::Installed, String> {
    let (_, part) = script.split_once(iptables::heading(family)).unwrap_or_default();
    let part = part.split("\n# ").next().map(|part| format!("{}\n", part.trim_end())).unwrap_or_default();
    if part.contains("COMMIT") {
        run(restore, &["--noflush", "--test"], &part)?;
        run(restore, &["--noflush", "-w", "5"], &part)?;
    }
    let tables = iptables::parse(&run(save, &[], "")?).map_err(|error| format!("{save}: {error}"))?;
    Ok(iptables::Installed { families: [(family, tables)].into() })
}

/// One family of a ruleset.
fn of_family(ruleset: &iptables::Ruleset, family: Family) -> iptables::Ruleset {
    let tables = ruleset.families.get(&family).map(|tables| (family, tables.clone()));
    iptables::Ruleset { families: tables.into_iter().collect() }
}

#[test]
fn iptables_of_both_variants_holds_what_the_script_says() {
    for_every_case(|case| {
        let config = case.iptables_config()?;
        let first = iptables::compile(&case.cluster()?, &config).ruleset;
        let next = case.next_cluster()?.map(|next| iptables::compile(&next, &config).ruleset);
        for family in Family::ALL {
            let (first, next) =
                (of_family(&first, family), next.as_ref().map(|next| of_family(next, family)));
            for programs in programs(family) {
                in_namespace(|| {
                    let mut installed =
                        restore(&iptables::script(&first, &[]).to_string(), family, &programs)?;
                    let left = iptables::diff(&first, &installed).to_string();
                    for wanted in next.iter().chain([&iptables::Ruleset::default()]) {
                        let change = iptables::diff(wanted, &installed).to_string();
                        let there = restore(&change, family, &programs)?;
                        let left = left.clone() + &iptables::diff(wanted, &there).to_string();
                        if !left.is_empty() {
                            return Err(format!("{}: left to do:\n{left}", programs.0));
                        }
                        installed = there;
                    }
                    if installed.is_empty() { Ok(()) } else { Err(format!("{installed:?} is left")) }
                })?;
            }
        }
        Ok(())
    });
}
