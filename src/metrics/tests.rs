use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use svcnat_rules::net::Protocol;

use super::*;
use crate::agent_api::BackendConnections;

/// Metrics on which everything has happened once.
fn busy() -> Metrics {
    let metrics = Metrics::new();
    metrics.service_change_queued();
    metrics.endpoint_change_queued();
    metrics.endpoint_change_queued();
    let sent = Sent { operations: 2, bytes: 300, kernel: Duration::from_micros(60) };
    metrics.synced(&Synced {
        full: true,
        took: Duration::from_millis(3),
        service_changes: 1,
        endpoint_changes: 1,
        transaction: Some(sent),
    });
    metrics.synced(&Synced { took: Duration::from_micros(400), ..Synced::default() });
    metrics.sync_failed(true);
    metrics.change_in_force(Duration::from_micros(150));
    metrics.network_programmed(Family::Ipv6, Duration::from_secs(61));
    metrics.repaired(RepairReason::ChangedByOthers);
    metrics.set_state(&State {
        services: 5,
        frontends: 7,
        backends: 11,
        conflicts: 1,
        picking: Some(Picking::Maps),
    });
    metrics.set_no_local_endpoints(Family::Ipv4, Scope::External, 3);
    metrics.set_owned_tables(2);
    metrics.set_watch_connected(Kind::Service, true);
    metrics.relisted(Kind::EndpointSlice);
    metrics.conntrack_reconciled(Family::Ipv4, Duration::from_millis(1), 9);
    metrics.affinity_removed(4);
    metrics.cleanup_failed(Family::Ipv6);
    metrics.state_file_written(true);
    metrics.state_file_written(false);
    metrics.healthz_answered(Status::Unavailable);
    metrics.livez_answered(Status::Ok);
    let counted = [
        connections("10.96.0.1", 3, &[("10.244.0.2", 2), ("10.244.0.3", 1)]),
        connections("fd00::1", 2, &[]),
    ];
    metrics.count_frontends(1, &counted);
    metrics.count_backends(1, &counted);
    metrics
}

/// A frontend of `shop/web` with its backends.
fn connections(address: &str, connections: u64, backends: &[(&str, u64)]) -> FrontendConnections {
    let backends = backends.iter().map(|(address, connections)| BackendConnections {
        address: address.parse().unwrap(),
        port: 8080,
        connections: *connections,
    });
    FrontendConnections {
        namespace: "shop".to_owned(),
        service: "web".to_owned(),
        port_name: "http".into(),
        protocol: Protocol::Tcp,
        address: Some(address.parse().unwrap()),
        port: 80,
        connections,
        backends: backends.collect(),
    }
}

#[test]
fn connections_are_shown_while_they_are_counted() {
    let metrics = busy();
    assert!(metrics.text().contains("svcnat_frontend_connections_total"));
    metrics.count_no_connections();
    assert!(!metrics.text().contains("_connections_total"));
}

#[test]
fn syncs_are_told_in_the_terms_of_the_mode() {
    let metrics = Metrics::of(Mode::Iptables);
    metrics.sync_failed(true);
    metrics.sync_failed(false);
    metrics.sync_failed(false);
    metrics.cleanup_failed(Family::Ipv4);
    metrics.iptables_synced(Family::Ipv6, TableName::Nat, 30, 2);
    let text = metrics.text();
    for sample in [
        r#"kubeproxy_sync_proxy_rules_iptables_total{table="nat",ip_family="IPv6"} 30"#,
        r#"kubeproxy_sync_proxy_rules_iptables_last{table="nat",ip_family="IPv6"} 2"#,
        r#"kubeproxy_sync_proxy_rules_iptables_total{table="nat",ip_family="IPv4"} 0"#,
        r#"kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv6"} 1"#,
        r#"kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total{ip_family="IPv4"} 2"#,
        "svcnat_transaction_failures_total 3",
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} is missing:\n{text}");
    }
    assert!(!text.contains("nftables"), "{text}");
}

