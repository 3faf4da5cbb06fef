//! The steps of the demo, and the checks that make it fail where a newcomer would be misled.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use svcnat_lab::privilege::Privilege;
use svcnat_lab::{Family, Host, Probe};

use crate::error::Error;
use crate::manifests::{Copy, EXAMPLE};
use crate::network::{CLUSTER_IP, NODE_PORT, Network, rules_with_handles, svcnat, web_pod};
use crate::screen::Screen;

/// Enough that a fair share can be told from an unfair one.
const REQUESTS: usize = 300;

/// Shows everything, from a network without Services to a clean one.
pub fn tell(screen: &mut Screen, privilege: Privilege, program: &Path, copy: &Copy) -> Result<(), Error> {
    let network = Network::new()?;
    let (node_a, node_b) = (&network.node_a, &network.node_b);
    introduce(screen, privilege, &network)?;

    screen.heading(&format!("The rules for node-a, compiled from {EXAMPLE}"))?;
    svcnat(screen, program, node_a, &on("render", EXAMPLE, "node-a"))?;

    screen.heading("Both nodes get theirs, each in one kernel transaction")?;
    svcnat(screen, program, node_a, &on("apply", EXAMPLE, "node-a"))?;
    svcnat(screen, program, node_b, &on("apply", EXAMPLE, "node-b"))?;

    screen.heading("How the answers spread over the pods")?;
    let pods = ["web-a", "web-b", "web-c"];
    ask_everywhere(screen, &network, &pods)?;

    screen.heading("Applying the same again changes nothing")?;
    let before = rules_with_handles(node_a)?;
    svcnat(screen, program, node_a, &on("apply", EXAMPLE, "node-a"))?;
    if rules_with_handles(node_a)? != before {
        return Err(Error::NotIdempotent { node: node_a.name().to_owned() });
    }

    screen.heading("Pod web-b goes, pod web-d (10.244.1.3, on node-b) comes: only what differs is sent")?;
    copy.replace_a_pod()?;
    let folder = copy.folder().to_string_lossy();
    let _web_d = web_pod(node_b, "web-d")?;
    let mut arguments = on("apply", &folder, "node-a");
    arguments.extend(["-o", "nft"]);
    svcnat(screen, program, node_a, &arguments)?;
    svcnat(screen, program, node_b, &on("apply", &folder, "node-b"))?;
    drop(network.web_b);

    screen.heading("The new spread")?;
    let target = node_a.at(Family::Ipv4, NODE_PORT);
    ask(screen, &network.laptop, target, &["web-a", "web-c", "web-d"])?;

    screen.heading("svcnat cleans up after itself")?;
    for node in [node_a, node_b] {
        svcnat(screen, program, node, &["cleanup"])?;
        refused(screen, &network.laptop, node.at(Family::Ipv4, NODE_PORT))?;
    }
    Ok(())
}

fn introduce(screen: &mut Screen, privilege: Privilege, network: &Network) -> Result<(), Error> {
    screen.heading("svcnat: Kubernetes Services as nftables rules")?;
    screen.say("A laptop and two nodes on one network, and pods of which the laptop knows nothing.")?;
    screen.say(match privilege {
        Privilege::Root => "All are network namespaces, which end with this program.",
        Privilege::UserNamespace => {
            "All are network namespaces in a user namespace, which end with this program."
        }
    })?;
    screen.gap()?;
    let Network { laptop, node_a, node_b, shell, web_a, web_b, web_c } = network;
    let rows: [(&Host, &[&Host]); 3] = [(laptop, &[]), (node_a, &[web_a, web_b, shell]), (node_b, &[web_c])];
    for (host, pods) in rows {
        let pods: Vec<String> =
            pods.iter().map(|pod| format!("{} {}", pod.name(), pod.ip(Family::Ipv4))).collect();
        let line = format!("{:8} {:15} {}", host.name(), host.ip(Family::Ipv4).to_string(), pods.join("   "));
        screen.say(line.trim_end())?;
    }
    screen.gap()?;
    screen.say("Without svcnat, nothing answers at the Service's port:")?;
    refused(screen, laptop, node_a.at(Family::Ipv4, NODE_PORT))
}

