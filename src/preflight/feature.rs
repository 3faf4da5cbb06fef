//! The features of nf_tables, each with the rulesets that need it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU16;

use svcnat_rules::cluster::{
    Cluster, Conditions, Endpoint, EndpointPort, EndpointSlice, Labels, Node, Service, ServicePort,
    ServiceType, TrafficPolicy,
};
use svcnat_rules::compile::compile;
use svcnat_rules::config::{Config, Layout};
use svcnat_rules::layout::{Slots, set};
use svcnat_rules::name::{Name, ObjectName};
use svcnat_rules::net::{Family, Protocol};
use svcnat_rules::ruleset::{Chain, ChainType, Elements, Expr, Ruleset, Set, SetData, Table};

use super::Finding;

/// Something that nf_tables must have.
pub(super) struct Feature {
    module: &'static str,
    option: &'static str,
    purpose: &'static str,
    /// What of a table needs it.
    part: Part,
}

/// A part of a table.
enum Part {
    /// The table itself.
    Table(&'static [Family]),
    /// Its base chains of a type.
    Chains(ChainType),
    /// Rules with such an expression, in chains that no packet enters.
    Rules(fn(&Expr) -> bool),
    /// One of its sets, with elements that lead nowhere.
    Set(&'static str),
}

const fn feature(module: &'static str, option: &'static str, purpose: &'static str, part: Part) -> Feature {
    Feature { module, option, purpose, part }
}

/// Those that depend on others come after them.
pub(super) static FEATURES: [Feature; 12] = [
    feature("nf_tables", "CONFIG_NF_TABLES", "all rules", Part::Table(&Family::ALL)),
    feature(
        "nf_tables (ip, ip6)",
        "CONFIG_NF_TABLES_IPV4, CONFIG_NF_TABLES_IPV6",
        "hooks of both families",
        Part::Chains(ChainType::Filter),
    ),
    feature("nft_chain_nat", "CONFIG_NFT_NAT", "hooks that translate", Part::Chains(ChainType::Nat)),
    feature(
        "nft_nat",
        "CONFIG_NFT_NAT",
        "sending connections to backends",
        Part::Rules(|expr| matches!(expr, Expr::Dnat { .. })),
    ),
    feature(
        "nft_masq",
        "CONFIG_NFT_MASQ",
        "masquerading",
        Part::Rules(|expr| matches!(expr, Expr::Masquerade)),
    ),
    feature(
        "nft_numgen",
        "CONFIG_NFT_NUMGEN",
        "picking backends",
        Part::Rules(|expr| matches!(expr, Expr::Numgen { .. })),
    ),
    feature(
        "nft_ct",
        "CONFIG_NFT_CT, CONFIG_NF_CONNTRACK",
        "telling new connections",
        Part::Rules(|expr| matches!(expr, Expr::Ct { .. })),
    ),
    feature(
        "nft_fib",
        "CONFIG_NFT_FIB_IPV4, CONFIG_NFT_FIB_IPV6",
        "telling this node's own addresses",
        Part::Rules(|expr| matches!(expr, Expr::FibType { .. })),
    ),
    feature(
        "nft_reject",
        "CONFIG_NFT_REJECT, CONFIG_NFT_REJECT_IPV4, CONFIG_NFT_REJECT_IPV6",
        "refusing connections without backends",
        Part::Rules(|expr| matches!(expr, Expr::Reject(_))),
    ),
    feature("nf_tables (sets)", "CONFIG_NF_TABLES", "finding frontends", Part::Set(set::FRONTENDS)),
    feature(
        "nf_tables (ranges in concatenations)",
        "Linux 5.6",
        "loadBalancerSourceRanges",
        Part::Set(set::SOURCE_ALLOWED),
    ),
    feature(
        "nf_tables (dynamic maps)",
        "CONFIG_NF_TABLES",
        "session affinity",
        Part::Rules(|expr| matches!(expr, Expr::Update { .. })),
    ),
];

/// What `--counters` takes besides.
pub(super) static COUNTERS: [Feature; 1] = [feature(
    "nf_tables (sets that count)",
    "Linux 5.7",
    "counting connections (--counters)",
    Part::Set(set::BACKEND_CONNECTIONS),
)];

impl Feature {
    pub(super) fn present(&self) -> Finding {
        Finding {
            module: self.module,
            option: self.option,
            purpose: self.purpose,
            present: true,
            optional: false,
            reason: None,
        }
    }

    pub(super) fn missing(&self, reason: Option<String>) -> Finding {
        Finding { present: false, reason, ..self.present() }
    }

    /// The rulesets that the kernel takes only where it has the feature: for each family one, as small as can be.
    pub(super) fn rehearsals(&self, complete: &Ruleset) -> Vec<Ruleset> {
        let parts = complete.tables.iter().map(|(family, table)| (*family, self.part.of(*family, table)));
        let alone = |(family, table): (Family, Option<Table>)| {
            Some(Ruleset { tables: BTreeMap::from([(family, table?)]) })
        };
        parts.filter_map(alone).collect()
    }
}

impl Part {
    /// The part of a table that needs the feature, with what it refers to.
    fn of(&self, family: Family, table: &Table) -> Option<Table> {
        match self {
            Self::Table(families) => families.contains(&family).then(Table::default),
            Self::Chains(kind) => {
                let of_kind = table
                    .chains
                    .iter()
                    .filter(|(_, chain)| chain.hook.is_some_and(|hook| hook.kind == *kind));
                let chains = of_kind
                    .map(|(name, chain)| (name.clone(), Chain { hook: chain.hook, rules: Vec::new() }));
                Some(Table { chains: chains.collect(), ..Table::default() })
            }
            Self::Set(name) => {
                let (name, set) = table.sets.get_key_value(*name)?;
                let leads = set.definition.data == SetData::Verdict;
                let set = if leads { empty(set) } else { set.clone() };
                Some(Table { sets: BTreeMap::from([(name.clone(), set)]), ..Table::default() })
            }
            Self::Rules(needs) => {
                let mut chains = table.chains.iter();
                let (name, rule) = chains.find_map(|(name, chain)| {
                    let rule = chain.rules.iter().find(|rule| rule.exprs.iter().any(needs))?;
                    Some((name, rule))
                })?;
                let sets = table.sets.iter().map(|(name, set)| (name.clone(), empty(set)));
                let targets = table.chains.keys().map(|name| (name.clone(), Chain::default()));
                let mut chains: BTreeMap<Name, Chain> = targets.collect();
                chains.insert(name.clone(), Chain { hook: None, rules: vec![rule.clone()] });
                Some(Table { sets: sets.collect(), chains })
            }
        }
    }
}

fn empty(set: &Set) -> Set {
    Set { elements: Elements::new(), ..set.clone() }
}

/// What the compiler makes of a Service of both families that needs everything, and of one without backends.
pub(super) fn complete(counters: bool) -> Ruleset {
    let addresses = |last: u8| -> Vec<IpAddr> {
        vec![IpAddr::from([192, 0, 2, last]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(last)])]
    };
    let ports = [Protocol::Tcp, Protocol::Udp].map(|protocol| ServicePort {
        name: Name::from(protocol.keyword()),
        protocol,
        port: NonZeroU16::MIN,
        node_port: Some(NonZeroU16::MIN),
    });
    let service = |name: &str, last: u8| Service {
        name: ObjectName::new("check", name),
        created: None,
        kind: ServiceType::LoadBalancer,
        cluster_ips: addresses(last),
        external_ips: Vec::new(),
        load_balancer_ips: addresses(last + 1),
        source_ranges: Vec::new(),
        ports: ports.to_vec(),
        external_policy: TrafficPolicy::Local,
        internal_policy: TrafficPolicy::Cluster,
        affinity_seconds: Some(60),
        health_check_node_port: None,
        labels: Labels::default(),
    };
    let slice = |family: Family| EndpointSlice {
        service: ObjectName::new("check", "all"),
        family,
        ports: ports
            .iter()
            .map(|port| EndpointPort { name: port.name.clone(), protocol: port.protocol, port: port.port })
            .collect(),
        endpoints: [10, 11]
            .into_iter()
            .flat_map(addresses)
            .filter(|address| Family::of(*address) == family)
            .map(endpoint)
            .collect(),
    };
    let services = [service("all", 1), service("none", 3)];
    let slices = Family::ALL.map(|family| (ObjectName::new("check", family.keyword()), slice(family)));
    let cluster = Cluster {
        services: services.into_iter().map(|service| (service.name.clone(), service)).collect(),
        slices: slices.into_iter().collect(),
        node: Some(Node {
            name: Name::from("check"),
            addresses: addresses(20),
            zone: None,
            pod_cidrs: Vec::new(),
        }),
        service_cidrs: Vec::new(),
    };
    let node_name = Name::from("check");
    let config = Config { node_name, layout: Layout::Chains, counters, ..Config::default() };
    compile(&cluster, &config, &Slots::default()).ruleset
}

fn endpoint(address: IpAddr) -> Endpoint {
    Endpoint {
        address,
        conditions: Conditions::default(),
        node: Some(Name::from("check")),
        zone: None,
        pod: None,
        zone_hints: Box::default(),
        node_hints: Box::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_is_tried_in_both_families() {
        let complete = complete(true);
        for feature in FEATURES.iter().chain(&COUNTERS) {
            let families: Vec<Family> = feature
                .rehearsals(&complete)
                .iter()
                .flat_map(|ruleset| ruleset.tables.keys().copied())
                .collect();
            assert_eq!(families, Family::ALL, "{}", feature.module);
        }
    }

    #[test]
    fn every_expression_of_the_rules_has_a_feature_or_is_part_of_all_kernels() {
        let complete = complete(true);
        let exprs = complete.tables.values().flat_map(|table| table.chains.values());
        for expr in exprs.flat_map(|chain| &chain.rules).flat_map(|rule| &rule.exprs) {
            let is_basic = matches!(
                expr,
                Expr::Payload { .. }
                    | Expr::Meta { .. }
                    | Expr::SetMark { .. }
                    | Expr::Cmp { .. }
                    | Expr::Bitwise { .. }
                    | Expr::HostToNetwork { .. }
                    | Expr::Lookup { .. }
                    | Expr::Immediate { .. }
                    | Expr::Verdict(_)
            );
            let tried = |feature: &Feature| matches!(feature.part, Part::Rules(needs) if needs(expr));
            assert!(is_basic || FEATURES.iter().any(tried), "{expr:?}");
        }
    }
}
