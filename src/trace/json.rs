//! The answer of `svcnat trace -o json`.
//!
//! One object, [`Report`]. Its shape is stable: members may be added, but none is taken away or changes its meaning.
//! What is not known or does not apply is `null`, never absent. With iptables, a list of `-m recent` is a set and a map, and a
//! built-in chain a base chain, whose table `text` names.
//!
//! ```json
//! {
//!   "packet": {"protocol": "tcp", "source": "10.244.1.7:49152", "destination": "10.96.0.10:443",
//!              "origin": "network", "interface": null},
//!   "reason": "10.96.0.10:443 is the ClusterIP of shop/api/https, which has 3 backends; the source address is kept",
//!   "notes": [],
//!   "outcomes": [{
//!     "probability": "1/3", "fraction": 0.3333333333333333,
//!     "fate": "delivered", "hook": null, "told": null, "to": "network",
//!     "destination": "10.244.1.5:8443", "dnat": true, "masqueraded": false,
//!     "service": "shop/api/https", "pod": "shop/api-5", "remembered": [],
//!     "path": [{"step": "chain", "depth": 0, "chain": "filter-prerouting", "hook": "prerouting",
//!               "text": "type filter hook prerouting priority dstnat - 10; policy accept;"}]
//!   }]
//! }
//! ```

use std::fmt;

use serde::Serialize;
use svcnat_rules::explain::{ExplainedOutcome, ExplainedStep, Explanation, UNKNOWN_INTERFACE};
use svcnat_rules::ruleset::Reject;
use svcnat_rules::simulate::{Delivery, Fate, Origin, Receiver, Step};

/// The whole answer.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// The packet that was asked about.
    pub packet: PacketReport<'a>,
    /// Why it fares as it does: one sentence without a full stop, for people; its words may change.
    pub reason: &'a str,
    /// What else is worth knowing, a sentence each, for people.
    pub notes: &'a [String],
    /// Everything that can become of the packet, the most likely first. The probabilities add up to 1.
    pub outcomes: Vec<OutcomeReport<'a>>,
}

/// The packet, which is the first one of a connection.
#[derive(Debug, Serialize)]
pub struct PacketReport<'a> {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: &'static str,
    /// `ADDRESS:PORT`, an IPv6 address in brackets.
    pub source: String,
    /// `ADDRESS:PORT`, an IPv6 address in brackets.
    pub destination: String,
    /// `network` where it comes in on an interface, `host` where this host itself sends it.
    pub origin: &'static str,
    /// The interface that it comes in on, where one was given.
    pub interface: Option<&'a str>,
}

/// One thing that can become of the packet.
#[derive(Debug, Serialize)]
pub struct OutcomeReport<'a> {
    /// The exact probability as a reduced fraction, `1/3`, or `1`.
    pub probability: String,
    /// The same as a number.
    pub fraction: f64,
    /// `delivered`, `dropped` in silence, or `rejected` with an answer to the sender.
    pub fate: &'static str,
    /// Where it was dropped or rejected: `prerouting`, `input`, `forward`, `output` or `postrouting`.
    pub hook: Option<&'static str>,
    /// What the sender of a rejected packet is told: `tcp-reset` or `port-unreachable` (ICMP or ICMPv6).
    pub told: Option<&'static str>,
    /// Who gets a delivered packet: a process of this `host`, or somebody in the `network`, pods of this node included.
    pub to: Option<&'static str>,
    /// Its destination when it is delivered, `ADDRESS:PORT`: the backend where `dnat` is true.
    pub destination: Option<String>,
    /// Whether its destination was changed.
    pub dnat: bool,
    /// Whether it has a source address of this host instead of its own.
    pub masqueraded: bool,
    /// The service port that it is for, `NAMESPACE/NAME/PORT`, without `/PORT` where the port has no name.
    pub service: Option<&'a str>,
    /// The pod that gets it, `NAMESPACE/NAME`, where the rules name one.
    pub pod: Option<&'a str>,
    /// What session affinity remembers from now on.
    pub remembered: Vec<RememberedReport<'a>>,
    /// A way that leads there, step by step.
    pub path: Vec<StepReport<'a>>,
}

/// An element that the packet writes into a dynamic map.
#[derive(Debug, Serialize)]
pub struct RememberedReport<'a> {
    /// The map.
    pub map: &'a str,
    /// How long it is remembered, in seconds.
    pub seconds: u64,
}

