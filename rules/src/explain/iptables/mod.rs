//! Explanations of iptables rules: the same sentences, read from the names of chains and the conditions of rules.

mod frontends;
mod lists;
mod story;
mod understand;

use std::collections::BTreeMap;

use super::path::text_of_any;
use super::{Explanation, Surroundings, Telling, Words};
use crate::iptables::{Ruleset, Table, TableName, built_in, trace};
use crate::net::Family;
use crate::ruleset::{BaseHook, Hook};
use crate::simulate::{Packet, SimulateError, Step, TracedOutcome};

pub use lists::{ClientList, client_lists};
pub use understand::{UnderstoodIptables, understand_iptables};

/// The tables of one family.
type Tables = BTreeMap<TableName, Table>;

/// Explains what becomes of a packet.
pub(super) fn explain(
    surroundings: &Surroundings<'_>,
    ruleset: &Ruleset,
    packet: &Packet,
) -> Result<Explanation, SimulateError> {
    let mut traced = trace(ruleset, surroundings.environment, packet)?;
    let family = Family::of(packet.destination.ip());
    let tables = ruleset.families.get(&family);
    let no_rules = Tables::default();
    let rules = tables.unwrap_or(&no_rules);
    lists::add_timeouts(rules, &mut traced);
    let frontends = tables.map(frontends::table);
    let telling = Telling { surroundings, packet, frontends: frontends.as_ref(), words: Words::IptablesSave };
    let story = |traced: &TracedOutcome| story::story(rules, frontends.as_ref(), packet, traced);
    let text = || {
        let mut words = Wording { tables: rules, packet, at: None };
        move |step: &Step| words.text(step)
    };
    Ok(telling.explain(traced, story, text))
}

/// Puts the steps of a way into the words of `iptables-save`.
struct Wording<'a> {
    tables: &'a Tables,
    packet: &'a Packet,
    /// The built-in chain that the way is in.
    at: Option<(TableName, Hook)>,
}

impl Wording<'_> {
    fn text(&mut self, step: &Step) -> String {
        match step {
            Step::BaseChain { hook, .. } => {
                self.at = table_of(*hook).map(|table| (table, hook.hook));
                self.at.map(|(table, _)| format!("table {table}")).unwrap_or_default()
            }
            Step::Rule { chain, index, .. } => self.rule(chain, *index).unwrap_or_default(),
            Step::Element { .. } | Step::Update { .. } => self.packet.source.ip().to_string(),
            other => text_of_any(other),
        }
    }

    fn rule(&self, chain: &str, index: usize) -> Option<String> {
        let (table, hook) = self.at?;
        let table = self.tables.get(&table)?;
        let rules =
            if chain == built_in(hook) { table.jumps.get(&hook)? } else { &table.chains.get(chain)?.rules };
        Some(rules.get(index)?.to_string().trim_start().to_owned())
    }
}

/// Whose built-in chain that is.
fn table_of(base: BaseHook) -> Option<TableName> {
    TableName::ALL.into_iter().find(|table| table.priority(base.hook) == base.priority)
}
