//! Every bad input gets an error that says where and what.

use super::{errors, notes};

fn check(text: impl AsRef<[u8]>, expected: &str) {
    assert_eq!(errors(text.as_ref()), expected, "{}", String::from_utf8_lossy(text.as_ref()));
}

/// A Service whose spec begins at line 4.
fn service(spec: &str) -> String {
    format!("apiVersion: v1\nkind: Service\nmetadata: {{name: web, namespace: shop}}\nspec:\n{spec}")
}

#[test]
fn a_service_port_of_zero_is_found_at_its_line() {
    let expected =
        "web.yaml:6: document 1: Service shop/web: spec.ports[0].port: must be from 1 to 65535, not 0";
    check(service("  ports:\n  - port: 0\n"), expected);
}

#[test]
fn all_errors_of_all_documents_are_reported() {
    let text = format!(
        "{}---\nkind: [\n---\n{}---\napiVersion: v1\nkind: Node\nmetadata: {{name: n1}}\nspec: {{podCIDRs: [10.0.0.0]}}\n",
        service(
            "  clusterIPs: [10.0.0.1, 10.0.0.2]\n  ports:\n  - {name: a, port: 70000}\n  - {port: 80, protocol: ICMP}\n"
        ),
        service("  type: Magic\n"),
    );
    check(
        text,
        "web.yaml:5: document 1: Service shop/web: spec.clusterIPs[1]: 10.0.0.2 is the second address of its family; one \
         of each is allowed\n\
         web.yaml:7: document 1: Service shop/web: spec.ports[0].port: must be from 1 to 65535, not 70000\n\
         web.yaml:8: document 1: Service shop/web: spec.ports[1].protocol: must be one of TCP, UDP, SCTP, not \"ICMP\"\n\
         web.yaml:10: document 2: unclosed bracket '['\n\
         web.yaml:16: document 3: Service shop/web: spec.type: must be one of ClusterIP, NodePort, LoadBalancer, \
         ExternalName, not \"Magic\"\n\
         web.yaml:15: document 3: Service shop/web: spec.ports: is required\n\
         web.yaml:21: document 4: Node n1: spec.podCIDRs[0]: \"10.0.0.0\" is not a network in CIDR notation, such as \
         10.0.0.0/8 or fd00::/8",
    );
}

#[test]
fn objects_that_make_no_sense_say_why() {
    let slice = |rest: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: web-1, namespace: shop}}\n{rest}"
        )
    };
    check(
        slice("addressType: IPv4\nendpoints: []\n"),
        "web.yaml:3: document 1: EndpointSlice shop/web-1: metadata.labels.kubernetes.io/service-name: is required",
    );
    let labelled = |rest: &str| {
        slice(rest).replace("namespace: shop", "namespace: shop, labels: {kubernetes.io/service-name: web}")
    };
    for (rest, expected) in [
        (
            "addressType: IPv4\nendpoints:\n- addresses: [10.0.0.1]\n- addresses: [fd00::1]\n",
            "web.yaml:7: document 1: EndpointSlice shop/web-1: endpoints[1].addresses[0]: fd00::1 is not an IPv4 address",
        ),
        (
            "addressType: IPv4\nendpoints:\n- addresses: [010.0.0.1]\n",
            "web.yaml:6: document 1: EndpointSlice shop/web-1: endpoints[0].addresses[0]: \"010.0.0.1\" is not an IP address \
          (leading zeros are not allowed)",
        ),
        (
            "addressType: IPv4\nendpoints:\n- addresses: []\n",
            "web.yaml:6: document 1: EndpointSlice shop/web-1: endpoints[0].addresses: is required",
        ),
        (
            "addressType: IPv5\nendpoints: []\n",
            "web.yaml:4: document 1: EndpointSlice shop/web-1: addressType: must be one of IPv4, IPv6, FQDN, not \"IPv5\"",
        ),
        (
            "addressType: IPv4\nports: [{port: 80}, {port: -1}]\n",
            "web.yaml:5: document 1: EndpointSlice shop/web-1: ports[1].port: must be from 1 to 65535, not -1",
        ),
        (
            "addressType: IPv4\nports: [{port: 80}, {port: 81}]\n",
            "web.yaml:5: document 1: EndpointSlice shop/web-1: ports[1].name: \"\" is given twice",
        ),
    ] {
        check(labelled(rest), expected);
    }
}

#[test]
fn wrong_types_name_the_field() {
    check(
        service("  ports:\n  - port: \"80\"\n"),
        "web.yaml:6: document 1: Service shop/web: spec.ports[0].port: invalid type: string \"80\", expected i32",
    );
    check(
        service("  ports:\n  - port: 99999999999\n"),
        "web.yaml:6: document 1: Service shop/web: spec.ports[0].port: invalid value: integer `99999999999`, expected i32",
    );
    check(
        service("  selector:\n    app: 7\n  ports: 3\n"),
        "web.yaml:7: document 1: Service shop/web: spec.ports: invalid type: integer `3`, expected a sequence",
    );
    check(
        "apiVersion: v1\nkind: Node\nmetadata: n1\n",
        "web.yaml:3: document 1: Node (without a name): metadata: invalid type: string \"n1\", expected ObjectMeta",
    );
}