#[test]
fn each_thing_that_happens_is_counted_where_it_belongs() {
    let text = busy().text();
    for sample in [
        r#"kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"} 2"#,
        r#"kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv6",le="0.001"} 1"#,
        r#"kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv6",le="0.004"} 2"#,
        r#"kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv6",le="16.384"} 2"#,
        r#"kubeproxy_sync_full_proxy_rules_duration_seconds_sum{ip_family="IPv6"} 0.003"#,
        r#"kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1"#,
        r#"kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv6",le="0"} 0"#,
        r#"kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv6",le="60"} 0"#,
        r#"kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv6",le="65"} 1"#,
        r#"kubeproxy_network_programming_duration_seconds_bucket{ip_family="IPv6",le="300"} 1"#,
        r#"kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 0"#,
        "kubeproxy_sync_proxy_rules_endpoint_changes_pending 1",
        "kubeproxy_sync_proxy_rules_endpoint_changes_total 2",
        "kubeproxy_sync_proxy_rules_service_changes_pending 0",
        "kubeproxy_sync_proxy_rules_service_changes_total 1",
        r#"kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv6"} 1"#,
        r#"kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total{ip_family="IPv4"} 0"#,
        r#"kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total{ip_family="IPv6"} 1"#,
        r#"kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"} 3"#,
        r#"kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="internal"} 0"#,
        r#"kubeproxy_conntrack_reconciler_sync_duration_seconds_count{ip_family="IPv4"} 1"#,
        r#"kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"} 9"#,
        r#"kubeproxy_proxy_healthz_total{code="200"} 0"#,
        r#"kubeproxy_proxy_healthz_total{code="503"} 1"#,
        r#"kubeproxy_proxy_livez_total{code="200"} 1"#,
        concat!(r#"svcnat_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#),
        "svcnat_transactions_total 1",
        "svcnat_transaction_failures_total 1",
        r#"svcnat_transaction_operations_bucket{le="1"} 0"#,
        r#"svcnat_transaction_operations_bucket{le="4"} 1"#,
        "svcnat_transaction_size_bytes_sum 300",
        r#"svcnat_transaction_kernel_duration_seconds_bucket{le="0.0001"} 1"#,
        r#"svcnat_change_duration_seconds_bucket{le="0.0001"} 0"#,
        r#"svcnat_change_duration_seconds_bucket{le="0.0002"} 1"#,
        r#"svcnat_repairs_total{reason="changed_by_others"} 1"#,
        r#"svcnat_repairs_total{reason="resync"} 0"#,
        "svcnat_services 5",
        "svcnat_frontends 7",
        "svcnat_backends 11",
        "svcnat_conflicts 1",
        r#"svcnat_layout{layout="chains"} 0"#,
        r#"svcnat_layout{layout="maps"} 1"#,
        "svcnat_owned_tables 2",
        r#"svcnat_watch_connected{kind="Service"} 1"#,
        r#"svcnat_watch_connected{kind="Node"} 0"#,
        r#"svcnat_watch_relists_total{kind="EndpointSlice"} 1"#,
        "svcnat_stale_affinity_removed_total 4",
        "svcnat_state_file_writes_total 1",
        "svcnat_state_file_write_failures_total 1",
        concat!(
            r#"svcnat_frontend_connections_total{namespace="shop",service="web",port="http",protocol="TCP","#,
            r#"frontend="10.96.0.1:80"} 3"#
        ),
        r#"svcnat_frontend_connections_total{frontend="other"} 2"#,
        concat!(
            r#"svcnat_backend_connections_total{namespace="shop",service="web",port="http",protocol="TCP","#,
            r#"frontend="10.96.0.1:80",backend="10.244.0.2:8080"} 2"#
        ),
        r#"svcnat_backend_connections_total{frontend="other"} 3"#,
    ] {
        let (series, value) = sample.rsplit_once(' ').unwrap();
        let found = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(of, _)| of == series));
        // Numbers may have a fraction of zero.
        let found: f64 = found.unwrap_or_else(|| panic!("{series} is missing in\n{text}"))
            [series.len() + 1..]
            .parse()
            .unwrap();
        assert_eq!(found.to_string(), value, "{series}");
    }
}

