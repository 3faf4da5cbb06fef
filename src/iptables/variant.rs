//! The two variants of iptables, and which of them a host uses.
//!
//! The programs of the variant nft keep their rules in nf_tables, those of the variant legacy in ip_tables. Rules of both are in
//! force, but each program sees its own only, so ours belong to where the node's other rules are.

use std::fmt;

use svcnat_rules::net::Family;

use super::{Error, Iptables};
use crate::program::run;

/// A variant of iptables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variant {
    /// `iptables-nft`.
    Nft,
    /// `iptables-legacy`.
    Legacy,
    /// Just `iptables`, on hosts that have one variant and no name for it.
    Only,
}

impl Variant {
    /// How the names of its programs begin.
    pub(super) fn program(self, family: Family) -> &'static str {
        match (self, family) {
            (Self::Nft, Family::Ipv4) => "iptables-nft",
            (Self::Nft, Family::Ipv6) => "ip6tables-nft",
            (Self::Legacy, Family::Ipv4) => "iptables-legacy",
            (Self::Legacy, Family::Ipv6) => "ip6tables-legacy",
            (Self::Only, Family::Ipv4) => "iptables",
            (Self::Only, Family::Ipv6) => "ip6tables",
        }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program(Family::Ipv4))
    }
}

/// The variants that are installed.
pub(super) fn installed() -> Result<Vec<Iptables>, Error> {
    let mut there = Vec::new();
    for variant in [Variant::Nft, Variant::Legacy] {
        if version(variant)?.is_some() {
            there.push(Iptables { variant });
        }
    }
    if there.is_empty() && version(Variant::Only)?.is_some() {
        there.push(Iptables { variant: Variant::Only });
    }
    Ok(there)
}

/// What a variant calls itself, such as `iptables v1.8.9 (nf_tables)`; `None` where it is not installed.
fn version(variant: Variant) -> Result<Option<String>, Error> {
    Ok(run(variant.program(Family::Ipv4), &["--version"], "")?)
}

fn names_nf_tables(version: &str) -> bool {
    version.contains("nf_tables")
}

/// Whether a variant keeps its rules in nf_tables.
pub(super) fn is_in_nf_tables(variant: Variant) -> Result<bool, Error> {
    Ok(version(variant)?.is_some_and(|version| names_nf_tables(&version)))
}

/// The variant that the host uses: where kubelet has left its hint, else where more rules are, ours included, else what
/// plain `iptables` is. That is how the images of kube-proxy choose.
pub(super) fn in_use() -> Result<Iptables, Error> {
    let mut found = Vec::new();
    for iptables in installed()? {
        let mut signs = Signs::default();
        for family in Family::ALL {
            signs.add(&iptables.save(family)?.unwrap_or_default());
        }
        found.push((signs, iptables));
    }
    let default = version(Variant::Only)?.map(|version| match names_nf_tables(&version) {
        true => Variant::Nft,
        false => Variant::Legacy,
    });
    let key = |(signs, iptables): &(Signs, Iptables)| (*signs, Some(iptables.variant) == default);
    found.into_iter().max_by_key(key).map(|(_, iptables)| iptables).ok_or(Error::NotInstalled)
}

/// What speaks for a variant, the weightiest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Signs {
    /// A chain that kubelet makes to say which variant it uses (KEP-3178), or its older canary.
    hint: bool,
    /// How many rules there are.
    rules: usize,
}

impl Signs {
    fn add(&mut self, saved: &str) {
        for line in saved.lines() {
            self.hint |=
                [":KUBE-IPTABLES-HINT ", ":KUBE-KUBELET-CANARY "].iter().any(|hint| line.starts_with(hint));
            self.rules += usize::from(line.starts_with("-A "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signs(saved: &str) -> Signs {
        let mut signs = Signs::default();
        signs.add(saved);
        signs
    }

    #[test]
    fn a_hint_weighs_more_than_rules() {
        let hint = signs("*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n");
        let canary = signs("*mangle\n:KUBE-KUBELET-CANARY - [0:0]\nCOMMIT\n");
        let rules = signs("*nat\n:X - [0:0]\n-A PREROUTING -j X\n-A X -j RETURN\nCOMMIT\n");
        assert_eq!(rules, Signs { hint: false, rules: 2 });
        assert!(hint > rules && canary > rules && rules > signs("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"));
    }
}