#[test]
fn documents_that_are_no_objects_are_refused() {
    check("metadata: {name: x}\n", "web.yaml:1: document 1: kind: is required");
    check(
        "# one\nkind: Service\nmetadata: {name: x}\n",
        "web.yaml:2: document 1: Service default/x: apiVersion: is required",
    );
    check("- 1\n", "web.yaml:1: document 1: invalid type: sequence, expected a Kubernetes object");
    check("hello\n", "web.yaml:1: document 1: invalid type: string \"hello\", expected a Kubernetes object");
    check("", "web.yaml: no manifests in it");
    check("---\n---\n# nothing\n", "web.yaml: no manifests in it");
    check(
        "apiVersion: v1\nkind: List\nitems:\n- kind: Service\n  apiVersion: v1\n  metadata: {name: a}\n- metadata: {}\n",
        "web.yaml:4: document 1 items[0]: Service default/a: spec.ports: is required\n\
         web.yaml:7: document 1 items[1]: kind: is required",
    );
}

#[test]
fn what_is_not_yaml_says_where() {
    for (text, expected) in [
        ("apiVersion: v1\n\tkind: Service\n", "1: document 1: while scanning a plain scalar, found a tab"),
        ("a:\n\tb: 1\n", "2: document 1: tabs disallowed within this context (block indentation)"),
        ("a: \"open\n", "1: document 1: unclosed quote"),
        ("a: 1\na: 2\n", "2: document 1: duplicate mapping key `a` is not allowed here"),
        ("a: *b\n", "1: document 1: reference to unknown value"),
        ("---\na: 1\n b: 2\n", "3: document 1: mapping values are not allowed in this context"),
        ("a: [1\nb: }\n", "2: document 1: illegal placement of ':' indicator"),
        ("{\"apiVersion\": \"v1\",\n \"kind\": \"A\" \"B\"}\n", "2: document 1: expected `,` or `}`"),
        (
            "{\"kind\": \"A\", \"apiVersion\": \"v1\"}\n\n{\"kind\":\n",
            "4: document 2: EOF while parsing a value",
        ),
    ] {
        check(text, &format!("web.yaml:{expected}"));
    }
}

#[test]
fn what_is_not_text_is_refused() {
    check(b"\x7fELF\x02\x01\x01\0\0\0", "web.yaml: a binary file, neither YAML nor JSON");
    check(b"\xff\xfek\0i\0n\0d\0", "web.yaml: a binary file, neither YAML nor JSON");
    check(b"kind: Service\nmetadata: {name: caf\xe9}\n", "web.yaml:2: not UTF-8 text");
}

#[test]
fn aliases_cannot_stand_for_more_than_fits() {
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for i in 1..12 {
        let previous = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{previous}]\n"));
    }
    let text = "x".repeat(500_000);
    let copies = format!("a: &a {text}\nb: [{}]\n", vec!["*a"; 15_000].join(", "));
    let quoted = format!("a: &a \"{text}\\n\"\nb: [{}]\n", vec!["*a"; 15_000].join(", "));
    // Nodes without any text cost memory as well.
    let empties = format!("a: &a [{}]\nb: [{}]\n", vec!["[]"; 1_000].join(", "), vec!["*a"; 100].join(", "));
    for bomb in [laughs, copies, quoted, empties] {
        let started = std::time::Instant::now();
        let found = errors(&bomb);
        assert!(
            found.starts_with("web.yaml:") && found.contains("alias"),
            "{}",
            found.get(..200).unwrap_or(&found)
        );
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    }
}

#[test]
fn nesting_has_a_limit() {
    let block: String = (0..5_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    for text in [
        format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        block,
        format!("a:\n- {}x", "- ".repeat(50_000)),
    ] {
        let found = errors(&text);
        assert!(found.starts_with("web.yaml:"), "{found}");
        assert!(found.contains("nested deeper") || found.contains("recursion limit"), "{found}");
    }
}

#[test]
fn messages_cannot_write_to_the_terminal() {
    let text = service("  clusterIP: \"\\e[31mred\\n\"\n  ports: [{port: 80}]\n")
        .replace("name: web", "name: \"w\\eb\"");
    check(
        text,
        "web.yaml:3: document 1: Service shop/w\\u{1b}b: metadata.name: \"w\\u{1b}b\" is not a name: at most 63 lower-case \
         letters, digits and '-', beginning and ending with a letter or digit\n\
         web.yaml:5: document 1: Service shop/w\\u{1b}b: spec.clusterIP: \"\\u{1b}[31mred\\n\" is not an IP address",
    );
    let long = errors(service(&format!("  clusterIP: {}\n  ports: [{{port: 80}}]\n", "9".repeat(100_000))));
    assert!(long.len() < 500, "{} bytes", long.len());
}

#[test]
fn what_is_passed_over_is_told() {
    let expected = "web.yaml:1: document 1: EndpointSlice default/a: passed over: apiVersion discovery.k8s.io/v1beta1 is not \
                    read, only discovery.k8s.io/v1\n\
                    web.yaml: passed over: 1 Deployment, 2 Service";
    let text = "apiVersion: discovery.k8s.io/v1beta1\nkind: EndpointSlice\nmetadata: {name: a}\n---\n\
                apiVersion: apps/v1\nkind: Deployment\n---\napiVersion: serving.knative.dev/v1\nkind: Service\n---\n\
                apiVersion: serving.knative.dev/v1\nkind: Service\n";
    assert_eq!(notes(text), expected);
}
