//! The incremental engine: after any changes in any order, the transactions have led to what a full compile gives.

use std::collections::{BTreeMap, BTreeSet};

use crate::fake_kernel::FakeKernel;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use svcnat_oracle::World;
use svcnat_oracle::generate::arb_world;
use svcnat_rules::cluster::{Cluster, EndpointSlice, Service};
use svcnat_rules::compile::{Compiled, compile};
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::describe::{Counted, counted};
use svcnat_rules::engine::{Engine, Event};
use svcnat_rules::iptables;
use svcnat_rules::layout::{Slots, set, slots_in};
use svcnat_rules::name::ObjectName;
use svcnat_rules::verify::verify;

/// The changes that lead from one cluster to another, options and all.
fn events(from: &World, to: &World) -> Vec<Event> {
    let mut events = vec![Event::Node(to.cluster.node.clone()), Event::Config(to.config.clone())];
    events.push(Event::ServiceCidrs(to.cluster.service_cidrs.clone()));
    let gone = from.cluster.services.keys().filter(|name| !to.cluster.services.contains_key(*name));
    events.extend(gone.cloned().map(Event::ServiceGone));
    events.extend(to.cluster.services.values().cloned().map(Event::Service));
    let gone = from.cluster.slices.keys().filter(|name| !to.cluster.slices.contains_key(*name));
    events.extend(gone.cloned().map(Event::SliceGone));
    events.extend(to.cluster.slices.iter().map(|(name, slice)| Event::Slice(name.clone(), slice.clone())));
    events
}

/// All that there is, told anew.
fn state(cluster: &Cluster, config: &Config) -> Vec<Event> {
    let mut events = vec![Event::Node(cluster.node.clone()), Event::Config(config.clone())];
    events.push(Event::ServiceCidrs(cluster.service_cidrs.clone()));
    events.extend(cluster.services.values().cloned().map(Event::Service));
    events.extend(cluster.slices.iter().map(|(name, slice)| Event::Slice(name.clone(), slice.clone())));
    events
}

/// What there is of each Service.
fn services(cluster: &Cluster) -> BTreeMap<ObjectName, (Option<&Service>, Vec<&EndpointSlice>)> {
    let mut services: BTreeMap<ObjectName, (Option<&Service>, Vec<&EndpointSlice>)> = BTreeMap::new();
    for (name, service) in &cluster.services {
        services.entry(name.clone()).or_default().0 = Some(service);
    }
    for slice in cluster.slices.values() {
        services.entry(slice.service.clone()).or_default().1.push(slice);
    }
    services
}

/// The parts that the engine tells of come to the whole.
fn check_parts(engine: &Engine, cluster: &Cluster, full: &Compiled) {
    let names: BTreeSet<ObjectName> = cluster.services.keys().cloned().collect();
    let mut lost: Vec<_> = names.iter().flat_map(|name| engine.lost(name)).collect();
    lost.sort_by(|a, b| (a.frontend, &a.loser).cmp(&(b.frontend, &b.loser)));
    assert_eq!(lost, full.conflicts);
    let extent = engine.extent();
    assert_eq!(extent.services, names.len());
    let contested: BTreeSet<_> = full.conflicts.iter().map(|conflict| conflict.frontend).collect();
    assert_eq!(extent.contested, contested.len());
    assert_eq!(engine.ruleset_of(&names), full.ruleset, "of all Services");
    check_counted(engine, &names, full);
    for name in &names {
        let part = engine.ruleset_of([name]);
        for (family, table) in &part.tables {
            for (set, own) in &table.sets {
                let all = &full.ruleset.tables[family].sets[set].elements;
                assert!(
                    own.elements.iter().all(|(key, element)| all.get(key) == Some(element)),
                    "{set} of {name}"
                );
            }
        }
    }
}

