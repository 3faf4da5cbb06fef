//! The oracle's verdicts in the clusters of `cases`.

use svcnat_oracle::{cases, verdict};

#[test]
fn every_packet_of_every_case_fares_as_written() {
    for case in cases::all() {
        assert!(!case.packets.is_empty(), "{}: no packets", case.name);
        for (packet, expected) in &case.packets {
            assert_eq!(&verdict(&case.world, packet), expected, "{}: {packet:?}", case.name);
        }
    }
}

#[test]
fn cases_are_as_large_as_they_say() {
    let case =
        |name: &str| cases::all().into_iter().find(|case| case.name.contains(name)).unwrap().world.cluster;
    let ranges = case("5,000 source ranges").services.into_values().next().unwrap().source_ranges;
    assert_eq!(ranges.len(), 5_000);
    let slices = case("1,000 endpoints").slices;
    assert_eq!(slices.len(), 12);
    let endpoints: Vec<_> = slices.values().flat_map(|slice| &slice.endpoints).collect();
    let distinct: std::collections::BTreeSet<_> = endpoints.iter().map(|endpoint| endpoint.address).collect();
    assert_eq!(distinct.len(), 1_000);
    assert!(endpoints.len() > 1_100, "{} entries: too few duplicates", endpoints.len());
    assert_eq!(case("100 ports").services.into_values().next().unwrap().ports.len(), 100);
    assert_eq!(case("300 Services").services.len(), 300);
}
