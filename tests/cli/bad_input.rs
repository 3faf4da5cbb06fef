//! Manifests as they should not be, and more of them than one would like.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use crate::sandbox::{SVCNAT, folder, golden, listing, nft, on_node_a, run, sandbox, svcnat};

/// A good Service, so that there would be something to apply.
const GOOD: &str = "
apiVersion: v1
kind: Service
metadata: {name: good, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}
---
";

/// `apply` of a good Service and this says what is wrong, with the place, and leaves the kernel as it is.
#[track_caller]
fn check(manifest: &str, complaints: &[&str]) {
    let folder = folder(&[("a.yaml", GOOD), ("b.yaml", &format!("{GOOD}{manifest}"))]);
    sandbox(|| {
        on_node_a("apply", &golden("web"), &[]);
        let before = listing();
        for command in ["apply", "render"] {
            let run = svcnat(&[command, "-f", folder.path().to_str().unwrap()]);
            assert_eq!((run.code, run.out.as_str()), (Some(3), ""), "{}", run.err);
            for complaint in complaints {
                assert!(run.err.contains(complaint), "{complaint}: {}", run.err);
            }
            assert!(run.err.contains("b.yaml:7: document 2"), "{}", run.err);
            assert!(!run.err.contains("a.yaml"), "{}", run.err);
        }
        assert_eq!(listing(), before);
    });
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_applied() {
    check(
        "{kind: Service, apiVersion: v1, metadata: {name: x}, spec: {clusterIP: 10.96.0.9, ports: [{port: 0}]}}",
        &["Service default/x: spec.ports[0].port: must be from 1 to 65535, not 0"],
    );
    check(
        "{kind: EndpointSlice, apiVersion: discovery.k8s.io/v1, metadata: {name: x}, addressType: IPv4, endpoints: []}",
        &["EndpointSlice default/x: metadata.labels.kubernetes.io/service-name: is required"],
    );
    check(
        "{kind: Service, apiVersion: v1, metadata: {name: x}, spec: {clusterIP: 10.96.0.999, ports: [{port: 1}]}}",
        &["Service default/x: spec.clusterIP: \"10.96.0.999\" is not an IP address"],
    );
    // All of it at once.
    check(
        "{kind: Service, apiVersion: v1, metadata: {name: X}, spec: {clusterIP: x, ports: [{port: 70000, protocol: tcp}]}}",
        &[
            "metadata.name: \"X\" is not",
            "spec.clusterIP: \"x\" is not",
            "ports[0].port: must",
            "ports[0].protocol: must",
        ],
    );
}

#[test]
fn files_without_manifests_are_errors() {
    let empty = folder(&[]);
    let other = folder(&[("README.md", "no manifest")]);
    let void = folder(&[("x.yaml", "# nothing\n---\n")]);
    let binary = folder(&[("x.yaml", "\0\u{1}\u{2}ELF")]);
    fs::write(binary.path().join("y.json"), [0xff, 0xfe, 0x00, 0x80]).unwrap();
    for (folder, complaint) in [
        (&empty, "no manifests in this folder"),
        (&other, "no manifests in this folder"),
        (&void, "x.yaml: no manifests in it"),
        (&binary, "x.yaml: a binary file, neither YAML nor JSON"),
        (&binary, "y.json: a binary file, neither YAML nor JSON"),
    ] {
        let run = sandbox(|| {
            let run = svcnat(&["apply", "-f", folder.path().to_str().unwrap()]);
            assert_eq!(listing(), "");
            run
        });
        assert_eq!((run.code, run.out.as_str()), (Some(3), ""), "{}", run.err);
        assert!(run.err.contains(complaint), "{complaint}: {}", run.err);
    }
    let program = run(SVCNAT, &["render", "-f", SVCNAT], "");
    assert_eq!(program.code, Some(3));
    assert!(program.err.contains("a binary file"), "{}", program.err);
}

#[test]
fn of_300_services_on_one_node_port_the_oldest_has_it() {
    let mut manifests = String::new();
    for i in 0..300 {
        let (day, hour) = (28 - i / 24, i % 24);
        write!(
            manifests,
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: web-{i:03}, namespace: shop, \
             creationTimestamp: \"2026-02-{day:02}T{hour:02}:00:00Z\"}}, spec: {{type: NodePort, \
             clusterIP: 10.96.{}.{}, ports: [{{port: 80, nodePort: 30080}}]}}}}\n",
            i / 250,
            i % 250 + 1,
        )
        .unwrap();
    }
    let folder = folder(&[("all.yaml", &manifests)]);
    // Days count down: the last day is that of 288 to 299, and 288 is its first hour.
    let conflict = |i: usize| {
        format!(
            "conflict: node port 30080/tcp of shop/web-{i:03} belongs to the older Service port shop/web-288\n"
        )
    };
    let script = on_node_a("render", folder.path(), &[]);
    for i in (0..300).filter(|i| *i != 288) {
        assert!(script.contains(&format!("# {}", conflict(i))), "{i}");
    }
    assert_eq!(script.matches("# conflict: ").count(), 299);
    sandbox(|| {
        nft(&["-f", "-"], &script);
        let path = folder.path().to_str().unwrap();
        let run = svcnat(&["apply", "-f", path, "--cluster-cidr", "10.244.0.0/16,fd00:10:244::/48"]);
        assert_eq!((run.code, run.out.as_str()), (Some(0), "unchanged\n"), "{}", run.err);
        assert_eq!(run.err.matches(" conflict: ").count(), 299);
        assert!(run.err.contains(&conflict(7)), "{}", run.err);
    });
}

#[test]
fn names_may_be_as_long_as_kubernetes_allows() {
    sandbox(|| {
        on_node_a("apply", &golden("long-names"), &[]);
        let listing = listing();
        let chain =
            format!("chain service-namespace-{}/service-{}/endpoint-port-", "y".repeat(53), "x".repeat(55));
        assert!(listing.contains(&chain), "{listing}");
    });
}

#[test]
fn a_file_of_50_megabytes_is_read_in_reasonable_time() {
    // As `kubectl get -o json` prints Services that were made by `kubectl apply`, only with longer annotations.
    let note = "n".repeat(50_000);
    let items: Vec<String> = (0..1000)
        .map(|i| {
            let address = format!("10.96.{}.{}", i / 250, i % 250 + 1);
            format!(
                "{{\"apiVersion\": \"v1\", \"kind\": \"Service\", \"metadata\": {{\"name\": \"web-{i}\", \
                 \"annotations\": {{\"note\": \"{note}\"}}}}, \"spec\": {{\"clusterIP\": \"{address}\", \
                 \"ports\": [{{\"port\": 80}}]}}}}"
            )
        })
        .collect();
    let list =
        format!("{{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [\n{}]}}\n", items.join(",\n"));
    assert!(list.len() > 50_000_000);
    let folder = folder(&[("all.json", &list)]);
    let start = Instant::now();
    let script = on_node_a("render", folder.path(), &[]);
    let took = start.elapsed();
    assert_eq!(script.matches(" : goto reject-connection").count(), 1000);
    // Half a second is usual, also without optimisation.
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// `apply` takes these manifests and the kernel takes what they compile to; a second time nothing changes.
#[track_caller]
fn check_large(what: &str, manifests: &str, expected: &[&str]) {
    let folder = folder(&[("all.yaml", manifests)]);
    sandbox(|| {
        let said = on_node_a("apply", folder.path(), &[]);
        for expected in expected {
            assert!(said.contains(expected), "{what}: {said}");
        }
        assert_eq!(on_node_a("apply", folder.path(), &[]), "unchanged\n", "{what}");
    });
}

#[test]
fn much_of_everything_is_applied() {
    let service = |name: &str, spec: &str| {
        format!(
            "---\n{{apiVersion: v1, kind: Service, metadata: {{name: {name}}}, spec: {{type: LoadBalancer, \
             clusterIP: 10.96.0.1, {spec}}}, status: {{loadBalancer: {{ingress: [{{ip: 203.0.113.1}}]}}}}}}\n"
        )
    };
    let slice = |name: &str, endpoints: &[String]| {
        format!(
            "---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {{name: {name}, labels: \
             {{kubernetes.io/service-name: web}}}}, addressType: IPv4, ports: [{{name: p, port: 8080}}], \
             endpoints: [{}]}}\n",
            endpoints.join(", ")
        )
    };
    let ranges: Vec<String> = (0..5000).map(|i| format!("10.{}.{}.0/24", i / 256, i % 256)).collect();
    let spec = format!("ports: [{{name: p, port: 80}}], loadBalancerSourceRanges: [{}]", ranges.join(", "));
    // 5,000 ranges, and the elements of the Service: a ClusterIP, and two frontends that are rejected.
    check_large("source ranges", &service("web", &spec), &["elements +5006"]);

    let ports: Vec<String> =
        (0..100).map(|i| format!("{{name: p{i}, port: {}, nodePort: {}}}", 1000 + i, 30_000 + i)).collect();
    let spec = format!("ports: [{}]", ports.join(", "));
    check_large("ports", &service("web", &spec), &["elements +601"]);

    // 1,000 endpoints in 12 slices of 100, so that 200 are given twice.
    let slices: Vec<String> = (0..12)
        .map(|k| {
            let numbers = (k * 100..(k + 1) * 100).map(|i| i % 1000);
            let endpoints: Vec<String> = numbers
                .map(|i| format!("{{addresses: [10.244.{}.{}], nodeName: node-a}}", i / 250, i % 250 + 1))
                .collect();
            slice(&format!("web-{k}"), &endpoints)
        })
        .collect();
    // A pair for hairpin each, a ClusterIP, and two frontends.
    let manifests = service("web", "ports: [{name: p, port: 80}]") + &slices.concat();
    check_large("endpoints", &manifests, &["elements +1003"]);

    for seconds in [1, 86_400] {
        let spec = format!(
            "ports: [{{name: p, port: 80}}], sessionAffinity: ClientIP, \
             sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {seconds}}}}}"
        );
        let manifests = service("web", &spec) + &slice("web-1", &["{addresses: [10.244.1.1]}".to_owned()]);
        check_large("timeouts", &manifests, &["tables +1"]);
    }
}
