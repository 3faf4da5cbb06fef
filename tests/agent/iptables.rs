//! Mode iptables, in both variants: the start, changes, what others do, failures.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use svcnat::iptables::Variant;
use svcnat_lab::Namespace;
use tempfile::TempDir;

use crate::agent_support::agent::Agent;
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{metric, page, repairs};
use crate::agent_support::iptables::{MODE, VARIANTS, hint, programs, restore, save, until_equal};
use crate::agent_support::objects::{RULE_FLAGS, service, shop, slice};
use crate::agent_support::{holds, installed, must, on_node_a, run, wait_for};
use crate::changes::STEPS;

/// Never in a test is everything compared without a reason.
const RARELY: [&str; 4] = ["--proxy-mode", "iptables", "--iptables-sync-period", "1h"];

/// An agent whose first rules are in force.
#[track_caller]
fn settled(variant: Variant, cluster: &Cluster, flags: &[&str]) -> Agent {
    let agent = Agent::of(cluster, flags);
    agent.until_ready();
    until_equal(&agent, variant, &cluster.objects);
    agent
}

/// On `node-a`, where this variant is used.
fn with_each_variant(work: impl Fn(Variant) + Sync) {
    for variant in VARIANTS {
        on_node_a(|| {
            hint(variant);
            work(variant);
        });
    }
}

/// The shop with a Service of both families.
fn dual_stack() -> Vec<Value> {
    let both = json!({
        "clusterIPs": ["10.96.0.30", "fd00:10:96::30"],
        "ipFamilies": ["IPv4", "IPv6"],
        "ipFamilyPolicy": "RequireDualStack",
    });
    [shop(), vec![service("both", 30, both), slice("both", &["10.244.0.30"]), slice_v6(&["fd00:10:244::30"])]]
        .concat()
}

/// A slice of `both` with these IPv6 addresses.
fn slice_v6(addresses: &[&str]) -> Value {
    let mut slice = slice("both", addresses);
    slice["metadata"]["name"] = json!("both-v6");
    slice["addressType"] = json!("IPv6");
    slice
}

#[test]
fn every_change_reaches_the_rules_and_none_of_ours_is_taken_for_anothers() {
    with_each_variant(|variant| {
        let mut cluster = Cluster::of(dual_stack());
        let agent = settled(variant, &cluster, &RARELY);
        for (what, change) in STEPS {
            change(&mut cluster);
            let took = until_equal(&agent, variant, &cluster.objects);
            eprintln!("{variant}: {what}: {took:?}");
        }
        // Longer than the sizes of tables are looked at.
        sleep(Duration::from_millis(1500));
        assert_eq!(repairs(), 0.0, "{variant}: {}", agent.log());
        assert_eq!(metric("svcnat_transaction_failures_total"), 0.0, "{variant}: {}", agent.log());
        let compared = metric("kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family=\"IPv4\"}");
        assert_eq!(compared, 1.0, "nothing but the start: {}", agent.log());
        assert_eq!(must("nft", &["list", "tables"]).matches("svcnat").count(), 0);
    });
}

#[test]
fn the_pages_tell_of_the_mode() {
    with_each_variant(|variant| {
        let cluster = Cluster::of(shop());
        let _agent = settled(variant, &cluster, &MODE);
        assert_eq!(page("/proxyMode"), "iptables");
        let configuration: Value = serde_json::from_str(&page("/configz")).unwrap();
        assert_eq!(configuration.pointer("/kubeproxy.config.k8s.io/mode"), Some(&json!("iptables")));
        assert_eq!(metric("svcnat_transactions_total"), 1.0);
        assert!(metric("svcnat_transaction_size_bytes_sum") > 1000.0);
        assert_eq!(metric("svcnat_owned_tables"), 0.0);
        assert_eq!(metric("svcnat_layout{layout=\"chains\"}"), 0.0);
        let failures = "kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family=\"IPv6\"}";
        assert_eq!(metric(failures), 0.0);
        assert!(!page("/metrics").contains("kubeproxy_sync_proxy_rules_nftables"));
    });
}

/// How many rules of ours a table has, and how many of them the latest sync has written, by the agent's metrics.
fn counted(family: &str, table: &str) -> (f64, f64) {
    let of = |name: &str| {
        metric(&format!(
            "kubeproxy_sync_proxy_rules_iptables_{name}{{table=\"{table}\",ip_family=\"{family}\"}}"
        ))
    };
    (of("total"), of("last"))
}

