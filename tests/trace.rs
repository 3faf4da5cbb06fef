//! `svcnat trace`: the exact answers to questions about one small cluster, and the same answers from a kernel.
//!
//! `tests/trace/cases/NAME` begins with the arguments behind `svcnat trace -f tests/trace/cluster.yaml`, a line that begins
//! with `$`; the rest is the answer. `tests/trace/iptables/NAME` has some of these questions with `--proxy-mode iptables`.
//! `BLESS=1 cargo test --test trace` writes the answers anew.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "the golden tests need more of it")]
mod golden_support;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use golden_support::{in_namespace, unified_diff};
use serde_json::Value;

const CLUSTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trace/cluster.yaml");
const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trace/cases");
const CASES_OF_IPTABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/trace/iptables");
/// The layout whose elements name no Pods unless asked to.
const MAPS: [&str; 3] = ["--layout", "maps", "--backend-comments"];
const IPTABLES: [&str; 2] = ["--proxy-mode", "iptables"];
/// kubelet's word for the variant of iptables that a host uses.
const HINT: &str = "*mangle\n:KUBE-IPTABLES-HINT - [0:0]\nCOMMIT\n";
const NODE: [&str; 2] = ["--hostname-override", "worker-1"];

fn svcnat<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_svcnat"));
    command.env_remove("RUST_LOG").args(arguments).output().unwrap()
}

