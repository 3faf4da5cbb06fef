//! What others do to the tables, and agents that are killed.

use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use serde_json::json;
use svcnat::netlink::{Netlink, Socket};
use svcnat_apiserver::Resource;
use svcnat_rules::installed::Owner;

use crate::agent_support::agent::{Agent, SVCNAT};
use crate::agent_support::cluster::Cluster;
use crate::agent_support::http::{metric, repairs};
use crate::agent_support::objects::{RULE_FLAGS, config, service, shop, slice};
use crate::agent_support::{holds, installed, must, on_node_a, run, tables, wait_or};

/// What others may do, as lines of nft. `HANDLE` is that of a rule of the chain `filter-forward`.
const DISTURBANCES: [(&str, &str); 13] = [
    ("a flush of everything", "flush ruleset"),
    ("a flush of one family", "flush ruleset ip"),
    ("a table deleted", "delete table ip svcnat"),
    ("the rules of a table flushed", "flush table ip svcnat"),
    ("the rules of a chain flushed", "flush chain ip svcnat services"),
    ("a rule deleted", "delete rule ip svcnat filter-forward handle HANDLE"),
    ("a rule added", "add rule ip svcnat services counter accept"),
    ("a rule put first", "insert rule ip svcnat nat-prerouting counter accept"),
    ("an element deleted", "delete element ip svcnat cluster-ips { 10.96.0.10 }"),
    ("an element added", "add element ip svcnat cluster-ips { 10.96.0.99 }"),
    ("a set flushed", "flush set ip svcnat cluster-ips"),
    ("a chain added", "add chain ip svcnat of-mine { type filter hook forward priority 0; policy drop; }"),
    ("a table put to sleep", "add table ip svcnat { flags dormant; }"),
];

/// The line with the handle of the first rule of `filter-forward` in it.
fn line(disturbance: &str) -> String {
    if !disturbance.contains("HANDLE") {
        return disturbance.to_owned();
    }
    let listing = must("nft", &["-a", "list", "chain", "ip", "svcnat", "filter-forward"]);
    let rules = listing.lines().filter(|line| line.starts_with("\t\t") && !line.contains("type filter"));
    let handle = rules.filter_map(|rule| rule.rsplit_once("# handle ")).map(|(_, handle)| handle).next();
    disturbance.replace("HANDLE", handle.unwrap())
}

#[test]
fn whatever_others_do_the_rules_are_back() {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &["--own-tables", "never"]);
        assert_eq!(metric("svcnat_owned_tables"), 0.0);
        for (number, (what, disturbance)) in DISTURBANCES.into_iter().enumerate() {
            must("nft", &[&line(disturbance)]);
            let took = agent.until_equal(&cluster.objects);
            eprintln!("{what}: the rules are back after {took:?}");
            let changed = "svcnat_repairs_total{reason=\"changed_by_others\"}";
            let expected = number as f64 + 1.0;
            agent.until(what, || holds(metric(changed) == expected, format!("{} repairs", metric(changed))));
        }
        agent.until("an Event is posted", || holds(!cluster.server.events_posted().is_empty(), "it is not"));
        let posted = cluster.server.events_posted();
        let event = &posted[0].event;
        assert_eq!((&event["reason"], &event["type"]), (&json!("RulesRepaired"), &json!("Warning")));
        assert_eq!(
            (&event["regarding"]["kind"], &event["regarding"]["name"]),
            (&json!("Node"), &json!("node-a"))
        );
        assert_eq!(metric("svcnat_transaction_failures_total"), 0.0, "{}", agent.log());
    });
}

