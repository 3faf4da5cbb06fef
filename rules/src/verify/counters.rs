//! Counters of connections.

use std::collections::BTreeSet;

use super::Fault;
use crate::flows::{Frontends, read_key};
use crate::layout::{comment, service_of_element, set};
use crate::name::Name;
use crate::net::{Family, Protocol};
use crate::ruleset::{Element, Elements, Ruleset, Table, Value};

/// The maps of frontends, each with the sets that count their connections, all and by backend.
const SETS: [[&str; 3]; 2] = [
    [set::FRONTENDS, set::FRONTEND_CONNECTIONS, set::BACKEND_CONNECTIONS],
    [set::NODE_PORT_FRONTENDS, set::NODE_PORT_FRONTEND_CONNECTIONS, set::NODE_PORT_BACKEND_CONNECTIONS],
];

pub(super) fn check(ruleset: &Ruleset, report: &mut dyn FnMut(Family, String, Fault)) {
    let counts = |table: &Table| table.sets.contains_key(set::FRONTEND_CONNECTIONS);
    if !ruleset.tables.values().any(counts) {
        return;
    }
    let leads = Frontends::of(ruleset, &Protocol::ALL, &BTreeSet::new());
    for (family, table) in &ruleset.tables {
        for sets in SETS {
            let [Some(frontends), Some(own), Some(pairs)] =
                sets.map(|set| table.sets.get(set).map(|set| &set.elements))
            else {
                continue;
            };
            let counters = Counters { family: *family, names: sets, frontends, own, pairs };
            counters.check(&leads, &mut |place, fault| report(*family, place, fault));
        }
    }
}

/// The elements of one row of [`SETS`].
struct Counters<'a> {
    family: Family,
    names: [&'static str; 3],
    frontends: &'a Elements,
    own: &'a Elements,
    pairs: &'a Elements,
}

impl Counters<'_> {
    fn check(&self, leads: &Frontends, report: &mut dyn FnMut(String, Fault)) {
        let [map, own, pairs] = self.names;
        for (key, element) in self.frontends {
            let place = format!("element {key:?} of {map}");
            if !self.own.get(key).is_some_and(|counter| is_of_same(counter, element)) {
                report(place.clone(), Fault::Uncounted);
            }
            let frontend = read_key(self.family, map, key).and_then(|key| leads.get(&key));
            for backend in frontend.map(|frontend| frontend.backends()).unwrap_or_default() {
                if !self.pairs.contains_key(&key.clone().addr(backend.ip()).port(backend.port())) {
                    report(format!("backend {backend} of {place}"), Fault::Uncounted);
                }
            }
        }
        let backend_len = usize::from(self.family.address_len()) + 4;
        let frontend_of = |pair: &Value| {
            let len = pair.len().checked_sub(backend_len)?;
            pair.as_bytes().get(..len).map(Value::from_bytes)
        };
        let is_stray =
            |frontend: Option<Value>| frontend.is_none_or(|key| !self.frontends.contains_key(&key));
        for key in self.own.keys().filter(|key| is_stray(Some((*key).clone()))) {
            report(format!("element {key:?} of {own}"), Fault::StrayCounter);
        }
        for key in self.pairs.keys().filter(|key| is_stray(frontend_of(key))) {
            report(format!("element {key:?} of {pairs}"), Fault::StrayCounter);
        }
    }
}

/// Whether a counter names the Service that a frontend names; one that refuses its clients names none.
fn is_of_same(counter: &Element, frontend: &Element) -> bool {
    let served = service_of_element(frontend).map(|service| comment(Name::from(service)));
    served.is_none_or(|service| counter.comment.as_ref() == Some(&service))
}
