//! What stays, and why.

use super::names;

/// Something that stays or was not looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// No iptables.
    #[error(
        "no iptables is installed here: chains of kube-proxy's modes iptables and ipvs were not looked for"
    )]
    NoIptables,
    /// No ipset, though the mode ipvs was in use.
    #[error("no ipset is installed here: sets of kube-proxy's mode ipvs were not looked for")]
    NoIpset,
    /// A table that iptables cannot list, because it was filled by nft.
    #[error("{variant}: {said}: chains of kube-proxy in it were not looked for")]
    Unlisted {
        /// The program.
        variant: String,
        /// What it says of the table.
        said: String,
    },
    /// A chain that somebody else's chain leads to.
    #[error(
        "{variant}: table {table}: chain {chain} stays, because a rule of chain {by}, which is not kube-proxy's, needs it"
    )]
    ChainInUse {
        /// The program.
        variant: String,
        /// The table.
        table: String,
        /// The chain.
        chain: String,
        /// Whose rule leads there.
        by: String,
    },
    /// A set that somebody else's rule refers to.
    #[error("ipset: {0} stays, because a rule that is not kube-proxy's needs it")]
    SetInUse(String),
    /// An interface of that name, but of another kind.
    #[error("interface: {} stays, because it is not of kube-proxy's kind (dummy)", names::INTERFACE)]
    OtherInterface,
    /// Virtual servers.
    #[error(
        "ipvs: {0} virtual servers stay, because nothing tells kube-proxy's from others'; `ipvsadm -Ln` lists them, \
         `ipvsadm -C` removes all"
    )]
    VirtualServers(usize),
}