#[test]
fn tables_that_are_owned_nobody_else_can_change() {
    on_node_a(|| {
        if !Netlink::<Socket>::can_own() {
            eprintln!("this kernel knows no owners of tables, so there is nothing to test");
            return;
        }
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &[]);
        assert_eq!(metric("svcnat_owned_tables"), 1.0, "there is nothing of IPv6");
        let before = tables();
        for (what, disturbance) in DISTURBANCES {
            let line = line(disturbance);
            // A flush of everything passes them over.
            assert_eq!(run("nft", &[&line]).status.success(), line.starts_with("flush ruleset"), "{what}");
            assert_eq!(tables(), before, "{what}");
        }
        cluster.apply(slice("idle", &["10.244.0.9"]));
        agent.until_equal(&cluster.objects);
        assert_eq!(repairs(), 0.0);
        assert_eq!(cluster.server.events_posted(), []);
        let both = json!({ "clusterIPs": ["10.96.0.30", "fd00:10:96::30"], "ipFamilies": ["IPv4", "IPv6"] });
        cluster.apply(service("both", 30, both));
        agent.until("there is a table of IPv6", || {
            holds(metric("svcnat_owned_tables") == 2.0, "there is none")
        });
        cluster.delete_one(Resource::Services, "both");
        agent.until("it is gone", || holds(metric("svcnat_owned_tables") == 1.0, "it is not"));
    });
}

#[test]
fn changes_of_others_while_everything_changes_do_not_last() {
    on_node_a(|| {
        let mut cluster = Cluster::of(shop());
        let agent = Agent::settled(&cluster, &["--own-tables", "never"]);
        for round in 0..40_u8 {
            cluster.apply(slice("web", &["10.244.0.2", &format!("10.244.1.{round}")]));
            // Some find nothing to delete, since it is not back yet.
            run("nft", &[DISTURBANCES[usize::from(round) % 4].1]);
            cluster.apply(service(&format!("round-{round}"), 50 + round, json!({})));
        }
        agent.until_equal(&cluster.objects);
        assert!(repairs() > 0.0);
    });
}

#[test]
fn a_table_without_owner_is_made_anew_as_our_own() {
    on_node_a(|| {
        let cluster = Cluster::of(shop());
        apply(&cluster);
        assert!(installed().tables.values().all(|table| table.owner == Owner::Nobody));
        let agent = Agent::settled(&cluster, &[]);
        let owned = |owner: Owner| matches!(owner, Owner::Socket(_)) == Netlink::<Socket>::can_own();
        assert!(installed().tables.values().all(|table| owned(table.owner)), "{}", agent.log());
        agent.stop();
        let left = if Netlink::<Socket>::can_own() { Owner::Left } else { Owner::Nobody };
        // A program that the agent was about to start has its socket until it runs.
        let all_left = || installed().tables.values().all(|table| table.owner == left);
        wait_or("the tables are left", || holds(all_left(), "they are not"), String::new);
        cluster.objects.compare(&config()).unwrap();
    });
}

/// `svcnat apply` with the objects of a cluster.
fn apply(cluster: &Cluster) {
    let folder = tempfile::tempdir().unwrap();
    let items: Vec<_> = cluster.objects.values().collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
    let path = folder.path().join("all.json");
    std::fs::write(&path, list.to_string()).unwrap();
    apply_file(&path);
}

fn apply_file(path: &Path) {
    let applied = Command::new(SVCNAT).args(["apply", "-f"]).arg(path).args(RULE_FLAGS).output().unwrap();
    assert!(applied.status.success(), "{}", String::from_utf8_lossy(&applied.stderr));
}

/// How often an agent is killed.
const KILLS: u64 = 8;

#[test]
fn an_agent_that_is_killed_amid_updates_leaves_nothing_that_the_next_cannot_mend() {
    for flags in [&[][..], &["--own-tables", "never", "--layout", "maps"]] {
        on_node_a(|| {
            let mut cluster = Cluster::of(shop());
            for kill in 0..KILLS {
                let agent = Agent::settled(&cluster, flags);
                for number in 0..60_u8 {
                    let name = format!("churn-{}", number % 20);
                    if number % 3 == 0 && kill % 2 == 1 {
                        cluster.delete(&name);
                    } else {
                        cluster.apply(service(&name, 20 + number % 20, json!({})));
                        cluster.apply(slice(&name, &[&format!("10.244.{kill}.{number}"), "10.244.9.9"]));
                    }
                    // Each time the agent has come a little further.
                    if u64::from(number) == 10 + 5 * kill {
                        sleep(Duration::from_millis(kill));
                        break;
                    }
                }
                agent.kill();
            }
            drop(Agent::settled(&cluster, flags));
        });
    }
}