#[test]
fn rules_are_counted_by_table_as_kube_proxy_does() {
    with_each_variant(|variant| {
        let mut cluster = Cluster::of(dual_stack());
        let agent = settled(variant, &cluster, &RARELY);
        let tables = ["mangle", "filter", "nat"];
        let there = |program: &str, table: &str| {
            let saved = must(&format!("{program}-save"), &["-t", table]);
            saved.lines().filter(|line| line.starts_with("-A") && line.contains("SVCNAT-")).count() as f64
        };
        let check = |what: &str, written: fn(f64, f64) -> bool| {
            for (program, family) in programs(variant).into_iter().zip(["IPv4", "IPv6"]) {
                for table in tables {
                    let (total, last) = counted(family, table);
                    assert_eq!(total, there(program, table), "{what}: {program} {table}");
                    assert!(written(total, last), "{what}: {program} {table}: {last} of {total}");
                }
            }
            counted("IPv4", "nat")
        };
        let (before, _) = check("the start", |total, last| total == last);
        cluster.apply(slice("api", &["10.244.0.3", "10.244.1.3", "10.244.1.4", "10.244.1.5"]));
        until_equal(&agent, variant, &cluster.objects);
        agent.until("it is counted", || holds(counted("IPv4", "nat").0 != before, "it is not"));
        let (_, last) = check("a backend more", |total, last| last < total || total == 0.0);
        assert!(last > 0.0);
    });
}

#[test]
fn a_restart_with_an_unchanged_cluster_writes_nothing() {
    with_each_variant(|variant| {
        let cluster = Cluster::of(dual_stack());
        settled(variant, &cluster, &MODE).stop();
        let (before, generation) = (save(variant), installed().generation);
        let agent = settled(variant, &cluster, &MODE);
        assert_eq!(save(variant), before);
        assert_eq!(installed().generation, generation, "{}", agent.log());
        assert_eq!(metric("svcnat_transactions_total"), 0.0, "{}", agent.log());
    });
}

/// What others may do, as lines of a shell in which `ipt` is the program of IPv4.
const DISTURBANCES: [(&str, &str); 9] = [
    ("everything flushed", "for t in nat filter mangle; do ipt -t $t -F; done"),
    ("everything flushed and deleted", "for t in nat filter mangle; do ipt -t $t -F; ipt -t $t -X; done"),
    ("one family's nat", "ipt -t nat -F; ipt -t nat -X"),
    ("the rules of a chain", "ipt -t nat -F SVCNAT-SERVICES"),
    (
        "a chain deleted",
        "ipt -t nat -D SVCNAT-SERVICES 1; ipt -t nat -F SVCNAT-IP-10.96.0.10; ipt -t nat -X SVCNAT-IP-10.96.0.10",
    ),
    ("a jump deleted", "ipt -t nat -D PREROUTING -j SVCNAT-SERVICES"),
    ("a rule deleted", "ipt -t nat -D SVCNAT-SVC-shop/web/http 1"),
    ("a rule added", "ipt -t nat -A SVCNAT-SVC-shop/web/http -j RETURN"),
    ("a rule put first", "ipt -t nat -I PREROUTING -s 192.0.2.7 -j RETURN"),
];

const CHANGED_BY_OTHERS: &str = "svcnat_repairs_total{reason=\"changed_by_others\"}";

fn disturb(variant: Variant, script: &str) {
    let ipt = programs(variant)[0];
    must("sh", &["-ec", &format!("ipt() {{ {ipt} -w 60 \"$@\"; }}\n{script}")]);
}

#[test]
fn whatever_others_do_the_rules_are_back() {
    with_each_variant(|variant| {
        let cluster = Cluster::of(dual_stack());
        let agent = settled(variant, &cluster, &RARELY);
        let more = [("all of nf_tables flushed", "nft flush ruleset")];
        let all = DISTURBANCES.into_iter().chain(more.into_iter().filter(|_| variant == Variant::Nft));
        for (what, script) in all {
            let before = metric(CHANGED_BY_OTHERS);
            disturb(variant, script);
            agent.until(what, || holds(metric(CHANGED_BY_OTHERS) > before, "no repair"));
            let took = until_equal(&agent, variant, &cluster.objects);
            eprintln!("{variant}: {what}: the rules are back {took:?} after the first repair");
        }
        assert_eq!(metric("svcnat_transaction_failures_total"), 0.0, "{}", agent.log());
        let posted = cluster.server.events_posted();
        assert!(posted.iter().any(|posted| posted.event["reason"] == "RulesRepaired"), "{posted:?}");
    });
}

