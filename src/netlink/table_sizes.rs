//! The sizes of the tables of ip_tables, which the variant legacy of iptables keeps its rules in. They are cheap to ask for, unlike
//! the rules, and change whenever a rule comes or goes.

#![allow(unsafe_code, reason = "a socket option that is asked for with a name, which nix does not have")]

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

use nix::libc;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use svcnat_rules::iptables::TableName;
use svcnat_rules::net::Family;

/// `IPT_SO_GET_INFO` and `IP6T_SO_GET_INFO` of `linux/netfilter_ipv4/ip_tables.h` and its kin.
const GET_INFO: libc::c_int = 64;

/// The length of `struct ipt_getinfo` and `struct ip6t_getinfo`: the name of the table (`XT_TABLE_MAXNAMELEN`), then where its
/// built-in chains begin and end, how many entries it has and how many bytes.
const INFO: usize = 84;
/// `XT_TABLE_MAXNAMELEN`.
const NAME: usize = 32;

/// How large the tables are that hold rules of ours, in the network namespace of the thread that read it; those that nobody
/// uses are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableSizes(BTreeMap<(Family, TableName), [u8; INFO]>);

impl TableSizes {
    /// Asks for them.
    ///
    /// # Errors
    ///
    /// Without CAP_NET_ADMIN.
    pub fn read() -> io::Result<Self> {
        let mut sizes = BTreeMap::new();
        for family in Family::ALL {
            let names = match family {
                Family::Ipv4 => "/proc/thread-self/net/ip_tables_names",
                Family::Ipv6 => "/proc/thread-self/net/ip6_tables_names",
            };
            // Asking for a table that nobody uses would make it.
            let used = match fs::read_to_string(names) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                used => used?,
            };
            let tables: Vec<TableName> = used.lines().filter_map(TableName::from_keyword).collect();
            if tables.is_empty() {
                continue;
            }
            let domain = match family {
                Family::Ipv4 => AddressFamily::Inet,
                Family::Ipv6 => AddressFamily::Inet6,
            };
            let socket = socket(domain, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
            for table in tables {
                sizes.insert((family, table), info(&socket, family, table)?);
            }
        }
        Ok(Self(sizes))
    }
}

fn info(socket: &OwnedFd, family: Family, table: TableName) -> io::Result<[u8; INFO]> {
    let level = match family {
        Family::Ipv4 => libc::IPPROTO_IP,
        Family::Ipv6 => libc::IPPROTO_IPV6,
    };
    let mut info = [0; INFO];
    // Shorter than the field, whose last byte must be NUL.
    for (place, byte) in info.iter_mut().take(NAME - 1).zip(table.keyword().bytes()) {
        *place = byte;
    }
    let mut len = libc::socklen_t::try_from(INFO).unwrap_or(0);
    // SAFETY: the kernel reads and writes no more than `len` bytes of `info`, which has as many, and `len` itself.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, GET_INFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    if result == 0 { Ok(info) } else { Err(io::Error::last_os_error()) }
}
