//! A node: a network namespace with rules of others, and of kube-proxy in one of its modes.

use crate::sandbox::{Run, nft, run, svcnat};

const OTHERS: &str = include_str!("data/others.iptables");
const IPTABLES_MODE: &str = include_str!("data/iptables-mode.iptables");
const IPVS_MODE: &str = include_str!("data/ipvs-mode.iptables");
const IPVS_SETS: &str = include_str!("data/ipvs-mode.ipset");
/// The shape that kube-proxy gives its table, which the benchmarks compare with.
const NFTABLES_MODE: &str = include_str!("../../benches/kernel/peer.nft");

/// A table of somebody's with a similar name, and one of the same name in another family.
const OTHER_TABLES: &str = "
table ip kube-proxy-of-mine { chain services { ip daddr 10.96.0.7 accept; }; }
table inet kube-proxy { chain services { tcp dport 443 accept; }; }
table ip svcnat { chain services { tcp dport 443 accept; }; }
";

/// Both families and kinds of iptables.
pub const VARIANTS: [&str; 4] = ["iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"];

/// A set of somebody's whose name begins as kube-proxy's do.
const OTHER_SETS: &str =
    "create KUBE-DST-ABCDEFGHIJ234567 hash:ip family inet\nadd KUBE-DST-ABCDEFGHIJ234567 10.244.0.5\n";

/// The IPv4 rules, or the same in IPv6.
fn in_family(rules: &str, variant: &str) -> String {
    if !variant.starts_with("ip6") {
        return rules.to_owned();
    }
    let pairs = [
        ("10.244.0.0/16", "fd00:10:244::/48"),
        ("10.244.0.5:8443", "[fd00:10:244::5]:8443"),
        ("10.244.0.6:8443", "[fd00:10:244::6]:8443"),
        ("10.244.0.", "fd00:10:244::"),
        ("10.96.0.", "fd00:10:96::"),
        ("203.0.113.", "2001:db8:203::"),
        ("198.51.100.0/24", "2001:db8:198::/64"),
        ("172.17.0.0/16", "fd00:172:17::/64"),
        ("127.0.0.0/8", "::1/128"),
        ("192.168.1.", "2001:db8:1::"),
        ("/32", "/128"),
        ("icmp-port-unreachable", "icmp6-port-unreachable"),
    ];
    pairs.iter().fold(rules.to_owned(), |rules, (four, six)| rules.replace(four, six))
}

/// Runs a program that must go well; what it prints.
fn must(program: &str, arguments: &[&str], input: &str) -> String {
    let run = run(program, arguments, input);
    assert_eq!(run.code, Some(0), "{program} {arguments:?}: {}\n{input}", run.err);
    run.out
}

/// Adds rules to the tables of a variant.
pub fn restore(variant: &str, rules: &str) {
    must(&format!("{variant}-restore"), &["--noflush"], &in_family(rules, variant));
}

/// Everything that others have made.
pub fn load_others() {
    nft(&["-f", "-"], OTHER_TABLES);
    must("ipset", &["restore"], OTHER_SETS);
    VARIANTS.iter().for_each(|variant| restore(variant, OTHERS));
}

pub fn load_iptables_mode() {
    VARIANTS.iter().for_each(|variant| restore(variant, IPTABLES_MODE));
}

pub fn load_ipvs_mode() {
    must("ipset", &["restore"], &IPVS_SETS.replace("FAMILY", "inet"));
    let six = |text: &str| in_family(text, "ip6tables").replace("KUBE-", "KUBE-6-");
    // A name that the kernel finds too long is cut.
    let six =
        |text: &str| six(text).replace("KUBE-6-LOAD-BALANCER-SOURCE-CIDR", "KUBE-6-LOAD-BALANCER-SOURCE-CID");
    let sets: String =
        IPVS_SETS.replace("FAMILY", "inet6").lines().map(|line| format!("{}\n", six(line))).collect();
    must("ipset", &["restore"], &sets);
    for variant in VARIANTS {
        if variant.starts_with("ip6") {
            // Chains have the same names in both families, sets have not.
            let words = IPVS_MODE.split("--match-set ").enumerate();
            let rules = words.map(|(i, part)| match part.split_once(' ') {
                Some((set, rest)) if i > 0 => format!("--match-set {} {rest}", six(set)),
                _ => part.to_owned(),
            });
            restore(variant, &rules.collect::<String>());
        } else {
            restore(variant, IPVS_MODE);
        }
    }
}

pub fn load_nftables_mode() {
    let four = NFTABLES_MODE.replace("SERVICE_CIDR", "10.96.0.0/16");
    nft(&["-f", "-"], &four);
    let six = NFTABLES_MODE.replace("SERVICE_CIDR", "fd00:10:96::/112");
    let six = six.replace(" ip kube-proxy", " ip6 kube-proxy").replace("ipv4_addr", "ipv6_addr");
    nft(&["-f", "-"], &in_family(&six.replace("ip daddr", "ip6 daddr"), "ip6tables"));
}

/// Everything that there is, as the programs that made it list it.
pub fn state() -> String {
    let mut state = String::new();
    for variant in VARIANTS {
        let listing = must(&format!("{variant}-save"), &[], "");
        let lines = listing.lines().filter(|line| !line.starts_with('#'));
        state.extend(lines.map(|line| format!("{variant} {line}\n")));
    }
    state.push_str(&must("ipset", &["save", "-sorted"], ""));
    // iptables-nft cannot list what nft alone knows.
    for table in ["ip kube-proxy-of-mine", "inet kube-proxy", "ip svcnat"] {
        let table: Vec<&str> = table.split(' ').collect();
        state.push_str(&nft(&[&["list", "table"], &table[..]].concat(), ""));
    }
    let mut tables: Vec<String> = nft(&["list", "tables"], "").lines().map(str::to_owned).collect();
    tables.sort();
    state + &tables.join("\n")
}

/// `svcnat cleanup --kube-proxy ARGUMENTS`
pub fn cleanup(arguments: &[&str]) -> Run {
    svcnat(&[&["cleanup", "--kube-proxy"], arguments].concat())
}