/// What `# HELP` and `# TYPE` say, by name.
fn families(text: &str) -> BTreeMap<&str, (&str, &str)> {
    let described = |keyword: &str| -> BTreeMap<_, _> {
        text.lines()
            .filter_map(|line| line.strip_prefix(keyword))
            .filter_map(|line| line.split_once(' '))
            .collect()
    };
    let types = described("# TYPE ");
    described("# HELP ").into_iter().map(|(name, help)| (name, (types[name], help))).collect()
}

#[test]
fn a_dashboard_for_kube_proxy_finds_its_metrics() {
    // From the reference of Kubernetes' metrics, v1.36: name, type, labels, help. Some are of one mode only.
    let reference = include_str!("kube-proxy.txt");
    for (mode, others) in [(Mode::Nftables, "_iptables_"), (Mode::Iptables, "_nftables_")] {
        let text = Metrics::of(mode).text();
        let ours = families(&text);
        let mut expected = 0;
        for line in reference.lines().filter(|line| !line.contains(others)) {
            let [name, kind, labels, help] = line.splitn(4, '\t').collect::<Vec<_>>().try_into().unwrap();
            assert_eq!(ours.get(name), Some(&(kind, help)), "{name}");
            let labels: BTreeSet<&str> = labels.split(',').filter(|label| !label.is_empty()).collect();
            assert_eq!(labels_of(&text, name), labels, "{name}");
            expected += 1;
        }
        let known = ours.keys().filter(|name| name.starts_with("kubeproxy_")).count();
        assert_eq!(known, expected, "a metric with kube-proxy's prefix that it does not have in this mode");
    }
}

/// The labels of all samples of a metric.
fn labels_of<'a>(text: &'a str, name: &str) -> BTreeSet<&'a str> {
    let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('{'));
    let suffixes = ["", "_bucket", "_sum", "_count"];
    samples
        .filter(|(of, _)| of.strip_prefix(name).is_some_and(|suffix| suffixes.contains(&suffix)))
        .flat_map(|(_, labels)| labels.split(',').filter_map(|label| Some(label.split_once('=')?.0)))
        .filter(|label| *label != "le")
        .collect()
}

#[test]
fn promtool_accepts_every_line() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of the Debian package prometheus");
    promtool.stdin.take().unwrap().write_all(busy().text().as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    // A gauge with the suffix of a counter, but the name is kube-proxy's.
    let remarks: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
    let [remark] = remarks.as_slice() else { panic!("promtool says:\n{said}") };
    assert!(remark.contains("kubeproxy_sync_proxy_rules_no_local_endpoints_total"), "{remark}");
    assert!(remark.contains("non-counter metrics should not have \"_total\" suffix"), "{remark}");
}

#[test]
fn the_process_is_described_as_the_kernel_knows_it() {
    while processor_time() < 0.05 {
        std::hint::black_box(0);
    }
    let text = Metrics::new().text();
    let value = |name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is missing")).parse().unwrap()
    };
    // Both are the kernel's, counted in different units; other tests run on between the two.
    let cpu = value("process_cpu_seconds_total");
    assert!(cpu >= 0.03 && cpu <= processor_time() + 0.02, "{cpu}");
    // `ps` reckons from the machine's uptime, in whole seconds, and the kernel tells its start in whole seconds.
    let (before, age, after) = (timestamp(), age(), timestamp());
    let start = value("process_start_time_seconds");
    assert!(
        start > before - age - 2.0 && start < after - age + 2.0,
        "{start}: {age} s old at {before} to {after}"
    );
    let resident = value("process_resident_memory_bytes");
    let virtual_memory = value("process_virtual_memory_bytes");
    assert!(resident > 1e6 && resident < virtual_memory, "{resident} of {virtual_memory}");
    assert!(value("process_virtual_memory_max_bytes") >= virtual_memory);
    let open = value("process_open_fds");
    assert!(open >= 3.0 && open <= value("process_max_fds"), "{open}");
}

/// User and system time in seconds, from fields 14 and 15 of `/proc/self/stat`, which count 10 ms.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|field| field.parse::<f64>().unwrap()).sum();
    ticks / 100.0
}

/// How old this process is in seconds, says `ps`.
fn age() -> f64 {
    let pid = std::process::id().to_string();
    let output = Command::new("ps").args(["-o", "etimes=", "-p", &pid]).output().expect("ps runs");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}
