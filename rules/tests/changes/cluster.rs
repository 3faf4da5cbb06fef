//! The difference between two states of the cluster.

use proptest::prelude::*;
use proptest::sample::Index;
use svcnat_oracle::generate::arb_world;
use svcnat_rules::cluster::{Cluster, changes};
use svcnat_rules::config::Config;
use svcnat_rules::engine::Event;

/// A state that has something in common with both.
fn between(from: &Cluster, to: &Cluster, picks: &[Index]) -> Cluster {
    let mut mixed = from.clone();
    for (pick, event) in picks.iter().zip(changes(from, to)) {
        if pick.index(2) == 0 {
            mixed.apply(event);
        }
    }
    mixed
}

/// Whether an event takes something away.
fn takes_away(event: &Event) -> bool {
    matches!(event, Event::ServiceGone(_) | Event::SliceGone(_))
}

fn check(before: &Cluster, after: &Cluster) {
    let events = changes(before, after);
    let mut cluster = before.clone();
    for event in &events {
        let last = cluster.clone();
        cluster.apply(event.clone());
        assert_ne!(cluster, last, "changes nothing: {event:?}");
    }
    assert_eq!(&cluster, after);
    assert!(events.is_sorted_by_key(takes_away), "{events:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changes_lead_from_one_cluster_to_another_and_each_of_them_counts(
        from in arb_world(), to in arb_world(), picks in proptest::collection::vec(any::<Index>(), 40),
    ) {
        let (from, to) = (&from.cluster, &to.cluster);
        let between = between(from, to, &picks);
        check(&Cluster::default(), from);
        check(from, to);
        check(from, &between);
        check(&between, to);
        check(to, &Cluster::default());
        prop_assert_eq!(changes(from, from), []);
    }
}

#[test]
fn other_options_leave_the_cluster_as_it_is() {
    let mut cluster = Cluster::default();
    cluster.apply(Event::Config(Config { masquerade_all: true, ..Config::default() }));
    assert_eq!(cluster, Cluster::default());
}
