//! What Services mean for a packet, said a second time and in the simplest way: the oracle that the compiler is tested
//! against, and generators of clusters and packets to ask both about.
//!
//! The oracle shares nothing with the compiler but the types of its input. It is a linear search over all Services for each
//! packet, with one small function for each rule, which quotes the rule. It speaks about the first packet of a connection
//! only; the others follow it by connection tracking.
//!
//! # Decisions
//!
//! Where the rules can be read in several ways, this is what holds. Most of it is what kube-proxy in nftables mode does.
//!
//! Frontends and conflicts
//! - Each family is by itself. A Service without a ClusterIP of a family has no frontend in that family at all: no external
//!   or load-balancer address and no node port. It claims nothing there either, so a younger Service may win a node port
//!   in one family and lose it in the other.
//! - ClusterIPs, externalIPs and load-balancer addresses are one kind of frontend: (address, protocol, port). The oldest
//!   Service that wants it has it, as whatever it wants it for. `None` as creation time is the youngest; equal times are
//!   decided by `namespace/name` as a text, so `shop-eu/x` comes before `shop/x`. Two ports of one Service that want the
//!   same: the first in `spec.ports`.
//! - The loser gets nothing there: neither its backends nor its source ranges, even while the winner has no backend.
//! - An address that one Service has as its ClusterIP and also as external or load-balancer address is its ClusterIP:
//!   `internalTrafficPolicy` holds. An externalIP that is also a load-balancer address of the Service is a load-balancer
//!   address. Source ranges hold for every load-balancer address of the winner, whatever else that address is.
//! - An address frontend has precedence over a node port at the same address, protocol and port, also where the address
//!   frontend drops or rejects.
//! - Source ranges do not hold where a load-balancer address is reached as a node port.
//! - A Service without ports claims nothing, and its ClusterIP is not live.
//!
//! Node ports
//! - `primary` is the first address of the family in the Node object. A Node without an address of that family serves no
//!   node ports in it. Only where no Node is known, every local address but loopback serves them.
//! - CIDRs are held against the node's local addresses, not against the Node object's. Loopback addresses never
//!   serve node ports, even if a CIDR contains them.
//!
//! Source ranges
//! - `0.0.0.0/0` opens IPv4 and closes IPv6, unless there are IPv6 ranges too; `::/0` the other way round.
//! - They are looked at before anything else: outside of them a packet is dropped, also where no backend exists. They hold for
//!   pods and for the node's own packets alike.
//! - The node's own address is the primary one of the packet's family. If it lies in a range, all load-balancer addresses of
//!   this Service may connect, whoever sends with such a source. Where no Node is known, there is no such exception.
//!
//! Backends
//! - Duplicates are the same address and port. The one that does not terminate counts, then the ready one, then the serving one,
//!   whatever the order of the slices. All else, hints and node included, comes from the one that counts.
//! - Ready is ready, terminating or not. Hints count among the ready endpoints that counted, only with policy Cluster, and not
//!   in the fallback to serving and terminating ones. The short circuits of external Local use the hints too.
//! - DNAT happens once. A backend whose address and port are a frontend themselves is not looked up again.
//!
//! Sources
//! - Local detection by CIDRs is off in a family without CIDRs: there, nothing is masqueraded for not coming from a pod, and no pod
//!   takes the short circuit. So too for NodeCIDR where no Node is known.
//! - Detection by interface: the node's own packets come in by no interface, so they are not a pod's.
//! - "From the node itself" means that the source is a local address. A source that detection counts as a pod is a pod even if
//!   it is a local address (a bridge's address inside the pod network).
//! - Masquerading of ClusterIP traffic goes by the destination address: any Service's ClusterIP, whichever Service has the frontend.
//!   `masqueradeAll` means ClusterIP traffic.
//! - Hairpin: the backend's address is the source and the backend is on this node, or its node is not known.
//! - A packet from elsewhere that goes to a backend in the node's own network namespace keeps its source: masquerading happens where
//!   packets are sent out, and the answer passes this node anyway.
//! - A remembered backend that the client's path no longer allows (gone, or elsewhere under policy Local, or passed over by a hint)
//!   is ignored, as is any entry for a Service without affinity.
//!
//! Destinations that are no frontend
//! - A live ClusterIP is rejected, then an address inside a ServiceCIDR is dropped. That holds for all the node's own packets and
//!   for those that it forwards. An external or load-balancer address inside a ServiceCIDR, on another port, is dropped too.

pub mod backend;
pub mod build;
pub mod cases;
pub mod frontend;
pub mod generate;
pub mod packet;
mod verdict;

pub use packet::{Environment, Origin, Packet, Rejection, Source, Verdict, World};
pub use verdict::verdict;