#[test]
fn changes_of_others_while_everything_changes_do_not_last() {
    with_each_variant(|variant| {
        // What comes between two writings of ours to legacy tables shows in no size that is expected.
        let period = if variant == Variant::Nft { "1h" } else { "2s" };
        let flags = [&MODE[..], &["--iptables-sync-period", period]].concat();
        let mut cluster = Cluster::of(shop());
        let agent = settled(variant, &cluster, &flags);
        for round in 0..16_u8 {
            cluster.apply(slice("web", &["10.244.0.2", &format!("10.244.1.{round}")]));
            // Some find nothing to delete, since it is not back yet.
            let ipt = format!("ipt() {{ {} -w 60 \"$@\"; }}", programs(variant)[0]);
            run("sh", &["-c", &format!("{ipt}\n{}", DISTURBANCES[usize::from(round % 8)].1)]);
            cluster.apply(service(&format!("round-{round}"), 50 + round, json!({})));
        }
        until_equal(&agent, variant, &cluster.objects);
        assert!(repairs() > 0.0);
    });
}

#[test]
fn what_leaves_the_sizes_of_legacy_tables_as_they_were_is_found_by_the_periodic_comparison() {
    on_node_a(|| {
        hint(Variant::Legacy);
        let cluster = Cluster::of(shop());
        let flags = [&MODE[..], &["--iptables-sync-period", "1s"]].concat();
        let agent = settled(Variant::Legacy, &cluster, &flags);
        disturb(Variant::Legacy, "ipt -t nat -R SVCNAT-MASQUERADE-LATER 1 -j MARK --set-xmark 0x0/0x0");
        until_equal(&agent, Variant::Legacy, &cluster.objects);
        agent.until("it is counted", || {
            let found = metric("svcnat_repairs_total{reason=\"resync\"}");
            holds(found == 1.0, format!("{found} repairs"))
        });
    });
}

#[test]
fn rules_of_others_are_neither_taken_for_ours_nor_touched() {
    with_each_variant(|variant| {
        let mut cluster = Cluster::of(shop());
        let agent = settled(variant, &cluster, &RARELY);
        disturb(
            variant,
            "ipt -t nat -N OTHERS; ipt -t nat -A PREROUTING -j OTHERS; ipt -t nat -A OTHERS -p tcp -j RETURN",
        );
        cluster.apply(slice("idle", &["10.244.0.9"]));
        until_equal(&agent, variant, &cluster.objects);
        sleep(Duration::from_millis(1500));
        assert_eq!(repairs(), 0.0, "{}", agent.log());
        let saved = save(variant);
        assert!(
            saved.contains("\n-A PREROUTING -j OTHERS\n") && saved.contains("\n-A OTHERS -p tcp -j RETURN\n"),
            "{saved}"
        );
    });
}

/// How often an agent is killed.
const KILLS: u8 = 4;

#[test]
fn an_agent_that_is_killed_amid_updates_leaves_nothing_that_the_next_cannot_mend() {
    with_each_variant(|variant| {
        let mut cluster = Cluster::of(dual_stack());
        for kill in 0..KILLS {
            let agent = settled(variant, &cluster, &RARELY);
            for number in 0..20_u8 {
                let name = format!("churn-{number}");
                if kill % 2 == 1 {
                    cluster.delete(&name);
                } else {
                    cluster.apply(service(&name, 40 + number, json!({})));
                    cluster.apply(slice(&name, &[&format!("10.244.{kill}.{number}"), "10.244.9.9"]));
                }
                // Each time a program has come a little further.
                if number == 10 {
                    sleep(Duration::from_millis(u64::from(kill) * 7));
                    break;
                }
            }
            agent.kill();
        }
        drop(settled(variant, &cluster, &RARELY));
    });
}

