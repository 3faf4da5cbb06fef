//! Maps of slots that are large enough to be read by their keys.

use std::io;
use std::net::{IpAddr, Ipv4Addr};

use svcnat::netlink::{Error, Netlink, Options, Socket, Transport};
use svcnat_rules::installed::Installed;
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::ruleset::{
    Chain, DataType, Element, ElementData, Elements, Ruleset, Set, SetDefinition, Table, Value, Verdict,
};

use crate::namespace::{build, in_fresh_namespace, send, without_handles};

/// The running kernel, which is seen being asked for all elements of a set at once.
struct Watched {
    socket: Socket,
    dumps: usize,
}

impl Transport for &mut Watched {
    fn reserve(&mut self, len: usize) -> Result<(), Error> {
        self.socket.reserve(len)
    }

    fn send(&mut self, messages: &[u8]) -> io::Result<()> {
        let half = |at: usize| u16::from_ne_bytes(messages[at..at + 2].try_into().unwrap());
        let (get_elements, dump) = (10 << 8 | 13, 0x300);
        self.dumps += usize::from(half(4) == get_elements && half(6) & dump == dump);
        self.socket.send(messages)
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.receive(buffer)
    }
}

const FRONTEND: [DataType; 3] = [DataType::Ipv4Addr, DataType::InetProto, DataType::InetService];

fn frontend(number: usize) -> Value {
    let address = Ipv4Addr::from(0x0a60_0000 + u32::try_from(number).unwrap());
    Value::new().addr(IpAddr::V4(address)).protocol(Protocol::Tcp).port(80)
}

fn backend(slot: u32) -> Element {
    Element::value(Value::new().addr(IpAddr::V4(Ipv4Addr::from(0x0a80_0000 + slot))).port(8080))
}

/// A table with one frontend for each of these numbers of backends.
fn table(backends: impl Iterator<Item = u32>) -> Table {
    let (mut frontends, mut slots) = (Vec::new(), Vec::new());
    for (number, backends) in backends.enumerate() {
        frontends.push((frontend(number), Element::verdict(Verdict::Goto("pick".into()))));
        slots.extend((0..backends).map(|slot| (frontend(number).slot(slot), backend(slot))));
    }
    let mut table = Table::default();
    table.chains.insert("pick".into(), Chain::default());
    let mut add = |name: &str, definition, elements: Vec<(Value, Element)>| {
        let elements: Elements = elements.into_iter().collect();
        table.sets.insert(name.into(), Set { elements, ..Set::new(definition) });
    };
    add("frontends", SetDefinition::verdict_map(&FRONTEND), frontends);
    let key = [&FRONTEND[..], &[DataType::Slot]].concat();
    add("backends", SetDefinition::map(&key, &[DataType::Ipv4Addr, DataType::InetService]), slots);
    table
}

/// The same with the sets that count.
fn table_that_counts(backends: impl Iterator<Item = u32>) -> Table {
    let mut table = table(backends);
    let elements = |set: &str| &table.sets[set].elements;
    let named = |key: &Value| (key.clone(), Element::key_only().with_comment("shop/web".into()));
    let own: Elements = elements("frontends").keys().map(named).collect();
    let pair = |(key, element): (&Value, &Element)| {
        let ElementData::Value(backend) = &element.data else { panic!("a map of backends") };
        let (frontend, _) = key.as_bytes().split_last_chunk::<4>().unwrap();
        (Value::from_bytes(&[frontend, backend.as_bytes()].concat()), Element::key_only())
    };
    let pairs: Elements = elements("backends").iter().map(pair).collect();
    let key = [&FRONTEND[..], &[DataType::Ipv4Addr, DataType::InetService]].concat();
    for (name, key, elements) in
        [("frontend-connections", &FRONTEND[..], own), ("backend-connections", &key, pairs)]
    {
        let set = Set { elements, ..Set::new(SetDefinition::counting_set(key)) };
        table.sets.insert(name.into(), set);
    }
    table
}

/// What was loaded is read, with so many dumps of sets.
#[track_caller]
fn check(what: &str, table: Table, dumps: usize) {
    let wanted = Installed::from(&Ruleset { tables: [(Family::Ipv4, table)].into() });
    let (found, counted) = in_fresh_namespace(|| {
        send(&build(&wanted), &Options::default()).unwrap();
        let mut kernel = Watched { socket: Socket::open().unwrap(), dumps: 0 };
        let found = Netlink::over(&mut kernel).read().unwrap();
        (without_handles(found), kernel.dumps)
    });
    assert!(found == wanted, "{what}: what is read is not what was loaded");
    // Older kernels do not say how many elements a set has, so there is nothing to hold an answer against.
    if counts_elements() {
        assert_eq!(counted, dumps, "{what}");
    }
}

fn counts_elements() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse().ok());
    let version: (u32, u32) = (numbers.next().unwrap(), numbers.next().unwrap());
    version >= (6, 18)
}

#[test]
fn slots_are_asked_for_by_their_keys() {
    check("ten each", table((0..1_000).map(|_| 10)), 1);
    check("none to forty", table((0..1_000).map(|number| number % 41)), 1);
    check("one with many", table([1, 5_000, 0, 16, 17, 48, 49].into_iter()), 1);
}

#[test]
fn slots_that_do_not_follow_from_the_frontends_are_found_by_a_dump() {
    fn spoiled(spoil: impl FnOnce(&mut Elements)) -> Table {
        let mut table = table((0..1_000).map(|_| 10));
        spoil(&mut table.sets.get_mut("backends").unwrap().elements);
        table
    }
    let at = |number, slot| frontend(number).slot(slot);
    check("few slots", table((0..100).map(|_| 10)), 2);
    check("a frontend that is not there", spoiled(|slots| drop(slots.insert(at(1_000, 0), backend(0)))), 2);
    check("a slot beyond the last", spoiled(|slots| drop(slots.insert(at(7, 12), backend(12)))), 2);
    check("a slot that is missing", spoiled(|slots| drop(slots.remove(&at(7, 3)))), 2);
}

#[test]
fn counters_are_asked_for_by_their_keys() {
    let frontends = "a dump of the frontends, and of their counters";
    check(frontends, table_that_counts((0..1_000).map(|_| 10)), 2);
    check("all by their keys but the frontends", table_that_counts((0..5_000).map(|_| 1)), 1);
}

#[test]
fn counters_that_do_not_follow_from_the_rest_are_found_by_a_dump() {
    fn spoiled(spoil: impl FnOnce(&mut Elements)) -> Table {
        let mut table = table_that_counts((0..1_000).map(|_| 10));
        spoil(&mut table.sets.get_mut("backend-connections").unwrap().elements);
        table
    }
    let pair = |backend: u32| {
        let address = IpAddr::V4(Ipv4Addr::from(0x0a80_0000 + backend));
        frontend(7).addr(address).port(8080)
    };
    check("one too many", spoiled(|pairs| drop(pairs.insert(pair(77), Element::key_only()))), 3);
    check("one missing", spoiled(|pairs| drop(pairs.remove(&pair(3)))), 3);
    let replace = |pairs: &mut Elements| {
        pairs.remove(&pair(3));
        pairs.insert(pair(77), Element::key_only());
    };
    check("another one", spoiled(replace), 3);
}
