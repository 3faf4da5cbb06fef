//! The way that `trace` tells.

use super::build::*;
use super::example::{chains, maps, node};
use crate::ruleset::{ChainType, Hook, Ruleset, Table};
use crate::simulate::{Packet, Step, simulate, trace};

/// A step in a line.
fn describe_step(step: &Step) -> String {
    match step {
        Step::BaseChain { chain, hook } => format!("{}: {chain}", hook.hook.keyword()),
        Step::Rule { chain, index, .. } => format!("{chain}#{index}"),
        Step::Element { set, comment, .. } => format!("@{set} {}", comment.as_deref().unwrap_or_default()),
        Step::Mark(mark) => format!("mark {mark:#x}"),
        Step::Dnat(to) => format!("dnat {to}"),
        Step::Masquerade => "masquerade".to_owned(),
        Step::Update { set, .. } => format!("update @{set}"),
        Step::Verdict(verdict) => verdict.to_string(),
        Step::Reject(how) => format!("{how:?}"),
        Step::ChainEnd { chain } => format!("end {chain}"),
        Step::Route(to) => format!("to {to:?}"),
    }
}

fn check(ruleset: &Ruleset, packet: &Packet, outcome: usize, expected: &str) {
    let traced = trace(ruleset, &node(), packet).unwrap();
    let path: Vec<String> = traced[outcome].path.iter().map(describe_step).collect();
    assert_eq!(path.join("\n"), expected.trim().replace("        ", ""));
}

#[test]
fn a_trace_tells_only_what_applied() {
    let expected = "
        prerouting: filter-prerouting
        end filter-prerouting
        prerouting: nat-prerouting
        nat-prerouting#0
        jump services
        services#2
        @node-port-ips 
        @node-port-frontends to external-default/web/http
        goto external-default/web/http
        external-default/web/http#0
        jump masquerade-later
        masquerade-later#0
        mark 0x4000
        end masquerade-later
        external-default/web/http#1
        goto service-default/web/http
        service-default/web/http#1
        dnat 10.244.1.2:8080
        to Network
        forward: filter-forward
        filter-forward#0
        jump check-endpoints
        end check-endpoints
        filter-forward#1
        jump check-cluster-ips
        end check-cluster-ips
        end filter-forward
        postrouting: nat-postrouting
        nat-postrouting#0
        jump remember-client
        end remember-client
        nat-postrouting#1
        mark 0x0
        masquerade";
    check(&chains(), &from_network("192.168.1.10:40000", "192.168.1.2:30008"), 1, expected);
    let expected = "
        output: nat-output
        nat-output#0
        jump services
        services#0
        @cluster-ips 
        jump masquerade-later
        masquerade-later#0
        mark 0x4000
        end masquerade-later
        end services
        end nat-output
        output: filter-output
        filter-output#0
        jump check-endpoints
        check-endpoints#0
        @no-endpoints 
        goto reject-with-icmp
        reject-with-icmp#0
        PortUnreachable";
    check(&chains(), &from_host("192.168.1.2:40000", "10.96.0.30:80"), 0, expected);
}

#[test]
fn of_several_ways_to_an_outcome_the_one_with_the_first_draw_is_told() {
    let traced = trace(&maps(), &node(), &from_network("10.244.0.9:1", "10.96.0.10:80")).unwrap();
    assert_eq!(traced.len(), 3);
    for outcome in traced {
        let path: Vec<String> = outcome.path.iter().map(describe_step).collect();
        assert!(path.contains(&"pick-4#0".to_owned()), "{path:?}");
    }
}

#[test]
fn tracing_changes_no_outcome_and_sorts_by_probability() {
    for ruleset in [chains(), maps()] {
        for packet in [
            from_network("192.168.1.10:40000", "192.168.1.2:30008"),
            from_network("10.244.0.9:40000", "10.96.0.20:443"),
            from_host("192.168.1.2:40000", "203.0.113.7:443"),
        ] {
            let traced = trace(&ruleset, &node(), &packet).unwrap();
            assert!(traced.is_sorted_by(|a, b| a.probability >= b.probability));
            let traced = traced.into_iter().map(|traced| (traced.outcome, traced.probability)).collect();
            assert_eq!(simulate(&ruleset, &node(), &packet).unwrap(), traced);
        }
    }
}

#[test]
fn a_path_of_many_steps_is_taken_apart_without_recursion() {
    let mut table = Table::default();
    let place = (ChainType::Filter, Hook::Prerouting, 0);
    base(&mut table, "marks", place, vec![set_mark(1); 200_000]);
    let traced = trace(&ruleset(table), &node(), &from_network("10.0.0.1:1", "10.0.0.2:1")).unwrap();
    // Each rule is two steps; the base chain and the route, with the chain's end, are three more.
    assert_eq!(traced[0].path.len(), 400_003);
}
