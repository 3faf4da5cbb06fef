//! Following verdicts from a frontend's element through chains to the rules that translate.
//!
//! Nothing here knows a chain's name, so it reads every layout, and what an earlier version left in the kernel.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use super::value::{read_backend, take_address};
use super::way::{Way, Ways};
use crate::layout::set;
use crate::name::Name;
use crate::net::Family;
use crate::ruleset::{Element, ElementData, Elements, Expr, LookupData, Rule, Value, Verdict};

/// Follows the verdicts of one table; each chain once, since many frontends share it.
pub(super) struct Follower<'s, S, R> {
    family: Family,
    sets: &'s S,
    rules: R,
    known: HashMap<Name, Arc<Trail>>,
}

/// What a chain leads to.
#[derive(Debug, Default)]
struct Trail {
    ways: Arc<Ways>,
    /// The ways, by their place in `ways`, whose backends are in a map, under the frontend's key.
    mapped: Vec<(usize, Name)>,
}

impl<'s, 'a, S, R> Follower<'s, S, R>
where
    S: Fn(&str) -> Option<&'a Elements>,
    R: Fn(&Name) -> Vec<&'a Rule>,
{
    /// `sets` gives the elements of a set by its name, `rules` the rules of a chain.
    pub(super) fn new(family: Family, sets: &'s S, rules: R) -> Self {
        Self { family, sets, rules, known: HashMap::new() }
    }

    /// The ways from a frontend.
    pub(super) fn element(&mut self, frontend: &Value, element: &Element) -> Arc<Ways> {
        let ElementData::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain)) = &element.data else {
            return Arc::default();
        };
        let trail = self.chain(chain);
        if trail.mapped.is_empty() {
            return Arc::clone(&trail.ways);
        }
        let mut ways = Ways::clone(&trail.ways);
        for (at, map) in &trail.mapped {
            if let Some(way) = ways.ways.get_mut(*at) {
                let there = Way::to(self.mapped(map, frontend), true);
                *way = Way { guards: std::mem::take(&mut way.guards), ..there };
            }
        }
        Arc::new(ways)
    }

    /// The backends that a map holds for a frontend: its elements whose key is the frontend and a slot.
    fn mapped(&self, map: &Name, frontend: &Value) -> Vec<SocketAddr> {
        let elements = (self.sets)(map).into_iter().flat_map(|elements| elements.range(frontend..));
        let own = elements.take_while(|(key, _)| key.as_bytes().starts_with(frontend.as_bytes()));
        own.filter_map(|(_, element)| match &element.data {
            ElementData::Value(value) => read_backend(self.family, value.as_bytes()),
            ElementData::None | ElementData::Verdict(_) => None,
        })
        .collect()
    }

    fn chain(&mut self, name: &Name) -> Arc<Trail> {
        if let Some(trail) = self.known.get(name) {
            return Arc::clone(trail);
        }
        // Nothing keeps others from making a loop of our chains while nothing leads there; it ends here.
        self.known.insert(name.clone(), Arc::default());
        let mut found = Found::default();
        for rule in (self.rules)(name) {
            match target(self.family, rule) {
                Some(Target::Constant(backend)) => found.pool(backend, rule),
                Some(Target::Map(map)) if *map == set::AFFINITY => found.sticky = true,
                Some(Target::Map(map)) => found.map(map),
                None => {
                    if let Some((Expr::Verdict(verdict), guard)) = rule.exprs.split_last() {
                        let there = verdict.chain().map(|chain| self.chain(chain));
                        found.verdict(there.as_deref(), guard, matches!(verdict, Verdict::Jump(_)));
                    }
                }
            }
        }
        let trail = Arc::new(found.finish());
        self.known.insert(name.clone(), Arc::clone(&trail));
        trail
    }
}

/// What has been found in a chain so far.
#[derive(Default)]
struct Found {
    ways: Vec<Way>,
    mapped: Vec<(usize, Name)>,
    sticky: bool,
    /// The backends of the rules just read, which are one way.
    pool: Vec<SocketAddr>,
    /// Whether one of these rules needs no luck.
    certain: bool,
}

impl Found {
    fn pool(&mut self, backend: SocketAddr, rule: &Rule) {
        self.pool.push(backend);
        self.certain |= !rule.exprs.iter().any(|expr| matches!(expr, Expr::Numgen { .. }));
    }

    fn close_pool(&mut self) {
        if !self.pool.is_empty() {
            self.ways.push(Way::to(std::mem::take(&mut self.pool), std::mem::take(&mut self.certain)));
        }
    }

    /// Draws from a map are repeated until one hits; all of them are one way.
    fn map(&mut self, map: &Name) {
        self.close_pool();
        let repeated = self.mapped.last().is_some_and(|(at, last)| last == map && at + 1 == self.ways.len());
        if !repeated {
            self.mapped.push((self.ways.len(), map.clone()));
            self.ways.push(Way::to(Vec::new(), true));
        }
    }