/// A folder with a program of this name that fails while the file `broken` is beside it, else is the real one.
fn breakable(program: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(program);
    let broken = folder.path().join("broken");
    let script = format!(
        "#!/bin/sh\nif [ -e {} ]; then echo out of order >&2; exit 3; fi\nexec /usr/sbin/{program} \"$@\"\n",
        broken.display()
    );
    fs::write(&path, script).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// PATH with a folder in front.
fn before_path(folder: &TempDir) -> String {
    format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_start_where_iptables_does_not_work_ends_with_a_word() {
    on_node_a(|| {
        let folder = breakable("iptables-nft-save");
        fs::write(folder.path().join("broken"), "").unwrap();
        let cluster = Cluster::of(shop());
        let agent = Agent::of_with(&cluster, &MODE, |command| command.env("PATH", before_path(&folder)));
        assert_eq!(agent.ended(), Some(4), "{}", agent.log());
        assert!(
            agent.log().contains("iptables-nft-save failed (exit status: 3): out of order"),
            "{}",
            agent.log()
        );
    });
}

#[test]
fn a_family_that_fails_does_not_keep_the_other_back_and_is_mended() {
    with_each_variant(|variant| {
        let [_, ipv6] = programs(variant);
        let folder = breakable(&format!("{ipv6}-restore"));
        let broken = folder.path().join("broken");
        let mut cluster = Cluster::of(dual_stack());
        let agent = Agent::of_with(&cluster, &RARELY, |command| command.env("PATH", before_path(&folder)));
        agent.until_ready();
        until_equal(&agent, variant, &cluster.objects);
        fs::write(&broken, "").unwrap();
        cluster.apply(slice("both", &["10.244.0.31"]));
        cluster.apply(slice_v6(&["fd00:10:244::31"]));
        agent.until("IPv4 is changed", || holds(save(variant).contains("10.244.0.31:8080"), save(variant)));
        agent.until_logged("out of order");
        agent.until("the failures are counted", || {
            let whole =
                metric("kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family=\"IPv6\"}");
            holds(whole > 0.0, "they are not")
        });
        let saved = save(variant);
        assert!(
            saved.contains("[fd00:10:244::30]:8080") && !saved.contains("[fd00:10:244::31]:8080"),
            "{saved}"
        );
        // Meanwhile IPv4 goes on.
        cluster.apply(slice("idle", &["10.244.0.9"]));
        agent.until("IPv4 is changed again", || {
            holds(save(variant).contains("10.244.0.9:8080"), save(variant))
        });
        fs::remove_file(&broken).unwrap();
        until_equal(&agent, variant, &cluster.objects);
    });
}

fn write(folder: &Path, objects: &[Value]) {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects });
    let new = folder.join("all.json.new");
    fs::write(&new, list.to_string()).unwrap();
    fs::rename(new, folder.join("all.json")).unwrap();
}

#[test]
fn a_folder_is_followed_and_a_dry_run_prints_what_leads_there() {
    for variant in VARIANTS {
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = dual_stack();
        write(folder.path(), &cluster);
        let by_hand = Namespace::new().unwrap();
        on_node_a(|| {
            hint(variant);
            by_hand.run(|| hint(variant));
            let flags = [
                &RULE_FLAGS[..],
                &MODE,
                &["--oom-score-adj", "0", "--manifests", folder.path().to_str().unwrap()],
            ]
            .concat();
            let dry = by_hand.run(|| Agent::start(&[&flags[..], &["--dry-run"]].concat()));
            let _agent = Agent::start(&flags);
            let step = |what: &str| {
                let script = dry.printed();
                by_hand.run(|| restore_both(variant, &script));
                wait_for(what, || {
                    let (kept, printed) = (save(variant), by_hand.run(|| save(variant)));
                    holds(kept == printed, format!("{script}\n{kept}\n{printed}"))
                });
            };
            step("the start");
            cluster.push(slice("idle", &["10.244.0.9"]));
            write(folder.path(), &cluster);
            step("a change");
            cluster.retain(|object| object["metadata"]["name"] != "web");
            write(folder.path(), &cluster);
            step("a Service less");
        });
    }
}

/// Gives each family's program what is under its heading.
fn restore_both(variant: Variant, script: &str) {
    let headings = ["# IPv4: iptables-restore --noflush\n", "# IPv6: ip6tables-restore --noflush\n"];
    for (heading, program) in headings.into_iter().zip(programs(variant)) {
        if let Some((_, rest)) = script.split_once(heading) {
            restore(program, rest.split("# IPv6").next().unwrap());
        }
    }
}

#[test]
fn rules_of_kube_proxy_are_left_alone() {
    with_each_variant(|variant| {
        disturb(variant, "ipt -t nat -N KUBE-SERVICES; ipt -t nat -A PREROUTING -j KUBE-SERVICES");
        let cluster = Cluster::of(shop());
        let agent = settled(variant, &cluster, &RARELY);
        let saved = save(variant);
        assert!(
            saved.contains(":KUBE-SERVICES") && saved.contains("-A PREROUTING -j KUBE-SERVICES"),
            "{saved}"
        );
        agent.stop();
        assert!(run(crate::agent_support::agent::SVCNAT, &["cleanup"]).status.success());
        let saved = save(variant);
        assert!(!saved.contains("SVCNAT-") && saved.contains("-A PREROUTING -j KUBE-SERVICES"), "{saved}");
    });
}
