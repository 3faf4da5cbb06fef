//! Explanations for people.

use std::fmt::{self, Write};

use super::path::reject_text;
use super::{ExplainedOutcome, ExplainedStep, Explanation, UNKNOWN_INTERFACE, Words};
use crate::ruleset::Hook;
use crate::simulate::{Fate, Origin, Packet, Probability, Receiver, Step};

/// How many outcomes are listed; how many more there are is said.
const MAX_OUTCOMES: usize = 20;

impl fmt::Display for Explanation {
    /// The packet, the reason, the outcomes with their probabilities, and a way to each kind of outcome.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(&mut Printable(f))
    }
}

/// What others put into the kernel may hold what a terminal obeys.
struct Printable<'a, 'f>(&'a mut fmt::Formatter<'f>);

impl Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|c| self.0.write_char(if c.is_control() && c != '\n' { '?' } else { c }))
    }
}

impl Explanation {
    fn write(&self, out: &mut impl Write) -> fmt::Result {
        writeln!(out, "{}", heading(&self.packet))?;
        writeln!(out, "\n{}.", self.reason)?;
        for note in &self.notes {
            writeln!(out, "note: {note}.")?;
        }
        self.write_outcomes(out)?;
        self.write_ways(out)
    }

    fn write_outcomes(&self, out: &mut impl Write) -> fmt::Result {
        let mut service = None;
        let rows: Vec<Row> = self.outcomes.iter().take(MAX_OUTCOMES).map(Row::of).collect();
        let width = |column: fn(&Row) -> &String| rows.iter().map(|row| column(row).len()).max().unwrap_or(0);
        let (share, percent, fate) =
            (width(|row| &row.share), width(|row| &row.percent), width(|row| &row.fate));
        writeln!(out)?;
        for (outcome, row) in self.outcomes.iter().zip(&rows) {
            if service != Some(&outcome.service) {
                service = Some(&outcome.service);
                if let Some(name) = &outcome.service {
                    writeln!(out, "{name}")?;
                }
            }
            let Row { share: part, percent: of_100, fate: what, more } = row;
            let gap = if share > 0 { "  " } else { "" };
            let line = format!("  {part:>share$}{gap}{of_100:>percent$}  {what:fate$}  {more}");
            writeln!(out, "{}", line.trim_end())?;
        }
        let Some(rest) = self.outcomes.get(MAX_OUTCOMES..).filter(|rest| !rest.is_empty()) else {
            return Ok(());
        };
        let together: Probability = rest.iter().map(|outcome| &outcome.probability).sum();
        let percentage = percentage(&together);
        match exact(&together) {
            Some(share) => writeln!(out, "  and {} more, together {share} ({percentage})", rest.len()),
            None => writeln!(out, "  and {} more, together {percentage}", rest.len()),
        }
    }

    /// The way of the first outcome of each kind; those of one kind differ only in the backend.
    fn write_ways(&self, out: &mut impl Write) -> fmt::Result {
        let mut shown = Vec::new();
        for outcome in &self.outcomes {
            let kind = Kind::of(outcome);
            if shown.contains(&kind) {
                continue;
            }
            shown.push(kind);
            if self.outcomes.len() == 1 {
                writeln!(out, "\nThe way:")?;
            } else {
                writeln!(out, "\nA way to {}:", Row::of(outcome).what())?;
            }
            outcome.path.iter().try_for_each(|step| write_step(out, self.words, step))?;
        }
        Ok(())
    }
}

/// A packet in a line.
pub(super) fn heading(packet: &Packet) -> String {
    let Packet { protocol, source, destination, origin, .. } = packet;
    format!("{protocol} {source} -> {destination}, {}", origin_text(origin))
}

/// Where a packet comes from.
pub(super) fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Host => "sent by this host".to_owned(),
        Origin::Network { interface } if *interface == UNKNOWN_INTERFACE => "from the network".to_owned(),
        Origin::Network { interface } => format!("coming in on {interface}"),
    }
}

