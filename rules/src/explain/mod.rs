//! Explanations: what becomes of a packet, which Service and backends that concerns, and in one sentence why.
//!
//! The simulator says what happens; here it is put in the terms of Services. What is said is read from the packet's way
//! through chains and sets, whose names and shapes the layouts give them, so rules that were read back from the kernel are
//! explained as well as rules that were just compiled. The state of the cluster, where it is known, only adds notes.

mod condition;
mod installed;
mod iptables;
mod lookup;
mod notes;
mod path;
pub mod picture;
mod reason;
mod story;
mod text;

#[cfg(test)]
mod tests;

use crate::config::DetectLocal;
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{Expr, MetaKey, Ruleset, Table};
use crate::simulate::{Environment, Outcome, Packet, Probability, SimulateError, Step, TracedOutcome, trace};
use story::{Ending, Story};

pub use installed::{Understood, understand};
pub use iptables::{ClientList, UnderstoodIptables, client_lists, understand_iptables};
pub(crate) use lookup::pod_at;
pub use notes::notes_on;
pub use path::ExplainedStep;

/// The name that stands for an incoming interface which nobody named. No interface is called so, so that rules which
/// ask for one do not match.
pub const UNKNOWN_INTERFACE: &str = "?";

/// Rules of one of the back ends.
#[derive(Debug, Clone, Copy)]
pub enum Rules<'a> {
    /// Of nftables.
    Nftables(&'a Ruleset),
    /// Of iptables.
    Iptables(&'a crate::iptables::Ruleset),
}

/// In whose words rules and elements are said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Words {
    /// `nft list ruleset`.
    Nft,
    /// `iptables-save`, without the name of the chain. Its rules have their comment in them.
    IptablesSave,
}

/// What a packet meets.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The rules.
    pub rules: Rules<'a>,
    /// The host's addresses, and what dynamic maps or lists of clients hold.
    pub environment: &'a Environment,
    /// How pods are told from others, where the options that the rules were made with are known; it names the option in
    /// reasons.
    pub detect_local: Option<&'a DetectLocal>,
}

/// What becomes of a packet, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The packet.
    pub packet: Packet,
    /// One sentence without a full stop.
    pub reason: String,
    /// What else is worth knowing, a sentence each.
    pub notes: Vec<String>,
    /// Everything that can become of the packet, the most likely first; equally likely ones by destination.
    pub outcomes: Vec<ExplainedOutcome>,
    /// In whose words the ways are said.
    pub words: Words,
}

/// One thing that can become of a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplainedOutcome {
    /// What becomes of it.
    pub outcome: Outcome,
    /// How likely that is.
    pub probability: Probability,
    /// The service port that it is for, `namespace/name/port`, where the rules name one.
    pub service: Option<Name>,
    /// The pod that gets it, `namespace/name`, where the rules name one.
    pub pod: Option<Name>,
    /// A way that leads there.
    pub path: Vec<ExplainedStep>,
}

/// Explains what becomes of a packet.
///
/// # Errors
///
/// As [`trace`]: where a rule on the packet's way is one that no kernel takes, or none that can be followed.
pub fn explain(surroundings: &Surroundings<'_>, packet: &Packet) -> Result<Explanation, SimulateError> {
    match surroundings.rules {
        Rules::Nftables(ruleset) => {
            let traced = trace(ruleset, surroundings.environment, packet)?;
            let family = Family::of(packet.destination.ip());
            let table = ruleset.tables.get(&family);
            let no_rules = Table::default();
            let rules = table.unwrap_or(&no_rules);
            let telling = Telling { surroundings, packet, frontends: table, words: Words::Nft };
            let story = |traced: &TracedOutcome| story::story(rules, family, packet, traced);
            let text = |step: &Step| path::text(rules, family, surroundings.environment, step);
            Ok(telling.explain(traced, story, || text))
        }
        Rules::Iptables(ruleset) => iptables::explain(surroundings, ruleset, packet),
    }
}

/// What is told the same way of all back ends.
struct Telling<'a> {
    surroundings: &'a Surroundings<'a>,
    packet: &'a Packet,
    /// Where the frontends can be looked up; `None` where there are no rules.
    frontends: Option<&'a Table>,
    words: Words,
}

impl Telling<'_> {
    /// Puts the outcomes together; `text` makes what puts the steps of one way into words.
    fn explain<T: FnMut(&Step) -> String>(
        &self,
        traced: Vec<TracedOutcome>,
        story: impl Fn(&TracedOutcome) -> Story,
        text: impl Fn() -> T,
    ) -> Explanation {
        let mut told: Vec<_> = traced.into_iter().map(|traced| (story(&traced), traced)).collect();
        told.sort_by(|(a, x), (b, y)| {
            y.probability.cmp(&x.probability).then_with(|| a.destination.cmp(&b.destination))
        });
        let reason = reason::reason(self.surroundings, self.frontends, self.packet, &told);
        let outcomes = told.into_iter().map(|(story, traced)| ExplainedOutcome {
            path: path::explain(&traced.path, text()),
            outcome: traced.outcome,
            probability: traced.probability,
            service: story.service,
            // Packets that were lost behind translation may have been on their way to any backend.
            pod: story.pod.filter(|_| story.ending == Ending::Delivered),
        });
        let outcomes = outcomes.collect();
        Explanation { packet: self.packet.clone(), reason, notes: Vec::new(), outcomes, words: self.words }
    }
}

/// Whether the rules of a family ask which interface a packet came in from.
#[must_use]
pub fn asks_for_interface(rules: Rules<'_>, family: Family) -> bool {
    match rules {
        Rules::Nftables(ruleset) => {
            let chains = ruleset.tables.get(&family).into_iter().flat_map(|table| table.chains.values());
            let mut exprs = chains.flat_map(|chain| &chain.rules).flat_map(|rule| &rule.exprs);
            exprs.any(|expr| matches!(expr, Expr::Meta { key: MetaKey::IifName, .. }))
        }
        Rules::Iptables(ruleset) => {
            let tables = ruleset.families.get(&family).into_iter().flatten();
            let mut rules =
                tables.flat_map(|(_, table)| table.chains.values()).flat_map(|chain| &chain.rules);
            rules.any(|rule| rule.interface.is_some())
        }
    }
}