/// What is printed on success.
fn answer<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Result<String, String> {
    let output = svcnat(arguments);
    let error = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || !error.is_empty() {
        return Err(format!("{}: {error}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}

fn from_manifests(manifests: &str, question: &[&str]) -> Result<String, String> {
    answer(["trace", "-f", manifests].into_iter().chain(NODE).chain(question.iter().copied()))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

struct Case {
    path: PathBuf,
    question: String,
    expected: String,
}

impl Case {
    /// The questions that every back end is asked.
    fn all() -> Vec<Self> {
        Self::in_folder(CASES)
    }

    fn in_folder(folder: &str) -> Vec<Self> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "there are no cases");
        paths.into_iter().map(Self::read).collect()
    }

    /// Everything that is written down.
    fn of_both_modes() -> Vec<Self> {
        let mut cases = Self::all();
        cases.extend(Self::in_folder(CASES_OF_IPTABLES));
        cases
    }

    fn read(path: PathBuf) -> Self {
        let text = fs::read_to_string(&path).unwrap();
        let (first, expected) = text.split_once('\n').unwrap();
        let question = first.strip_prefix("$ ").expect("the first line is `$ ARGUMENTS`").to_owned();
        Self { path, question, expected: expected.to_owned() }
    }

    fn question(&self) -> Vec<&str> {
        self.question.split_whitespace().collect()
    }

    fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    /// The words that shape the rules, which are not to be said where the rules are the kernel's, and the others.
    fn rules_and_packet(&self) -> (Vec<&str>, Vec<&str>) {
        let (mut rules, mut packet) = (Vec::new(), Vec::new());
        let mut words = self.question().into_iter();
        while let Some(word) = words.next() {
            let (to, values) = match word {
                "--masquerade-all" => (&mut rules, 0),
                "--interface" | "--local-address" => (&mut packet, 1),
                option if option.starts_with("--") => (&mut rules, 1),
                _ => (&mut packet, 0),
            };
            to.push(word);
            to.extend(words.by_ref().take(values));
        }
        (rules, packet)
    }
}

#[test]
fn answers_are_as_written_down() {
    let mut failures = String::new();
    for case in Case::of_both_modes() {
        let actual = from_manifests(CLUSTER, &case.question()).unwrap_or_else(|error| error);
        if env::var_os("BLESS").is_some() {
            fs::write(&case.path, format!("$ {}\n{actual}", case.question)).unwrap();
        } else if actual != case.expected {
            let diff = unified_diff("expected", &case.expected, "actual", &actual);
            writeln!(failures, "{}:\n{diff}", case.name()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn json_says_what_the_text_says() {
    for case in Case::of_both_modes() {
        let question = [case.question(), vec!["-o", "json"]].concat();
        let report = json(&from_manifests(CLUSTER, &question).unwrap());
        let reason = report["reason"].as_str().unwrap();
        assert!(case.expected.contains(&format!("\n{reason}.\n")), "{}: {reason}", case.name());
        for note in report["notes"].as_array().unwrap() {
            assert!(
                case.expected.contains(&format!("\nnote: {}.\n", note.as_str().unwrap())),
                "{}: {note}",
                case.name()
            );
        }
        let outcomes = report["outcomes"].as_array().unwrap();
        let sum: f64 = outcomes.iter().map(|outcome| outcome["fraction"].as_f64().unwrap()).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{}: {sum}", case.name());
        for outcome in outcomes {
            for part in ["probability", "destination", "pod", "service"] {
                let said = outcome[part].as_str().unwrap_or_default();
                // Steps of 1/2^31 are not for people.
                let said = if part == "probability" && said.len() > 12 { " %" } else { said };
                assert!(case.expected.contains(said), "{}: {said}", case.name());
            }
            let masqueraded = outcome["masqueraded"].as_bool().unwrap();
            assert!(!masqueraded || case.expected.contains("masqueraded"), "{}", case.name());
            assert_eq!(outcome["path"][0]["depth"], 0);
        }
    }
}

#[test]
fn json_has_the_documented_shape() {
    let question = ["-o", "json", "udp", "192.0.2.1:5000", "10.96.0.53:53", "--interface", "eth1"];
    let report = json(&from_manifests(CLUSTER, &question).unwrap());
    let packet = serde_json::json!({
        "protocol": "udp", "source": "192.0.2.1:5000", "destination": "10.96.0.53:53",
        "origin": "network", "interface": "eth1",
    });
    assert_eq!(report["packet"], packet);
    let mut outcome = report["outcomes"][0].clone();
    let path = outcome["path"].take();
    let expected = serde_json::json!({
        "probability": "1", "fraction": 1.0, "fate": "delivered", "hook": null, "told": null, "to": "network",
        "destination": "10.244.0.53:5353", "dnat": true, "masqueraded": false,
        "service": "kube-system/dns/dns", "pod": "kube-system/dns-a", "remembered": [], "path": null,
    });
    assert_eq!(outcome, expected);
    let element = serde_json::json!({
        "step": "element", "depth": 3, "chain": null, "hook": null, "index": null, "set": "frontends",
        "comment": null, "text": "10.96.0.53 . udp . 53 : goto local-kube-system/dns/dns",
    });
    assert!(path.as_array().unwrap().contains(&element), "{path:#}");
}

/// What the layout has no say in: all but the way through chains, and but the probabilities, which are nearly the same in
/// both.
fn without_the_way(mut report: Value) -> String {
    let outcomes = report["outcomes"].as_array_mut().unwrap();
    for outcome in outcomes.iter_mut() {
        for of_layout in ["path", "probability", "fraction"] {
            outcome[of_layout] = Value::Null;
        }
    }
    outcomes.sort_by_key(Value::to_string);
    format!("{report:#}\n")
}

#[test]
fn both_layouts_answer_the_same() {
    answers_agree("maps", &MAPS, |report| report);
}

#[test]
fn both_modes_answer_the_same() {
    // Node ports are at other addresses unless that is said.
    let options = [&IPTABLES[..], &["--nodeport-addresses", "primary"]].concat();
    answers_agree("iptables", &options, |mut report| {
        for outcome in report["outcomes"].as_array_mut().unwrap() {
            // A list has another name than the map.
            for remembered in outcome["remembered"].as_array_mut().unwrap() {
                remembered["map"] = Value::from("affinity");
            }
        }
        report
    });
}

#[track_caller]
fn answers_agree(name: &str, options: &[&str], adapt: impl Fn(Value) -> Value) {
    let mut failures = String::new();
    for case in Case::all() {
        let question = [case.question(), vec!["-o", "json"]].concat();
        let chains = from_manifests(CLUSTER, &[&question[..], &["--layout", "chains"]].concat());
        let others = from_manifests(CLUSTER, &[&question[..], options].concat());
        let chains = without_the_way(json(&chains.unwrap()));
        let others = without_the_way(adapt(json(&others.unwrap())));
        if chains != others {
            let diff = unified_diff("chains", &chains, name, &others);
            writeln!(failures, "{}:\n{diff}", case.name()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn the_kernel_answers_as_the_manifests_do() {
    the_kernel_agrees(&Case::all(), &[], &[], || ());
}

#[test]
fn the_kernel_answers_as_the_manifests_do_with_maps() {
    the_kernel_agrees(&Case::all(), &MAPS, &[], || ());
}

#[test]
fn iptables_answers_as_the_manifests_do_in_both_variants() {
    for variant in ["nft", "legacy"] {
        the_kernel_agrees(&Case::in_folder(CASES_OF_IPTABLES), &[], &IPTABLES, || restore(variant, HINT));
    }
}

/// Gives rules to `iptables-restore`, which must go well.
fn restore(variant: &str, rules: &str) {
    let mut restore = Command::new(format!("iptables-{variant}-restore"));
    let mut child = restore.args(["--noflush", "-w", "5"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(rules.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{variant}: {rules}");
}

/// The rules that these options shape, in a kernel that was made ready, are explained as those just compiled are. `asked` goes
/// with every question.
#[track_caller]
fn the_kernel_agrees(cases: &[Case], layout: &[&str], asked: &[&str], ready: impl Fn() + Sync) {
    let mut failures = String::new();
    for case in cases {
        let question = [&case.question()[..], layout, &["-o", "json"]].concat();
        let expected = json(&from_manifests(CLUSTER, &question).unwrap());
        let (mut rules, mut packet) = case.rules_and_packet();
        rules.extend(layout);
        packet.extend(["-o", "json"].iter().chain(asked));
        // The Node's addresses, unless the question names others.
        if !packet.contains(&"--local-address") {
            packet.extend(["--local-address", "192.168.1.2", "--local-address", "fd00:192::2"]);
        }
        let from_kernel = in_namespace(|| {
            ready();
            answer(["apply", "-f", CLUSTER].into_iter().chain(NODE).chain(rules)).or_else(|error| {
                // Conflicts are warned of.
                if error.starts_with("exit status: 0") { Ok(String::new()) } else { Err(error) }
            })?;
            answer(["trace"].into_iter().chain(packet))
        });
        let actual = json(&from_kernel.unwrap());
        // The kernel does not know which option named the pods' networks.
        let reason = |report: &Value| {
            let reason = report["reason"].as_str().unwrap();
            reason.replace("--cluster-cidr ", "").replace("the Node's podCIDRs ", "")
        };
        let pretty = |report: &Value| {
            format!("{}\n{:#}\n{:#}\n", reason(report), report["packet"], report["outcomes"])
        };
        if pretty(&actual) != pretty(&expected) {
            let diff = unified_diff("manifests", &pretty(&expected), "kernel", &pretty(&actual));
            writeln!(failures, "{}:\n{diff}", case.name()).unwrap();
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn without_rules_in_the_kernel_packets_pass() {
    let text = in_namespace(|| answer(["trace", "tcp", "192.0.2.1", "10.96.0.10:80"])).unwrap();
    let reason = "there are no rules for IPv4, so the packet passes unchanged";
    assert!(text.contains(&format!("\n{reason}.\n")), "{text}");
    assert!(text.ends_with("The way:\n  routed to the network\n"), "{text}");
}

#[test]
fn in_the_kernel_this_machines_addresses_are_the_nodes() {
    let text = in_namespace(|| {
        let ip = |arguments: &[&str]| Command::new("ip").args(arguments).status().unwrap();
        assert!(ip(&["address", "add", "192.0.2.1/32", "dev", "lo"]).success());
        answer(["trace", "tcp", "192.0.2.1", "192.0.2.1:80"])
    });
    assert!(
        text.as_ref().unwrap().starts_with("tcp 192.0.2.1:49152 -> 192.0.2.1:80, sent by this host\n"),
        "{text:?}"
    );
}

#[test]
fn the_kernel_knows_whom_session_affinity_keeps() {
    for layout in [&["--layout", "chains"][..], &MAPS] {
        let text = in_namespace(|| {
            let pods = ["--cluster-cidr", "10.244.0.0/16"];
            // Conflicts are warned of.
            let applied =
                svcnat(["apply", "-f", CLUSTER].into_iter().chain(NODE).chain(pods).chain(layout.to_vec()));
            assert!(applied.status.success(), "{applied:?}");
            let element = "{ 10.244.3.9 . 192.168.1.2 . tcp . 30443 : 10.244.1.4 . 8443 }";
            let mut nft = Command::new("nft");
            assert!(nft.args(["add element ip svcnat affinity", element]).status().unwrap().success());
            let trace = |client| {
                answer(["trace", "tcp", client, "192.168.1.2:30443", "--local-address", "192.168.1.2"])
            };
            Ok((trace("10.244.3.9")?, trace("10.244.3.10")?))
        });
        let (known, unknown) = text.unwrap();
        assert!(known.contains(", whose session affinity keeps this client with its backend;"), "{known}");
        assert!(known.contains("  1  100.00 %  10.244.1.4:8443"), "{known}");
        assert!(known.contains("@affinity has 10.244.3.9 . 192.168.1.2 . tcp . 30443"), "{known}");
        assert!(unknown.contains("  1/2  50.00 %  10.244.1.4:8443"), "{unknown}");
    }
}

/// The lists of `-m recent` tell when a client was seen in the kernel's own ticks.
#[test]
fn the_lists_of_iptables_know_whom_session_affinity_keeps_and_how_long() {
    let manifests = tempfile::tempdir().unwrap();
    let short = manifests.path().join("short.yaml");
    let cluster = fs::read_to_string(CLUSTER).unwrap().replace("timeoutSeconds: 10800", "timeoutSeconds: 3");
    fs::write(&short, cluster).unwrap();
    for variant in ["nft", "legacy"] {
        let text = in_namespace(|| {
            restore(variant, HINT);
            let apply = ["apply", "-f", short.to_str().unwrap(), "--cluster-cidr", "10.244.0.0/16"];
            let applied = svcnat(apply.into_iter().chain(NODE).chain(IPTABLES));
            assert!(applied.status.success(), "{applied:?}");
            let list = "/proc/thread-self/net/xt_recent/svcnat_shop_api_https_10.244.1.4:8443";
            fs::write(list, "+10.244.3.9\n").unwrap();
            let trace = |client| {
                let packet = ["trace", "tcp", client, "192.168.1.2:30443", "--local-address", "192.168.1.2"];
                answer(packet.into_iter().chain(IPTABLES))
            };
            let (known, unknown) = (trace("10.244.3.9")?, trace("10.244.3.10")?);
            thread::sleep(Duration::from_secs(5));
            Ok((known, unknown, trace("10.244.3.9")?))
        });
        let (known, unknown, late) = text.unwrap();
        assert!(known.contains(", whose session affinity keeps this client with its backend;"), "{known}");
        assert!(known.contains("  1  100.00 %  10.244.1.4:8443  shop/api-b"), "{known}");
        assert!(known.contains("list svcnat_shop_api_https_10.244.1.4:8443 has 10.244.3.9"), "{known}");
        for unknown in [unknown, late] {
            assert!(unknown.contains("50.00 %  10.244.1.4:8443"), "{unknown}");
            assert!(unknown.contains("keeps the client with its backend for 3 s from now"), "{unknown}");
        }
    }
}

#[test]
fn rules_of_others_are_passed_over_and_named_and_numbers_stay() {
    let text = in_namespace(|| {
        restore("nft", HINT);
        let applied = svcnat(["apply", "-f", CLUSTER].into_iter().chain(NODE).chain(IPTABLES));
        assert!(applied.status.success(), "{applied:?}");
        restore(
            "nft",
            "*nat\n:OTHERS - [0:0]\n-I PREROUTING -j OTHERS\n\
             -I SVCNAT-SERVICES -d 10.96.0.10/32 -m length --length 5 -j RETURN\nCOMMIT\n",
        );
        answer(["trace", "tcp", "192.0.2.1", "10.96.0.10:80", "-o", "json"].into_iter().chain(IPTABLES))
    });
    let report = json(&text.unwrap());
    let expected = serde_json::json!([
        "rule 1 of chain SVCNAT-SERVICES in table nat of IPv4 is not ours and was passed over",
        "a rule of others in chain PREROUTING in table nat of IPv4 was passed over",
    ]);
    assert_eq!(report["notes"], expected);
    assert_eq!(report["outcomes"].as_array().unwrap().len(), 3);
    let path = report["outcomes"][0]["path"].as_array().unwrap();
    let index_of = |chain: &str, text: &str| {
        let rule = |step: &&Value| step["chain"] == chain && step["text"].as_str().unwrap().contains(text);
        path.iter().find(rule).map(|step| step["index"].clone())
    };
    assert_eq!(index_of("PREROUTING", "-j SVCNAT-SERVICES"), Some(Value::from(1)));
    assert!(index_of("SVCNAT-SERVICES", "-d 10.96.0.10/32").is_some_and(|index| index != 0), "{path:#?}");
}

#[test]
fn of_many_backends_some_are_listed_and_all_are_in_json() {
    const COUNT: usize = 1_000;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.yaml");
    let mut yaml = "\
apiVersion: v1
kind: Service
metadata: {namespace: default, name: many}
spec: {clusterIP: 10.96.0.10, ports: [{port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: default, name: many-1, labels: {kubernetes.io/service-name: many}}
addressType: IPv4
ports: [{port: 8080, name: \"\"}]
endpoints:
"
    .to_owned();
    for i in 0..COUNT {
        writeln!(yaml, "- addresses: [10.244.{}.{}]", i / 250, i % 250 + 1).unwrap();
    }
    fs::write(&path, yaml).unwrap();
    let path = path.to_str().unwrap();
    let question = ["--local-address", "192.168.1.2", "tcp", "10.244.0.250", "10.96.0.10:80"];
    let text = from_manifests(path, &question).unwrap();
    assert!(
        text.contains("which has 1000 backends; masqueraded only where the client is its own backend"),
        "{text}"
    );
    assert!(text.contains("\n  and 980 more, together 49/50 (98.00 %)\n"), "{text}");
    assert_eq!(text.matches("  1/1000  0.10 %  10.244.").count(), 20, "{text}");
    let json = json(&from_manifests(path, &[&question[..], &["-o", "json"]].concat()).unwrap());
    assert_eq!(json["outcomes"].as_array().unwrap().len(), COUNT);
}

#[test]
fn what_cannot_be_asked_is_refused_with_a_reason() {
    let check = |arguments: &[&str], code: i32, reason: &str| {
        let output = svcnat(["trace"].into_iter().chain(arguments.iter().copied()));
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(reason), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    };
    check(
        &["tcp", "10.0.0.1", "[fd00::1]:80"],
        2,
        "SOURCE 10.0.0.1 and DESTINATION fd00::1 are of different IP families",
    );
    check(&["icmp", "10.0.0.1", "10.0.0.2:80"], 2, "[possible values: tcp, udp, sctp]");
    check(&["tcp", "10.0.0.1", "10.0.0.2:0"], 2, "a port from 1 to 65535");
    check(&["tcp", "10.0.0.1", "10.0.0.2:65536"], 2, "a port from 1 to 65535");
    check(&["tcp", "10.0.0.1", "10.0.0.2"], 2, "the port is missing");
    check(&["tcp", "10.0.0.256", "10.0.0.2:80"], 2, "not an address such as");
    check(&["tcp", "10.0.0.1", "10.0.0.2:80", "--interface", "a-name-that-is-too-long"], 2, "1 to 15");
    check(
        &["tcp", "10.0.0.1", "10.0.0.2:80", "--interface", "eth0", "--from-host"],
        2,
        "cannot be used with",
    );
    check(&["tcp", "10.0.0.1", "10.0.0.2:80", "--local-address", "here"], 2, "invalid IP address");
    check(&["tcp", "10.0.0.1", "10.0.0.2:80", "-o", "yaml"], 2, "[possible values: text, json, dot, svg]");
    check(&["tcp", "10.0.0.1", "10.0.0.2:80", "--proxy-mode", "ipvs"], 2, "ipvs");
    // Options that shape rules say nothing about those in the kernel.
    check(&["tcp", "10.0.0.1", "10.0.0.2:80", "--cluster-cidr", "10.0.0.0/8"], 2, "--filename <PATH>");
    check(
        &["tcp", "10.0.0.1", "10.0.0.2:80", "--service-cluster-ip-range", "10.0.0.0/8"],
        2,
        "--filename <PATH>",
    );
    check(&["-f", "/nowhere", "tcp", "10.0.0.1", "10.0.0.2:80"], 3, "/nowhere");
}

#[test]
fn the_examples_in_the_help_can_be_typed() {
    let help = answer(["trace", "--help"]).unwrap();
    let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  svcnat ")).collect();
    assert_eq!(examples.len(), 3, "{help}");
    for example in examples {
        let arguments = example.replace('\'', "").replace("manifests/", CLUSTER);
        let output = in_namespace(|| Ok(svcnat(arguments.split_whitespace())));
        assert!(output.unwrap().status.success(), "{example}");
    }
    assert!(Path::new(CLUSTER).exists());
}
