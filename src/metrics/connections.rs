//! Series of counted connections: as many as there are places, whatever the size of the cluster.
//!
//! The busiest frontends and backends that have no series yet get the free places, and keep them for as long as they exist, so
//! that a series has no gaps. All others are one series, which never goes down: it is the sum of what they had when they were
//! last seen and what has come since, and keeps that of those who get a series of their own.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::SocketAddr;

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use svcnat_rules::name::ObjectName;

use super::exposition::Page;
use crate::agent_api::FrontendConnections;

/// The label `frontend` of all that have no series of their own.
const OTHERS: &str = "other";

/// The series of both metrics.
#[derive(Debug, Default)]
pub(super) struct Connections {
    frontends: Busiest<Frontend>,
    backends: Busiest<Backend>,
    /// The state of the frontends when backends were last counted.
    last: Option<Last>,
}

/// What was known of frontends when backends were last counted.
#[derive(Debug)]
struct Last {
    /// Those that had a series of their own.
    listed: BTreeSet<Frontend>,
    /// What all others had counted.
    others: u64,
}

/// A frontend by its labels.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Frontend {
    namespace: String,
    service: String,
    port: String,
    protocol: &'static str,
    frontend: String,
}

/// A backend of a frontend.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Backend {
    of: Frontend,
    backend: String,
}

impl Frontend {
    fn of(counted: &FrontendConnections) -> Self {
        let FrontendConnections { namespace, service, port_name, protocol, address, port, .. } = counted;
        let frontend = match address {
            Some(address) => SocketAddr::new(*address, *port).to_string(),
            None => format!("node port {port}"),
        };
        Self {
            namespace: namespace.clone(),
            service: service.clone(),
            port: port_name.to_string(),
            protocol: protocol.api_name(),
            frontend,
        }
    }
}

impl Connections {
    /// Takes the counts of all frontends; gives the Services of those that have a series of their own.
    pub(super) fn count_frontends(
        &mut self,
        places: usize,
        counted: &[FrontendConnections],
    ) -> BTreeSet<ObjectName> {
        let counts =
            counted.iter().map(|of| Count { of: Frontend::of(of), count: of.connections, told: false });
        self.frontends.count(places, counts);
        let listed = self.frontends.listed.keys();
        listed.map(|of| ObjectName::new(&of.namespace, &of.service)).collect()
    }

    /// Takes the counts of the backends of those Services. Backends of frontends that have no series have none either, and their
    /// connections are those of their frontends.
    pub(super) fn count_backends(&mut self, places: usize, counted: &[FrontendConnections]) {
        let listed: BTreeSet<Frontend> = self.frontends.listed.keys().cloned().collect();
        let last = self.last.take();
        let of_listed = counted.iter().map(|of| (Frontend::of(of), of)).filter(|(of, _)| listed.contains(of));
        let counts = of_listed.flat_map(|(of, counted)| {
            // What was counted before the frontend had a series was its own.
            let told = last.as_ref().is_some_and(|last| !last.listed.contains(&of));
            counted.backends.iter().map(move |backend| Count {
                of: Backend {
                    of: of.clone(),
                    backend: SocketAddr::new(backend.address, backend.port).to_string(),
                },
                count: backend.connections,
                told,
            })
        });
        self.backends.count(places, counts);
        let others = self.frontends.others;
        let before = last.map_or(0, |last| last.others);
        self.backends.others = self.backends.others.saturating_add(others.saturating_sub(before));
        self.last = Some(Last { listed, others });
    }

    pub(super) fn encode(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        page.add(
            "svcnat_frontend_connections",
            "New connections to a frontend that the kernel has counted",
            &self.frontends,
        )?;
        page.add(
            "svcnat_backend_connections",
            "New connections from a frontend to a backend that the kernel has counted",
            &self.backends,
        )
    }
}

/// What somebody has counted since it is there.
struct Count<K> {
    of: K,
    count: u64,
    /// Whether what it had counted when it is first seen is among the others' already.
    told: bool,
}

/// Who of a crowd has a series of its own.
#[derive(Debug)]
struct Busiest<K> {
    /// Those that do, with their counts.
    listed: BTreeMap<K, u64>,
    /// What the others had counted when they were last seen, by a hash, which tells them apart well enough.
    seen: HashMap<u64, u64>,
    hasher: RandomState,
    /// What all have counted while they had no series of their own.
    others: u64,
}

impl<K> Default for Busiest<K> {
    fn default() -> Self {
        let (listed, seen) = (BTreeMap::new(), HashMap::new());
        Self { listed, seen, hasher: RandomState::new(), others: 0 }
    }
}

impl<K: Ord + Hash> Busiest<K> {
    /// Takes the counts of all that exist.
    fn count(&mut self, places: usize, counts: impl Iterator<Item = Count<K>>) {
        let before = std::mem::take(&mut self.listed);
        let seen = std::mem::take(&mut self.seen);
        let mut rest = Vec::new();
        for Count { of, count, told } in counts {
            if self.listed.len() < places && before.contains_key(&of) {
                self.listed.insert(of, count);
                continue;
            }
            let hash = self.hasher.hash_one(&of);
            // One that has less than when it was last seen is another one.
            let known = seen.get(&hash).copied().filter(|seen| *seen <= count);
            let growth = count - known.unwrap_or(0);
            rest.push((growth, known.is_none() && told, hash, of, count));
        }
        rest.sort_unstable_by(|(a, .., a_key, _), (b, .., b_key, _)| b.cmp(a).then_with(|| a_key.cmp(b_key)));
        for (growth, told, hash, of, count) in rest {
            if growth > 0 && self.listed.len() < places {
                self.listed.insert(of, count);
                continue;
            }
            if !told {
                self.others = self.others.saturating_add(growth);
            }
            self.seen.insert(hash, count);
        }
    }
}

