//! YAML and JSON in all the forms that kubectl takes.

use super::{cluster, notes};

fn services(text: &str) -> Vec<String> {
    cluster(text).services.keys().map(ToString::to_string).collect()
}

const SPEC: &str = r#""spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}"#;

#[test]
fn every_form_gives_the_same_objects() {
    let one = |name: &str| {
        format!(r#"{{"apiVersion": "v1", "kind": "Service", "metadata": {{"name": "{name}"}}, {SPEC}}}"#)
    };
    let bare = |name: &str| format!(r#"{{"metadata": {{"name": "{name}"}}, {SPEC}}}"#);
    let (a, b) = (one("a"), one("b"));
    for text in [
        format!("{a}\n{b}"),
        format!("\u{feff}{a}{b}\n"),
        format!("{a}\n---\n{b}\n"),
        format!("--- {a}\n---\n---\n{b}\n...\n"),
        format!("%YAML 1.2\n---\n{a}\n---\n# comment\n---\n{b}"),
        format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{a}, {b}]}}"#),
        format!(r#"{{"kind": "ServiceList", "apiVersion": "v1", "items": [{}, {}]}}"#, bare("a"), bare("b")),
        format!(r#"{{"items": [{}, {}], "apiVersion": "v1", "kind": "ServiceList"}}"#, bare("a"), bare("b")),
        format!(
            r#"{{"items": [{a}, {{"items": [{}], "kind": "ServiceList", "apiVersion": "v1"}}], "kind": "List"}}"#,
            bare("b")
        ),
        format!("items:\n- {a}\n- {b}\nkind: List\napiVersion: v1\n"),
        format!("{{apiVersion: v1, kind: List, items: [{a}, {b}]}}").replace('\n', "\r\n"),
        format!("{{\"apiVersion\": v1, \"kind\": List, \"items\": [{a}, {b}]}}"),
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: &s\n  clusterIP: 10.0.0.1\n  ports:\n  - port: \
                 80\n---\n{b}"
        ),
    ] {
        assert_eq!(services(&text), ["default/a", "default/b"], "{text}");
    }
}

#[test]
fn what_rules_do_not_depend_on_may_be_anything() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  creationTimestamp: null\n  managedFields: 7\n\
                spec:\n  containers:\n  - name: c\n    resources: {limits: {cpu: 2, memory: 1.5}}\n    env: yes\n\
                status: {podIP: 10.1.0.1, unknown: {a: 1}}\n---\n\
                apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {capacity: {cpu: 4}, images: 3}\n---\n\
                apiVersion: v1\nkind: Service\nmetadata: {name: a, creationTimestamp: 2024-01-02T03:04:05Z, labels: {on: y}}\n\
                spec: {clusterIP: 10.0.0.1, selector: {}, new: [1], ports: [{port: 010, targetPort: http}]}\n\
                status: {loadBalancer: {}}\n";
    let cluster = cluster(text);
    let service = cluster.services.values().next().unwrap();
    assert_eq!(service.created, Some(1_704_164_645));
    assert_eq!(service.ports[0].port.get(), 8, "as kubectl reads 010");
    assert!(cluster.node.is_some());
}

#[test]
fn nodes_and_service_networks_are_taken_over() {
    let text = "apiVersion: v1\nkind: Node\nmetadata: {name: n1, labels: {topology.kubernetes.io/zone: east}}\n\
                spec: {podCIDRs: [10.244.1.7/24, \"fd00:1::/64\"]}\n\
                status:\n  addresses:\n  - {type: Hostname, address: n1}\n  - {type: InternalIP, address: 192.168.1.2}\n  \
                - {type: ExternalIP, address: 203.0.113.1}\n  - {type: InternalIP, address: \"2001:db8::2\"}\n---\n\
                apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: b}\nspec: {cidrs: [10.96.0.1/12]}\n---\n\
                apiVersion: networking.k8s.io/v1\nkind: ServiceCIDR\nmetadata: {name: a}\n\
                spec: {cidrs: [10.96.0.0/12, 10.0.0.0/24, \"fd00::/108\"]}\n";
    let cluster = cluster(text);
    let node = cluster.node.unwrap();
    assert_eq!(
        node.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["192.168.1.2", "2001:db8::2"]
    );
    assert_eq!(
        node.pod_cidrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["10.244.1.0/24", "fd00:1::/64"]
    );
    assert_eq!(node.zone.as_deref(), Some("east"));
    let cidrs: Vec<_> = cluster.service_cidrs.iter().map(ToString::to_string).collect();
    assert_eq!(cidrs, ["10.0.0.0/24", "10.96.0.0/12", "fd00::/108"]);
}

#[test]
fn a_missing_node_and_services_without_rules_are_told() {
    let text = "apiVersion: v1\nkind: Node\nmetadata: {name: other}\n---\n\
                apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {clusterIP: None}\n";
    let expected = "web.yaml:5: document 2: Service default/a: not programmed: headless: clients connect to the pods \
                    themselves\nno Node is named \"n1\"; the manifests have other";
    assert_eq!(notes(text), expected);
}