    fn verdict(&mut self, there: Option<&Trail>, guard: &[Expr], returns: bool) {
        self.close_pool();
        if let Some(there) = there {
            self.sticky |= there.ways.sticky;
            let first = self.ways.len();
            self.ways.extend(there.ways.ways.iter().map(|way| way.behind(guard)));
            self.mapped.extend(there.mapped.iter().map(|(at, map)| (first + at, map.clone())));
            if returns {
                // Who finds nothing in a chain that was jumped to comes back.
                for way in self.ways.iter_mut().skip(first).filter(|way| way.backends.is_empty()) {
                    way.last = false;
                }
            }
        }
        if !returns {
            self.ways.push(Way::nowhere().behind(guard));
        }
    }

    fn finish(mut self) -> Trail {
        self.close_pool();
        let ways = Arc::new(Ways { ways: self.ways, sticky: self.sticky });
        Trail { ways, mapped: self.mapped }
    }
}

/// Where a rule translates to.
enum Target<'a> {
    Constant(SocketAddr),
    Map(&'a Name),
}

fn target(family: Family, rule: &Rule) -> Option<Target<'_>> {
    match rule.exprs.as_slice() {
        [
            ..,
            Expr::Immediate { value: address, .. },
            Expr::Immediate { value: port, .. },
            Expr::Dnat { .. },
        ] => {
            let (address, _) = take_address(family, address.as_bytes())?;
            let port = port.as_bytes().first_chunk().map(|port| u16::from_be_bytes(*port))?;
            Some(Target::Constant(SocketAddr::new(address, port)))
        }
        [.., Expr::Lookup { set, data: LookupData::Load(_), .. }, Expr::Dnat { .. }] => {
            Some(Target::Map(set))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Protocol;
    use crate::ruleset::Register;

    fn draw(map: &str) -> Rule {
        let (address, port) = (Register::FIRST, Some(Register::FIRST.after(4)));
        let set = Name::from(map);
        let data = LookupData::Load(address);
        let lookup = Expr::Lookup { set, source: Register::FIRST, data, invert: false };
        let dnat = Expr::Dnat { address, port, port_specified: false };
        Rule { exprs: vec![Expr::Numgen { modulus: 4, dest: Register::SECOND }, lookup, dnat], comment: None }
    }

    fn goto(chain: &str) -> Rule {
        Rule { exprs: vec![Expr::Verdict(Verdict::Goto(Name::from(chain)))], comment: None }
    }

    fn key(port: u16) -> Value {
        Value::new().protocol(Protocol::Udp).port(port)
    }

    /// The backends of a frontend whose element leads to this chain.
    #[track_caller]
    fn check(chain: &str, frontend: u16, expected: &[&str], sticky: bool) {
        let element = |backend: &str| {
            let backend: SocketAddr = backend.parse().unwrap();
            Element::value(Value::new().addr(backend.ip()).port(backend.port()))
        };
        let elements = [(53, 0, "10.0.0.2:8080"), (53, 1, "10.0.0.1:8080"), (54, 0, "10.0.0.3:8080")];
        let elements: Elements = elements
            .into_iter()
            .map(|(port, slot, backend)| (key(port).slot(slot), element(backend)))
            .collect();
        let chains = HashMap::from([
            ("pick", vec![draw("backends"), draw("backends"), draw("backends")]),
            ("sticky-pick", vec![draw(set::AFFINITY), goto("pick")]),
            ("external", vec![goto("sticky-pick")]),
            ("loop", vec![goto("loop-too")]),
            ("loop-too", vec![goto("loop"), goto("pick")]),
        ]);
        let sets = |name: &str| (name == "backends").then_some(&elements);
        let rules =
            |name: &Name| chains.get(name.as_str()).map_or(Vec::new(), |rules| rules.iter().collect());
        let mut follower = Follower::new(Family::Ipv4, &sets, rules);
        let verdict = Element::verdict(Verdict::Goto(Name::from(chain)));
        let ways = follower.element(&key(frontend), &verdict);
        let found: Vec<SocketAddr> = ways.ways.iter().flat_map(|way| way.backends.iter().copied()).collect();
        let expected: Vec<SocketAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!((found, ways.sticky), (expected, sticky), "{chain} {frontend}");
    }

    #[test]
    fn backends_in_a_map_are_those_of_the_frontend() {
        let both = ["10.0.0.1:8080", "10.0.0.2:8080"];
        check("pick", 53, &both, false);
        check("pick", 54, &["10.0.0.3:8080"], false);
        check("pick", 55, &[], false);
        check("sticky-pick", 53, &both, true);
        check("external", 53, &both, true);
    }

    #[test]
    fn chains_that_go_in_circles_end() {
        check("loop", 53, &["10.0.0.1:8080", "10.0.0.2:8080"], false);
        check("nowhere", 53, &[], false);
    }
}
