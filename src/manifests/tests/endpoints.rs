//! Where the endpoints of a Service come from.

use std::fmt::Write;

use super::cluster;

/// The slices in short: name, service, ports, then each endpoint with its conditions (r: ready, s: serving,
/// t: terminating), node, zone, pod and hints.
fn slices(text: &str) -> String {
    let mut out = String::new();
    for (name, slice) in cluster(text).slices {
        write!(out, "{name} {}", slice.service).unwrap();
        for port in &slice.ports {
            write!(out, " {}:{}/{}", port.name, port.protocol, port.port).unwrap();
        }
        out.push('\n');
        for found in &slice.endpoints {
            let conditions = [
                (found.conditions.ready, "r"),
                (found.conditions.serving, "s"),
                (found.conditions.terminating, "t"),
            ];
            let conditions: String =
                conditions.iter().filter(|(set, _)| *set).map(|(_, letter)| *letter).collect();
            write!(out, "  {} {conditions}", found.address).unwrap();
            for (label, value) in [("node", &found.node), ("zone", &found.zone)] {
                value.iter().for_each(|value| write!(out, " {label}={value}").unwrap());
            }
            found.pod.iter().for_each(|pod| write!(out, " {pod}").unwrap());
            found.zone_hints.iter().for_each(|zone| write!(out, " hint-zone={zone}").unwrap());
            found.node_hints.iter().for_each(|node| write!(out, " hint-node={node}").unwrap());
            out.push('\n');
        }
    }
    out
}

fn check(documents: &[&str], expected: &str) {
    let text = documents.join("\n---\n");
    assert_eq!(slices(&text), expected, "{text}");
}

/// A Service that selects `app: web`; `spec` adds to it.
fn service(spec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: web}}, spec: {{selector: {{app: web}}, {spec}}}}}"
    )
}

/// A Pod with the label `app: web`.
fn pod(name: &str, ports: &str, status: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, labels: {{app: web, x: y}}}}, spec: {{nodeName: n1, \
         containers: [{{name: a}}, {{name: b, ports: [{ports}]}}]}}, status: {{{status}}}}}"
    )
}

const PLAIN: &str = "clusterIP: 10.0.0.1, ports: [{port: 80, targetPort: 8080}]";
const READY: &str = "conditions: [{type: Ready, status: \"True\"}]";
const NOT_READY: &str =
    "conditions: [{type: Ready, status: \"False\"}, {type: Initialized, status: \"True\"}]";

#[test]
fn pods_become_endpoints_by_label_address_and_condition() {
    let ending = pod("e", "", &format!("podIP: 10.1.0.5, {READY}"))
        .replace("labels:", "deletionTimestamp: 2024-01-01T00:00:00Z, labels:");
    let other_label = pod("g", "", "podIP: 10.1.0.7").replace("app: web", "app: api");
    let other_namespace = pod("h", "", "podIP: 10.1.0.8").replace("name: h", "name: h, namespace: other");
    let node =
        "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {topology.kubernetes.io/zone: east}}}";
    let pods = [
        pod("a", "", &format!("podIP: 10.1.0.1, {READY}")),
        pod("b", "", &format!("podIP: 10.1.0.2, {NOT_READY}")),
        pod("c", "", "podIP: 10.1.0.3"),
        pod("d", "", "phase: Pending"),
        ending,
        pod("f", "", "podIP: 10.1.0.6, phase: Failed"),
        other_label,
        other_namespace,
    ];
    let expected = |ready: &str, ending: &str, hint: &str, ending_hint: &str| {
        format!(
            "default/web-pods-ipv4 default/web :tcp/8080\n  10.1.0.1 rs node=n1 zone=east default/a{hint}\n  10.1.0.2 {ready} \
             node=n1 zone=east default/b{ending_hint}\n  10.1.0.3 rs node=n1 zone=east default/c{hint}\n  10.1.0.5 {ending} \
             node=n1 zone=east default/e{ending_hint}\n"
        )
    };
    let all = |spec: &str| {
        let service = service(&format!("{PLAIN}, {spec}"));
        let mut documents = vec![node, service.as_str()];
        documents.extend(pods.iter().map(String::as_str));
        documents.join("\n---\n")
    };
    for (spec, expected) in [
        ("x: 1", expected("", "st", "", "")),
        ("publishNotReadyAddresses: true", expected("r", "rst", "", "")),
        ("trafficDistribution: PreferClose", expected("", "st", " hint-zone=east", "")),
        ("trafficDistribution: PreferSameNode", expected("", "st", " hint-zone=east hint-node=n1", "")),
    ] {
        assert_eq!(slices(&all(spec)), expected, "{spec}");
    }
}

