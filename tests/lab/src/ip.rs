//! Interfaces, addresses and routes, by the `ip` program, and the sysctls of a namespace.

use std::fs;
use std::io::{self, ErrorKind};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::{Error, Namespace, Result, command};

/// How long the kernel may take to bring a link up.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `ip -batch` in a namespace: one process, however many lines.
pub(crate) fn batch(host: &str, namespace: &Namespace, lines: &str) -> Result<()> {
    command::succeed(host, namespace, Command::new("ip").args(["-batch", "-"]), lines).map(drop)
}

/// Waits until links carry packets. The kernel activates a link whose other end has come up on a thread of its own,
/// which takes a while on a busy machine, and drops what is sent before.
pub(crate) fn wait_until_up(host: &str, namespace: &Namespace, links: &[&str]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Lines such as "eth0@if3  UP  ...".
        let listing =
            command::succeed(host, namespace, Command::new("ip").args(["-brief", "link", "show"]), "")?;
        let up: Vec<&str> = listing
            .lines()
            .filter_map(|line| line.split_once(['@', ' ']))
            .filter(|(_, rest)| rest.split_whitespace().any(|word| word == "UP"))
            .map(|(name, _)| name)
            .collect();
        if links.iter().all(|link| up.contains(link)) {
            return Ok(());
        }
        if Instant::now() > deadline {
            let late = io::Error::new(ErrorKind::TimedOut, listing);
            return Err(Error::io(format!("wait for {} on {host}", links.join(", ")))(late));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Sets a sysctl, named as in `/proc/sys` without that prefix, inside a namespace.
pub(crate) fn sysctl(host: &str, namespace: &Namespace, name: &str, value: &str) -> Result<()> {
    namespace
        .run(|| fs::write(format!("/proc/sys/{name}"), value))
        .map_err(Error::io(format!("set sysctl {name}={value} on {host}")))
}

/// A host of the lab answers at once and always, and routes as it is told.
const EVERY_HOST: &[(&str, &str)] = &[
    // No duplicate address detection: an address serves as soon as it is there.
    ("net/ipv6/conf/default/accept_dad", "0"),
    ("net/ipv6/conf/default/accept_ra", "0"),
    ("net/ipv6/conf/all/disable_ipv6", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    // ICMP errors are the answers that tests wait for: no limit on how many are sent. The masks name the types
    // that are limited; IPv6 wants one at least, and 0 is none that is sent.
    ("net/ipv4/icmp_ratemask", "0"),
    ("net/ipv6/icmp/ratemask", "0"),
    // A DNAT may send a packet back to the network that it came from: no redirects because of that, and no
    // reverse-path filter in the way.
    ("net/ipv4/conf/all/accept_redirects", "0"),
    ("net/ipv4/conf/default/accept_redirects", "0"),
    ("net/ipv6/conf/default/accept_redirects", "0"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
];

/// Makes a namespace in which interfaces can be made: the loopback is up, the sysctls are set.
pub(crate) fn prepare(host: &str, namespace: &Namespace) -> Result<()> {
    namespace.run(|| {
        for (name, value) in EVERY_HOST {
            fs::write(format!("/proc/sys/{name}"), value)
                .map_err(Error::io(format!("set sysctl {name}={value} on {host}")))?;
        }
        Ok(())
    })?;
    batch(host, namespace, "link set lo up\n")
}

/// Lets a bridge pass packets without showing them to netfilter. Kernels without the br_netfilter module never do.
pub(crate) fn keep_netfilter_off_bridges(host: &str, namespace: &Namespace) -> Result<()> {
    let write = |name: &str| -> io::Result<()> {
        match fs::write(format!("/proc/sys/net/bridge/bridge-nf-call-{name}"), "0") {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    };
    namespace
        .run(|| write("iptables").and_then(|()| write("ip6tables")))
        .map_err(Error::io(format!("keep netfilter off the bridge of {host}")))
}
