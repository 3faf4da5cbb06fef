//! Lists of `-m recent`: which clients session affinity keeps, and for how long.

use std::collections::BTreeMap;

use super::Tables;
use crate::iptables::{Match, Recent, Ruleset, TableName};
use crate::name::Name;
use crate::net::Family;
use crate::simulate::TracedOutcome;

/// A list of a backend's clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientList {
    /// Its name, a file below `/proc/net/xt_recent`.
    pub name: Name,
    /// For how many seconds a client that is idle is kept.
    pub seconds: u32,
}

/// The lists that the rules of a family ask for clients.
#[must_use]
pub fn client_lists(ruleset: &Ruleset, family: Family) -> Vec<ClientList> {
    let tables = ruleset.families.get(&family);
    let lists = tables.map(of_tables).unwrap_or_default().into_iter();
    lists.map(|(name, seconds)| ClientList { name: name.clone(), seconds }).collect()
}

/// Says how long a client is kept, which the rule that notes it does not.
pub(super) fn add_timeouts(tables: &Tables, traced: &mut [TracedOutcome]) {
    if traced.iter().all(|traced| traced.outcome.effects.is_empty()) {
        return;
    }
    let lists = of_tables(tables);
    for effect in traced.iter_mut().flat_map(|traced| &mut traced.outcome.effects) {
        effect.timeout = lists.get(&effect.set).map_or(0, |seconds| u64::from(*seconds) * 1000);
    }
}

fn of_tables(tables: &Tables) -> BTreeMap<&Name, u32> {
    let chains = tables.get(&TableName::Nat).into_iter().flat_map(|nat| nat.chains.values());
    let matches = chains.flat_map(|chain| &chain.rules).flat_map(|rule| &rule.matches);
    let lists = matches.filter_map(|condition| match condition {
        Match::Recent { list, action: Recent::Update { seconds } } => Some((list, *seconds)),
        _ => None,
    });
    lists.collect()
}
