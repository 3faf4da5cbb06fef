//! What a configuration says that is no error, but that the operator may expect more of.

use super::error::At;

/// Something that the operator should know about the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// A key or flag without effect.
    #[error("{at} has no effect: {why}")]
    NoEffect {
        /// Where it stands.
        at: At,
        /// Why it has none.
        why: &'static str,
    },
    /// A flag beside `--config`, which kube-proxy ignores then.
    #[error("--{0} has no effect beside --config: what the file says counts, and its defaults")]
    BesideConfig(&'static str),
    /// A flag that kube-proxy will not have for long.
    #[error("--{flag} is deprecated: use --{instead}")]
    Deprecated {
        /// The flag, without the dashes.
        flag: &'static str,
        /// The one to use, without the dashes.
        instead: &'static str,
    },
    /// No mode, which means something else to kube-proxy.
    #[error("{0} is empty, which kube-proxy takes as iptables and svcnat as nftables")]
    EmptyMode(At),
}

impl Note {
    /// The line of the file, for an order: what is about flags comes first.
    pub(super) fn line(&self) -> u64 {
        match self {
            Self::NoEffect { at, .. } | Self::EmptyMode(at) => at.line(),
            Self::BesideConfig(_) | Self::Deprecated { .. } => 0,
        }
    }
}
