//! Tables of our name that others filled with things of their own.

use similar::TextDiff;

use crate::sandbox::{golden, listing, nft, on_node_a, sandbox, svcnat};

/// Tables of others, which nobody may touch, and which look like ours.
const OTHERS: &str = "
table ip other {
	counter hits {
		packets 7 bytes 77
	}
	set frontends {
		type ipv4_addr
		elements = { 10.0.0.1 }
	}
	chain services {
		type filter hook input priority filter; policy accept;
		limit rate 5/second counter name hits drop
	}
}
";

/// What an operator or another program may have put into our table: each by itself must go.
const FILLINGS: [(&str, &str); 16] = [
    ("an empty table", ""),
    ("a table that is put to sleep", "flags dormant;"),
    ("sets of odd kinds", "
        set odd-mark { type mark; flags interval; elements = { 1-5 } }
        set odd-timeout { type ipv4_addr; flags timeout; elements = { 10.0.0.1 timeout 1h } }
        set odd-auto { type ipv4_addr; flags interval; auto-merge; elements = { 10.0.0.0/8 } }
        set odd-ether { type ether_addr . ifname; }
        set odd-counter { type ipv4_addr; counter; elements = { 10.0.0.1 } }
    "),
    ("a set that has the name of a map", "set frontends { type ipv4_addr; elements = { 10.0.0.1 } }"),
    ("a map with other fields", "map frontends { type ipv4_addr . inet_service : verdict; elements = { 10.0.0.1 . 80 : drop } }"),
    ("a map of data with the name of a verdict map", "map no-endpoints { type ipv4_addr : mark; elements = { 10.0.0.1 : 5 } }"),
    ("sets of our kind with a timeout or a size", "
        set hairpin { type ipv4_addr . ipv4_addr; timeout 1h; elements = { 10.0.0.1 . 10.0.0.1 } }
        set cluster-ips { type ipv4_addr; size 10; elements = { 10.0.0.1 } }
    "),
    ("elements that nobody wants", "
        chain foreign { counter accept; }
        map frontends { type ipv4_addr . inet_proto . inet_service : verdict; elements = {
            10.0.0.1 . tcp . 1 : jump foreign, 10.0.0.2 . udp . 2 : accept, 203.0.113.7 . tcp . 80 : goto foreign } }
        set source-allowed { type ipv4_addr . inet_proto . inet_service . ipv4_addr; flags interval; elements = {
            203.0.113.7 . tcp . 80 . 0.0.0.0/0, 10.0.0.0-10.0.0.9 . tcp . 1-9 . 10.0.0.3 } }
    "),
    ("a base chain that drops everything", "chain drop-all { type filter hook input priority 0; policy drop; }"),
    ("a base chain that has the name of a regular one", "chain services { type filter hook input priority 0; policy drop; accept; }"),
    ("regular chains that have the names of base chains", "
        chain nat-prerouting { counter; }
        chain foreign { jump nat-prerouting; }
    "),
    ("base chains with another hook, priority or policy", "
        chain nat-prerouting { type nat hook prerouting priority -1; policy accept; accept; }
        chain filter-input { type filter hook forward priority filter; policy accept; }
        chain filter-forward { type filter hook forward priority filter; policy drop; }
        chain nat-output { type route hook output priority -100; policy accept; }
    "),
    ("rules of unknown expressions", "
        chain services {
            limit rate 5/second counter accept
            ip saddr { 10.0.0.1, 10.0.0.2 } accept
            tcp dport vmap { 80 : drop, 81 : accept }
            meta mark set ct mark
            log prefix \"odd\"
            quota over 1 mbytes drop
            ip daddr 10.0.0.1 tcp dport 80-90 dnat to 10.0.0.2
        }
        chain masquerade-later { meta mark set 0x1 comment \"not ours\"; }
        chain filter-input { type filter hook input priority filter; policy accept; ct state invalid drop; }
    "),
    ("verdict maps that lead to our chains and to others", "
        chain service-default/web/http { accept; }
        chain external-default/web/http { jump service-default/web/http; }
        chain foreign { }
        map foreign-map { type inet_service : verdict; elements = { 80 : jump service-default/web/http, 81 : goto foreign } }
        chain services { tcp dport vmap @foreign-map; jump external-default/web/http; }
    "),
    ("dynamic sets", "
        set seen { type ipv4_addr; size 128; flags dynamic, timeout; timeout 1m; }
        map affinity { type ipv4_addr : ipv4_addr; size 5; flags dynamic; }
        chain services { update @seen { ip saddr limit rate over 5/second } drop; }
    "),
    ("pools of a Service with others' backends", "
        chain service-default/web/http {
            meta l4proto tcp dnat to 10.0.0.1:1
            meta l4proto tcp numgen random mod 7 0 dnat to 10.244.0.2:8080 comment \"default/web-a\"
            meta l4proto tcp dnat to 10.0.0.2:1
        }
    "),
];

/// A listing with its blocks sorted: what was made first is listed first.
fn sorted(listing: &str) -> String {
    // Behind the name of the table and its comment.
    let (head, content) = listing.split_once("proxy\"\n").expect("our comment");
    let mut blocks: Vec<&str> =
        content.split("\n\t}\n").map(|block| block.trim_matches(['\n', '}'])).collect();
    blocks.sort_unstable();
    format!("{head}\n{}", blocks.join("\n"))
}

/// `nft list table ip svcnat`
fn ours() -> String {
    nft(&["list", "table", "ip", "svcnat"], "")
}

#[test]
fn apply_brings_our_tables_to_what_they_should_be() {
    let case = golden("external-policy-local");
    let fresh = sandbox(|| {
        on_node_a("apply", &case, &[]);
        ours()
    });
    for (what, filling) in FILLINGS {
        sandbox(|| {
            nft(&["-f", "-"], OTHERS);
            let others = listing();
            let comment = "comment \"svcnat: Kubernetes Service proxy\"\n";
            nft(&["-f", "-"], &format!("table ip svcnat {{\n{comment}{filling}\n}}\n"));
            on_node_a("apply", &case, &[]);
            let (found, expected) = (sorted(&ours()), sorted(&fresh));
            let difference = TextDiff::from_lines(&expected, &found).unified_diff().to_string();
            assert!(found == expected, "{what}\n{difference}");
            assert_eq!(nft(&["list", "table", "ip", "other"], ""), others, "{what}");
            assert_eq!(on_node_a("apply", &case, &[]), "unchanged\n", "{what}");
        });
    }
}

#[test]
fn named_objects_of_others_stay_and_do_no_harm() {
    let objects = "
        counter hits {
            packets 3 bytes 33
        }
        quota most {
            over 5 mbytes
        }
        limit some {
            rate 5/second
        }
        map counters {
            type ipv4_addr : counter
            elements = { 10.0.0.1 : \"hits\" }
        }
        chain drop-all {
            type filter hook input priority 0; policy drop;
            counter name ip saddr map @counters
            quota name \"most\" drop
            limit name \"some\" accept
        }
    ";
    sandbox(|| {
        nft(&["-f", "-"], &format!("table ip svcnat {{\n{objects}\n}}\n"));
        on_node_a("apply", &golden("external-policy-local"), &[]);
        let listing = ours();
        for kept in ["counter hits {", "quota most {", "limit some {"] {
            assert!(listing.contains(kept), "{listing}");
        }
        for gone in ["map counters", "chain drop-all", "policy drop"] {
            assert!(!listing.contains(gone), "{listing}");
        }
        assert_eq!(on_node_a("apply", &golden("external-policy-local"), &[]), "unchanged\n");
        assert_eq!(svcnat(&["cleanup"]).out, "tables -1\n");
    });
}
