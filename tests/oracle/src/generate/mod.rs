//! Random worlds and packets: small, and full of the collisions that large clusters meet now and then.
//!
//! Addresses stay in private and documentation ranges, so that the same packets can be sent for real between network
//! namespaces: nodes in 192.168.1.0/24 and 2001:db8:1::/64, pods in 10.244.0.0/16 and fd00:10:244::/48 (this node's in the
//! first /24 and /64), ClusterIPs in 10.96.0.0/16 and fd00:10:96::/112, external addresses in 203.0.113.0/24 and
//! 2001:db8:203::/64, clients in 198.51.100.0/24 and 2001:db8:198::/64. Services listen on ports and node ports that no
//! backend has, and no pod has an address that a Service could have.

mod endpoint;
mod packet;
mod pool;
mod service;
mod world;

pub use packet::{arb_packet, arb_packets};
pub use world::arb_world;
