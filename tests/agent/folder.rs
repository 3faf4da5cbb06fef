//! A folder instead of an API server, and the dry run.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use svcnat_lab::Namespace;
use svcnat_rules::installed::Installed;

use crate::agent_support::agent::Agent;
use crate::agent_support::objects::{Objects, RULE_FLAGS, node_port, service, shop, slice};
use crate::agent_support::{holds, must, on_node_a, tables, wait_for};

/// Every object in a file of its own.
fn write(folder: &Path, object: &Value) {
    let text = |field: &str| object.pointer(field).and_then(Value::as_str).unwrap().to_owned();
    let name = format!("{}-{}.json", text("/kind"), text("/metadata/name"));
    let new = folder.join(format!("{name}.new"));
    fs::write(&new, object.to_string()).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

/// An agent of a folder, with more flags.
fn agent_of(folder: &Path, flags: &[&str]) -> Agent {
    let own = ["--manifests", folder.to_str().unwrap(), "--oom-score-adj", "0"];
    Agent::start(&[&RULE_FLAGS[..], &own, flags].concat())
}

/// Changes one after the other; nothing stands for the removal of the Service `idle`.
fn changes() -> Vec<Option<Value>> {
    vec![
        Some(slice("idle", &["10.244.0.9", "10.244.1.9"])),
        Some(slice("web", &["10.244.1.2", "10.244.1.7", "10.244.1.8"])),
        Some(service("idle", 12, node_port(30_091))),
        Some(slice("web", &["10.244.1.8"])),
        Some(slice("api", &[])),
        None,
        Some(service("new", 20, json!({ "externalIPs": ["203.0.113.7"] }))),
    ]
}

fn carry_out(folder: &Path, objects: &mut Objects, change: Option<Value>) {
    match change {
        Some(object) => {
            write(folder, &object);
            objects.put(object);
        }
        None => {
            fs::remove_file(folder.join("Service-idle.json")).unwrap();
            objects.remove("Service", "shop", "idle");
        }
    }
}

#[test]
fn the_kernel_follows_the_folder() {
    on_node_a(|| {
        let folder = tempfile::tempdir().unwrap();
        let mut objects = Objects::default();
        for object in shop() {
            carry_out(folder.path(), &mut objects, Some(object));
        }
        let agent = agent_of(folder.path(), &[]);
        agent.until_ready();
        agent.until_equal(&objects);
        for change in changes() {
            carry_out(folder.path(), &mut objects, change);
            agent.until_equal(&objects);
        }
    });
}

/// Without what another order of the same transactions makes different.
fn without_handles(mut installed: Installed) -> Installed {
    for chain in installed.tables.values_mut().flat_map(|table| table.chains.values_mut()) {
        chain.rules.iter_mut().for_each(|rule| rule.handle = None);
    }
    installed
}

#[test]
fn a_dry_run_prints_scripts_that_lead_where_the_agent_leads() {
    for layout in ["chains", "maps"] {
        let folder = tempfile::tempdir().unwrap();
        let mut objects = Objects::default();
        for object in shop() {
            carry_out(folder.path(), &mut objects, Some(object));
        }
        let by_hand = Namespace::new().unwrap();
        let timeout =
            || fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established").unwrap();
        let before = by_hand.run(timeout);
        on_node_a(|| {
            let agent = agent_of(folder.path(), &["--layout", layout]);
            agent.until_ready();
            // It looks at no kernel's rules but those of a namespace without any, as the scripts do.
            let dry = by_hand.run(|| agent_of(folder.path(), &["--layout", layout, "--dry-run"]));
            let step = |what: &str| {
                let script = dry.printed();
                let file = folder.path().join(".script");
                fs::write(&file, &script).unwrap();
                by_hand.run(|| must("nft", &["-f", file.to_str().unwrap()]));
                let loaded = without_handles(by_hand.run(tables));
                wait_for(what, || {
                    let kept = without_handles(tables());
                    holds(kept == loaded, format!("{script}\n{kept:#?}\n{loaded:#?}"))
                });
            };
            step("the start");
            for (number, change) in changes().into_iter().enumerate() {
                carry_out(folder.path(), &mut objects, change);
                step(&format!("{layout}: change {number}"));
            }
            assert_eq!(by_hand.run(timeout), before, "{}", dry.log());
        });
    }
}
