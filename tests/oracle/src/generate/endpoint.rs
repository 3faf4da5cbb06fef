//! Random EndpointSlices.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use svcnat_rules::cluster::{Conditions, Endpoint, EndpointPort, EndpointSlice};
use svcnat_rules::name::Name;
use svcnat_rules::net::{Family, Protocol};

use super::pool::{self, PODS, PORTS, SERVICES, TARGET_PORTS};
use crate::build::{OTHER_NODE, OTHER_ZONE, THIS_NODE, THIS_ZONE, object, port};

/// How many of a slice's endpoints have hints.
#[derive(Debug, Clone, Copy)]
enum Hints {
    None,
    Some,
    All,
}

/// A slice of one of the Services, which may not exist, with few enough addresses that slices overlap.
pub fn slice() -> impl Strategy<Value = EndpointSlice> {
    let head = (select(&SERVICES[..]), pool::family(), ports(), hints(), hints());
    head.prop_flat_map(|(service, family, ports, zone_hints, node_hints)| {
        vec(endpoint(family, zone_hints, node_hints), 0..=6).prop_map(move |endpoints| EndpointSlice {
            service: object(service),
            family,
            ports: ports.clone(),
            endpoints,
        })
    })
}

fn hints() -> impl Strategy<Value = Hints> {
    prop_oneof![5 => Just(Hints::None), 1 => Just(Hints::Some), 3 => Just(Hints::All)]
}

/// Some of the ports that Services have, by distinct names; now and then with another protocol.
fn ports() -> impl Strategy<Value = Vec<EndpointPort>> {
    let unusual = vec((pool::rarely(), select(&Protocol::ALL[..]), select(&TARGET_PORTS[..])), PORTS.len());
    (subsequence(PORTS.to_vec(), 2..=PORTS.len()), unusual).prop_map(|(chosen, unusual)| {
        let made = chosen.into_iter().zip(unusual).map(|((name, usual, _), (unusual, other, target))| {
            EndpointPort {
                name: Name::from(name),
                protocol: if unusual { other } else { usual },
                port: port(target),
            }
        });
        made.collect()
    })
}

fn endpoint(family: Family, zone_hints: Hints, node_hints: Hints) -> impl Strategy<Value = Endpoint> {
    let hints = (hinted(zone_hints, pool::zone().boxed()), hinted(node_hints, pool::node().boxed()));
    (place(family), conditions(), hints).prop_map(
        |((address, node), conditions, (zone_hints, node_hints))| {
            let zone = node.map(|node| if node == THIS_NODE { THIS_ZONE } else { OTHER_ZONE });
            Endpoint {
                address,
                conditions,
                node: node.map(Name::from),
                zone: zone.map(Name::from),
                pod: None,
                zone_hints,
                node_hints,
            }
        },
    )
}

/// An address and the node that it is on, which is always the same one for an address, as it is in a cluster.
fn place(family: Family) -> impl Strategy<Value = (IpAddr, Option<&'static str>)> {
    prop_oneof![
        4 => select(&PODS[..]).prop_map(move |last| (pool::pod_here(family, last), Some(THIS_NODE))),
        4 => select(&PODS[..]).prop_map(move |last| (pool::pod_elsewhere(family, last), Some(OTHER_NODE))),
        // A pod in the node's network namespace.
        1 => Just((pool::lan(family, 2), Some(THIS_NODE))),
        // An endpoint that somebody wrote by hand.
        1 => Just((pool::lan(family, 20), None)),
    ]
}

/// Ready mostly; also every other combination that the API can say.
fn conditions() -> impl Strategy<Value = Conditions> {
    let of = |ready, serving, terminating| Just(Conditions { ready, serving, terminating });
    prop_oneof![
        6 => of(true, true, false),
        3 => of(false, true, true),
        1 => of(false, false, true),
        1 => of(false, false, false),
        1 => of(false, true, false),
        1 => of(true, true, true),
    ]
}

fn hinted(how: Hints, place: BoxedStrategy<Name>) -> impl Strategy<Value = Box<[Name]>> {
    let some = vec(place, 1..=2).prop_map(Vec::into_boxed_slice);
    let none = Just(Box::default());
    match how {
        Hints::None => none.boxed(),
        Hints::Some => prop_oneof![some, none].boxed(),
        Hints::All => some.boxed(),
    }
}
