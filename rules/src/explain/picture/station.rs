//! One way of a packet as the stations of a picture.

use std::net::SocketAddr;

use super::NodeKind;
use crate::explain::lookup::service_of_port;
use crate::explain::path::{receiver_text, reject_text};
use crate::explain::text::origin_text;
use crate::explain::{ExplainedOutcome, ExplainedStep, Explanation, Words};
use crate::layout::set;
use crate::name::Name;
use crate::ruleset::{BaseHook, Hook, Verdict};
use crate::simulate::{Fate, Step};

/// Where on a way something is met: behind how many base chains and routing decisions, then at which rule of each chain, and as
/// which of what the rule does. On one way, places only grow.
pub(super) type Place = Vec<usize>;

/// The place of what becomes of a packet in the end.
const END: usize = usize::MAX;

/// What makes two stations of different ways the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    place: Place,
    pub(super) kind: NodeKind,
    /// The backend that it is.
    backend: Option<SocketAddr>,
    pub(super) title: String,
    pub(super) lines: Vec<String>,
    pub(super) hook: Option<Visit>,
}

/// The base chains of a hook, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Visit {
    /// The place of the first.
    start: usize,
    pub(super) hook: Hook,
}

/// What a packet meets on one way.
#[derive(Debug, Clone)]
pub(super) struct Station {
    pub(super) key: Key,
    /// The element that was looked up or written.
    pub(super) element: Option<String>,
    /// The rule that leads here.
    pub(super) rule: Option<String>,
    /// Whether it is a chain none of whose rules matched.
    pub(super) is_quiet: bool,
}

/// The stations of one outcome's way, the packet's first.
pub(super) fn stations(explanation: &Explanation, outcome: &ExplainedOutcome) -> Vec<Station> {
    let mut way = Way {
        outcome,
        words: explanation.words,
        stage: 0,
        visit: None,
        chains: Vec::new(),
        rule: None,
        stations: Vec::new(),
    };
    let packet = &explanation.packet;
    let lines = vec![format!("to {}", packet.destination), origin_text(&packet.origin)];
    way.add(vec![0], NodeKind::Packet, format!("{} {}", packet.protocol, packet.source), lines);
    for step in &outcome.path {
        way.step(step);
    }
    way.end();
    way.stations
}

struct Way<'a> {
    outcome: &'a ExplainedOutcome,
    words: Words,
    /// How many base chains and routing decisions there were.
    stage: usize,
    visit: Option<Visit>,
    chains: Vec<Open<'a>>,
    rule: Option<At<'a>>,
    stations: Vec<Station>,
}

/// A chain that the packet is in.
struct Open<'a> {
    chain: &'a Name,
    place: Place,
    /// Which station it is.
    station: usize,
}

/// The rule that the packet is at.
struct At<'a> {
    place: Place,
    /// How many stations it has made.
    stations: usize,
    text: &'a str,
    /// The comment on the rule or, where it has none, on its last element.
    comment: Option<&'a Name>,
    /// What it has written, which is told of the backend that it may yet choose.
    written: Vec<(&'a Name, &'a str)>,
}

