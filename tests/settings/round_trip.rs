//! Whatever the settings are, a file can say them.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use svcnat::settings::{Client, Conntrack, Mode, OwnTables, Settings, Source};
use svcnat_rules::config::{Config, DetectLocal, Layout, NodePortAddresses};
use svcnat_rules::name::Name;
use svcnat_rules::net::Cidr;

fn name() -> impl Strategy<Value = Name> {
    "[a-z0-9.-]{1,15}|true|null|0x1f|1e3|~|-".prop_map(Name::from)
}

fn cidr() -> impl Strategy<Value = Cidr> {
    // No /0, since both of them together are `All`.
    any::<(IpAddr, u8)>().prop_map(|(address, prefix)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        Cidr::new(address, prefix % most + 1).unwrap()
    })
}

fn cidrs() -> impl Strategy<Value = Vec<Cidr>> {
    vec(cidr(), 1..4).prop_map(|mut networks| {
        networks.sort_unstable();
        networks.dedup();
        networks
    })
}

fn rules() -> impl Strategy<Value = Config> {
    let detect_local = prop_oneof![
        Just(DetectLocal::Off),
        cidrs().prop_map(DetectLocal::ClusterCidr),
        Just(DetectLocal::NodeCidr),
        name().prop_map(DetectLocal::BridgeInterface),
        name().prop_map(DetectLocal::InterfaceNamePrefix),
    ];
    let node_ports = prop_oneof![
        Just(NodePortAddresses::Primary),
        Just(NodePortAddresses::All),
        cidrs().prop_map(NodePortAddresses::Cidrs),
    ];
    let layout = prop_oneof![Just(Layout::Auto), Just(Layout::Chains), Just(Layout::Maps)];
    let rest = (any::<bool>(), 0..32_u8, any::<bool>(), 1..=u32::MAX, any::<bool>());
    (name(), detect_local, node_ports, layout, rest).prop_map(
        |(
            node_name,
            detect_local,
            node_port_addresses,
            layout,
            (all, masquerade_bit, comments, affinity_size, counters),
        )| Config {
            node_name,
            detect_local,
            masquerade_all: all,
            masquerade_bit,
            node_port_addresses,
            layout,
            backend_comments: comments,
            affinity_size,
            counters,
        },
    )
}

fn server() -> impl Strategy<Value = Option<SocketAddr>> {
    of(any::<(IpAddr, u16)>().prop_map(|(address, port)| (address, port.max(1)).into()))
}

fn path() -> impl Strategy<Value = Option<PathBuf>> {
    of("/[ -~äß\u{1f600}]{1,100}|-|null|a: b".prop_map(PathBuf::from))
}

fn client() -> impl Strategy<Value = Client> {
    let qps = any::<f32>().prop_filter("0 is the default", |qps| qps.is_finite() && *qps != 0.0);
    (path(), qps, 1..=u32::MAX).prop_map(|(kubeconfig, qps, burst)| Client {
        kubeconfig,
        master: None,
        qps,
        burst,
    })
}

fn conntrack() -> impl Strategy<Value = Conntrack> {
    let timeout =
        || of((1..1_000_000_000_u64, 0..1_000_000_000_u32).prop_map(|(s, ns)| Duration::new(s, ns)));
    let timeouts = (timeout(), timeout(), timeout(), timeout());
    (any::<u32>(), any::<u32>(), any::<bool>(), timeouts).prop_map(
        |(max_per_core, min, tcp_be_liberal, (established, close_wait, udp, stream))| Conntrack {
            max_per_core,
            min,
            tcp_established_timeout: established,
            tcp_close_wait_timeout: close_wait,
            tcp_be_liberal,
            udp_timeout: udp,
            udp_stream_timeout: stream,
        },
    )
}

fn page() -> impl Strategy<Value = Option<SocketAddr>> {
    let address = prop_oneof![Just("127.0.0.1"), Just("127.8.9.10"), Just("::1")];
    of((address, 1..=u16::MAX).prop_map(|(address, port)| (address.parse::<IpAddr>().unwrap(), port).into()))
}

prop_compose! {
    fn settings()(
        rules in rules(),
        client in client(),
        conntrack in conntrack(),
        node_address in of(any::<IpAddr>().prop_filter("specified", |address| !address.is_unspecified())),
        servers in (server(), server(), any::<bool>()),
        periods in (1..u64::from(u32::MAX), 0..=100_u32),
        rest in (-1000..=1000, any::<u32>(), any::<bool>(), path(), any::<bool>()),
        counters_series in any::<u32>(),
        page in page(),
    ) -> Settings {
        let sync_period = Duration::from_nanos(periods.0);
        Settings {
            mode: if rest.4 { Mode::Iptables } else { Mode::Nftables },
            // Only nftables counts.
            rules: Config { counters: rules.counters && !rest.4, ..rules },
            node_address,
            client,
            healthz: servers.0,
            metrics: servers.1,
            bind_hard_fail: servers.2,
            sync_period,
            min_sync_period: sync_period * periods.1 / 100,
            conntrack,
            oom_score_adj: rest.0,
            verbosity: rest.1,
            reset_dead_connections: rest.2,
            state_file: rest.3,
            own_tables: if rest.4 { OwnTables::Auto } else { OwnTables::Never },
            counters_series: usize::try_from(counters_series).unwrap(),
            page,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn settings_are_read_back_as_they_were_written(settings in settings()) {
        let text = settings.to_yaml().unwrap();
        let loaded = Source::default().load_text("written.yaml", &text);
        let loaded = loaded.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        prop_assert_eq!(loaded.settings, settings, "{}", text);
        prop_assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
    }
}