/// A step on the packet's way. Rules that did not match are no steps.
#[derive(Debug, Serialize)]
pub struct StepReport<'a> {
    /// What it is:
    /// - `chain`: the base chain `chain` of hook `hook` is entered;
    /// - `rule`: rule `index` of `chain` matches;
    /// - `element`: `set` has an element for the packet;
    /// - `mark`, `dnat`, `masquerade`, `update` (of `set`), `verdict`, `reject`: what the rule before does;
    /// - `end`: `chain` comes to its end;
    /// - `route`: the kernel looks up to whom the packet goes.
    pub step: &'static str,
    /// How deep it lies: 0 for base chains, one more for each jump.
    pub depth: usize,
    /// The chain of a `chain`, `rule` or `end`.
    pub chain: Option<&'a str>,
    /// The hook of a `chain`.
    pub hook: Option<&'static str>,
    /// The number of a `rule` in its chain, from 0.
    pub index: Option<usize>,
    /// The set of an `element` or `update`.
    pub set: Option<&'a str>,
    /// The comment on a `rule` or `element`.
    pub comment: Option<&'a str>,
    /// The rest as nft says it: the rule, the element, the verdict; a rule of iptables as `iptables-save` says it, with its comment.
    pub text: &'a str,
}

/// The answer as JSON, in lines for people, with a newline at its end.
pub fn text(explanation: &Explanation) -> impl fmt::Display + '_ {
    struct Json<'a>(Report<'a>);
    impl fmt::Display for Json<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            // No map has keys that are not text, so writing is all that can fail.
            let text = serde_json::to_string_pretty(&self.0).map_err(|_| fmt::Error)?;
            writeln!(f, "{text}")
        }
    }
    Json(Report::from(explanation))
}

impl<'a> From<&'a Explanation> for Report<'a> {
    fn from(explanation: &'a Explanation) -> Self {
        let packet = &explanation.packet;
        let (origin, interface) = match &packet.origin {
            Origin::Host => ("host", None),
            Origin::Network { interface } => {
                ("network", Some(interface.as_str()).filter(|name| *name != UNKNOWN_INTERFACE))
            }
        };
        let packet = PacketReport {
            protocol: packet.protocol.keyword(),
            source: packet.source.to_string(),
            destination: packet.destination.to_string(),
            origin,
            interface,
        };
        let outcomes = explanation.outcomes.iter().map(OutcomeReport::from).collect();
        Self { packet, reason: &explanation.reason, notes: &explanation.notes, outcomes }
    }
}

impl<'a> From<&'a ExplainedOutcome> for OutcomeReport<'a> {
    fn from(explained: &'a ExplainedOutcome) -> Self {
        let (fate, hook, told, delivery): (_, _, _, Option<&Delivery>) = match &explained.outcome.fate {
            Fate::Delivered(delivery) => ("delivered", None, None, Some(delivery)),
            Fate::Dropped { hook } => ("dropped", Some(hook), None, None),
            Fate::Rejected { hook, how } => ("rejected", Some(hook), Some(how), None),
        };
        let told = told.map(|how| match how {
            Reject::TcpReset => "tcp-reset",
            Reject::PortUnreachable => "port-unreachable",
        });
        let to = delivery.map(|delivery| match delivery.to {
            Receiver::Host => "host",
            Receiver::Network => "network",
        });
        let effects = explained.outcome.effects.iter();
        Self {
            probability: explained.probability.to_string(),
            fraction: explained.probability.to_f64(),
            fate,
            hook: hook.map(|hook| hook.keyword()),
            told,
            to,
            destination: delivery.map(|delivery| delivery.destination.to_string()),
            dnat: delivery.is_some_and(|delivery| delivery.dnat),
            masqueraded: delivery.is_some_and(|delivery| delivery.masqueraded),
            service: explained.service.as_deref(),
            pod: explained.pod.as_deref(),
            remembered: effects
                .map(|effect| RememberedReport { map: &effect.set, seconds: effect.timeout / 1000 })
                .collect(),
            path: explained.path.iter().map(StepReport::from).collect(),
        }
    }
}

impl<'a> From<&'a ExplainedStep> for StepReport<'a> {
    fn from(explained: &'a ExplainedStep) -> Self {
        let ExplainedStep { step, depth, text } = explained;
        let plain = |step| Self {
            step,
            depth: *depth,
            chain: None,
            hook: None,
            index: None,
            set: None,
            comment: None,
            text,
        };
        match step {
            Step::BaseChain { chain, hook } => {
                Self { chain: Some(chain), hook: Some(hook.hook.keyword()), ..plain("chain") }
            }
            Step::Rule { chain, index, comment } => {
                Self { chain: Some(chain), index: Some(*index), comment: comment.as_deref(), ..plain("rule") }
            }
            Step::Element { set, comment, .. } => {
                Self { set: Some(set), comment: comment.as_deref(), ..plain("element") }
            }
            Step::Mark(_) => plain("mark"),
            Step::Dnat(_) => plain("dnat"),
            Step::Masquerade => plain("masquerade"),
            Step::Update { set, .. } => Self { set: Some(set), ..plain("update") },
            Step::Verdict(_) => plain("verdict"),
            Step::Reject(_) => plain("reject"),
            Step::ChainEnd { chain } => Self { chain: Some(chain), ..plain("end") },
            Step::Route(_) => plain("route"),
        }
    }
}