impl<'a> Way<'a> {
    fn step(&mut self, explained: &'a ExplainedStep) {
        let ExplainedStep { step, text, .. } = explained;
        if !matches!(step, Step::Update { .. } | Step::Dnat(_)) {
            self.tell_written();
        }
        match step {
            Step::BaseChain { chain, hook } => self.base_chain(chain, *hook, text),
            Step::Route(to) => {
                (self.visit, self.rule) = (None, None);
                self.chains.clear();
                self.stage += 1;
                let to = format!("to {}", receiver_text(*to));
                self.add(vec![self.stage], NodeKind::Route, "routed".to_owned(), vec![to]);
            }
            Step::Rule { chain, index, comment } => self.at_rule(chain, *index, comment.as_ref(), text),
            Step::Element { set, comment, .. } => {
                let lines = if is_of_frontends(set) { self.service() } else { Vec::new() };
                self.act(NodeKind::Lookup, self.set(set), lines);
                self.note_element(text);
                if let Some(at) = &mut self.rule {
                    at.comment = at.comment.or(comment.as_ref());
                }
            }
            Step::Update { set, .. } => {
                if let Some(at) = &mut self.rule {
                    at.written.push((set, text));
                }
            }
            Step::Mark(_) => self.act(NodeKind::Mark, format!("mark {text}"), Vec::new()),
            Step::Dnat(to) => self.backend(*to),
            Step::Masquerade => {
                let line = "source: an address of this host".to_owned();
                self.act(NodeKind::Masquerade, "masquerade".to_owned(), vec![line]);
            }
            Step::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain)) => self.enter(chain),
            // Nothing is met behind these, or what becomes of the packet says it.
            Step::Verdict(_) | Step::Reject(_) => {}
            Step::ChainEnd { chain } => {
                let end = self.chains.iter().rposition(|open| open.chain == chain);
                self.chains.truncate(end.unwrap_or(self.chains.len()));
            }
        }
    }

    fn add(&mut self, place: Place, kind: NodeKind, title: String, lines: Vec<String>) {
        let key = Key { place, kind, backend: None, title, lines, hook: self.visit };
        let rule = self.rule.as_ref().map(|at| at.text.to_owned());
        self.stations.push(Station { key, element: None, rule, is_quiet: false });
    }

    /// Something that the rule does at which the packet is.
    fn act(&mut self, kind: NodeKind, title: String, lines: Vec<String>) {
        let Some(at) = &mut self.rule else { return };
        let mut place = at.place.clone();
        place.push(at.stations);
        at.stations += 1;
        self.add(place, kind, title, lines);
    }

    fn note_element(&mut self, element: &str) {
        if let Some(station) = self.stations.last_mut() {
            station.element = Some(element.to_owned());
        }
    }

    fn base_chain(&mut self, chain: &'a Name, base: BaseHook, text: &str) {
        self.rule = None;
        self.stage += 1;
        if self.visit.is_none_or(|visit| visit.hook != base.hook) {
            self.visit = Some(Visit { start: self.stage, hook: base.hook });
        }
        let line = match self.words {
            Words::Nft => format!("{}, priority {}", base.kind.keyword(), base.priority),
            Words::IptablesSave => text.to_owned(),
        };
        self.chains.clear();
        self.chain(chain, vec![self.stage], vec![line]);
    }

    fn chain(&mut self, chain: &'a Name, place: Place, lines: Vec<String>) {
        self.chains.push(Open { chain, place: place.clone(), station: self.stations.len() });
        self.add(place, NodeKind::Chain, chain.to_string(), lines);
        if let Some(station) = self.stations.last_mut() {
            station.is_quiet = true;
        }
    }

    /// The rule sends the packet to another chain.
    fn enter(&mut self, chain: &'a Name) {
        let Some(at) = &mut self.rule else { return };
        let mut place = at.place.clone();
        place.push(at.stations);
        at.stations += 1;
        let comment = at.comment;
        // Rules of iptables find a frontend by themselves.
        let is_frontend =
            self.words == Words::IptablesSave && comment.is_some_and(|comment| self.is_service(comment));
        let lines = if is_frontend { self.service() } else { Vec::new() };
        self.chain(chain, place, lines);
    }

    fn at_rule(&mut self, chain: &Name, index: usize, comment: Option<&'a Name>, text: &'a str) {
        let Some(depth) = self.chains.iter().rposition(|open| open.chain == chain) else { return };
        self.chains.truncate(depth + 1);
        let Some(open) = self.chains.last() else { return };
        if let Some(station) = self.stations.get_mut(open.station) {
            station.is_quiet = false;
        }
        let mut place = open.place.clone();
        place.push(index);
        self.rule = Some(At { place, stations: 0, text, comment, written: Vec::new() });
    }

    fn backend(&mut self, to: SocketAddr) {
        let Some(at) = &mut self.rule else { return };
        let written = std::mem::take(&mut at.written);
        let comment = at.comment.filter(|comment| self.outcome.service.as_ref() != Some(*comment));
        let mut lines: Vec<String> =
            self.outcome.pod.as_ref().or(comment).map(ToString::to_string).into_iter().collect();
        lines.extend(written.iter().map(|(list, _)| format!("client noted in {list}")));
        self.act(NodeKind::Backend, to.to_string(), lines);
        if let Some(station) = self.stations.last_mut() {
            station.key.backend = Some(to);
        }
    }

    /// What a rule has written that chooses no backend.
    fn tell_written(&mut self) {
        let written = self.rule.as_mut().map(|at| std::mem::take(&mut at.written)).unwrap_or_default();
        for (set, text) in written {
            self.act(NodeKind::Update, format!("{} gets", self.set(set)), Vec::new());
            self.note_element(text);
        }
    }

    fn end(&mut self) {
        self.tell_written();
        self.visit = None;
        let (kind, title, lines) = match &self.outcome.outcome.fate {
            Fate::Delivered(delivery) => {
                let to = format!("to {}", receiver_text(delivery.to));
                let unchanged = (!delivery.dnat).then_some("destination unchanged");
                let source = if delivery.masqueraded { "masqueraded" } else { "source address kept" };
                self.rule = None;
                let lines =
                    [Some(to.as_str()), unchanged, Some(source)].into_iter().flatten().map(str::to_owned);
                (NodeKind::Delivered, "delivered", lines.collect())
            }
            Fate::Dropped { hook } => self.lost("dropped", *hook, None),
            Fate::Rejected { hook, how } => self.lost("rejected", *hook, Some(reject_text(*how))),
        };
        self.add(vec![END], kind, title.to_owned(), lines);
    }

    fn lost(
        &self,
        title: &'static str,
        hook: Hook,
        told: Option<&str>,
    ) -> (NodeKind, &'static str, Vec<String>) {
        let at = format!("at hook {}", hook.keyword());
        let lines = [Some(at), told.map(str::to_owned)].into_iter().flatten().chain(self.service());
        (NodeKind::Lost, title, lines.collect())
    }

    fn set(&self, set: &Name) -> String {
        match self.words {
            Words::Nft => format!("@{set}"),
            Words::IptablesSave => format!("list {set}"),
        }
    }

    fn is_service(&self, comment: &Name) -> bool {
        self.outcome.service.as_ref() == Some(comment)
    }

    /// The Service and its port, in lines.
    fn service(&self) -> Vec<String> {
        let Some(service) = &self.outcome.service else { return Vec::new() };
        let name = service_of_port(service);
        let port = service.get(name.len() + 1..).map(|port| format!("port {port}"));
        [Some(format!("Service {name}")), port].into_iter().flatten().collect()
    }
}

/// Whether the keys of a set are frontends.
fn is_of_frontends(name: &str) -> bool {
    [
        set::FRONTENDS,
        set::NODE_PORT_FRONTENDS,
        set::NO_ENDPOINTS,
        set::NODE_PORT_NO_ENDPOINTS,
        set::SOURCE_RESTRICTED,
    ]
    .contains(&name)
}