/// The arguments of svcnat for a folder of manifests, on a node.
fn on<'a>(command: &'a str, folder: &'a str, node: &'a str) -> Vec<&'a str> {
    vec![command, "-f", folder, "--hostname-override", node, "--cluster-cidr", "10.244.0.0/16"]
}

fn ask_everywhere(screen: &mut Screen, network: &Network, pods: &[&str]) -> Result<(), Error> {
    let Network { laptop, node_a, node_b, shell, .. } = network;
    screen.say(
        "Through a node, which lends the laptop its own addresses so that answers come back through it:",
    )?;
    ask(screen, laptop, node_a.at(Family::Ipv4, NODE_PORT), pods)?;
    screen.say("The other node does the same, with the same pods:")?;
    ask(screen, laptop, node_b.at(Family::Ipv4, NODE_PORT), pods)?;
    screen.say("Through the ClusterIP, from a pod, whose own address the others see:")?;
    let seen = ask(screen, shell, CLUSTER_IP, pods)?;
    let own = shell.ip(Family::Ipv4);
    match seen.into_iter().find(|address| *address != own) {
        None => Ok(()),
        Some(address) => Err(Error::Masqueraded { client: shell.name().to_owned(), own, seen: address }),
    }
}

/// Asks many times, shows how the answers spread, and gives the addresses that the pods saw.
fn ask(
    screen: &mut Screen,
    client: &Host,
    target: SocketAddr,
    pods: &[&str],
) -> Result<BTreeSet<IpAddr>, Error> {
    let mut spread: BTreeMap<String, usize> = pods.iter().map(|&pod| (pod.to_owned(), 0)).collect();
    let mut seen = BTreeSet::new();
    for outcome in client.probe_repeatedly(&Probe::http(target), REQUESTS) {
        let Some(answer) = outcome.answer() else {
            return Err(Error::NoAnswer { client: client.name().to_owned(), target, outcome });
        };
        seen.insert(answer.saw.ip());
        *spread.entry(answer.by.clone()).or_default() += 1;
    }
    let clients: Vec<String> = seen.iter().map(ToString::to_string).collect();
    screen.command(client.name(), &format!("GET http://{target}, {REQUESTS} times"))?;
    screen.bars(&spread)?;
    screen.say(&format!("client as the pods saw it: {}", clients.join(", ")))?;
    screen.gap()?;
    check_fair(&spread, pods)?;
    Ok(seen)
}

/// A pod's share is at most five standard deviations away from the mean: by chance, less than one in a million is not.
fn check_fair(spread: &BTreeMap<String, usize>, pods: &[&str]) -> Result<(), Error> {
    let requests: usize = spread.values().sum();
    let mean = requests / pods.len().max(1);
    let variance = mean - mean / pods.len().max(1);
    let tolerance = 5 * (variance.isqrt() + 1);
    let (low, high) = (mean.saturating_sub(tolerance), mean + tolerance);
    for (pod, &answers) in spread {
        if !pods.contains(&pod.as_str()) {
            return Err(Error::Stranger { pod: pod.clone() });
        }
        if !(low..=high).contains(&answers) {
            return Err(Error::Unfair { pod: pod.clone(), answers, requests, low, high });
        }
    }
    Ok(())
}

fn refused(screen: &mut Screen, client: &Host, target: SocketAddr) -> Result<(), Error> {
    screen.command(client.name(), &format!("GET http://{target}"))?;
    let outcome = client.probe(&Probe::http(target));
    if !outcome.is_refused() {
        return Err(Error::Answered { client: client.name().to_owned(), target, outcome });
    }
    Ok(screen.output(&outcome.to_string())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fair_shares_pass() {
        let check = |spread: &[(&str, usize)], fair: bool| {
            let spread = spread.iter().map(|(pod, count)| ((*pod).to_owned(), *count)).collect();
            assert_eq!(check_fair(&spread, &["a", "b", "c"]).is_ok(), fair, "{spread:?}");
        };
        check(&[("a", 100), ("b", 100), ("c", 100)], true);
        check(&[("a", 80), ("b", 95), ("c", 125)], true);
        check(&[("a", 150), ("b", 75), ("c", 75)], false);
        check(&[("a", 150), ("b", 150), ("c", 0)], false);
        check(&[("a", 100), ("b", 100), ("d", 100)], false);
        check(&[("a", 300), ("b", 0), ("c", 0)], false);
    }
}
