//! What is kube-proxy's, by name.
//!
//! The names are those of `pkg/proxy/iptables/proxier.go`, `pkg/proxy/ipvs/proxier.go` and `pkg/proxy/ipvs/ipset.go`
//! of Kubernetes, of all releases since 1.9. Prefixes alone would not do: kubelet's chains begin with `KUBE-` as well,
//! and so do kube-router's chains and sets.

/// The interface of the mode ipvs, which has all addresses of Services.
pub(super) const INTERFACE: &str = "kube-ipvs0";

/// Chains that do not belong to one Service. Kubelet's `KUBE-FIREWALL` and `KUBE-KUBELET-CANARY` are not among them.
const CHAINS: [&str; 16] = [
    "KUBE-EXTERNAL-SERVICES",
    "KUBE-FORWARD",
    "KUBE-MARK-DROP",
    "KUBE-MARK-MASQ",
    "KUBE-NODEPORTS",
    "KUBE-POSTROUTING",
    "KUBE-PROXY-CANARY",
    "KUBE-PROXY-FIREWALL",
    "KUBE-SERVICES",
    // Of the mode ipvs.
    "KUBE-FIRE-WALL",
    "KUBE-IPVS-FILTER",
    "KUBE-IPVS-OUT-FILTER",
    "KUBE-LOAD-BALANCER",
    "KUBE-NODE-PORT",
    "KUBE-SOURCE-RANGES-FIREWALL",
    "KUBE-SVC-IPSETS",
];

/// How chains of Services and endpoints begin, before a hash.
const PREFIXES: [&str; 6] = ["KUBE-EXT-", "KUBE-FW-", "KUBE-SEP-", "KUBE-SVC-", "KUBE-SVL-", "KUBE-XLB-"];

/// How long the hash in the name of a chain is: 16 digits of base 32.
const HASH: usize = 16;

/// Sets of the mode ipvs, without their beginning.
const SETS: [&str; 19] = [
    "CLUSTER-IP",
    "EXTERNAL-IP",
    "EXTERNAL-IP-LOCAL",
    "HEALTH-CHECK-NODE-PORT",
    "IPVS-IPS",
    "LOAD-BALANCER",
    "LOAD-BALANCER-FW",
    "LOAD-BALANCER-LOCAL",
    "LOAD-BALANCER-SOURCE-CIDR",
    "LOAD-BALANCER-SOURCE-IP",
    "LOOP-BACK",
    "NODE-PORT-LOCAL-SCTP",
    "NODE-PORT-LOCAL-SCTP-HASH",
    "NODE-PORT-LOCAL-TCP",
    "NODE-PORT-LOCAL-UDP",
    "NODE-PORT-SCTP",
    "NODE-PORT-SCTP-HASH",
    "NODE-PORT-TCP",
    "NODE-PORT-UDP",
];

/// The most characters of a set's name (`IPSET_MAXNAMELEN` less the zero).
const MAX_SET_NAME: usize = 31;

/// Whether a chain of the tables nat, filter or mangle is kube-proxy's.
pub(super) fn is_chain(name: &str) -> bool {
    let hashed = |prefix: &&str| {
        let hash = name.strip_prefix(*prefix);
        hash.is_some_and(|hash| {
            hash.len() == HASH && hash.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'))
        })
    };
    CHAINS.contains(&name) || PREFIXES.iter().any(hashed)
}

/// Whether a set is kube-proxy's. The IPv6 ones begin with `KUBE-6-`, and are cut where the kernel takes no more.
pub(super) fn is_set(name: &str) -> bool {
    SETS.iter().any(|set| {
        let six: String = format!("KUBE-6-{set}").chars().take(MAX_SET_NAME).collect();
        name == six || name.strip_prefix("KUBE-") == Some(set)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_kube_proxys_is_told_as_such() {
        let hash = "ABCDEFGHIJ234567";
        let chain = |name: &str, expected: bool| assert_eq!(is_chain(name), expected, "{name}");
        for prefix in PREFIXES {
            chain(&format!("{prefix}{hash}"), true);
            chain(&format!("{prefix}{hash}A"), false);
            chain(&format!("{prefix}abcdefghij234567"), false);
            chain(&format!("X{prefix}{hash}"), false);
        }
        CHAINS.iter().for_each(|name| chain(name, true));
        for name in [
            "KUBE-FIREWALL",
            "KUBE-KUBELET-CANARY",
            "KUBE-ROUTER-INPUT",
            "KUBE-POD-FW-ABCDEFGHIJ234567",
            "KUBE-NWPLCY-ABCDEFGHIJ234567",
            "KUBE-SERVICES-OF-MINE",
            "KUBE-SVC-MINE",
            "DOCKER",
            "cali-FORWARD",
            "",
        ] {
            chain(name, false);
        }
        let set = |name: &str, expected: bool| assert_eq!(is_set(name), expected, "{name}");
        set("KUBE-CLUSTER-IP", true);
        set("KUBE-6-CLUSTER-IP", true);
        set("KUBE-6-LOAD-BALANCER-SOURCE-CID", true);
        set("KUBE-LOAD-BALANCER-SOURCE-CIDR", true);
        for name in [
            "KUBE-6-LOAD-BALANCER-SOURCE-CIDR",
            "KUBE-DST-ABCDEFGHIJ234567",
            "KUBE-",
            "CLUSTER-IP",
            "kube-router-svip",
        ] {
            set(name, false);
        }
    }
}