#[test]
fn named_ports_are_resolved_for_each_pod() {
    let ports = "clusterIP: 10.0.0.1, ports: [{name: http, port: 80, targetPort: web}, {name: dns, port: 53, targetPort: \
                 web, protocol: UDP}, {name: raw, port: 9}]";
    let sidecar = pod("e", "", "podIP: 10.1.0.5")
        .replace("containers:", "initContainers: [{name: s, restartPolicy: Always, ports: [{name: web, containerPort: 1}]}, \
                                 {name: t, ports: [{name: web, protocol: UDP, containerPort: 2}]}], containers:");
    check(
        &[
            &service(ports),
            &pod("a", "{name: web, containerPort: 8080}", "podIP: 10.1.0.1"),
            &pod(
                "b",
                "{name: web, containerPort: 9090}, {name: web, protocol: UDP, containerPort: 53}",
                "podIP: 10.1.0.2",
            ),
            &pod("c", "{name: other, containerPort: 8080}", "podIP: 10.1.0.3"),
            &pod("d", "{containerPort: 1}, {name: web, containerPort: 8080}", "podIP: 10.1.0.4"),
            &sidecar,
        ],
        "default/web-pods-ipv4 default/web http:tcp/8080 raw:tcp/9\n  10.1.0.1 rs node=n1 default/a\n  10.1.0.4 rs node=n1 \
         default/d\n\
         default/web-pods-ipv4-2 default/web http:tcp/9090 dns:udp/53 raw:tcp/9\n  10.1.0.2 rs node=n1 default/b\n\
         default/web-pods-ipv4-3 default/web raw:tcp/9\n  10.1.0.3 rs node=n1 default/c\n\
         default/web-pods-ipv4-4 default/web http:tcp/1 raw:tcp/9\n  10.1.0.5 rs node=n1 default/e\n",
    );
}

#[test]
fn a_slice_is_made_for_each_family_of_the_service() {
    let both = pod("a", "", "podIP: 10.1.0.1, podIPs: [{ip: 10.1.0.1}, {ip: \"fd00::1\"}]");
    let one = pod("b", "", "podIPs: [{ip: \"fd00::2\"}]");
    let v4 = "default/web-pods-ipv4 default/web :tcp/80\n  10.1.0.1 rs node=n1 default/a\n";
    let v6 = "default/web-pods-ipv6 default/web :tcp/80\n  fd00::1 rs node=n1 default/a\n  fd00::2 rs node=n1 default/b\n";
    for (spec, expected) in [
        ("ipFamilies: [IPv6, IPv4], clusterIPs: [\"fd00::a\", 10.0.0.1]", format!("{v4}{v6}")),
        ("ipFamilies: [IPv6], clusterIPs: [\"fd00::a\"]", v6.to_owned()),
        ("clusterIP: 10.0.0.1", v4.to_owned()),
        ("type: NodePort", format!("{v4}{v6}")),
    ] {
        let node_port = if spec.contains("NodePort") { ", nodePort: 30080" } else { "" };
        check(&[&service(&format!("{spec}, ports: [{{port: 80{node_port}}}]")), &both, &one], &expected);
    }
}

#[test]
fn slices_win_over_endpoints_and_endpoints_over_pods() {
    let pod = pod("a", "", "podIP: 10.1.0.1");
    let service = service(PLAIN);
    let slice = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: s, labels: \
                 {kubernetes.io/service-name: web}}, addressType: IPv4, ports: [{port: 1, name: \"\"}, {name: all}], endpoints: \
                 [{addresses: [10.2.0.1, 10.2.0.2], conditions: {ready: false}, nodeName: n2, zone: west, targetRef: {kind: Pod, \
                 name: p}, hints: {forZones: [{name: east}], forNodes: [{name: n9}]}}, {addresses: [10.2.0.3], targetRef: {kind: \
                 Pod, name: \"a\\\" b\"}}]}";
    let endpoints = "{apiVersion: v1, kind: Endpoints, metadata: {name: web}, subsets: [{addresses: [{ip: 10.3.0.1, nodeName: \
                     n3}, {ip: \"fd00::3\"}], notReadyAddresses: [{ip: 10.3.0.2, targetRef: {kind: Pod, name: q}}], ports: \
                     [{port: 2}]}, {addresses: [{ip: 10.3.0.4}], ports: [{name: x, port: 3, protocol: UDP}]}]}";
    let from_slice = "default/s default/web :tcp/1\n  10.2.0.1 s node=n2 zone=west default/p hint-zone=east hint-node=n9\n  \
                      10.2.0.3 rs\n";
    let from_endpoints = "default/web-endpoints-ipv4 default/web :tcp/2\n  10.3.0.1 rs node=n3\n  10.3.0.2  default/q\n\
                          default/web-endpoints-ipv4-2 default/web x:udp/3\n  10.3.0.4 rs\n\
                          default/web-endpoints-ipv6 default/web :tcp/2\n  fd00::3 rs\n";
    check(&[&service, &pod, endpoints, slice], from_slice);
    check(&[&service, &pod, endpoints], from_endpoints);
    check(&[&service, &pod, "{apiVersion: v1, kind: Endpoints, metadata: {name: web}}"], "");
    let headless = slice.replace("labels: {", "labels: {service.kubernetes.io/headless: \"\", ");
    let fqdn = slice.replace("addressType: IPv4", "addressType: FQDN");
    for unused in [headless, fqdn] {
        check(
            &[&service, &pod, &unused],
            "default/web-pods-ipv4 default/web :tcp/8080\n  10.1.0.1 rs node=n1 default/a\n",
        );
    }
    check(&[&pod, &service.replace("selector: {app: web}, ", "")], "");
    let taken =
        slice.replace("name: s,", "name: web-pods-ipv4,").replace("service-name: web", "service-name: other");
    assert!(
        slices(&[&service, &pod, &taken].map(String::as_str).join("\n---\n"))
            .contains("default/web-pods-ipv4-2 default/web")
    );
}