/// What tells outcomes apart besides their backends.
#[derive(PartialEq, Eq)]
enum Kind {
    Delivered { to: Receiver, dnat: bool, masqueraded: bool },
    Lost { hook: Hook },
}

impl Kind {
    fn of(outcome: &ExplainedOutcome) -> Self {
        match &outcome.outcome.fate {
            Fate::Delivered(delivery) => {
                Self::Delivered { to: delivery.to, dnat: delivery.dnat, masqueraded: delivery.masqueraded }
            }
            Fate::Dropped { hook } | Fate::Rejected { hook, .. } => Self::Lost { hook: *hook },
        }
    }
}

/// An outcome in the columns of the list.
struct Row {
    share: String,
    percent: String,
    fate: String,
    more: String,
}

impl Row {
    fn of(outcome: &ExplainedOutcome) -> Self {
        let (fate, more) = match &outcome.outcome.fate {
            Fate::Delivered(delivery) => {
                let unchanged = (!delivery.dnat).then_some("unchanged");
                let host = (delivery.to == Receiver::Host).then_some("on this host");
                let masqueraded = delivery.masqueraded.then_some("masqueraded");
                let words = [unchanged, outcome.pod.as_deref(), host, masqueraded];
                (delivery.destination.to_string(), words.into_iter().flatten().collect::<Vec<_>>().join(", "))
            }
            Fate::Dropped { hook } => ("dropped".to_owned(), format!("at hook {}", hook.keyword())),
            Fate::Rejected { hook, how } => {
                ("rejected".to_owned(), format!("at hook {}, {}", hook.keyword(), reject_text(*how)))
            }
        };
        let (share, percent) = (exact(&outcome.probability), percentage(&outcome.probability));
        Self { share: share.unwrap_or_default(), percent, fate, more }
    }

    fn what(&self) -> String {
        let Self { fate, more, .. } = self;
        if more.is_empty() { fate.clone() } else { format!("{fate} ({more})") }
    }
}

/// A fraction that says something to people; iptables draws in steps of 1/2^31, whose fractions do not.
fn exact(probability: &Probability) -> Option<String> {
    const LEGIBLE: usize = 12;
    Some(probability.to_string()).filter(|text| text.len() <= LEGIBLE)
}

/// The fraction where it is as short as that of a draw among some thousand, else a percentage.
pub(super) fn share_text(probability: &Probability) -> String {
    const SHORT: usize = 8;
    exact(probability).filter(|share| share.len() <= SHORT).unwrap_or_else(|| percentage(probability))
}

fn percentage(probability: &Probability) -> String {
    format!("{:.2} %", probability.to_f64() * 100.0)
}

/// A step in a line, or nothing where the rule's own line says it already.
fn write_step(out: &mut impl Write, words: Words, step: &ExplainedStep) -> fmt::Result {
    let ExplainedStep { step, depth, text } = step;
    let indent = "  ".repeat(depth + 1);
    match (step, words) {
        (Step::BaseChain { chain, .. }, _) => writeln!(out, "{indent}{chain}: {text}"),
        (Step::Rule { comment: Some(comment), .. }, Words::Nft) => {
            writeln!(out, "{indent}{text} comment \"{comment}\"")
        }
        (Step::Rule { .. }, _) => writeln!(out, "{indent}{text}"),
        (Step::Element { set, .. }, Words::Nft) => writeln!(out, "{indent}@{set} has {text}"),
        (Step::Update { set, .. }, Words::Nft) => writeln!(out, "{indent}@{set} gets {text}"),
        (Step::Element { set, .. }, Words::IptablesSave) => writeln!(out, "{indent}list {set} has {text}"),
        (Step::Update { set, .. }, Words::IptablesSave) => writeln!(out, "{indent}list {set} gets {text}"),
        (Step::Route(_), _) => writeln!(out, "{indent}routed to {text}"),
        (
            Step::Mark(_)
            | Step::Dnat(_)
            | Step::Masquerade
            | Step::Verdict(_)
            | Step::Reject(_)
            | Step::ChainEnd { .. },
            _,
        ) => Ok(()),
    }
}
