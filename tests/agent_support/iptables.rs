//! Agents in mode iptables, and what the programs of iptables say of their rules.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use svcnat::iptables::{Iptables, Variant};
use svcnat_rules::config::{Config, NodePortAddresses};
use svcnat_rules::iptables::diff;

use super::agent::Agent;
use super::objects::{Objects, config};
use super::{holds, must};

pub const MODE: [&str; 2] = ["--proxy-mode", "iptables"];

pub const VARIANTS: [Variant; 2] = [Variant::Nft, Variant::Legacy];

/// The programs of both families of a variant, without what is behind the dash.
pub fn programs(variant: Variant) -> [&'static str; 2] {
    match variant {
        Variant::Legacy => ["iptables-legacy", "ip6tables-legacy"],
        _ => ["iptables-nft", "ip6tables-nft"],
    }
}

/// Says which variant is used here, as kubelet does.
pub fn hint(variant: Variant) {
    must(programs(variant)[0], &["-w", "60", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT"]);
}

/// What [`config`] and the mode come to.
pub fn config_of_mode() -> Config {
    Config { node_port_addresses: NodePortAddresses::All, ..config() }
}

/// All rules of both families, without comments and counters.
pub fn save(variant: Variant) -> String {
    let saved = programs(variant).map(|program| must(&format!("{program}-save"), &[]));
    let lines = saved.iter().flat_map(|saved| saved.lines()).filter(|line| !line.starts_with('#'));
    let without_counters = |line: &str| match line.starts_with(':') {
        true => format!("{}\n", line.split(" [").next().unwrap()),
        false => format!("{line}\n"),
    };
    lines.map(without_counters).collect()
}

/// Gives a program of a variant this on its standard input.
#[track_caller]
pub fn restore(program: &str, input: &str) {
    let mut child = Command::new(format!("{program}-restore"))
        .args(["--noflush", "-w", "60"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{input}");
}

/// `Ok` where the variant holds exactly what the full compile makes of the objects, and nothing of ours is in the other one;
/// else what would have to be done.
pub fn compare(variant: Variant, objects: &Objects, config: &Config) -> Result<(), String> {
    let wanted = objects.iptables(config);
    let mut installed = Iptables::installed().map_err(|error| error.to_string())?;
    installed.retain(|iptables| iptables.variant() == variant);
    let [iptables] = installed.as_slice() else { return Err(format!("no {variant}")) };
    let installed = iptables.read().map_err(|error| error.to_string())?;
    let rest = diff(&wanted, &installed);
    holds(rest.is_empty(), rest.to_string())
}

/// Waits until the rules are those of the objects; gives how long that took.
#[track_caller]
pub fn until_equal(agent: &Agent, variant: Variant, objects: &Objects) -> Duration {
    agent.until("the rules equal the full compile", || compare(variant, objects, &config_of_mode()))
}
