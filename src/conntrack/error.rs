//! What can go wrong with connection tracking, in the operator's words.

use std::io;

use nix::libc;

use crate::netlink::message::Reply;

/// Why flows could not be listed or deleted. The rules are in force all the same.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No ctnetlink.
    #[error(
        "the kernel gives no access to tracked connections: it needs CONFIG_NF_CT_NETLINK (module \
         nf_conntrack_netlink, `modprobe nf_conntrack_netlink`)"
    )]
    Missing,
    /// No privilege.
    #[error("not permitted to delete tracked connections: run as root, or with the capability CAP_NET_ADMIN")]
    Privilege,
    /// Any other refusal.
    #[error("cannot {action}: the kernel refused it: {}{}", io::Error::from_raw_os_error(*errno), in_words(text.as_deref()))]
    Refused {
        /// What was tried.
        action: &'static str,
        /// The error number.
        errno: i32,
        /// The kernel's own words.
        text: Option<String>,
    },
    /// A system call failed.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

fn in_words(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" ({text})"))
}

impl Error {
    /// Explains a refusal to list flows.
    pub(super) fn listing(reply: Reply) -> Self {
        match reply.errno {
            // Where nobody listens for the messages of a part of netfilter, they are invalid.
            libc::EINVAL => Self::Missing,
            _ => Self::refused("list tracked flows", reply),
        }
    }

    /// Explains a refusal to delete a flow.
    pub(super) fn deleting(reply: Reply) -> Self {
        Self::refused("delete tracked flows", reply)
    }

    fn refused(action: &'static str, reply: Reply) -> Self {
        match reply.errno {
            libc::EPERM => Self::Privilege,
            errno => Self::Refused { action, errno, text: reply.text },
        }
    }
}
