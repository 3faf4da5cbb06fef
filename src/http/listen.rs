//! Listening sockets.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::libc::EAFNOSUPPORT;
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::{TcpListener, TcpSocket};

/// How many connections the kernel keeps until they are accepted.
const BACKLOG: u32 = 128;

/// Listens on an address. `0.0.0.0` and `::` both stand for all addresses of both families, as they do for kube-proxy
/// (package net of Go), where the kernel has IPv6.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_unspecified() {
        return bind(address);
    }
    match bind((Ipv6Addr::UNSPECIFIED, address.port()).into()) {
        Err(error) if error.raw_os_error() == Some(EAFNOSUPPORT) => {
            bind((Ipv4Addr::UNSPECIFIED, address.port()).into())
        }
        other => other,
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restart does not wait for connections of the last run to time out.
    socket.set_reuseaddr(true)?;
    if address.is_ipv6() {
        // Whatever the sysctl net.ipv6.bindv6only says.
        setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
