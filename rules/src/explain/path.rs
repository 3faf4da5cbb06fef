//! A packet's way in words.

use crate::name::Name;
use crate::net::Family;
use crate::nft;
use crate::ruleset::{Element, Reject, Table, Value, Verdict};
use crate::simulate::{Environment, Receiver, Step};

/// A step of a packet's way, where it stands and how nft says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedStep {
    /// The step.
    pub step: Step,
    /// How deep it lies: 0 for base chains and what is outside of chains, one more for each jump, and for what a rule does.
    pub depth: usize,
    /// What it is in [the words](super::Words) of the rules, without the name of its chain or set.
    pub text: String,
}

/// Puts steps into words, each by `text`, which is asked one after the other.
pub(super) fn explain(steps: &[Step], mut text: impl FnMut(&Step) -> String) -> Vec<ExplainedStep> {
    let mut chains: Vec<&Name> = Vec::new();
    let mut explained = Vec::with_capacity(steps.len());
    for step in steps {
        if let Step::BaseChain { chain, .. } = step {
            chains = vec![chain];
        }
        let depth = match step {
            Step::BaseChain { .. } | Step::Route(_) => 0,
            Step::Rule { .. } | Step::ChainEnd { .. } => chains.len(),
            _ => chains.len() + 1,
        };
        explained.push(ExplainedStep { step: step.clone(), depth, text: text(step) });
        match step {
            Step::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain)) => chains.push(chain),
            // A goto's chain and the one that it was called from end together.
            Step::ChainEnd { chain } => {
                let end = chains.iter().rposition(|open| *open == chain);
                chains.truncate(end.unwrap_or(chains.len()));
            }
            _ => {}
        }
    }
    explained
}

/// A step in the words of nft.
pub(super) fn text(table: &Table, family: Family, environment: &Environment, step: &Step) -> String {
    let element = |set: &Name, key: &Value, data: Option<&Value>| {
        let Some(found) = table.sets.get(set) else { return String::new() };
        let of_packets = data.map(|data| Element::value(data.clone()));
        let element = found.elements.get(key).or(of_packets.as_ref());
        element.map(|element| nft::format_element(&found.definition, key, element)).unwrap_or_default()
    };
    match step {
        Step::BaseChain { hook, .. } => nft::format_hook(*hook),
        Step::Rule { chain, index, .. } => {
            let rule = table.chains.get(chain).and_then(|chain| chain.rules.get(*index));
            rule.map(|rule| nft::format_rule(rule, family)).unwrap_or_default()
        }
        Step::Element { set, key, .. } => {
            let entries = environment.dynamic.get(&(family, set.clone()));
            element(set, key, entries.and_then(|entries| entries.get(key)))
        }
        Step::Update { set, key, data } => element(set, key, Some(data)),
        other => text_of_any(other),
    }
}

/// A step that is the same in anybody's words; nothing about others.
pub(super) fn text_of_any(step: &Step) -> String {
    match step {
        Step::Mark(mark) => format!("{mark:#010x}"),
        Step::Dnat(to) => to.to_string(),
        Step::Verdict(verdict) => verdict.to_string(),
        Step::Reject(how) => reject_text(*how).to_owned(),
        Step::Route(to) => receiver_text(*to).to_owned(),
        _ => String::new(),
    }
}

/// What the sender is told, as nft has it.
pub(super) fn reject_text(how: Reject) -> &'static str {
    match how {
        Reject::TcpReset => "tcp reset",
        Reject::PortUnreachable => "port unreachable",
    }
}

/// Who gets a packet.
pub(super) fn receiver_text(to: Receiver) -> &'static str {
    match to {
        Receiver::Host => "this host",
        Receiver::Network => "the network",
    }
}
