//! A laboratory for packets: small networks made of network namespaces.
//!
//! ```no_run
//! use std::net::SocketAddr;
//! use svcnat_lab::{Lab, Probe, Protocol};
//!
//! # fn main() -> svcnat_lab::Result<()> {
//! let lab = Lab::new()?;
//! let laptop = lab.laptop()?; // 192.168.1.10, 2001:db8:1::10
//! let node = lab.node("node-a")?; // 192.168.1.2, 2001:db8:1::2, pods in 10.244.0.0/24 and fd00:10:244::/64
//! let web = node.pod("web")?; // 10.244.0.2, fd00:10:244::2
//! web.serve(Protocol::Tcp, 8080)?;
//!
//! node.nft("table ip t { chain c { type nat hook prerouting priority dstnat; tcp dport 30008 dnat to 10.244.0.2:8080; }; }")?;
//! let frontend = SocketAddr::from(([192, 168, 1, 2], 30008));
//! let outcome = laptop.probe(&Probe::tcp(frontend));
//! assert_eq!(outcome.answered_by(), Some("web"));
//! # Ok(())
//! # }
//! ```
//!
//! # The network
//!
//! ```text
//!   laptop 192.168.1.10        host() 192.168.1.100 ...      node-a 192.168.1.2     node-b 192.168.1.3
//!          │                          │                             │                      │
//!   ───────┴──────────────────────────┴────── 192.168.1.0/24 ───────┼──────────────────────┼─────────
//!                                             2001:db8:1::/64       │                      │
//!                                                        pods 10.244.0.0/24       pods 10.244.1.0/24
//!                                                           fd00:10:244::/64         fd00:10:244:1::/64
//! ```
//!
//! Nodes forward and know each other's pod CIDRs, as any network plugin arranges it; the laptop and the other hosts
//! know the local network only, so they reach a pod through a Service or not at all. Limits on ICMP errors are off,
//! so that every refused packet is answered, and no host believes in redirects.
//!
//! # Nothing to clean up
//!
//! A namespace has no name and no process: file descriptors of this process hold it, so it ends with its [`Host`],
//! and with the process at the latest, even one that was killed. Labs never meet each other or the machine's own
//! network, so tests run in parallel.
//!
//! # Privilege
//!
//! A lab needs root, or a user namespace in which this process is root. Programs call
//! [`privilege::become_root`] first thing in `main`. Test binaries have threads before a test runs, which the kernel
//! does not allow in `unshare(CLONE_NEWUSER)`; cargo starts them by `tests/lab/runner`, which does it for them.

mod address;
mod command;
mod datagram;
mod error;
mod host;
mod ip;
mod lab;
mod namespace;
mod node;
mod outcome;
pub mod privilege;
mod probe;
mod sctp;
mod server;
mod socket;

pub use error::{Error, Result};
pub use host::Host;
pub use lab::Lab;
pub use namespace::Namespace;
pub use node::{Node, PodNetwork};
pub use outcome::{Answer, Outcome, Unreachable};
pub use probe::{Connection, Probe, SILENCE};
pub use svcnat_rules::net::{Family, Protocol};
