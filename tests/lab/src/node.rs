//! Nodes and the pods on them.

use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use svcnat_rules::net::Family;

use crate::address::Addresses;
use crate::{Error, Host, Namespace, Result, ip};

/// How the pods of a node are attached to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodNetwork {
    /// Each by a veth pair of its own with a route, as the ptp plugin and Calico do. The node's ends are named
    /// `veth0`, `veth1` and so on, in the order in which pods were made.
    Routed,
    /// All by a bridge named `cni0`, as the bridge plugin and flannel do; names as above. The
    /// kernel takes up to a second to bring a bridge up, so the first pod of such a node takes that long.
    Bridged,
}

/// A node of the cluster; it is also a [`Host`].
#[derive(Debug)]
pub struct Node {
    host: Host,
    index: u8,
    pods: PodNetwork,
    made: AtomicUsize,
    links: AtomicUsize,
    neighbour: Arc<Neighbour>,
}

/// What nodes know of each other.
#[derive(Debug)]
pub(crate) struct Neighbour {
    name: String,
    namespace: Namespace,
    addresses: Addresses,
    pods: Addresses,
}

/// Gives each of two nodes its route to the other's pods.
pub(crate) fn introduce(one: &Neighbour, other: &Neighbour) -> Result<()> {
    for (from, to) in [(one, other), (other, one)] {
        let Addresses { ipv4, ipv6 } = to.addresses;
        let routes =
            format!("route add {}/24 via {ipv4}\nroute add {}/64 via {ipv6}\n", to.pods.ipv4, to.pods.ipv6);
        ip::batch(&from.name, &from.namespace, &routes)?;
    }
    Ok(())
}

impl Deref for Node {
    type Target = Host;

    fn deref(&self) -> &Host {
        &self.host
    }
}

impl Node {
    /// How many pods fit on a node: .2 to .254 of its pod CIDR.
    pub const MAX_PODS: usize = 253;

    pub(crate) fn new(host: Host, index: u8, pods: PodNetwork) -> Result<Self> {
        host.sysctl("net/ipv4/ip_forward", "1")?;
        host.sysctl("net/ipv6/conf/all/forwarding", "1")?;
        let gateway = Addresses::of_pod(index, 1);
        if pods == PodNetwork::Bridged {
            host.ip_batch(&format!(
                "link add cni0 type bridge mcast_snooping 0\n\
                 addr add {}/24 dev cni0\n\
                 addr add {}/64 dev cni0 nodad\n\
                 link set cni0 up\n",
                gateway.ipv4, gateway.ipv6
            ))?;
        }
        let neighbour = Arc::new(Neighbour {
            name: host.name().to_owned(),
            namespace: host.namespace().clone(),
            addresses: host.addresses(),
            pods: Addresses::of_pods(index),
        });
        let (made, links) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Ok(Self { host, index, pods, made, links, neighbour })
    }

    pub(crate) fn neighbour(&self) -> &Arc<Neighbour> {
        &self.neighbour
    }

    /// The node's pod CIDR in a family, as in `Node.spec.podCIDRs`.
    #[must_use]
    pub fn pod_cidr(&self, family: Family) -> String {
        let length = match family {
            Family::Ipv4 => 24,
            Family::Ipv6 => 64,
        };
        format!("{}/{length}", Addresses::of_pods(self.index).of(family))
    }

    /// The node's address on the way to its own pods: 10.244.NODE.1. It is what these pods see where the node itself
    /// asks them, or masquerades somebody.
    #[must_use]
    pub fn gateway(&self, family: Family) -> IpAddr {
        Addresses::of_pod(self.index, 1).of(family)
    }

    /// A pod on this node: the n-th one is 10.244.NODE.2+n, counted from 0. Addresses are not used again.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] beyond [`Node::MAX_PODS`], others if the host cannot be made.
    pub fn pod(&self, name: &str) -> Result<Host> {
        let index = self.made.fetch_add(1, Ordering::Relaxed);
        let number = u8::try_from(index).ok().filter(|_| index < Self::MAX_PODS);
        let number = number.ok_or(Error::Full { kind: "pods per node", limit: Self::MAX_PODS })?;
        let pod = Host::new(name, Addresses::of_pod(self.index, 2 + number), self.namespace())?;
        self.attach(&pod)?;
        Ok(pod)
    }

    fn attach(&self, pod: &Host) -> Result<()> {
        let gateway = Addresses::of_pod(self.index, 1);
        let Addresses { ipv4, ipv6 } = pod.addresses();
        let link = format!("veth{}", self.links.fetch_add(1, Ordering::Relaxed));
        let (length4, length6) = match self.pods {
            PodNetwork::Routed => (32, 128),
            PodNetwork::Bridged => (24, 64),
        };
        pod.ip_batch(&format!(
            "link add eth0 type veth peer name {link} netns {node}\n\
             addr add {ipv4}/{length4} dev eth0\n\
             addr add {ipv6}/{length6} dev eth0 nodad\n\
             link set eth0 up\n",
            node = self.namespace().path(),
        ))?;
        self.ip_batch(&match self.pods {
            PodNetwork::Routed => format!(
                "addr add {}/32 dev {link}\n\
                 addr add {}/128 dev {link} nodad\n\
                 link set {link} up\n\
                 route add {ipv4} dev {link}\n\
                 route add {ipv6} dev {link}\n",
                gateway.ipv4, gateway.ipv6
            ),
            // A connection of a pod to itself comes back by the port that it came from, where bridges send nothing
            // unless told so; the plugins tell them (`hairpinMode`).
            PodNetwork::Bridged => {
                format!("link set {link} master cni0 up\nlink set {link} type bridge_slave hairpin on\n")
            }
        })?;
        let links: &[&str] = match self.pods {
            PodNetwork::Routed => &[&link],
            PodNetwork::Bridged => &[&link, "cni0"],
        };
        ip::wait_until_up(self.name(), self.namespace(), links)?;
        ip::wait_until_up(pod.name(), pod.namespace(), &["eth0"])?;
        pod.ip_batch(&format!(
            "route add default via {} dev eth0 onlink\n\
             route add ::/0 via {} dev eth0 onlink\n",
            gateway.ipv4, gateway.ipv6
        ))
    }
}