/// What has labels.
trait Labelled {
    fn labels(&self) -> Vec<(&'static str, &str)>;
}

impl Labelled for Frontend {
    fn labels(&self) -> Vec<(&'static str, &str)> {
        vec![
            ("namespace", &self.namespace),
            ("service", &self.service),
            ("port", &self.port),
            ("protocol", self.protocol),
            ("frontend", &self.frontend),
        ]
    }
}

impl Labelled for Backend {
    fn labels(&self) -> Vec<(&'static str, &str)> {
        let mut labels = self.of.labels();
        labels.push(("backend", &self.backend));
        labels
    }
}

impl<K: Labelled> EncodeMetric for Busiest<K> {
    fn encode(&self, mut encoder: MetricEncoder<'_>) -> fmt::Result {
        for (of, count) in &self.listed {
            ConstCounter::new(*count).encode(encoder.encode_family(&of.labels())?)?;
        }
        ConstCounter::new(self.others).encode(encoder.encode_family(&[("frontend", OTHERS)])?)
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Counter
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    /// What is shown after each of these scrapes, `a1 b2` being counts and `a1 +2` the series with the others' sum.
    #[track_caller]
    fn check(places: usize, scrapes: &[(&str, &str)]) {
        let mut busiest = Busiest::default();
        for (number, (counts, expected)) in scrapes.iter().enumerate() {
            let counts = counts.split_whitespace().map(|text| {
                let told = text.ends_with('!');
                let (of, count) = text.trim_end_matches('!').split_at(1);
                Count { of: of.to_owned(), count: count.parse().unwrap(), told }
            });
            busiest.count(places, counts);
            let mut shown: Vec<String> =
                busiest.listed.iter().map(|(of, count)| format!("{of}{count}")).collect();
            shown.push(format!("+{}", busiest.others));
            assert_eq!(shown.join(" "), *expected, "scrape {number} of {scrapes:?}");
        }
    }

    #[test]
    fn the_busiest_get_the_places() {
        check(2, &[("a1 b3 c2", "b3 c2 +1")]);
        // Of those that are as busy as others, the first ones.
        check(2, &[("c2 b2 a2", "a2 b2 +2")]);
        check(9, &[("a1 b3", "a1 b3 +0")]);
        check(0, &[("a1 b3", "+4"), ("a2 b3", "+5")]);
        check(2, &[("", "+0")]);
    }

    #[test]
    fn who_has_a_place_keeps_it() {
        check(1, &[("a2 b1", "a2 +1"), ("a2 b9", "a2 +9"), ("a3 b9", "a3 +9")]);
    }

    #[test]
    fn a_place_is_free_again_when_its_holder_is_gone() {
        check(1, &[("a2 b1 c1", "a2 +2"), ("b4 c2", "b4 +3"), ("b4 c2 a1", "b4 +4")]);
    }

    #[test]
    fn whoever_is_idle_takes_no_place() {
        check(1, &[("a0 b0", "+0"), ("a0 b1", "b1 +0")]);
    }

    #[test]
    fn the_others_never_go_down() {
        // Not when one gets a series of its own, not when one is gone, and not when one begins anew.
        check(1, &[("a9 b5 c1", "a9 +6"), ("b7 c1", "b7 +6"), ("b7", "b7 +6"), ("b7 c3", "b7 +9")]);
        check(0, &[("a5", "+5"), ("a2", "+7"), ("a2", "+7"), ("a3", "+8")]);
    }

    #[test]
    fn what_was_told_as_others_is_not_told_again() {
        check(0, &[("a5!", "+0"), ("a6!", "+1"), ("a2!", "+1")]);
        check(1, &[("a5! b2!", "a5 +0"), ("a5! b4!", "a5 +2")]);
    }

    fn frontend(service: &str, connections: u64, backends: &[(u8, u64)]) -> FrontendConnections {
        let backends = backends.iter().map(|(last, connections)| crate::agent_api::BackendConnections {
            address: [10, 244, 0, *last].into(),
            port: 8080,
            connections: *connections,
        });
        FrontendConnections {
            namespace: "shop".to_owned(),
            service: service.to_owned(),
            port_name: "http".into(),
            protocol: svcnat_rules::net::Protocol::Tcp,
            address: Some([10, 96, 0, 1].into()),
            port: 80,
            connections,
            backends: backends.collect(),
        }
    }

    /// The sums that both metrics have for the others.
    fn others(connections: &Connections) -> (u64, u64) {
        (connections.frontends.others, connections.backends.others)
    }

    #[test]
    fn backends_are_those_of_frontends_with_a_series() {
        let mut connections = Connections::default();
        let name = |service| BTreeSet::from([ObjectName::new("shop", service)]);
        let (web, api) = (frontend("web", 5, &[(1, 3), (2, 2)]), frontend("api", 4, &[(3, 4)]));
        assert_eq!(connections.count_frontends(1, &[web.clone(), api]), name("web"));
        connections.count_backends(1, &[web]);
        assert_eq!(others(&connections), (4, 4 + 2));
        // Another frontend gets the place: what its backends had counted has been told as its own.
        let api = frontend("api", 9, &[(3, 7), (4, 2)]);
        assert_eq!(connections.count_frontends(1, slice::from_ref(&api)), name("api"));
        connections.count_backends(1, &[api]);
        assert_eq!(others(&connections), (4, 4 + 2));
        let api = frontend("api", 12, &[(3, 8), (4, 4)]);
        connections.count_frontends(1, slice::from_ref(&api));
        connections.count_backends(1, &[api]);
        assert_eq!(others(&connections), (4, 4 + 2 + 2));
    }
}