/// The engine and the rules tell the same of what is counted, which is all that the rules count.
fn check_counted(engine: &Engine, names: &BTreeSet<ObjectName>, full: &Compiled) {
    let tables = &full.ruleset.tables;
    if !tables.values().any(|table| table.sets.contains_key(set::FRONTEND_CONNECTIONS)) {
        return;
    }
    let in_order = |mut all: Vec<Counted>| {
        all.iter_mut().for_each(|counted| counted.backends.sort_unstable());
        all.sort_by_key(|counted| counted.frontend);
        all
    };
    let (mut frontends, mut pairs) = (0, 0);
    for name in names {
        let of_engine = in_order(engine.counted(name).unwrap());
        assert_eq!(of_engine, in_order(counted(&full.ruleset, name)), "{name}");
        frontends += of_engine.len();
        pairs += of_engine.iter().map(|counted| counted.backends.len()).sum::<usize>();
    }
    let elements = |sets: [&str; 2]| -> usize {
        let sets = tables.values().flat_map(|table| sets.map(|set| &table.sets[set]));
        sets.map(|set| set.elements.len()).sum()
    };
    assert_eq!(frontends, elements([set::FRONTEND_CONNECTIONS, set::NODE_PORT_FRONTEND_CONNECTIONS]));
    assert_eq!(pairs, elements([set::BACKEND_CONNECTIONS, set::NODE_PORT_BACKEND_CONNECTIONS]));
}

/// Takes the events in batches of some sizes, and compares with a full compile after each.
fn check(start: &World, mut events: Vec<Event>, order: &[Index], batches: &[usize]) {
    let (mut cluster, mut config) = (start.cluster.clone(), start.config.clone());
    let mut kernel = FakeKernel::default();
    let (mut engine, loaded) = Engine::load(cluster.clone(), config.clone(), &Slots::default());
    kernel.apply(&loaded.transaction()).unwrap();
    let full = compile(&cluster, &config, &Slots::default());
    assert_eq!(kernel.ruleset().unwrap(), full.ruleset, "load");
    for (at, other) in order.iter().enumerate() {
        if at < events.len() {
            let other = other.index(events.len());
            events.swap(at, other);
        }
    }
    let mut events = events.into_iter().peekable();
    let mut compiled = engine.iptables();
    for size in batches.iter().cycle() {
        if events.peek().is_none() {
            break;
        }
        let batch: Vec<Event> = events.by_ref().take(*size).collect();
        let cluster_before = cluster.clone();
        for event in &batch {
            if let Event::Config(new) = event {
                config = new.clone();
            }
            cluster.apply(event.clone());
        }
        let before = services(&cluster_before);
        let delta = engine.update(batch.clone());
        kernel.apply(&delta.transaction()).unwrap();
        let full = compile(&cluster, &config, &slots_in(&kernel.read()));
        assert_eq!(kernel.ruleset().unwrap(), full.ruleset, "{batch:#?}");
        assert_eq!(engine.conflicts(), full.conflicts);
        assert_eq!(verify(&full.ruleset), []);
        assert_eq!(engine.ruleset(), full.ruleset, "asked for as a whole");
        assert_eq!(engine.cluster(), cluster);
        let new = iptables::compile(&cluster, &config);
        assert!(new == compiled || delta.rules || delta.program, "{batch:#?}");
        assert_eq!(engine.iptables(), new);
        compiled = new;
        let after = services(&cluster);
        let names: BTreeSet<&ObjectName> = before.keys().chain(after.keys()).collect();
        for name in names.into_iter().filter(|name| before.get(*name) != after.get(*name)) {
            assert!(delta.services.contains(name), "{name} changed");
        }
        for (name, (service, slices)) in &after {
            let found = engine.service(name).map(|(service, slices)| (service, slices.collect::<Vec<_>>()));
            let expected = service.map(|service| (service, slices.clone()));
            assert_eq!(found, expected);
        }
        check_parts(&engine, &cluster, &full);
        let known = engine.update(state(&cluster, &config));
        assert!(known.services.is_empty() && known.transaction().is_empty(), "what is known already");
        assert!(engine.update(batch).transaction().is_empty(), "a second time");
    }
}

fn arb_layout() -> impl Strategy<Value = Layout> {
    prop_oneof![Just(Layout::Chains), Just(Layout::Maps)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_lead_to_what_a_full_compile_gives(
        (mut from, mut to, layouts) in (arb_world(), arb_world(), (arb_layout(), arb_layout())),
        order in vec(any::<Index>(), 40),
        batches in vec(1..4_usize, 1..8),
    ) {
        from.config.layout = layouts.0;
        to.config.layout = layouts.1;
        let events = events(&from, &to);
        check(&from, events, &order, &batches);
    }
}
