//! The local network of a lab and the hosts on it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::address::Addresses;
use crate::node::{self, Neighbour};
use crate::{Error, Host, Namespace, Node, PodNetwork, Result, ip};

/// A local network, 192.168.1.0/24 and 2001:db8:1::/64. See the [crate's documentation](crate).
#[derive(Debug)]
pub struct Lab {
    lan: Lan,
    hosts: AtomicUsize,
    nodes: Mutex<Vec<Weak<Neighbour>>>,
}

/// The switch: a namespace with nothing but a bridge, so that no node's rules see other hosts' packets.
#[derive(Debug)]
struct Lan {
    switch: Namespace,
    ports: AtomicUsize,
}

const SWITCH: &str = "the switch";

impl Lab {
    /// How many nodes fit: 192.168.1.2 to 192.168.1.9.
    pub const MAX_NODES: usize = 8;
    /// How many hosts fit beside the laptop and the nodes: 192.168.1.100 to 192.168.1.199.
    pub const MAX_HOSTS: usize = 100;

    /// Makes a local network with nobody on it.
    ///
    /// # Errors
    ///
    /// [`Error::NotAllowed`] without the privilege, others if the system lacks the `ip` program or bridges.
    pub fn new() -> Result<Self> {
        let switch = Namespace::new()?;
        ip::prepare(SWITCH, &switch)?;
        ip::batch(SWITCH, &switch, "link add lan type bridge mcast_snooping 0\nlink set lan up\n")?;
        ip::keep_netfilter_off_bridges(SWITCH, &switch)?;
        let lan = Lan { switch, ports: AtomicUsize::new(0) };
        Ok(Self { lan, hosts: AtomicUsize::new(0), nodes: Mutex::default() })
    }

    /// A client that knows nothing but the local network: 192.168.1.10, 2001:db8:1::10. One per lab.
    ///
    /// # Errors
    ///
    /// If the host cannot be made.
    pub fn laptop(&self) -> Result<Host> {
        self.lan.host("laptop", Addresses::on_the_lan(10))
    }

    /// Another host like the laptop; the n-th one is 192.168.1.100+n, counted from 0.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] beyond [`Lab::MAX_HOSTS`], others if the host cannot be made.
    pub fn host(&self, name: &str) -> Result<Host> {
        let index = self.hosts.fetch_add(1, Ordering::Relaxed);
        let number = u8::try_from(index).ok().filter(|_| index < Self::MAX_HOSTS);
        let number = number.ok_or(Error::Full { kind: "hosts", limit: Self::MAX_HOSTS })?;
        self.lan.host(name, Addresses::on_the_lan(100 + number))
    }

    /// A node whose pods are attached by routed veth pairs. The n-th one is 192.168.1.2+n, its pods are in
    /// 10.244.n.0/24 and fd00:10:244:n::/64, counted from 0.
    ///
    /// # Errors
    ///
    /// [`Error::Full`] beyond [`Lab::MAX_NODES`], others if the host cannot be made.
    pub fn node(&self, name: &str) -> Result<Node> {
        self.node_with(name, PodNetwork::Routed)
    }

    /// A node with a choice of how its pods are attached.
    ///
    /// # Errors
    ///
    /// As [`Lab::node`].
    pub fn node_with(&self, name: &str, pods: PodNetwork) -> Result<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let index = u8::try_from(nodes.len()).ok().filter(|_| nodes.len() < Self::MAX_NODES);
        let index = index.ok_or(Error::Full { kind: "nodes", limit: Self::MAX_NODES })?;
        let host = self.lan.host(name, Addresses::on_the_lan(2 + index))?;
        let node = Node::new(host, index, pods)?;
        for other in nodes.iter().filter_map(Weak::upgrade) {
            node::introduce(&other, node.neighbour())?;
        }
        nodes.push(Arc::downgrade(node.neighbour()));
        Ok(node)
    }
}

impl Lan {
    fn host(&self, name: &str, Addresses { ipv4, ipv6 }: Addresses) -> Result<Host> {
        let host = Host::new(name, Addresses { ipv4, ipv6 }, &self.switch)?;
        let port = format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed));
        host.ip_batch(&format!(
            "link add eth0 type veth peer name {port} netns {switch}\n\
             addr add {ipv4}/24 dev eth0\n\
             addr add {ipv6}/64 dev eth0 nodad\n\
             link set eth0 up\n",
            switch = self.switch.path(),
        ))?;
        ip::batch(SWITCH, &self.switch, &format!("link set {port} master lan up\n"))?;
        ip::wait_until_up(SWITCH, &self.switch, &[&port])?;
        ip::wait_until_up(name, host.namespace(), &["eth0"])?;
        Ok(host)
    }
}
