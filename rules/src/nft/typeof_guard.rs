//! A guard against what nft 1.0.6 does to the first rule that looks up a map declared by `typeof`.
//!
//! When `dnat` takes address and port from such a map, nft evaluates the example of the port, `tcp dport`, as if the rule
//! itself said it, and puts `meta l4proto tcp` in front: UDP would pass the rule by. It does so for the first such rule of
//! a script only. So the script has another rule first, in a chain that it deletes again within the same transaction.
//! There is no other example of a port to declare the map by: `th dport` is refused by later scripts, and the type of
//! `ct original proto-dst` is not known in a declaration.

use std::collections::BTreeSet;

use crate::name::Name;
use crate::ruleset::{Expr, LookupData, Rule};

/// The chain that is gone when the script has been loaded. The compiler gives no chain this name.
pub(super) const CHAIN: &str = "typeof-guard";

/// The maps that rules of a script have looked up so far.
#[derive(Default)]
pub(super) struct TypeofGuard<'a> {
    guarded: BTreeSet<&'a Name>,
}

impl<'a> TypeofGuard<'a> {
    /// Whether the rule is the first to take an address from a map that has a slot in its key.
    pub(super) fn is_first_lookup(&mut self, rule: &'a Rule) -> bool {
        // Only a slot makes us declare a map by `typeof`, and only numgen makes a slot.
        let mut has_slot = false;
        let map = rule.exprs.iter().find_map(|expr| match expr {
            Expr::Numgen { .. } => {
                has_slot = true;
                None
            }
            Expr::Lookup { set, data: LookupData::Load(_), .. } if has_slot => Some(set),
            _ => None,
        });
        map.is_some_and(|map| self.guarded.insert(map))
    }
}
